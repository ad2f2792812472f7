"""What single shipped systems promise besides their derivatives."""

import math

import pytest
import torch
from alarm import FALSE_ALARM, spend
from scipy.stats import chi2

from sdewm.drifts import Cubic, DoubleWell, Geometric, Linear, TanhNetwork
from sdewm.dynamics import simulate
from sdewm.exceptions import InvalidArgument
from sdewm.grid import TimeGrid

F64 = torch.float64


def test_geometric_exact_is_the_limit_of_simulate() -> None:
    """The exact states stand on the very paths that `simulate` uses: the gap falls like the root of the step."""
    system, gaps = Geometric(rate=0.3, volatility=0.5, dim=2), []
    for steps in (16, 256):
        grid = TimeGrid(1.0, steps)
        exact = system.exact(0.7, grid, paths=400, seed=3)
        euler = simulate(system, 0.7, grid, paths=400, seed=3).states
        assert exact.shape == euler.shape == (steps + 1, 400, 2)
        gaps.append(float((exact - euler)[-1].square().mean().sqrt()))
    assert gaps[0] < 0.1
    assert 2.5 < gaps[0] / gaps[1] < 6.5  # 4 for order one half
    other = system.exact(0.7, TimeGrid(1.0, 256), paths=400, seed=4)
    assert float((other[-1] - exact[-1]).square().mean().sqrt()) > 5 * gaps[0]


def test_geometric_exact_starts_and_has_the_stated_law() -> None:
    """log x is Brownian motion with drift; without noise it is the exponential."""
    calm = Geometric(rate=0.3, volatility=0.0).exact(2.0, TimeGrid(2.0, 4), paths=3)
    assert torch.allclose(calm[:, 0, 0], 2.0 * torch.exp(0.3 * torch.linspace(0, 2, 5, dtype=F64)))
    assert torch.equal(calm[0], torch.full((3, 1), 2.0, dtype=F64))


def test_tanh_network_weights_depend_on_the_seed_only() -> None:
    """Equal seeds give equal weights, other seeds and gains do not; a given weight is used as it is."""
    weight = TanhNetwork(dim=6, gain=0.4, seed=3).weight
    assert torch.equal(weight, TanhNetwork(dim=6, gain=0.4, seed=3).weight)
    assert not torch.equal(weight, TanhNetwork(dim=6, gain=0.4, seed=4).weight)
    assert torch.allclose(2 * weight, TanhNetwork(dim=6, gain=0.8, seed=3).weight)
    assert torch.equal(TanhNetwork(dim=6, weight=weight.float()).weight, weight.float().double())
    assert weight.dtype == F64


def test_tanh_network_gain_is_the_scale_of_the_weights() -> None:
    """dim² entries: their sum of squares is chi-squared."""
    spend()
    dim, gain = 40, 0.7
    square = float((TanhNetwork(dim=dim, gain=gain, seed=1).weight ** 2).sum()) * dim / gain**2
    low, high = chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], dim * dim)
    assert low < square < high


def test_deterministic_bases_simulate_to_their_closed_form() -> None:
    """x' = −x³ has x = x0 / √(1 + 2 x0² t)."""
    end = simulate(Cubic(), 1.5, TimeGrid(1.0, 4000), paths=1, save="final").final
    assert abs(float(end) - 1.5 / math.sqrt(1 + 2 * 1.5**2)) < 1e-3


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Cubic(dim=0), "dim"),
        (lambda: Cubic(rate=math.nan), "rate"),
        (lambda: DoubleWell(noise=math.inf), "noise"),
        (lambda: DoubleWell(dim=1.5), "dim"),  # type: ignore[arg-type]
        (lambda: Geometric(volatility="a"), "volatility"),  # type: ignore[arg-type]
        (lambda: TanhNetwork(dim=3, weight=torch.zeros(2, 3)), "weight must have shape"),
        (lambda: TanhNetwork(dim=3, gain=math.nan), "gain"),
        (lambda: TanhNetwork(dim=3, seed=-1), "seed"),
        (lambda: Linear(torch.zeros(2, 3)), "a must be a number or"),
        (lambda: Linear(torch.zeros(2, 2), torch.zeros(1, 3, 3)), "a must be a number or"),
        (lambda: Linear(-1.0, torch.zeros(1, 3, 2)), "b a number or"),
        (lambda: Linear(-1.0, torch.zeros(2, 1, 3)), "b a number or"),
        (lambda: Linear(torch.zeros(2, 2), dim=3), "dim = 3"),
        (lambda: Linear(torch.zeros(2)), "shapes"),
        (lambda: Linear(-1.0, 0.5, dim=3, drift_offset=torch.zeros(2)), "drift_offset"),
        (lambda: Linear(-1.0, torch.zeros(2, 3, 3), diffusion_offset=torch.zeros(3, 2)), "diffusion_offset"),
        (lambda: Linear(math.nan), "finite"),
        (lambda: Linear(-1.0, diffusion_offset=math.inf), "finite"),
    ],
)
def test_bad_parameters_are_refused(build: object, message: str) -> None:
    """One sentence that names the argument."""
    with pytest.raises(InvalidArgument, match=message):
        build()  # type: ignore[operator]


@pytest.mark.parametrize("system", [Cubic(dim=2), DoubleWell(dim=2), Geometric(dim=2), TanhNetwork(2), Linear(dim=2)])
def test_float32_states_stay_float32(system: object) -> None:
    """A state in float32 is simulated in float32, though buffers are float64."""
    x0 = torch.full((4, 2), 0.5)
    assert simulate(system, x0, TimeGrid(0.5, 8)).states.dtype == torch.float32
