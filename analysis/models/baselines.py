"""Are both world models worth the name on both tasks, over all seeds?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from sdewm.claims import Cell, Claim, Result, Row
from sdewm.run import Record
from sdewm.stats import paired
from sdewm.verdict import Outcome, Verdict

from ..arms import complete, numbers
from ..kit import BETTER, certified, unchecked
from .measure import compute
from .reading import error_at, of_arm
from .setting import MODELS, TASKS, cells, seeds, small

BASELINES = ("mean", "persistence", "ridge")
SHOWN = "categorical RSSM"
STEPS = 25
CASES = tuple(f"{model}, {task}" for task in TASKS for model in MODELS)
LEVEL = 1.0 - 0.05 / len(CASES)


@final
@dataclass(frozen=True)
class BeatsBaselines(Claim):
    """Log ratio of the open-loop error to that of the best baseline, one number a seed.

    The control asks the same of the worst baseline: that it beats the best.
    """

    swapped: bool = False

    id = "L4"
    title = "Trained models beat their baselines"
    statement = (
        f"{STEPS} steps ahead in open loop with known actions, a model trained on 300 episodes predicts held-out "
        "observations with a smaller root mean square error than the best of mean, persistence and ridge regression."
    )
    cases = CASES
    source = "a sanity check of the trained models"
    formula = BETTER
    assumes = (
        certified("held-out episodes", "collected with seeds of their own; each counts once"),
        unchecked("other models", "ten training seeds on two small tasks"),
        unchecked("normal differences", "Student's interval over the training seeds"),
    )
    note = "Ridge: one linear regression a horizon on the last ten observations and all actions. Ten training seeds."

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        model, task = case.split(", ")
        # The quick form needs small models on record: they are trained beside the others.
        fellows = [small(seed) for seed in seeds(scale)] if drawn and case == CASES[0] else []
        shown = cells(task, SHOWN, ("plain",), scale) if drawn and case == CASES[0] else []
        return [*cells(task, model, ("plain",), scale), *fellows, *shown]

    def compute(self, cell: Cell) -> Result:
        return compute(cell)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        model, task = case.split(", ")
        plain = of_arm(records, task, model, "plain")
        failed = complete(plain)
        if failed is not None:
            return failed
        others = {name: numbers(plain, error_at(STEPS, name)) for name in BASELINES}
        best = min(others, key=lambda name: others[name].mean())
        tried = numbers(plain, error_at(STEPS))
        if self.swapped:
            # The model's own spread is kept, so that the control has an interval.
            worst = max(others, key=lambda name: others[name].mean())
            tried = tried * (others[worst].mean() / np.exp(np.log(tried).mean()))
        change = np.log(tried / others[best])
        return paired(change, (-math.inf, 0.0), LEVEL, what=f"log of the error over that of {best}")

    def control(self) -> "BeatsBaselines":
        """The same judgement of the worst baseline in the model's place."""
        return replace(self, swapped=not self.swapped)


ROWS = (Row(BeatsBaselines(), dict.fromkeys(CASES, Outcome.HOLDS), repetitions=0),)
