"""Bounds beside simulated errors: the work that the claims on bounds and the table of tightness share."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdewm import RepresentationError, TimeGrid, tame
from sdewm.claims import Cell, Result
from sdewm.constant import Certified, Constant
from sdewm.drifts import DoubleWell, Linear, TanhNetwork
from sdewm.estimate import Moments
from sdewm.jacobian.hull import Hull
from sdewm.jacobian.rounding import UNIT, spectral_bounds
from sdewm.run import Record
from sdewm.stats.sequential import Comparison, compare_mean
from sdewm.theory.bounds import Bound, FourthMoment, GronwallFrobenius, GronwallSpectral, LogNorm, Setting, Supremum
from sdewm.theory.bounds import Weighted as WeightedBound
from sdewm.theory.check import seen_constants
from sdewm.theory.check.pair import Pair
from sdewm.theory.constants import Weight, certified_constants, certify_weight, hull_of, search_weight
from sdewm.verdict import Grade, Outcome, Verdict

from ..kit import at_least_paths

Array = NDArray[np.float64]
Curve = Callable[[Mapping[str, float], Setting], Array]

EPS, STEPS, START = 0.05, 64, 0.6  # steps a unit of time
FROBENIUS, SPECTRAL, LOG_NORM, WEIGHTED, SUPREMUM = "Frobenius", "spectral", "log-norm", "weighted", "supremum"
BOUNDS = (FROBENIUS, SPECTRAL, LOG_NORM, WEIGHTED, SUPREMUM)
# A judgement looks at some dozens of numbers; each side of each is wrong with half of this probability.
ALPHA = 1e-4
SHOWN = 0.95
CONSTANT = "the error is a constant"

S1, S2, S3, S3_HIGH = "S1, non-normal", "S2, double well", "S3, gain 0.4", "S3, gain 1.2"
NETWORKS = ("network, n = 4", "network, n = 8", "network, n = 12")
ROTATING, SYMMETRIC, NOISY = "rotation", "symmetric", "multiplicative noise"
INITIAL, BOTH, SHARED, MOSTLY = "initial", "drift and diffusion", "initial and diffusion", "drift, some diffusion"


def non_normal(coupling: float = 10.0) -> Linear:
    """S1: dx = [[−1, c], [0, −1.5]] x dt + 0.3 x dB¹ + 0.5 e₂ dB²."""
    columns = torch.stack((0.3 * torch.eye(2), torch.zeros(2, 2))).double()
    drift = torch.tensor([[-1.0, coupling], [0.0, -1.5]], dtype=torch.float64)
    return Linear(drift, columns, diffusion_offset=torch.tensor([[0.0, 0.0], [0.0, 0.5]], dtype=torch.float64))


def normal(rates: Sequence[float], turns: Sequence[float], noise: float) -> Linear:
    """Planes that contract and turn, dx = A x dt + (noise x + 0.3) dB with one B."""
    blocks = [torch.tensor([[-r, w], [-w, -r]], dtype=torch.float64) for r, w in zip(rates, turns, strict=True)]
    columns = noise * torch.eye(2 * len(rates), dtype=torch.float64)[None]
    return Linear(torch.block_diag(*blocks), columns, diffusion_offset=0.3)


SYSTEMS: Mapping[str, Callable[[], Any]] = {
    S1: non_normal,
    S2: partial(DoubleWell, 0.5, 0.3),
    S3: partial(TanhNetwork, 8, 0.4, 0),
    S3_HIGH: partial(TanhNetwork, 8, 1.2, 0),
    **{name: partial(TanhNetwork, n, 0.8, n) for name, n in zip(NETWORKS, (4, 8, 12), strict=True)},
    ROTATING: partial(normal, (1.0, 1.04), (2.0, 2.0), 0.05),
    SYMMETRIC: partial(normal, (1.0, 1.02), (0.0, 0.0), 0.2),
    NOISY: partial(normal, (1.0, 1.02), (0.0, 0.0), 0.3),
}


class Parts(NamedTuple):
    """|η|, |σ| and (Σ|σ̄_l|²)^½ of an error."""

    initial: float
    drift: float
    diffusion: float


ERRORS: Mapping[str, Parts] = {
    INITIAL: Parts(0.2, 0.0, 0.0),  # 0.01 at ε = 0.05
    BOTH: Parts(0.0, 1.0, 0.5),
    SHARED: Parts(1.0, 0.0, 1.0),
    MOSTLY: Parts(0.0, 1.0, 0.2),
}


def error_of(parts: Parts, dim: int, columns: int, name: str) -> tuple[RepresentationError, Array, Array]:
    """An error that is the same everywhere, all directions alike, with its σ (dim,) and σ̄ (dim, columns)."""
    unit = np.full(dim, dim**-0.5)
    # The start of S1 is off in the coordinate that feeds the other.
    start = np.array([0.0, 1.0]) if name == S1 else unit
    sigma = parts.drift * unit
    sigma_bar = parts.diffusion * (unit[:, None] if columns == 1 else np.diag(unit))
    error = RepresentationError(
        drift=partial(_everywhere, torch.from_numpy(sigma)) if parts.drift else None,
        diffusion=partial(_everywhere, torch.from_numpy(sigma_bar)) if parts.diffusion else None,
        initial=torch.from_numpy(parts.initial * start) if parts.initial else None,
    )
    return error, sigma, sigma_bar


def _everywhere(value: Tensor, t: Tensor, x: Tensor) -> Tensor:
    if value.ndim == 2 and len(value) == value.shape[1]:
        value = value.diagonal()  # one noise a coordinate
    return value.to(x).expand(len(x), *value.shape)


@final
@dataclass(frozen=True)
class Rule:
    """A curve that is held against simulated errors: a bound, or a wrong one.

    Attributes:
        constants: what it depends on, increasing in each.
        optional: what makes it smaller, where it is known.
        curve: (constants, setting) to (steps + 1,).
        running: whether it bounds the largest error so far.
    """

    constants: tuple[str, ...]
    curve: Curve
    optional: tuple[str, ...] = ()
    running: bool = False


Extra = Callable[[Array, Array], Mapping[str, Rule]]


def rule_of(bound: Bound) -> Rule:
    """A bound's version for Euler steps."""
    return Rule(bound.constants, bound.discrete, bound.optional, bound.running)


