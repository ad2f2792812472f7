"""Verdicts on what is measured again, against what is on record."""

import math
from collections.abc import Sequence

import numpy as np

from sdewm.stats import student_interval
from sdewm.stats.decide import decide
from sdewm.verdict import Verdict

LEVEL = 0.99


def near(gap: float, allowed: float, *, what: str) -> Verdict:
    """Whether a number that was measured again is off its record by no more than is allowed; NaN has no record."""
    reason = f"{what} now and on record differ by {gap:.2g}, allowed {allowed:g}"
    doubt = None if math.isfinite(gap) else "its record is missing"
    inside = allowed - gap
    return decide(reason, inside, -inside, interval=(gap, gap), allowed=(0.0, allowed), level=LEVEL, doubt=doubt)


def among(found: float, fellows: Sequence[float], *, what: str) -> Verdict:
    """Whether a number lies in the prediction interval that its fellows give for one more of their kind."""
    x, n = np.array(fellows), len(fellows)
    # Student's interval for the mean, widened to that for one more.
    low, high = (float(x.mean() + (end - x.mean()) * math.sqrt(n + 1.0)) for end in student_interval(x, LEVEL))
    reason = f"{what} {found:.4g}, of {n} other seeds on record one more is expected in [{low:.4g}, {high:.4g}]"
    inside, outside = min(found - low, high - found), max(low - found, found - high)
    return decide(reason, inside, outside, interval=(found, found), allowed=(low, high), level=LEVEL)
