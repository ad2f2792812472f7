"""A claim about two arms of agents that differ in one thing: one pair a seed."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from sdewm.claims import Cell, Claim, Result
from sdewm.run import Record
from sdewm.stats import paired
from sdewm.verdict import Verdict

from .measure import compute
from .reading import Array, complete, error_at, mean_return, numbers, of_arm
from .setting import ARMS, cells

# Smallest relevant effects: a twentieth of the largest return, and of an error.
POINTS, FACTOR = 50.0, 0.95
# A drift error in training against none: known to do harm.
KNOWN = ("plain", "drift in training")

Records = dict[int, Record]


@dataclass(frozen=True)
class PairedArms(Claim, ABC):
    """Differences between two arms, one a seed, against the smallest relevant effect.

    The control judges another pair by the same rule, where the second arm does harm: a drift error in training.
    """

    swapped: bool = False

    pair: tuple[str, str] = KNOWN

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        """Both arms, and all the others where they are drawn."""
        return cells([arm for arm in ARMS if drawn or arm in self.judged], scale)

    def compute(self, cell: Cell) -> Result:
        """Train and measure."""
        return compute(cell)

    @property
    def judged(self) -> tuple[str, str]:
        """The arm without and with what the claim is about; in the control the known pair."""
        return KNOWN if self.swapped else type(self).pair

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        """Paired over seeds, undecided where a run diverged."""
        base, tried = (of_arm(records, arm) for arm in self.judged)
        failed = complete(base, tried)
        return self.decided(case, base, tried) if failed is None else failed

    @abstractmethod
    def decided(self, case: str, base: Records, tried: Records) -> Verdict:
        """The verdict on complete arms."""

    def control(self) -> Self:
        """The same judgement of the known pair."""
        return replace(self, swapped=not self.swapped)

    @property
    def level(self) -> float:
        """Cases of one claim share 5 %."""
        return 1.0 - 0.05 / len(self.cases)

    def higher_return(self, key: str, base: Records, tried: Records) -> Verdict:
        """Whether the mean return of one kind of evaluation is higher by the smallest relevant effect."""
        gain = numbers(tried, mean_return(key)) - numbers(base, mean_return(key))
        return self.points(gain, f"gain in return, {key}")

    def points(self, gain: Array, what: str) -> Verdict:
        """Whether gains of return are relevant."""
        return paired(gain, (POINTS, float("inf")), self.level, what=f"{what}, {self.judged[1]}", unit="points")

    def lower_error(self, steps: int, base: Records, tried: Records) -> Verdict:
        """Whether the open-loop error is lower by the smallest relevant effect."""
        change = np.log(numbers(tried, error_at(steps)) / numbers(base, error_at(steps)))
        what = f"log ratio of the error {steps} ahead, {self.judged[1]}"
        return paired(change, (-float("inf"), float(np.log(FACTOR))), self.level, what=what)
