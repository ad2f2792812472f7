"""The ensemble engine: equal to torchsde on equal noise, and to the bit for any blocks and workers."""

import multiprocessing
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from systems import F64, Contracting, Geometric, Network, fixed, full_error, sigma_bar, square_sum
from torch import Tensor

from sdewm.drifts import Linear
from sdewm.dynamics import (
    BrownianMotion,
    LatentSDE,
    RepresentationError,
    StepMap,
    Variations,
    euler_map,
    perturb,
    simulate,
    simulate_coupled,
)
from sdewm.dynamics.ensemble import prepare
from sdewm.estimate import Moments
from sdewm.exceptions import InvalidArgument, NumericalFailure
from sdewm.grid import TimeGrid

NOISES = ["diagonal", "scalar", "additive", "general"]


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [(F64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("noise", NOISES)
def test_equals_torchsde_on_the_same_increments(noise: str, dtype: torch.dtype, tolerance: float) -> None:
    system, grid = Contracting(noise, dtype), TimeGrid(5.0, 500)
    save = [0.0, 1.0, 5.0]
    with torch.no_grad():
        expected = simulate(system, 0.5, grid, paths=100, seed=4, save=save)
    run = simulate_coupled([system], 0.5, grid, paths=100, seed=4, save=save)[0]
    assert run.states.dtype == expected.states.dtype == dtype
    assert run.saved == expected.saved == (0, 100, 500)
    assert relative(run.states, expected.states) < tolerance
    other = simulate_coupled([system], 0.5, grid, paths=100, seed=5)[0]
    assert relative(other.final, expected.final) > 0.1


@pytest.mark.parametrize("noise", NOISES)
def test_equals_a_loop_written_by_hand(noise: str) -> None:
    system, grid = Contracting(noise), TimeGrid(2.0, 20)
    dw = BrownianMotion(4, grid, system.columns).increments(7)
    x = torch.full((7, 3), 0.5, dtype=F64)
    with torch.no_grad():
        for n in range(20):
            t, g = torch.tensor(n / 10, dtype=F64), system.g(torch.tensor(n / 10, dtype=F64), x)
            kick = g * dw[n] if g.ndim == 2 else (g @ dw[n][:, :, None])[:, :, 0]
            x = x + 0.1 * system.f(t, x) + kick
    assert relative(simulate_coupled([system], 0.5, grid, paths=7, seed=4)[0].final, x) < 1e-13


def test_members_share_one_brownian_path() -> None:
    a, b = Geometric(-0.5, 0.6), Geometric(-0.5, 0.6)
    run = simulate_coupled({"a": a, "b": b, "c": Geometric(-0.5, 0.7)}, 1.0, TimeGrid(1.0, 20), paths=50)
    assert torch.equal(run["a"].final, run["b"].final)
    together = torch.corrcoef(torch.cat((run["a"].final, run["c"].final), dim=1).T)[0, 1]
    assert float(together) > 0.99
    apart = simulate_coupled([a], 1.0, TimeGrid(1.0, 20), paths=50, seed=1)[0].final
    assert float(torch.corrcoef(torch.cat((run["a"].final, apart), dim=1).T)[0, 1]) < 0.6


def test_a_member_alone_equals_the_member_in_company() -> None:
    grid, base = TimeGrid(1.0, 20), Network()
    company = {"v": Variations(base, full_error()), "xe": perturb(base, full_error(), 0.1), "x": base}
    together = simulate_coupled(company, 0.5, grid, paths=50)
    for name, member in company.items():
        alone = simulate_coupled({name: member}, 0.5, grid, paths=50)
        parts = [(together[name], alone[name])] if name != "v" else zip(together[name], alone[name], strict=True)
        for one, other in parts:
            assert torch.equal(one.states, other.states)


@pytest.fixture(scope="module")
def members() -> dict[str, Any]:
    base = Contracting("general")
    return {"x": base, "xe": perturb(base, RepresentationError(diffusion=sigma_bar), 0.1)}


def same(a: tuple[Moments, ...], b: tuple[Moments, ...]) -> bool:
    pairs = [
        (getattr(p, k), getattr(q, k)) for p, q in zip(a, b, strict=True) for k in ("mean", "scatter", "low", "high")
    ]
    return all(np.array_equal(p, q) for p, q in pairs) and all(p.n == q.n for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_threads_give_the_same_bits(members: dict[str, Any], workers: int) -> None:
    args = (members, 0.5, TimeGrid(1.0, 10), 9000)
    alone = simulate_coupled(*args, observe=square_sum, save=[0.5, 1.0])
    with ThreadPoolExecutor(workers) as pool:
        pooled = simulate_coupled(*args, observe=square_sum, save=[0.5, 1.0], executor=pool)
        states = simulate_coupled(*args, executor=pool)
    assert same(alone.moments, pooled.moments)
    assert alone.moments[0].n == 9000
    assert torch.equal(states["xe"].states, simulate_coupled(*args)["xe"].states)
    assert not same(alone.moments, simulate_coupled(*args, observe=square_sum, save=[0.5, 1.0], seed=1).moments)


@pytest.mark.slow
def test_processes_give_the_same_bits(members: dict[str, Any]) -> None:
    args = (members, 0.5, TimeGrid(1.0, 10), 5000)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        pooled = simulate_coupled(*args, observe=square_sum, executor=pool)
        states = simulate_coupled(*args, executor=pool)
        failing = (Explosive(), 4.0, TimeGrid(1.0, 50), 10)
        with pytest.raises(NumericalFailure) as caught:
            simulate_coupled([failing[0]], *failing[1:], executor=pool)
    assert same(simulate_coupled(*args, observe=square_sum).moments, pooled.moments)
    assert torch.equal(states["xe"].states, simulate_coupled(*args)["xe"].states)
    assert caught.value.path == 0
    assert caught.value.count > 0


class Reversed(Executor):
    """Runs the last block first, and hands the results over in the order that `map` promises."""

    def map(self, fn: Callable[..., Any], *iterables: Any, **_: Any) -> Any:
        (blocks,) = iterables
        results = {block: fn(block) for block in reversed(list(blocks))}
        return iter([results[block] for block in sorted(results)])


def test_block_order_does_not_matter(members: dict[str, Any]) -> None:
    args = (members, 0.5, TimeGrid(1.0, 10), 9000)
    forward, backward = simulate_coupled(*args), simulate_coupled(*args, executor=Reversed())
    assert torch.equal(forward["xe"].states, backward["xe"].states)
    assert same(
        simulate_coupled(*args, observe=square_sum).moments,
        simulate_coupled(*args, observe=square_sum, executor=Reversed()).moments,
    )


def test_more_paths_begin_with_the_same_states(members: dict[str, Any]) -> None:
    grid = TimeGrid(1.0, 10)
    many = simulate_coupled(members, 0.5, grid, 5000)
    full = simulate_coupled(members, 0.5, grid, 4096)
    few = simulate_coupled(members, 0.5, grid, 5)
    for name in members:
        assert many[name].states.shape == (1, 5000, 3)
        assert torch.equal(many[name].final[:4096], full[name].final)
        torch.testing.assert_close(few[name].final, full[name].final[:5], rtol=1e-13, atol=1e-13)


def test_moments_are_those_of_the_states(members: dict[str, Any]) -> None:
    args = (members, 0.5, TimeGrid(1.0, 10), 5000)
    run = simulate_coupled(*args, save=[0.0, 0.5, 1.0])
    observed = simulate_coupled(*args, observe=square_sum, save=[0.0, 0.5, 1.0])
    assert not observed.trajectories
    assert not run.moments
    for i, moments in enumerate(observed.moments):
        direct = Moments.of(square_sum({"x": run["x"].states[i]}).numpy())
        np.testing.assert_allclose(moments.mean, direct.mean, rtol=1e-12)
        np.testing.assert_allclose(moments.scatter, direct.scatter, rtol=1e-9, atol=1e-12)


def test_runs_on_one_seed_are_known_to_be_dependent(members: dict[str, Any]) -> None:
    grid = TimeGrid(1.0, 10)
    one, same_seed, other = (
        simulate_coupled(members, 0.5, grid, 50, seed, observe=square_sum).moments[0].estimates()[0]
        for seed in (0, 0, 1)
    )
    assert (one - other).standard_error > 0
    with pytest.raises(InvalidArgument, match="same noise"):
        one - same_seed


def test_starts() -> None:
    system, grid = Contracting("diagonal"), TimeGrid(1.0, 10)
    per_path = fixed(1500, 3)
    number = simulate_coupled([system], 0.5, grid, 1500, save="all")[0]
    vector = simulate_coupled([system], torch.full((3,), 0.5, dtype=F64), grid, 1500)[0]
    matrix = simulate_coupled([system], torch.full((1500, 3), 0.5, dtype=F64), grid)[0]
    assert torch.equal(number.final, vector.final)
    assert torch.equal(number.final, matrix.final)
    assert torch.equal(simulate_coupled([system], [0.5, 0.5, 0.5], grid, 1500)[0].final, number.final)
    run = simulate_coupled([system], per_path, grid, save=[0.0, 1.0])[0]
    assert torch.equal(run.states[0], per_path)
    with torch.no_grad():
        expected = simulate(system, per_path, grid)
    torch.testing.assert_close(run.final, expected.final, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        simulate_coupled([system], per_path[1100:1101].expand(1500, 3), grid)[0].final[1100], run.final[1100]
    )


def test_dtype_follows_the_start_or_the_argument() -> None:
    grid = TimeGrid(1.0, 4)
    single = Geometric(dtype=torch.float32)
    assert simulate_coupled([single], 1.0, grid, 3)[0].final.dtype == torch.float32
    assert simulate_coupled([single], torch.ones(1, dtype=torch.long), grid, 3)[0].final.dtype == torch.float32
    assert simulate_coupled([Geometric()], 1.0, grid, 3)[0].final.dtype == F64
    step = StepMap(lambda n, x, a: x, lambda n, x, a: torch.ones_like(x), 1, 1, dtype=torch.float32)
    assert simulate_coupled([step], 1.0, grid, 3)[0].final.dtype == torch.float32
    assert simulate_coupled([step], 1.0, grid, 3, dtype=F64)[0].final.dtype == F64


class Driven(LatentSDE):
    dim, action_dim = 2, 2

    def f(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return -x + a

    def g(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return 0.2 * torch.ones_like(x) * torch.cos(a)


def test_actions_for_all_paths_and_for_each() -> None:
    grid, held = TimeGrid(1.0, 10), fixed(10, 2)
    each = held[:, None].expand(10, 1500, 2)
    for run in (
        lambda a: simulate_coupled([Driven()], 0.0, grid, 1500, actions=a)[0],
        lambda a: simulate(Driven(), 0.0, grid, 1500, actions=a),
    ):
        assert torch.equal(run(held).final, run(each).final)
    own = fixed(10, 1500, 2)
    coupled = simulate_coupled([Driven()], 0.0, grid, 1500, actions=own)[0].final
    torch.testing.assert_close(coupled, simulate(Driven(), 0.0, grid, 1500, actions=own).final, rtol=1e-12, atol=1e-12)
    x, dw = torch.zeros(2, dtype=F64), BrownianMotion(0, grid, 2).increments(1500)[:, 1100]
    for n in range(10):
        x = x + 0.1 * (-x + own[n, 1100]) + 0.2 * torch.cos(own[n, 1100]) * dw[n]
    torch.testing.assert_close(coupled[1100], x, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(coupled, simulate_coupled([Driven()], 0.0, grid, 1500, actions=held)[0].final)


def test_what_is_given_path_by_path_finds_its_path_in_every_block() -> None:
    """Starts, actions and initial errors of 5000 paths, of which the last 904 are a block of their own."""
    grid, paths = TimeGrid(1.0, 4), 5000
    actions, start, eta = fixed(4, paths, 2), fixed(paths, 2, seed=1), fixed(paths, 2, seed=2)
    error = RepresentationError(initial=eta)
    perturbed = perturb(Driven(), error, 0.1)
    members = {"xe": perturbed, "map": euler_map(perturbed, grid), "v": Variations(Driven(), error)}
    run = simulate_coupled(members, start, grid, actions=actions, save="all")
    expected = simulate(perturbed, start, grid, actions=actions).states
    torch.testing.assert_close(run["xe"].states, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(run["map"].states, expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(run["v"][1].states[0], eta)


class Explosive(LatentSDE):
    """dx = x³ dt + 2 dB explodes on some paths only."""

    dim = 1

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return x**3

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return 2 * torch.ones_like(x)


def explosion(paths: int, grid: TimeGrid) -> np.ndarray:
    """Step at which each path of `Explosive` from 0 leaves the numbers, by brute force; 10**6 if it does not."""
    dw, x = BrownianMotion(0, grid, 1).increments(paths).numpy()[..., 0], np.zeros(paths)
    first = np.full(paths, 10**6)
    with np.errstate(all="ignore"):
        for n in range(grid.steps):
            x = x + grid.h * x**3 + 2 * dw[n]
            first = np.where(~np.isfinite(x) & (first == 10**6), n + 1, first)
    return first


ENGINES: list[Callable[..., Any]] = [
    lambda s, *a, **k: simulate(s, *a, **k),
    lambda s, *a, **k: simulate_coupled({"x": s}, *a, **k)["x"],
]


@pytest.mark.parametrize("engine", ENGINES, ids=["simulate", "coupled"])
@pytest.mark.parametrize("save", ["all", "final", [0.5, 1.0]])
def test_an_explosion_names_path_time_and_count(engine: Callable[..., Any], save: Any) -> None:
    grid = TimeGrid(1.0, 50)
    first = explosion(40, grid)
    assert first.min() < 45  # not at the end,
    assert first[0] != first.min()  # and not the first path
    with pytest.raises(NumericalFailure) as caught:
        engine(Explosive(), 0.0, grid, 40, save=save)
    error, n = caught.value, int(first.min())
    assert (error.path, error.time, error.count) == (int(first.argmin()), grid.time(n), int((first == n).sum()))
    assert f"path {error.path} first, at t = {grid.time(n):.6g} (step {n} of 50), {error.count} of 40" in str(error)


@pytest.mark.parametrize("engine", ENGINES, ids=["simulate", "coupled"])
def test_paths_that_do_not_explode_are_not_blamed_for_those_that_are_not_there(engine: Callable[..., Any]) -> None:
    grid = TimeGrid(1.0, 50)
    first = explosion(1024, grid)
    quiet = int((first < 10**6).argmax())  # this many paths survive, before the first that does not
    assert 0 < quiet < 1024
    assert bool(torch.isfinite(engine(Explosive(), 0.0, grid, quiet).final).all())
    with pytest.raises(NumericalFailure):
        engine(Explosive(), 0.0, grid, quiet + 1)


class Poisoned(LatentSDE):
    """NaN from t = 0.5 on for the path that carries a mark in its second coordinate."""

    dim = 2

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        bad = (x[:, 1:] > 6) & (t >= 0.5)
        return torch.where(bad, torch.nan, torch.zeros_like(x))

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.tensor([1.0, 0.0], dtype=x.dtype).expand_as(x)


@pytest.mark.parametrize("engine", ENGINES, ids=["simulate", "coupled"])
@pytest.mark.parametrize("path", [0, 1500, 4999])
def test_nan_in_one_path_only(engine: Callable[..., Any], path: int) -> None:
    x0, grid = torch.zeros(5000, 2, dtype=F64), TimeGrid(1.0, 20)
    x0[path, 1] = 7.0
    with pytest.raises(NumericalFailure) as caught:
        engine(Poisoned(), x0, grid)
    assert (caught.value.path, caught.value.time, caught.value.count) == (path, grid.time(11), 1)
    assert bool(
        torch.isfinite(engine(Poisoned(), x0, grid, save=[0.5]).final).all()
    )  # not looked at beyond what is saved


def test_the_failing_member_is_named() -> None:
    error = RepresentationError(lambda t, x: torch.where(t > 0.4, torch.inf, torch.zeros_like(x)))
    base = Geometric()
    with pytest.raises(NumericalFailure, match=r"of member 'xe' is not finite: path 0 first, at t = 0\.8 "):
        simulate_coupled({"x": base, "xe": perturb(base, error, 0.1)}, 1.0, TimeGrid(1.0, 5), 3)
    with pytest.raises(NumericalFailure, match="of member 'v'"):
        simulate_coupled({"x": base, "v": Variations(base, error)}, 1.0, TimeGrid(1.0, 5), 3)


def test_coarsened_run_moves_on_the_same_path() -> None:
    system, fine = Geometric(), TimeGrid(1.0, 64)
    exact = torch.exp((-0.5 - 0.18) * 1.0 + 0.6 * BrownianMotion(0, fine, 1).increments(200).sum(0))
    errors = []
    for k in (1, 4, 16):
        ensemble = prepare([system], 1.0, fine, 200, coarsen=k)
        assert ensemble.grid == fine.coarsen(k)
        (states,) = ensemble.run(0)
        errors.append(float((states[0] - exact).square().mean().sqrt()))
    assert errors[0] < errors[1] < errors[2] < 0.3
    (other,) = prepare([system], 1.0, fine, 200, seed=1, coarsen=4).run(0)
    assert float((other[0] - exact).square().mean().sqrt()) > 0.4


def test_running_leaves_the_callers_gradient_mode_alone() -> None:
    one, two = (prepare([Geometric()], 1.0, TimeGrid(1.0, 8), 3, save="all") for _ in range(2))
    a, b = one.run(0), two.run(0)
    next(a), next(b)
    assert torch.is_grad_enabled()
    list(a), list(b)
    assert torch.is_grad_enabled()
    start = torch.ones(3, 1, dtype=F64, requires_grad=True)
    run = simulate_coupled([Geometric()], start, TimeGrid(1.0, 8), save="all")
    assert not run[0].states.requires_grad


def test_shapes_of_a_run() -> None:
    run = simulate_coupled({"v": Variations(Network(), full_error())}, 0.5, TimeGrid(1.0, 4), 6, save="all")
    assert len(run["v"]) == 3
    for part in run["v"]:
        assert part.states.shape == (5, 6, 3)
        assert part.times == TimeGrid(1.0, 4).times


def test_a_value_that_is_not_finite_is_never_averaged() -> None:
    def observe(states: Mapping[str, Tensor]) -> Tensor:
        value = states["x"][:, 0].clone()
        value[3] = float("nan")
        return value

    with pytest.raises(NumericalFailure, match="observe returned a value that is not finite: path 3 first, 1 of 10"):
        simulate_coupled({"x": Geometric()}, 1.0, TimeGrid(1.0, 4), 10, observe=observe)


def test_a_drift_that_works_in_place_does_not_change_the_start() -> None:
    class Greedy(LatentSDE):
        dim = 1

        def f(self, t: Tensor, x: Tensor) -> Tensor:
            x.mul_(0.5)
            return -x

        def g(self, t: Tensor, x: Tensor) -> Tensor:
            return torch.ones_like(x)

    x0 = torch.ones(4, 1, dtype=torch.float64)
    simulate(Greedy(), x0, TimeGrid(1.0, 3))
    simulate_coupled([Greedy()], x0, TimeGrid(1.0, 3))
    assert bool((x0 == 1.0).all())


def test_states_whose_sum_overflows_are_finite() -> None:
    """1000 paths at 1e306 add up to infinity, and none of them is."""
    still = Linear(a=0.0, dim=1)
    run = simulate_coupled([still], 1e306, TimeGrid(1.0, 40), 1000)
    assert bool((run[0].final == 1e306).all())
