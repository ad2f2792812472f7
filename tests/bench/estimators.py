"""Work to a 1 % interval of Q + S/2, by every method, against plain paths at equal bias.

    python tests/bench/estimators.py [--smoke] [--out FILE]

The baseline is the mean of the direct coefficients over independent paths (the same variance as common random numbers),
without extrapolation, on as many Euler steps as bring its bias down to that of the extrapolated grid. Its work is that
of its variance, measured on a pilot: paths for the interval that the method has reached, times steps; its seconds are
those path-steps at the pilot's own speed. The methods are run as a user runs them, on the grid of the problem with
extrapolation; `with pilot` counts everything that they have spent, and seconds are those of the whole call, with the
checks of the hypotheses. Where an interval is short enough, these and the pilot are all that is left: they bound the
gain in seconds, as `variance` and `seconds each` beside the baseline's show.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sdewm.drifts import DoubleWell, TanhNetwork
from sdewm.dynamics import RepresentationError
from sdewm.dynamics.ensemble import prepare
from sdewm.dynamics.noise import cluster_means
from sdewm.dynamics.sobol import Sobol
from sdewm.dynamics.variation import Terms
from sdewm.exceptions import InvalidArgument
from sdewm.grid import TimeGrid
from sdewm.run.store import provenance, write_whole
from sdewm.theory import expand
from sdewm.theory.effect import Effect, effect_problem
from sdewm.theory.method import METHODS
from sdewm.theory.methods import coefficient_columns, sample

Z = 1.96
# Times less work than plain paths.
GOALS = {"double well": 300.0, "tanh network, dim 8": 100.0}


def sigma_bar(t: Tensor, x: Tensor) -> Tensor:
    """The diffusion error of both problems."""
    return 0.5 + 0.4 * torch.sin(2 * x)


def tilted(x: Tensor) -> Tensor:
    """x⁴/4 − 0.3 x."""
    return (x**4 / 4 - 0.3 * x).sum(-1)


def square(x: Tensor) -> Tensor:
    """|x|²."""
    return (x**2).sum(-1)


@dataclass(frozen=True)
class Case:
    """A problem, the number of steps it is extrapolated from, and what is run."""

    system: Any
    loss: Callable[[Tensor], Tensor]
    steps: int
    reference: int  # paths by which biases are measured
    tolerance: dict[str, float]
    seeds: int
    curve: tuple[float, ...]

    def options(self, steps: int) -> tuple[Any, ...]:
        """The arguments of `expand` that do not change."""
        return self.system, RepresentationError(diffusion=sigma_bar), self.loss, 0.6, TimeGrid(1.0, steps)


def cases(smoke: bool) -> dict[str, Case]:
    """The double well and the network."""
    slow = dict.fromkeys(METHODS, 0.15 if smoke else 0.03)
    fast = dict.fromkeys(METHODS, 0.1 if smoke else 0.01)
    return {
        "double well": Case(
            DoubleWell(),
            tilted,
            32 if smoke else 64,
            4096 if smoke else 1 << 19,
            {**slow, "sobol": slow["sobol"] / 3, "martingale": slow["martingale"] / 3},
            1 if smoke else 4,
            (0.3, 0.1) if smoke else (0.1, 0.03, 0.01, 0.003),
        ),
        "tanh network, dim 8": Case(
            TanhNetwork(dim=8, gain=0.4, seed=3),
            square,
            8 if smoke else 16,
            2048 if smoke else 1 << 16,
            fast,
            1 if smoke else 4,
            (0.3, 0.1) if smoke else (0.1, 0.03, 0.01, 0.003, 0.001),
        ),
    }


def on_grids(problem: Effect, paths: int, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Q + S/2 extrapolated, and the biases of the half grid without and with extrapolation; and their errors."""
    rows = []
    ready = replace(problem, paths=paths, noise=Sobol(points))
    members = {"varied": ready.variations()}
    grids = [prepare(members, ready.x0, ready.grid, paths, 77, coarsen=k, motion=ready.noise) for k in (1, 2, 4)]
    for block in grids[0].blocks:
        values = []
        for ensemble in grids:
            (states,) = ensemble.run(block)
            _, q, s = coefficient_columns(ready, states)
            values.append(q + 0.5 * s)
        rows.append(cluster_means(torch.stack(values, 1), points))
    means = torch.cat(rows).numpy()
    # The extrapolated value and the differences from it, which vary far less.
    x1, x2, x4 = means.T
    best = 2 * x1 - x2
    table = np.stack((best, x2 - best, 2 * x2 - x4 - best), 1)
    return table.mean(0), table.std(0, ddof=1) / len(table) ** 0.5


def baseline(case: Case, bias: float, slope: float) -> dict[str, float]:
    """Steps, variance of a path and speed of plain Euler steps with this bias, which is slope / steps."""
    steps = max(case.steps, int(np.ceil(abs(slope) / bias)))
    problem = effect_problem(*case.options(steps), 8192, extrapolate=False, scheme="euler")
    start = time.process_time()
    _, c = sample(problem, Terms()).targets
    seconds = (time.process_time() - start) / (8192 * steps)
    return {"steps": steps, "variance": 8192 * c.standard_error**2, "seconds": seconds}


