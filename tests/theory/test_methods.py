"""Every way to estimate an expansion gives the same numbers, and says what it has done."""

import itertools
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from alarm import assert_covers, assert_misses
from joint import assert_all_cover
from systems import ETA, fixed
from torch import Tensor

from sdewm.drifts import Cubic, DoubleWell, Linear, TanhNetwork
from sdewm.dynamics import RepresentationError, StepMap
from sdewm.dynamics.noise import Antithetic
from sdewm.dynamics.sobol import Sobol
from sdewm.dynamics.variation import Terms
from sdewm.estimate import Estimate
from sdewm.exceptions import InvalidArgument
from sdewm.grid import TimeGrid
from sdewm.theory import Expansion, expand, methods
from sdewm.theory.effect import effect_problem
from sdewm.theory.expansion import SKEWED
from sdewm.theory.martingale import pilot
from sdewm.theory.method import METHODS
from sdewm.theory.methods import level_weights, levels_of, sample

A, B, C = -0.5, 0.4, 0.5
BASE = Linear(a=A, b=B)
GRID = TimeGrid(1.0, 8)


def square(x: Tensor) -> Tensor:
    """|x|²."""
    return (x**2).sum(-1)


def constant(t: Tensor, x: Tensor) -> Tensor:
    """The diffusion error."""
    return torch.full_like(x, C)


SHARED = RepresentationError(diffusion=constant)
APART = RepresentationError(diffusion=constant, correlation="independent")


def euler(steps: int, shared: bool = True) -> tuple[float, float]:
    """P and Q + S/2 of `steps` Euler steps of dx = A x dt + B x dB + ε C dW from 1, loss x², by recursion; Q = 0."""
    h = 1.0 / steps
    x, xy, yy = 1.0, 0.0, 0.0
    for _ in range(steps):
        growth = (1 + A * h) ** 2 + B**2 * h
        x, xy, yy = (1 + A * h) * x, growth * xy + (B * C * h * x if shared else 0.0), growth * yy + C**2 * h
    return 2 * xy, yy


