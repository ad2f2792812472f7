"""Two workers against one, and what a run costs by its paths, steps, dimension, noise columns, members and workers."""

import math
import os
import time
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.stats import t as student

from sdewm.dynamics import perturb
from sdewm.dynamics.brownian import BLOCK
from sdewm.dynamics.ensemble import GROUP
from sdewm.run.blocks import single_thread, workers

from .harness import summary
from .peers.own import Observe, members, simulate
from .problems import CUBIC, DENSE, Problem, System, error_of

PAUSE = 0.5
LONG = replace(CUBIC, paths=1_200_000, steps=100)


def ready(executor: Executor, count: int) -> dict[int, float]:
    """Wait until `count` workers have imported the package; CPU seconds that each has used so far."""
    return dict(future.result() for future in [executor.submit(_used, PAUSE) for _ in range(count)])


def _used(seconds: float) -> tuple[int, float]:
    single_thread()
    time.sleep(seconds)  # long enough that no worker takes two of these
    return os.getpid(), time.process_time()


def _draw(buffers: int) -> float:
    """CPU seconds of drawing normals into a small buffer: work that shares nothing, not even memory's bandwidth."""
    single_thread()
    z, source = torch.empty(1 << 18), torch.Generator().manual_seed(0)
    begin = time.process_time()
    for _ in range(buffers):
        z.normal_(generator=source)
    return time.process_time() - begin


