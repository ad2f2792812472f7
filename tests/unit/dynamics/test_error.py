"""Perturbed systems: their covariance, their noise, their kinds, and that both ways of writing one agree."""

import copy
import pickle
from typing import Any

import pytest
import torch
from systems import ETA, F64, RHO, Contracting, Network, elementwise, fixed, full_error, sigma, sigma_bar
from torch import Tensor

from sdewm.dynamics import (
    LatentSDE,
    RepresentationError,
    StepMap,
    Variations,
    euler_map,
    perturb,
    simulate,
    simulate_coupled,
)
from sdewm.dynamics.error import smallest_eps
from sdewm.exceptions import InvalidArgument, Refused
from sdewm.grid import TimeGrid

EPS = 0.3
GRID = TimeGrid(1.0, 10)
ROTATION = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=F64)
WIDE = fixed(3, 2, seed=12) / 4  # three base noises, two of the error

CASES: dict[str, tuple[Any, Any, Any, Tensor, str]] = {
    # base, σ̄, correlation, ρ, expected noise type
    "diagonal, shared": (Contracting("diagonal"), elementwise, "shared", torch.eye(3, dtype=F64), "diagonal"),
    "diagonal, opposite": (Contracting("diagonal"), elementwise, -1.0, -torch.eye(3, dtype=F64), "diagonal"),
    "diagonal, c": (Contracting("diagonal"), elementwise, 0.3, 0.3 * torch.eye(3, dtype=F64), "general"),
    "diagonal, tensor c": (
        Contracting("diagonal"),
        elementwise,
        torch.tensor(0.3, dtype=F64),
        0.3 * torch.eye(3, dtype=F64),
        "general",
    ),
    "diagonal, independent": (
        Contracting("diagonal"),
        elementwise,
        "independent",
        torch.zeros(3, 3, dtype=F64),
        "general",
    ),
    "diagonal, matrix": (Contracting("diagonal"), sigma_bar, WIDE, WIDE, "general"),
    "general, shared": (Contracting("general"), sigma_bar, "shared", torch.eye(2, dtype=F64), "general"),
    "general, matrix": (Contracting("general"), sigma_bar, RHO, RHO, "general"),
    "general, rotation": (Contracting("general"), sigma_bar, ROTATION, ROTATION, "general"),
    "general, elementwise": (
        Contracting("general"),
        elementwise,
        "independent",
        torch.zeros(2, 3, dtype=F64),
        "general",
    ),
    "additive, shared": (Contracting("additive"), sigma_bar, "shared", torch.eye(2, dtype=F64), "general"),
    "scalar, shared": (
        Contracting("scalar"),
        lambda t, x: sigma_bar(t, x)[:, :, :1],
        "shared",
        torch.eye(1, dtype=F64),
        "scalar",
    ),
}


def dense(g: Tensor) -> Tensor:
    return torch.diag_embed(g) if g.ndim == 2 else g


