"""This package's own engine."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sdewm.dynamics import Variations, perturb, simulate_coupled
from sdewm.dynamics.ensemble import prepare, reduce_blocks
from sdewm.estimate import Moments

from ..harness import Absent, Job
from ..problems import X0, Problem, System, SystemByHand, error_of

OWN = "sdewm, eager"


class Observe:
    """What is observed; a class at module level, so that it travels to workers."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def __call__(self, states: Any) -> Tensor:
        found = [states[name] for name in ("x", "xe", "xm") if name in states]
        if self.problem.kind == "variations":
            varied = states["x"]
            found = [varied.x, states["xe"], varied.y1, varied.y2]
        return torch.stack(self.problem.observed(tuple(found)), dim=1)


def members(problem: Problem, by_hand: bool = False) -> dict[str, Any]:
    """The coupled members of a problem."""
    system = SystemByHand(problem) if by_hand else System(problem)
    error = error_of(problem, by_hand)
    result: dict[str, Any] = {
        "x": Variations(system, error, derivatives="formula" if by_hand else "auto")
        if problem.kind == "variations"
        else system,
        "xe": perturb(system, error, problem.eps, x0=torch.zeros(2, problem.dim)),
    }
    if problem.kind == "antithetic":
        result["xm"] = perturb(system, error.mirrored(), problem.eps, x0=torch.zeros(2, problem.dim))
    return result


def simulate(coupled: dict[str, Any], problem: Problem, seed: int, observe: Any, **options: Any) -> Moments:
    """One run: the moments of what is observed at the end."""
    done = simulate_coupled(
        coupled, X0, problem.grid, problem.paths, seed, observe=observe, dtype=torch.float32, **options
    )
    return done.moments[-1]


def _job(problem: Problem, by_hand: bool = False, **options: Any) -> Job:
    coupled, observe = members(problem, by_hand), Observe(problem)
    options.setdefault("compile", False)

    def run(seed: int) -> Moments:
        return simulate(coupled, problem, seed, observe, **options)

    run(0)
    return Job(run, problem.normals, "simulate_coupled(observe=...)")


def eager(problem: Problem) -> Job:
    """The engine as it is by default."""
    return _job(problem)


def eager_by_hand(problem: Problem) -> Job:
    """With derivatives written by hand in place of automatic ones."""
    if problem.kind != "variations":
        raise Absent("no derivatives in this problem")
    return _job(problem, by_hand=True)


def compiled(problem: Problem) -> Job:
    """The engine's compiled steps, with derivatives taken automatically.

    Prepared and compiled once, as a peer's function is: checking and recording a step again costs a few milliseconds.
    """
    coupled, observe = members(problem), Observe(problem)
    ready = prepare(coupled, X0, problem.grid, problem.paths, dtype=torch.float32, compile=True)

    def run(seed: int) -> Moments:
        noise = tuple(replace(motion, seed=seed) for motion in ready.noise)
        return reduce_blocks(replace(ready, noise=noise), observe)[-1]

    run(0)
    return Job(run, problem.normals, "prepare(compile=True), reduce_blocks")


PEERS = {OWN: eager, "sdewm, eager, derivatives by hand": eager_by_hand, "sdewm, compiled": compiled}
