"""The hypotheses on growth, decided without any simulation."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from ...dynamics.categorical import CONTINUOUS
from ...hypothesis import Facts, Hypothesis, Status, facts_of, worse
from .flow import explodes
from .problem import Problem, Rows, Timed, attempt
from .rays import Growth, directions, growth, outward_growth

SUPERLINEAR, TAME = "faster than linearly", "tame"
# The size at which an error must not outweigh the base: the expansion is about small ones.
_SMALL = 0.1


def check_growth(problem: Problem) -> tuple[Hypothesis, ...]:
    """The hypotheses on growth, without any simulation.

    Drift, diffusion and error must not let the moments explode, and the loss must grow at most like a power.
    """
    return (
        _continuous(problem),
        _drift_growth(problem),
        _diffusion_growth(problem),
        _error_growth(problem),
        _loss_growth(problem),
    )


def _continuous(problem: Problem) -> Hypothesis:
    """Whether the functions are functions: a sampler inside, as for categorical latents, gives other values."""
    rays = directions(len(problem.centre)).to(problem.centre)
    points = problem.centre + torch.cat((torch.zeros_like(rays[:1]), rays))
    labels = ("the mean", "the scale") if problem.discrete else ("the drift", "the diffusion")
    functions = list(zip(labels, (problem.drift, problem.diffusion), strict=True))
    functions += [(f"the error's {name}", function) for name, function, _ in problem.parts_of_the_error()]
    for name, function in functions:
        once, again = (attempt(partial(function, problem.times[0], points)) for _ in range(2))
        if once is not None and again is not None and not torch.equal(torch.nan_to_num(once), torch.nan_to_num(again)):
            detail = (
                f"{name} is random by itself, so that a sampler is inside (categorical latents, dropout); expand the "
                f"map of the probabilities or means, and hand the noise over as noise"
            )
            return Hypothesis(CONTINUOUS, Status.FAILS, detail)
    return Hypothesis(CONTINUOUS, Status.PROBED, "equal states give equal values")


def superlinear(found: Sequence[Hypothesis]) -> bool:
    """Whether the drift was declared or seen to grow faster than linearly, so that explicit steps are to be tamed."""
    return any(h.remedy == TAME for h in found)


def _seen(name: str, problem: Problem, function: Rows) -> tuple[Hypothesis | None, Growth]:
    """How a function grows, and what that settles: linear growth, or any power in a map of finitely many steps."""
    seen = attempt(partial(growth, function, problem.centre))
    if seen is None:
        return Hypothesis(name, Status.UNCHECKED, "it is not finite far from the start"), Growth(0.0, 0.0)
    if seen.linear:
        return Hypothesis(name, Status.PROBED, "linear on rays"), seen
    if problem.discrete:
        return Hypothesis(name, Status.UNCHECKED if seen.faster_than_any_power else Status.PROBED, f"{seen}"), seen
    return None, seen


def _drift_growth(problem: Problem) -> Hypothesis:
    name, facts = "drift growth", problem.facts("drift")
    if facts is not None and facts.growth != "polynomial":
        fails = facts.growth in ("explosive", "exponential")
        detail = {
            "linear": "declared to grow linearly",
            "one-sided": f"declared to grow {SUPERLINEAR}, but inwards",
            "exponential": "declared to grow faster than every power",
            "explosive": "declared explosive: solutions leave every bound in finite time",
        }[facts.growth]
        status = Status.FAILS if fails else Status.DECLARED
        return Hypothesis(name, status, detail, declared=True, remedy=TAME if facts.growth == "one-sided" else "")
    worst = Hypothesis(name, Status.PROBED, "linear on rays")
    for t in problem.times:
        drift = partial(problem.drift, t)
        settled, seen = _seen(name, problem, drift)
        if settled is not None:
            worst = worse(worst, settled)
            continue
        outward = attempt(partial(outward_growth, drift, None, problem.centre))
        if outward is not None and outward.quadratic:
            status = Status.UNCHECKED if seen.faster_than_any_power else Status.PROBED
            worst = worse(worst, Hypothesis(name, status, f"it grows {SUPERLINEAR}, but inwards ({seen})", remedy=TAME))
            continue
        when = explodes(drift, problem.centre, problem.grid.T, diffusion=partial(problem.diffusion, t))
        if when is not None:
            detail = f"begun near the start, its noise-free flow leaves every bound within {when:.3g} of time ({seen})"
            return Hypothesis(name, Status.FAILS, detail)
        detail = f"it grows {SUPERLINEAR}, and outwards on some rays ({seen})"
        worst = worse(worst, Hypothesis(name, Status.UNCHECKED, detail, remedy=TAME))
    return worst


def _diffusion_growth(problem: Problem) -> Hypothesis:
    name, facts = "diffusion growth", problem.facts("diffusion")
    declared = _declared(name, [facts])
    if declared is not None:
        return declared
    return _controlled(name, problem, [("diffusion", problem.diffusion)], problem.drift, problem.diffusion)


def _error_growth(problem: Problem) -> Hypothesis:
    name, parts = "error growth", problem.parts_of_the_error()
    if not parts:
        return Hypothesis(name, Status.DECLARED, "the error acts on the start only", declared=True)
    declared = _declared(name, [facts for _, _, facts in parts])
    if declared is not None:
        return declared
    functions = {label: function for label, function, _ in parts}

    def drift(t: float, x: Tensor) -> Tensor:
        base = problem.drift(t, x)
        return base + _SMALL * functions["drift"](t, x) if "drift" in functions else base

    def diffusion(t: float, x: Tensor) -> Tensor:
        base = problem.diffusion(t, x).flatten(1)
        if "diffusion" not in functions:
            return base
        return torch.cat((base, _SMALL * functions["diffusion"](t, x).flatten(1)), 1)

    return _controlled(name, problem, list(functions.items()), drift, diffusion)


def _declared(name: str, listed: Sequence[Facts | None]) -> Hypothesis | None:
    """What declarations settle: that all parts grow linearly, or that one grows faster than any power."""
    growths = [None if facts is None else facts.growth for facts in listed]
    if all(g == "linear" for g in growths):
        return Hypothesis(name, Status.DECLARED, "declared to grow linearly", declared=True)
    if any(g in ("exponential", "explosive") for g in growths):
        return Hypothesis(name, Status.FAILS, "declared to grow faster than every power", declared=True)
    return None


def _controlled(
    name: str, problem: Problem, parts: Sequence[tuple[str, Timed]], drift: Timed, diffusion: Timed
) -> Hypothesis:
    """Whether functions grow linearly, or are outweighed by a drift that pulls inwards."""
    worst = Hypothesis(name, Status.PROBED, "linear on rays")
    for t in problem.times:
        for _, function in parts:
            settled, seen = _seen(name, problem, partial(function, t))
            if settled is not None:
                worst = worse(worst, settled)
                continue
            outward = attempt(partial(outward_growth, partial(drift, t), partial(diffusion, t), problem.centre))
            if outward is None:
                worst = worse(worst, Hypothesis(name, Status.UNCHECKED, f"{seen}, and not finite far from the start"))
                continue
            if not outward.quadratic:
                detail = f"x·f + (3/2)|g|² is not bounded by 1 + |x|², so that fourth moments may not exist ({seen})"
                return Hypothesis(name, Status.FAILS, detail)
            worst = worse(worst, Hypothesis(name, Status.PROBED, f"{seen}, outweighed by the drift"))
    return worst


def _loss_growth(problem: Problem) -> Hypothesis:
    name, facts = "loss growth", facts_of(problem.loss)
    if facts is not None:
        if facts.growth in ("linear", "polynomial", "one-sided"):
            return Hypothesis(name, Status.DECLARED, f"declared {facts.growth}", declared=True)
        detail = "declared to grow faster than every power, so that its mean and its remainder may be infinite"
        return Hypothesis(name, Status.FAILS, detail, declared=True)
    seen = attempt(partial(growth, problem.loss, problem.centre))
    if seen is None:
        return Hypothesis(name, Status.UNCHECKED, "it is not finite far from the start")
    if seen.faster_than_any_power:
        detail = f"it grows {seen}: its mean may be infinite although every sample mean is finite"
        return Hypothesis(name, Status.FAILS, detail)
    return Hypothesis(name, Status.PROBED, str(seen))
