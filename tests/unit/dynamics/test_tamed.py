"""Tamed steps: their value, their derivatives, and what they are good for."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from systems import (
    ETA,
    F64,
    Contracting,
    CoupledDiagonal,
    Network,
    NetworkByHand,
    elementwise,
    fixed,
    full_error,
    sigma,
)
from torch import Tensor

from sdewm.drifts import Cubic, DoubleWell, Linear
from sdewm.dynamics import (
    DifferentiableSDE,
    LatentSDE,
    RepresentationError,
    Variations,
    euler_map,
    perturb,
    simulate,
    simulate_coupled,
    tame,
)
from sdewm.dynamics.derivatives import directional, second_directional
from sdewm.dynamics.system import check_system
from sdewm.exceptions import InvalidArgument, NumericalFailure
from sdewm.grid import TimeGrid
from sdewm.hypothesis import Facts

COARSE = TimeGrid(2.0, 4)  # h = ½: large enough for taming to matter
EPS = 0.3
T = torch.tensor(0.4, dtype=F64)


class Driven(LatentSDE):
    """A cubic that is pushed by an action, plain."""

    dim, action_dim = 2, 2

    def f(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return a - x**3 + torch.sin(x.flip(-1)) * t

    def g(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return 0.3 + 0.2 * torch.sin(x) * a


class DrivenByHand(Driven, DifferentiableSDE):
    """`Driven` with its derivatives written out."""

    def f_jvp(self, t: Tensor, x: Tensor, a: Tensor, v: Tensor) -> Tensor:
        return -3 * x**2 * v + torch.cos(x.flip(-1)) * v.flip(-1) * t

    def f_second(self, t: Tensor, x: Tensor, a: Tensor, v: Tensor, w: Tensor) -> Tensor:
        return -6 * x * v * w - torch.sin(x.flip(-1)) * (v * w).flip(-1) * t

    def g_jvp(self, t: Tensor, x: Tensor, a: Tensor, v: Tensor) -> Tensor:
        return 0.2 * torch.cos(x) * v * a

    def g_second(self, t: Tensor, x: Tensor, a: Tensor, v: Tensor, w: Tensor) -> Tensor:
        return -0.2 * torch.sin(x) * v * w * a


class StratonovichByHand(NetworkByHand):
    """Its hand-written derivatives are not those of its Itô drift."""

    sde_type = "stratonovich"


class Elsewhere:
    """A plain class that states nothing but what torchsde asks, and computes in one dtype."""

    noise_type, sde_type = "diagonal", "ito"

    def __init__(self, dtype: torch.dtype) -> None:
        self.W = 0.5 * fixed(3, 3, seed=1).to(dtype)

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return x @ self.W - x**3

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return 0.3 * torch.cos(x)


BASES: dict[str, tuple[Any, Tensor | None]] = {
    "by hand": (NetworkByHand(), None),
    "by hand, cubic": (Cubic(rate=2.0, noise=0.3, dim=3), None),
    "by hand, driven": (DrivenByHand(), fixed(5, 2, seed=3)),
    "plain": (Network(), None),
    "plain, driven": (Driven(), fixed(5, 2, seed=3)),
    **{f"plain, {kind}": (Contracting(kind), None) for kind in ("diagonal", "scalar", "additive", "general")},
    "Stratonovich, diagonal": (Contracting("diagonal", sde_type="stratonovich"), None),
    "Stratonovich, coupled": (CoupledDiagonal("stratonovich"), None),
    "Stratonovich, general": (Contracting("general", sde_type="stratonovich"), None),
    "Stratonovich, by hand": (StratonovichByHand(), None),
    "perturbed": (perturb(Contracting("diagonal"), RepresentationError(sigma, elementwise), EPS), None),
}
BY_HAND = [name for name in BASES if name.startswith("by hand")]


def states(system: Any, size: float = 2.0) -> Tensor:
    """Where h|f| is neither small nor large."""
    return size * fixed(5, system.dim, seed=5)


def args_of(a: Tensor | None) -> tuple[Tensor, ...]:
    """Actions as trailing arguments."""
    return () if a is None else (a,)


@pytest.mark.parametrize("name", BASES)
def test_value(name: str) -> None:
    """The Itô drift over √(1 + h²|f|²), the diffusion as it is, noise and dimensions as they were."""
    base, a = BASES[name]
    tamed, x = tame(base, COARSE), states(base)
    checked = check_system(base, x, a)
    f, s = checked.drift(T, x, a).detach(), args_of(a)
    expected = torch.stack([row / (1.0 + (COARSE.h * row.norm()) ** 2).sqrt() for row in f])
    torch.testing.assert_close(tamed.f(T, x, *s), expected, rtol=1e-13, atol=0)
    assert torch.equal(tamed.g(T, x, *s), checked.diffusion(T, x, a))
    assert (tamed.dim, tamed.noise_dim, tamed.noise_type) == (checked.dim, checked.noise_dim, checked.noise_type)
    assert (tamed.sde_type, tamed.action_dim) == ("ito", 0 if a is None else a.shape[1])
    assert isinstance(tamed, DifferentiableSDE) == (name in BY_HAND)
    assert float((expected - f).abs().max()) > 0.05  # taming is seen


@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=str)
@pytest.mark.parametrize("size", [1.0, 1e3, 1e6, 1e8])
def test_a_step_is_shorter_than_one_and_keeps_its_direction(size: float, dtype: torch.dtype) -> None:
    """|h f| < 1 at any size of the state, and 1 in the limit of a steep drift."""
    base = Cubic(dim=3)
    x = (size * fixed(50, 3)).to(dtype)
    moved = COARSE.h * tame(base, COARSE).f(T.to(dtype), x)
    length = moved.norm(dim=1)
    assert bool((length <= 1.0 + 4 * torch.finfo(dtype).eps).all())
    wanted = (-(x**3).double() / (x**3).double().norm(dim=1, keepdim=True)) if size > 1.0 else None
    if wanted is not None:
        # 1 − |h f| / √(1 + |h f|²) is at most ½ |h f|^−2, path by path.
        slack = 0.5 / (COARSE.h * (x**3).double().norm(dim=1, keepdim=True)) ** 2
        assert bool(((moved.double() - wanted).abs() <= slack + 8 * torch.finfo(dtype).eps).all())


@pytest.mark.parametrize("name", BY_HAND)
def test_hand_written_derivatives_are_those_of_the_tamed_drift(name: str) -> None:
    """First and second directional derivatives against automatic ones; without the slope of the factor they differ."""
    base, a = BASES[name]
    tamed, x, s = tame(base, COARSE), states(base, 1.0), args_of(a)
    assert isinstance(tamed, DifferentiableSDE)
    v, w = (fixed(5, base.dim, seed=k) for k in (6, 7))

    def f(y: Tensor) -> Tensor:
        return tamed.f(T, y, *s)

    jvp, second = tamed.f_jvp(T, x, *s, v), tamed.f_second(T, x, *s, v, w)
    torch.testing.assert_close(jvp, directional(f, x, v), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(second, second_directional(f, x, v, w), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(second, tamed.f_second(T, x, *s, w, v), rtol=1e-13, atol=1e-13)
    # The derivative of the drift alone, times the factor: what is left when the factor is taken for a constant.
    factor = (f(x) / base.f(T, x, *s))[:, :1]
    assert not torch.allclose(jvp, factor * base.f_jvp(T, x, *s, v), rtol=1e-2)
    assert not torch.allclose(second, factor * base.f_second(T, x, *s, v, w), rtol=1e-2)


@pytest.mark.parametrize("name", BY_HAND)
def test_hand_written_derivatives_against_differences(name: str) -> None:
    """Central differences of the value, without any automatic derivative; also those of the diffusion."""
    base, a = BASES[name]
    tamed, x, s = tame(base, COARSE), states(base, 1.0), args_of(a)
    assert isinstance(tamed, DifferentiableSDE)
    v, h = fixed(5, base.dim, seed=6), 1e-4
    for value, jvp, second in ((tamed.f, tamed.f_jvp, tamed.f_second), (tamed.g, tamed.g_jvp, tamed.g_second)):
        ahead, here, behind = (value(T, x + k * h * v, *s) for k in (1, 0, -1))
        size = float(jvp(T, x, *s, v).abs().max() + second(T, x, *s, v, v).abs().max()) + 1.0
        # Truncation h² f''' and h² f'''', rounding eps/h and 4 eps/h²: at most a hundred times the size here.
        torch.testing.assert_close((ahead - behind) / (2 * h), jvp(T, x, *s, v), rtol=0, atol=100 * h**2 * size)
        torch.testing.assert_close(
            (ahead - 2 * here + behind) / h**2, second(T, x, *s, v, v), rtol=0, atol=100 * (h**2 + 1e-15 / h**2) * size
        )


@pytest.mark.parametrize(("by_hand", "plain"), [(NetworkByHand(), Network()), (DrivenByHand(), Driven())])
@pytest.mark.parametrize("derivatives", ["auto", "formula", "autodiff"])
def test_both_ways_of_writing_a_system_have_the_same_variations(by_hand: Any, plain: Any, derivatives: str) -> None:
    """Derivatives by the chain rule from hand-written ones, and automatic ones of the tamed step."""
    error = full_error() if by_hand.dim == 3 else RepresentationError(elementwise, elementwise, ETA[:2])
    members = {
        key: Variations(tame(system, COARSE), error, derivatives)
        for key, system in (("by hand", by_hand), ("plain", plain))
    }
    actions = fixed(4, 2) if by_hand.action_dim else None
    run = simulate_coupled(members, 0.5, COARSE, paths=20, actions=actions)
    for one, other in zip(run["by hand"], run["plain"], strict=True):
        torch.testing.assert_close(one.final, other.final, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    "base", [DoubleWell(dim=2), Contracting("general"), Cubic(noise=0.5)], ids=lambda s: s._get_name()
)
def test_variations_are_the_derivatives_of_the_tamed_step(base: Any) -> None:
    """Central differences of the perturbed tamed paths give y₁ and y₂; those of the Euler step are others."""
    error = RepresentationError(lambda t, x: torch.sin(x), elementwise, 0.7, "independent")
    grid, sizes = TimeGrid(1.0, 4), (4e-3, 2e-3)
    tamed = tame(base, grid)
    members = {"v": Variations(tamed, error), "euler": Variations(base, error)}
    members |= {f"{sign}{eps}": perturb(tamed, error.scaled(sign), eps) for eps in sizes for sign in (1, -1)}
    run = simulate_coupled(members, 1.1, grid, paths=30)
    gaps = {}
    for name in ("v", "euler"):
        _, y1, y2 = (part.final for part in run[name])
        for eps in sizes:
            ahead, behind, here = run[f"1{eps}"].final, run[f"-1{eps}"].final, run["v"][0].final
            first, second = (ahead - behind) / (2 * eps), (ahead - 2 * here + behind) / (2 * eps**2)
            gaps[name, 1, eps], gaps[name, 2, eps] = (
                float((a - b).abs().max()) for a, b in ((first, y1), (second, y2))
            )
    for order in (1, 2):
        # Central differences are off by ε² times a derivative, plus ε⁴: a quarter is left at half the size.
        assert gaps["v", order, sizes[1]] < 0.27 * gaps["v", order, sizes[0]] < 0.01
        assert gaps["euler", order, sizes[1]] > 0.05


def test_a_perturbed_tamed_system_tames_the_base_only() -> None:
    """perturb(tame(x)) has drift s f + εσ, tame(perturb(x)) has (f + εσ) over its own root."""
    base, x = DoubleWell(dim=3), states(Cubic(dim=3))
    error = RepresentationError(sigma, elementwise, ETA, "independent")
    inside, outside = perturb(tame(base, COARSE), error, EPS), tame(perturb(base, error, EPS), COARSE)
    f = base.f(T, x)
    torch.testing.assert_close(inside.f(T, x), tame(base, COARSE).f(T, x) + EPS * sigma(T, x), rtol=1e-14, atol=0)
    whole = f + EPS * sigma(T, x)
    factor = (1.0 + COARSE.h**2 * whole.square().sum(1, keepdim=True)).rsqrt()
    torch.testing.assert_close(outside.f(T, x), factor * whole, rtol=1e-13, atol=0)
    assert not torch.allclose(inside.f(T, x), outside.f(T, x), rtol=1e-3)
    assert torch.equal(inside.g(T, x), outside.g(T, x))


def test_both_orders_move_on_the_noise_of_the_perturbed_system() -> None:
    """The error's own noise and its start survive taming: with a drift that is never large all three paths agree."""
    base, error = Contracting("diagonal"), RepresentationError(sigma, elementwise, ETA, "independent")
    grid = TimeGrid(1e-3, 8)  # h|f| is below 1e-3, so that taming changes the end by less than 8 ½ h³|f|³
    members = {
        "euler": perturb(base, error, EPS),
        "outside": tame(perturb(base, error, EPS), grid),
        "inside": perturb(tame(base, grid), error, EPS),
        "map": euler_map(tame(perturb(base, error, EPS), grid), grid),
    }
    run = simulate_coupled(members, 0.5, grid, paths=20, save="all")
    for name in ("outside", "inside", "map"):
        torch.testing.assert_close(run[name].states, run["euler"].states, rtol=0, atol=1e-9)
    torch.testing.assert_close(run["outside"].states[0], 0.5 + EPS * ETA.expand(20, 3).to(F64))


