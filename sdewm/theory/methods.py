"""Ways to estimate the coefficients of an expansion with fewer paths, and the choice among them."""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..dynamics.martingale import Accompanied, Increments
from ..dynamics.noise import INDEPENDENT, Antithetic, Noise
from ..dynamics.sobol import DIMENSIONS, Sobol
from ..dynamics.step_map import StepMap
from ..dynamics.total_noise import TotalNoise, hermite
from ..dynamics.variation import Terms
from ..estimate import Estimate, Moments, student_bounds
from ..exceptions import InvalidArgument, NumericalFailure
from ..grid import TimeGrid
from ..stats.controls import controlled, select
from ..stats.multilevel import ladder, telescoped
from .effect import Effect
from .martingale import Control, Seen, fitted, more, paths_for, recorded
from .method import METHODS, PRICES, Method
from .plan import PILOT_POINTS, Plan

Array = NDArray[np.float64]

WORK = 1_000_000_000  # path-steps, a few minutes
LEVEL = 0.95
# Below this part of its pathwise root mean square a value counts as near zero.
NEAR_ZERO = 0.1
_PILOT = 1024
_PILOT_LEVEL = 512
# Replicates: the fewest, those of a pilot or of a given number of paths, and the most.
_REPLICATES = (16, 64, 256)
# Their number over the squared skewness of one: what is left of it in the mean is small, and intervals correct for it.
_PER_SKEWNESS = 10.0
_LEAST_POINTS = 4
_POINTS = (16, 1 << 15)
_LEAST = 1024  # paths: fewer have no central limit theorem to speak of
_ROUNDS = 4
# A run is planned to be a little too long, so that it seldom has to be repeated.
_MARGIN = 0.85


class Sample(NamedTuple):
    """P, Q, S, their corrections where there are any, and what they cost."""

    coefficients: tuple[Estimate, ...]
    corrections: tuple[Estimate, ...]
    paths: int
    path_steps: int

    @property
    def targets(self) -> tuple[Estimate, Estimate]:
        """P and Q + S/2."""
        return _targets(self.coefficients)

    def method(self, name: str, reason: str, steps: int) -> Method:
        """What there is to say about it where there was no choice."""
        p, c = self.targets
        bias = None
        if self.corrections:
            moved = _targets(self.corrections)
            bias = abs(moved[0].value), abs(moved[1].value)
        units = min(p.n, c.n)
        return Method(name, reason, self.paths, units, steps, self.path_steps, self.path_steps, bias=bias)


def _targets(of: Sequence[Estimate]) -> tuple[Estimate, Estimate]:
    p, q, s = of
    return p, q + 0.5 * s


def coefficient_columns(problem: Effect, states: Mapping[str, Any]) -> list[Any]:
    """∇ℓᵀy₁, ∇ℓᵀy₂, y₁ᵀ∇²ℓ y₁, less their martingales if there are any, and the controls of a member "noise"."""
    controls = hermite(states["noise"]) if "noise" in states else []
    values = problem.coefficients(states["varied"])
    if isinstance(states["varied"], Accompanied):
        values = [value - known for value, known in zip(values, states["varied"].martingales.unbind(1), strict=True)]
    return [*values, *controls]


def steps_of_a_path(problem: Effect) -> int:
    """Number of steps of one path with its coarse twin."""
    coarse = problem.grid.steps // problem.extrapolate if problem.extrapolate > 1 else 0
    return problem.grid.steps + coarse


def sample(problem: Effect, terms: Terms, controls: bool = False, control: Control | None = None) -> Sample:
    """One run with the problem's own paths and noise, adjusted by the controls or martingales if they are wanted."""
    members = _members(problem, terms, controls) if control is None else {"varied": control.member(problem, terms)}
    moments = problem.moments(members, partial(coefficient_columns, problem))
    work = problem.paths * steps_of_a_path(problem)
    estimates = moments.estimates() if not controls else _adjusted(moments, problem.extrapolate > 1)
    return Sample(estimates[:3], estimates[3:], problem.paths, work)


def _members(problem: Effect, terms: Terms, controls: bool) -> dict[str, Any]:
    varied = problem.variations(terms)
    return {"varied": varied, "noise": TotalNoise(varied)} if controls else {"varied": varied}


