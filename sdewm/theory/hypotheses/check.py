"""What the expansion assumes of a problem, hypothesis by hypothesis."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from ...dynamics.categorical import CONTINUOUS, NO_DERIVATIVE, CategoricalMap
from ...dynamics.coupled import simulate_coupled
from ...dynamics.error import RepresentationError
from ...dynamics.start import Start, has_rows, rows, start_states
from ...dynamics.tamed import tame
from ...exceptions import HypothesisFails, InvalidArgument
from ...grid import TimeGrid
from ...hypothesis import Hypothesis, Status
from ...validation import TensorLike, strings, tensor
from .growth import check_growth, superlinear
from .problem import Problem, check_apart, problem_of
from .smoothness import check_smoothness

NAMES = (
    CONTINUOUS,
    "drift growth",
    "drift smoothness",
    "diffusion growth",
    "diffusion smoothness",
    "error growth",
    "error smoothness",
    "loss growth",
    "loss smoothness",
)
PILOT = 128
# How often the paths of the pilot run are looked at.
LOOKS = 8

Rows = Callable[[Tensor], Tensor]


def check_hypotheses(
    system: Any,
    error: RepresentationError,
    loss: Rows,
    x0: Start,
    grid: TimeGrid,
    *,
    paths: int | None = None,
    seed: int = 0,
    actions: TensorLike | None = None,
    assume: Sequence[str] = (),
) -> tuple[Hypothesis, ...]:
    """What the expansion assumes of a problem, each hypothesis by name and with how it is known.

    Growth is looked at first: declared facts are believed; else the functions are followed along random rays, and a
    drift that pulls outwards along its noise-free flow. Then at most 128 paths of the base are simulated, and jumps of
    the functions and of their derivatives are searched for by bisection, between the states that were visited and along
    the paths.

    Args:
        system: a `LatentSDE`, any torchsde SDE, or a `StepMap`.
        error, loss, grid, seed, actions: as for `expand`.
        x0: a number, (dim,) or (paths, dim).
        paths: number of paths of the pilot run; by default, and at most, 128.
        assume: names of hypotheses that the caller takes on; what was found of them is still reported.

    Returns:
        One `Hypothesis` a name. Once a hypothesis on growth fails nothing is simulated, and smoothness is unchecked.

    Raises:
        InvalidArgument: a name in assume is unknown.

    Warning:
        A probe searches for a counterexample; that it found none proves nothing. Growth is looked at at the beginning
        and half-way, and for the first action of the first path; an explosion that begins later, or is slower than that
        of |x|^1.3, is not seen.

    Example:
        >>> import torch
        >>> from sdewm.drifts import Linear
        >>> error = RepresentationError(diffusion=lambda t, x: torch.ones_like(x))
        >>> found = check_hypotheses(Linear(), error, lambda x: torch.exp(x).sum(-1), 1.0, TimeGrid(1.0, 8))
        >>> [h.name for h in found if h.status is Status.FAILS]
        ['loss growth']
    """
    taken = check_names(assume)
    if isinstance(system, CategoricalMap):
        return _assumed((Hypothesis(CONTINUOUS, Status.FAILS, NO_DERIVATIVE, declared=True),), taken)
    x, count = start_states(x0, system, PILOT if paths is None and not has_rows(x0) else paths)
    held = None if actions is None else tensor("actions", actions)
    problem = problem_of(system, error, loss, x, grid, held)
    check_apart(problem)
    found = _assumed(check_growth(problem), taken)
    if any(h.status is Status.FAILS for h in found):
        return found + tuple(Hypothesis(n, Status.UNCHECKED, "nothing was simulated") for n in NAMES[2::2])
    states = visited(problem, x, count, seed, held, superlinear(found))
    return found + _assumed(check_smoothness(problem, states), taken)


def visited(
    problem: Problem, x0: Tensor, paths: int, seed: int, actions: Tensor | None, tamed: bool
) -> list[tuple[float, Tensor]]:
    """States of a pilot run of the base, from the start on."""
    grid, count = problem.grid, min(paths, PILOT)
    if actions is not None and actions.ndim == 3:
        count = min(count, actions.shape[1])
    start = x0 if x0.ndim == 1 else x0[:count]
    steered = actions[:, :count] if actions is not None and actions.ndim == 3 else actions
    base = tame(problem.system, grid, x0=rows(start, 0, 1)) if tamed and not problem.discrete else problem.system
    indices = sorted({-(-grid.steps * k // LOOKS) for k in range(LOOKS + 1)})
    run = simulate_coupled({"x": base}, start, grid, count, seed, save=[grid.time(n) for n in indices], actions=steered)
    trajectory = run["x"]
    times = [float(n) if problem.discrete else grid.time(n) for n in indices]
    return list(zip(times, trajectory.states, strict=True))


def check_names(assume: Sequence[str]) -> tuple[str, ...]:
    """The names of hypotheses, checked.

    Raises:
        InvalidArgument: a name is unknown.
    """
    names = strings("assume", assume)
    for name in names:
        if name not in NAMES:
            raise InvalidArgument(f"assume must name hypotheses among {', '.join(map(repr, NAMES))}, got {name!r}.")
    return names


def refuse(found: Sequence[Hypothesis]) -> None:
    """Raise for the first hypothesis that fails.

    Raises:
        HypothesisFails: names it, and says how to go on all the same.
    """
    for h in found:
        if h.status is Status.FAILS:
            detail = h.detail.removeprefix(f"{h.name} fails: ").rstrip(".")
            way_out = "" if h.name == CONTINUOUS else f"; to go on all the same pass assume=({h.name!r},)"
            raise HypothesisFails(f"{h.name} fails: {detail}{way_out}.", h.name, h.declared)


def unchecked(found: Sequence[Hypothesis]) -> tuple[str, ...]:
    """What a reader must know: hypotheses that are neither declared nor probed."""
    return tuple(str(h) for h in found if h.status in (Status.UNCHECKED, Status.ASSUMED))


def _assumed(found: Sequence[Hypothesis], taken: Sequence[str]) -> tuple[Hypothesis, ...]:
    return tuple(
        replace(h, status=Status.ASSUMED, detail=f"taken on by the caller ({h.status.value}: {h.detail})")
        if h.name in taken
        else h
        for h in found
    )
