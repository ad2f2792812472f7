"""Martingales along a path and its variations: control variates that know the state, not the noise alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from ..exceptions import InvalidArgument
from ..grid import TimeGrid
from .jets import Coefficients, Jets, jets_of, noise_parts
from .member import Member, State, base_and_own
from .step_error import StepError
from .step_map import StepMap
from .variation import Variations
from .waves import Waves

# Coefficients of ε², ε and 1 of an increment have so many parts, one for each derivative of b from the first on.
PARTS = (5, 4, 3)
_POINTS, _FEWEST = 1024, 128
_SLICES = 64
_NUMBERS = 1 << 18


class Accompanied(NamedTuple):
    """A base state and its variations, each (paths, dim), and the martingales (paths, count) along them."""

    x: Tensor
    y1: Tensor
    y2: Tensor
    martingales: Tensor


class Recorded(NamedTuple):
    """A base state and its variations, each (paths, dim), and what the step before it adds to martingales.

    Attributes:
        mean: of the step, without noise, (paths, dim).
        parts: (paths, 12, dim), for ε², ε and 1 by how often b is differentiated: see `Increments`.
    """

    x: Tensor
    y1: Tensor
    y2: Tensor
    mean: Tensor
    parts: Tensor


def _check(of: Any) -> None:
    if not isinstance(of, Variations) or of.order != 2:
        raise InvalidArgument(f"of must be Variations of order 2, got {of!r}.")


@final
@dataclass(frozen=True)
class Increments:
    """A member of a coupled simulation: x⁰, y₁, y₂ of `of`, and what each step adds to stochastic integrals.

    For the expectation u^ε(t, x) of the loss at the end, the martingale part of u^ε(t, x^ε_t) is all that makes
    ℓ(x^ε_T) random, and its derivatives in ε at 0 are all that makes ∇ℓᵀy₁ and ∇ℓᵀy₂ + ½y₁ᵀ∇²ℓ y₁ random. With
    functions b_j of single coordinates in place of the unknown u^ε, a step from x^ε with mean m^ε and scale S^ε, of
    columns S_k, adds

        Σ_k Σ_i ∂_i b_j S_ik ξ_k + ½ ∂_i² b_j S_ik² (ξ_k² − 1) + ⅙ ∂_i³ b_j S_ik³ (ξ_k³ − 3ξ_k)   at m^ε, S^ε,

    whose mean given the past is zero, whatever b_j is. Its coefficients of ε², ε and 1 are sums over derivatives of b_j
    at m⁰ (five, four and three of them) times parts that do not depend on b_j: these are what is recorded.

    Args:
        of: the variations, of order 2.

    Source: Newton, Variance reduction for simulated diffusions, 1994; Milstein, Tretyakov, Practical variance reduction
    via regression for simulating diffusions, 2009; Belomestny, Häfner, Nagapetyan, Urusov, Variance reduction for
    discretised diffusions via regression, 2018, for Hermite polynomials of the normals. The coefficients in ε are our
    own.

    Example:
        >>> from sdewm.drifts import Linear
        >>> from sdewm.dynamics import RepresentationError, simulate_coupled
        >>> varied = Variations(Linear(a=-1.0, b=0.5), RepresentationError(diffusion=lambda t, x: torch.ones_like(x)))
        >>> run = simulate_coupled({"v": Increments(varied)}, 1.0, TimeGrid(1.0, 4), paths=8)
        >>> run["v"][4].final.shape
        torch.Size([8, 12, 1])
    """

    of: Variations

    def __post_init__(self) -> None:
        _check(self.of)

    @property
    def system(self) -> Any:
        """The base."""
        return self.of.system


@final
@dataclass(frozen=True)
class Martingales:
    """A member of a coupled simulation: x⁰, y₁, y₂ of `of`, with combinations of the integrals of `Increments`.

    The integrals are those of the functions of `basis` times Legendre polynomials of time; see `martingale_sums`. What
    weights make of the derivatives of all functions is tabulated at 1024 points of all coordinates (128 of each at
    least) and at most 64 times, and the nearest are taken: a step then costs a look at the table, whatever the number
    of functions. The means stay exactly zero, since an integrand may be any function of the past.

    Args:
        of: the variations, of order 2.
        basis: the functions b_j.
        degree: of the polynomials of time.
        weights: from a number of steps to (number of integrals, k), for k combinations.

    Warning:
        Weights must come from other paths than those that they are used on: on their own they explain too much.

    Example:
        >>> from sdewm.drifts import Linear
        >>> from sdewm.dynamics import RepresentationError, simulate_coupled
        >>> varied = Variations(Linear(a=-1.0, b=0.5), RepresentationError(diffusion=lambda t, x: torch.ones_like(x)))
        >>> waves = Waves(torch.tensor([-1.0]), torch.tensor([2.0]), 4)
        >>> member = Martingales(varied, waves, 1, {4: torch.ones(36, 2)})
        >>> simulate_coupled({"v": member}, 1.0, TimeGrid(1.0, 4), paths=8)["v"][3].final.shape
        torch.Size([8, 2])
    """

    of: Variations
    basis: Waves
    degree: int
    weights: Mapping[int, Tensor]

    def __post_init__(self) -> None:
        _check(self.of)
        count = number(self.basis, self.degree)
        for each in self.weights.values():
            if each.ndim != 2 or len(each) != count:
                raise InvalidArgument(f"weights must be ({count}, k), got {tuple(each.shape)}.")

    @property
    def system(self) -> Any:
        """The base."""
        return self.of.system


Advance = Callable[[Any, State, "tuple[Tensor, ...]", "Tensor | None"], "tuple[State, Tensor, list[Tensor]]"]


def increments_member(member: Increments, inner: Member, step: StepMap, error: StepError) -> Member:
    """The member in the engine's form, from that of its variations."""
    move = _moved(member.of, inner, step, error)

    def advance(n: Any, state: State, noise: tuple[Tensor, ...], a: Tensor | None) -> State:
        varied, mean, parts = move(n, state[:3], noise, a)
        return (*varied, mean, torch.stack(parts, 1))

    def start(x: Tensor, first: int) -> State:
        begin = inner.start(x, first)
        zero = torch.zeros_like(begin[0])
        return (*begin, zero, zero[:, None].repeat(1, sum(PARTS), 1))

    return Member(inner.noise, start, advance, lambda state: Recorded(*state))


