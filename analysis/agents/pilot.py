"""Doses and weights of the agents' arms, chosen on seeds that are not judged: `python -m analysis.agents.pilot`.

Prints, for each setting, the means over the pilot seeds of the clean return, of the mean return while training and of
the open-loop errors in the agent's own episodes, those relative to plain training of the same seed. Written to
analysis/records/pilot-agents.json, the table is a part of the report: it is the sweep over the weights of the penalty.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sdewm.claims import Cell
from sdewm.claims.tasks import Task, compute
from sdewm.run import Record, Store
from sdewm.run.blocks import default_workers, single_thread, workers
from sdewm.run.store import provenance, write_whole

from .e6 import PenaltyPredicts
from .reading import CLEAN
from .setting import PILOT, cell

WEIGHTS = (0.001, 0.01, 0.1)
TRIED: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "plain": [{}],
    "penalty, prior map": [{"penalty": {"of": "prior", "kind": "frobenius", "weight": weight}} for weight in WEIGHTS],
    "drift in training": [
        {"injection": {"block": "z", "kind": "drift", "unit": "whitened", "size": size}} for size in (0.1, 0.3, 1.0)
    ],
    "zero drift in training": [
        {"injection": {"block": "z", "kind": "zero drift", "unit": "whitened", "size": size}} for size in (0.1, 0.3)
    ],
}
Key = tuple[str, int, int]


def main(arguments: list[str] | None = None) -> int:
    """Run what is not on record, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m analysis.agents.pilot", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--results", type=Path, default=Path("results/agents-pilot"))
    parser.add_argument("--out", type=Path, help="file for the table, by default pilot-agents.json in the results")
    given = parser.parse_args(arguments)
    store, tasks = Store(given.results / "records"), tasks_of(given.seeds)
    missing = [task for task in tasks.values() if store.find(task.key) is None]
    with workers(given.workers) as executor:
        if executor is None:
            single_thread()
        for record in _computed(missing, executor):
            store.write(record)
            print(".", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    found = {"schema": 1, "made": provenance(), "seeds": [PILOT + seed for seed in range(given.seeds)]}
    found["table"] = table({key: store.find(task.key) for key, task in tasks.items()}, given.seeds)
    write_whole(given.out or given.results / "pilot-agents.json", (json.dumps(found, indent=1) + "\n").encode())
    print(found["table"])
    return 0


def _computed(tasks: Sequence[Task], executor: Executor | None) -> Iterator[Record]:
    """Each as soon as it is there: none that is done waits for one that takes long."""
    if executor is None:
        yield from map(compute, tasks)
    else:
        for future in as_completed([executor.submit(compute, task) for task in tasks]):
            yield future.result()


def tasks_of(seeds: int) -> dict[Key, Task]:
    """The tasks by arm, number of the setting and number of the seed."""
    return {
        (arm, number, seed): Task(PenaltyPredicts(), _cell(arm, changed, PILOT + seed), "pilot")
        for seed in range(seeds)
        for arm, settings in TRIED.items()
        for number, changed in enumerate(settings)
    }


def _cell(arm: str, changed: Mapping[str, Any], seed: int) -> Cell:
    whole = cell(arm, seed, changed=changed)
    return replace(whole, settings={**whole.settings, "measured": ["open loop"]})


def table(records: Mapping[Key, Record | None], seeds: int) -> str:
    """One line a setting: means over the pilot seeds."""
    names = ("return", "training", "error 25", "error 50", "error 100", "diverged", "seconds")
    lines = [f"{'arm':24s}{'setting':50s}" + "".join(f"{name:>10s}" for name in names)]
    plain = [_numbers(records.get(("plain", 0, seed))) for seed in range(seeds)]
    for arm, settings in TRIED.items():
        for number, changed in enumerate(settings):
            found = [_numbers(records.get((arm, number, seed))) for seed in range(seeds)]
            pairs = [(a, b) for a, b in zip(found, plain, strict=True) if a is not None and b is not None]
            said = " ".join(f"{key}={value}" for part in changed.values() for key, value in part.items())
            numbers = "".join(f"{value:10.3g}" for value in _means(pairs))
            lines.append(f"{arm:24s}{said:50s}{numbers}{seeds - len(pairs):10d}{_seconds(pairs):10.0f}")
    return "\n".join(lines)


def _means(pairs: Sequence[tuple[Any, Any]]) -> list[float]:
    if not pairs:
        return [np.nan] * 5
    returns = np.mean([[a["return"], a["training"]] for a, _ in pairs], axis=0)
    errors = np.exp(np.mean([np.log(a["errors"] / b["errors"]) for a, b in pairs], axis=0))
    return [*returns.tolist(), *errors.tolist()]


def _seconds(pairs: Sequence[tuple[Any, Any]]) -> float:
    return float(np.mean([a["seconds"] for a, _ in pairs])) if pairs else np.nan


def _numbers(record: Record | None) -> dict[str, Any] | None:
    if record is None or record.values["diverged"]:
        return None
    return {
        "return": float(np.mean(record.values["returns"][CLEAN])),
        "training": float(record.arrays["curve"].mean()),
        "errors": np.sqrt(record.arrays["open loop/own"][[24, 49, 99]]),
        "seconds": float(record.values["seconds of training"]),
    }


if __name__ == "__main__":
    sys.exit(main())
