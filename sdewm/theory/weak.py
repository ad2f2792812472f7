"""The weak identity: the effect of an error at any size, without variations and without a remainder."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..dynamics.brownian import BLOCK, generator
from ..dynamics.derivatives import curve_derivatives, second_directional
from ..dynamics.ensemble import GROUP, Ensemble, map_blocks, prepare
from ..dynamics.error import RepresentationError, check_eps
from ..dynamics.perturbed import perturb
from ..dynamics.start import Start, rows
from ..dynamics.step_map import StepMap
from ..dynamics.system import LatentSDE, check_system
from ..dynamics.variation import Variations
from ..estimate import Estimate, Moments
from ..exceptions import InvalidArgument, Refused
from ..grid import TimeGrid
from ..hypothesis import Hypothesis
from ..output import frame, plain_fields, table
from ..stats.order import negligible
from ..validation import TensorLike, integer, one_of, real
from ..verdict import Outcome, Verdict
from .effect import Effect, Loss, effect_problem, finite_moments, total

Value = Callable[[float, Tensor], Tensor]

TERMS = ("start", "drift", "cross", "square")
_COLUMNS = ("left", *TERMS, "quadrature")
# Nested simulation costs half a simulation an interval.
_INTERVALS = 8
# The quadrature in time is fine enough where the rule on half as many points differs by this part of the left side.
_FINE = 0.01


@final
@dataclass(frozen=True)
class WeakIdentity:
    """Both sides of the weak identity at one size, from one run.

    Attributes:
        left: E ℓ(x^ε_t) − E ℓ(x⁰_t), simulated.
        right: the sum of the terms.
        terms: "start" E u(0, x₀+εη) − E u(0, x₀); "drift" E ∫ ε σ·∇u; "cross" E ∫ ε Σ ρ_kl ḡ_kᵀ∇²u σ̄_l; "square"
            E ∫ ½ε² Σ σ̄_lᵀ∇²u σ̄_l.
        gap: left − right.
        quadrature: by how much the right side changes where Simpson's rule leaves out every second point: more than the
            error of the quadrature in time.
        intervals: number of intervals of that rule.
        flags: what no interval covers.
        hypotheses: what was assumed.
    """

    left: Estimate
    right: Estimate
    terms: Mapping[str, Estimate]
    gap: Estimate
    quadrature: Estimate
    intervals: int
    flags: tuple[str, ...]
    hypotheses: tuple[Hypothesis, ...] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Both sides, the terms and their intervals, as plain values for JSON."""
        return plain_fields(self)

    def to_frame(self) -> Any:
        """A pandas DataFrame with a row for each side, each term, the gap and the quadrature.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return frame({"part": name, **estimate.to_dict()} for name, estimate in self._parts.items())

    @property
    def _parts(self) -> dict[str, Estimate]:
        sides = {"left": self.left, "right": self.right}
        return {**sides, **self.terms, "gap": self.gap, "quadrature": self.quadrature}

    def __str__(self) -> str:
        numbers = [f"{name} {estimate}" for name, estimate in self._parts.items()]
        return "\n".join([", ".join(numbers), *(f"  note: {flag}" for flag in self.flags)])

    def _repr_html_(self) -> str:
        rows = [(name, str(estimate)) for name, estimate in self._parts.items()]
        return table("weak identity", ["", "value [95 %]"], rows, self.flags)

    @property
    def coarse(self) -> bool:
        """Whether the quadrature in time is seen to be coarse, beyond what sampling explains."""
        off = abs(self.quadrature.value) - 3.0 * self.quadrature.standard_error
        return off > _FINE * abs(self.left.value)

    def without(self, term: str) -> Estimate:
        """The right side without one of its terms.

        Raises:
            InvalidArgument: there is no such term.
        """
        return self.right - self.terms[one_of("term", term, TERMS)]

    def verdict(self, tolerance: float = 0.05, level: float = 0.999, *, without: str | None = None) -> Verdict:
        """Whether both sides agree to within `tolerance` of the left one.

        Args:
            tolerance: relative.
            level: confidence level.
            without: name of a term that is left out of the right side.
        """
        right = self.right if without is None else self.without(without)
        what = "left − right" if without is None else f"left − right without its term {without!r}"
        return agreement(self.left, right, self.quadrature, tolerance, level, what=what)


def agreement(
    left: Estimate, right: Estimate, quadrature: Estimate, tolerance: float, level: float, *, what: str
) -> Verdict:
    """Whether two sides agree to within `tolerance` of the left one, if the quadrature in time cannot be the cause.

    Raises:
        InvalidArgument: the tolerance does not lie in (0, 1).
    """
    if not 0.0 < real("tolerance", tolerance) < 1.0:
        raise InvalidArgument(f"tolerance must lie in (0, 1), a part of the left side, got {tolerance!r}.")
    size = left if left.value >= 0.0 else -left
    found = negligible(left - right, size, tolerance, level, what=what)
    if found.margin is None or found.outcome is Outcome.INCONCLUSIVE:
        return found
    off = abs(quadrature.value)
    if off < (found.margin if found.outcome is Outcome.VIOLATED else tolerance * size.value):
        return found
    reason = f"{found.reason}; the quadrature in time may be off by {off:.2g}, more intervals would decide"
    return replace(found, outcome=Outcome.INCONCLUSIVE, margin=None, reason=reason)


def weak_identity(
    system: Any,
    error: RepresentationError,
    loss: Loss,
    x0: Start,
    grid: TimeGrid,
    paths: int | None = None,
    seed: int = 0,
    *,
    eps: float,
    value: Value | None = None,
    intervals: int | None = None,
    actions: TensorLike | None = None,
    dtype: torch.dtype | None = None,
    extrapolate: bool | None = None,
    scheme: str = "auto",
    assume: Sequence[str] = (),
    executor: Executor | None = None,
) -> WeakIdentity:
    """Both sides of the identity that is exact at every size ε of an error:

        E ℓ(x^ε_t) − E ℓ(x⁰_t) = E[u(0, x₀+εη) − u(0, x₀)]
            + E ∫₀ᵗ [ε σ·∇u + ε Σ_kl ρ_kl ḡ_kᵀ∇²u σ̄_l + ½ε² Σ_l σ̄_lᵀ∇²u σ̄_l](r, x^ε_r) dr

    with u(s, x) = E[ℓ(x⁰_t) | x⁰_s = x], the value of the *base* system. No variation of the perturbed one enters.

    Args:
        system, error, loss, x0, grid, paths, seed, actions, dtype, extrapolate, scheme, assume, executor: as for
            `expand`; not for a `StepMap`, which has no generator, nor with actions.
        eps: size of the error, above zero; it need not be small.
        value: u(s, x), states (paths, dim) to (paths,), if it is known; it is differentiated automatically. By default
            its derivatives are simulated: from each visited state one path of the base runs on to the end, on noise of
            its own, with its variations in the directions of the error. The right side is linear in these derivatives,
            so that one path each is unbiased, and its spread is part of the interval.
        intervals: number of intervals of Simpson's rule in time, lowered to a divisor of the number of steps; by
            default all steps of the (coarser) grid where u is given, else 8, and twice as many as long as the rule on
            half of its points differs by more than 1 % of the left side.

    Returns:
        A `WeakIdentity`.

    Raises:
        Refused: a `StepMap`, or actions.
        InvalidArgument, HypothesisFails, NumericalFailure: as for `expand`.

    Warning:
        Not checked: that u is twice differentiable with derivatives of polynomial growth, and that `value` is u. The
        quadrature in time is not part of the interval; a verdict is inconclusive where it may be the cause, and `flags`
        say where it is coarse.

    Source: Itô's formula for u(r, x^ε_r) and Kolmogorov's backward equation for u.

    Example:
        >>> from sdewm.drifts import Geometric
        >>> error = RepresentationError(diffusion=lambda t, x: torch.ones_like(x))
        >>> def loss(x): return (x**2).sum(-1)
        >>> def value(s, x): return torch.exp(torch.tensor(0.25 * (1.0 - s))) * (x**2).sum(-1)
        >>> both = weak_identity(Geometric(0.0, 0.5), error, loss, 1.0, TimeGrid(1.0, 16), 4096, eps=0.5, value=value)
        >>> low, high = both.gap.interval(0.999)
        >>> low < 0.0 < high
        True
    """
    if isinstance(system, StepMap) or actions is not None:
        raise Refused("the weak identity is Itô's formula for a differential equation without actions.")
    check_eps(eps)
    problem = effect_problem(
        system,
        error,
        loss,
        x0,
        grid,
        paths,
        seed,
        dtype=dtype,
        extrapolate=extrapolate,
        scheme=scheme,
        assume=assume,
        executor=executor,
    )
    if value is not None:
        _check_value(problem, value)
    steps = grid.steps // problem.extrapolate
    wanted = steps if value is not None else _INTERVALS
    count = _divisor(steps, wanted if intervals is None else integer("intervals", intervals, least=1))
    found = _measured(problem, eps, value, count)
    while intervals is None and found.coarse and count < steps:
        count = next(k for k in range(count + 1, steps + 1) if steps % k == 0 and k >= min(2 * count, steps))
        found = _measured(problem, eps, value, count)
    if found.coarse:
        off, much = abs(found.quadrature.value), f"{count} intervals"
        said = f"the quadrature in time, of {much}, may be off by {off:.2g}; use more intervals, or more steps"
        found = replace(found, flags=(*found.flags, said))
    return found


def _check_value(problem: Effect, value: Value) -> None:
    if not callable(value):
        raise InvalidArgument(f"value must be a function (s, x) of a time and states, got {value!r}.")
    try:
        x = rows(problem.x0, 0, min(problem.paths, 8)).clone().requires_grad_()
        with torch.enable_grad():
            found = replace(problem, loss=partial(value, 0.0)).value(x)
    except InvalidArgument as wrong:
        raise InvalidArgument(f"value {str(wrong).removeprefix('loss ')}") from wrong
    if not found.requires_grad:
        raise InvalidArgument("value must be differentiable in the states; leave out detach() and no_grad().")


def _divisor(steps: int, most: int) -> int:
    """The largest even divisor of steps up to `most`, or the largest one where none is even."""
    fitting = [k for k in range(min(most, steps), 0, -1) if steps % k == 0]
    return next((k for k in fitting if k % 2 == 0), fitting[0])


def _measured(problem: Effect, eps: float, value: Value | None, intervals: int) -> WeakIdentity:
    work = _Identity(problem, eps, value, intervals)
    moments = total(map_blocks(work, work.ensembles[0].blocks, problem.executor))
    left, *rest, quadrature = moments.estimates()[: len(_COLUMNS)]
    terms = dict(zip(TERMS, rest, strict=True))
    right = sum(rest[1:], start=rest[0])
    return WeakIdentity(left, right, terms, left - right, quadrature, intervals, problem.flags, problem.hypotheses)


def _simpson(times: list[float]) -> NDArray[np.float64]:
    """Weights (2, n) of Simpson's rule at these times, and of a coarser rule by which its error is judged."""
    from scipy.integrate import simpson  # here, so that importing the package stays quick

    fine = simpson(np.eye(len(times)), x=np.array(times))
    coarse = np.zeros(len(times))
    if len(times) == 2:
        coarse[0] = times[1] - times[0]
    elif len(times) % 2:
        coarse[::2] = simpson(np.eye(len(times[::2])), x=np.array(times[::2]))
    else:
        gaps = np.diff(np.array(times)) / 2.0
        coarse[:-1] += gaps
        coarse[1:] += gaps
    return np.stack((fine, coarse))