def _adjusted(moments: Moments, extrapolated: bool) -> tuple[Estimate, ...]:
    # W_T is the same on both grids, so the controls have no corrections of their own, but for rounding.
    k = len(moments.mean) // 2 if extrapolated else len(moments.mean)
    outputs = [0, 1, 2, *((k, k + 1, k + 2) if extrapolated else ())]
    return controlled(select(moments, [*outputs, *range(3, k)]), k - 3)


def fixed(problem: Effect, terms: Terms, name: str) -> tuple[Effect, Sample]:
    """A method with the number of paths that was asked for; the problem comes back with its noise.

    Raises:
        InvalidArgument: the method needs a tolerance, or the paths do not suffice for it or differ in more than noise.
    """
    if name in ("auto", "martingale", "multilevel"):
        raise InvalidArgument(
            f"tolerance is needed for method={name!r}, which sets its own numbers of paths; give tolerance=0.01."
        )
    noise: Noise = INDEPENDENT
    if name == "antithetic":
        noise = Antithetic()
    if name == "sobol":
        points = 1 << max((problem.paths // _REPLICATES[1]).bit_length() - 1, 0)
        if points < _LEAST_POINTS:
            raise InvalidArgument(
                f"paths must be at least {_LEAST_POINTS * _REPLICATES[1]} for method='sobol', got {problem.paths}."
            )
        points = min(points, _POINTS[1])
        noise = Sobol(points)
        # Whole replicates, 64 to 127 of them.
        problem = replace(problem, paths=problem.paths // points * points)
    problem = replace(problem, noise=noise)
    return problem, sample(problem, terms, controls=name == "controls")


def levels_of(problem: Effect) -> tuple[Effect, ...]:
    """The problem on each grid of its ladder, from coarse to fine, each but the first with the next coarser twin."""
    factor = problem.extrapolate if problem.extrapolate > 1 else None
    rungs = ladder(problem.grid.steps, factor, least=4)
    result = []
    for i, steps in enumerate(rungs):
        by = steps // rungs[i - 1] if i else 1
        result.append(replace(problem, grid=TimeGrid(problem.grid.T, steps), extrapolate=by))
    return tuple(result)


def level_weights(levels: Sequence[Effect], extrapolated: bool) -> tuple[float, ...]:
    """Factors of the first level's values and of the corrections (X_h − X_kh)/(k − 1) of the others.

    The sum of all differences is that on the finest grid; extrapolation adds the finest correction once more.
    """
    weights = [1.0] + [level.extrapolate - 1.0 for level in levels[1:]]
    weights[-1] += 1.0 if extrapolated else 0.0
    return tuple(weights)


def _multilevel(levels: Sequence[Effect], terms: Terms, extrapolated: bool) -> Sample:
    samples = [sample(level, terms) for level in levels]
    parts = [samples[0].coefficients, *(each.corrections for each in samples[1:])]
    corrections = samples[-1].corrections if extrapolated else ()
    paths, work = (sum(each) for each in zip(*((s.paths, s.path_steps) for s in samples), strict=True))
    return Sample(telescoped(parts, level_weights(levels, extrapolated)), corrections, paths, work)


def reach(
    problem: Effect, terms: Terms, name: str, tolerance: float, work: int = WORK
) -> tuple[Effect, Sample, Method]:
    """Run a method, or the one that promises to need the least time, until the tolerance is reached.

    A pilot measures variances; each run is on fresh noise and replaces the one before, so that no interval is chosen
    from several by its looks except that a run whose intervals are too wide is repeated with more paths.

    Args:
        problem: the problem; its number of paths is not used.
        terms: terms of the variations.
        name: a method, or "auto".
        tolerance: half-width of the 95 % intervals of P and of Q + S/2, relative to the value, or to a tenth of the
            pathwise root mean square where that is more.
        work: cap on the path-steps of everything.

    Returns:
        The problem with the noise and paths of the last run, its sample, and what was done.

    Raises:
        InvalidArgument: the method is not available for this problem, or work does not suffice for the pilot.

    Warning:
        Numbers of paths come from variances that are measured on about a thousand paths: where rare paths dominate, the
        first run may be too short or too long. A run that is repeated because its interval was too wide makes the last
        interval slightly too short on average; measured coverage of 95 % intervals is 94 %.
    """
    _check_alike(problem)
    each = steps_of_a_path(problem)
    if work < 4 * _PILOT * each:
        raise InvalidArgument(f"work must be at least {4 * _PILOT * each} path-steps for the pilot, got {work}.")
    plans, allowed, rms, spent = _pilot(problem, terms, name, tolerance)
    predicted = {plan.name: plan.work(allowed) for plan in plans}
    weighted = {plan.name: predicted[plan.name] * PRICES[plan.name] for plan in plans}
    plan = min(plans, key=lambda p: weighted[p.name])
    reason = "as asked for"
    if name == "auto":
        others = ", ".join(f"{key} {predicted[key]:.2g}" for key in sorted(predicted, key=predicted.__getitem__))
        reason = f"the least predicted time; path-steps: {others}"
    grow = 1.0
    for attempt in range(_ROUNDS):
        ready, capped = _sized(problem, plan, allowed / grow, work - spent, attempt)
        extrapolated = problem.extrapolate > 1
        found = (
            _multilevel(ready, terms, extrapolated)
            if plan.levels
            else sample(ready[0], terms, plan.name == "controls", plan.control)
        )
        spent += found.path_steps
        half = np.array([_half(e) for e in found.targets])
        wide = tolerance * _scale(np.array([e.value for e in found.targets]), rms)
        left = work - spent
        if (half <= wide).all() or capped or left < 2 * found.path_steps or attempt == _ROUNDS - 1:
            break
        # More than what the run has shown to be missing.
        grow *= float(np.max(half / wide)) ** 2 * 1.3
    short = not bool((half <= wide).all())
    scale = _scale(np.array([e.value for e in found.targets]), rms)
    reached = tuple(float(h / s) if s > 0.0 else float(h) for h, s in zip(half, scale, strict=True))
    method = replace(
        found.method(plan.name, reason, problem.grid.steps),
        spent=spent,
        tolerance=tolerance,
        reached=(reached[0], reached[1]),
        predicted=predicted if name == "auto" else {},
        weighted=weighted if name == "auto" else {},
        short=short,
    )
    return replace(ready[-1], grid=problem.grid, extrapolate=problem.extrapolate, seed=problem.seed), found, method


def _check_alike(problem: Effect) -> None:
    many = problem.x0.ndim == 2 or (problem.actions is not None and problem.actions.ndim == 3)
    if many or getattr(problem.error.initial, "ndim", 0) == 2:
        raise InvalidArgument(
            "tolerance sets the number of paths itself, so x0, actions and the error's initial part must be the same "
            "for all paths; give one vector, or a number of paths."
        )


def _scale(values: Array, rms: Array) -> Array:
    return np.maximum(np.abs(values), NEAR_ZERO * rms)


def _allowed(values: Array, rms: Array, tolerance: float) -> Array:
    """Variances of P and Q + S/2 for which their intervals are planned to be narrow enough."""
    half = _MARGIN * tolerance * _scale(values, rms)
    return np.maximum((half / 1.96) ** 2, np.finfo(float).tiny)


def _pairs(rows: Tensor) -> Array:
    """P and Q + S/2 of every path, (paths, 2), from its coefficients in the first three columns."""
    both: Array = torch.stack((rows[:, 0], rows[:, 1] + 0.5 * rows[:, 2]), 1).double().numpy()
    return both


def _half(estimate: Estimate) -> float:
    low, high = estimate.interval(LEVEL)
    return (high - low) / 2.0


def _pilot(problem: Effect, terms: Terms, name: str, tolerance: float) -> tuple[list[Plan], Array, Array, int]:
    """What each method in question promises, allowed variances and root mean squares of P and Q + S/2, and the work.

    A pilot that costs more than what another method promises to need altogether is left out.
    """
    dim = int(problem.x0.shape[-1])
    asked: tuple[str, ...] = METHODS if name == "auto" else (name,)
    if not paths_for(1.0, dim, steps_of_a_path(problem)):
        if name == "martingale":
            raise InvalidArgument("method='martingale' needs fewer dimensions or steps; use method='auto'.")
        asked = tuple(each for each in asked if each != "martingale")
    each = steps_of_a_path(problem)
    pairs = replace(problem, noise=Antithetic(), paths=_PILOT, seed=_derived(problem.seed, "pilot"))
    members = _members(pairs, terms, True)
    if "martingale" in asked:
        members["varied"] = Increments(members["varied"])
    observe = partial(coefficient_columns, pairs)
    # What is recorded for martingales is what the other methods are measured on.
    seen = recorded(pairs, members, observe) if "martingale" in asked else None
    rows = pairs.paths_of_block(members, observe) if seen is None else seen.columns
    columns = rows.double().numpy()
    if not np.isfinite(columns).all():
        pairs.moments(_members(pairs, terms, True), observe)  # raises, and says where
    k = columns.shape[1] // 2 if problem.extrapolate > 1 else columns.shape[1]
    both = _pairs(rows)
    spent, cost = _PILOT * each, np.asarray(float(each))
    plans = []
    if "plain" in asked:
        plans.append(Plan("plain", both.var(0, ddof=1), cost))
    if "antithetic" in asked:
        plans.append(Plan("antithetic", both.reshape(-1, 2, 2).mean(1).var(0, ddof=1), 2.0 * cost))
    if "controls" in asked:
        adjusted = controlled(Moments.of(np.concatenate((both, columns[:, 3:k]), 1)), k - 3)
        plans.append(Plan("controls", np.array([e.standard_error**2 for e in adjusted]) * _PILOT, cost))
    rms = np.sqrt((both**2).mean(0))
    allowed = _allowed(both.mean(0), rms, tolerance)
    if seen is not None:
        plan, used = _pilot_martingale(problem, terms, seen, both.var(0, ddof=1), allowed)
        plans += [plan] if plan else []
        spent += used
        if name == "martingale" and plan is None:
            raise InvalidArgument("method='martingale' needs finite states; use method='auto'.")
    width = (k - 3) // 2
    least = min((plan.work(allowed) for plan in plans), default=math.inf)
    worth = least > PILOT_POINTS * _REPLICATES[1] * each
    if "sobol" in asked and (name != "auto" or (worth and width * problem.grid.steps <= DIMENSIONS)):
        plans.append(_pilot_sobol(problem, terms))
        spent += PILOT_POINTS * _REPLICATES[1] * each
    if "multilevel" in asked and (name != "auto" or worth):
        plan, used = _pilot_levels(problem, terms, name)
        plans += [plan] if plan else []
        spent += used
    return plans, allowed, rms, spent


def _pilot_martingale(
    problem: Effect, terms: Terms, seen: Seen, variances: Array, allowed: Array
) -> tuple[Plan | None, int]:
    """Controls that are fitted to the pilot, and to more paths where a plain run would take far more."""
    each = steps_of_a_path(problem)
    missing = paths_for(float((variances / allowed).max()), int(problem.x0.shape[-1]), each) - _PILOT
    further: list[Seen] = []
    if missing > 0:
        try:
            further = more(problem, terms, missing, _derived(problem.seed, "pilot martingale"))
        except NumericalFailure:
            return None, missing * each
    control = fitted(problem, [seen, *further], allowed)
    costs, used = np.asarray(float(each)), max(missing, 0) * each
    return (None if control is None else Plan("martingale", control.variances, costs, control=control)), used


def _pilot_sobol(problem: Effect, terms: Terms) -> Plan:
    """Variances of replicate means, and the fewer and larger replicates the less skewed these means are seen to be."""
    many, paths = _REPLICATES[1], PILOT_POINTS * _REPLICATES[1]
    ready = replace(problem, noise=Sobol(PILOT_POINTS), paths=paths, seed=_derived(problem.seed, "pilot sobol"))
    rows = ready.paths_of_block(_members(ready, terms, False), partial(coefficient_columns, ready))
    means = _pairs(rows).reshape(many, PILOT_POINTS, 2).mean(1)
    spread = means.std(0) + np.finfo(float).tiny
    skewness = float(np.abs((((means - means.mean(0)) / spread) ** 3).mean(0)).max())
    replicates = int(np.clip(math.ceil(_PER_SKEWNESS * skewness**2), _REPLICATES[0], _REPLICATES[2]))
    # Few and skewed replicates have wide intervals: that is part of the price.
    low, high = student_bounds(replicates - 1, LEVEL, skewness / replicates**0.5)
    price = ((high - low) / 2.0 / 1.96) ** 2
    costs = np.asarray(float(steps_of_a_path(problem)))
    variances = means.var(0, ddof=1) * PILOT_POINTS * price
    return Plan("sobol", variances, costs, replicates=replicates)


def _pilot_levels(problem: Effect, terms: Terms, name: str) -> tuple[Plan | None, int]:
    """The ladder of grids that promises the least work, among those that begin further up the whole ladder."""
    levels = () if isinstance(problem.system, StepMap) or problem.actions is not None else levels_of(problem)
    weights = level_weights(levels, problem.extrapolate > 1) if levels else ()
    costs = [float(steps_of_a_path(level)) for level in levels]
    best, fine = cast("Plan | None", None), np.zeros(2)
    above: list[Array] = []
    spent = 0
    for i in reversed(range(len(levels))):
        first = replace(levels[i], paths=_PILOT_LEVEL, seed=_derived(problem.seed, "pilot level", i))
        try:
            rows = first.paths_of_block(_members(first, terms, False), partial(coefficient_columns, first))
        except NumericalFailure:
            break  # steps as long as these are unstable
        spent += _PILOT_LEVEL * steps_of_a_path(first)
        values, moved = _pairs(rows[:, :3]), _pairs(rows[:, 3:]) if i else None
        here = values if moved is None else values - moved
        if not np.isfinite(here).all():
            break
        alone = here.var(0, ddof=1)
        own = (replace(levels[i], extrapolate=1), *levels[i + 1 :])
        if len(own) > 1:
            works = np.array([float(own[0].grid.steps), *costs[i + 1 :]])
            plan = Plan("multilevel", np.array([alone, *above]), works, levels=own)
            fine = fine if best is not None else 1e-4 * alone + np.finfo(float).tiny
            best = plan if best is None or plan.work(fine) < best.work(fine) else best
        if moved is not None:
            above.insert(0, weights[i] ** 2 * moved.var(0, ddof=1))
            if (moved.std(0) > 0.5 * here.std(0)).any():
                break  # the next grid is another process, and on a few paths perhaps an exploding one
    if best is None and name == "multilevel":
        raise InvalidArgument(
            "method='multilevel' needs a differential equation without actions, and coarser grids of at least 4 steps "
            f"on which it is stable, below the {problem.grid.steps} steps given; use method='auto'."
        )
    return best, spent


def _sized(problem: Effect, plan: Plan, allowed: Array, left: int, attempt: int) -> tuple[list[Effect], bool]:
    """The problem, or one a level, with its numbers of paths and fresh noise, and whether the cap has cut them."""
    wanted = plan.observations(allowed)
    share = min(1.0, left / max(float(np.sum(wanted * plan.costs)), 1.0))
    if plan.levels:
        counts = np.maximum(np.ceil(wanted * share), 2).astype(int)
        seeds = [_derived(problem.seed, "level", 64 * attempt + i) for i in range(len(counts))]
        each = zip(plan.levels, counts.tolist(), seeds, strict=True)
        return [replace(level, paths=n, seed=seed) for level, n, seed in each], share < 1.0
    seed = _derived(problem.seed, "run", attempt)
    n = max(math.floor(float(wanted) * share), _LEAST if plan.control is None else _LEAST // 2)
    if plan.name == "sobol":
        # Whole replicates, up to twice as many as planned, or more where they would be too large.
        points = min(max(1 << (n // plan.replicates).bit_length() - 1, _POINTS[0]), _POINTS[1])
        replicates = max(plan.replicates, math.ceil(n / points) if share == 1.0 else n // points)
        noise: Noise = Sobol(points)
        return [replace(problem, paths=replicates * points, noise=noise, seed=seed)], share < 1.0
    if plan.name == "antithetic":
        return [replace(problem, paths=2 * n, noise=Antithetic(), seed=seed)], share < 1.0
    return [replace(problem, paths=n, seed=seed)], share < 1.0


def _derived(seed: int, purpose: str, index: int = 0) -> int:
    """A seed of its own for each run, so that no two share their noise."""
    sequence = np.random.SeedSequence((zlib.crc32(purpose.encode()), index, seed))
    return int(sequence.generate_state(1, np.uint64)[0])
