"""What the shipped drifts know of their constants: closed forms, and derivatives at many states."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sdewm.constant import Certified
from sdewm.drifts import Cubic, DoubleWell, Geometric, Linear, TanhNetwork
from sdewm.jacobian import frobenius_squared, jacobians, log_norm, spectral_norm

F64 = torch.float64
BOX = (-0.7, 1.3)


def systems() -> list[Any]:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(3, 3, dtype=F64, generator=generator)
    b = torch.randn(2, 3, 3, dtype=F64, generator=generator)
    return [
        Linear(a, b),
        Linear(-0.5, 0.6, dim=2),
        Geometric(-0.3, 0.4, dim=3),
        Cubic(),
        Cubic(0.5, dim=2),
        Cubic(-0.5),
        Cubic(0.0),
        DoubleWell(),
        DoubleWell(modulation=-0.4, dim=3),
        TanhNetwork(dim=4, gain=1.5, seed=1, modulation=-0.2),
        TanhNetwork(dim=14, gain=1.5, seed=1),
    ]


def seen(system: Any, x: Tensor) -> dict[str, float]:
    """The constants at single states, by automatic differentiation."""
    t = torch.zeros((), dtype=F64)
    drift = jacobians(lambda y: system.f(t, y), x)
    columns = jacobians(lambda y: system.g(t, y).flatten(1), x)
    return {
        "mu": float(log_norm(drift).max()),
        "spectral": float(spectral_norm(drift).max()),
        "frobenius": float(frobenius_squared(drift).sqrt().max()),
        "diffusion": float(spectral_norm(columns).max()),
    }


@pytest.mark.parametrize("system", systems(), ids=lambda s: f"{type(s).__name__}-{s.dim}")
@pytest.mark.parametrize("box", [None, BOX])
def test_never_below_any_state_and_attained_where_it_says_so(system: Any, box: tuple[float, float] | None) -> None:
    found = system.certified(box)
    assert set(found) == {"mu", "spectral", "frobenius", "diffusion"}
    low, high = (-30.0, 30.0) if box is None else box
    generator = torch.Generator().manual_seed(1)
    x = low + (high - low) * torch.rand(2000, system.dim, dtype=F64, generator=generator)
    # Corners, zeros and mixtures of them: where suprema of functions of single coordinates sit.
    special = torch.tensor([low, 0.0, high], dtype=F64)
    x = torch.cat((x, special[torch.randint(0, 3, (3000, system.dim), generator=generator)]))
    for name, value in seen(system, x).items():
        constant = found[name]
        assert value <= constant.value + 1e-12 * (1.0 + abs(value))
        if constant.attained is not None:
            assert value >= constant.attained - 1e-9 * (1.0 + abs(value)), name
            assert constant.value - constant.attained <= 1e-10 * (1.0 + abs(value))


def test_closed_forms_are_exact() -> None:
    well = DoubleWell(modulation=-0.3, dim=2).certified()
    assert (well["mu"].value, well["mu"].attained) == (1.0, 1.0)
    assert well["spectral"].value == well["frobenius"].value == math.inf
    assert (well["diffusion"].value, well["diffusion"].attained) == (0.3, 0.3)
    boxed = DoubleWell().certified((-1.0, 2.0))
    assert boxed["mu"].value == 1.0  # the box contains 0
    assert boxed["spectral"].value == pytest.approx(11.0, rel=1e-14)
    assert DoubleWell().certified((1.0, 2.0))["mu"].value == pytest.approx(-2.0, rel=1e-14)
    cubic = Cubic(2.0).certified()
    assert (cubic["mu"].value, cubic["diffusion"].value) == (0.0, 0.0)
    assert math.copysign(1.0, cubic["mu"].value) == 1.0
    assert Cubic(-2.0).certified()["mu"].value == math.inf
    geometric = Geometric(-0.3, -0.4, dim=4).certified()
    assert (geometric["mu"].value, geometric["spectral"].value, geometric["diffusion"].value) == (-0.3, 0.3, 0.4)
    assert geometric["frobenius"].value == pytest.approx(0.6, rel=1e-14)


def test_the_first_system_of_the_tightness_table() -> None:
    a = torch.tensor([[-1.0, 10.0], [0.0, -1.5]], dtype=F64)
    b = torch.zeros(2, 2, 2, dtype=F64)
    b[0] = 0.3 * torch.eye(2, dtype=F64)
    found = Linear(a, b).certified()
    # Of [[−1, 5], [5, −1.5]].
    assert found["mu"].value == pytest.approx(-1.25 + math.sqrt(0.0625 + 25.0), rel=1e-13)
    assert found["frobenius"].value == pytest.approx(math.sqrt(103.25), rel=1e-13)
    assert found["diffusion"].value == pytest.approx(0.3, rel=1e-13)


def test_joint_columns_are_not_their_largest() -> None:
    # Two columns 0.3 x and 0.4 x: Λ = 0.5, and no single column shows it.
    b = torch.stack((0.3 * torch.eye(2, dtype=F64), 0.4 * torch.eye(2, dtype=F64)))
    assert Linear(-1.0, b).certified()["diffusion"].value == pytest.approx(0.5, rel=1e-13)


def test_a_box_is_smaller_than_all_states() -> None:
    network = TanhNetwork(dim=4, gain=1.5, seed=1)
    nested = [network.certified(box)["mu"].value for box in ((1.0, 1.1), (0.5, 1.5), (-1.0, 2.0), None)]
    assert all(a <= b + 1e-12 for a, b in pairwise(nested))
    assert nested[0] < nested[-1] - 0.1


def test_the_hull_holds_drift_and_columns_together() -> None:
    network = TanhNetwork(dim=3, gain=1.5, seed=1, modulation=0.2)
    hull, t = network.jacobian_hull(), torch.zeros((), dtype=F64)
    x = torch.randn(50, 3, dtype=F64, generator=torch.Generator().manual_seed(2))
    drift = jacobians(lambda y: network.f(t, y), x).numpy()
    diffusion = jacobians(lambda y: network.g(t, y), x).numpy()
    slopes = 1.0 - np.tanh(x.numpy()) ** 2
    for k in range(50):
        # The weights of the vertices in the order in which slopes are listed, the first changing most slowly.
        weights = np.ones(1)
        for d in slopes[k]:
            weights = np.concatenate([(weights * (1.0 - d))[:, None], (weights * d)[:, None]], axis=1).ravel()
        np.testing.assert_allclose(np.tensordot(weights, hull.drift, 1), drift[k], atol=1e-13)
        columns = np.tensordot(weights, hull.diffusion, 1)
        np.testing.assert_allclose(columns.sum(0), diffusion[k], atol=1e-13)


def test_everything_is_certified() -> None:
    assert all(isinstance(c, Certified) for s in systems() for c in s.certified().values())