@pytest.mark.parametrize("initial", [None, ETA], ids=["no initial error", "initial error"])
@pytest.mark.parametrize("order", ["inside", "outside"])
def test_torchsde_and_the_engine_agree(order: str, initial: Tensor | None) -> None:
    """Both engines begin a tamed perturbed system at the same start and move it by the same noise."""
    error = RepresentationError(sigma, elementwise, initial, "independent")
    base = DoubleWell(dim=3)
    system = perturb(tame(base, COARSE), error, EPS) if order == "inside" else tame(perturb(base, error, EPS), COARSE)
    run = simulate_coupled({"x": system}, 0.5, COARSE, paths=10, save="all")
    torch.testing.assert_close(simulate(system, 0.5, COARSE, paths=10).states, run["x"].states, rtol=1e-12, atol=1e-12)


def test_difference_from_the_euler_step() -> None:
    """h f − h f_tamed is ½ h³|f|²f, up to ⅜ h⁵|f|⁵: the next term of a root's alternating series."""
    base = DoubleWell(dim=3)
    for h in (0.5, 0.05, 0.005):
        x = states(base, 1.0)
        f = base.f(T, x)
        gap = h * f - h * tame(base, TimeGrid(h, 1)).f(T, x)
        size = h * f.norm(dim=1, keepdim=True)
        predicted, rest = 0.5 * size**2 * h * f, 0.375 * size**5
        assert bool(((gap - predicted).norm(dim=1, keepdim=True) <= rest + 1e-15).all())
        # Twice as much is too much wherever the next term is small enough to tell.
        seen = (size < 0.8) & (predicted.norm(dim=1, keepdim=True) > 1e-14)
        assert bool(seen.any())
        assert not bool(((gap - 2.0 * predicted).norm(dim=1, keepdim=True) <= rest + 1e-15)[seen].any())