def throughput(
    problem: Problem = LONG, counts: tuple[int, ...] = (1, 2), rounds: int = 3, compiled: bool = False
) -> dict[str, Any]:
    """Wall seconds of one long run by the number of workers, in turn, start-up apart.

    `busiest_cpu_seconds` is the CPU time of the busiest worker, which is the wall time where the cores are idle
    otherwise: on a machine with neighbours the wall times say as much about these. `machine_ratio_by_cpu` is what plain
    drawing of as many normals gains in as many processes that have nothing to do with each other: the machine's bound.
    Where it is compiled, that too is done before the clock starts; a fused step goes through memory once, so that it
    tells what workers that are not compiled lose to each other there.
    """
    coupled, observe = members(problem), Observe(problem)
    wall: dict[int, list[float]] = {count: [] for count in counts}
    start: dict[int, list[float]] = {count: [] for count in counts}
    busiest: dict[int, list[float]] = {count: [] for count in counts}
    plain: dict[int, list[float]] = {count: [] for count in counts}
    buffers = max(1, problem.normals >> 20)
    for turn in range(rounds):
        for count in counts if turn % 2 == 0 else counts[::-1]:
            begin = time.perf_counter()
            with workers(count) as executor:
                if compiled:
                    # A few blocks for each of them, which all wait for their own compiler at first.
                    short = replace(problem, paths=16 * count * BLOCK * GROUP)
                    simulate(coupled, short, turn, Observe(short), executor=executor, compile=True)
                before = ready(executor, count) if executor is not None else {}
                begun, cpu = time.perf_counter(), time.process_time()
                simulate(coupled, problem, turn, observe, executor=executor, compile=compiled)
                wall[count].append(time.perf_counter() - begun)
                used = [time.process_time() - cpu]
                if executor is not None:
                    used += [seconds - before.get(pid, 0.0) for pid, seconds in ready(executor, count).items()]
                busiest[count].append(max(used))
                share = [-(-buffers // count)] * count
                plain[count].append(max(map(_draw, share) if executor is None else executor.map(_draw, share)))
            start[count].append(begun - begin - (PAUSE if before else 0.0))
    first, last = counts[0], counts[-1]
    return {
        "paths": problem.paths,
        "steps": problem.steps,
        "compiled": compiled,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "counts": list(counts),
        "wall_seconds": {str(k): v for k, v in wall.items()},
        "busiest_cpu_seconds": {str(k): v for k, v in busiest.items()},
        "plain_cpu_seconds": {str(k): v for k, v in plain.items()},
        "startup_seconds": {str(k): v for k, v in start.items()},
        # of each side the best round: the machine has neighbours
        "throughput_ratio": min(wall[first]) / min(wall[last]),
        "throughput_ratio_by_cpu": min(busiest[first]) / min(busiest[last]),
        "machine_ratio_by_cpu": min(plain[first]) / min(plain[last]),
    }


def fit(sizes: list[float], seconds: list[list[float]]) -> dict[str, Any]:
    """Slope of log time (the minimum of the rounds) against log size by least squares, and its 95 % interval."""
    x, y = np.log(sizes), np.log([min(s) for s in seconds])
    slope, intercept = np.polyfit(x, y, 1)
    rest = y - slope * x - intercept
    free = len(x) - 2
    interval = None
    if free > 0:
        error = math.sqrt(float(rest @ rest) / free / float(((x - x.mean()) ** 2).sum()))
        half = float(student.ppf(0.975, free)) * error
        interval = [float(slope) - half, float(slope) + half]
    return {"slope": float(slope), "interval": interval, "intercept": float(intercept)}


def _many(problem: Problem, count: int) -> dict[str, Any]:
    system, error = System(problem), error_of(problem)
    perturbed = {f"xe{k}": perturb(system, error, 0.2 / (k + 1)) for k in range(count)}
    return {"x": system, "xe": perturbed.pop("xe0"), **perturbed}


def _curves(quick: bool) -> dict[str, tuple[list[int], Any]]:
    """For each curve its sizes, and from a size to (problem, members)."""
    base = replace(CUBIC, paths=256, steps=4) if quick else replace(CUBIC, paths=16_384, steps=50)
    dense = replace(DENSE, paths=base.paths // 4, steps=base.steps)
    columns = [1, 2] if quick else [1, 2, 4, 8, 16]

    def noisy(m: int) -> tuple[Problem, dict[str, Any]]:
        problem = replace(dense, constants={k: np.ascontiguousarray(np.resize(v, (8, m))) for k, v in _C.items()})
        return problem, {"x": Columns(problem, m)}

    def plain(problem: Problem) -> tuple[Problem, dict[str, Any]]:
        return problem, members(problem)

    few = [1, 2]
    return {
        "paths": (few if quick else [1, 4, 16, 64], lambda k: plain(replace(base, paths=k * 4096))),
        "steps": (few if quick else [10, 20, 40, 80, 160], lambda k: plain(replace(base, steps=k))),
        "dimension": (few if quick else [2, 4, 8, 16, 32, 64], lambda k: plain(replace(base, dim=k))),
        "noise columns": (columns, noisy),
        "number of eps": (few if quick else [1, 2, 4, 8], lambda k: (base, _many(base, k))),
    }


_C: Mapping[str, Any] = DENSE.constants


class Columns(System):
    """The system with a dense g of m columns."""

    def __init__(self, problem: Problem, m: int) -> None:
        super().__init__(problem)
        self.noise_dim = m


def curves(rounds: int = 5, quick: bool = False) -> list[dict[str, Any]]:
    """CPU seconds along each curve, its sizes interleaved, with the slope in log-log."""
    result = []
    for name, (sizes, make) in _curves(quick).items():
        prepared = [make(size) for size in sizes]
        seconds: list[list[float]] = [[] for _ in sizes]
        for turn in range(rounds + 1):
            for k in range(len(sizes)):
                k = (k + turn) % len(sizes)
                problem, coupled = prepared[k]
                observe = Observe(problem) if "xe" in coupled else _first
                begin = time.process_time()
                simulate(coupled, problem, turn, observe)
                if turn:  # the first round warms up
                    seconds[k].append(time.process_time() - begin)
        labels = [4096 * k for k in sizes] if name == "paths" else sizes
        result.append(
            {
                "curve": name,
                "sizes": labels,
                "cpu_seconds": seconds,
                "summary": [summary(s) for s in seconds],
                **fit([float(x) for x in labels], seconds),
            }
        )
    return result


def _first(states: Any) -> Any:
    return states["x"][:, 0]


def worker_curve(found: dict[str, Any]) -> dict[str, Any]:
    """What `throughput` found as a cost curve: wall seconds by the number of workers."""
    counts = found["counts"]
    seconds = [found["wall_seconds"][str(k)] for k in counts]
    curve = {"curve": "workers", "sizes": counts, "wall_seconds": seconds}
    # Two points have a slope and no interval.
    return {**curve, **fit([float(k) for k in counts], seconds)} if len(counts) > 1 else curve
