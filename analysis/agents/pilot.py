"""Doses and weights of the agents' arms, chosen on seeds that are not judged: `python -m analysis.agents.pilot`.

Prints, for each setting, the means over the pilot seeds of the clean return, of the mean return while training and of
the open-loop errors in the agent's own episodes, those relative to plain training of the same seed. Written to
analysis/records/pilot-agents.json, the table is a part of the report: it is the sweep over the weights of the penalty.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sdewm.claims import Cell
from sdewm.claims.tasks import Task
from sdewm.run import Record

from ..pilot import pilot
from .e6 import PenaltyPredicts
from .reading import CLEAN
from .setting import PILOT, cell

WEIGHTS = (0.001, 0.01, 0.1)
DRIFTS = (0.01, 0.03, 0.1, 0.3, 1.0)
TRIED: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "plain": [{}],
    "penalty, prior map": [{"penalty": {"of": "prior", "kind": "frobenius", "weight": weight}} for weight in WEIGHTS],
    "drift in training": [
        {"injection": {"block": "z", "kind": "drift", "unit": "whitened", "size": size}} for size in DRIFTS
    ],
    "zero drift in training": [
        {"injection": {"block": "z", "kind": "zero drift", "unit": "whitened", "size": size}} for size in (0.1, 0.3)
    ],
}
Key = tuple[str, int, int]


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 for a wrong argument."""
    own = {"name": "analysis.agents.pilot", "description": __doc__ or ""}
    return pilot(tasks_of, table, arguments, results=Path("results/agents-pilot"), seeds=2, **own)


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
