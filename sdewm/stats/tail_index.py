"""How heavy a tail is, and up to which moment the central limit theorem may be used."""

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from ..exceptions import InvalidArgument
from ..validation import integer, positive
from ..validation import level as check_level


@final
@dataclass(frozen=True)
class TailIndex:
    """The index κ of a tail P(X > x) ~ c x^−κ: moments exist below order κ, none above.

    Attributes:
        value: Hill's estimate, from the largest `exceedances` values.
        lower, upper: limits on κ, the outer ones of those from k and from k/4 exceedances.
        exceedances: k, how many of the largest values were used.
        level: confidence level of the limits together.
    """

    value: float
    lower: float
    upper: float
    exceedances: int
    level: float

    def allows(self, order: float) -> bool:
        """Whether κ > 2·order is established, so that the mean of X^order has a central limit theorem.

        Raises:
            InvalidArgument: order is not above zero.
        """
        return self.lower > 2.0 * positive("order", order)


def tail_index(values: ArrayLike, level: float = 0.99, exceedances: int | None = None) -> TailIndex:
    """Hill's estimate of the index κ of the upper tail, with limits.

        1/κ̂ = (1/k) Σ_{i<=k} log X_(i) / X_(k+1),    X_(1) >= X_(2) >= … the order statistics,

    and 2kκ/κ̂ has the χ² law with 2k degrees of freedom where the tail is Pareto's beyond X_(k+1), which gives exact
    limits. A tail that is one only asymptotically, such as that of a Kesten process X = A X' + B with E A^κ = 1,
    biases κ̂, and the more so the larger k is. So the limits are the outer ones of those at k and k/4, the level being
    shared by all four. What bias is left was downwards for Kesten processes and Student's tails: at n = 1e5 κ̂ = 2.7 for
    κ = 3 and 5.0 for κ = 6, so that less is established than is true, and `upper` may be below κ. A tail lighter than
    every power, such as a lognormal one, has κ = ∞; κ̂ is then finite and grows without bound with n.

    Args:
        values: (n,), independent, X >= 0.
        level: confidence level.
        exceedances: k; by default n^(2/3).

    Raises:
        InvalidArgument: the shape is another one, n < 100, a value is negative or not finite, exceedances is not
            between 2 and n − 1, or fewer than k + 1 values are above zero.

    Source:
        Hill, "A simple general approach to inference about the tail of a distribution", Ann. Statist. 3 (1975); Goldie,
        Ann. Appl. Probab. 1 (1991), for the tails of Kesten processes.

    Warning:
        It is evidence, and no certificate: what lies beyond the largest value is not seen. Values along one path
        depend on each other and make the limits too narrow.

    Example:
        >>> tail = tail_index(1.0 / np.random.default_rng(0).random(100_000) ** (1 / 3.0))
        >>> tail.lower < 3.0 < tail.upper, tail.allows(1.0), tail.allows(2.0)
        (True, True, False)
    """
    from scipy.stats import chi2  # here, so that importing the package stays quick

    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) < 100:
        raise InvalidArgument(f"values must have shape (n,) with n >= 100, got {x.shape}.")
    if not (np.isfinite(x).all() and x.min() >= 0.0):
        raise InvalidArgument("values must be finite and at least 0; give norms, or one tail at a time.")
    k = round(len(x) ** (2.0 / 3.0)) if exceedances is None else integer("exceedances", exceedances, least=2)
    if k > len(x) - 1:
        raise InvalidArgument(f"exceedances must be at most n - 1 = {len(x) - 1}, got {k}.")
    top = np.sort(np.partition(x, len(x) - k - 1)[len(x) - k - 1 :])[::-1]
    if not top[-1] > 0.0:
        raise InvalidArgument(f"values must have more than {k} above zero; give a smaller number of exceedances.")
    numbers = np.array([k, max(k // 4, 1)])
    tail = (1.0 - check_level(level)) / 4.0
    logs = np.log(top)
    indices = np.array([_hill(logs, int(number)) for number in numbers])
    lower = (indices * chi2.ppf(tail, 2 * numbers) / (2 * numbers)).min()
    upper = (indices * chi2.isf(tail, 2 * numbers) / (2 * numbers)).max()
    return TailIndex(float(indices[0]), float(lower), float(upper), k, level)


def _hill(logs: np.ndarray, k: int) -> float:
    """Hill's estimate from the k largest of sorted logarithms; infinite where they are all alike."""
    gap = float((logs[:k] - logs[k]).mean())
    return 1.0 / gap if gap > 0.0 else math.inf