def martingale_member(
    member: Martingales, inner: Member, step: StepMap, error: StepError, probe: Tensor, grid: TimeGrid
) -> Member:
    """The member in the engine's form, from that of its variations."""
    basis, dim = member.basis, probe.shape[1]
    if basis.low.shape != probe.shape[1:]:
        raise InvalidArgument(f"basis is of {len(basis.low)} coordinates, the state of {dim}.")
    if grid.steps not in member.weights:
        raise InvalidArgument(f"weights are for {sorted(member.weights)} steps, and the grid has {grid.steps}.")
    points = max(_POINTS // dim, _FEWEST)
    # Single precision: rounding is far below what a table leaves unexplained, and tables are read from the cache.
    table = tabulated(basis, member.degree, member.weights[grid.steps], min(grid.steps, _SLICES), points).float()
    slices, k = len(table), int(table.shape[1])
    table = table.reshape(slices, k * sum(PARTS), -1).to(probe.device)
    rate = (points / (basis.high - basis.low)).to(probe)
    offset = -rate * basis.low.to(probe)
    firsts = points * torch.arange(dim, device=probe.device)
    move = _moved(member.of, inner, step, error)

    def advance(n: Any, state: State, noise: tuple[Tensor, ...], a: Tensor | None) -> State:
        varied, mean, parts = move(n, state[:3], noise, a)
        nearest = torch.addcmul(offset, mean, rate).clamp_(0, points - 1).long()
        if dim > 1:
            nearest = nearest + firsts
        found = table[n * slices // grid.steps].index_select(1, nearest.reshape(-1))
        # (k · 12, paths · dim) entries meet (12, paths · dim) parts: a sum of long rows, not of many short ones.
        each = torch.stack(parts).reshape(sum(PARTS), -1).to(table)
        added = (found.reshape(k, sum(PARTS), -1) * each).sum(1).reshape(k, len(mean), dim).sum(2)
        return (*varied, state[3] + added.T)

    def start(x: Tensor, first: int) -> State:
        begin = inner.start(x, first)
        return (*begin, begin[0].new_zeros(len(x), k))

    return Member(inner.noise, start, advance, lambda state: Accompanied(*state))


def _moved(of: Variations, inner: Member, step: StepMap, error: StepError) -> Advance:
    jets = jets_of(step, error, of.derivatives == "autodiff")

    def advance(
        n: Any, state: State, noise: tuple[Tensor, ...], a: Tensor | None
    ) -> tuple[State, Tensor, list[Tensor]]:
        xi, zeta = base_and_own(noise, error)
        x, y1, y2 = state
        found = jets(n, x, y1, y2, a)
        linear, square, cube = noise_parts(found, error, xi, zeta)
        # The step itself is a sum of what has been found, if no term of it is to be left out.
        complete = of.terms.complete
        varied = (
            tuple(m + s for m, s in zip(found.mean, linear, strict=True))
            if complete
            else inner.advance(n, state, noise, a)
        )
        return varied, found.mean[0], _parts(found, linear, square, cube)

    return advance


def _parts(jets: Jets, linear: Coefficients, square: Coefficients, cube: Coefficients) -> list[Tensor]:
    """What the derivatives of b are multiplied by in the coefficients of ε², ε and 1."""
    (_, m1, m2), (n0, n1, n2), (q0, q1, q2), (r0, r1, r2) = jets.mean, linear, square, cube
    half = 0.5 * m1 * m1
    second = torch.addcmul(torch.addcmul(q2, m1, n1), m2, n0)
    third = torch.addcmul(torch.addcmul(torch.addcmul(r2, m1, q1), m2, q0), half, n0)
    fourth = torch.addcmul(torch.addcmul(m1 * r1, m2, r0), half, q0)
    of_first = [n1, torch.addcmul(q1, m1, n0), torch.addcmul(r1, m1, q0), m1 * r0]
    return [n2, second, third, fourth, half * r0, *of_first, n0, q0, r0]


def number(basis: Waves, degree: int) -> int:
    """How many integrals there are."""
    return len(PARTS) * basis.size * (degree + 1)


def legendre(degree: int, steps: int, slices: int = _SLICES) -> Tensor:
    """Legendre polynomials of degree 0 to `degree`, (steps, degree + 1), from −1 to 1, constant on slices of time."""
    slices = min(steps, slices)
    t = torch.linspace(-1.0, 1.0, slices, dtype=torch.float64) if slices > 1 else torch.ones(1, dtype=torch.float64)
    rows = [torch.ones_like(t), t]
    for k in range(1, degree):
        rows.append(((2 * k + 1) * t * rows[k] - k * rows[k - 1]) / (k + 1))
    return torch.stack(rows[: degree + 1], 1)[torch.arange(steps) * slices // steps]


def martingale_sums(basis: Waves, degree: int, mean: Tensor, parts: Tensor) -> Tensor:
    """The stochastic integrals of all functions, from what was recorded at all steps.

    Args:
        basis: the functions b_j.
        degree: of the polynomials of time that they are multiplied by.
        mean: (steps, paths, dim).
        parts: (steps, paths, 12, dim).

    Returns:
        (paths, 3 · size · (degree + 1)): by the polynomials, by the powers ε², ε and 1, by functions and coordinates.
    """
    steps, paths, dim = mean.shape
    times = legendre(degree, steps).to(mean)
    total = mean.new_zeros(degree + 1, paths * len(PARTS) * basis.size)
    some = max(1, _NUMBERS // (paths * len(PARTS) * basis.size))
    for n in range(0, steps, some):
        here = slice(n, n + some)
        x, c = mean[here], parts[here].transpose(1, 2).contiguous().unbind(1)
        values = x.new_empty(len(x), len(PARTS), basis.size // dim, paths, dim)
        for j, derivatives in enumerate(basis.groups(x)):
            first = 0
            for e, most in enumerate(PARTS):
                out = values[:, e, j]
                torch.mul(c[first], derivatives[0], out=out)
                for part, derivative in zip(c[first + 1 : first + most], derivatives[1:], strict=False):
                    out.addcmul_(part, derivative)
                first += most
        total.addmm_(times[here].T, values.reshape(len(x), -1))
    return total.reshape(-1, paths, dim).transpose(0, 1).reshape(paths, -1)


def tabulated(basis: Waves, degree: int, weights: Tensor, slices: int, points: int) -> Tensor:
    """What the parts of an increment are multiplied by, (slices, k, 12, dim · points), at the centres of the points."""
    dim, k = len(basis.low), weights.shape[1]
    low, high = basis.low.double(), basis.high.double()
    x = low + (high - low) * ((torch.arange(points, dtype=torch.float64)[:, None] + 0.5) / points)
    times = legendre(degree, slices, slices)
    w = torch.einsum("sq,qefdk->sefdk", times, weights.double().reshape(degree + 1, len(PARTS), -1, dim, k))
    table = x.new_zeros(slices, sum(PARTS), dim, k, points)
    for j, derivatives in enumerate(basis.groups(x)):
        first = 0
        for e, most in enumerate(PARTS):
            for i, derivative in enumerate(derivatives[:most]):
                table[:, first + i] += w[:, e, j, :, :, None] * derivative.T[:, None, :]
            first += most
    return table.permute(0, 3, 1, 2, 4).reshape(slices, k, sum(PARTS), dim * points)