def cell(
    system: str,
    errors: Sequence[str],
    rules: Sequence[str],
    scale: float,
    seed: int,
    *,
    T: float = 4.0,
    judged: Sequence[float] = (1.0, 2.0, 4.0),
    paths: int = 4096,
) -> Cell:
    """The work for one system."""
    settings = {"system": system, "errors": list(errors), "rules": list(rules), "T": T, "steps a unit": STEPS}
    settings |= {"judged": list(judged), "eps": EPS, "paths": at_least_paths(paths * scale, 1024)}
    cost = 0.5 * scale * len(errors) + (5.0 if system == NETWORKS[-1] and WEIGHTED in rules else 0.5)
    return Cell("bounds", settings, seed, cost=cost)


def beside(work: Cell, extra: Extra) -> Result:
    """Simulates each error of a cell, and evaluates each rule at certified constants, from both sides.

    Args:
        work: made by `cell`.
        extra: further rules by name, for an error with these σ and σ̄.
    """
    s = work.settings
    grid = TimeGrid(s["T"], int(s["T"] * s["steps a unit"]))
    system = SYSTEMS[s["system"]]()
    tamed = s["system"] == S2
    dim, columns = system.dim, system.noise_dim if system.noise_type == "general" else system.dim
    known = {} if tamed else {**certified_constants(system), "step_norm": step_norm(system, grid.h)}
    rules = {FROBENIUS: rule_of(GronwallFrobenius()), SPECTRAL: rule_of(GronwallSpectral())}
    rules |= {LOG_NORM: rule_of(LogNorm()), SUPREMUM: rule_of(Supremum())}
    weights = [] if tamed or WEIGHTED not in s["rules"] else family(hull_of(system))
    values: dict[str, Any] = {"flags": ["tamed steps, constants as sampled"] if tamed else []}
    if weights:
        least = min(weights, key=lambda w: w.nu.value)
        values |= {"nu": least.nu.value, "condition": least.condition, "weights": [w.condition for w in weights]}
    if tamed:
        # In one dimension all weights are the same.
        system, rules[WEIGHTED] = tame(system, grid), rule_of(WeightedBound(np.eye(1)))
    x0 = torch.full((dim,), START, dtype=torch.float64)
    arrays: dict[str, Array] = {"times": np.arange(1, int(4.0 * s["T"]) + 1) / 4.0}
    at = [grid.index(float(t)) for t in arrays["times"]]
    for name in s["errors"]:
        error, sigma, sigma_bar = error_of(ERRORS[name], dim, columns, s["system"])
        pair = Pair(system, error, s["eps"], x0, grid, s["paths"], work.seed)
        constants: dict[str, Constant] = {**known, **error_constants(sigma, sigma_bar)}
        rules |= extra(sigma, sigma_bar)
        if weights:
            own = LogNorm()
            rules[WEIGHTED] = Rule(own.constants, partial(least_of, weights, sigma, sigma_bar), own.optional)
        if tamed:
            names = {n for rule in s["rules"] for n in (*rules[rule].constants, *rules[rule].optional)}
            constants = dict(seen_constants(pair, sorted(names), weight=WeightedBound(np.eye(1))).constants)
        setting = pair.setting(True, True)
        values[name] = {n: str(c) for n, c in constants.items()}
        moment = fourth_moment(constants, weights, sigma, sigma_bar, setting)
        for key, array in simulated(pair, moment, s["judged"], arrays["times"]).items():
            arrays[f"{name}, {key}"] = array
        found = {rule: curves(rules[rule], constants, setting) for rule in s["rules"]}
        for rule, sides in found.items():
            arrays[f"{name}, {rule}"] = np.stack([side[at] for side in sides])
        if weights and LOG_NORM in found:
            lower = found[WEIGHTED][0] < found[LOG_NORM][0]
            values[f"{name}, crossing"] = grid.time(int(lower.argmax())) if lower.any() else math.inf
    return Result(values, arrays)


