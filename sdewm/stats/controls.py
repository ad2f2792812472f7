"""Control variates: what a quantity with a known mean explains of another need not be averaged away."""

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..estimate import Estimate, Moments
from ..exceptions import InvalidArgument
from ..validation import integer


def controlled(moments: Moments, controls: int, known: ArrayLike = 0.0) -> tuple[Estimate, ...]:
    """Estimates of all columns but the last ones, adjusted by regression on the last ones, whose means are known.

    With the scatters S of observed columns x and controls c the estimate is x̄ − βᵀ(c̄ − E c), β = S_cc⁻¹ S_cx, and

        variance = (S_xx − βᵀS_cx) / (n − q − 1) · (1/n + (c̄ − E c)ᵀ S_cc⁻¹ (c̄ − E c)),

    with Student's law of n − q − 1 degrees of freedom, exact where x and c are jointly normal and asymptotic otherwise.
    Controls that depend linearly on others, or do not vary, count for nothing.

    Args:
        moments: of n independent observations, the controls in the last columns.
        controls: number q of controls.
        known: their means, a number or (q,).

    Returns:
        One estimate for each other column, with their joint covariance. Their `n` is the number of observations less
        the rank of the controls.

    Raises:
        InvalidArgument: no column is left, or there are not two observations more than controls.

    Warning:
        β is estimated from the same sample, so that the estimate is biased by order 1/n where x depends on c otherwise
        than linearly; the interval, of order 1/√n, does not cover that. `largest_share` takes the extremes of the
        unadjusted columns, and so is too large rather than too small. The moments are not to be merged with others.

    Source: Lavenberg, Welch 1981; Glasserman, Monte Carlo Methods in Financial Engineering, section 4.1.

    Example:
        >>> c = np.linspace(-1.0, 1.1, 50)
        >>> (mean,) = controlled(Moments.of(np.stack((3.0 + 2.0 * c, c), 1)), 1)
        >>> round(mean.value, 12), mean.standard_error < 1e-12, mean.n
        (3.0, True, 49)
    """
    q = integer("controls", controls, least=0)
    k = len(moments.mean) - q
    if k < 1:
        raise InvalidArgument(f"controls must leave a column to be estimated, got {q} of {k + q}.")
    off = moments.mean[k:] - np.broadcast_to(np.asarray(known, dtype=np.float64), (q,))
    # Columns of unit scatter, so that what is singular does not depend on units.
    unit = np.sqrt(np.diag(moments.scatter)[k:])
    unit = np.where(unit > 0.0, unit, 1.0)
    inner = moments.scatter[k:, k:] / np.outer(unit, unit)
    inverse = np.linalg.pinv(inner, rcond=1e-10, hermitian=True)
    rank = int(np.linalg.matrix_rank(inner, tol=1e-10, hermitian=True)) if q else 0
    if moments.n - rank < 2:
        raise InvalidArgument(f"controls must be at least two fewer than the {moments.n} observations, got {rank}.")
    cross = moments.scatter[k:, :k] / unit[:, None]
    beta, off = inverse @ cross, off / unit
    residual = moments.scatter[:k, :k] - cross.T @ beta
    residual = (residual + residual.T) / 2.0
    mean = moments.mean[:k] - off @ beta
    n = moments.n - rank
    # Scaled so that the moments' own rule, scatter / ((n − 1) n), gives the variance above.
    scatter = residual * (n * (1.0 / moments.n + float(off @ inverse @ off)))
    shift = mean - moments.mean[:k]
    return Moments(n, mean, scatter, moments.low[:k] + shift, moments.high[:k] + shift, moments.noise).estimates()


def select(moments: Moments, columns: Sequence[int]) -> Moments:
    """The same observations of some columns only, in a new order.

    Example:
        >>> select(Moments.of([[1.0, 2.0], [3.0, 6.0]]), [1, 0]).mean.tolist()
        [4.0, 2.0]
    """
    at = cast(NDArray[np.int64], np.asarray(columns, dtype=np.int64))
    return Moments(
        moments.n,
        moments.mean[at],
        moments.scatter[np.ix_(at, at)],
        moments.low[at],
        moments.high[at],
        moments.noise,
        None if moments.observations is None else moments.observations[:, at],
    )
