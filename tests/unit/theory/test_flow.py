"""Explosion of the noise-free flow: what leaves every bound in finite time, and what merely runs away."""

from collections.abc import Callable

import pytest
import torch
from systems import F64
from torch import Tensor

from sdewm.theory.hypotheses.flow import explodes

F32 = torch.float32
Rows = Callable[[Tensor], Tensor]
DTYPES = pytest.mark.parametrize("dtype", [F32, F64], ids=["float32", "float64"])


def centre(dim: int, at: float, dtype: torch.dtype = F64) -> Tensor:
    """All coordinates alike."""
    return torch.full((dim,), at, dtype=dtype)


def columns(*parts: Tensor) -> Tensor:
    """Coordinates side by side."""
    return torch.stack(parts, dim=1)


# f of one variable, and the exact time from a state to infinity
TIMES: dict[str, tuple[Rows, Callable[[float], float]]] = {
    "x³": (lambda x: x**3, lambda x: 0.5 / x**2),
    "x + x³": (lambda x: x + x**3, lambda x: 0.5 * torch.log1p(torch.tensor(1.0 / x**2)).item()),
    "x⁵": (lambda x: x**5, lambda x: 0.25 / x**4),
    "x²": (lambda x: x**2, lambda x: 1.0 / x),
    "|x|^1.5": (lambda x: x.sign() * x.abs() ** 1.5, lambda x: 2.0 / x**0.5),
    "exp": (torch.exp, lambda x: torch.exp(torch.tensor(-x)).item()),
    "sinh": (torch.sinh, lambda x: -torch.log(torch.tanh(torch.tensor(x / 2.0))).item()),
}


@pytest.mark.slow
@DTYPES
@pytest.mark.parametrize("at", [0.0, 1.0])
@pytest.mark.parametrize("dim", [1, 3])
@pytest.mark.parametrize("name", TIMES)
def test_explosions_are_seen_with_their_time(name: str, dim: int, at: float, dtype: torch.dtype) -> None:
    """In any dimension and dtype; the earliest of the starts, three sizes out on an axis, sets the time."""
    function, exact = TIMES[name]
    when = explodes(function, centre(dim, at, dtype), horizon=10.0)
    assert when is not None
    # The last level is a bit below infinity: for |x|^1.5 by 2 (1.6e7)^−½ = 5e-4 of time. Steps of 0.05 do the rest.
    assert when == pytest.approx(exact(at + 3.0 * (1.0 + at)), rel=2e-3)


@pytest.mark.parametrize("name", TIMES)
def test_an_explosion_beyond_the_horizon_is_none(name: str) -> None:
    """Just before the exact time nothing has happened; just after it has."""
    function, exact = TIMES[name]
    time = exact(3.0)
    assert explodes(function, centre(1, 0.0), horizon=0.95 * time) is None
    assert explodes(function, centre(1, 0.0), horizon=1.05 * time) is not None


TAME: dict[str, tuple[Rows, int]] = {
    "zero": (torch.zeros_like, 1),
    "linear, unstable": (lambda x: 5.0 * x, 3),
    "linear, very unstable": (lambda x: 1e3 * x, 1),
    "x log x": (lambda x: x * torch.log1p(x.abs()), 1),
    "inward cubic": (lambda x: -(x**3), 3),
    "inward sinh": (lambda x: -torch.sinh(x), 2),
    "inward exponential": (lambda x: -torch.exp(x), 1),
    "double well": (lambda x: x - x**3, 2),
    "Duffing": (lambda x: columns(x[:, 1], x[:, 0] - x[:, 0] ** 3 - 0.3 * x[:, 1]), 2),
    "Duffing without friction": (lambda x: columns(x[:, 1], -(x[:, 0] ** 3)), 2),
    "van der Pol": (lambda x: columns(x[:, 1], (1.0 - x[:, 0] ** 2) * x[:, 1] - x[:, 0]), 2),
    "rotation, ever faster": (lambda x: x.square().sum(1, keepdim=True) * columns(x[:, 1], -x[:, 0]), 2),
    "quadratic, energy kept": (lambda x: columns(x[:, 0] * x[:, 1], -(x[:, 0] ** 2)), 2),
    "below a threshold": (lambda x: x**2 - 100.0 * x, 1),
    "growth in time only": (lambda x: torch.ones_like(x), 4),
}


@pytest.mark.slow
@DTYPES
@pytest.mark.parametrize("at", [0.0, 1.0])
@pytest.mark.parametrize("name", TAME)
def test_what_does_not_explode(name: str, at: float, dtype: torch.dtype) -> None:
    """Instability, x log x, what pulls back, and oscillators whose energy does not grow."""
    function, dim = TAME[name]
    assert explodes(function, centre(dim, at, dtype), horizon=2.0) is None


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_one_bad_direction_is_enough(sign: float) -> None:
    """x' = x² explodes to the right only, −x² to the left only; a stiff contraction beside it does not hide it."""
    assert explodes(lambda x: sign * x**2, centre(1, 0.0), 1.0) == pytest.approx(1.0 / 3.0, rel=1e-3)
    mixed = explodes(lambda x: columns(-50.0 * x[:, 0], sign * x[:, 1] ** 2), centre(2, 0.0), 1.0)
    assert mixed is not None
    assert 0.333 < mixed < 0.5  # no start is further out than three, and some ray is within 48° of the axis


def test_a_negative_cubic_in_two_dimensions() -> None:
    """A hardening spring that pushes outwards: (v, x + x³) explodes, (v, −x − x³) does not."""
    for sign, explosive in ((1.0, True), (-1.0, False)):
        drift: Rows = lambda x, sign=sign: columns(x[:, 1], sign * (x[:, 0] + x[:, 0] ** 3))  # noqa: E731
        assert (explodes(drift, centre(2, 0.5), 3.0) is not None) == explosive


@pytest.mark.slow
@pytest.mark.parametrize("unit", [1e-3, 10.0, 1e3])
def test_units_of_length_and_time(unit: float) -> None:
    """In a unit u of length and 1/u of time: the same verdict, and the time in the new unit."""
    drift: Rows = lambda x: unit**2 * (x / unit) ** 3  # noqa: E731
    # From c: ½ c^−2 · unit; the starts are at three times 1 + |c|.
    start = unit + 3.0 * (1.0 + unit)
    assert explodes(drift, centre(1, unit), 1e12) == pytest.approx(0.5 * unit / start**2, rel=1e-3)
    assert explodes(lambda x: unit * x, centre(1, unit), 2.0 / unit) is None


def test_a_drift_that_is_not_finite_does_not_stop_the_search() -> None:
    """NaN on one side; on the other side the flow still explodes."""
    drift: Rows = lambda x: torch.where(x < -1.0, torch.full_like(x, torch.nan), x**3)  # noqa: E731
    assert explodes(drift, centre(1, 0.0), 1.0) == pytest.approx(0.5 / 9.0, rel=1e-3)


def test_no_graph_and_no_change_of_the_centre() -> None:
    """A drift with parameters leaves no gradients, and one that works in place changes nothing outside."""
    weight = torch.ones(1, dtype=F64, requires_grad=True)
    start = centre(1, 1.0)
    assert explodes(lambda x: weight * x**3, start, 1.0) is not None
    assert weight.grad is None
    explodes(lambda x: x.clone().mul_(2.0), start, 1.0)
    assert torch.equal(start, centre(1, 1.0))
