"""The closed form of a recurrent cell's Jacobian norm, against automatic differentiation."""

from collections.abc import Callable

import pytest
import torch
from systems import fixed
from torch import Tensor

from sdewm import InvalidArgument
from sdewm.jacobian import GRUMap, gru_frobenius, jacobians
from sdewm.jacobian import gru as module

INPUTS, HIDDEN = 3, 5
DIM = INPUTS + HIDDEN
COLUMNS = {"all": None, "state": slice(INPUTS, None), "inputs": slice(0, INPUTS), "mixed": [1, 6, 3]}


def cell(dtype: torch.dtype = torch.float64, bias: bool = True) -> torch.nn.GRUCell:
    made = torch.nn.GRUCell(INPUTS, HIDDEN, bias=bias, dtype=dtype)
    with torch.no_grad():
        for n, parameter in enumerate(made.parameters()):
            parameter.copy_(fixed(*parameter.shape, seed=n))
    return made


def by_differentiation(made: torch.nn.GRUCell, x: Tensor, name: str, scales: tuple[Tensor, Tensor] | None) -> Tensor:
    matrices = jacobians(GRUMap(made), x, COLUMNS[name])
    if scales is not None:
        matrices = matrices * scales[0] / scales[1][:, None]
    return matrices.square().sum((1, 2))


def by_closed_form(made: torch.nn.GRUCell, x: Tensor, name: str, scales: tuple[Tensor, Tensor] | None) -> Tensor:
    chosen = COLUMNS[name]
    return gru_frobenius(made, x, None if chosen is None else torch.arange(DIM)[chosen], scales)[1]


def units(name: str) -> tuple[Tensor, Tensor]:
    count = DIM if COLUMNS[name] is None else len(torch.arange(DIM)[COLUMNS[name]])
    return fixed(count, seed=8).abs() + 0.3, fixed(HIDDEN, seed=9).abs() + 0.3


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize(("dtype", "digits"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("bias", [True, False])
def test_closed_form(name: str, dtype: torch.dtype, digits: float, bias: bool) -> None:
    made, x = cell(dtype, bias), fixed(7, DIM, seed=2).to(dtype)
    expected = by_differentiation(made, x, name, None)
    torch.testing.assert_close(by_closed_form(made, x, name, None), expected, rtol=digits, atol=digits)
    torch.testing.assert_close(gru_frobenius(made, x)[0], GRUMap(made)(x), rtol=digits, atol=digits)
    with torch.no_grad():
        torch.testing.assert_close(by_closed_form(made, x, name, None), expected, rtol=digits, atol=digits)


def test_blocks_without_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", 3)
    made, x = cell(), fixed(7, DIM, seed=2)
    with torch.no_grad():
        y, square = gru_frobenius(made, x)
    torch.testing.assert_close(y, GRUMap(made)(x))
    torch.testing.assert_close(square, by_differentiation(made, x, "all", None))


def gradients(norm: Callable[..., Tensor], name: str, scaled: bool) -> tuple[Tensor, ...]:
    made, x = cell(), fixed(7, DIM, seed=2).requires_grad_()
    weights = fixed(7, seed=5)
    value = (norm(made, x, name, units(name) if scaled else None) * weights).sum()
    return torch.autograd.grad(value, [x, *made.parameters()])


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("rows", [3, 256])
def test_gradients_by_state_and_parameters(name: str, scaled: bool, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", rows)
    found, expected = gradients(by_closed_form, name, scaled), gradients(by_differentiation, name, scaled)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("drift", [False, True])
def test_value_and_norm_share_one_backward_pass(drift: bool) -> None:
    made, x, weights = cell(), fixed(7, DIM, seed=2).requires_grad_(), fixed(7, HIDDEN, seed=6)
    y, square = gru_frobenius(made, x, drift=drift)
    found = torch.autograd.grad((y * weights).sum() + square.mean(), [x, *made.parameters()])
    step = GRUMap(made, drift)
    loss = (step(x) * weights).sum() + jacobians(step, x).square().sum((1, 2)).mean()
    expected = torch.autograd.grad(loss, [x, *made.parameters()])
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


def test_a_norm_without_the_gates_derivatives_is_caught() -> None:
    """The same comparison fails where the reset and the update gate are taken for constants."""

    def frozen(x: Tensor) -> Tensor:
        i, h = x[:, :INPUTS], x[:, INPUTS:]
        of_input = (i @ made.weight_ih.T + made.bias_ih).chunk(3, 1)
        of_state = (h @ made.weight_hh.T + made.bias_hh).chunk(3, 1)
        r, z = (torch.sigmoid(of_input[g] + of_state[g]).detach() for g in (0, 1))
        return (1.0 - z) * torch.tanh(of_input[2] + r * of_state[2]) + z * h

    made, x = cell(), fixed(7, DIM, seed=2)
    torch.testing.assert_close(frozen(x), GRUMap(made)(x))
    wrong = jacobians(frozen, x).square().sum((1, 2))
    with pytest.raises(AssertionError):
        torch.testing.assert_close(wrong, gru_frobenius(made, x)[1], rtol=1e-6, atol=1e-6)


def test_once_differentiable_only() -> None:
    made, x = cell(), fixed(2, DIM).requires_grad_()
    (slope,) = torch.autograd.grad(gru_frobenius(made, x)[1].sum(), x, create_graph=True)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(slope.sum(), x)


def test_bad_input() -> None:
    with pytest.raises(InvalidArgument, match="inputs first"):
        gru_frobenius(cell(), torch.zeros(2, DIM - 1, dtype=torch.float64))
    with pytest.raises(InvalidArgument, match="dtype"):
        gru_frobenius(cell(), torch.zeros(2, DIM))
    with pytest.raises(InvalidArgument, match=r"torch\.nn\.GRUCell"):
        GRUMap(torch.nn.Linear(2, 2))  # type: ignore[arg-type]
