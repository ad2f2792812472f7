"""Networks as matrices and slopes."""

import numpy as np
import pytest
import torch
from networks import F64, network, points
from torch import nn

from sdewm import InvalidArgument
from sdewm.jacobian import jacobians
from sdewm.theory.constants import read_network
from sdewm.theory.constants.interval import interval_jacobian

ACTIVATIONS = (nn.Tanh(), nn.SiLU(), nn.ReLU(), nn.Softplus(), nn.Sigmoid(), nn.GELU())


@pytest.mark.parametrize("seed", range(6))
def test_what_reaches_each_activation_lies_in_its_interval(seed: int) -> None:
    module = network((3, 7, 6, 5, 2), ACTIVATIONS[seed % 6 :] + ACTIVATIONS[: seed % 6], seed)
    low, high = -0.4, 0.9
    sides = read_network(module).inputs(np.full((1, 3), low), np.full((1, 3), high))
    y = points(3, low, high, 2000, seed)
    k = 0
    for layer in module[:-1]:
        y = layer(y)
        if isinstance(layer, nn.Linear):
            seen, (least, most) = y.detach().numpy(), sides[k]
            assert (least <= seen.min(0)).all()
            assert (seen.max(0) <= most).all()
            if k == 0:  # the first layer's intervals are exact: corners reach them
                assert (most - seen.max(0) < 1e-12 + 0.35 * (most - least)).all()
            k += 1


@pytest.mark.parametrize("seed", range(6))
def test_interval_jacobians_contain_those_of_autograd(seed: int) -> None:
    module = network((3, 6, 5, 3), ACTIVATIONS[seed % 6 :] + ACTIVATIONS[: seed % 6], seed)
    rng = np.random.default_rng(seed)
    low = rng.normal(size=(20, 3))
    high = low + 10.0 ** -rng.uniform(0.0, 4.0, size=(20, 1))
    centre, radius = interval_jacobian(read_network(module, shift=-1.0), low, high)
    for k in range(20):
        part = torch.rand(200, 3, dtype=F64, generator=torch.Generator().manual_seed(k))
        x = torch.from_numpy(low[k]) + part * torch.from_numpy(high[k] - low[k])
        seen = jacobians(lambda y: module(y) - y, x).detach().numpy()
        assert (np.abs(seen - centre[k]) <= radius[k]).all()
    assert radius[-1].max() < 10.0


def test_a_point_is_the_jacobian_itself() -> None:
    module = network((2, 8, 8, 2), (nn.Tanh(), nn.SiLU()), 0)
    x = points(2, -1.0, 1.0, 40, 1)
    centre, radius = interval_jacobian(read_network(module), x.numpy(), x.numpy())
    np.testing.assert_allclose(centre, jacobians(module, x).detach().numpy(), atol=1e-11)
    assert radius.max() < 1e-11


def test_float32_parameters_are_taken_as_they_are() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    assert read_network(module).weights[0].dtype == np.float64
    np.testing.assert_array_equal(read_network(module).weights[0], module[0].weight.detach().double().numpy())


def test_forms_of_networks() -> None:
    assert len(read_network(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))).activations) == 1
    nested = nn.Sequential(nn.Sequential(nn.Linear(2, 3), nn.Tanh()), nn.Identity(), nn.Linear(3, 1))
    assert [w.shape for w in read_network(nested).weights] == [(3, 2), (1, 3)]
    ends = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Tanh())
    np.testing.assert_array_equal(read_network(ends).weights[1], np.eye(2))
    twice = nn.Sequential(nn.Linear(1, 1), nn.Tanh(), nn.Tanh())
    assert len(read_network(twice).activations) == 2
    assert read_network(nn.Tanh(), dim=3).dim == 3


def test_two_activations_in_a_row_are_both_counted() -> None:
    module = nn.Sequential(nn.Tanh(), nn.Sigmoid(), nn.Linear(1, 1, dtype=F64))
    x = torch.linspace(-2.0, 2.0, 101, dtype=F64)[:, None]
    centre, radius = interval_jacobian(read_network(module), x.numpy(), x.numpy())
    np.testing.assert_allclose(centre, jacobians(module, x).detach().numpy(), atol=1e-12)
    assert radius.max() < 1e-11


def test_a_parametrised_layer_is_read_as_it_acts() -> None:
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3, dtype=F64)).eval()
    found = read_network(nn.Sequential(layer, nn.Tanh(), nn.Linear(3, 1, dtype=F64))).weights[0]
    np.testing.assert_array_equal(found, layer.weight.detach().numpy())


def test_what_is_not_understood_is_refused() -> None:
    class Twice(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2.0 * super().forward(x)

    hooked = nn.Linear(2, 2)
    hooked.register_forward_hook(lambda module, x, y: 2.0 * y)
    broken = nn.Linear(2, 2)
    with torch.no_grad():
        broken.weight[0, 0] = torch.nan
    for module, message in (
        (Twice(2, 2), "may contain"),
        (nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), "may contain"),
        (nn.Sequential(nn.Linear(2, 3), nn.Linear(2, 2)), "fit together"),
        (hooked, "hooks"),
        (broken, "finite"),
        (nn.Tanh(), "dim"),
    ):
        with pytest.raises(InvalidArgument, match=message):
            read_network(module)
    with pytest.raises(InvalidArgument, match="outputs"):
        read_network(nn.Linear(2, 3), shift=-1.0)
    with pytest.raises(InvalidArgument, match="Module"):
        read_network(lambda x: x)  # type: ignore[arg-type]