def run(
    case: Case, name: str, seed: int, plain: dict[str, float], tolerance: float | None = None
) -> tuple[str, dict[str, float]]:
    """One run of a method, and what plain paths would have needed for the interval that it has reached."""
    tolerance = tolerance or case.tolerance.get(name, case.tolerance["sobol"])
    start = time.process_time()
    e = expand(*case.options(case.steps), seed=seed, method=name, tolerance=tolerance, scheme="euler")
    seconds = time.process_time() - start
    c = e.Q + 0.5 * e.S
    low, high = c.interval()
    half = (high - low) / 2
    needed = (Z / half) ** 2 * plain["variance"] * plain["steps"]
    return e.method.name, {
        "half-width": half / abs(c.value),
        "path-steps": e.method.path_steps,
        "with pilot": e.method.spent,
        "seconds": seconds,
        "plain path-steps": needed,
        "gain": needed / e.method.path_steps,
        "gain with pilot": needed / e.method.spent,
        "gain in seconds": needed * plain["seconds"] / seconds,
        # What bounds the gains: the spread that is left of a path, and what a step of one costs, checks included.
        "variance": e.method.paths * c.standard_error**2,
        "seconds each": seconds / e.method.spent,
    }


def measure(case: Case) -> dict[str, Any]:
    """Everything about one problem."""
    twice = effect_problem(*case.options(2 * case.steps), 64, scheme="euler", extrapolate=False)
    # Again, now that everything is loaded: what any call spends before it simulates.
    start = time.process_time()
    effect_problem(*case.options(case.steps), 64, scheme="euler")
    checks = time.process_time() - start
    (value, euler, extrapolated), errors = on_grids(twice, case.reference, min(case.reference // 16, 4096))
    # Below its own uncertainty a bias is not known to be smaller.
    bias = max(abs(extrapolated), 2.0 * errors[2])
    plain = baseline(case, bias, case.steps * euler)
    rows = []
    # What a process loads at its first call is not the first method's.
    run(case, "auto", 99, plain)
    for name in ("auto", *METHODS):
        try:
            runs = [run(case, name, seed, plain) for seed in range(case.seeds)]
        except InvalidArgument as refused:  # a grid that cannot be coarsened enough for several levels
            print(f"{name} is left out: {refused}")
            continue
        chosen = sorted({label for label, _ in runs})
        # Works and gains vary by factors, so that the geometric mean is the fair one.
        means = {key: float(np.exp(np.mean([np.log(row[key]) for _, row in runs]))) for key in runs[0][1]}
        rows.append({"method": name if name != "auto" else f"auto: {', '.join(chosen)}", **means})
    return {
        "value": value,
        "steps": case.steps,
        "bias of Euler steps": euler / value,
        "bias extrapolated": extrapolated / value,
        "seconds of the checks": checks,
        "its uncertainty": 2.0 * errors[2] / abs(value),
        "baseline steps": plain["steps"],
        "baseline variance": plain["variance"],
        "baseline seconds each": plain["seconds"],
        "baseline paths to 1 %": (Z / (0.01 * value)) ** 2 * plain["variance"],
        "methods": rows,
        "curve": [run(case, "auto", 100, plain, tolerance)[1] for tolerance in case.curve],
    }


def table(problems: dict[str, Any]) -> str:
    """The same for reading."""
    lines = ["Work to an interval of Q + S/2, against plain paths at equal bias; CPU time of one thread."]
    for name, case in problems.items():
        rows = case["methods"]
        facts = [f"{key} {value:.4g}" for key, value in case.items() if key not in ("methods", "curve")]
        lines += ["", f"{name} ({case['steps']} steps)", *(f"  {', '.join(part)}" for part in batched(facts[1:], 4))]
        lines.append("  ".join(f"{key:>16}" for key in rows[0]))
        lines += ["  ".join(f"{v:>16}" if isinstance(v, str) else f"{v:>16.3g}" for v in row.values()) for row in rows]
    lines += ["", "Goals at a 1 % interval, what `auto` has reached with its pilots, and what a call spends at least"]
    for name, case in problems.items():
        chosen, goal = case["methods"][0], GOALS[name]
        steps, seconds = chosen["gain with pilot"], chosen["gain in seconds"]
        lines.append(
            f"  {name:24s} >= {goal:g}: {steps:.0f} in path-steps ({'reached' if steps >= goal else 'missed'}), "
            f"{seconds:.0f} in seconds ({'reached' if seconds >= goal else 'missed'}); of {chosen['seconds']:.2f} s "
            f"the checks of the hypotheses take {case['seconds of the checks']:.2f}"
        )
    return "\n".join(lines)


def batched(parts: list[str], size: int) -> list[list[str]]:
    """Parts in lists of a size."""
    return [parts[k : k + size] for k in range(0, len(parts), size)]


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description="work to a 1 % interval of Q + S/2")
    parser.add_argument("--smoke", action="store_true", help="a few seconds, and numbers that mean nothing")
    parser.add_argument("--out", type=Path, help="file for the JSON, by default none")
    options = parser.parse_args()
    torch.set_num_threads(1)
    problems = {name: measure(case) for name, case in cases(options.smoke).items()}
    found = {"schema": 1, "made": provenance(), "problems": problems, "table": table(problems)}
    print(found["table"])
    if options.out:
        write_whole(options.out, (json.dumps(found, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
