"""How often the statistical tests cry wolf, in one place.

Seeds are fixed, so that a test that passes once passes always on one kind of processor; on another kind the normals
differ and each test is a fresh draw. A single interval is wrong with probability `FALSE_ALARM`, a statistic leaves
`LIMIT` standard errors with probability 5.7e-7, and all checks of one run together may not spend more than `BUDGET`.
Seeds chosen until a check is green are worth nothing: seeds here are small whole numbers, mostly 0, and a failing check
is a finding.
"""

import os

from scipy.special import ndtr

from sdewm.estimate import Estimate

FALSE_ALARM = 5e-6
BUDGET = 1e-3
LIMIT = 5.0
# Each worker process counts apart, so each gets its share of the run's budget.
_SHARE = BUDGET / int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))

_spent = 0.0


def spend(probability: float = FALSE_ALARM) -> None:
    """Book one check; fails where a run has booked more than its budget."""
    global _spent
    _spent += probability
    assert _spent <= _SHARE, f"{_spent:.3g} of false alarms a run, more than {_SHARE:g}: make checks deterministic"


def assert_covers(estimate: Estimate, truth: float, slack: float = 0.0) -> None:
    """The interval of level 1 - FALSE_ALARM holds a number within `slack` (a known bias) of the truth."""
    spend()
    low, high = estimate.interval(1.0 - FALSE_ALARM)
    assert low - slack <= truth <= high + slack, f"{truth:.6g} (+-{slack:.2g}) is outside [{low:.6g}, {high:.6g}]"


def assert_misses(estimate: Estimate, falsehood: float) -> None:
    """The same interval excludes a wrong value: the check above had the power to fail."""
    low, high = estimate.interval(1.0 - FALSE_ALARM)
    assert not low <= falsehood <= high, f"{falsehood:.6g} is inside [{low:.6g}, {high:.6g}]: the check has no power"


def assert_normal(value: float, expected: float, standard_error: float) -> None:
    """A statistic with a known normal law and standard error."""
    spend(2.0 * float(ndtr(-LIMIT)))
    z = (value - expected) / standard_error
    assert abs(z) < LIMIT, f"{value:.6g} is {z:.1f} standard errors from {expected:.6g}"