def test_the_ends_of_tamed_and_euler_paths_differ_to_second_order() -> None:
    """Twice as many steps, a quarter of the difference: taming costs less than the scheme's own first-order error."""
    gaps, own = [], []
    exact = 1.5 / (1.0 + 2.0 * 1.5**2) ** 0.5  # of dx = −x³ dt at t = 1
    for steps in (128, 256, 512):
        grid = TimeGrid(1.0, steps)
        run = simulate_coupled([Cubic(), tame(Cubic(), grid)], 1.5, grid, paths=1)
        gaps.append(abs(float(run[0].final - run[1].final)))
        own.append(abs(float(run[0].final) - exact))
    for k in range(2):
        # Corrections to 4 and 2 are of the order of the step times |f'| = 6.75: at most 0.06.
        assert gaps[k] / gaps[k + 1] == pytest.approx(4.0, rel=0.06)
        assert own[k] / own[k + 1] == pytest.approx(2.0, rel=0.06)


def test_tamed_steps_stay_where_euler_steps_explode() -> None:
    """A start at 30 with steps of ½: Euler leaves the numbers, the tamed paths come in by one at a step."""
    grid = TimeGrid(40.0, 80)
    with pytest.raises(NumericalFailure, match="take smaller steps"):
        simulate_coupled([Cubic(noise=0.5)], 30.0, grid, paths=50)
    run = simulate_coupled([tame(Cubic(noise=0.5), grid)], 30.0, grid, paths=50, save="all")
    states = run[0].states
    noise = 0.5 * grid.h**0.5 * 7.0  # no normal of the 4000 is above seven
    assert bool(((states[1:] - states[:-1]).abs() <= 1.0 + noise).all())
    assert float(states[-1].abs().max()) < 4.0
    assert float(states[1].min()) > 29.0 - noise


