"""The weak identity: both sides and every term against exact moments, at sizes that are not small."""

import math
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import sympy as sp
import torch
from alarm import FALSE_ALARM, assert_misses, spend
from joint import assert_all_cover
from numpy.typing import NDArray
from scipy.integrate import simpson
from scipy.linalg import expm
from scipy.stats import binom
from systems import F64, Contracting, NetworkByHand, elementwise, fixed, full_error
from torch import Tensor

from sdewm.drifts import Geometric, Linear
from sdewm.dynamics import LatentSDE, RepresentationError, StepMap
from sdewm.estimate import Estimate
from sdewm.exceptions import HypothesisFails, InvalidArgument, Refused
from sdewm.grid import TimeGrid
from sdewm.theory import WeakIdentity, weak_identity
from sdewm.theory.symbolic import PolynomialSystem, effect_equations
from sdewm.theory.weak import TERMS
from sdewm.verdict import Outcome

Array = NDArray[np.float64]
HOLDS, VIOLATED = Outcome.HOLDS, Outcome.VIOLATED
KNOWN = [pytest.param(True, id="value given"), pytest.param(False, id="value simulated")]
LONG = [KNOWN[0], pytest.param(False, id="value simulated", marks=pytest.mark.slow)]
NAMES = ("left", "start", "drift", "cross", "square", "right", "gap")


# --- affine systems: everything in closed form -----------------------------------------------------------------------


