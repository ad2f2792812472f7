"""Growth along rays: powers are powers, and what outgrows every power is told from them."""

from collections.abc import Callable

import pytest
import torch
from systems import F64, fixed
from torch import Tensor, nn

from sdewm.theory.hypotheses.rays import RAYS, Growth, directions, growth, outward_growth

F32 = torch.float32
Rows = Callable[[Tensor], Tensor]
DTYPES = pytest.mark.parametrize("dtype", [F32, F64], ids=["float32", "float64"])


def seen(function: Rows, dim: int = 3, at: float = 0.4, dtype: torch.dtype = F64) -> Growth:
    """What the probe sees from a centre."""
    found = growth(function, torch.full((dim,), at, dtype=dtype))
    assert found is not None
    return found


def power(p: float) -> Rows:
    """sign(x) |x|^p, coordinate by coordinate."""
    return lambda x: x.sign() * x.abs() ** p


def network(activation: nn.Module, dim: int, seed: int, dtype: torch.dtype) -> nn.Module:
    """A random network of two hidden layers."""
    net = nn.Sequential(nn.Linear(dim, 32), activation, nn.Linear(32, 32), activation, nn.Linear(32, dim)).double()
    with torch.no_grad():
        for k, p in enumerate(net.parameters()):
            p.copy_(fixed(*p.shape, seed=10 * seed + k) / p.shape[-1] ** 0.5)
    return net.to(dtype)