def richardson(steps: int, shared: bool = True) -> tuple[float, float]:
    """The same, extrapolated from half as many steps."""
    (p, c), (p2, c2) = euler(steps, shared), euler(steps // 2, shared)
    return 2 * p - p2, 2 * c - c2


def run(error: RepresentationError = SHARED, grid: TimeGrid = GRID, **options: Any) -> Expansion:
    """The expansion of the linear problem."""
    return expand(BASE, error, square, 1.0, grid, **options)


def second(e: Expansion) -> Estimate:
    """Q + S/2."""
    return e.Q + 0.5 * e.S


def test_fixed_numbers_of_paths() -> None:
    """P, Q + S/2 and their corrections against the exact moments of the scheme, by every method."""
    pairs = []
    units = {"plain": 16_384, "antithetic": 8192, "controls": 16_382, "sobol": 64}
    for name, extrapolate in itertools.product(units, (True, False)):
        e = run(paths=16_384, method=name, extrapolate=extrapolate)
        p, c = (richardson if extrapolate else euler)(8)
        pairs += [(e.P, p), (second(e), c)]
        assert_misses(e.P, 0.8 * p)
        assert (e.method.name, e.method.paths, e.method.units) == (name, 16_384, units[name])
        assert e.method.path_steps == e.method.spent == 16_384 * (12 if extrapolate else 8)
        if extrapolate:
            pairs.append((e.corrections[0], richardson(8)[0] - euler(8)[0]))
            moved = e.corrections[1] + 0.5 * e.corrections[2]
            assert e.method.bias == (abs(e.corrections[0].value), abs(moved.value))
        else:
            assert e.method.bias is None
    assert_all_cover(pairs)


def test_without_the_keyword_nothing_has_changed() -> None:
    """The default is the plain method, and it is the mean over the paths of a coupled run."""
    e, plain = run(paths=1000), run(paths=1000, method="plain")
    assert (e.P.value, e.S.value, e.P.interval()) == (plain.P.value, plain.S.value, plain.P.interval())
    assert e.method.name == "plain"
    assert e.compare(0.1).remainder.n == 1000


def test_methods_narrow_the_intervals() -> None:
    """In the order of how much of the noise they see; by factors that are far from one."""
    error = {name: run(paths=16_384, method=name).P.standard_error for name in METHODS[:4]}
    assert 2.0 * error["controls"] ** 2 < error["plain"] ** 2
    assert 20.0 * error["sobol"] ** 2 < error["plain"] ** 2


@pytest.mark.slow
def test_tolerances_are_reached() -> None:
    """Intervals are as narrow as asked for and hold the truth; near zero they are measured by the spread."""
    pairs = []
    for name, error in itertools.product(("auto", *METHODS), (SHARED, APART)):
        e = run(error, method=name, tolerance=0.03, seed=1)
        p, c = richardson(8, shared=error is SHARED)
        assert e.method.reached is not None
        assert max(e.method.reached) <= 0.03
        assert not e.method.short
        assert not e.flags
        pairs += [(e.P, p), (second(e), c), (e.predict(0.1), 0.1 * p + 0.01 * c)]
        low, high = e.P.interval()
        if error is SHARED:
            assert (high - low) / 2 == pytest.approx(e.method.reached[0] * abs(e.P.value))
        assert e.method.spent > e.method.path_steps
        assert name in (e.method.name, "auto")
    assert_all_cover(pairs)


def test_auto_takes_the_cheapest_and_says_so() -> None:
    """By predicted time, which is in the report beside the path-steps; it is deterministic, and runs what it chose."""
    e, repeated = run(method="auto", tolerance=0.01), run(method="auto", tolerance=0.01)
    assert (e.method, e.P.value) == (repeated.method, repeated.P.value)
    name, predicted, weighted = e.method.name, e.method.predicted, e.method.weighted
    assert predicted is not None
    assert weighted is not None
    # Here martingales need fewer steps than the other pilots would take.
    assert set(predicted) == set(weighted) == {"plain", "antithetic", "controls", "martingale"}
    assert name == min(weighted, key=weighted.__getitem__) == "martingale"
    assert 5.0 * predicted["martingale"] < min(predicted[m] for m in METHODS[:3])
    assert "the least predicted time; path-steps: " in e.method.reason
    assert name in str(e.method)
    again = run(method=name, tolerance=0.01)
    assert (again.P.value, again.method.paths) == (e.P.value, e.method.paths)
    assert run(method=name, tolerance=0.01, seed=5).P.value != e.P.value


@pytest.mark.slow
def test_auto_goes_by_time_not_by_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method whose path-steps are cheap wins, however many of them it needs."""

    def chosen(*cheap: str) -> str:
        """Where a path-step of these methods takes a billionth of the others' time."""
        with monkeypatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the cap: only the choice matters here
            patch.setattr(methods, "PRICES", {name: 1e-9 if name in cheap else 1.0 for name in METHODS})
            return run(method="auto", tolerance=0.0005, work=300_000).method.name

    for name in METHODS:
        assert chosen(name) == name
    assert chosen("plain", "antithetic") == "antithetic"


@pytest.mark.slow
def test_predictions_are_about_right() -> None:
    """What plain and antithetic runs need is known from their variances."""
    # A pilot that would cost more than another method altogether is left out: at this tolerance none is.
    predicted = run(method="auto", tolerance=0.0005).method.predicted
    assert predicted is not None
    assert set(predicted) == set(METHODS)
    for name in ("plain", "antithetic", "controls", "multilevel"):
        path_steps = run(method=name, tolerance=0.02).method.path_steps
        assert 1600.0 * path_steps == pytest.approx(predicted[name], rel=0.1)


def test_the_cap_on_work_is_kept_and_reported() -> None:
    """With a warning, a flag, and an interval that is as wide as it is."""
    with pytest.warns(UserWarning, match=r"the tolerance 0.0001 was not reached.*and work is 1e\+06; allow more work"):
        e = run(method="plain", tolerance=1e-4, work=1_000_000)
    assert e.method.short
    assert e.method.spent <= 1_000_000
    assert "was not reached" in e.flags[-1]
    assert e.method.reached is not None
    assert max(e.method.reached) > 1e-4
    assert_covers(e.P, richardson(8)[0])


def test_what_is_measured_afterwards_fits() -> None:
    """R(ε) and the remainder by the same kind of paths; the remainder of a quadratic problem is nothing."""
    p, c = richardson(8)
    pairs = []
    for name in ("antithetic", "sobol", "multilevel"):
        e = run(method=name, tolerance=0.03)
        assert abs(e.compare(0.1).remainder.value) < 1e-12
        pairs.append((e.measure(0.1), 0.1 * p + 0.01 * c))
        assert e.measure(0.1, seed=7).value != e.measure(0.1).value
    assert_all_cover(pairs)


def test_levels_telescope_to_the_extrapolated_grid() -> None:
    """On one noise the weighted sum is path by path what the fine grid gives: here in expectation, by recursion."""
    for extrapolate, exact in ((True, richardson), (False, euler)):
        problem = effect_problem(BASE, SHARED, square, 1.0, TimeGrid(1.0, 32), 64, extrapolate=extrapolate)
        levels = levels_of(problem)
        weights = level_weights(levels, extrapolate)
        assert [level.grid.steps for level in levels] == [4, 8, 16, 32]
        for j in range(2):
            values = [euler(4)[j]]
            values += [
                (euler(level.grid.steps)[j] - euler(level.grid.steps // level.extrapolate)[j]) / (level.extrapolate - 1)
                for level in levels[1:]
            ]
            assert float(np.dot(weights, values)) == pytest.approx(exact(32)[j], rel=1e-12)


def test_multilevel_does_not_begin_where_coarse_steps_explode() -> None:
    """Four Euler steps of a double well are another process: the ladder begins further up, or is not offered."""
    error = RepresentationError(diffusion=lambda t, x: 0.5 + 0.4 * torch.sin(2 * x))
    e = expand(
        DoubleWell(),
        error,
        lambda x: (x**4 / 4 - 0.3 * x).sum(-1),
        0.6,
        TimeGrid(1.0, 64),
        method="multilevel",
        tolerance=0.1,
        scheme="euler",
    )
    assert e.method.reached is not None
    assert max(e.method.reached) < 0.1


def test_a_deterministic_problem_needs_no_paths() -> None:
    """Nothing varies: every interval is a point, and zero is near zero."""
    drift = RepresentationError(drift=lambda t, x: torch.ones_like(x))
    e = expand(Cubic(rate=1.0, noise=0.0), drift, square, 0.5, GRID, method="auto", tolerance=0.01, scheme="euler")
    assert e.method.reached is not None
    assert max(e.method.reached) < 1e-12


@pytest.mark.slow
def test_step_maps_and_several_columns() -> None:
    """A map has no coarser grids; general noise and a drift error go the same way."""
    step = StepMap(lambda n, x, a: 0.9 * torch.tanh(x), lambda n, x, a: 0.2 + 0.1 * torch.sin(x), 2, 2)
    error = RepresentationError(diffusion=lambda t, x: 0.1 * torch.cos(x), drift=lambda t, x: 0.05 * x)
    plain = expand(step, error, square, 0.6, TimeGrid(6.0, 6), 65_536, seed=3)
    differences = []
    for name in ("auto", "sobol", "controls"):
        e = expand(step, error, square, 0.6, TimeGrid(6.0, 6), method=name, tolerance=0.02)
        assert e.method.bias is None
        differences += [e.P - plain.P, e.Q - plain.Q, e.S - plain.S]
    assert_all_cover((difference, 0.0) for difference in differences)


def test_noise_that_does_not_fit_is_refused_by_name() -> None:
    """More dimensions than the tables have."""
    wide = TanhNetwork(dim=8, gain=0.1)
    error = RepresentationError(diffusion=lambda t, x: 0.5 + 0.1 * torch.sin(x))
    grid = TimeGrid(1.0, 2652)
    with pytest.raises(InvalidArgument, match="2652 steps x 8 noise columns = 21216 Sobol dimensions"):
        expand(wide, error, square, 0.5, grid, 256, method="sobol")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"method": "magic", "paths": 64}, r"method must be one of 'auto', 'plain', .*, got 'magic'"),
        ({"method": "auto", "paths": 64}, "tolerance is needed for method='auto'"),
        ({"method": "multilevel", "paths": 64}, "tolerance is needed for method='multilevel'"),
        ({"method": "martingale", "paths": 64}, "tolerance is needed for method='martingale'"),
        ({"method": "sobol", "paths": 255}, "paths must be at least 256 for method='sobol', got 255"),
        ({"method": "antithetic", "paths": 33}, "paths must be a multiple of the cluster of 2 paths, got 33"),
        ({"method": "plain", "tolerance": 0.01, "paths": 64}, "tolerance sets the number of paths itself.*got 64"),
        ({"method": "plain", "tolerance": 0.0}, "tolerance must be above zero, got 0.0"),
        ({"method": "plain", "tolerance": 0.1, "work": 0}, "work must be a whole number >= 1, got 0"),
        ({"method": "plain", "tolerance": 0.1, "work": 100}, "work must be at least 49152 path-steps.*got 100"),
        (
            {"method": "multilevel", "tolerance": 0.1, "grid": TimeGrid(1.0, 7), "extrapolate": False},
            "below the 7 steps",
        ),
    ],
)
def test_bad_arguments(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        run(**options)


def test_paths_that_differ_in_more_than_noise_are_refused() -> None:
    """Starts and initial errors of single paths are a sample of their own."""
    each = fixed(64, 3)
    base, error = TanhNetwork(dim=3), RepresentationError(diffusion=lambda t, x: torch.ones_like(x), initial=each)
    with pytest.raises(InvalidArgument, match="x0 differs from path to path"):
        expand(base, APART, square, each, GRID, method="antithetic")
    with pytest.raises(InvalidArgument, match="initial differs from path to path"):
        expand(base, error, square, ETA, GRID, 64, method="antithetic")
    with pytest.raises(InvalidArgument, match="x0, actions and the error's initial part must be the same"):
        expand(base, APART, square, each, GRID, method="plain", tolerance=0.1)


def test_martingales_combine_with_any_law_of_the_paths() -> None:
    """The controls of one pilot, on independent paths, pairs and points: all hold the truth, and far less is left."""
    problem = effect_problem(BASE, SHARED, square, 1.0, GRID, 4096)
    control = pilot(problem, Terms(), 2048, seed=9)
    assert control is not None
    pairs = []
    for noise in (problem.noise, Antithetic(), Sobol(64)):
        ready = replace(problem, noise=noise)
        with_it, without = sample(ready, Terms(), control=control).targets, sample(ready, Terms()).targets
        assert 3.0 * with_it[1].standard_error < without[1].standard_error
        pairs += list(zip(with_it, richardson(8), strict=True))
    assert_all_cover(pairs)


def test_martingales_of_too_many_coordinates_are_refused() -> None:
    """A regression on more functions than paths would explain anything."""
    wide = Linear(a=A, b=B, dim=300)
    with pytest.raises(InvalidArgument, match="method='martingale' needs fewer dimensions or steps"):
        expand(wide, SHARED, square, 1.0, GRID, method="martingale", tolerance=0.1)


def test_laws_combine() -> None:
    """Mirrored replicates: an odd coefficient of a linear problem is exact, and the numbers agree."""
    problem = effect_problem(BASE, SHARED, square, 1.0, GRID, 16_384)
    found = sample(replace(problem, noise=Antithetic(Sobol(512))), Terms())
    p, c = found.targets
    assert p.n == 16
    assert_all_cover([(p, richardson(8)[0]), (c, richardson(8)[1])])


def test_a_tolerance_chooses_by_itself() -> None:
    """A method is named only where somebody wants another; without a tolerance nothing can be chosen."""
    chosen = expand(BASE, SHARED, square, 1.0, GRID, tolerance=0.1)
    named = expand(BASE, SHARED, square, 1.0, GRID, tolerance=0.1, method="plain")
    assert chosen.method.predicted
    assert not named.method.predicted
    assert expand(BASE, SHARED, square, 1.0, GRID, 256).method.name == "plain"
    with pytest.raises(InvalidArgument, match="tolerance is needed for method='auto'"):
        expand(BASE, SHARED, square, 1.0, GRID, 256, method="auto")


def test_replicates_that_are_too_skewed_are_flagged() -> None:
    """A loss that one path in thousands decides: no correction of the interval is to be trusted, and none is silent."""
    steep = {"loss": lambda x: (x**8).sum(-1), "x0": 1.0, "grid": GRID, "paths": 1024, "method": "sobol"}
    assert SKEWED in expand(Linear(a=A, b=0.8), SHARED, **steep).flags
    assert not run(paths=1024, method="sobol").flags
