"""Losses with declared facts: values, derivatives, and that what they declare is so."""

import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from systems import F64, fixed
from torch import Tensor

from sdewm.dynamics.derivatives import directional, second_directional
from sdewm.exceptions import InvalidArgument
from sdewm.hypothesis import Facts, facts_of
from sdewm.theory.hypotheses.kinks import find_jump
from sdewm.theory.hypotheses.rays import growth
from sdewm.theory.losses import (
    AbsoluteLoss,
    ExponentialLoss,
    PolynomialLoss,
    SoftAbsoluteLoss,
    SquaredDistance,
)

X, V = fixed(7, 3), fixed(7, 3, seed=1)
TARGET = torch.tensor([0.5, -1.0, 0.25], dtype=F64)
C = (0.3, -1.0, 0.5, 0.0, 2.0)


def logistic(z: Tensor) -> Tensor:
    """1 / (1 + e^−z)."""
    return 1.0 / (1.0 + torch.exp(-z))


# loss, value of one coordinate, first and second derivative of one coordinate
SOFT = SoftAbsoluteLoss(0.2, 4.0)
CASES: dict[str, tuple[Any, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "square": (SquaredDistance(), lambda x: x * x, lambda x: 2 * x, lambda x: 2 + 0 * x),
    "square to a vector": (
        SquaredDistance(TARGET, 0.5),
        lambda x: 0.5 * (x - TARGET) * (x - TARGET),
        lambda x: x - TARGET,
        lambda x: 1 + 0 * x,
    ),
    "polynomial": (
        PolynomialLoss(C),
        lambda x: 0.3 - x + 0.5 * x**2 + 2 * x**4,
        lambda x: -1 + x + 8 * x**3,
        lambda x: 1 + 24 * x**2,
    ),
    "exponential": (
        ExponentialLoss(-0.7),
        lambda x: torch.exp(-0.7 * x),
        lambda x: -0.7 * torch.exp(-0.7 * x),
        lambda x: 0.49 * torch.exp(-0.7 * x),
    ),
    "absolute": (AbsoluteLoss(0.2), lambda x: (x - 0.2).abs(), lambda x: (x - 0.2).sign(), lambda x: 0 * x),
    "soft": (
        SOFT,
        lambda x: 2 * torch.log(1 + torch.exp(4 * (x - 0.2))) / 4 - (x - 0.2),
        lambda x: 2 * logistic(4 * (x - 0.2)) - 1,
        lambda x: 8 * logistic(4 * (x - 0.2)) * (1 - logistic(4 * (x - 0.2))),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_value_and_derivatives(name: str) -> None:
    """Sums over the coordinates of closed forms, to rounding; with a factor 1.001 they differ."""
    loss, value, slope, bend = CASES[name]
    torch.testing.assert_close(loss(X), value(X).sum(1), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(directional(loss, X, V), (slope(X) * V).sum(1), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(second_directional(loss, X, V, V), (bend(X) * V * V).sum(1), rtol=1e-12, atol=1e-12)
    assert not torch.allclose(loss(X), 1.001 * value(X).sum(1), rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_shape_dtype_and_copies(name: str) -> None:
    """One number a path in the dtype of the states, the same after a journey to another process."""
    loss = CASES[name][0]
    for x in (X, X.float()):
        assert loss(x).shape == (7,)
        assert loss(x).dtype == x.dtype
        assert torch.equal(pickle.loads(pickle.dumps(loss))(x), loss(x))


@pytest.mark.parametrize(
    ("loss", "facts"),
    [
        (SquaredDistance(1.0), Facts("polynomial")),
        (PolynomialLoss((0.0, 1.0)), Facts("polynomial")),
        (ExponentialLoss(), Facts("exponential")),
        (AbsoluteLoss(), Facts("linear", 0)),
        (SoftAbsoluteLoss(), Facts("linear", math.inf)),
    ],
)
def test_facts(loss: Any, facts: Facts) -> None:
    """They are fixed, and no argument."""
    assert facts_of(loss) == facts
    with pytest.raises(TypeError, match="facts"):
        type(loss)(facts=Facts())


@pytest.mark.parametrize(
    "loss",
    [SquaredDistance(TARGET), PolynomialLoss(C), ExponentialLoss(-0.7), AbsoluteLoss(0.1), SoftAbsoluteLoss(0.1, 1e3)],
    ids=lambda loss: type(loss).__name__,
)
def test_what_is_declared_is_what_the_probes_see(loss: Any) -> None:
    """Growth on rays and kinks on segments agree with the declaration."""
    seen = growth(loss, torch.zeros(3, dtype=F64))
    assert seen is not None
    assert seen.linear == (loss.facts.growth == "linear")
    assert seen.faster_than_any_power == (loss.facts.growth == "exponential")
    jump = find_jump(loss, X[:3] - 1.5, X[:3] + 1.5)
    assert (jump is None) == (loss.facts.smoothness == math.inf)
    assert jump is None or jump.order == 1


def test_the_smoothed_absolute_value_tends_to_it() -> None:
    """Between |x| and |x| + 2 log 2 / sharpness in every coordinate, and even about its target."""
    x = torch.linspace(-3.0, 3.0, 301, dtype=F64)[:, None]
    for sharpness in (1.0, 10.0, 1e3):
        gap = SoftAbsoluteLoss(0.5, sharpness)(x) - AbsoluteLoss(0.5)(x)
        # torch's softplus leaves out e^−20 where its argument is beyond 20.
        assert float(gap.min()) >= -1e-14
        assert float(gap.max()) <= 2.0 * math.log(2.0) / sharpness + 1e-14
        mirrored = SoftAbsoluteLoss(0.5, sharpness)(1.0 - x)
        torch.testing.assert_close(mirrored, SoftAbsoluteLoss(0.5, sharpness)(x), rtol=0, atol=5e-9 / sharpness)


def test_large_arguments_do_not_overflow() -> None:
    """Linear far out, on both sides, where e^(1000·1000) is not a number."""
    x = torch.tensor([[1e6], [-1e6]], dtype=F64)
    torch.testing.assert_close(SoftAbsoluteLoss(0.0, 1e3)(x), torch.full((2,), 1e6, dtype=F64), rtol=1e-15, atol=0)


def test_a_list_of_coefficients_is_copied() -> None:
    """Changing the list afterwards changes nothing."""
    given = [0.0, 1.0]
    loss = PolynomialLoss(given)
    given[1] = 5.0
    assert loss.coefficients == (0.0, 1.0)
    assert torch.equal(loss(X), X.sum(1))


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: SquaredDistance(factor=0.0), r"factor must be above zero, got 0\.0"),
        (lambda: SquaredDistance(factor=-1), "factor must be above zero, got -1"),
        (lambda: SquaredDistance(math.nan), "target must be finite"),
        (lambda: SquaredDistance(torch.zeros(7, 3)), r"target must be a number or have shape \(dim,\), got \(7, 3\)"),
        (lambda: SquaredDistance(torch.tensor([0.0, math.inf])), "target must be finite"),
        (lambda: SquaredDistance("zero"), "target"),  # type: ignore[arg-type]
        (lambda: PolynomialLoss((1.0,)), "coefficients must hold at least two numbers, got 1"),
        (lambda: PolynomialLoss(()), "coefficients must hold at least two numbers, got 0"),
        (lambda: PolynomialLoss((1.0, math.nan)), "coefficients must be a finite number, got nan"),
        (lambda: PolynomialLoss(2.0), "coefficients"),  # type: ignore[arg-type]
        (lambda: ExponentialLoss(0.0), "rate must not be zero"),
        (lambda: ExponentialLoss(math.inf), "rate must be a finite number, got inf"),
        (lambda: AbsoluteLoss(math.nan), "target must be a finite number, got nan"),
        (lambda: AbsoluteLoss(torch.zeros(3)), "target must be a finite number"),  # type: ignore[arg-type]
        (lambda: SoftAbsoluteLoss(sharpness=0.0), "sharpness must be above zero"),
        (lambda: SoftAbsoluteLoss(target=math.inf), "target must be a finite number, got inf"),
    ],
)
def test_refusals(act: Callable[[], Any], says: str) -> None:
    """The sentence names the argument and what was given."""
    with pytest.raises(InvalidArgument, match=says):
        act()