def family(hull: Hull, parts: Sequence[float] = (0.25, 0.5, 0.75)) -> list[Weight]:
    """A weight M with a small ν, and some between it and I, M + aI, whose condition numbers are powers of that of M.

    The smaller ν has the larger condition number, which the bound pays at the start: which weight is best depends on
    the time.
    """
    found = search_weight(hull, iterations=10)
    values = np.linalg.eigvalsh(found.matrix)
    matrices = []
    for part in parts if found.condition > 1.0 + 1e-6 else ():
        target = float(values[-1] / values[0]) ** part
        matrices.append(found.matrix + (values[-1] - target * values[0]) / (target - 1.0) * np.eye(hull.dim))
    return [*(certify_weight(m, hull) for m in matrices), found]


def weighted_curve(weight: Weight, sigma: Array, sigma_bar: Array, setting: Setting) -> Array:
    """The bound in the metric of one weight, with what is certified of it, for a constant error."""
    numbers = {name: c.value for name, c in weighted_constants(weight, sigma, sigma_bar).items()}
    return WeightedBound(weight.matrix).discrete(numbers, setting)


def least_of(
    weights: Sequence[Weight], sigma: Array, sigma_bar: Array, constants: Mapping[str, float], setting: Setting
) -> Array:
    """The least of the log-norm bound, that of the weight I, and the bounds of some weights, at each time."""
    found = [weighted_curve(weight, sigma, sigma_bar, setting) for weight in weights]
    return np.asarray(np.min([LogNorm().discrete(constants, setting), *found], axis=0))