@pytest.mark.parametrize("name", CASES)
def test_covariance_of_the_perturbed_noise(name: str) -> None:
    base, diffusion, correlation, rho, noise_type = CASES[name]
    perturbed = perturb(base, RepresentationError(sigma, diffusion, correlation=correlation), EPS)
    t, x = torch.tensor(0.3, dtype=F64), fixed(4, 3, seed=5)
    b, s, g = dense(base.g(t, x)), dense(diffusion(t, x)), dense(perturbed.g(t, x))
    cross = b @ rho @ s.mT
    expected = b @ b.mT + EPS * (cross + cross.mT) + EPS**2 * s @ s.mT
    torch.testing.assert_close(g @ g.mT, expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(perturbed.f(t, x), base.f(t, x) + EPS * sigma(t, x), rtol=0, atol=0)
    assert perturbed.noise_type == noise_type
    assert perturbed.noise_dim == g.shape[2]
    if bool(rho.any()):
        assert not torch.allclose(g @ g.mT, b @ b.mT + EPS**2 * s @ s.mT)  # the cross term is seen


@pytest.mark.parametrize("name", CASES)
def test_sde_and_step_map_and_torchsde_agree(name: str) -> None:
    base, diffusion, correlation, _, _ = CASES[name]
    error = RepresentationError(sigma, diffusion, ETA, correlation)
    h = GRID.h

    def time(n: int) -> Tensor:
        return torch.tensor(GRID.time(n), dtype=F64)

    per_step = RepresentationError(
        lambda n, x: h * sigma(time(int(n)), x), lambda n, x: h**0.5 * diffusion(time(int(n)), x), ETA, correlation
    )
    members = {
        "sde": perturb(base, error, EPS),
        "steps": perturb(euler_map(base, GRID), per_step, EPS),
        "map of the sde": euler_map(perturb(base, error, EPS), GRID),
        "no initial": perturb(base, RepresentationError(sigma, diffusion, correlation=correlation), EPS),
    }
    run = simulate_coupled(members, 0.5, GRID, paths=30, save="all", seed=3)
    for other in (run["steps"], run["map of the sde"], simulate(members["sde"], 0.5, GRID, paths=30, seed=3)):
        torch.testing.assert_close(other.states.detach(), run["sde"].states, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(run["no initial"].states, run["sde"].states)
    torch.testing.assert_close(run["sde"].states[0], 0.5 + EPS * ETA.expand(30, 3))


def test_shared_error_moves_on_the_path_of_the_base() -> None:
    base = Contracting("general")
    error = RepresentationError(diffusion=sigma_bar, correlation=RHO)
    run = simulate_coupled({"base": base, "x": perturb(base, error, 1e-7)}, 0.5, GRID, paths=30)
    gap = float((run["x"].final - run["base"].final).abs().max())
    assert 0.0 < gap < 1e-5
    other = simulate_coupled([base], 0.5, GRID, paths=30, seed=1)[0]
    assert float((other.final - run["base"].final).abs().max()) > 0.1


def test_milstein_for_diagonal_and_its_refusal_for_what_has_become_general() -> None:
    base = Contracting("diagonal")
    shared = perturb(base, RepresentationError(diffusion=elementwise), EPS)
    assert simulate(shared, 0.5, GRID, paths=3, method="milstein").final.shape == (3, 3)
    independent = perturb(base, RepresentationError(diffusion=elementwise, correlation="independent"), EPS)
    for method in ("milstein", "srk"):
        with pytest.raises(
            Refused, match=f"method '{method}' needs iterated integrals .* general noise of PerturbedSDE"
        ):
            simulate(independent, 0.5, GRID, paths=3, method=method)


def test_nested_perturbation_adds_both_errors() -> None:
    base, one = Contracting("diagonal"), RepresentationError(sigma, elementwise, ETA, "independent")
    two = RepresentationError(diffusion=elementwise, initial=-ETA, correlation="independent")
    nested = perturb(perturb(base, one, EPS), two, 0.2)
    assert nested.noise_groups == (("paths", 3), ("error-1", 3), ("error-2", 3))
    t, x = torch.tensor(0.3, dtype=F64), fixed(4, 3, seed=5)
    s = torch.diag_embed(elementwise(t, x)) ** 2
    g = nested.g(t, x)
    torch.testing.assert_close(g @ g.mT, torch.diag_embed(base.g(t, x) ** 2) + (EPS**2 + 0.2**2) * s)
    torch.testing.assert_close(nested.f(t, x), base.f(t, x) + EPS * sigma(t, x))
    torch.testing.assert_close(nested.perturbed_start(x), x + (EPS - 0.2) * ETA)
    run = simulate_coupled({"x": nested, "map": euler_map(nested, GRID)}, 0.5, GRID, paths=20)
    torch.testing.assert_close(simulate(nested, 0.5, GRID, paths=20).final, run["x"].final, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(run["map"].final, run["x"].final, rtol=1e-12, atol=1e-12)
    varied = simulate_coupled({"v": Variations(perturb(base, one, EPS), two)}, 0.5, GRID, paths=20)["v"]
    inner = simulate(perturb(base, one, EPS), 0.5, GRID, paths=20).final
    torch.testing.assert_close(varied[0].final, inner, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("eta", "expected"),
    [
        (0.5, torch.full((4, 3), 0.5, dtype=F64)),
        (ETA, ETA.expand(4, 3)),
        (fixed(4, 3), fixed(4, 3)),
        (ETA[None], ETA.expand(4, 3)),
        (lambda x: torch.sin(x), torch.sin(torch.full((4, 3), 0.7, dtype=F64))),
    ],
    ids=["number", "vector", "per path", "one row", "function"],
)
def test_initial_error(eta: Any, expected: Tensor) -> None:
    base, error = Contracting("diagonal"), RepresentationError(initial=eta)
    assert not error.zero_drift
    members = {
        "x": perturb(base, error, EPS),
        "map": perturb(euler_map(base, GRID), error, EPS),
        "v": Variations(base, error),
    }
    run = simulate_coupled(members, 0.7, GRID, paths=4, save="all")
    for states in (run["x"].states, run["map"].states, simulate(members["x"], 0.7, GRID, paths=4).states):
        torch.testing.assert_close(states[0].detach(), 0.7 + EPS * expected)
    torch.testing.assert_close(run["v"][1].states[0], expected)
    assert not run["v"][2].states[0].any()


@pytest.mark.parametrize("rows", [3, 7])
def test_initial_error_with_the_wrong_number_of_rows(rows: int) -> None:
    base, error = Contracting("diagonal"), RepresentationError(initial=fixed(rows, 3))
    for member in (perturb(base, error, EPS), Variations(base, error)):
        with pytest.raises(InvalidArgument, match=f"initial has {rows} rows, but paths is 5"):
            simulate_coupled([member], 0.7, GRID, paths=5)
    with pytest.raises(InvalidArgument, match=f"initial has {rows} rows, but paths is 5"):
        simulate(perturb(base, error, EPS), 0.7, GRID, paths=5)


def test_step_map_does_not_repeat_the_last_row_of_an_initial_error_that_is_too_short() -> None:
    step = perturb(euler_map(Contracting("diagonal"), GRID), RepresentationError(initial=fixed(3, 3)), EPS)
    with pytest.raises(InvalidArgument, match=r"at least 5 paths, got \(3, 3\)"):
        simulate_coupled([step], 0.7, GRID, paths=5)


def test_scaled_mirrors_every_part() -> None:
    error, t, x = full_error(by_hand=True), torch.tensor(0.3, dtype=F64), fixed(4, 3)
    mirrored = error.scaled(-2)
    assert mirrored.drift is not None
    assert mirrored.diffusion is not None
    assert mirrored.drift_jvp is not None
    torch.testing.assert_close(mirrored.drift(t, x), -2 * sigma(t, x))
    torch.testing.assert_close(mirrored.diffusion(t, x), -2 * sigma_bar(t, x))
    torch.testing.assert_close(mirrored.initial, -2 * ETA)
    assert mirrored.correlation is error.correlation
    base = Network()
    run = simulate_coupled({"a": Variations(base, error), "b": Variations(base, error.scaled(-1))}, 0.5, GRID, paths=9)
    torch.testing.assert_close(run["a"][1].final, -run["b"][1].final)
    torch.testing.assert_close(run["a"][2].final, run["b"][2].final)


def test_zero_drift() -> None:
    assert RepresentationError(diffusion=elementwise).zero_drift
    assert not full_error().zero_drift


def test_smallest_eps() -> None:
    base, error = Contracting("diagonal", torch.float32), RepresentationError(initial=1.0)
    assert smallest_eps(torch.float32) == pytest.approx(2**-11.5)
    for run in (simulate, lambda s, *a, **k: simulate_coupled([s], *a, **k)):
        run(perturb(base, error, 1e-3), 0.5, GRID, paths=2)
        with pytest.raises(InvalidArgument, match=r"eps = 0\.0001 is below 0\.00035.*use a larger eps or float64"):
            run(perturb(base, error, 1e-4), 0.5, GRID, paths=2)
    perturb(Contracting("diagonal"), error, 1e-4)
    with pytest.raises(InvalidArgument, match=r"eps = 1e-09 is below 1\.5e-08.*use a larger eps\.$"):
        simulate(perturb(Contracting("diagonal"), error, 1e-9), 0.5, GRID, paths=2)


def test_a_rotation_rounded_to_float32_is_still_a_correlation() -> None:
    angle = torch.linspace(0, 3, 100)
    for c, s in zip(torch.cos(angle), torch.sin(angle), strict=True):
        RepresentationError(diffusion=sigma_bar, correlation=torch.tensor([[c, -s], [s, c]]))
    with pytest.raises(InvalidArgument, match="spectral norm"):
        RepresentationError(diffusion=sigma_bar, correlation=1.00001 * torch.eye(2))


class Elsewhere:
    """An SDE of somebody else's: a plain class that states nothing but what torchsde asks."""

    noise_type, sde_type = "diagonal", "ito"

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return -x

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return 0.5 * torch.cos(x)


def test_a_foreign_system_is_perturbed_at_a_given_state() -> None:
    error = RepresentationError(diffusion=elementwise)
    perturbed = perturb(Elsewhere(), error, EPS, x0=torch.ones(1, 4, dtype=F64))
    assert (perturbed.dim, perturbed.noise_type) == (4, "diagonal")
    run = simulate_coupled({"x": Elsewhere(), "xe": perturbed}, torch.ones(4, dtype=F64), GRID, paths=5)
    torch.testing.assert_close(simulate(perturbed, torch.ones(4, dtype=F64), GRID, 5).final, run["xe"].final)


def test_copies_of_a_perturbed_system_stand_alone() -> None:
    perturbed = perturb(Contracting("diagonal"), RepresentationError(sigma, elementwise), EPS)
    t, x = torch.tensor(0.3, dtype=F64), fixed(4, 3)
    before = perturbed.f(t, x).detach()
    for twin in (copy.deepcopy(perturbed), pickle.loads(pickle.dumps(perturbed))):
        torch.testing.assert_close(twin.f(t, x).detach(), before, rtol=0, atol=0)
        with torch.no_grad():
            twin.base.W.mul_(2)
        assert not torch.equal(twin.f(t, x), before)
        assert torch.equal(perturbed.f(t, x), before)


def test_parameters_of_the_base_are_the_perturbed_systems() -> None:
    base = Contracting("diagonal")
    perturbed = perturb(base, RepresentationError(sigma, elementwise), EPS)
    assert {id(p) for p in perturbed.parameters()} == {id(p) for p in base.parameters()}
    simulate(perturbed, 0.5, GRID, paths=3).final.sum().backward()
    assert base.W.grad is not None


class DrivenStep(LatentSDE):
    dim, action_dim = 1, 1

    def f(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return a - x

    def g(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return 0.1 * torch.ones_like(x)


def test_perturbed_system_with_actions() -> None:
    error = RepresentationError(lambda t, x: torch.ones_like(x), correlation="independent")
    perturbed, actions = perturb(DrivenStep(), error, EPS), fixed(10, 1)
    assert perturbed.action_dim == 1
    run = simulate_coupled({"x": perturbed, "v": Variations(DrivenStep(), error)}, 0.0, GRID, paths=4, actions=actions)
    torch.testing.assert_close(simulate(perturbed, 0.0, GRID, 4, actions=actions).final, run["x"].final)
    base = simulate(DrivenStep(), 0.0, GRID, 4, actions=actions).final
    torch.testing.assert_close(base + EPS * run["v"][1].final, run["x"].final)


def test_zero_scale_on_some_coordinates() -> None:
    step = StepMap(
        lambda n, x, a: 0.9 * x,
        lambda n, x, a: torch.tensor([0.0, 0.1], dtype=x.dtype).expand_as(x),
        dim=2,
        noise_dim=2,
    )
    error = RepresentationError(diffusion=lambda n, x: torch.ones_like(x), correlation="independent")
    run = simulate_coupled({"x": step, "xe": perturb(step, error, EPS)}, 1.0, TimeGrid(3.0, 3), paths=50)
    assert torch.allclose(run["x"].final[:, 0], torch.tensor(0.9**3, dtype=F64))
    assert float(run["xe"].final[:, 0].std()) > 0.1
