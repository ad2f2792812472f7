import pickle
from fractions import Fraction

import numpy as np
import pytest
import torch

from sdewm import validation
from sdewm.exceptions import InvalidArgument, MissingExtra, NumericalFailure, Refused, SdewmError


def test_integer() -> None:
    assert validation.integer("n", 3, least=3) == 3
    assert type(validation.integer("n", np.int32(7), least=0)) is int
    for bad in (2, -1, 3.0, True, "3", None, np.float64(4), np.bool_(True), torch.tensor(4)):
        with pytest.raises(InvalidArgument) as caught:
            validation.integer("n", bad, least=3)
        assert str(caught.value) == f"n must be a whole number >= 3, got {bad!r}."


def test_real_and_positive() -> None:
    for good in (1, 1.5, np.float32(0.5), Fraction(1, 4)):
        assert validation.real("T", good) == validation.positive("T", good) == float(good)
    assert validation.real("T", -2) == -2.0
    for bad in (float("nan"), float("inf"), "1", None, True, 1j, 10**400, torch.tensor(1.0)):
        for check in (validation.real, validation.positive):
            with pytest.raises(InvalidArgument, match="T must be a finite number, got"):
                check("T", bad)
    for bad in (0, -0.0, -1):
        with pytest.raises(InvalidArgument) as caught:
            validation.positive("T", bad)
        assert str(caught.value) == f"T must be above zero, got {bad!r}."


def test_one_of() -> None:
    assert validation.one_of("method", "a", ("a", "b")) == "a"
    with pytest.raises(InvalidArgument, match="method must be one of 'a', 'b', got 'c'"):
        validation.one_of("method", "c", ("a", "b"))


def test_level() -> None:
    assert validation.level(0.95) == 0.95
    for bad in (0, 1, -0.1, 95):
        with pytest.raises(InvalidArgument, match=f"level must lie strictly between 0 and 1, got {bad}"):
            validation.level(bad)


@pytest.mark.parametrize("kind", [InvalidArgument, Refused, MissingExtra, NumericalFailure])
def test_every_error_is_ours_and_is_caught_as_what_it_is_like(kind: type[Exception]) -> None:
    assert issubclass(kind, SdewmError)
    builtin = {MissingExtra: ImportError, NumericalFailure: ArithmeticError}.get(kind, ValueError)
    assert issubclass(kind, builtin)


def test_a_numerical_failure_survives_the_way_to_another_process() -> None:
    back = pickle.loads(pickle.dumps(NumericalFailure("explodes", 7, 0.25, 3)))
    assert (str(back), back.path, back.time, back.count) == ("explodes", 7, 0.25, 3)


def test_numbers_that_a_tensor_would_change_in_silence_are_refused() -> None:
    """Whole numbers that wrap, and values whose mask would be lost."""
    largest = 2**63 - 1
    assert validation.tensor("x0", np.array([0, largest], dtype=np.uint64)).tolist() == [0, largest]
    assert validation.tensor("x0", np.array([], dtype=np.uint64)).tolist() == []
    for given in (np.array([2**63], dtype=np.uint64), [2**63], [[2**64 - 1]], np.uint64(2**63)):
        with pytest.raises(InvalidArgument, match=r"x0 has whole numbers of 2\*\*63 and more, such as \d+"):
            validation.tensor("x0", given)
    masked = np.ma.array([1.0, 2.0], mask=[False, True])
    for each in (masked, [masked, masked], (np.ones(2), masked), np.ma.masked):
        with pytest.raises(InvalidArgument, match="x0 has masked values"):
            validation.tensor("x0", each)
    assert validation.tensor("x0", np.ma.array([1.0, 2.0])).tolist() == [1.0, 2.0]