def weighted_constants(weight: Weight, sigma: Array, sigma_bar: Array) -> dict[str, Certified]:
    """The constants of the bound in the metric of a weight; a bound of these numbers, not of the least ones."""
    bound = WeightedBound(weight.matrix)
    sizes = error_constants(float(bound.norms(sigma[None])[0]), float(bound.norms(sigma_bar[None])[0]))
    found = {f"weighted_{name}": size for name, size in sizes.items()}
    return {
        **found,
        "weighted_rate": weight.nu,
        "weighted_diffusion": weight.diffusion,
        "weighted_spectral": weight.spectral,
    }


def fourth_moment(
    constants: Mapping[str, Constant], weights: Sequence[Weight], sigma: Array, sigma_bar: Array, setting: Setting
) -> Array:
    """A certified bound on E|e|⁴, (steps + 1,); infinite where there is none.

    y = M^½ x turns the metric of a weight into the Euclidean one, so that `FourthMoment` bounds E|e|_M⁴ by the weight's
    constants, and E|e|⁴ <= E|e|_M⁴ / λ_min(M)². ν serves as the log-norm of the drift alone, to which noise only adds.
    """
    best = curves(rule_of(FourthMoment()), constants, setting)[1]
    for weight in weights:
        own = weighted_constants(weight, sigma, sigma_bar)
        numbers = {name: own[f"weighted_{name}"].value for name in ("spectral", "diffusion")}
        numbers |= {name: own[f"weighted_{name}"].value for name in ("drift_error", "diffusion_error")}
        numbers["mu"] = weight.nu.value
        start = WeightedBound(weight.matrix).start(setting)
        moved = replace(setting, initial=start, initial_moment=None, initial_fourth=start)
        best = np.minimum(best, FourthMoment().discrete(numbers, moved) / math.sqrt(weight.least))
    with np.errstate(over="ignore"):
        return np.asarray(best**4)


def step_norm(system: Any, h: float) -> Certified:
    """sup ‖I + h Dg‖₂, a convex function of Dg, so that the vertices of a hull suffice."""
    hull = hull_of(system)
    moved = np.eye(hull.dim) + h * hull.drift
    radius = h * hull.drift_radius * (1.0 + 4.0 * UNIT) + 2.0 * UNIT * (np.abs(moved) + h * np.abs(hull.drift))
    low, high = spectral_bounds(moved, radius)
    return Certified(float(high.max()), f"{len(moved)} vertices", float(low.max()))


def error_constants(drift: Array | float, diffusion: Array | float) -> dict[str, Certified]:
    """Sizes of a constant error, rounded outwards by more than they may be off."""
    sizes = {"drift_error": float(np.linalg.norm(drift)), "diffusion_error": float(np.linalg.norm(diffusion))}
    return {name: Certified(size * (1.0 + 1e-12), CONSTANT, size * (1.0 - 1e-12)) for name, size in sizes.items()}


def curves(rule: Rule, constants: Mapping[str, Constant], setting: Setting) -> tuple[Array, Array]:
    """The curve at what its constants are known to reach, and at what they surely do not exceed."""
    names = (*rule.constants, *rule.optional)
    below = {n: constants[n].at_least for n in names if n in constants}
    above = {n: constants[n].at_most for n in names if n in constants}
    least = rule.curve({n: v for n, v in below.items() if v is not None}, setting)
    if any(above.get(n) is None for n in rule.constants):
        return least, np.full_like(least, np.inf)
    return least, np.maximum(rule.curve({n: v for n, v in above.items() if v is not None}, setting), least)


