"""From model errors to values: the gap between the values of a policy in two models."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...constant import Assumed, Constant, carry
from ...exceptions import HypothesisFails, InvalidArgument
from ...validation import real

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class ValueGap:
    """|V^ε − V| <= ε_r/(1−γ) + L_r δ/(1−γκ) + L_r γ d/((1−γ)(1−γκ)).

    With W_t the Wasserstein-1 distance of the two laws after t steps, W_0 <= δ and W_{t+1} <= κ W_t + d, since one step
    of the base contracts by κ and one step of the other model is off by d; each reward differs by at most
    ε_r + L_r W_t, and Σ γ^t of that is the bound. The closed loop may expand, κ >= 1, as long as γκ < 1. Each term is
    attained, and all at once: by z' = κz and r = L_r z against z' = κz + d and r = L_r z + ε_r. For action values at a
    common action the same holds if ε_r = δ = 0.

    Args:
        discount: γ in [0, 1).
        reward: Lipschitz constant L_r of the reward, as a number or a `Constant`.
        closed_loop: Lipschitz constant κ of the closed loop's step in Wasserstein-1, likewise.
        one_step: supremum d of the Wasserstein-1 distance of one step of the two models, likewise.
        initial: Wasserstein-1 distance δ of the initial latents.
        reward_error: supremum ε_r of the difference of the rewards.

    Raises:
        InvalidArgument: a number is out of its range.
        HypothesisFails: γκ is not below one, or not shown to be, where κ is a certified bound that is not attained.

    Source: Asadi, Misra, Littman, Lipschitz continuity in model-based reinforcement learning, ICML 2018, theorem 2, for
    κ; the terms for reward and initial error are derived here.

    Warning:
        Constants that are given as plain numbers are taken as they are. κ is the *closed* loop's: a policy with a large
        Lipschitz constant raises it.

    Example:
        >>> gap = ValueGap(discount=0.9, reward=1.0, closed_loop=0.5, one_step=0.1)
        >>> round(float(gap.bound), 4)
        1.6364
    """

    discount: float
    reward: Constant | float
    closed_loop: Constant | float
    one_step: Constant | float
    initial: Constant | float = 0.0
    reward_error: Constant | float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= real("discount", self.discount) < 1.0:
            raise InvalidArgument(f"discount must be in [0, 1), got {self.discount!r}.")
        for name, constant in zip(_NAMES, self._constants, strict=True):
            if not constant.value >= 0.0:
                raise InvalidArgument(f"{name} must be at least 0, got {constant.value!r}.")
        kappa = self._constants[1]
        if not self.discount * kappa.value < 1.0:
            shown = kappa.at_most is None or kappa.at_least == kappa.at_most
            fault = "is not" if shown else "is not shown to be"
            raise HypothesisFails(
                f"γκ {fault} below one, it is {self.discount * kappa.value:.4g}: "
                f"errors outgrow the discount and the values need not be close.",
                "discounted contraction",
                declared=kappa.at_least is not None and self.discount * kappa.at_least >= 1.0,
            )

    @property
    def _constants(self) -> tuple[Constant, ...]:
        given = (self.reward, self.closed_loop, self.one_step, self.initial, self.reward_error)
        return tuple(c if isinstance(c, Constant) else Assumed(c) for c in given)

    @property
    def terms(self) -> tuple[float, float, float]:
        """What the reward error, the initial error and the model error contribute."""
        return value_gap_terms(self.discount, *(c.value for c in self._constants))

    @property
    def bound(self) -> Constant:
        """The bound, with the pedigree of its constants."""
        return carry(lambda *values: sum(value_gap_terms(self.discount, *values)), *self._constants, source="value gap")

    @property
    def action_value(self) -> Constant:
        """The bound on |Q^ε(z, a) − Q(z, a)| at a common action.

        Raises:
            InvalidArgument: there is a reward error or an initial error.
        """
        if self._constants[3].value or self._constants[4].value:
            raise InvalidArgument(
                "initial and reward_error must be 0 for action values: at a common action the first step is not "
                "that of the closed loop, whose Lipschitz constant is the only one given."
            )
        return self.bound


_NAMES = ("reward", "closed_loop", "one_step", "initial", "reward_error")


def value_gap_terms(
    discount: float, reward: float, closed_loop: float, one_step: float, initial: float, reward_error: float
) -> tuple[float, float, float]:
    """ε_r/(1−γ), L_r δ/(1−γκ) and L_r γ d/((1−γ)(1−γκ)); infinite where γκ >= 1."""
    rest = 1.0 - discount * closed_loop
    if rest <= 0.0:
        return (np.inf, np.inf, np.inf)
    return (
        reward_error / (1.0 - discount),
        reward * initial / rest,
        reward * discount * one_step / ((1.0 - discount) * rest),
    )


def wasserstein_1(a: ArrayLike, b: ArrayLike) -> float:
    """W₁ of two samples of equal size, exactly: by sorting in one dimension, else by the optimal assignment.

    Args:
        a, b: (n,) or (n, dim).

    Raises:
        InvalidArgument: the shapes differ, or a number is not finite.

    Warning:
        Of the samples, not of the laws they are from: in the mean it is too large, by order n^(−1/dim) for dim > 2. The
        assignment needs time of order n³.

    Example:
        >>> wasserstein_1([0.0, 1.0, 5.0], [5.5, 0.5, 1.5])
        0.5
    """
    x, y = (np.asarray(v, dtype=np.float64) for v in (a, b))
    if x.shape != y.shape or x.ndim not in (1, 2) or x.size == 0:
        raise InvalidArgument(f"a and b must have one shape, (n,) or (n, dim), got {x.shape} and {y.shape}.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InvalidArgument("a and b must be finite, but some entries are NaN or infinite.")
    if x.ndim == 1 or x.shape[1] == 1:
        return float(np.abs(np.sort(x.ravel()) - np.sort(y.ravel())).mean())
    from scipy.optimize import linear_sum_assignment  # here, so that importing the package stays quick
    from scipy.spatial.distance import cdist

    cost = cdist(x, y)
    return float(cost[linear_sum_assignment(cost)].mean())


def one_step_distance(pairs: Sequence[tuple[ArrayLike, ArrayLike]]) -> Assumed:
    """The largest W₁ over pairs of samples of the next state, one pair a state.

    Args:
        pairs: for each state a sample of the next state in either model, as for `wasserstein_1`.

    Returns:
        An assumed constant: a maximum over some states is too small a supremum, and sampling makes each distance too
        large, so that it bounds d on neither side.

    Raises:
        InvalidArgument: there is no pair.

    Example:
        >>> print(one_step_distance([([0.0], [0.5]), ([1.0], [1.25])]))
        assumed 0.5 (largest empirical W1 over 2 states)
    """
    if not pairs:
        raise InvalidArgument("pairs is empty: give samples at one state at least.")
    return Assumed(max(wasserstein_1(a, b) for a, b in pairs), f"largest empirical W1 over {len(pairs)} states")
