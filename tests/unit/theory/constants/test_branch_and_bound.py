"""Suprema over boxes: dense grids, closed forms, and certificates that must be caught."""

import importlib
import math

import numpy as np
import pytest
import torch
from networks import F64, network, norms_at, points
from numpy.typing import NDArray
from torch import nn

from sdewm import InvalidArgument, Refused
from sdewm.theory.constants import branch_and_bound, read_network
from sdewm.theory.constants.interval import NORMS
from sdewm.theory.constants.network import Network

Array = NDArray[np.float64]

MIXED = (nn.Tanh(), nn.SiLU(), nn.Softplus())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", NORMS)
def test_two_dimensions_against_a_dense_grid(seed: int, name: str) -> None:
    module = network((2, 8, 6, 2), MIXED[seed % 3 :] + MIXED[: seed % 3], seed)
    found = branch_and_bound(read_network(module, shift=-1.0), (-1.5, 1.0), name, tolerance=0.005, boxes=20_000)
    axis = torch.linspace(-1.5, 1.0, 61, dtype=F64)
    seen = norms_at(module, torch.cartesian_prod(axis, axis), -1.0)[name]
    assert seen <= found.value
    assert found.attained is not None
    assert found.attained <= found.value
    # Both ends are near the truth: the grid's own gap is below a percent of the norms' range.
    size = math.prod(np.linalg.norm(w, 2) for w in read_network(module).weights) + 1.0
    assert abs(found.attained - seen) < 0.01 * size
    assert found.value - found.attained <= 0.0051 * size


def test_one_dimension_by_hand() -> None:
    # −1 + 3 tanh'(2x) · 2 on [0.25, 1]: largest at 0.25.
    layer, last = nn.Linear(1, 1, bias=False, dtype=F64), nn.Linear(1, 1, bias=False, dtype=F64)
    with torch.no_grad():
        layer.weight.fill_(2.0)
        last.weight.fill_(3.0)
    net = read_network(nn.Sequential(layer, nn.Tanh(), last), shift=-1.0)
    truth = -1.0 + 6.0 * (1.0 - math.tanh(0.5) ** 2)
    found = branch_and_bound(net, (0.25, 1.0), "mu", tolerance=1e-4)
    assert truth - 1e-3 < found.value < truth + 1e-3
    assert found.value >= truth


def test_the_supremum_between_the_ends_is_found() -> None:
    # Trap: the slope of x ↦ 2 tanh x − x is −0.16 at ±1 and 1 at 0; ends alone would certify contraction.
    last = nn.Linear(1, 1, bias=False, dtype=F64)
    with torch.no_grad():
        last.weight.fill_(2.0)
    module = nn.Sequential(nn.Tanh(), last)
    found = branch_and_bound(read_network(module, shift=-1.0), (-1.0, 1.0), "mu", tolerance=1e-3)
    ends = norms_at(module, torch.tensor([[-1.0], [1.0]], dtype=F64), -1.0)["mu"]
    assert ends < 0.0 < 0.99 < found.value < 1.01
    inside = norms_at(module, points(1, -1.0, 1.0, 200, 0), -1.0)["mu"]
    assert ends < inside <= found.value  # states in the box catch the certificate by ends


@pytest.mark.parametrize("dim", [4, 8])
@pytest.mark.parametrize("boxes", [1, 50, 1000])
def test_valid_whenever_it_stops(dim: int, boxes: int) -> None:
    module = network((dim, 12, dim), MIXED, dim)
    net = read_network(module, shift=-1.0)
    seen = norms_at(module, points(dim, -0.5, 0.5, 3000, dim), -1.0)
    for name, value in seen.items():
        assert value <= branch_and_bound(net, (-0.5, 0.5), name, boxes=boxes).value


def test_boxes_that_were_closed_still_count(monkeypatch: pytest.MonkeyPatch) -> None:
    # The left half is within the tolerance and closed; the right half looks worse until it is halved once more.
    def bounds(net: Network, name: str, low: Array, high: Array) -> Array:
        wide = np.where((high - low)[:, 0] >= 1.0, 5.0, 0.2)
        return np.where(high[:, 0] <= 0.0, 1.0, wide)

    module = importlib.import_module("sdewm.theory.constants.branch_and_bound")
    monkeypatch.setattr(module, "norm_on_boxes", bounds)
    monkeypatch.setattr(module, "norm_at_points", lambda net, name, x: np.full(len(x), 0.95))
    line = nn.Linear(1, 1, bias=False, dtype=F64)
    with torch.no_grad():
        line.weight.fill_(1.0)
    for boxes, value in ((1, 5.0), (3, 5.0), (5, 1.0), (100, 1.0)):
        found = branch_and_bound(read_network(line), (-1.0, 1.0), "mu", tolerance=0.1, boxes=boxes)
        assert (found.value, found.attained) == (value, 0.95)


def test_more_boxes_are_never_worse() -> None:
    net = read_network(network((3, 10, 3), MIXED, 5), shift=-1.0)
    values = [branch_and_bound(net, (-1.0, 1.0), "mu", boxes=n, tolerance=1e-6).value for n in (1, 10, 100, 1000)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0] - 0.4


def test_relu_counts_both_sides_of_its_kinks() -> None:
    module = nn.Sequential(nn.ReLU(), nn.Linear(1, 1, bias=False, dtype=F64))
    with torch.no_grad():
        module[1].weight.fill_(1.0)
    net = read_network(module, dim=1)
    assert branch_and_bound(net, (-1.0, 0.0), "mu").value >= 1.0  # the right slope at 0
    assert branch_and_bound(net, (-1.0, -0.5), "mu").value == pytest.approx(0.0, abs=1e-12)


def test_a_box_without_width() -> None:
    module = network((3, 6, 3), MIXED, 7)
    x = points(3, -1.0, 1.0, 1, 0)[0]
    found = branch_and_bound(read_network(module), (x, x), "spectral")
    assert found.value == pytest.approx(norms_at(module, x[None])["spectral"], abs=1e-11)


def test_a_linear_network_is_exact() -> None:
    module = nn.Linear(3, 3, dtype=F64)
    found = branch_and_bound(read_network(module, shift=-1.0), (-9.0, 9.0), "mu")
    a = module.weight.detach().numpy() - np.eye(3)
    assert found.value == pytest.approx(np.linalg.eigvalsh((a + a.T) / 2)[-1], abs=1e-12)


def test_refusals_say_what_to_do() -> None:
    large = read_network(network((9, 4, 9), MIXED, 0))
    with pytest.raises(Refused, match=r"at most 8 dimensions, got 9.*slopes"):
        branch_and_bound(large, (-1.0, 1.0), "mu")
    small = read_network(network((2, 4, 3), MIXED, 0))
    with pytest.raises(InvalidArgument, match="as many outputs"):
        branch_and_bound(small, (-1.0, 1.0), "mu")
    with pytest.raises(InvalidArgument, match="name"):
        branch_and_bound(small, (-1.0, 1.0), "nuclear")
    for box in ((1.0, -1.0), (0.0, math.inf), 3.0, (torch.zeros(3), torch.ones(3))):
        with pytest.raises(InvalidArgument, match="box"):
            branch_and_bound(small, box, "spectral")  # type: ignore[arg-type]
