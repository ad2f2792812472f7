"""Ranges of activations, against dense grids and automatic differentiation."""

import numpy as np
import pytest
import torch
from torch import nn

from sdewm import InvalidArgument
from sdewm.theory.constants.activation import activation_of

MODULES = [
    nn.Tanh(),
    nn.Sigmoid(),
    nn.ReLU(),
    nn.LeakyReLU(0.2),
    nn.LeakyReLU(1.5),
    nn.Softplus(),
    nn.Softplus(beta=3.0),
    nn.SiLU(),
    nn.GELU(),
    nn.Identity(),
]


@pytest.mark.parametrize("module", MODULES, ids=repr)
def test_values_and_slopes_lie_in_their_ranges_and_fill_them(module: nn.Module) -> None:
    rng = np.random.default_rng(0)
    activation = activation_of(module)
    for scale in (0.3, 3.0, 30.0):
        for _ in range(30):
            low, high = np.sort(rng.normal(size=2) * scale)
            x = torch.linspace(low, high, 4001, dtype=torch.float64, requires_grad=True)
            y = module(x)
            (slope,) = torch.autograd.grad(y.sum(), x)
            for seen, (least, most) in (
                (y.detach().numpy(), activation.values(np.array([low]), np.array([high]))),
                (slope.numpy(), activation.slopes(np.array([low]), np.array([high]))),
            ):
                assert least[0] <= seen.min()
                assert seen.max() <= most[0]
                # A range that is much too wide would pass the two lines above.
                spread = 1e-2 * (high - low) + 1e-8
                assert least[0] >= seen.min() - spread
                assert most[0] <= seen.max() + spread


@pytest.mark.parametrize(
    ("module", "least", "most"),
    [
        (nn.Tanh(), 0.0, 1.0),
        (nn.Sigmoid(), 0.0, 0.25),
        (nn.ReLU(), 0.0, 1.0),
        (nn.LeakyReLU(0.2), 0.2, 1.0),
        (nn.Softplus(), 0.0, 1.0),
        (nn.SiLU(), -0.09983932012886698, 1.099839320128867),
        (nn.GELU(), -0.12890414, 1.12890414),
    ],
    ids=repr,
)
def test_global_slopes(module: nn.Module, least: float, most: float) -> None:
    low, high = activation_of(module).slopes(np.array([-np.inf]), np.array([np.inf]))
    assert (low[0], high[0]) == (pytest.approx(least, abs=1e-8), pytest.approx(most, abs=1e-8))
    x = torch.linspace(-50.0, 50.0, 400001, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(module(x).sum(), x)
    assert low[0] <= float(slope.min())
    assert float(slope.max()) <= high[0]


def test_both_sides_of_a_kink_count() -> None:
    low, high = activation_of(nn.ReLU()).slopes(np.array([-1.0, 0.0, 1.0]), np.array([0.0, 0.0, 2.0]))
    assert low.tolist() == [0.0, 0.0, 1.0]
    assert high.tolist() == [1.0, 1.0, 1.0]


def test_ends_alone_miss_the_steepest_point() -> None:
    # tanh' on [−1, 1] is largest inside: a range from the two ends would be caught by the grids above.
    most = activation_of(nn.Tanh()).slopes(np.array([-1.0]), np.array([1.0]))[1][0]
    assert most == 1.0 > 1.0 - np.tanh(1.0) ** 2


def test_unknown_activations_are_refused() -> None:
    for module in (nn.GELU(approximate="tanh"), nn.Softplus(threshold=5.0), nn.LayerNorm(2), nn.Dropout()):
        with pytest.raises(InvalidArgument):
            activation_of(module)
