"""Claims about two arms that differ in one thing: one pair of trainings a seed."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sdewm.claims import Claim
from sdewm.hypothesis import Hypothesis
from sdewm.run import Record
from sdewm.stats import paired
from sdewm.verdict import Grade, Outcome, Verdict

from .kit import certified, declared, unchecked

Array = NDArray[np.float64]
# What the claims say in mathematics: a lower error, and a higher return, with what is tried than without it.
RATIO = (
    r"\mathbb{E}_{\text{seeds}}\log\frac{\operatorname{RMSE}^{\text{with}}}{\operatorname{RMSE}^{\text{without}}}"
    r"\le\log0.95"
)
GAIN = r"\mathbb{E}_{\text{seeds}}\left[\text{return}^{\text{with}}-\text{return}^{\text{without}}\right]\ge50"
# The records of one arm, by seed.
Arm = dict[int, Record]
Read = Callable[[Record], float]


@dataclass(frozen=True)
class PairedArms(Claim, ABC):
    """Differences between two arms, one a seed, against the smallest relevant effect.

    The control judges a pair whose difference is known, by the same rule.

    Attributes:
        swapped: whether this is the control.
        pair: the arm without and with what the claim is about.
        known: the pair of the control, whose second arm is known to be better than its first.
    """

    swapped: bool = False

    pair: ClassVar[tuple[str, str]]
    known: ClassVar[tuple[str, str]]
    assumes: tuple[Hypothesis, ...] = (
        certified("pairs", "both arms of a pair have one seed of weights, windows and noise"),
        declared("protocol", "fixed before the judged runs, doses from pilots on other seeds: analysis/protocol/"),
        unchecked("normal differences", "Student's interval over the training seeds"),
    )

    @property
    def judged(self) -> tuple[str, str]:
        """The two arms of this claim, or of this control."""
        return self.known if self.swapped else self.pair

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        """Paired over seeds; undecided where a run diverged."""
        base, tried = (self.arm(records, name) for name in self.judged)
        failed = complete(base, tried)
        return self.decided(case, base, tried) if failed is None else failed

    @abstractmethod
    def arm(self, records: Sequence[Record], name: str) -> Arm:
        """The records of one arm."""

    @abstractmethod
    def decided(self, case: str, base: Arm, tried: Arm) -> Verdict:
        """The verdict on complete arms."""

    def control(self) -> Self:
        """The same judgement of the known pair."""
        return replace(self, swapped=not self.swapped)

    @property
    def level(self) -> float:
        """Cases of one claim share 5 %."""
        return 1.0 - 0.05 / len(self.cases)

    def lower(self, read: Read, factor: float, base: Arm, tried: Arm, what: str) -> Verdict:
        """Whether a positive number is lower by this factor or more, by log ratios."""
        change = np.log(numbers(tried, read) / numbers(base, read))
        return paired(change, (-np.inf, float(np.log(factor))), self.level, what=f"log ratio of {what}, {self._arms}")

    def higher(self, read: Read, points: float, base: Arm, tried: Arm, what: str) -> Verdict:
        """Whether a number is higher by so many points or more, by differences."""
        gain = numbers(tried, read) - numbers(base, read)
        return paired(gain, (points, np.inf), self.level, what=f"gain in {what}, {self._arms}", unit="points")

    @property
    def _arms(self) -> str:
        return f"{self.judged[1]!r} against {self.judged[0]!r}"


def numbers(arm: Arm, read: Read) -> Array:
    """One number a seed, in the order of the seeds."""
    return np.array([read(record) for record in arm.values()])


def complete(*arms: Arm) -> Verdict | None:
    """Why these arms cannot be compared seed by seed, or None: a run that diverged, or none to begin with."""
    if not all(arms) or any(arm.keys() != arms[0].keys() for arm in arms):
        return _undecided("the arms do not hold the same seeds")
    diverged = [
        f"{record.key['settings']['arm']}, seed {seed}"
        for arm in arms
        for seed, record in arm.items()
        if record.values["diverged"]
    ]
    return _undecided(f"diverged: {'; '.join(diverged)}") if diverged else None


def _undecided(reason: str) -> Verdict:
    return Verdict(Outcome.INCONCLUSIVE, Grade.ASYMPTOTIC, reason)