def simulated(pair: Pair, fourth: Array, judged_times: Sequence[float], times: Array) -> dict[str, Array]:
    """E|e_t|² and E max|e|² with intervals to be shown, (times, 3), and limits of the first to judge by, (judged, 3).

    The limits are from below, from above by the certified fourth moment, and from above by the central limit theorem.
    """
    at = [pair.grid.index(float(t)) for t in times]
    kept: list[list[Array]] = []
    ensemble = pair.ensemble("all")
    for block in ensemble.blocks:
        largest, found = torch.zeros(1), []
        for n, states in zip(ensemble.saved, ensemble.run(block), strict=True):
            square: Tensor = (states["xe"] - states["x"]).square().sum(1)
            largest = torch.maximum(largest, square)
            if n in at:
                found.append(np.stack((square.numpy(), largest.numpy())))
        kept.append(found)
    # (times, two quantities, paths)
    squares = np.concatenate([np.stack(found) for found in kept], axis=2)
    moments = [Moments.of(both.T).estimates() for both in squares]
    shown = {
        name: np.array([(e[i].value, *e[i].interval(SHOWN)) for e in moments])
        for i, name in enumerate(("error", "largest"))
    }
    limits = []
    for t in judged_times:
        values, most = squares[int(np.argmin(abs(times - t))), 0], float(fourth[pair.grid.index(t)])
        plain = _limits(values, None)
        certified = _limits(values, most).upper if math.isfinite(most) else math.inf
        limits.append((plain.lower, certified, math.inf if plain.doubt else plain.upper))
    return {**shown, "limits": np.array(limits)}


def _limits(values: Array, fourth: float | None) -> Comparison:
    """Both limits of a mean, whatever it is compared with."""
    return compare_mean([values], at_most=math.inf, level=1.0 - ALPHA, sequential=False, second_moment=fourth)


def judged(record: Record, error: str, rule: str, most_allowed: float = math.inf) -> dict[str, Verdict]:
    """For each judged time: is the error at most the curve, and not less than 1 / most_allowed of it?"""
    s, times = record.key["settings"], record.arrays["times"]
    verdicts = {}
    for t, (lower, certified, asymptotic) in zip(s["judged"], record.arrays[f"{error}, limits"], strict=True):
        k = int(np.argmin(np.abs(times - t)))
        least, most = record.arrays[f"{error}, {rule}"][:, k]
        limits = (math.sqrt(lower), math.sqrt(certified), math.sqrt(asymptotic))
        verdict = _verdict(rule, (float(least), float(most)), limits, most_allowed)
        verdicts[f"{s['system']}, {error}, t = {t:g}"] = verdict
    return verdicts


def _verdict(rule: str, sides: tuple[float, float], limits: tuple[float, float, float], most_allowed: float) -> Verdict:
    (least, most), (lower, certified, asymptotic) = sides, limits
    # The ratio of the curve to the error; of the two upper limits of the error the certified one goes first.
    high = most / lower if lower > 0.0 else math.inf
    grade, upper = Grade.CERTIFIED, certified
    if not _decided(least / certified, high, most_allowed):
        grade, upper = Grade.ASYMPTOTIC, min(asymptotic, certified)
    low = least / upper
    allowed, level = (1.0, most_allowed), 1.0 - 2.0 * ALPHA
    reason = f"{rule} / error is in [{low:.4g}, {high:.4g}], allowed [1, {most_allowed:g}]"
    if low >= 1.0 and high <= most_allowed:
        return Verdict(Outcome.HOLDS, grade, reason, (low, high), allowed, min(low - 1.0, most_allowed - high), level)
    if high < 1.0:
        return Verdict(Outcome.VIOLATED, Grade.CERTIFIED, reason, (low, high), allowed, 1.0 - high, level)
    if low > most_allowed:
        return Verdict(Outcome.VIOLATED, grade, reason, (low, high), allowed, low - most_allowed, level)
    reason += "; it meets the border, more paths or sharper constants would decide"
    return Verdict(Outcome.INCONCLUSIVE, grade, reason, (low, high), allowed, None, level)


def _decided(low: float, high: float, most_allowed: float) -> bool:
    return high < 1.0 or low > most_allowed or (low >= 1.0 and high <= most_allowed)