@dataclass(frozen=True)
class Affine:
    """dx = (A x + c) dt + Σ (B_k x + d_k) dB^k with an affine error, a quadratic loss and a fixed start.

    Matrices act on y = (1, x): `drift` and each of `columns` have a first row of zeros, and ℓ = yᵀ loss y.
    """

    drift: Array
    columns: Array
    error_drift: Array
    error_columns: Array
    rho: Array
    loss: Array
    start: Array
    eta: Array
    horizon: float = 1.0

    @property
    def size(self) -> int:
        """1 + dim."""
        return len(self.drift)

    @property
    def shared(self) -> Array:
        """Σ_l ρ_kl σ̄_l for each column k of the base."""
        return np.tensordot(self.rho, self.error_columns, 1)

    def transposed(self, value: Array, drift: Array, columns: Array, h: float | None) -> Array:
        """One Euler step backwards of u = yᵀ value y, or its rate of change (h None)."""
        noise = sum(c.T @ value @ c for c in columns)
        if h is None:
            return drift.T @ value + value @ drift + noise
        step = np.eye(self.size) + h * drift
        return step.T @ value @ step + h * noise

    def spread(self, moments: Array, eps: float, h: float) -> Array:
        """One Euler step of E y yᵀ of the perturbed system."""
        step = np.eye(self.size) + h * (self.drift + eps * self.error_drift)
        noise = sum(c @ moments @ c.T for c in self.columns)
        cross = sum(c @ moments @ e.T for c, e in zip(self.columns, self.shared, strict=True))
        own = sum(e @ moments @ e.T for e in self.error_columns)
        return step @ moments @ step.T + h * (noise + eps * (cross + cross.T) + eps**2 * own)

    def at(self, eps: float) -> Array:
        """y yᵀ at the start x₀ + ε η."""
        y = np.concatenate(([1.0], self.start + eps * self.eta))
        return np.outer(y, y)

    def value(self, s: float) -> Array:
        """u(s, ·) of the equation, by a matrix exponential."""
        n = self.size
        eye = np.eye(n * n).reshape(n * n, n, n)
        generator = np.stack([self.transposed(e, self.drift, self.columns, None).ravel() for e in eye], axis=1)
        return (expm((self.horizon - s) * generator) @ self.loss.ravel()).reshape(n, n)

    def expected(self, eps: float, steps: int, intervals: int, nested: bool) -> Array:
        """E of all terms under the Euler scheme, before extrapolation, in the order of `NAMES`."""
        h, saved = self.horizon / steps, [k * steps // intervals for k in range(intervals + 1)]
        values = [self.loss]
        for _ in range(steps):
            values.append(self.transposed(values[-1], self.drift, self.columns, h))
        moments, nodes = self.at(eps), []
        for n in range(steps + 1):
            if n in saved:
                u = values[steps - n] if nested or n == steps else self.value(n * h)
                drift = 2 * eps * np.trace(u @ self.error_drift @ moments)
                pairs = zip(self.columns, self.shared, strict=True)
                cross = 2 * eps * sum(np.trace(c.T @ u @ e @ moments) for c, e in pairs)
                square = eps**2 * sum(np.trace(e.T @ u @ e @ moments) for e in self.error_columns)
                nodes.append((drift, cross, square))
            end, moments = moments, self.spread(moments, eps, h)
        integrals = simpson(np.array(nodes).T, x=np.array([n * h for n in saved]))
        left = float((self.loss * end).sum() - (values[steps] * self.at(0.0)).sum())
        start = float((values[steps] * (self.at(eps) - self.at(0.0))).sum())
        right = start + float(integrals.sum())
        return np.array([left, start, *integrals, right, left - right])

    def extrapolated(self, eps: float, steps: int, intervals: int, nested: bool = False) -> Array:
        """The same from steps and half as many, as the estimates have it."""
        fine, coarse = (self.expected(eps, n, intervals, nested) for n in (steps, steps // 2))
        return 2 * fine - coarse

    def exact(self, eps: float) -> float:
        """E ℓ(x^ε) − E ℓ(x⁰) from the moment equations in symbols."""
        d = self.size - 1
        x = sp.symbols(f"x1:{d + 1}")
        y = sp.Matrix([1, *x])
        columns = sp.Matrix.hstack(*(sp.Matrix(m) * y for m in self.columns))[1:, :]
        own = sp.Matrix.hstack(*(sp.Matrix(m) * y for m in self.error_columns))[1:, :]
        drift, error = (list(sp.Matrix(m) * y)[1:] for m in (self.drift, self.error_drift))
        system = PolynomialSystem(x, drift, columns, error, own, sp.Matrix(self.rho))
        loss = sp.expand((y.T * sp.Matrix(self.loss) * y)[0])
        moved, base = (
            effect_equations(system, loss, e).number(
                dict(zip(x, (self.start + e * self.eta).tolist(), strict=True)), self.horizon
            )
            for e in (eps, 0.0)
        )
        return moved - base

    def run(self, eps: float, steps: int = 16, paths: int = 4096, known: bool = True, **options: Any) -> WeakIdentity:
        """The library's two sides."""
        a, b = torch.tensor(self.drift), torch.tensor(self.columns)
        system = Linear(a[1:, 1:], b[:, 1:, 1:], drift_offset=a[1:, 0], diffusion_offset=b[:, 1:, 0])
        error = RepresentationError(
            partial(_drift, torch.tensor(self.error_drift)),
            partial(_columns, torch.tensor(self.error_columns)),
            torch.tensor(self.eta),
            torch.tensor(self.rho),
        )
        value = partial(_value, self) if known else None
        grid, start = TimeGrid(self.horizon, steps), torch.tensor(self.start)
        return weak_identity(
            system, error, partial(_form, self.loss), start, grid, paths, eps=eps, value=value, **options
        )


def _with_one(x: Tensor) -> Tensor:
    return torch.cat((torch.ones_like(x[:, :1]), x), 1)


def _drift(matrix: Tensor, t: Tensor, x: Tensor) -> Tensor:
    return _with_one(x) @ matrix[1:].T


def _columns(matrices: Tensor, t: Tensor, x: Tensor) -> Tensor:
    return torch.einsum("kij,pj->pik", matrices[:, 1:], _with_one(x))


def _form(matrix: Array, x: Tensor) -> Tensor:
    y = _with_one(x)
    return torch.einsum("pi,ij,pj->p", y, torch.tensor(matrix), y)


def _value(problem: Affine, s: float, x: Tensor) -> Tensor:
    return _form(_cached_value(problem.horizon - s, id(problem)), x)


_PROBLEMS: dict[int, Affine] = {}


@cache
def _cached_value(left: float, key: int) -> Array:
    problem = _PROBLEMS[key]
    return problem.value(problem.horizon - left)


def lifted(matrix: Any, offset: Any) -> Array:
    """An affine map of x as a matrix on (1, x)."""
    matrix, offset = np.atleast_2d(np.asarray(matrix, float)), np.atleast_1d(np.asarray(offset, float))
    return np.block([[np.zeros((1, 1 + len(matrix)))], [offset[:, None], matrix]])


def affine(dim: int, columns: int, own: int, seed: int) -> Affine:
    """Random matrices: columns that do not commute, a full matrix ρ, and every part of an error."""
    rng = np.random.default_rng(seed)

    def maps(count: int, size: float) -> Array:
        return np.stack([lifted(size * rng.standard_normal((dim, dim)), size * rng.standard_normal(dim)) for _ in
                         range(count)])  # fmt: skip

    rho = rng.standard_normal((columns, own))
    loss = rng.standard_normal((dim + 1, dim + 1))
    loss = loss @ loss.T / (dim + 1)
    drift = lifted(-0.5 * np.eye(dim) + 0.3 * rng.standard_normal((dim, dim)), 0.3 * rng.standard_normal(dim))
    problem = Affine(
        drift,
        maps(columns, 0.25),
        maps(1, 0.4)[0],
        maps(own, 0.4),
        0.8 * rho / np.linalg.norm(rho, 2),
        loss,
        rng.standard_normal(dim),
        0.5 * rng.standard_normal(dim),
    )
    _PROBLEMS[id(problem)] = problem
    return problem


def geometric(rho: float) -> Affine:
    """dx = −x/2 dt + .4 x dB + ε (dW + .3 dt), ℓ = x², with an initial error."""
    square = np.diag([0.0, 1.0])
    problem = Affine(
        lifted(-0.5, 0.0),
        np.stack([lifted(0.4, 0.0)]),
        lifted(0.0, 0.3),
        np.stack([lifted(0.0, 1.0)]),
        np.array([[rho]]),
        square,
        np.array([1.0]),
        np.array([-0.2]),
    )
    _PROBLEMS[id(problem)] = problem
    return problem


PROBLEMS = {"geometric": geometric(-0.5), "plane": affine(2, 2, 2, 0), "space": affine(3, 1, 2, 1)}


def columns_of(found: WeakIdentity) -> list[Estimate]:
    """All estimates, in the order of `NAMES`."""
    return [found.left, *(found.terms[name] for name in TERMS), found.right, found.gap]


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_exact_discrete_values_tend_to_the_identity(name: str) -> None:
    """The reference itself: both sides tend to the exact effect, with an error of order h² in extrapolated values."""
    problem = PROBLEMS[name]
    for eps in (0.2, 0.5, 1.0):
        exact = problem.exact(eps)
        for nested in (False, True):
            coarse, fine = (problem.extrapolated(eps, n, n // 4, nested) for n in (32, 64))
            for k in (0, 5):  # left and right
                assert fine[k] == pytest.approx(exact, abs=5e-3 * (1 + abs(exact)))
                assert abs(fine[k] - exact) < 0.35 * abs(coarse[k] - exact) + 1e-8
            assert abs(fine[6]) < 0.35 * abs(coarse[6]) + 1e-8
            # Every term is needed.
            assert (np.abs(fine[1:5]) > 1e-3).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_every_term_covers_its_exact_value(name: str) -> None:
    """At ε = .2, .5 and 1, with u given and with u simulated: what is estimated is known exactly, bias and all.

    So the two ways agree term by term, up to that bias. No term can be left out.
    """
    problem, pairs = PROBLEMS[name], []
    for seed, eps in enumerate((0.2, 0.5, 1.0)):
        for known in (True, False):
            found = problem.run(eps, known=known, seed=seed, intervals=8)
            wanted = problem.extrapolated(eps, 16, 8, not known)
            pairs += list(zip(columns_of(found), wanted, strict=True))
            exact = problem.exact(eps)
            if eps == 0.2:
                for term in TERMS:
                    assert_misses(found.without(term), wanted[5])
            # To within the bias of eight and sixteen steps the right side is the effect itself.
            pairs.append((found.right + (exact - wanted[5]), exact))
    assert_all_cover(pairs, slack=1e-9)  # rounding, where nothing is random


@pytest.mark.slow
@pytest.mark.parametrize("known", LONG)
def test_verdicts(known: bool) -> None:
    """The identity holds to 5 %, and is violated without any of its terms."""
    found = PROBLEMS["geometric"].run(1.0, 32, 65_536 if known else 32_768, known)
    assert found.verdict().outcome is HOLDS
    for term in TERMS:
        verdict = found.verdict(without=term)
        assert verdict.outcome is VIOLATED
        assert f"without its term '{term}'" in verdict.reason
        assert found.without(term).value == pytest.approx(found.right.value - found.terms[term].value, rel=1e-12)
    with pytest.raises(InvalidArgument, match="must be one of 'start', 'drift', 'cross', 'square'"):
        found.without("other")


def test_a_value_that_is_not_the_bases_is_seen() -> None:
    """u of another rate: the same check fails."""
    problem = PROBLEMS["geometric"]
    system, error = Geometric(-0.5, 0.4), RepresentationError(diffusion=_one)
    for rate, outcome in ((-1.0 + 0.16, HOLDS), (-0.5, VIOLATED)):
        found = weak_identity(
            system, error, _square, 1.0, TimeGrid(1.0, 16), 65_536, eps=0.5, value=partial(_grown, rate)
        )
        assert found.verdict().outcome is outcome
    assert problem.horizon == 1.0


def _one(t: Tensor, x: Tensor) -> Tensor:
    return torch.ones_like(x)


def _square(x: Tensor) -> Tensor:
    return (x**2).sum(-1)


def _grown(rate: float, s: float, x: Tensor) -> Tensor:
    return math.exp(rate * (1.0 - s)) * _square(x)


# --- intervals -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("known", KNOWN)
def test_intervals_cover_as_often_as_they_say(known: bool) -> None:
    """At level 90 % the right side, the cross term and the gap miss their exact values about 10 times in 100 seeds.

    The spread of a simulated u is part of the intervals.
    """
    spend()
    problem, repetitions = PROBLEMS["plane"], 100
    wanted = problem.extrapolated(0.5, 4, 2, not known)
    misses = np.zeros(7, dtype=int)
    for seed in range(repetitions):
        estimates = columns_of(problem.run(0.5, 4, 512, known, seed=seed, intervals=2))
        for k, (estimate, truth) in enumerate(zip(estimates, wanted, strict=True)):
            low, high = estimate.interval(0.9)
            misses[k] += not low <= truth <= high
    low, high = (binom.ppf(p, repetitions, 0.1) for p in (FALSE_ALARM / 8, 1 - FALSE_ALARM / 8))
    for k in (2, 3, 5, 6):
        assert low <= misses[k] <= high, NAMES[k]
    # Control: intervals of half the width are seen to be too short.
    assert binom.sf(high, repetitions, 0.41) > 0.99


def test_simulated_derivatives_have_their_spread() -> None:
    """Simulating u costs precision, and the interval says so."""
    problem = PROBLEMS["plane"]
    given, simulated = (problem.run(0.5, 8, 1024, known, intervals=4) for known in (True, False))
    assert given.left.value == simulated.left.value  # the same paths
    assert simulated.terms["cross"].standard_error > 1.2 * given.terms["cross"].standard_error


# --- the same to the bit ---------------------------------------------------------------------------------------------


def moments(found: WeakIdentity) -> Any:
    """The moments of all columns."""
    ((result, _),) = found.left.parts
    return result


@pytest.mark.slow
@pytest.mark.parametrize("known", KNOWN)
def test_executor_does_not_matter(known: bool) -> None:
    """Two blocks here or on threads, to the bit; another seed gives other numbers."""
    problem = PROBLEMS["plane"]
    with ThreadPoolExecutor(2) as pool:
        one, other, third = (
            moments(problem.run(0.5, 4, 5000, known, seed=seed, intervals=2, executor=executor))
            for seed, executor in ((0, None), (0, pool), (1, None))
        )
    assert one.mean.tolist() == other.mean.tolist()
    assert one.scatter.tolist() == other.scatter.tolist()
    assert not (one.mean == third.mean).any()


@pytest.mark.slow
def test_other_processes_do_not_matter() -> None:
    """A simulated u on two workers, to the bit."""
    system, error = Geometric(-0.5, 0.4), RepresentationError(_one, _one, correlation=-0.5)
    run = partial(weak_identity, system, error, _square, 1.0, TimeGrid(1.0, 4), 5000, eps=0.5)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        there = moments(run(executor=pool))
    assert there.mean.tolist() == moments(run()).mean.tolist()


@pytest.mark.parametrize("known", KNOWN)
def test_paths_do_not_depend_on_their_number(known: bool) -> None:
    """The values of the first two paths, from runs of one and two, give the spread of the run of two and three."""
    problem = PROBLEMS["plane"]
    runs = [moments(problem.run(0.5, 4, n, known, intervals=2)) for n in (1, 2, 3)]
    sums = [n * run.mean for n, run in zip((1, 2, 3), runs, strict=True)]
    paths = np.stack([sums[0], sums[1] - sums[0], sums[2] - sums[1]])
    for n in (2, 3):
        deviation = paths[:n] - paths[:n].mean(0)
        np.testing.assert_allclose(runs[n - 1].scatter, deviation.T @ deviation, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(runs[n - 1].high, paths[:n].max(0), rtol=1e-9, atol=1e-11)
    assert float(np.abs(paths[0] - paths[1]).max()) > 1e-3


# --- steps and intervals, without chance -----------------------------------------------------------------------------


class Damped(LatentSDE):
    """dx = −(1 + 2t) x³ dt, whose flow is known."""

    dim = 1

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return -(1.0 + 2.0 * t) * x**3

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def damped_flow(s: float, x: Tensor) -> Tensor:
    """ℓ = x² at time 1, from x at time s."""
    return (x**2 / (1.0 + 2.0 * (1.0 - s + 1.0 - s**2) * x**2)).sum(-1)


def damped(
    error: RepresentationError,
    steps: int,
    intervals: int | None,
    known: bool,
    extrapolate: bool | None = None,
    paths: int = 2,
) -> WeakIdentity:
    """Both sides for a base without noise of its own."""  # fmt: skip
    return weak_identity(
        Damped(), error, _square, 0.8, TimeGrid(1.0, steps), paths, eps=0.7, value=damped_flow if known else None,
        intervals=intervals, extrapolate=extrapolate, scheme="euler",
    )  # fmt: skip


def damped_gap(steps: int, intervals: int | None, known: bool, extrapolate: bool | None = None) -> float:
    """left − right for a drift and an initial error: no path differs from another."""
    error = RepresentationError(lambda t, x: torch.cos(3 * x) + t, initial=0.3)
    found = damped(error, steps, intervals, known, extrapolate)
    assert found.gap.standard_error < 1e-12
    assert abs(found.left.value) > 0.1
    return found.gap.value


def test_simulated_second_derivatives() -> None:
    """A diffusion error on a base without noise: the square terms with u simulated and with u given are on one sample.

    What is between them is the bias of the step, which falls like h²; the curvature of the flow itself counts.
    """
    error = RepresentationError(diffusion=lambda t, x: 0.3 + 0.4 * torch.cos(x), correlation="independent")
    off = []
    for steps in (32, 64):
        given, simulated = (damped(error, steps, 8, known, paths=200).terms["square"].value for known in (True, False))
        off.append(abs(simulated / given - 1.0))
    assert off[1] < 5e-3
    assert off[1] < 0.35 * off[0]


def test_blocks_of_paths_have_noise_of_their_own() -> None:
    """Derivatives simulated from the start alone: a second block of paths is not the first one again."""

    def at_start(t: Tensor, x: Tensor) -> Tensor:
        return torch.ones_like(x) * float(t == 0.0)

    error = RepresentationError(diffusion=at_start, correlation="independent")
    one, two = (
        weak_identity(Geometric(-0.5, 0.4), error, _square, 1.0, TimeGrid(1.0, 4), paths, eps=0.5, intervals=1).terms[
            "square"
        ]
        for paths in (4096, 8192)
    )
    assert one.standard_error > 1e-5
    assert abs(two.value - one.value) > 1e-3 * one.standard_error
    assert two.standard_error < 0.8 * one.standard_error


@pytest.mark.parametrize("known", LONG)
def test_the_gap_falls_with_the_step(known: bool) -> None:
    """Like h, and like h² where it is extrapolated; a nonlinear flow with drift and initial error."""
    for extrapolate in (False, True):
        gaps = [damped_gap(n, n // 2, known, extrapolate) for n in (16, 32, 64)]
        for coarse, fine in pairwise(gaps):
            order = math.log2(abs(coarse / fine))
            assert order > 1.9 if extrapolate else 0.75 < order < 1.25
    assert abs(gaps[-1]) < 2e-4


@pytest.mark.parametrize("known", LONG)
def test_the_gap_falls_with_the_intervals(known: bool) -> None:
    """By Simpson's rule: 2, 4 and 8 intervals against all, each time by more than 8."""
    best = damped_gap(64, 32, known)
    off = [abs(damped_gap(64, k, known) - best) for k in (2, 4, 8)]
    assert off[0] > 8 * off[1] > 64 * off[2] > 0.0
    if not known:
        assert abs(damped_gap(64, None, known)) < abs(damped_gap(64, 8, known))  # eight were seen to be coarse
    else:
        assert damped_gap(64, None, known) == damped_gap(64, 32, known)
    # What does not divide the number of steps is lowered to what does.
    assert damped_gap(64, 7, known) == damped_gap(64, 4, known)


def test_an_odd_number_of_intervals() -> None:
    """Nine steps, extrapolated from three: three intervals, with the rule's own correction at the end."""
    with_three = damped_gap(27, 9, True)
    assert abs(with_three) < 2e-3
    with pytest.warns(UserWarning, match="bias of first order"):
        assert abs(damped_gap(49, None, True)) < 2e-2


# --- other systems ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_nonlinear_systems_with_simulated_values() -> None:
    """Time-dependent coefficients, non-commuting columns: the gap covers zero, and the largest term is needed."""
    cases: list[tuple[Any, RepresentationError, list[float]]] = [
        (NetworkByHand(), full_error(by_hand=True), [0.5, -0.2, 0.3]),
        (Contracting("diagonal"), RepresentationError(diffusion=elementwise, correlation="independent"), [0.4] * 3),
        (Contracting("scalar"), RepresentationError(diffusion=lambda t, x: 0.4 + x[:, :, None].sin()), [0.4] * 3),
    ]
    pairs = []
    for system, error, x0 in cases:
        start = torch.tensor(x0, dtype=F64)
        found = weak_identity(system, error, _square, start, TimeGrid(1.0, 16), 16_384, eps=0.5)
        # Sixteen and eight steps leave a bias of order h², here some per cent of a per cent of the effect.
        pairs.append((found.gap / abs(found.left.value), 0.0))
        largest = max(TERMS, key=lambda name: abs(found.terms[name].value))
        assert_misses(found.left - found.without(largest), 0.0)
        if error.independent:
            assert found.terms["cross"].value == found.terms["cross"].standard_error == 0.0
        if error.zero_drift:
            assert found.terms["start"].value == found.terms["drift"].value == 0.0
    # Noise that grows with time: the simulated u looks at the times that are left, as the known one does.
    error = RepresentationError(_one, _one)
    run = partial(weak_identity, Rising(), error, _square, 1.0, TimeGrid(1.0, 16), eps=0.5)
    simulated, given = run(32_768, intervals=8), run(32_768, seed=1, value=risen, intervals=8)
    pairs.append(((simulated.right - given.right) / given.right.value, 0.0))
    assert simulated.right.standard_error < 0.01 * given.right.value
    assert_all_cover(pairs, slack=0.01)


class Rising(LatentSDE):
    """dx = −x/2 dt + 1.2 t x dB."""

    dim = 1

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return -0.5 * x

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return 1.2 * t * x


def risen(s: float, x: Tensor) -> Tensor:
    """E x² at time 1, from x at time s."""
    return math.exp(-(1.0 - s) + 1.44 * (1.0 - s**3) / 3.0) * _square(x)


def test_a_start_for_each_path() -> None:
    """x₀ and η with one row a path: the mean over the rows of what each alone has."""
    problem = PROBLEMS["geometric"]
    starts, etas = np.linspace(0.5, 1.5, 8192), np.linspace(-0.5, 0.5, 8192)
    error = RepresentationError(
        initial=torch.tensor(etas)[:, None], drift=lambda t, x: torch.full_like(x, 0.3), diffusion=_one,
        correlation=-0.5,
    )  # fmt: skip
    found = weak_identity(
        Geometric(-0.5, 0.4), error, _square, torch.tensor(starts)[:, None], TimeGrid(1.0, 16), eps=0.5,
        value=partial(_grown, -0.84), intervals=8,
    )  # fmt: skip
    moved = replaced(problem, starts, etas)
    assert_all_cover(list(zip(columns_of(found), moved, strict=True)), slack=1e-9)


def replaced(problem: Affine, starts: Array, etas: Array) -> Array:
    """The exact discrete values, averaged over starts by their first and second moments."""
    mean, square = starts + 0.5 * etas, (starts + 0.5 * etas) ** 2
    moments_of = {0.5: np.array([[1, mean.mean()], [mean.mean(), square.mean()]])}
    moments_of[0.0] = np.array([[1, starts.mean()], [starts.mean(), (starts**2).mean()]])

    class Averaged(Affine):
        def at(self, eps: float) -> Array:
            return moments_of[eps]

    return Averaged(**vars(problem)).extrapolated(0.5, 16, 8)


# --- refusals --------------------------------------------------------------------------------------------------------


def test_refusals() -> None:
    """Step maps, actions, sizes that are not above zero, and what every expansion refuses."""
    system, error, grid = Geometric(), RepresentationError(diffusion=_one), TimeGrid(1.0, 4)
    step = StepMap(lambda n, x, a: x / 2, lambda n, x, a: 0.0 * x, 1, 1)
    with pytest.raises(Refused, match="Itô's formula for a differential equation without actions"):
        weak_identity(step, error, _square, 1.0, grid, 8, eps=0.5)
    with pytest.raises(Refused, match="without actions"):
        weak_identity(system, error, _square, 1.0, grid, 8, eps=0.5, actions=fixed(4, 1))
    for eps in (0.0, -0.5, math.nan):
        with pytest.raises(InvalidArgument, match="eps must be"):
            weak_identity(system, error, _square, 1.0, grid, 8, eps=eps)
    for intervals in (0, -1, 2.5):
        with pytest.raises(InvalidArgument, match="intervals must be a whole number >= 1"):
            weak_identity(system, error, _square, 1.0, grid, 8, eps=0.5, intervals=intervals)
    with pytest.raises(HypothesisFails, match="loss growth"):
        weak_identity(system, error, lambda x: torch.exp(x).sum(-1), 1.0, grid, 8, eps=0.5)
    with pytest.raises(InvalidArgument, match="correlation"):
        weak_identity(
            system, RepresentationError(diffusion=lambda t, x: x[:, :, None].expand(-1, -1, 2)), _square, 1.0, grid, 8,
            eps=0.5,
        )  # fmt: skip
    with pytest.raises(InvalidArgument, match="must be one of"):
        weak_identity(system, error, _square, 1.0, grid, 8, eps=0.5).verdict(without="left")


@pytest.mark.slow
def test_a_coarse_quadrature_is_refined_or_said() -> None:
    """Fast decay over a long time: eight intervals miss the integral, and no interval covers that."""
    error = RepresentationError(diffusion=_one, correlation="independent")

    def both(intervals: int | None) -> WeakIdentity:
        system = Linear(a=-2.0, diffusion_offset=0.3)
        return weak_identity(system, error, _square, 1.0, TimeGrid(5.0, 160), 4096, eps=0.5, intervals=intervals)

    coarse, refined = both(8), both(None)
    assert coarse.verdict().outcome is Outcome.INCONCLUSIVE
    assert any("quadrature in time" in flag for flag in coarse.flags)
    assert refined.intervals > 8
    assert not any("quadrature" in flag for flag in refined.flags)
    assert abs(refined.right.value - 0.0625) < 1e-3 < abs(coarse.right.value - 0.0625)
    assert abs(coarse.quadrature.value) > abs(coarse.right.value - 0.0625)  # an upper bound of it