@final
class _Identity:
    """One block's columns of both sides, extrapolated in the step size."""

    def __init__(self, problem: Effect, eps: float, value: Value | None, intervals: int) -> None:
        self.problem, self.eps, self.value, self.intervals = problem, eps, value, intervals
        self.ensembles = [self._ensemble(k) for k in ((1, problem.extrapolate) if problem.extrapolate > 1 else (1,))]

    def __reduce__(self) -> tuple[Any, ...]:
        # Ensembles hold closures: another process makes its own.
        return _Identity, (replace(self.problem, executor=None), self.eps, self.value, self.intervals)

    def _ensemble(self, coarsen: int) -> Ensemble:
        p = self.problem
        members = {"base": p.system, "perturbed": p.perturbed(self.eps)}
        if p.error.initial is not None:
            probe = rows(p.x0, 0, min(p.paths, 2))
            members["moved"] = perturb(p.system, RepresentationError(initial=p.error.initial), self.eps, x0=probe)
        save = [p.grid.T * k / self.intervals for k in range(self.intervals + 1)]
        return prepare(members, p.x0, p.grid, p.paths, p.seed, save=save, coarsen=coarsen)

    def __call__(self, block: int) -> Moments:
        columns = [self._columns(ensemble, block, k) for ensemble, k in zip(self.ensembles, self._factors, strict=True)]
        result = columns[0]
        if len(columns) == 2:
            result = result + (columns[0] - columns[1]) / (self._factors[1] - 1)
        return finite_moments(result, self.ensembles[0], block)

    @property
    def _factors(self) -> tuple[int, ...]:
        return (1, self.problem.extrapolate)[: len(self.ensembles)]

    def _columns(self, ensemble: Ensemble, block: int, coarsen: int) -> Tensor:
        weights, coarse = _simpson([ensemble.grid.time(n) for n in ensemble.saved])
        integrals: list[Tensor] = []
        for n, weight, other, states in zip(ensemble.saved, weights, coarse, ensemble.run(block), strict=True):
            derivatives = self._derivatives(ensemble, block, coarsen, n, states["perturbed"])
            integrand = self._integrand(ensemble.grid.time(n), states, derivatives)
            parts = [float(weight) * part for part in integrand]
            parts.append(float(weight - other) * torch.stack(integrand).sum(0))
            integrals = parts if not integrals else [a + b for a, b in zip(integrals, parts, strict=True)]
        base = self.problem.value(states["base"])
        left = self.problem.value(states["perturbed"]) - base
        start = self.problem.value(states["moved"]) - base if "moved" in states else torch.zeros_like(left)
        return torch.stack([left, start, *integrals], 1).detach().double()

    def _integrand(self, t: float, states: Mapping[str, Any], u: "_Derivatives") -> list[Tensor]:
        """ε σ·∇u, ε Σ ρ_kl ḡ_kᵀ∇²u σ̄_l and ½ε² Σ σ̄_lᵀ∇²u σ̄_l at the states x^ε."""
        x, error, eps = states["perturbed"], self.problem.error, self.eps
        time = torch.tensor(t, dtype=x.dtype, device=x.device)
        zero = x.new_zeros(len(x))
        drift = zero if error.drift is None else eps * u.along(error.drift(time, x))
        if error.diffusion is None:
            return [drift, zero, zero]
        columns = _matrix(error.diffusion(time, x))
        base = _matrix(check_system(self.problem.system, x).diffusion(time, x, None))
        rho = _correlation(error.correlation, base.shape[2], columns.shape[2], x)
        mixed = base @ rho
        cross = eps * u.form(mixed, columns) if bool(rho.any()) else zero
        return [drift, cross, 0.5 * eps**2 * u.form(columns, columns)]

    def _derivatives(self, ensemble: Ensemble, block: int, coarsen: int, n: int, x: Tensor) -> "_Derivatives":
        if n == ensemble.grid.steps:
            return _Derivatives(x, self.problem.loss)
        if self.value is not None:
            return _Derivatives(x, partial(self.value, ensemble.grid.time(n)))
        simulate = partial(self._simulate, ensemble, block, coarsen, n, x)
        return _Derivatives(x, self.problem.loss, simulate, self._signs(block, len(x)))

    def _signs(self, block: int, count: int) -> Tensor:
        """Random signs (paths, m̄), by block and path alone."""
        x = rows(self.problem.x0, 0, 2)
        error = self.problem.error.diffusion
        width = 1 if error is None else error(torch.zeros((), dtype=x.dtype), x).shape[-1]
        source = generator(self.problem.seed, "weak identity, signs", block)
        drawn = torch.empty(BLOCK * GROUP, width).normal_(generator=source)
        return drawn[:count].sign().to(x)

    def _simulate(
        self, ensemble: Ensemble, block: int, coarsen: int, n: int, x: Tensor, ways: Sequence[Tensor]
    ) -> list[tuple[Tensor, Tensor]]:
        """v·∇u and vᵀ∇²u v for some directions, by one path of the base from each state to the end."""
        fine = self.problem.grid
        later = TimeGrid(fine.T - ensemble.grid.time(n), fine.steps - n * coarsen)
        system = _Later(self.problem.system, ensemble.grid.time(n), block, x)
        members = {str(k): Variations(system, RepresentationError(initial=way)) for k, way in enumerate(ways)}
        inner = prepare(members, x, later, len(x), self.problem.seed, coarsen=coarsen)
        ends: list[list[tuple[Tensor, Tensor]]] = []
        for part in inner.blocks:
            (states,) = inner.run(part)
            triples = [self.problem.coefficients(states[str(k)]) for k in range(len(ways))]
            ends.append([(p, 2.0 * q + s) for p, q, s in triples])
        return [(torch.cat([e[k][0] for e in ends]), torch.cat([e[k][1] for e in ends])) for k in range(len(ways))]