@pytest.mark.parametrize("dim", [1, 2, 8, 30])
def test_directions(dim: int) -> None:
    """Unit vectors with their opposites, the axes and the diagonal first, the same every time."""
    rays = directions(dim)
    assert rays.shape == (2 * RAYS, dim)
    torch.testing.assert_close(rays.norm(dim=1), torch.ones(2 * RAYS, dtype=F64))
    assert torch.equal(rays[RAYS:], -rays[:RAYS])
    axes = min(dim, RAYS // 3)
    assert torch.equal(rays[:axes], torch.eye(dim, dtype=F64)[:axes])
    assert float(rays[axes].std(correction=0)) < 1e-12
    assert torch.equal(rays, directions(dim))


@DTYPES
@pytest.mark.parametrize("dim", [1, 3, 8])
@pytest.mark.parametrize("p", [0.5, 1.0, 1.5, 2.0, 3.0, 5.0])
def test_powers(p: float, dim: int, dtype: torch.dtype) -> None:
    """|x|^p grows by the power p, and is linear for p <= 1 only."""
    found = seen(power(p), dim, dtype=dtype)
    assert found.exponent == pytest.approx(p, abs=0.01)
    assert found.linear == (p <= 1.0)
    assert not found.faster_than_any_power


@pytest.mark.parametrize("p", [8.0, 9.0, 12.0, 20.0, 30.0])
def test_high_powers_are_powers(p: float) -> None:
    """However high, a power is not taken for an exponential."""
    found = seen(power(p))
    assert found.exponent == pytest.approx(p, rel=0.01)
    assert not found.faster_than_any_power


FAST: dict[str, Rows] = {
    "exp": torch.exp,
    "exp of minus": lambda x: torch.exp(-x),
    "slow exp": lambda x: torch.exp(0.01 * x),
    "steep exp": lambda x: torch.exp(20.0 * x),
    "very steep exp": lambda x: torch.exp(100.0 * x),
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "exp of a square": lambda x: torch.exp(x**2),
    "exp of one coordinate": lambda x: torch.exp(x[:, 0]),
    "exp beside a power": lambda x: 1e3 * x**3 + torch.exp(0.1 * x),
    "x exp x": lambda x: x * torch.exp(x),
}


@DTYPES
@pytest.mark.parametrize("dim", [1, 3])
@pytest.mark.parametrize("name", FAST)
def test_exponentials(name: str, dim: int, dtype: torch.dtype) -> None:
    """Faster than every power, whether they overflow late, soon, or at once on half of the rays."""
    found = seen(FAST[name], dim, dtype=dtype)
    assert found.faster_than_any_power, found
    assert str(found).startswith("faster than every power, seen on 96 rays to |x| = ")


TAME: dict[str, tuple[Rows, float]] = {
    # what does not grow, and what grows by at most the power stated
    "constant": (lambda x: torch.full_like(x, 7.0), 0.0),
    "zero": (lambda x: 0.0 * x, 0.0),
    "tanh": (torch.tanh, 0.01),
    "steep tanh": (lambda x: torch.tanh(100.0 * x), 0.01),
    "exp of minus a square": (lambda x: torch.exp(-(x**2)), 0.0),
    "x³ exp of minus a square": (lambda x: x**3 * torch.exp(-0.1 * x**2), 0.0),
    "inverse": (lambda x: 1.0 / (1.0 + x**2), 0.0),
    "logarithm": (lambda x: torch.log1p(x**2), 0.15),
    "root": (lambda x: torch.sqrt(1.0 + x.abs()), 0.51),
    "linear": (lambda x: 3.0 * x - 1e3, 1.05),
    "absolute": (torch.abs, 1.05),
    "softplus": (nn.functional.softplus, 1.05),
    "sharp softplus": (lambda x: nn.functional.softplus(x, beta=1e3), 1.05),
    "gelu": (nn.functional.gelu, 1.05),
    "x log x": (lambda x: x * torch.log1p(x.abs()), 1.15),
    "norm": (lambda x: x.norm(dim=1), 1.05),
    "sum over the last": (lambda x: x.sum(-1), 1.05),
    "saturated quotient": (lambda x: x**3 / (1.0 + x**2), 1.05),
}


@DTYPES
@pytest.mark.parametrize("dim", [1, 3])
@pytest.mark.parametrize("name", TAME)
def test_what_grows_at_most_linearly(name: str, dim: int, dtype: torch.dtype) -> None:
    """Constants, what saturates or decays, logarithms, and everything linear."""
    function, most = TAME[name]
    found = seen(function, dim, dtype=dtype)
    assert found.exponent <= most
    assert found.linear


OSCILLATING: dict[str, tuple[Callable[[float, float], Rows], bool]] = {
    # bounded, or linear with a factor that oscillates between positive numbers
    "sine": (lambda s, p: lambda x: torch.sin(s * x + p), True),
    "squared sine": (lambda s, p: lambda x: torch.sin(s * x + p) ** 2, True),
    "product of sines": (lambda s, p: lambda x: torch.sin(s * x) * torch.cos(s * x + p), True),
    "positive": (lambda s, p: lambda x: 0.3 + 0.2 * torch.cos(s * x + p), True),
    "linear, modulated": (lambda s, p: lambda x: x * (2.0 + torch.sin(s * x + p)), True),
    "linear beside a sine": (lambda s, p: lambda x: torch.sin(s * x + p) - x, True),
    "square, modulated": (lambda s, p: lambda x: x**2 * (2.0 + torch.sin(s * x + p)), False),
}


@pytest.mark.slow
@DTYPES
@pytest.mark.parametrize("name", OSCILLATING)
def test_oscillations_are_no_growth(name: str, dtype: torch.dtype) -> None:
    """In none of 120 random phases, wave lengths, centres and dimensions; a modulated square is never missed."""
    family, linear = OSCILLATING[name]
    wrong = []
    for k in range(120):
        s, p, c = (float(v) for v in fixed(3, seed=k))
        dim = (1, 2, 8)[k % 3]
        found = seen(family(0.2 + s * s, 3.0 * p), dim, c, dtype)
        if found.linear != linear or found.faster_than_any_power:
            wrong.append((k, found.exponent))
    assert wrong == []


@DTYPES
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ELU(), nn.SiLU(), nn.Tanh(), nn.Softplus()], ids=repr)
def test_networks_grow_at_most_linearly(activation: nn.Module, dtype: torch.dtype) -> None:
    """Random ones in eight dimensions; their product with the state does not."""
    for seed in range(5):
        net = network(activation, 8, seed, dtype)
        assert seen(net, 8, dtype=dtype).linear
        assert seen(lambda x, net=net: net(x) - x, 8, dtype=dtype).linear
        # A bounded network times x is linear, any other is a square.
        product = seen(lambda x, net=net: net(x) * x, 8, dtype=dtype)
        assert product.exponent == pytest.approx(1.0 if isinstance(activation, nn.Tanh) else 2.0, abs=0.15)


@pytest.mark.parametrize("value", [1e-12, 1e-3, 1e6, 1e100])
@pytest.mark.parametrize("p", [1.0, 2.5])
def test_a_factor_changes_nothing(value: float, p: float) -> None:
    """Exponents do not depend on the unit of the values."""
    assert seen(lambda x: value * power(p)(x)).exponent == pytest.approx(seen(power(p)).exponent, abs=1e-9)


