"""What every bound has in common: settings, constants, the registry, monotone curves, limits of small steps."""

import math

import numpy as np
import pytest
from exact_errors import SOME, WEIGHT, setting, setting_for

from sdewm import InvalidArgument, TimeGrid
from sdewm.constant import Certified
from sdewm.theory.bounds import (
    BOUNDS,
    CONSTANTS,
    Bound,
    FourthMoment,
    LipschitzSteps,
    LogNorm,
    Setting,
    Supremum,
    Weighted,
)
from sdewm.theory.bounds.bound import numbers

ALL: tuple[Bound, ...] = (*BOUNDS, Weighted(WEIGHT), Supremum("own"))
GRID = TimeGrid(1.0, 20)
every_bound = pytest.mark.parametrize("bound", ALL, ids=lambda b: f"{b.name}{len(b.constants)}")
both_sides = pytest.mark.parametrize("side", ["continuous", "discrete"])


def test_the_registry_says_what_each_is() -> None:
    for bound in (*ALL, LipschitzSteps()):
        assert bound.name
        assert bound.statement
        assert bound.hypotheses
        assert bound.reference
        assert set(bound.constants) | set(bound.optional) <= set(CONSTANTS)
        assert not set(bound.constants) & set(bound.optional)
    assert len({bound.name for bound in BOUNDS}) == len(BOUNDS)


@every_bound
@both_sides
def test_curves_increase_in_each_constant(bound: Bound, side: str) -> None:
    where = setting_for(bound, GRID)
    curve = getattr(bound, side)(SOME, where)
    assert curve.shape == (GRID.steps + 1,)
    assert np.isfinite(curve).all()
    grew = set()
    for name in bound.constants:
        more = getattr(bound, side)({**SOME, name: SOME[name] + 0.05}, where)
        assert (more >= curve * (1.0 - 1e-9)).all(), name
        if more[-1] > curve[-1] * (1.0 + 1e-6):
            grew.add(name)
    unused = {"spectral", "weighted_spectral"} if side == "continuous" and not bound.running else set()
    if isinstance(bound, Weighted | FourthMoment | LogNorm) or bound.name.startswith("Gronwall"):
        assert grew == set(bound.constants) - (
            unused if "mu" in bound.constants or isinstance(bound, Weighted) else set()
        )


@pytest.mark.parametrize("bound", [b for b in ALL if b.optional], ids=lambda b: b.name)
def test_curves_increase_in_what_may_be_left_out(bound: Bound) -> None:
    where, most = setting_for(bound, GRID), bound.discrete(SOME, setting_for(bound, GRID))
    tight = dict(zip(bound.optional, (0.97, 0.95), strict=False))
    low = bound.discrete({**SOME, **tight}, where)
    assert (low[2:] < most[2:]).all()
    for name in bound.optional:
        more = bound.discrete({**SOME, **tight, name: tight[name] + 0.005}, where)
        assert (more[2:] > low[2:]).all(), name
        assert (bound.discrete({**SOME, name: 9.0}, where) == most).all()


@every_bound
@both_sides
def test_curves_increase_in_the_error(bound: Bound, side: str) -> None:
    where = setting_for(bound, GRID)
    low = getattr(bound, side)(SOME, where)
    more = Setting(
        GRID, 0.12, where.initial, 1.0, 2, None, where.initial_fourth, where.random_base, where.additive_error
    )
    assert (getattr(bound, side)(SOME, more)[1:] > low[1:]).all()


@every_bound
def test_euler_curves_tend_to_the_continuous_ones_with_order_one(bound: Bound) -> None:
    gaps = []
    for steps in (100, 200, 400):
        where = setting_for(bound, TimeGrid(1.0, steps))
        gaps.append(bound.discrete(SOME, where)[-1] - bound.continuous(SOME, where)[-1])
    assert 1.9 < gaps[0] / gaps[1] < 2.1
    assert 1.95 < gaps[1] / gaps[2] < 2.05


@every_bound
@pytest.mark.parametrize(("s", "s_bar"), [(0.8, 0.0), (0.0, 0.7), (0.8, 0.7)])
@both_sides
def test_no_initial_error_starts_off_the_zero_solution(bound: Bound, side: str, s: float, s_bar: float) -> None:
    given = {**SOME, "drift_error": s, "diffusion_error": s_bar}
    given |= {"weighted_drift_error": s, "weighted_diffusion_error": s_bar}
    curve = getattr(bound, side)(given, setting_for(bound, GRID, 0.0))
    assert curve[0] == 0.0
    assert (curve[1:] > 0.01).all() or s_bar == 0.0
    # It begins like εst or √t, and a solver that waits at zero is seen at once.
    assert (np.diff(curve)[:5] > 0.001).all()