@pytest.mark.parametrize(
    ("base", "growth"),
    [(Cubic(), "linear"), (DoubleWell(), "linear"), (Cubic(rate=-1.0), "explosive"), (Linear(), "linear")],
    ids=["inward", "double well", "explosive", "linear"],
)
def test_facts(base: Any, growth: str) -> None:
    """A tamed drift that pulls inwards is bounded; what explodes is still said to; the rest is passed on."""
    tamed = tame(base, COARSE)
    assert tamed.drift_facts is not None
    assert tamed.drift_facts.growth == growth
    assert tamed.diffusion_facts == Facts()
    assert base.drift_facts.growth == ("one-sided" if growth == "linear" and not isinstance(base, Linear) else growth)


def test_facts_that_are_not_declared_are_not_made_up() -> None:
    """A plain system declares nothing, tamed or not; a declared smoothness stays."""
    tamed = tame(Contracting("diagonal"), COARSE)
    assert tamed.drift_facts is tamed.diffusion_facts is None
    base = Contracting("diagonal")
    base.drift_facts = Facts("one-sided", smoothness=1)
    assert tame(base, COARSE).drift_facts == Facts("linear", smoothness=1)


def twins(system: Any) -> list[Any]:
    """Copies, in this process and on the way to another."""
    return [copy.deepcopy(system), pickle.loads(pickle.dumps(system))]