@pytest.mark.parametrize("unit", [1e-3, 0.1, 10.0, 1e3])
def test_a_unit_of_length_changes_little(unit: float) -> None:
    """Powers stay powers and exponentials stay exponentials in other units of the state."""
    assert seen(lambda x: power(3.0)(x / unit), at=unit).exponent == pytest.approx(3.0, abs=0.01)
    assert seen(lambda x: x / unit, at=unit).linear
    assert seen(lambda x: torch.exp(x / unit), at=unit).faster_than_any_power


@pytest.mark.parametrize("at", [-1e4, -3.0, 0.0, 3.0, 1e4])
def test_the_centre_may_be_anywhere(at: float) -> None:
    """Far from the origin as well as in it."""
    assert seen(power(3.0), at=at).exponent == pytest.approx(3.0, abs=0.01)
    assert seen(lambda x: x - at, at=at).linear
    assert seen(lambda x: torch.tanh(x - at), at=at).linear


def test_one_coordinate_is_enough() -> None:
    """A square of one coordinate among thirty, and a product of two, are found on an axis and a diagonal."""
    assert seen(lambda x: torch.cat((x[:, :29], x[:, 29:] ** 2), 1), 30).exponent == pytest.approx(2.0, abs=0.01)
    assert seen(lambda x: x[:, 3] * x[:, 17], 30).exponent == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("dim", [1, 3])
def test_a_function_that_ends_somewhere(dim: int) -> None:
    """A logarithm is looked at where it is defined; where that is on less than half of the rays nothing is said."""
    found = growth(torch.log, torch.full((dim,), 0.4, dtype=F64))
    assert (found is None) == (dim == 3)
    assert found is None or found.exponent < 0.15
    assert growth(lambda x: torch.log(-1.0 - x**2), torch.zeros(dim, dtype=F64)) is None
    assert growth(lambda x: x * torch.nan, torch.zeros(dim, dtype=F64)) is None


OUTWARD: dict[str, tuple[Rows, Rows | None, float]] = {
    # f, g, and the power of x·f + (3/2)|g|² where it is positive
    "inward cubic": (lambda x: -(x**3), None, 0.0),
    "outward cubic": (lambda x: x**3, None, 4.0),
    "linear, unstable": (lambda x: 5.0 * x, None, 2.0),
    "double well": (lambda x: x - x**3, None, 0.0),
    "rotation, ever faster": (
        lambda x: x.square().sum(1, keepdim=True) * (x.flip(-1) * torch.tensor([1.0, -1.0]).to(x)),
        None,
        0.0,
    ),
    "square beside a line": (lambda x: -x, lambda x: x**2, 4.0),
    "square against a cubic, too strong": (lambda x: -(x**3), lambda x: x**2, 4.0),
    "square against a cubic, weak": (lambda x: -(x**3), lambda x: 0.5 * x**2, 0.0),
    "linear noise": (lambda x: 0.0 * x, lambda x: 3.0 * x, 2.0),
    "columns": (lambda x: -x, lambda x: torch.stack((x, x**2), 2), 4.0),
}


@pytest.mark.parametrize("name", OUTWARD)
def test_outward_growth(name: str) -> None:
    """(3/2)|g|² is what fourth moments need: 0.5 x² is outweighed by −x³, x² is not."""
    drift, diffusion, p = OUTWARD[name]
    found = outward_growth(drift, diffusion, torch.zeros(2, dtype=F64))
    assert found is not None
    assert found.exponent == pytest.approx(p, abs=0.15)


def test_the_order_of_the_moment_counts() -> None:
    """−x³ against 0.8 x²: second moments stay, fourth moments do not."""

    def outward(order: float) -> float:
        found = outward_growth(lambda x: -(x**3), lambda x: 0.8 * x**2, torch.zeros(1, dtype=F64), order)
        assert found is not None
        return found.exponent

    # ½ (order − 1) 0.64 against 1: 0.32 and 0.96 and 1.28.
    assert outward(2.0) < 0.1
    assert outward(4.0) < 0.1
    assert outward(5.0) == pytest.approx(4.0, abs=0.1)


def test_text() -> None:
    """What was seen, and how far out."""
    assert str(Growth(2.0, 5.2e5)) == "power 2.0, seen on 96 rays to |x| = 5.2e+05"