@every_bound
@both_sides
def test_no_error_at_all_stays_at_zero(bound: Bound, side: str) -> None:
    errors = {name: 0.0 for name in SOME if name.endswith(("error", "operator"))}
    assert (getattr(bound, side)({**SOME, **errors}, setting_for(bound, GRID, 0.0)) == 0.0).all()


@every_bound
@both_sides
def test_an_infinite_constant_bounds_nothing(bound: Bound, side: str) -> None:
    where = setting_for(bound, GRID)
    finite = getattr(bound, side)(SOME, where)
    for name in bound.constants:
        curve = getattr(bound, side)({**SOME, name: math.inf}, where)
        assert curve[0] == finite[0]
        unused = (curve == finite).all()
        # Steps are Lipschitz with 1 + hL, whatever the log-norm.
        by_norm = side == "discrete" and name == "mu" and (curve >= finite).all()
        assert np.isinf(curve[1:]).all() or unused or by_norm, name


@every_bound
@both_sides
def test_growth_beyond_floating_point_numbers_is_infinite(bound: Bound, side: str) -> None:
    big = {
        name: 40.0 if name in ("mu", "spectral", "frobenius") or "weighted" in name else v for name, v in SOME.items()
    }
    curve = getattr(bound, side)(big, setting_for(bound, TimeGrid(60.0, 1200)))
    assert np.isinf(curve[-1])
    assert not np.isnan(curve).any()


def test_constants_are_checked() -> None:
    with pytest.raises(InvalidArgument, match="'mu' \\(log-norm"):
        LogNorm().continuous({"diffusion": 1.0}, setting(GRID))
    with pytest.raises(InvalidArgument, match="'diffusion' must be a number >= 0, got -1"):
        numbers({"diffusion": -1.0}, "diffusion")
    with pytest.raises(InvalidArgument, match="'mu' must be a number"):
        numbers({"mu": math.nan}, "mu")
    assert numbers({"mu": -2.0, "weighted_rate": -1.0}, "mu", "weighted_rate") == (-2.0, -1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eps": 0.0}, "eps"),
        ({"initial": -1.0}, "initial must be at least 0"),
        ({"correlation": 1.1}, "correlation"),
        ({"dim": 0}, "dim"),
        ({"initial_moment": ((1.0,),)}, r"of shape \(dim, dim\) = \(2, 2\)"),
        ({"initial_moment": ((1.0, 0.0), (0.0, 1.0))}, "trace"),
        ({"initial_moment": ((math.nan, 0.0), (0.0, 1.0))}, "finite"),
        ({"initial_moment": ((0.5, 0.6), (0.6, 0.5))}, "semidefinite"),
        ({"initial_moment": ((0.5, 0.1), (0.2, 0.5))}, "symmetric"),
        ({"initial_fourth": 0.5}, "initial_fourth must be at least initial"),
    ],
)
def test_settings_are_checked(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        Setting(**{"grid": GRID, "eps": 0.1, "initial": 1.0, "dim": 2, **change})  # type: ignore[arg-type]


def test_settings_with_moments_are_compared_and_hashed() -> None:
    moment = np.array([[0.5, 0.1], [0.1, 0.5]])
    a, b = (Setting(GRID, 0.1, 1.0, dim=2, initial_moment=moment) for _ in range(2))  # type: ignore[arg-type]
    assert a == b
    assert hash(a) == hash(b)
    assert a.initial_moment == ((0.5, 0.1), (0.1, 0.5))


def test_a_step_norm_is_used_where_it_is_less() -> None:
    where, plain = setting(GRID), LogNorm().discrete(SOME, setting(GRID))
    assert (LogNorm().discrete({**SOME, "step_norm": 10.0}, where) == plain).all()
    assert (LogNorm().discrete({**SOME, "step_norm": 0.9}, where)[1:] < plain[1:]).all()


def test_what_comes_with_a_bound() -> None:
    assert dict(LogNorm().known) == {}
    rate = Certified(-0.2, "a certificate")
    assert dict(Weighted(WEIGHT, rate).known) == {"weighted_rate": rate}
    assert dict(Weighted(WEIGHT).known) == {}
