"""Bounds on boxes by the slopes' deviations: brute force over slopes and states, and the formula by hand."""

import numpy as np
import pytest
import torch
from networks import network, norms_at, points
from torch import nn

from sdewm.jacobian.rounding import log_norm_bounds, spectral_bounds
from sdewm.theory.constants import read_network
from sdewm.theory.constants.deviation import deviation_bounds
from sdewm.theory.constants.interval import interval_jacobian

MIXED = (nn.Tanh(), nn.SiLU(), nn.ReLU())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("sizes", [(3, 7, 3), (3, 6, 5, 3), (2, 4, 4, 4, 2), (3, 6, 5, 2)])
def test_no_state_and_no_slopes_exceed_them(seed: int, sizes: tuple[int, ...]) -> None:
    module = network(sizes, MIXED[seed % 3 :] + MIXED[: seed % 3], seed)
    shift = -1.0 if sizes[0] == sizes[-1] else 0.0
    net, rng = read_network(module, shift=shift), np.random.default_rng(seed)
    low = rng.normal(size=(6, sizes[0]))
    high = low + 10.0 ** -rng.uniform(0.0, 3.0, size=(6, 1))
    bounds = deviation_bounds(net, low, high)
    assert ("mu" in bounds) == (sizes[0] == sizes[-1])
    for k in range(6):
        part = points(sizes[0], 0.0, 1.0, 300, k)
        x = torch.from_numpy(low[k]) + part * torch.from_numpy(high[k] - low[k])
        seen = norms_at(module, x, shift)
        assert all(seen[name] <= bound[k] for name, bound in bounds.items())
        chain = net.chain(low[k], high[k])
        for _ in range(300):
            m = chain.weights[0]
            for w, a, b in zip(chain.weights[1:], chain.lower, chain.upper, strict=True):
                m = w @ (np.where(rng.integers(0, 2, len(a)), a, b)[:, None] * m)
            m = m + chain.constant
            assert np.linalg.norm(m, 2) <= bounds["spectral"][k]
            if "mu" in bounds:
                assert np.linalg.eigvalsh((m + m.T) / 2)[-1] <= bounds["mu"][k]


def test_one_hidden_layer_by_its_formula() -> None:
    module = network((3, 7, 3), MIXED[:1], 0)
    net = read_network(module, shift=-1.0)
    low, high = np.full((1, 3), -0.5), np.full((1, 3), 0.5)
    (w1, w2), chain = net.weights, net.chain(low[0], high[0])
    middle, radius = (chain.upper[0] + chain.lower[0]) / 2, (chain.upper[0] - chain.lower[0]) / 2
    tau = np.linalg.norm(w1, axis=1) / np.linalg.norm(w2, axis=0)
    j = w2 @ np.diag(middle) @ w1 - np.eye(3)
    m = (j + j.T) / 2 + 0.5 * w2 @ np.diag(radius * tau) @ w2.T + 0.5 * w1.T @ np.diag(radius / tau) @ w1
    assert deviation_bounds(net, low, high)["mu"][0] == pytest.approx(np.linalg.eigvalsh(m)[-1], abs=1e-9)
    # The middle alone is no bound, and states of the box show it.
    assert np.linalg.eigvalsh((j + j.T) / 2)[-1] < norms_at(module, points(3, -0.5, 0.5, 500, 0), -1.0)["mu"]


@pytest.mark.parametrize("sizes", [(3, 7, 3), (3, 6, 5, 3)])
def test_at_a_point_nothing_is_lost(sizes: tuple[int, ...]) -> None:
    module = network(sizes, (nn.Tanh(), nn.SiLU()), 1)
    x = points(3, -1.0, 1.0, 8, 0)
    bounds = deviation_bounds(read_network(module), x.numpy(), x.numpy())
    for k in range(len(x)):
        seen = norms_at(module, x[k : k + 1])
        for name, bound in bounds.items():
            assert seen[name] <= bound[k] <= seen[name] + 1e-9


def test_sharper_than_entries_where_layers_are_wide() -> None:
    net = read_network(network((6, 64, 6), (nn.Tanh(),), 0), shift=-1.0)
    low, high = np.full((1, 6), -0.2), np.full((1, 6), 0.2)
    found, entries = deviation_bounds(net, low, high), interval_jacobian(net, low, high)
    assert found["mu"][0] < log_norm_bounds(*entries)[1][0] - 0.5
    assert found["spectral"][0] < spectral_bounds(*entries)[1][0] - 0.5
