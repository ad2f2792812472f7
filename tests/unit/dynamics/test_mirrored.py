"""The mirrored error: −W for W, and nothing else."""

import pytest
import torch
from systems import (
    ETA,
    F64,
    RHO,
    Network,
    NetworkByHand,
    elementwise,
    fixed,
    sigma,
    sigma_bar,
    sigma_bar_jvp,
    sigma_jvp,
)

from sdewm.dynamics import BrownianMotion, RepresentationError, Variations, euler_map, perturb, simulate_coupled
from sdewm.grid import TimeGrid

GRID = TimeGrid(1.0, 8)
EPS = 0.2
ERROR = RepresentationError(sigma, sigma_bar, ETA, "independent", sigma_jvp, sigma_bar_jvp)
T, X, V = torch.tensor(0.3, dtype=F64), fixed(4, 3, seed=5), fixed(4, 3, seed=6)


@pytest.mark.parametrize(
    ("correlation", "independent"),
    [
        ("independent", True),
        (0.0, True),
        (-0.0, True),
        (0, True),
        (torch.zeros(2, 2), True),
        (torch.tensor(0.0), True),
        ("shared", False),
        (1e-300, False),
        (-1.0, False),
        (RHO, False),
        (torch.tensor(0.5), False),
    ],
    ids=str,
)
def test_which_noise_is_independent(correlation: str | float | torch.Tensor, independent: bool) -> None:
    """A correlation of zero in any of its forms, and only that."""
    assert RepresentationError(diffusion=elementwise, correlation=correlation).independent is independent


def test_only_the_noise_is_mirrored() -> None:
    """σ̄ and its derivative change sign; σ, η and the correlation stay; twice is the error itself."""
    mirrored = ERROR.mirrored()
    assert mirrored.diffusion is not None
    assert mirrored.diffusion_jvp is not None
    assert torch.equal(mirrored.diffusion(T, X), -sigma_bar(T, X))
    assert torch.equal(mirrored.diffusion_jvp(T, X, V), -sigma_bar_jvp(T, X, V))
    assert (mirrored.drift, mirrored.drift_jvp, mirrored.initial, mirrored.correlation) == (
        sigma,
        sigma_jvp,
        ETA,
        "independent",
    )
    twice = mirrored.mirrored()
    assert twice.diffusion is not None
    assert torch.equal(twice.diffusion(T, X), sigma_bar(T, X))


def test_an_error_without_noise_is_its_own_mirror_image() -> None:
    """There is nothing to mirror."""
    mirrored = RepresentationError(drift=sigma).mirrored()
    assert (mirrored.drift, mirrored.diffusion, mirrored.diffusion_jvp) == (sigma, None, None)


def test_a_mirrored_path_is_the_path_under_the_opposite_noise() -> None:
    """x^ε of the mirrored error is that of the error with −ζ for its own normals ζ, base noise kept."""
    base = Network()
    run = simulate_coupled({"m": perturb(base, ERROR.mirrored(), EPS), "x": perturb(base, ERROR, EPS)}, 0.5, GRID, 20)
    xi = BrownianMotion(0, GRID, 2).normals(20)
    zeta = BrownianMotion(0, GRID, 2, "error-1").normals(20)
    step = euler_map(base, GRID)
    ends = {}
    for sign in (1.0, -1.0):
        x = 0.5 + EPS * ETA.expand(20, 3)
        for n in range(GRID.steps):
            t = torch.tensor(GRID.time(n), dtype=F64)
            moved = step.mean(n, x, None) + torch.einsum("pdm,pm->pd", step.scale(n, x, None), xi[n])
            own = sign * torch.einsum("pdm,pm->pd", sigma_bar(t, x), zeta[n])
            x = moved + EPS * (GRID.h * sigma(t, x) + GRID.h**0.5 * own)
        ends[sign] = x
    torch.testing.assert_close(run["x"].final, ends[1.0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(run["m"].final, ends[-1.0], rtol=1e-12, atol=1e-12)
    assert float((ends[1.0] - ends[-1.0]).abs().min()) > 1e-4


@pytest.mark.parametrize("base", [Network(), NetworkByHand()], ids=["automatic", "by hand"])
def test_pairs_of_variations(base: Network) -> None:
    """y₁ and its mirror image add up to twice that of drift and start alone; −1 times the error does not."""
    members = {
        "v": Variations(base, ERROR),
        "m": Variations(base, ERROR.mirrored()),
        "s": Variations(base, ERROR.scaled(-1.0)),
        "d": Variations(base, RepresentationError(sigma, None, ETA, "independent", sigma_jvp)),
    }
    run = simulate_coupled(members, 0.5, GRID, 20)
    v, m, s, d = (run[key][1].final for key in "vmsd")
    torch.testing.assert_close(v + m, 2.0 * d, rtol=1e-12, atol=1e-12)
    assert float((v + s - 2.0 * d).abs().min()) > 1e-3


def test_variations_of_a_pure_noise_error_are_odd_and_even_to_the_bit() -> None:
    """y₁ changes sign under −W and y₂ does not: pairs of zero-drift errors have no first order at all."""
    error = RepresentationError(diffusion=sigma_bar, correlation="independent")
    run = simulate_coupled(
        {"v": Variations(Network(), error), "m": Variations(Network(), error.mirrored())}, 0.5, GRID, 20
    )
    assert torch.equal(run["m"][1].final, -run["v"][1].final)
    assert torch.equal(run["m"][2].final, run["v"][2].final)
    assert float(run["v"][2].final.abs().min()) > 0.0
