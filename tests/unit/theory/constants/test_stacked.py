"""Systems made of networks: the four blocks, and users' own."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from networks import F64, network, points
from torch import nn

from sdewm import InvalidArgument, LatentSDE
from sdewm.drifts.four_block import FourBlock, Joined, OfHidden
from sdewm.jacobian.chain_bounds import chain_bounds
from sdewm.jacobian.multipliers import multiplier_bound
from sdewm.jacobian.slopes import SlopeChain, interval_matrix
from sdewm.jacobian.stack import NetworkStack
from sdewm.theory.constants import SampledConstants, certified_constants, certify_network
from sdewm.theory.constants.stacked import stacked_chain

TANH = (nn.Tanh(),)


def four_block(seed: int = 0, **changes: Any) -> FourBlock:
    def net(inputs: int, outputs: int, key: int) -> nn.Sequential:
        return network((inputs, 5, outputs), TANH, 10 * seed + key)

    parts: dict[str, Any] = {
        "sequence": Joined(network((6, 5, 4, 3), (nn.SiLU(), nn.Tanh()), seed)),
        "posterior": Joined(net(5, 2, 1)),
        "transition": net(3, 2, 2),
        "decoder": Joined(nn.Linear(5, 2, dtype=F64)),
        "posterior_scale": OfHidden(nn.Sequential(net(3, 2, 3), nn.Softplus())),
        "transition_scale": nn.Sequential(net(3, 2, 3), nn.Softplus()),
        "decoder_scale": Joined(nn.Sequential(net(5, 2, 4), nn.Softplus())),
        "leak": 0.5,
    }
    return FourBlock(latent=2, hidden=3, observation=2, action=1, **{**parts, **changes})


def seen(system: FourBlock, seed: int = 0) -> dict[str, float]:
    sampled = SampledConstants(system, points=3)
    x, y = points(system.dim, -3.0, 3.0, 200, seed), points(system.dim, -3.0, 3.0, 200, seed + 1)
    sampled.add(0.0, x, y, points(system.action_dim, -2.0, 2.0, 200, seed + 2))
    return {
        name: c.value
        for name, c in sampled.constants().items()
        if not name.startswith(("drift_error", "diffusion_error"))
    }


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["diagonal", "general"])
@pytest.mark.parametrize("leak", [None, 0.5])
@pytest.mark.parametrize("rollout", [False, True])
def test_the_four_blocks(noise: str, leak: float | None, rollout: bool) -> None:
    system = four_block(noise=noise, leak=leak)
    system = system.rollout() if rollout else system
    found = certified_constants(system)
    assert set(found) == {"mu", "spectral", "frobenius", "diffusion"}
    for name, value in seen(system).items():
        assert value <= found[name].value < 3.0 * value + 3.0


def test_a_leak_that_is_left_out_would_be_caught() -> None:
    system = four_block(leak=0.05)
    stack = system.drift_networks()
    assert stack is not None
    largest, known = seen(system)["spectral"], certified_constants(system)["spectral"].value
    without = chain_bounds(stacked_chain(replace(stack, shift=()), system.dim))["spectral"].above
    assert without < 15.0 < largest <= known


def test_pure_integrators_do_not_contract() -> None:
    assert certified_constants(four_block(leak=None))["mu"].value >= 0.0


def test_a_deterministic_model_has_a_constant_diffusion() -> None:
    system = four_block(posterior_scale=None, transition_scale=None, decoder_scale=None)
    constant = certified_constants(system)["diffusion"]
    assert (constant.value, constant.attained) == (0.0, 0.0)


def test_what_is_not_understood_is_left_out() -> None:
    class Own(nn.Module):
        def forward(self, h: torch.Tensor) -> torch.Tensor:
            return torch.sin(h[:, :2])

    assert set(certified_constants(four_block(transition=Own()))) == {"diffusion"}
    assert set(certified_constants(four_block(transition_scale=Own()))) == {"mu", "spectral", "frobenius"}
    hooked = four_block()
    hooked.sequence.register_forward_hook(lambda module, x, y: 2.0 * y)
    assert set(certified_constants(hooked)) == {"diffusion"}


def test_a_users_own_system_of_networks() -> None:
    module = network((3, 6, 3), TANH, 1)

    class Own(LatentSDE):
        dim = 3

        def f(self, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            return module(x) - x

        def g(self, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            return torch.ones_like(x)

        def drift_networks(self) -> NetworkStack:
            return NetworkStack(((module, (0, 1, 2)),), (-1.0,) * 3)

    found, known = certified_constants(Own()), certify_network(module, shift=-1.0)
    assert set(found) == set(known)
    assert all(found[name].value == known[name].value for name in known)
    Own.drift_networks = lambda self: 3.0  # type: ignore[assignment, method-assign, return-value]
    with pytest.raises(InvalidArgument, match="NetworkStack"):
        certified_constants(Own())


def test_fixed_slopes_are_no_unknowns() -> None:
    # Two linear layers in a row are one: the same bound as that of their product.
    rng = np.random.default_rng(0)
    w1, w2, w3, w4 = (rng.normal(size=s) / 2 for s in ((5, 3), (14, 5), (4, 14), (3, 4)))
    half, one = np.full(4, 0.5), np.ones(5)
    fixed = SlopeChain((w1, w2, w3, w4), (one, np.zeros(14), half), (one, np.ones(14), half))
    plain = SlopeChain((w2 @ w1, 0.5 * w4 @ w3), (np.zeros(14),), (np.ones(14),))
    for kind in ("mu", "spectral"):
        assert multiplier_bound(fixed, kind) == pytest.approx(multiplier_bound(plain, kind), rel=1e-6)
    linear = SlopeChain((w1, w2[:3]), (np.full(5, 0.5),), (np.full(5, 0.5),))
    norm = np.linalg.norm(0.5 * w2[:3] @ w1, 2)
    assert norm <= multiplier_bound(linear, "spectral") <= norm + 1e-6


def test_a_shallow_network_keeps_its_jacobian_beside_a_deep_one() -> None:
    deep, shallow = network((2, 4, 4, 4, 1), TANH, 0, gain=0.1), nn.Linear(2, 1, dtype=F64)
    chain = stacked_chain(NetworkStack(((shallow, (0, 1)), (deep, (0, 1)))), 2)
    centre, radius = interval_matrix(chain)
    np.testing.assert_allclose(centre[0], shallow.weight.detach().numpy()[0], rtol=1e-13)
    assert radius[0].max() < 1e-13
    assert 0.0 < radius[1].max() < 0.01


def test_columns_go_where_they_are_said_to() -> None:
    module = network((2, 6, 1), TANH, 2, gain=3.0)
    right = NetworkStack(((module, (0, None)), (nn.Linear(1, 1, dtype=F64), (1,))))
    for columns in ((0, 2), (0,), (1, 1)):
        with pytest.raises(InvalidArgument, match=r"inputs, but|twice"):
            stacked_chain(replace(right, parts=((module, columns), right.parts[1])), 2)
    first = stacked_chain(right, 2).weights[0]
    np.testing.assert_array_equal(first[:6, 0], module[0].weight.detach().numpy()[:, 0])
    np.testing.assert_array_equal(first[:6, 1], 0.0)  # the input from outside
    assert first[6, 1] != 0.0 == first[6, 0]
