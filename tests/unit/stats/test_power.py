"""The exact binomial interval."""

import pytest
from scipy.stats import binomtest

from sdewm import InvalidArgument
from sdewm.stats import Power


@pytest.mark.parametrize(("k", "n"), [(0, 20), (1, 20), (13, 20), (20, 20), (1, 1)])
def test_interval_is_clopper_pearson(k: int, n: int) -> None:
    exact = binomtest(k, n).proportion_ci(0.95, method="exact")
    assert Power(k, n).interval() == pytest.approx((exact.low, exact.high), abs=1e-12)
    assert str(Power(k, n)) == f"{k}/{n}"


def test_no_repetition_knows_nothing() -> None:
    assert Power(0, 0).interval() == (0.0, 1.0)


def test_more_caught_than_repeated_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="repetitions must be a whole number >= 3, got 2"):
        Power(3, 2)
