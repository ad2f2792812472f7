"""Doses and weights, tried on seeds that are not judged: run what is not on record, print and keep the table."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from pathlib import Path
from typing import Any

from sdewm.claims.tasks import Task, compute
from sdewm.exceptions import SdewmError
from sdewm.run import Record, Store
from sdewm.run.blocks import default_workers, single_thread, workers
from sdewm.run.store import provenance, write_whole
from sdewm.validation import integer

Tasks = Mapping[Any, Task]


def pilot(
    tasks_of: Callable[[int], Tasks],
    table: Callable[[Mapping[Any, Record | None], int], str],
    arguments: Sequence[str] | None,
    *,
    name: str,
    description: str,
    results: Path,
    seeds: int,
) -> int:
    """The command of a pilot; it can be stopped anywhere and goes on from there.

    Args:
        tasks_of: from the number of seeds to the tasks, by keys of its own.
        table: the text for the records by these keys, and the number of seeds.
        arguments: of the command line.
        name, description: of the command.
        results: where records and table are kept by default.
        seeds: number of seeds by default.

    Returns:
        Exit code 0, or 2 for a wrong argument.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=description)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--results", type=Path, default=results)
    parser.add_argument("--out", type=Path, help="file for the table, by default pilot.json in the results")
    given = parser.parse_args(arguments)
    try:
        tasks, store = tasks_of(integer("seeds", given.seeds, least=1)), Store(given.results / "records")
        missing = [task for task in tasks.values() if store.find(task.key) is None]
        with workers(given.workers) as executor:
            for record in _computed(missing, executor):
                store.write(record)
                print(".", end="", flush=True, file=sys.stderr)
        print(file=sys.stderr)
        text = table({key: store.find(task.key) for key, task in tasks.items()}, given.seeds)
        used = sorted({task.cell.seed for task in tasks.values()})
        found = {"schema": 1, "made": provenance(), "seeds": used, "table": text}
        write_whole(given.out or given.results / "pilot.json", (json.dumps(found, indent=1) + "\n").encode())
    except SdewmError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    print(text)
    return 0


def _computed(tasks: Sequence[Task], executor: Executor | None) -> Iterator[Record]:
    """Each as soon as it is there: none that is done waits for one that takes long."""
    if executor is None:
        single_thread()
        yield from map(compute, tasks)
    else:
        for future in as_completed([executor.submit(compute, task) for task in tasks]):
            yield future.result()
