"""Martingales along a path and its variations: control variates that know the state, not the noise alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from ..exceptions import InvalidArgument
from ..grid import TimeGrid
from ..validation import integer
from .derivatives import curve_derivatives
from .member import Member, State, base_and_own
from .perturbed import noise_columns
from .step_error import StepError
from .step_map import StepMap
from .variation import Variations

Jet = tuple[Tensor, Tensor, Tensor]


class Accompanied(NamedTuple):
    """A base state and its variations, each (paths, dim), and the martingales (paths, count) along them."""

    x: Tensor
    y1: Tensor
    y2: Tensor
    martingales: Tensor


@final
@dataclass(frozen=True)
class Waves:
    """Functions of each coordinate: x, x²/2 and cos(kπ(x − low)/(high − low)) for k = 1 … count.

    Args:
        low, high: (dim,) the range of the states that matter; outside of it the waves go on periodically.
        count: number of waves of a coordinate, 0 for x and x²/2 alone.

    Example:
        >>> waves = Waves(torch.zeros(2), torch.ones(2), 3)
        >>> waves.size, waves.derivatives(torch.rand(5, 2))[0].shape
        (10, torch.Size([5, 10]))
    """

    low: Tensor
    high: Tensor
    count: int

    def __post_init__(self) -> None:
        integer("count", self.count, least=0)
        if self.low.shape != self.high.shape or self.low.ndim != 1 or not bool((self.low < self.high).all()):
            raise InvalidArgument("low and high must have shape (dim,), and each low must be below its high.")

    @property
    def size(self) -> int:
        """Number of functions of all coordinates."""
        return len(self.low) * (2 + self.count)

    def derivatives(self, x: Tensor) -> tuple[Tensor, ...]:
        """The first to fourth derivatives (paths, size), each by the coordinate that its function is of.

        The functions come in groups of one for each coordinate: all x, all x²/2, then the waves of k = 1, 2 …
        """
        zero, one = torch.zeros_like(x), torch.ones_like(x)
        groups: list[tuple[Tensor, ...]] = [(one, zero, zero, zero), (x, one, zero, zero)]
        rate = math.pi / (self.high - self.low).to(x)
        angle = rate * (x - self.low.to(x))
        sine, cosine = torch.sin(angle), torch.cos(angle)
        s, c = zero, one
        for k in range(1, self.count + 1):
            # Angles are added, which is cheaper than a sine each.
            s, c = s * cosine + c * sine, c * cosine - s * sine
            w = k * rate
            groups.append((-w * s, -(w**2) * c, w**3 * s, w**4 * c))
        return tuple(torch.cat(each, 1) for each in zip(*groups, strict=True))


@final
@dataclass(frozen=True)
class Martingales:
    """A member of a coupled simulation: x⁰, y₁, y₂ of `of`, with stochastic integrals along them whose means are zero.

    For the expectation u^ε(t, x) of the loss at the end, the martingale part of u^ε(t, x^ε_t) is all that makes
    ℓ(x^ε_T) random, and its derivatives in ε at 0 are all that makes ∇ℓᵀy₁ and ∇ℓᵀy₂ + ½y₁ᵀ∇²ℓ y₁ random. With
    functions b_j in place of the unknown u^ε, a step from x^ε with mean m^ε and scale S^ε, of columns S_k, adds

        ∇b_j(m^ε)ᵀ S^ε ξ + ½ Σ_k ∇²b_j(m^ε)[S_k^ε, S_k^ε] (ξ_k² − 1),

    whose mean given the past is zero, whatever b_j is. Its coefficients of ε², ε and 1 are added up over the steps,
    times Legendre polynomials of time: three times `degree` + 1 martingales for each b_j. Regression of a quantity on
    them finds the best u^ε of this form.

    Args:
        of: the variations, of order 2.
        basis: the functions b_j.
        degree: of the polynomials of time.
        weights: from a number of steps to (number of martingales, k), to add up k combinations of them only,
            which takes less time.

    Warning:
        Weights must come from other paths than those that they are used on: on their own they explain too much.

    Source: Newton, Variance reduction for simulated diffusions, 1994; Milstein, Tretyakov, Practical variance reduction
    via regression for simulating diffusions, 2009; Belomestny, Häfner, Nagapetyan, Urusov, Variance reduction for
    discretised diffusions via regression, 2018, for the terms in ξ² − 1. The coefficients in ε are our own.

    Example:
        >>> from sdewm.drifts import Linear
        >>> from sdewm.dynamics import RepresentationError, simulate_coupled
        >>> varied = Variations(Linear(a=-1.0, b=0.5), RepresentationError(diffusion=lambda t, x: torch.ones_like(x)))
        >>> waves = Waves(torch.tensor([-1.0]), torch.tensor([2.0]), 4)
        >>> run = simulate_coupled({"v": Martingales(varied, waves, degree=1)}, 1.0, TimeGrid(1.0, 4), paths=8)
        >>> run["v"][3].final.shape
        torch.Size([8, 36])
    """

    of: Variations
    basis: Waves
    degree: int
    weights: Mapping[int, Tensor] | None = None

    def __post_init__(self) -> None:
        integer("degree", self.degree, least=0)
        if not isinstance(self.of, Variations) or self.of.order != 2:
            raise InvalidArgument(f"of must be Variations of order 2, got {self.of!r}.")
        for each in (self.weights or {}).values():
            if each.ndim != 2 or len(each) != self.count:
                raise InvalidArgument(f"weights must be ({self.count}, k), got {tuple(each.shape)}.")

    @property
    def system(self) -> Any:
        """The base."""
        return self.of.system

    @property
    def count(self) -> int:
        """Number of martingales, before weights."""
        return 3 * self.basis.size * (self.degree + 1)


def martingale_member(
    member: Martingales, inner: Member, step: StepMap, error: StepError, probe: Tensor, grid: TimeGrid
) -> Member:
    """The member in the engine's form, from that of its variations."""
    if member.basis.low.shape != probe.shape[1:]:
        raise InvalidArgument(f"basis is of {len(member.basis.low)} coordinates, the state of {probe.shape[1]}.")
    times = legendre(member.degree, grid.steps).to(probe)
    weights = None
    if member.weights is not None:
        if grid.steps not in member.weights:
            raise InvalidArgument(f"weights are for {sorted(member.weights)} steps, and the grid has {grid.steps}.")
        weights = _by_step(times, member.weights[grid.steps].to(probe))
    width = member.count if weights is None else int(weights.shape[2])

    def advance(n: Any, state: State, noise: tuple[Tensor, ...], a: Tensor | None) -> State:
        x, y1, y2, sums = state
        xi, zeta = base_and_own(noise, error)
        normals = xi if zeta is None else torch.cat((xi, zeta), 1)

        def moved(eps: Tensor) -> Tensor:
            at = x + eps * (y1 + eps * y2)
            mean, scale = step.mean(n, at, a), step.scale(n, at, a)
            if error.drift is not None:
                mean = mean + eps * error.drift(n, at)
            if error.diffusion is not None:
                scale = noise_columns(scale, eps * error.diffusion(n, at), error)
            return torch.cat((mean[:, :, None], scale.reshape(*x.shape, -1)), 2).reshape(len(x), -1)

        with torch.no_grad():
            probe_of = moved(x.new_zeros(()))
        jets = [part.reshape(*x.shape, -1) for part in curve_derivatives(moved, probe_of)]
        jets[2] = 0.5 * jets[2]
        added = torch.cat(_increments(member.basis, jets, normals), 1)
        if weights is None:
            return (*inner.advance(n, (x, y1, y2), noise, a), sums + _outer(_row(times, n), added))
        return (*inner.advance(n, (x, y1, y2), noise, a), sums + added @ _row(weights, n))

    def start(x: Tensor, first: int) -> State:
        begin = inner.start(x, first)
        return (*begin, begin[0].new_zeros(len(x), width))

    return Member(inner.noise, start, advance, lambda state: Accompanied(*state))


