"""Interleaved timing in CPU seconds, and the check that all peers solve one and the same problem."""

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from sdewm.estimate import Moments

Z_LIMIT = 5.0


class Absent(Exception):
    """A peer cannot be timed: the problem is not one of its kind."""


class NotInstalled(Absent):
    """A peer's package is missing."""


def missing(error: ImportError) -> NotInstalled:
    """Why a package is not there: what the import says, and the last word of its installation if make kept it."""
    log = Path(sys.prefix) / f"{error.name}.log"
    last = log.read_text().strip().splitlines()[-1:] if log.exists() else []
    return NotInstalled("; ".join([str(error), *last]))


@final
@dataclass(frozen=True)
class Job:
    """A peer that is ready to run: compiled and warm.

    Attributes:
        run: from a seed to the values that were observed, (paths, 2), or their moments; None for a limit.
        normals: how many normals one run draws.
        note: the configuration in words.
    """

    run: Callable[[int], Any]
    normals: int
    note: str = ""


def moments(result: Any) -> Moments | None:
    """The moments of what a run returned."""
    return result if result is None or isinstance(result, Moments) else Moments.of(np.asarray(result))


def interleaved(
    jobs: Mapping[str, Job], rounds: int, budget: float = math.inf
) -> tuple[dict[str, dict[str, list[float]]], dict[str, list[Moments]]]:
    """Run every job once a round, in an order that turns with the rounds, so that no neighbour's load hits one alone.

    A round is not begun once `budget` wall seconds are gone; two rounds are run in any case.
    """
    times: dict[str, dict[str, list[float]]] = {name: {"cpu": [], "wall": []} for name in jobs}
    seen: dict[str, list[Moments]] = {name: [] for name in jobs}
    names, begin = list(jobs), time.perf_counter()
    for turn in range(rounds):
        if turn >= 2 and time.perf_counter() - begin > budget:
            break
        shift = turn % len(names)
        for position, name in enumerate(names[shift:] + names[:shift]):
            # Seeds differ between peers: on equal noise an agreement of the means would prove less.
            seed = 1 + turn * len(names) + position
            wall, cpu = time.perf_counter(), time.process_time()
            result = jobs[name].run(seed)
            times[name]["cpu"].append(time.process_time() - cpu)
            times[name]["wall"].append(time.perf_counter() - wall)
            value = moments(result)
            if value is not None:
                seen[name].append(value)
    return times, seen


def merged(parts: list[Moments]) -> Moments:
    """All rounds together."""
    total = parts[0]
    for part in parts[1:]:
        total = total.merge(part)
    return total


def disagreement(own: Moments, other: Moments) -> float:
    """Largest |difference of means| in standard errors; infinite where something is not finite."""
    error = np.sqrt(np.diag(own.covariance) + np.diag(other.covariance))
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.abs(own.mean - other.mean) / error
    return float(z.max()) if bool(np.isfinite(z).all()) else math.inf


def summary(values: list[float] | NDArray[np.float64]) -> dict[str, float]:
    """Minimum, median, quartiles and maximum."""
    x = np.asarray(values, dtype=np.float64)
    low, middle, high = np.quantile(x, (0.25, 0.5, 0.75))
    return {
        "min": float(x.min()),
        "low": float(low),
        "median": float(middle),
        "high": float(high),
        "max": float(x.max()),
    }


def ratios(of: list[float], by: list[float]) -> dict[str, float]:
    """Summary of the ratios within each round."""
    return summary(np.asarray(of) / np.asarray(by))
