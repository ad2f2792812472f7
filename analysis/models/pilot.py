"""Doses and weights of the arms, chosen on seeds that are not judged: `python -m analysis.models.pilot`.

Prints, for each setting, the mean over the pilot seeds of the open-loop error 25 and 50 steps ahead and of the whitened
Jacobian norm, relative to plain training; analysis/protocol/*.md say how a setting is chosen from that.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sdewm.claims.tasks import Task
from sdewm.run import Record

from ..pilot import pilot
from .e6 import LongHorizon
from .setting import PILOT, TASKS, cell

TRIED: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "plain": [{}],
    "zero drift in training": [
        {"injection": {"block": "z", "kind": "zero drift", "unit": "whitened", "size": size}}
        for size in (0.01, 0.03, 0.1, 0.3, 1.0)
    ],
    "penalty, prior map": [
        {"penalty": {"of": "prior", "kind": "frobenius", "weight": weight}} for weight in (1e-4, 3e-4, 0.001, 0.01, 0.1)
    ],
    "penalty, filter map": [
        {"penalty": {"of": "filter", "kind": "frobenius", "weight": weight}}
        for weight in (1e-4, 3e-4, 0.001, 0.01, 0.1)
    ],
    "noise injection": [{"training": {"observation_noise": size}} for size in (0.01, 0.03, 0.1, 0.3)],
    "weight decay": [{"training": {"weight_decay": decay}} for decay in (0.01, 0.1, 1.0)],
    "spectral norm": [{"training": {"spectral_limit": limit}} for limit in (1.0, 1.5, 2.5)],
}


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 for a wrong argument."""
    own = {"name": "analysis.models.pilot", "description": __doc__ or ""}
    return pilot(tasks_of, table, arguments, results=Path("results/pilot"), seeds=3, **own)


def tasks_of(seeds: int) -> dict[tuple[str, int, int], Task]:
    """The tasks by arm, number of the setting and number of the seed."""
    return {
        (arm, number, seed): Task(LongHorizon(), _cell(arm, changed, PILOT + seed), "pilot")
        for seed in range(seeds)
        for arm, settings in TRIED.items()
        for number, changed in enumerate(settings)
    }


def _cell(arm: str, changed: Mapping[str, Any], seed: int) -> Any:
    whole = cell(TASKS[0], "RSSM", arm, seed, changed=changed)
    return replace(whole, settings={**whole.settings, "measured": ["jacobian"]})


def table(records: Mapping[tuple[str, int, int], Record | None], seeds: int) -> str:
    """One line a setting: means over the pilot seeds, relative to plain training."""
    lines = [
        f"{'arm':26s}{'setting':60s}{'error 25':>10s}{'error 50':>10s}{'norm':>8s}{'diverged':>10s}{'seconds':>9s}"
    ]
    plain = [_numbers(records["plain", 0, seed]) for seed in range(seeds)]
    for arm, settings in TRIED.items():
        for number, changed in enumerate(settings):
            found = [_numbers(records[arm, number, seed]) for seed in range(seeds)]
            logs = [np.log(np.array(a[:3]) / np.array(b[:3])) for a, b in zip(found, plain, strict=True) if a and b]
            mean = np.exp(np.mean(logs, axis=0)) if logs else np.full(3, np.nan)
            seconds = np.mean([a[3] for a in found if a] or [np.nan])
            said = " ".join(f"{key}={value}" for part in changed.values() for key, value in part.items())
            lines.append(
                f"{arm:26s}{said:60s}"
                + f"{mean[0]:10.3f}{mean[1]:10.3f}{mean[2]:8.3f}{seeds - len(logs):10d}{seconds:9.1f}"
            )
    return "\n".join(lines)


def _numbers(record: Record | None) -> tuple[float, ...]:
    if record is None or record.values["diverged"]:
        return ()
    error = np.sqrt(record.arrays["horizon/RSSM"])
    norm = record.values["jacobian"]["frobenius, whitened"]
    return float(error[24]), float(error[49]), float(norm), float(record.values["seconds of training"])


if __name__ == "__main__":
    sys.exit(main())
