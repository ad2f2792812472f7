"""A claim: a statement made decidable, the work that decides it, and a control that must come out the other way."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from numpy.typing import NDArray

from ..exceptions import InvalidArgument
from ..hypothesis import Hypothesis
from ..run.store import Record
from ..validation import integer, one_of, positive
from ..verdict import Outcome, Verdict

BUDGETS = {"quick": 0.25, "standard": 1.0, "full": 8.0}


@final
@dataclass(frozen=True)
class Cell:
    """One piece of work: small enough to lose, and all that its result depends on.

    Equal cells are computed once, also for different claims, or for a claim and its control.

    Attributes:
        work: name of the computation, usually the claim's id.
        settings: plain JSON values, such as case, paths, steps, sizes and the formula that is tried.
        seed: seed of its noise.
        algorithm: raised whenever the same settings would give another result.
        cost: rough seconds, so that long work can begin first; not part of what the result depends on.
    """

    work: str
    settings: Mapping[str, Any]
    seed: int
    algorithm: int = 1
    cost: float = 1.0


@final
@dataclass(frozen=True)
class Result:
    """What a cell has found: plain values and arrays."""

    values: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class Claim(ABC):
    """A statement with cases, each of which gets a verdict of its own.

    A claim is picklable, and never told what verdict is expected of it. The formula under test is one of its fields,
    and where it matters to the work a setting of its cells: the control is the same code with another value there.

    Attributes:
        id: short name, such as "X3".
        title: what it is about in a few words, for headings and lists; empty for none.
        statement: one or two sentences, decidable.
        cases: what is judged apart, in order.
        source: where the statement is from, "as reconstructed" for the paper's formulas.
        note: what a reader should know who sees the verdict: cases that are not affected, unchecked hypotheses.
        formula: the statement in LaTeX mathematics, which the report typesets above its words; empty for none.
        assumes: what the statement assumes, and how each part of it is known.
    """

    id: str
    title: str = ""
    statement: str
    cases: tuple[str, ...]
    source: str
    note: str = ""
    formula: str = ""
    assumes: tuple[Hypothesis, ...] = ()

    def hypotheses(self, case: str) -> Sequence[Hypothesis]:
        """What the statement assumes of one case: by default `assumes`, for all cases alike."""
        return self.assumes

    @abstractmethod
    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        """The work for one case.

        Args:
            case: one of `cases`.
            scale: factor on the number of paths.
            seed: seed of the noise.
            drawn: whether the records are also drawn, or only judged.
        """

    @abstractmethod
    def compute(self, cell: Cell) -> Result:
        """Do the work of one cell; the result depends on the cell alone."""

    @abstractmethod
    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        """The verdict on one case, from its records alone."""

    @abstractmethod
    def control(self) -> "Claim":
        """The same claim with its formula swapped, so that in every case another verdict must come out."""


@final
@dataclass(frozen=True)
class Row:
    """One line of a catalogue: a claim and, apart from it, what is expected.

    Attributes:
        claim: the claim.
        expected: for each case the expected outcome; None for an open question.
        repetitions: how often the control is repeated to measure its power.
        repetition_scale: paths of a repetition, relative to the claim's own run.

    Raises:
        InvalidArgument: `expected` does not name exactly the claim's cases, or the claim lacks a word it should have.
    """

    claim: Claim
    expected: Mapping[str, Outcome | None]
    repetitions: int = 20
    repetition_scale: float = 0.25

    def __post_init__(self) -> None:
        if not isinstance(self.claim, Claim):
            raise InvalidArgument(f"claim must be a Claim, got {type(self.claim).__name__}.")
        _check_words(self.claim)
        integer("repetitions", self.repetitions, least=0)
        positive("repetition_scale", self.repetition_scale)
        if not isinstance(self.expected, Mapping):
            raise InvalidArgument(f"expected must be a mapping from cases, got {type(self.expected).__name__}.")
        if set(self.expected) != set(self.claim.cases):
            raise InvalidArgument(
                f"expected must name the cases of {self.claim.id}: {', '.join(self.claim.cases)}; "
                f"got {', '.join(map(str, self.expected))}."
            )
        for case, outcome in self.expected.items():
            if outcome is not None and not isinstance(outcome, Outcome):
                raise InvalidArgument(f"expected of case {case!r} must be an Outcome or None, got {outcome!r}.")


def _check_words(claim: Claim) -> None:
    """Whether a claim has its words, which become names of files and text of the report."""
    for name in ("id", "title", "statement", "source", "note", "formula"):
        value = getattr(claim, name, None)
        if not isinstance(value, str) or (name == "id" and not 0 < len(value) <= 100):
            raise InvalidArgument(f"{name} of {type(claim).__name__} must be a string, got {value!r:.60}.")
    cases = getattr(claim, "cases", None)
    if not isinstance(cases, list | tuple) or not cases or not all(isinstance(case, str) for case in cases):
        raise InvalidArgument(f"cases of {claim.id} must be a tuple of strings, at least one, got {cases!r:.60}.")
    if len(set(cases)) < len(cases):
        raise InvalidArgument(f"cases of {claim.id} must differ from each other, got {cases!r:.200}.")


def budget_scale(budget: str) -> float:
    """The factor on the number of paths that a budget stands for.

    Raises:
        InvalidArgument: the budget is unknown.
    """
    return BUDGETS[one_of("budget", budget, BUDGETS)]
