"""One row of the benchmark: all peers on one problem, in one interleaved run."""

import math
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from .harness import (
    Z_LIMIT,
    Absent,
    Job,
    NotInstalled,
    disagreement,
    interleaved,
    merged,
    ratios,
    summary,
)
from .peers import compiled_torch, diffrax_euler, jax_scan, limits, numba_loop, own, solve_torchsde
from .problems import Problem

PEERS: Mapping[str, Callable[[Problem], Job]] = {
    **limits.PEERS,
    **own.PEERS,
    **compiled_torch.PEERS,
    **solve_torchsde.PEERS,
    **diffrax_euler.PEERS,
    **jax_scan.PEERS,
    **numba_loop.PEERS,
}


def prepare(problem: Problem) -> tuple[dict[str, Job], dict[str, dict[str, str]]]:
    """The jobs that can be run, and why the others cannot."""
    jobs: dict[str, Job] = {}
    absent: dict[str, dict[str, str]] = {}
    for name, make in PEERS.items():
        try:
            jobs[name] = make(problem)
        except NotInstalled as error:
            absent[name] = {"status": "not installed", "reason": str(error)}
        except Absent as error:
            absent[name] = {"status": "left out", "reason": str(error)}
        except Exception as error:  # one peer's failure is a row of the table, not the end of it
            if name == own.OWN:
                raise
            absent[name] = {"status": "failed", "reason": "".join(traceback.format_exception_only(error)).strip()[:300]}
    return jobs, absent


def row(problem: Problem, rounds: int, budget: float = math.inf) -> dict[str, Any]:
    """Time all peers on one problem.

    A fraction of the limit and a ratio to our own are taken within each round, by time a normal; `best_ratio` is the
    ratio of the minima.
    """
    jobs, absent = prepare(problem)
    times, seen = interleaved(jobs, rounds, budget)
    ns = {name: [1e9 * s / jobs[name].normals for s in times[name]["cpu"]] for name in jobs}
    reference = merged(seen[own.OWN])
    limit, mine = ns["limit: normals"], ns[own.OWN]
    peers: list[dict[str, Any]] = []
    for name in PEERS:
        if name in absent:
            peers.append({"peer": name, **absent[name]})
            continue
        z = disagreement(reference, merged(seen[name])) if seen[name] and name != own.OWN else None
        peers.append(
            {
                "peer": name,
                "status": "ok" if z is None or z < Z_LIMIT else "wrong",
                "reason": "" if z is None or z < Z_LIMIT else f"its mean is {z:.1f} standard errors off",
                "note": jobs[name].note,
                "normals": jobs[name].normals,
                "cpu_seconds": times[name]["cpu"],
                "wall_seconds": times[name]["wall"],
                "ns": summary(ns[name]),
                "fraction_of_limit": min(limit) / min(ns[name]),
                "ratio_to_own": ratios(ns[name], mine),
                "best_ratio": min(ns[name]) / min(mine),
                "z": z,
                "mean": merged(seen[name]).mean.tolist() if seen[name] else None,
            }
        )
    return {
        "row": problem.name,
        "title": problem.title,
        "dim": problem.dim,
        "steps": problem.steps,
        "paths": problem.paths,
        "rounds": len(mine),
        "peers": peers,
    }
