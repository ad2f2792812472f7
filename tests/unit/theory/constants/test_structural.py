"""What a system says of itself, and what is made of it."""

from typing import Any

import numpy as np
import pytest
import torch
from systems import Contracting, Geometric

from sdewm import InvalidArgument, LatentSDE, Refused, RepresentationError, perturb
from sdewm.constant import Certified, Sampled
from sdewm.drifts import DoubleWell, Linear, TanhNetwork
from sdewm.theory.constants import certified_constants, certified_error, hull_of


class Own(LatentSDE):
    """−2x, known by its author."""

    dim = 1

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def f(self, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return -2.0 * x

    def g(self, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(x)

    def certified(self, box: Any = None) -> Any:
        return self.answer

    def jacobian_hull(self, box: Any = None) -> Any:
        return self.answer


def test_an_unknown_drift_is_never_guessed() -> None:
    assert certified_constants(Contracting("diagonal")) == {}
    assert certified_constants(Geometric()) == {}  # the user's own of that name
    assert certified_constants(object()) == {}


def test_a_shifted_system_is_not_its_base() -> None:
    error = RepresentationError(drift=lambda t, x: torch.sin(5.0 * x))
    assert certified_constants(perturb(Linear(-1.0), error, eps=0.1)) == {}


def test_a_stratonovich_system_has_another_drift() -> None:
    system = DoubleWell()
    assert certified_constants(system)["mu"].value == 1.0
    system.sde_type = "stratonovich"
    assert certified_constants(system) == {}
    linear = Linear(-1.0)
    linear.sde_type = "stratonovich"
    with pytest.raises(Refused, match="Hull"):
        hull_of(linear)


def test_a_drift_of_ones_own_may_know_itself() -> None:
    mu = Certified(-2.0, "by hand", -2.0)
    assert certified_constants(Own({"mu": mu})) == {"mu": mu}


@pytest.mark.parametrize("answer", [{"mu": -2.0}, {"rate": Certified(1.0, "")}, {"mu": Sampled(1.0, "")}, 3.0])
def test_what_is_not_certified_is_refused(answer: Any) -> None:
    with pytest.raises(InvalidArgument, match="Certified"):
        certified_constants(Own(answer))


def test_boxes_are_passed_on() -> None:
    assert certified_constants(DoubleWell(), (1.0, 2.0))["spectral"].value == pytest.approx(11.0, rel=1e-14)
    with pytest.raises(InvalidArgument, match="box"):
        certified_constants(DoubleWell(), (2.0, 1.0))


def test_missing_parts_of_an_error_are_zero_for_certain() -> None:
    error = RepresentationError(drift=lambda t, x: x)
    zero = Certified(0.0, "the error has no such part", 0.0)
    names = ("diffusion_error", "diffusion_error_operator", "weighted_diffusion_error")
    assert certified_error(error) == dict.fromkeys(names, zero)
    both = RepresentationError(drift=lambda t, x: x, diffusion=lambda t, x: x)
    assert certified_error(both) == {}


def test_hulls() -> None:
    hull = hull_of(Linear(-1.0, 0.5, dim=2))
    np.testing.assert_array_equal(hull.drift, -np.eye(2)[None])
    assert hull.diffusion.shape == (1, 2, 2, 2)
    with pytest.raises(Refused, match="jacobian_hull"):
        hull_of(DoubleWell())
    with pytest.raises(InvalidArgument, match="Hull"):
        hull_of(Own(3.0))
    with pytest.raises(InvalidArgument, match="at most 12"):
        hull_of(TanhNetwork(dim=13))
