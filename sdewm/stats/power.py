"""How often a deliberately wrong statement was caught."""

from dataclasses import dataclass
from typing import final

from ..validation import integer
from ..validation import level as check_level


@final
@dataclass(frozen=True)
class Power:
    """The share of independent repetitions of a control that came out as required.

    Example:
        >>> low, high = Power(20, 20).interval()
        >>> round(low, 3), high
        (0.832, 1.0)
    """

    caught: int
    repetitions: int

    def __post_init__(self) -> None:
        integer("repetitions", self.repetitions, least=self.caught)
        integer("caught", self.caught, least=0)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Exact (Clopper–Pearson) interval of the probability to catch the control."""
        from scipy.special import betaincinv  # here, so that importing the package stays quick

        k, n, tail = self.caught, self.repetitions, (1.0 - check_level(level)) / 2
        low = float(betaincinv(k, n - k + 1, tail)) if k else 0.0
        high = float(betaincinv(k + 1, n - k, 1.0 - tail)) if k < n else 1.0
        return low, high

    def __str__(self) -> str:
        return f"{self.caught}/{self.repetitions}"
