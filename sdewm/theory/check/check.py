"""Is a bound true on a system? A verdict from simulated pairs of paths."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...constant import Certified, Constant, joined
from ...dynamics.error import RepresentationError, check_eps
from ...dynamics.start import Start, check_actions, has_rows, rows, start_states
from ...dynamics.tamed import tame
from ...exceptions import InvalidArgument, NumericalFailure, Refused
from ...grid import TimeGrid
from ...hypothesis import facts_of
from ...stats.sequential import Comparison, compare_mean
from ...validation import TensorLike, integer, one_of
from ...validation import level as check_level
from ...verdict import Grade, Outcome, Verdict
from ..bounds.bound import CONSTANTS, Bound, Setting
from ..bounds.fourth_moment import FourthMoment
from ..bounds.weighted import Weighted
from ..constants.structural import certified_constants, certified_error
from .evidence import Evidence, described
from .pair import Pair, is_map
from .suprema import Seen, seen_constants

Array = NDArray[np.float64]

PATHS = 8192
VACUOUS = 100.0
_HUGE = 1e300
SCHEMES = ("auto", "euler", "tamed")
TAMED = "the drift grows faster than linearly: its steps are tamed, and it is these that are checked"
TAMED_AS_ASKED = "the steps are tamed, as asked"
UNDECLARED = (
    "that the drift does not grow faster than linearly is not declared (drift_facts): if it does, explicit steps have "
    "no usable moments, and no sample shows it"
)
MIXED = "paths differ in their starts or actions: all are used, in random order, and none is stopped for"
BOX = "constants are certified for a box, and that no path ever leaves it is not certified"


def check(
    bound: Bound,
    system: Any,
    error: RepresentationError,
    eps: float,
    x0: Start,
    grid: TimeGrid,
    paths: int | None = None,
    seed: int = 0,
    level: float = 0.99,
    sequential: bool = True,
    *,
    times: str | Sequence[float] = "final",
    constants: Mapping[str, Constant] | None = None,
    box: Any = None,
    points: int = 5,
    actions: TensorLike | None = None,
    dtype: torch.dtype | None = None,
    scheme: str = "auto",
    executor: Executor | None = None,
) -> Verdict:
    """Check a bound on e_t = x^ε_t − x⁰_t against simulated pairs of paths.

    The claim is D <= B(θ) with D = (E|e_t|^p)^(1/p) of the simulated steps, B the bound's discrete version, and θ its
    constants, suprema over all segments between the two paths. With D_lo <= D <= D_up at the level,

        holds      if D_up <= B(θ_lo), θ_lo the constants as seen between paths: the true ones are these or more;
        violated   if D_lo > B(θ_up), θ_up certified, and no hypothesis unchecked;
        otherwise  inconclusive, with the reason.

    D_lo is a betting limit, valid at any number of paths and for any tail. D_up is certified where certified constants
    bound the fourth moment of the error (`FourthMoment`), else it is that of the central limit theorem behind a check
    of the tail, and the verdict is graded asymptotic.

    Args:
        bound: one of `sdewm.theory.bounds`, or your own `Bound`.
        system: a `LatentSDE`, any torchsde SDE, or a `StepMap`.
        error, eps: the representation error and its size.
        x0, seed, actions, dtype, executor: as for `simulate_coupled`.
        paths: the most paths to use, by default 8192, or one for each row of x0.
        grid: time grid.
        level: confidence level of the verdict; of all times together where several are judged.
        sequential: whether to stop as soon as it is decided, which the limits allow for.
        times: "final", or grid times; the bound holds if it holds at all of them.
        constants: what else is known, by the names of `CONSTANTS`: a `Certified` one counts, an `Assumed` one does not.
        box: (lower, upper), each a number or (dim,): where the system's own constants are to be certified.
        points: points of each segment at which constants are sampled.
        scheme: "tamed" for tamed steps, "euler", or "auto", which tames a drift declared to grow faster than linearly.

    Returns:
        A `Verdict`, with `plot()`, `explain()`, and the numbers in `evidence`.

    Raises:
        InvalidArgument: an argument is wrong.
        Refused: the bound has no discrete version, or its constants are not seen between paths.

    Source: the betting limit is that of Waudby-Smith and Ramdas 2024, the certified one that of Wang and Ramdas 2023;
    their use on both sides of a bound is our own.

    Warning:
        "Holds" is about this system, start, error and horizon. It needs none of the bound's hypotheses and proves none.

    Example:
        >>> from sdewm.drifts import TanhNetwork
        >>> from sdewm.theory.bounds import LogNorm
        >>> error = RepresentationError(diffusion=lambda t, x: 0.5 + 0.4 * torch.sin(2 * x))
        >>> verdict = check(LogNorm(), TanhNetwork(dim=4, gain=0.4), error, 0.05, 0.6, TimeGrid(1.0, 32), paths=4096)
        >>> verdict.outcome.value
        'holds'
    """
    if not isinstance(bound, Bound):
        raise InvalidArgument(f"bound must be a Bound such as LogNorm(), got {bound!r}.")
    if not isinstance(error, RepresentationError):
        raise InvalidArgument(f"error must be a RepresentationError, got {type(error).__name__}.")
    if not isinstance(grid, TimeGrid):
        raise InvalidArgument(f"grid must be a TimeGrid, got {type(grid).__name__}.")
    integer("points", points, least=3)
    steps = _steps(times, grid)
    level = check_level(level)
    x, paths = start_states(x0, system, PATHS if paths is None and not has_rows(x0) else paths, dtype)
    if isinstance(bound, Weighted) and len(bound.weight) != x.shape[-1]:
        raise InvalidArgument(f"bound must have a weight for dimension {x.shape[-1]}, got {len(bound.weight)}.")
    tamed, flags = _scheme(system, grid, scheme, x)
    if not check_eps(eps, x.dtype) < 1e100:
        raise InvalidArgument(f"eps must be below 1e100, so that its powers are numbers, got {eps!r}.")
    pair = Pair(tamed, error, float(eps), x, grid, paths, seed, check_actions(actions, grid, paths))
    if is_map(system):
        _probe_map(pair)
    if not pair.alike:
        # Their laws differ, so that all are needed, in an order that nobody has chosen.
        pair, sequential, flags = pair.shuffled(), False, (*flags, MIXED)
    # What certifies the fourth moment is a theorem on Euler's steps of this drift, on all states, and on |e|² itself.
    plain = type(bound).observed is Bound.observed and bound.power == 2.0 and not bound.running
    certifiable = plain and box is None and tamed is system and not is_map(system)
    try:
        return _checked(bound, pair, steps, constants, box, points, level, sequential, certifiable, flags, executor)
    except NumericalFailure as failure:
        return Verdict(Outcome.NUMERICAL_FAILURE, Grade.CERTIFIED, f"{bound.name}: {failure}", level=level, flags=flags)


def _checked(
    bound: Bound,
    pair: Pair,
    steps: tuple[int, ...],
    constants: Mapping[str, Constant] | None,
    box: Any,
    points: int,
    level: float,
    sequential: bool,
    certifiable: bool,
    flags: tuple[str, ...],
    executor: Executor | None,
) -> Verdict:
    weight = bound if isinstance(bound, Weighted) else None
    names = (*bound.constants, *bound.optional)
    given = constants if isinstance(constants, Mapping) else {}
    seen = seen_constants(pair, names, {*bound.known, *given}, weight, points)
    setting = pair.setting(seen.random_base, seen.additive_error)
    error, alpha = pair.error, (1.0 - level) / len(steps)
    parts = (error.initial is not None, error.drift is not None, error.diffusion is not None)
    refused = bound.refuses(setting, *parts)
    if refused is not None:
        return Verdict(Outcome.HYPOTHESIS_FAILS, Grade.CERTIFIED, f"{bound.name}: {refused}", level=level, flags=flags)
    if box is not None and (left := _left(box, seen)):
        return Verdict(Outcome.HYPOTHESIS_FAILS, Grade.CERTIFIED, f"{bound.name}: {left}", level=level)
    known = _known(bound, pair, seen, constants, box)
    lowest, highest = _lowest(known, bound), _highest(known, bound)
    least = bound.discrete(lowest, setting)
    most = None if highest is None else bound.discrete(highest, setting)
    comparisons = _compare(
        bound, pair, steps, known if certifiable else {}, setting, least, most, alpha, sequential, executor
    )
    judged = tuple(pair.grid.time(n) for n in steps)
    continuous = _continuous(bound, lowest, setting)
    curve = seen.times, seen.curve(bound.power, bound.running)
    withheld = _withheld(bound, pair, seen, most, box)
    evidence = Evidence(
        bound, setting, known, judged, comparisons, least, most, continuous, curve, certifiable, withheld
    )
    return _verdict(evidence, level, flags)


def _probe_map(pair: Pair) -> None:
    """One step of two paths, so that what somebody's map does not take is said in a sentence."""
    x = rows(pair.x0, 0, min(pair.paths, 2))
    a = None if pair.actions is None else rows(pair.actions[0].to(x), 0, len(x))
    try:
        with torch.no_grad():
            pair.system.mean(0, x, a), pair.system.scale(0, x, a)
    except (RuntimeError, TypeError, ValueError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise InvalidArgument(
            f"system does not take states of shape {tuple(x.shape)} and {x.dtype}: {first_line}; pass x0 and "
            f"dtype as its mean and scale want them."
        ) from error


def _withheld(bound: Bound, pair: Pair, seen: Seen, most: Array | None, box: Any) -> str | None:
    """Why a lower limit above the bound would not mean that it is violated, or None."""
    unchecked = [name for name in bound.hypotheses if name not in bound.implied]
    if unchecked:
        return f"hypotheses that are not certified: {', '.join(unchecked)}"
    if box is not None:
        return BOX
    size = float(np.linalg.norm(np.maximum(np.abs(seen.lowest), np.abs(seen.highest))))
    rounding = 64.0 * float(torch.finfo(pair.x0.dtype).eps) * size * math.sqrt(pair.grid.steps)
    if most is not None and float(most[-1]) < rounding:
        return f"the bound is below what rounding of the states may amount to, {rounding:.2g}"
    return None


def _steps(times: str | Sequence[float], grid: TimeGrid) -> tuple[int, ...]:
    """The numbers of the steps that are judged, in order."""
    if isinstance(times, str):
        one_of("times", times, ("final",))
        return (grid.steps,)
    if not isinstance(times, Iterable):
        raise InvalidArgument(f"times must be 'final' or grid times, got {times!r}.")
    steps = sorted({grid.index(t) for t in times})
    if not steps or steps[0] == 0:
        raise InvalidArgument(
            f"times must be 'final' or grid times after the start, which is known, got {list(times)!r}."
        )
    return tuple(steps)


def _scheme(system: Any, grid: TimeGrid, scheme: str, x: Tensor) -> tuple[Any, tuple[str, ...]]:
    """The system, tamed where that is wanted or its drift is declared to need it."""
    one_of("scheme", scheme, SCHEMES)
    if is_map(system):
        if scheme == "tamed":
            raise Refused("scheme='tamed' is a way to discretise a differential equation; a StepMap is a step already.")
        return system, ()
    facts = facts_of(system, "drift_facts")
    superlinear = facts is not None and facts.growth != "linear"
    if scheme == "tamed" or (scheme == "auto" and superlinear):
        if getattr(system, "sde_type", "ito") != "ito":
            raise Refused("system is Stratonovich: how the error is to be added is not determined; use its Itô form.")
        start = x[None].expand(2, -1) if x.ndim == 1 else x[:2]
        return tame(system, grid, x0=start), (TAMED if superlinear else TAMED_AS_ASKED,)
    return system, () if facts is not None or scheme == "euler" else (UNDECLARED,)


def _left(box: Any, seen: Seen) -> str | None:
    """Whether the paths that were looked at leave the box."""
    try:
        lower, upper = (np.broadcast_to(np.asarray(side, dtype=np.float64), seen.lowest.shape) for side in box)
    except (TypeError, ValueError) as error:
        shape = seen.lowest.shape
        raise InvalidArgument(f"box must be (lower, upper), each a number or of shape {shape}, got {box!r}.") from error
    if (lower > upper).any():
        raise InvalidArgument(f"box must have lower sides at most its upper ones, got {box!r}.")
    outside = (seen.lowest < lower) | (seen.highest > upper)
    if not outside.any():
        return None
    i = int(outside.argmax())
    return (
        f"the paths leave the box: coordinate {i} runs from {seen.lowest[i]:.4g} to {seen.highest[i]:.4g}, the box "
        f"from {lower[i]:.4g} to {upper[i]:.4g}; take a larger one"
    )


def _known(bound: Bound, pair: Pair, seen: Seen, given: Mapping[str, Constant] | None, box: Any) -> dict[str, Constant]:
    """Each constant as it was seen, with what is certified of it."""
    if given is not None and not isinstance(given, Mapping):
        raise InvalidArgument(f"constants must map names to Certified, Sampled or Assumed, got {given!r}.")
    given = dict(given or {})
    for name, constant in given.items():
        if name not in CONSTANTS or not isinstance(constant, Constant):
            raise InvalidArgument(
                f"constants must map names to Certified, Sampled or Assumed, got {name!r}: {constant!r}; the names are "
                f"{', '.join(CONSTANTS)}."
            )
    own: dict[str, Constant] = {}
    if not is_map(pair.system):
        own |= certified_constants(pair.system, box)
    own |= {**certified_error(pair.error), **bound.known}
    for name, constant in given.items():
        mine = own.get(name)
        if isinstance(constant, Certified) and isinstance(mine, Certified):
            own[name] = min(constant, mine, key=float)
        elif isinstance(constant, Certified) or (mine is None and name not in seen.constants):
            own[name] = constant
    result: dict[str, Constant] = {}
    for name in (*bound.constants, *bound.optional):
        sampled, other = seen.constants.get(name), own.get(name)
        if sampled is None:
            assert other is not None  # what is neither seen nor given was refused when it was looked for
            result[name] = other
        else:
            result[name] = joined(sampled, other if isinstance(other, Certified) else None)
    # What certifies the fourth moment, whatever the bound itself asks for.
    for name in FourthMoment.constants:
        if name not in result and isinstance(other := own.get(name), Certified):
            result[name] = other
    return result


def _lowest(known: Mapping[str, Constant], bound: Bound) -> dict[str, float]:
    """The constants at what they reach."""
    values = {name: known[name].at_least for name in (*bound.constants, *bound.optional)}
    for name in bound.constants:
        if values[name] is None:
            raise InvalidArgument(f"constants[{name!r}] has no value that is reached: {known[name]}.")
    return {name: value for name, value in values.items() if value is not None}


def _highest(known: Mapping[str, Constant], bound: Bound) -> dict[str, float] | None:
    """The constants at what they do not exceed; None where a needed one is not certified."""
    values = {name: known[name].at_most for name in (*bound.constants, *bound.optional)}
    if any(values[name] is None for name in bound.constants):
        return None
    return {name: value for name, value in values.items() if value is not None}


def _fourth_moment(known: Mapping[str, Constant], setting: Setting, n: int) -> float | None:
    """A certified bound on E|e_n|⁴, or None."""
    highest = {name: known[name].at_most for name in FourthMoment.constants if name in known}
    if len(highest) < len(FourthMoment.constants) or any(v is None or not math.isfinite(v) for v in highest.values()):
        return None
    value = float(FourthMoment().discrete({k: float(v) for k, v in highest.items() if v is not None}, setting)[n]) ** 4
    return value if 0.0 < value < math.inf else None


def _compare(
    bound: Bound,
    pair: Pair,
    steps: tuple[int, ...],
    certifying: Mapping[str, Constant],
    setting: Setting,
    least: Array,
    most: Array | None,
    alpha: float,
    sequential: bool,
    executor: Executor | None,
) -> tuple[Comparison, ...]:
    source, kept = pair.observed(bound, steps, executor), list[Array]()

    def blocks(i: int) -> Iterator[Array]:
        # Later times look at the same paths: each block is simulated once, and only if somebody needs it.
        for k in range(-(-pair.paths // 4096)):
            if k == len(kept):
                kept.append(next(source))
            yield kept[k][i]

    result = []
    for i, n in enumerate(steps):
        fourth = _fourth_moment(certifying, setting, n)
        with np.errstate(over="ignore"):
            low, high = least[n] ** bound.power, math.inf if most is None else most[n] ** bound.power
        # A bound beyond floating point numbers is one that every error is below.
        sides: dict[str, Any] = {"at_least": min(float(low), _HUGE), "at_most": float(high)}
        sides["at_most"] = max(sides["at_most"], sides["at_least"])
        # Where constants certify the variance that is tried first, and both tries share the level.
        share = alpha if fourth is None else alpha / 2.0
        options = {**sides, "level": 1.0 - share, "sequential": sequential}
        found = compare_mean(blocks(i), **options, second_moment=fourth)
        if fourth is not None and found.outcome is Outcome.INCONCLUSIVE:
            found = compare_mean(blocks(i), **options)
        result.append(found)
    return tuple(result)


def _continuous(bound: Bound, numbers: Mapping[str, float], setting: Setting) -> Array | None:
    try:
        return bound.continuous(numbers, setting)
    except Refused:
        return None


def _verdict(evidence: Evidence, level: float, flags: tuple[str, ...]) -> Verdict:
    """All times together: holds if it holds at all, violated if it is at one."""
    worst = evidence.worst
    c, t, bound = evidence.comparisons[worst], evidence.times[worst], evidence.bound
    outcome = c.outcome
    if outcome is Outcome.VIOLATED and evidence.withheld is not None:
        outcome = Outcome.INCONCLUSIVE
    n = evidence.setting.grid.index(t)
    value, low, high = (evidence.size(v) for v in (c.estimate.value, c.lower, c.upper))
    least = float(evidence.least[n])
    most = math.inf if evidence.most is None else float(evidence.most[n])
    sign = {Outcome.HOLDS: "<=", Outcome.VIOLATED: ">"}.get(outcome, "beside")
    limit = most if outcome is Outcome.VIOLATED else least
    ratio = f" ({limit / value:.3g}x)" if value > 0.0 and math.isfinite(limit) else ""
    what = evidence.quantity
    reason = f"{bound.name}: {what} {value:.4g} [{low:.4g}, {high:.4g}] {sign} bound {limit:.4g} at t = {t:g}{ratio}"
    reason += "".join(f"; {name} {described(evidence.constants[name])}" for name in bound.constants)
    reason += f"; {c.n} paths"
    if outcome is Outcome.INCONCLUSIVE:
        reason += f"; {evidence.explain()}"
    if least > VACUOUS * high:
        flags = (*flags, f"vacuous: the bound is more than {VACUOUS:g} times the error")
    if not bound.theorem:
        flags = (*flags, "there is no theorem behind this bound")
    margin = (least - high) if outcome is Outcome.HOLDS else (low - most if outcome is Outcome.VIOLATED else None)
    # Rows of unlike laws come in random order, and what is staked on them is fair on average only.
    grade = Grade.ASYMPTOTIC if MIXED in flags else c.grade
    return Verdict(outcome, grade, reason, (low, high), (0.0, limit), margin, level, flags, evidence)
