"""Derivatives of paths in parameters: against backpropagation through torchsde, and against differences."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from systems import ETA, F64, RHO, Contracting, CoupledDiagonal, Geometric, elementwise, fixed, sigma, sigma_bar
from torch import Tensor, nn

from sdewm.drifts import Linear
from sdewm.dynamics import (
    BrownianMotion,
    CategoricalMap,
    LatentSDE,
    RepresentationError,
    Sensitivity,
    StepMap,
    perturb,
    simulate,
    simulate_coupled,
    tame,
)
from sdewm.exceptions import InvalidArgument, Refused
from sdewm.grid import TimeGrid

GRID = TimeGrid(1.0, 6)
PATHS = 3
WHOLE = RepresentationError(sigma, sigma_bar, ETA, RHO)
APART = RepresentationError(sigma, elementwise, ETA, "independent")


class Driven(LatentSDE):
    """A network, with parameters several levels down, that an action drives; one of them is a scalar."""

    dim, action_dim = 3, 2

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()
        self.rate = nn.Parameter(torch.tensor(0.8, dtype=F64))
        with torch.no_grad():
            for k, p in enumerate(self.net.parameters()):
                p.copy_(0.5 * fixed(*p.shape, seed=k))

    def f(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return self.net(torch.cat((x, a), dim=1)) - self.rate * x

    def g(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return 0.3 * torch.tanh(self.rate * x)


class Hidden(LatentSDE):
    """Its drift hides that it depends on its parameter."""

    dim = 1

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(-1.0, dtype=F64))

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return self.a.detach() * x

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


Direction = Mapping[str, Tensor | float]
MATRICES: Direction = {"W": fixed(3, 3, seed=21), "C": fixed(3, 2, seed=22), "B": fixed(3, 2, seed=23)}
DIAGONALS: Direction = {"W": fixed(3, 3, seed=21), "C": fixed(3, 3, seed=22)}

CASES: dict[str, tuple[Any, Direction, Tensor | None]] = {
    "scalar in the drift": (Geometric(), {"a": 1.0}, None),
    "scalar in the diffusion": (Geometric(), {"b": 1.0}, None),
    "both, with weights": (Geometric(), {"a": -0.7, "b": torch.tensor(2.0)}, None),
    "matrix": (Contracting("general"), {"W": fixed(3, 3, seed=21)}, None),
    "three matrices": (Contracting("general"), MATRICES, None),
    "diagonal": (Contracting("diagonal"), DIAGONALS, None),
    "additive": (Contracting("additive"), {"C": fixed(3, 2, seed=22)}, None),
    "Stratonovich": (CoupledDiagonal("stratonovich"), {"M": fixed(3, 3, seed=21)}, None),
    "Stratonovich, general": (Contracting("general", sde_type="stratonovich"), MATRICES, None),
    "perturbed": (perturb(Contracting("general"), WHOLE, 0.3), MATRICES, None),
    "perturbed, noise of its own": (perturb(Contracting("diagonal"), APART, 0.3), DIAGONALS, None),
    "tamed": (tame(Contracting("general"), GRID), {f"source.{k}": v for k, v in MATRICES.items()}, None),
    "perturbed and tamed": (
        perturb(tame(Contracting("general"), GRID), WHOLE, 0.3),
        {f"source.{k}": v for k, v in MATRICES.items()},
        None,
    ),
    "driven": (Driven(), {"net.0.weight": fixed(4, 5, seed=24), "rate": 0.5}, fixed(6, 2, seed=3)),
    "deep": (Driven(), {"net.2.bias": fixed(3, seed=25)}, fixed(6, 2, seed=3)),
}


def parameters_of(system: Any) -> dict[str, nn.Parameter]:
    """Those that a direction names."""
    return dict((system.base if hasattr(system, "base") else system).named_parameters())


def by_backpropagation(system: Any, direction: Direction, actions: Tensor | None) -> Tensor:
    """⟨d x_i / d θ, direction⟩ for every path and coordinate, by one backward pass each through torchsde."""
    final = simulate(system, 0.5, GRID, PATHS, save="final", actions=actions).final
    chosen = [parameters_of(system)[name] for name in direction]
    along = [torch.as_tensor(v, dtype=F64) for v in direction.values()]
    slopes = []
    for number in final.flatten():
        gradients = torch.autograd.grad(number, chosen, retain_graph=True, allow_unused=True)
        slopes.append(sum(float((g * v).sum()) for g, v in zip(gradients, along, strict=True) if g is not None))
    return torch.tensor(slopes, dtype=F64).reshape(final.shape)


@pytest.mark.parametrize("name", CASES)
def test_against_backpropagation_through_torchsde(name: str) -> None:
    """The same derivative from the other engine, to 1e-10; another direction is noticed, and a missing part of one."""
    system, direction, actions = CASES[name]
    run = simulate_coupled({"s": Sensitivity(system, direction)}, 0.5, GRID, PATHS, actions=actions)
    x, slope = run["s"]
    torch.testing.assert_close(slope.final, by_backpropagation(system, direction, actions), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(
        x.final, simulate(system, 0.5, GRID, PATHS, actions=actions).final.detach(), rtol=1e-12, atol=1e-12
    )
    wrong: dict[str, Tensor | float] = dict(direction)
    first = next(iter(wrong))
    wrong[first] = 1.01 * torch.as_tensor(wrong[first])
    assert not torch.allclose(slope.final, by_backpropagation(system, wrong, actions), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_against_differences(name: str) -> None:
    """Central differences of the simulated paths themselves: off by δ², so by a quarter at half of δ."""
    system, direction, actions = CASES[name]
    slope = simulate_coupled([Sensitivity(system, direction)], 0.5, GRID, PATHS, actions=actions)[0][1].final
    chosen, gaps = parameters_of(system), []
    before = {key: chosen[key].detach().clone() for key in direction}

    def moved(delta: float) -> Tensor:
        with torch.no_grad():
            for key, along in direction.items():
                chosen[key].copy_(before[key] + delta * torch.as_tensor(along, dtype=F64))
        return simulate_coupled([system], 0.5, GRID, PATHS, actions=actions)[0].final.detach()

    for delta in (2e-3, 1e-3):
        gaps.append(float(((moved(delta) - moved(-delta)) / (2 * delta) - slope).abs().max()))
    moved(0.0)
    # A path that is linear in the parameter leaves rounding only, 1e-16/δ.
    assert gaps[1] <= 0.27 * gaps[0] + 1e-12
    assert gaps[0] < 1e-3 * float(slope.abs().max()) + 1e-12


def test_the_path_is_the_bases_and_starts_at_rest() -> None:
    """x to the bit that of the system alone; the start does not depend on the parameters."""
    system = Contracting("diagonal")
    run = simulate_coupled({"s": Sensitivity(system, DIAGONALS), "x": system}, 0.5, GRID, PATHS, save="all")
    x, slope = run["s"]
    assert torch.equal(x.states, run["x"].states.detach())
    assert not slope.states[0].any()
    assert bool(slope.states[1].all())


def test_linear_in_the_direction() -> None:
    """The derivative along a sum is the sum of the derivatives, and no factor is lost."""
    system = Contracting("general")
    parts = {name: Sensitivity(system, {name: along}) for name, along in MATRICES.items()}
    weights = {"W": 1.0, "C": -2.0, "B": 0.5}
    whole = Sensitivity(system, {name: weights[name] * torch.as_tensor(MATRICES[name]) for name in MATRICES})
    run = simulate_coupled(parts | {"whole": whole}, 0.5, GRID, PATHS)
    total = sum(weights[name] * run[name][1].final for name in parts)
    torch.testing.assert_close(run["whole"][1].final, total, rtol=1e-12, atol=1e-14)


def test_in_closed_form() -> None:
    """x_N = x₀ Π (1 + ah + b√h ξ_n): the logarithmic derivatives are sums of h and √h ξ over the factors."""
    a, b, h = -0.5, 0.6, GRID.h
    xi = BrownianMotion(0, GRID, 1).normals(PATHS)
    factors = 1.0 + a * h + b * h**0.5 * xi
    run = simulate_coupled({k: Sensitivity(Geometric(a, b), {k: 1.0}) for k in "ab"}, 2.0, GRID, PATHS)
    x = 2.0 * factors.prod(0)
    torch.testing.assert_close(run["a"][1].final, x * (h / factors).sum(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(run["b"][1].final, x * (h**0.5 * xi / factors).sum(0), rtol=1e-12, atol=0)


def test_nothing_is_left_behind() -> None:
    """The parameters keep their values, their gradients stay empty, and no graph is kept."""
    system = Contracting("diagonal")
    before = system.W.detach().clone()
    run = simulate_coupled([Sensitivity(system, DIAGONALS)], 0.5, GRID, PATHS)
    assert torch.equal(system.W, before)
    assert system.W.grad is None
    assert not run[0][1].final.requires_grad
    assert isinstance(system.W, nn.Parameter)


def test_float32() -> None:
    """In float32 the same to its digits, whatever the dtype of the direction."""
    exact = simulate_coupled([Sensitivity(Contracting("diagonal"), DIAGONALS)], 0.5, GRID, PATHS)[0][1].final
    run = simulate_coupled([Sensitivity(Contracting("diagonal", torch.float32), DIAGONALS)], 0.5, GRID, PATHS)
    assert run[0][1].final.dtype == torch.float32
    torch.testing.assert_close(run[0][1].final.double(), exact, rtol=1e-4, atol=1e-5)


def test_frozen_parameters_are_differentiated_too() -> None:
    """requires_grad = False is about training."""
    free, frozen = Geometric(), Geometric()
    frozen.a.requires_grad_(False)
    run = simulate_coupled([Sensitivity(free, {"a": 1.0}), Sensitivity(frozen, {"a": 1.0})], 0.5, GRID, PATHS)
    assert torch.equal(run[0][1].final, run[1][1].final)


def test_a_hidden_parameter_is_noticed() -> None:
    """A detached parameter would silently have no effect at all, while the path moves with it."""
    with pytest.raises(Refused, match="derivative"):
        simulate_coupled([Sensitivity(Hidden(), {"a": 1.0})], 0.5, GRID, PATHS)


STEP = StepMap(lambda n, x, a: x, lambda n, x, a: x, dim=3, noise_dim=3)


@pytest.mark.parametrize(
    ("system", "direction", "says"),
    [
        (STEP, {"a": 1.0}, r"system must be a torch\.nn\.Module with parameters, got StepMap"),
        (
            CategoricalMap(lambda n, h, z, a: h, lambda n, h: h, 2, 1, 2),
            {"a": 1.0},
            r"system must be a torch\.nn\.Module with parameters, got CategoricalMap",
        ),
        (Geometric(), {}, "direction is empty: name at least one parameter"),
        (Geometric(), {"c": 1.0}, "direction names 'c', which is no parameter of the system; it has a, b"),
        (Linear(), {"A": torch.ones(1, 1)}, "direction names 'A', which is no parameter of the system; it has none"),
        (Geometric(), {"a": torch.ones(1)}, r"direction of 'a' must have shape \(\), got \(1,\)"),
        (Contracting("diagonal"), {"W": 1.0}, r"direction of 'W' must have shape \(3, 3\), got \(\)"),
        (Contracting("diagonal"), {"W": torch.ones(9)}, r"direction of 'W' must have shape \(3, 3\), got \(9,\)"),
        (perturb(Contracting("diagonal"), APART, 0.3), {"base.W": torch.ones(3, 3)}, "'base.W', which is no parameter"),
    ],
    ids=["map", "categorical", "empty", "unknown", "none", "scalar", "matrix", "flat", "name of the perturbed"],
)
def test_refusals(system: Any, direction: Direction, says: str) -> None:
    """The sentence names the parameter, its shape, and what there is."""
    with pytest.raises(InvalidArgument, match=says):
        Sensitivity(system, direction)
