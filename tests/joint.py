"""Several estimates against several numbers at the price of one check."""

from collections.abc import Iterable

from alarm import FALSE_ALARM, spend

from sdewm.estimate import Estimate


def assert_all_cover(pairs: Iterable[tuple[Estimate, float]], slack: float = 0.0) -> None:
    """Every interval holds its number up to a known bias `slack`; together they are wrong with `FALSE_ALARM`."""
    spend()
    listed = list(pairs)
    for i, (estimate, truth) in enumerate(listed):
        low, high = estimate.interval(1.0 - FALSE_ALARM / len(listed))
        assert low - slack <= truth <= high + slack, f"number {i}: {truth:.6g} is outside [{low:.6g}, {high:.6g}]"
