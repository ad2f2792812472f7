"""Processes to kill, and records to compare."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sdewm.run import Store

from .work import LOG, PAUSE

ROOT = Path(__file__).parents[2]


def environment(log: Path | None = None, pause: float = 0.0) -> dict[str, str]:
    """What a process of the soak is started with."""
    path = os.pathsep.join([str(ROOT / "tests"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    more = {} if log is None else {LOG: str(log)}
    return {**os.environ, "PYTHONPATH": path, PAUSE: str(pause), "OMP_NUM_THREADS": "1", **more}


def start(place: Path, *options: str, log: Path | None = None, pause: float = 0.05) -> subprocess.Popen[str]:
    """A run of the soak's catalogue in a process of its own."""
    command = [sys.executable, "-m", "soak.main", str(place), *options]
    return subprocess.Popen(command, env=environment(log, pause), cwd=ROOT, stderr=subprocess.PIPE, text=True)


def contents(place: Path) -> dict[str, tuple[Any, bytes]]:
    """All that the records of a place depend on: JSON but for how it was made, and the arrays' bytes."""
    found = {}
    for path in sorted(place.glob("*.json")):
        whole = json.loads(path.read_text())
        del whole["made"]
        found[path.stem] = whole, (place / f"{path.stem}.npz").read_bytes()
    return found


def on_record(place: Path) -> set[str]:
    """Names of the intact records of a place."""
    if not place.exists():
        return set()
    store = Store(place)
    return {path.stem for path in place.glob("*.json") if store.read(path.stem) is not None}


def begun(log: Path) -> list[str]:
    """Names of the cells that were begun, in order."""
    return log.read_text().split() if log.exists() else []


def until(happens: Any, seconds: float = 900.0) -> None:
    """Wait until something is the case."""
    deadline = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s")
        time.sleep(0.02)


class Dask:
    """A Dask cluster on loopback: a scheduler and workers, each a process that can be killed."""

    def __init__(self, place: Path, log: Path | None = None, pause: float = 0.0) -> None:
        self.environment = environment(log, pause)
        place.mkdir(parents=True, exist_ok=True)
        self.place, self.file = place, place / "scheduler.json"
        self.file.unlink(missing_ok=True)
        own = ("--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0")
        self.scheduler = self._start("dask_scheduler", *own, "--scheduler-file", str(self.file))
        self.workers: list[subprocess.Popen[bytes]] = []
        until(lambda: self.file.exists() and self.file.stat().st_size)
        self.address: str = json.loads(self.file.read_text())["address"]

    def add(self, count: int = 1) -> None:
        """Start more workers, of one thread each."""
        for _ in range(count):
            own = ("--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--dashboard-address", "127.0.0.1:0")
            more = ("--local-directory", str(self.place), "--death-timeout", "60")
            self.workers.append(self._start("dask_worker", self.address, *own, *more))

    def _start(self, module: str, *options: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", f"distributed.cli.{module}", *options]
        quiet = subprocess.DEVNULL
        return subprocess.Popen(command, env=self.environment, cwd=ROOT, stdout=quiet, stderr=quiet)

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@contextmanager
def dask(place: Path, workers: int = 0, log: Path | None = None, pause: float = 0.0) -> Iterator[Dask]:
    """A cluster, for a while."""
    found = Dask(place, log, pause)
    try:
        found.add(workers)
        yield found
    finally:
        found.end()


def moment(draw: random.Random, longest: float) -> None:
    """Wait for a random time."""
    time.sleep(draw.uniform(0.0, longest))
