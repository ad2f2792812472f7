"""kill −9 at random moments: afterwards the records are complete, equal, and no finished cell was computed again."""

import io
import os
import random
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sdewm.claims import run
from sdewm.run import Store
from sdewm.run.processes import Processes

from .tools import begun, contents, dask, moment, on_record, start, until
from .work import CATALOGUE, LOG, PAUSE

# Seconds in which a run of the soak's cells is over, once it has begun.
SPAN = 1.0


def undisturbed(place: Path) -> dict[str, tuple[Any, bytes]]:
    """The records of a run that nobody disturbs."""
    run(CATALOGUE, Store(place), stream=io.StringIO())
    return contents(place)


def kill_main(place: Path, expected: dict[str, Any], draw: random.Random, workers: int = 1) -> dict[str, int]:
    """Kill the main process, start again, kill again, until a run ends by itself."""

    def attempt(log: Path) -> bool:
        process = start(place / "records", "--workers", str(workers), log=log, pause=0.05)
        until(lambda: begun(log) or process.poll() is not None)
        moment(draw, SPAN)
        process.kill()
        process.communicate()
        return process.returncode == -signal.SIGKILL

    return _until_done(place, expected, attempt)


def kill_scheduler(place: Path, expected: dict[str, Any], draw: random.Random) -> dict[str, int]:
    """Kill the scheduler of a cluster: the run ends with a message, and the next one goes on elsewhere."""

    def attempt(log: Path) -> bool:
        with dask(place / "dask", 1, log, 0.05) as cluster:
            process = start(place / "records", "--dask", cluster.address)
            until(lambda: begun(log) or process.poll() is not None)
            moment(draw, SPAN)
            cluster.scheduler.kill()
            try:
                said = process.communicate(timeout=900.0)[1]
            finally:
                process.kill()
            assert process.returncode == 0 or "soak: the executor is gone" in said, said
            assert "Traceback" not in said.split("soak: ")[-1]
            return process.returncode != 0

    return _until_done(place, expected, attempt)


def _until_done(place: Path, expected: dict[str, Any], attempt: Callable[[Path], bool]) -> dict[str, int]:
    records, kills, again, number = place / "records", 0, 0, 0
    place.mkdir(parents=True, exist_ok=True)
    while on_record(records) < set(expected):
        before, log = on_record(records), place / f"log-{number}"
        number += 1
        kills += attempt(log)
        again += len(before & set(begun(log)))
        # One that is slow to begin would never end.
        assert number < 60
    assert again == 0, f"{again} finished cells were computed again"
    assert contents(records) == expected
    return {"kills": kills, "starts": number, "finished cells computed again": again}


def kill_workers(place: Path, expected: dict[str, Any], draw: random.Random, kills: int = 2) -> dict[str, int]:
    """Kill worker processes while they work: they are replaced, and their cells tried again."""
    place.mkdir(parents=True, exist_ok=True)
    log, done = place / "log", 0
    os.environ.update({LOG: str(log), PAUSE: "0.1"})
    try:
        with Processes(2, retries=100) as pool, ThreadPoolExecutor(1) as aside, open(os.devnull, "w") as stream:
            whole = aside.submit(run, CATALOGUE, Store(place / "records"), pool, count=2, stream=stream)
            seen = 0
            while done < kills and not whole.done():
                # Only while it works: whoever is killed at its start has nothing to lose.
                until(lambda seen=seen: len(begun(log)) > seen or whole.done())
                moment(draw, 0.1)
                with pool._lock:
                    alive = [worker.process.pid for worker in pool._workers]
                if alive and not whole.done():
                    os.kill(draw.choice(alive), signal.SIGKILL)
                    done += 1
                seen = len(begun(log))
            whole.result()
    finally:
        del os.environ[LOG], os.environ[PAUSE]
    assert contents(place / "records") == expected
    names = begun(log)
    # Tried again is only what was lost: at most one cell a kill.
    assert len(names) <= len(expected) + done
    return {"kills": done, "cells begun": len(names), "cells": len(expected)}


def kill_dask_worker(place: Path, expected: dict[str, Any], draw: random.Random) -> dict[str, int]:
    """Kill one of two workers of a cluster: the other one does what it was doing."""
    log = place / "log"
    with dask(place / "dask", 2, log, 0.1) as cluster:
        process = start(place / "records", "--dask", cluster.address)
        until(lambda: begun(log) or process.poll() is not None)
        moment(draw, SPAN)
        cluster.workers[draw.randrange(2)].kill()
        said = process.communicate(timeout=900.0)[1]
        assert process.returncode == 0, said
    assert contents(place / "records") == expected
    return {"kills": 1, "cells begun": len(begun(log)), "cells": len(expected)}