@pytest.mark.parametrize("name", BASES)
def test_copies_have_the_same_steps_and_stand_alone(name: str) -> None:
    """Pickled and copied systems, with actions or without."""
    base, a = BASES[name]
    tamed, x, s = tame(base, COARSE), states(base), args_of(a)
    before = tamed.f(T, x, *s).detach()
    for twin in twins(tamed):
        assert type(twin) is type(tamed)
        assert torch.equal(twin.f(T, x, *s), before)
        assert torch.equal(twin.g(T, x, *s), tamed.g(T, x, *s))
        parameters = dict(twin.named_parameters())
        assert set(parameters) == set(dict(tamed.named_parameters()))
        with torch.no_grad():
            for value in parameters.values():
                value.mul_(2.0)
        assert torch.equal(twin.f(T, x, *s), before) == (not parameters)
        assert torch.equal(tamed.f(T, x, *s), before)


@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=str)
def test_a_foreign_system_is_tamed_at_a_given_state(dtype: torch.dtype) -> None:
    """Its dimension and its dtype are those of the state, also after a copy."""
    base = Elsewhere(dtype)
    x = fixed(4, 3).to(dtype)
    tamed = tame(base, COARSE, x0=x)
    f = base.f(T.to(dtype), x)
    expected = f / (1.0 + COARSE.h**2 * f.square().sum(1, keepdim=True)).sqrt()
    torch.testing.assert_close(tamed.f(T.to(dtype), x), expected)
    for twin in twins(tamed):
        assert torch.equal(twin.f(T.to(dtype), x), tamed.f(T.to(dtype), x))


def test_parameters_are_found_and_trained_through_tamed_steps() -> None:
    """The tamed system's parameters are the base's, and gradients reach them."""
    base = Contracting("diagonal")
    tamed = tame(base, COARSE)
    assert {id(p) for p in tamed.parameters()} == {id(p) for p in base.parameters()}
    simulate(tamed, 0.5, COARSE, paths=3).final.sum().backward()
    assert base.W.grad is not None
    assert bool(base.W.grad.any())


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: tame(Cubic(), 0.5), "grid must be a TimeGrid, got float"),  # type: ignore[arg-type]
        (lambda: tame(Elsewhere(F64), COARSE), "x0 is needed: Elsewhere has no attribute dim"),
        (lambda: tame(Cubic(dim=2), COARSE, x0=fixed(2, 3)), "x0 must have 2 columns"),
    ],
)
def test_refusals(act: Callable[[], Any], says: str) -> None:
    """What is no grid, and shapes that cannot be known or do not fit."""
    with pytest.raises(InvalidArgument, match=says):
        act()