def legendre(degree: int, steps: int) -> Tensor:
    """Legendre polynomials of degree 0 to `degree`, (steps, degree + 1), from −1 at the first step to 1 at the last."""
    t = torch.linspace(-1.0, 1.0, steps, dtype=torch.float64) if steps > 1 else torch.ones(1, dtype=torch.float64)
    rows = [torch.ones_like(t), t]
    for k in range(1, degree):
        rows.append(((2 * k + 1) * t * rows[k] - k * rows[k - 1]) / (k + 1))
    return torch.stack(rows[: degree + 1], 1)


def _by_step(times: Tensor, weights: Tensor) -> Tensor:
    """The weights (steps, functions, k) of the increments of each step."""
    count, k = weights.shape
    return torch.einsum("nq,qfk->nfk", times, weights.reshape(times.shape[1], count // times.shape[1], k))


def _row(table: Tensor, n: Any) -> Tensor:
    return table.index_select(0, n.reshape(1)).squeeze(0) if isinstance(n, Tensor) else table[n]


def _outer(times: Tensor, added: Tensor) -> Tensor:
    return (times[:, None] * added[:, None, :]).reshape(len(added), -1)


def _increments(basis: Waves, jets: list[Tensor], normals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The coefficients of ε², ε and 1 in the increments for all b_j, each (paths, size).

    Args:
        basis: the functions.
        jets: coefficients of 1, ε, ε² of mean and scale side by side, (paths, dim, 1 + columns).
        normals: (paths, columns).
    """
    m0, m1, m2 = (jet[:, :, 0] for jet in jets)
    d = m0.shape[1]
    s0, s1, s2 = (jet[:, :, 1:] for jet in jets)
    if s0.shape[2] == 1 and (d > 1 or normals.shape[1] == d):
        n0, n1, n2 = (s[:, :, 0] * normals for s in (s0, s1, s2))
        square = 0.5 * (normals**2 - 1.0)
        q0, q1 = s0[:, :, 0] ** 2 * square, 2.0 * (s0 * s1)[:, :, 0] * square
        q2 = (s1**2 + 2.0 * s0 * s2)[:, :, 0] * square
    else:
        n0, n1, n2 = (torch.einsum("pdm,pm->pd", s, normals) for s in (s0, s1, s2))
        square = 0.5 * (normals**2 - 1.0)
        q0, q1, q2 = (torch.einsum("pdm,pm->pd", s, square) for s in (s0**2, 2.0 * s0 * s1, s1**2 + 2.0 * s0 * s2))
    copies = basis.size // d

    def wide(v: Tensor) -> Tensor:
        return v.repeat(1, copies)

    b1, b2, b3, b4 = basis.derivatives(m0)
    half = 0.5 * m1 * m1
    # b'(m) S ξ + ½ b''(m) S² (ξ² − 1), sorted by derivatives of b.
    zero = b1 * wide(n0) + b2 * wide(q0)
    first = b1 * wide(n1) + b2 * wide(q1 + m1 * n0) + b3 * wide(m1 * q0)
    second = b1 * wide(n2) + b2 * wide(q2 + m1 * n1 + m2 * n0) + b3 * wide(m1 * q1 + m2 * q0 + half * n0)
    return second + b4 * wide(half * q0), first, zero
