"""Growth of injected errors over a rollout, against the laws of plain addition."""

import math

import numpy as np
from numpy.typing import NDArray

from sdewm.stats import paired
from sdewm.verdict import Verdict

ZERO, DRIFT = "zero drift", "drift"
AT_MOST, MORE = "zero drift: at most √N", "drift: more than N"
STEPS = 25


def judge_growth(case: str, errors: NDArray[np.float64], level: float, *, swapped: bool) -> Verdict:
    """Whether errors grow at most like √N, or more than N, over `STEPS` steps.

    Args:
        case: `AT_MOST` or `MORE`.
        errors: (seeds, steps): root mean square errors after each step, one row a seed.
        level: of the interval over seeds.
        swapped: ask for the contrary: more than √N, or at most N.
    """
    power, law = (0.5, "√N") if case == AT_MOST else (1.0, "N")
    excess = np.log(errors[:, STEPS - 1] / errors[:, 0]) - power * math.log(STEPS)
    at_most = (case == AT_MOST) is not swapped
    border = (-math.inf, 0.0) if at_most else (0.0, math.inf)
    return paired(excess, border, level, what=f"log of growth over {STEPS} steps against {law}")
