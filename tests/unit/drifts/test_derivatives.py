"""Hand-written derivatives of every shipped system against forward-mode differentiation of its f and g."""

from collections.abc import Callable

import pytest
import torch
from systems import F64, fixed
from torch import Tensor
from torch.func import jacfwd

from sdewm.drifts import Cubic, DoubleWell, Geometric, Linear, TanhNetwork
from sdewm.dynamics import DifferentiableSDE

PATHS = 7


def general_linear() -> Linear:
    """Three dimensions, two noise columns that do not commute, all offsets."""
    return Linear(
        fixed(3, 3, seed=1),
        fixed(2, 3, 3, seed=2),
        drift_offset=fixed(3, seed=3),
        diffusion_offset=fixed(2, 3, seed=4),
    )


SYSTEMS: dict[str, Callable[[], DifferentiableSDE]] = {
    "linear, scalars": lambda: Linear(a=-0.7, b=0.4),
    "linear, diagonal": lambda: Linear(a=-0.7, b=0.4, dim=3, drift_offset=0.2, diffusion_offset=fixed(3, seed=5)),
    "linear, matrix and diagonal": lambda: Linear(fixed(3, 3, seed=6), 0.4),
    "linear, one column": lambda: Linear(-1.0, fixed(1, 2, 2, seed=7)),
    "linear, general": general_linear,
    "geometric": lambda: Geometric(rate=0.3, volatility=0.5),
    "geometric, 3": lambda: Geometric(rate=-0.3, volatility=0.5, dim=3),
    "cubic": lambda: Cubic(rate=1.3, noise=0.2),
    "cubic, 3": lambda: Cubic(rate=0.6, dim=3),
    "double well": lambda: DoubleWell(),
    "double well, 3": lambda: DoubleWell(noise=0.4, modulation=-0.2, dim=3),
    "tanh network": lambda: TanhNetwork(dim=1, gain=1.5, seed=2),
    "tanh network, 5": lambda: TanhNetwork(dim=5, gain=0.8, seed=3, noise=0.1, modulation=0.4),
}


def derivative_gap(system: DifferentiableSDE, dtype: torch.dtype = F64) -> float:
    """Largest difference, relative to the larger of one and the value, over both fields and both orders."""
    t = torch.tensor(0.3, dtype=dtype)
    x, v, w = (fixed(PATHS, system.dim, seed=10 + i).to(dtype) for i in range(3))
    gap = 0.0
    for name in ("f", "g"):
        field = getattr(system, name)

        def one(y: Tensor, field: Callable[[Tensor, Tensor], Tensor] = field) -> Tensor:
            return field(t, y[None])[0]

        jvp, second = getattr(system, f"{name}_jvp")(t, x, v), getattr(system, f"{name}_second")(t, x, v, w)
        assert jvp.shape == second.shape == field(t, x).shape
        assert jvp.dtype == second.dtype == field(t, x).dtype == dtype
        for i in range(PATHS):
            slope, curvature = jacfwd(one)(x[i]), jacfwd(jacfwd(one))(x[i])
            for got, want in ((jvp[i], slope @ v[i]), (second[i], curvature @ w[i] @ v[i])):
                gap = max(gap, float((got - want).abs().max() / want.abs().max().clamp(min=1.0)))
    return gap


@pytest.mark.parametrize("name", SYSTEMS)
def test_hand_written_derivatives(name: str) -> None:
    """To rounding in float64; in float32 what remains of it, and no silent change of dtype."""
    assert derivative_gap(SYSTEMS[name]()) < 1e-12
    assert derivative_gap(SYSTEMS[name](), torch.float32) < 1e-5


@pytest.mark.parametrize("name", ["cubic", "double well, 3", "tanh network, 5", "linear, general"])
@pytest.mark.parametrize("method", ["f_jvp", "f_second", "g_jvp", "g_second"])
def test_a_wrong_derivative_is_caught(name: str, method: str) -> None:
    """A derivative that is off by a relative 1e-9, or by a constant of that size where it is zero."""
    system = SYSTEMS[name]()
    right = getattr(system, method)
    object.__setattr__(system, method, lambda *args: right(*args) * (1 + 1e-9) + 1e-9)
    assert derivative_gap(system) > 1e-11


@pytest.mark.parametrize("name", SYSTEMS)
def test_fields_are_what_the_docstring_says(name: str) -> None:
    """f and g, against loops in plain numbers."""
    system, t = SYSTEMS[name](), torch.tensor(0.0, dtype=F64)
    x = fixed(2, system.dim, seed=20)
    f, g = system.f(t, x), system.g(t, x)
    for p in range(2):
        y = x[p]
        if isinstance(system, Linear):
            drift = system.A @ y + system.c
            columns = [system.B[k] @ y + system.d[k] for k in range(len(system.B))]
            matrix = torch.stack(columns, dim=1)
            diffusion = matrix if system.noise_type == "general" else matrix.diagonal()
        elif isinstance(system, Geometric):
            drift, diffusion = system.rate * y, system.volatility * y
        elif isinstance(system, Cubic):
            drift, diffusion = -system.rate * y * y * y, torch.full_like(y, system.noise)
        elif isinstance(system, DoubleWell):
            drift, diffusion = y - y * y * y, system.noise + system.modulation * y.sin()
        else:
            assert isinstance(system, TanhNetwork)
            drift = -y + torch.mv(system.weight, y.tanh())
            diffusion = system.noise + system.modulation * y.tanh()
        assert torch.allclose(f[p], drift, rtol=0.0, atol=1e-13)
        assert torch.allclose(g[p], diffusion, rtol=0.0, atol=1e-13)
