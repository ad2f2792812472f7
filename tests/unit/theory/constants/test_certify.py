"""Certified constants of networks: never below what is seen, for many networks."""

import math
from typing import final

import numpy as np
import pytest
import torch
from networks import F64, network, norms_at, points
from torch import Tensor, nn

from sdewm import InvalidArgument, LatentSDE, Refused
from sdewm.constant import Certified, Sampled, joined
from sdewm.theory.constants import SampledConstants, certify_network

ACTIVATIONS = (nn.Tanh(), nn.SiLU(), nn.ReLU(), nn.Softplus(), nn.Sigmoid(), nn.GELU())


def cases() -> list[tuple[int, tuple[int, ...], float]]:
    sizes = [(1, 5, 1), (2, 6, 2), (3, 4, 4, 3), (4, 16, 4), (2, 3, 3, 3, 2), (9, 8, 9), (3, 8, 5), (5, 14, 5)]
    return [(seed, sizes[seed % len(sizes)], (-1.0, 0.0)[seed % 2]) for seed in range(24)]


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "sizes", "shift"), cases())
def test_never_below_what_is_seen(seed: int, sizes: tuple[int, ...], shift: float) -> None:
    chosen = ACTIVATIONS[seed % 6 :] + ACTIVATIONS[: seed % 6]
    shift = shift if sizes[0] == sizes[-1] else 0.0
    module = network(sizes, chosen, seed, gain=(0.5, 1.5, 4.0)[seed % 3])
    low, high = -1.0 + 0.1 * seed % 1.0, 1.5
    inside = norms_at(module, points(sizes[0], low, high, 800, seed), shift)
    everywhere = norms_at(module, points(sizes[0], -6.0, 6.0, 800, seed), shift)
    boxed = certify_network(module, (low, high), shift=shift, boxes=300)
    free = certify_network(module, shift=shift)
    assert set(boxed) == set(free) == set(inside)
    for name in inside:
        assert inside[name] <= boxed[name].value < math.inf
        assert max(inside[name], everywhere[name]) <= free[name].value < math.inf
        assert boxed[name].attained is None or boxed[name].attained <= boxed[name].value


def test_a_box_is_sharper_than_all_states() -> None:
    module = network((3, 16, 3), (nn.Tanh(),), 3)
    free, boxed = certify_network(module), certify_network(module, (1.0, 1.4))
    assert all(boxed[name].value < 0.9 * free[name].value for name in ("spectral", "frobenius"))


def test_both_methods_are_there_by_name() -> None:
    module = network((3, 16, 3), (nn.Tanh(),), 3)
    slopes = certify_network(module, (-0.1, 0.1), method="slopes")
    split = certify_network(module, (-0.1, 0.1), method="branch and bound")
    best = certify_network(module, (-0.1, 0.1))
    for name in best:
        assert best[name].value <= min(slopes[name].value, split[name].value)
        assert best[name].attained == split[name].attained
    assert "branch" in split["mu"].source
    assert "branch" not in slopes["mu"].source


def test_above_eight_dimensions_slopes_serve_on_a_box_too() -> None:
    module = network((12, 16, 12), (nn.Tanh(),), 3)
    found = certify_network(module, (-0.3, 0.3), shift=-1.0)
    assert norms_at(module, points(12, -0.3, 0.3, 2000, 0), -1.0)["mu"] <= found["mu"].value
    assert found["mu"].value <= certify_network(module, shift=-1.0)["mu"].value + 1e-6
    with pytest.raises(Refused, match="at most 8"):
        certify_network(module, (-0.3, 0.3), method="branch and bound")


def test_the_same_drift_as_a_network_and_as_itself() -> None:
    from sdewm.drifts import TanhNetwork

    system = TanhNetwork(dim=6, gain=1.5, seed=2)
    last = nn.Linear(6, 6, bias=False, dtype=F64)
    with torch.no_grad():
        last.weight.copy_(system.weight)
    found, known = certify_network(nn.Sequential(nn.Tanh(), last), shift=-1.0), system.certified()
    for name, constant in found.items():
        assert constant.value == pytest.approx(known[name].value, rel=1e-12)


@final
class _Pull(LatentSDE):
    """dx = (network(x) − x) dt."""

    dim = 2

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        value: Tensor = self.network(x) - x
        return value

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def test_sampled_constants_join_and_a_wrong_certificate_does_not() -> None:
    module = network((2, 8, 2), (nn.Tanh(),), 1, gain=3.0)
    seen = SampledConstants(_Pull(module))
    x = points(2, -1.0, 1.0, 200, 0)
    seen.add(0.0, x[:125], x[125:])
    sampled = seen.constants()["mu"]
    assert isinstance(sampled, Sampled)
    both = joined(sampled, certify_network(module, (-1.0, 1.0), shift=-1.0)["mu"])
    assert both.at_least is not None
    assert both.at_most is not None
    assert sampled.value <= both.at_least <= both.at_most
    # The log-norm at the corners of the box alone: it is below what is seen on segments, and is refused.
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=F64)] * 2)
    ends = norms_at(module, corners, -1.0)["mu"]
    with pytest.raises(InvalidArgument, match="does not hold"):
        joined(sampled, Certified(ends, "corners of the box alone"))


def test_a_tight_case() -> None:
    # W₂ D W₁ with orthogonal W: all slopes 1 at the origin attain the product of norms.
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))[0]
    first, last = nn.Linear(20, 20, bias=False, dtype=F64), nn.Linear(20, 20, bias=False, dtype=F64)
    with torch.no_grad():
        first.weight.copy_(torch.from_numpy(q))
        last.weight.copy_(torch.from_numpy(q.T.copy()))
    module = nn.Sequential(first, nn.Tanh(), last)
    found = certify_network(module, shift=-2.0)
    seen = norms_at(module, torch.zeros(1, 20, dtype=F64), -2.0)
    assert seen["mu"] == pytest.approx(-1.0, abs=1e-12)
    assert seen["mu"] <= found["mu"].value <= -1.0 + 1e-5
    # (x − 2) over x in [0, 1]: the slopes at 0 are worst for the norm.
    assert 2.0 - 1e-12 <= found["spectral"].value <= 2.0 + 1e-4


def test_bad_arguments() -> None:
    module = network((2, 4, 2), (nn.Tanh(),), 0)
    with pytest.raises(InvalidArgument, match="method"):
        certify_network(module, method="guess")
    with pytest.raises(InvalidArgument, match="box"):
        certify_network(module, method="branch and bound")
    with pytest.raises(InvalidArgument, match="shift"):
        certify_network(module, shift=math.nan)