@final
@dataclass(frozen=True)
class _Derivatives:
    """First and second derivatives of u at some states, by differentiation or by simulation."""

    x: Tensor
    function: Loss
    simulate: Callable[[Sequence[Tensor]], list[tuple[Tensor, Tensor]]] | None = None
    signs: Tensor | None = None

    def along(self, v: Tensor) -> Tensor:
        """v·∇u."""
        if self.simulate is not None:
            return self.simulate([v])[0][0]
        like = self.x.new_zeros(len(self.x))
        return curve_derivatives(lambda s: self.function(self.x + s * v), like, order=1)[1]

    def form(self, a: Tensor, b: Tensor) -> Tensor:
        """Σ_l a_lᵀ∇²u b_l for columns a_l, b_l."""
        if self.simulate is None or self.signs is None:
            parts = [second_directional(self.function, self.x, a[:, :, k], b[:, :, k]) for k in range(a.shape[2])]
            return sum(parts[1:], start=parts[0])
        # Σ_l a_lᵀ H b_l = E (Σ s_l a_l)ᵀ H (Σ s_l b_l) for independent random signs s_l.
        v, w = torch.einsum("pdl,pl->pd", a, self.signs), torch.einsum("pdl,pl->pd", b, self.signs)
        if a is b:
            return self.simulate([v])[0][1]
        (_, plus), (_, minus) = self.simulate([v + w, v - w])
        return 0.25 * (plus - minus)


def _matrix(columns: Tensor) -> Tensor:
    return torch.diag_embed(columns) if columns.ndim == 2 else columns


def _correlation(rho: Any, base: int, error: int, like: Tensor) -> Tensor:
    """ρ as a matrix (m, m̄)."""
    if isinstance(rho, Tensor) and rho.ndim == 2:
        return rho.to(like)
    number = {"shared": 1.0, "independent": 0.0}[rho] if isinstance(rho, str) else float(rho)
    if number and base != error:
        raise InvalidArgument(f"correlation {rho!r} needs as many error noises as base noises, got {error} and {base}.")
    return number * torch.eye(base, error, dtype=like.dtype, device=like.device)


@final
class _Later(LatentSDE):
    """A system from a later time on, on noise of its own for each block of paths."""

    def __init__(self, system: Any, start: float, block: int, x: Tensor) -> None:
        super().__init__()
        checked = check_system(system, x[:2])
        self.dim, self.noise_dim, self.noise_type = checked.dim, checked.noise_dim, checked.noise_type
        self.noise_groups = ((f"from visited states on, block {block}", checked.noise_dim),)
        self._checked, self._start = checked, start

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return self._checked.drift(t + self._start, x, None)

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return self._checked.diffusion(t + self._start, x, None)
