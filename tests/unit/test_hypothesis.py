"""Facts that functions declare of themselves, and the refusals that are made of them."""

import math
import pickle
from typing import Any

import pytest
import torch
from systems import elementwise, fixed
from torch import Tensor

from sdewm.dynamics import RepresentationError
from sdewm.exceptions import HypothesisFails, InvalidArgument, Refused
from sdewm.hypothesis import GROWTHS, Declared, Facts, Hypothesis, Status, declare, facts_of, worse


class Owner:
    """Declares whatever it is given."""

    def __init__(self, **declared: Any) -> None:
        self.__dict__.update(declared)


def test_facts_default_to_the_harmless() -> None:
    """Without arguments: linear, with all derivatives."""
    assert Facts() == Facts("linear", math.inf)
    assert Facts() != Facts("polynomial")


@pytest.mark.parametrize("growth", GROWTHS)
@pytest.mark.parametrize("smoothness", [0, 1, 2.5, math.inf])
def test_facts_keep_what_they_are_given(growth: str, smoothness: float) -> None:
    """Every known growth and every number of derivatives is taken as it is."""
    facts = declare(elementwise, growth, smoothness).facts
    assert (facts.growth, facts.smoothness) == (growth, smoothness)


@pytest.mark.parametrize("growth", ["cubic", "", "Linear", None, 1])
def test_an_unknown_growth_is_refused(growth: Any) -> None:
    """The sentence lists what is known, and what was given."""
    with pytest.raises(InvalidArgument, match=r"growth must be one of 'linear'.*'explosive', got") as caught:
        Facts(growth)
    assert repr(growth) in str(caught.value)


@pytest.mark.parametrize("smoothness", [-1, -0.5, math.nan, "2", None, True])
def test_an_impossible_smoothness_is_refused(smoothness: Any) -> None:
    """Also NaN, which compares with nothing, and a truth value, which Python takes for a number."""
    with pytest.raises(InvalidArgument, match=r"smoothness must be a number of derivatives >= 0, got"):
        Facts("linear", smoothness)


def test_a_declared_function_is_the_function() -> None:
    """It is called with any number of arguments, has the facts, and is a copy after pickling."""
    declared, t, x = declare(elementwise, "polynomial", 3), torch.tensor(0.5), fixed(4, 3)
    for twin in (declared, pickle.loads(pickle.dumps(declared))):
        assert isinstance(twin, Declared)
        assert torch.equal(twin(t, x), elementwise(t, x))
        assert facts_of(twin) == Facts("polynomial", 3)


def test_only_functions_are_declared() -> None:
    """A number has no facts."""
    with pytest.raises(InvalidArgument, match=r"function must be callable, got 3\.0"):
        declare(3.0)  # type: ignore[arg-type]


def test_facts_are_found_under_their_name_only() -> None:
    """What declares nothing has none; another name is another fact."""
    owner = Owner(facts=Facts(), drift_facts=Facts("one-sided"))
    assert facts_of(owner) == Facts()
    assert facts_of(owner, "drift_facts") == Facts("one-sided")
    assert facts_of(owner, "diffusion_facts") is None
    assert facts_of(elementwise) is None


@pytest.mark.parametrize("wrong", ["linear", ("linear", 2), {"growth": "linear"}, Facts])
def test_facts_of_another_type_are_refused(wrong: Any) -> None:
    """What looks like a declaration but is none is not passed over in silence."""
    with pytest.raises(InvalidArgument, match=r"drift_facts of Owner must be Facts\(\.\.\.\), got"):
        facts_of(Owner(drift_facts=wrong), "drift_facts")


def test_a_hypothesis_reads_as_one_line() -> None:
    """Its name, how it is known, and one clause."""
    assert str(Hypothesis("loss growth", Status.PROBED, "power 2")) == "loss growth: probed, power 2"


def test_the_worse_of_two_is_the_one_about_which_less_is_known() -> None:
    """From certified to fails, whichever of two comes first; the second of equals."""
    order = ("CERTIFIED", "DECLARED", "PROBED", "ASSUMED", "UNCHECKED", "FAILS")
    ranked = [Hypothesis("x", Status[name], name) for name in order]
    assert len(ranked) == len(Status)
    for i, a in enumerate(ranked):
        for j, b in enumerate(ranked):
            assert worse(a, b) is (a if i > j else b)
    assert worse(ranked[2], Hypothesis("x", Status.PROBED, "later")).detail == "later"


def test_a_failed_hypothesis_keeps_its_name_on_the_way_to_another_process() -> None:
    """Message and attributes survive pickling, and it is caught as what it always was."""
    failed = HypothesisFails("loss growth fails: too fast.", "loss growth", declared=True)
    twin = pickle.loads(pickle.dumps(failed))
    assert type(twin) is HypothesisFails
    assert (str(twin), twin.hypothesis, twin.declared) == (str(failed), "loss growth", True)
    assert isinstance(twin, Refused)
    assert isinstance(twin, ValueError)
    assert not HypothesisFails("x", "y").declared


def test_a_scaled_and_a_mirrored_error_declare_what_the_error_does() -> None:
    """Facts are not lost on the way, and are not made up where there are none."""

    def plain(t: Tensor, x: Tensor) -> Tensor:
        return x

    error = RepresentationError(declare(plain, "polynomial"), declare(elementwise, smoothness=2), plain_start)
    for other in (error.scaled(-2.0), error.mirrored(), error.mirrored().scaled(0.5)):
        assert facts_of(other.drift) == Facts("polynomial")
        assert facts_of(other.diffusion) == Facts("linear", 2)
    assert facts_of(RepresentationError(plain, elementwise).scaled(3.0).drift) is None
    assert facts_of(RepresentationError(plain, elementwise).mirrored().diffusion) is None


def plain_start(x: Tensor) -> Tensor:
    """An initial error."""
    return torch.sin(x)
