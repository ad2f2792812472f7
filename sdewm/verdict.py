"""What a check has found, and how far it may be believed."""

from dataclasses import dataclass, field, replace
from enum import Enum
from reprlib import repr as shorten
from typing import Any, Protocol, final

from .exceptions import Refused
from .output import frame, plain_fields, table

# How JSON spells what it has no number for.
_SPELLED = ("inf", "-inf", "nan")


@final
class Outcome(Enum):
    """The five answers that a check can give."""

    HOLDS = "holds"
    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"
    HYPOTHESIS_FAILS = "hypothesis fails"
    NUMERICAL_FAILURE = "numerical failure"


@final
class Grade(Enum):
    """How the error rate of a verdict is known."""

    CERTIFIED = "certified"
    ASYMPTOTIC = "asymptotic"


class Explained(Protocol):
    """The numbers behind a verdict."""

    def plot(self, path: Any = None) -> Any:
        """A figure."""

    def explain(self) -> str:
        """What would have to change for the verdict to change."""


@final
@dataclass(frozen=True)
class Verdict:
    """The outcome of one check with the numbers it rests on.

    Attributes:
        outcome: holds, violated, inconclusive, hypothesis fails or numerical failure.
        grade: certified (a theorem bounds the error rate) or asymptotic (central limit theorem).
        reason: one sentence with the numbers.
        interval: confidence interval of the judged quantity, `None` where nothing was estimated.
        allowed: the range which the statement allows that quantity.
        margin: distance from the interval to the decision's border, in the unit of `interval`; negative where
            the two overlap.
        level: confidence level of the interval.
        flags: remarks that did not decide, such as unchecked hypotheses.
        evidence: the numbers behind it, where it comes from a check of a bound; not part of its JSON form.
    """

    outcome: Outcome
    grade: Grade
    reason: str
    interval: tuple[float, float] | None = None
    allowed: tuple[float, float] | None = None
    margin: float | None = None
    level: float | None = None
    flags: tuple[str, ...] = ()
    evidence: Explained | None = field(default=None, compare=False, repr=False)

    def plot(self, path: Any = None) -> Any:
        """A figure of what was judged, written to `path` if one is given.

        Raises:
            Refused: there is nothing to draw.
        """
        return self._evidence().plot(path)

    def explain(self) -> str:
        """What would have to change for the verdict to change: more paths, a certified constant, a checked hypothesis.

        Raises:
            Refused: the numbers behind the verdict were not kept.
        """
        return self._evidence().explain()

    def _evidence(self) -> Explained:
        if self.evidence is None:
            raise Refused(
                "this verdict has no curves to draw or explain: it was read from a file, or came before them."
            )
        return self.evidence

    def __str__(self) -> str:
        flags = f" [{'; '.join(self.flags)}]" if self.flags else ""
        return f"{self.outcome.value} ({self.grade.value}): {self.reason}{flags}"

    def to_json(self) -> dict[str, Any]:
        """Plain values, as a JSON file gives them back.

        Raises:
            InvalidArgument: a field holds what JSON has no form for.
        """
        found = plain_fields(replace(self, evidence=None))
        del found["evidence"]
        return found

    def to_dict(self) -> dict[str, Any]:
        """The same as `to_json`, under the name that every result has.

        Example:
            >>> Verdict(Outcome.HOLDS, Grade.CERTIFIED, "a theorem").to_dict()["outcome"]
            'holds'
        """
        return self.to_json()

    def to_frame(self) -> Any:
        """`to_dict` as a pandas DataFrame of one row: the ends of an interval are columns, and flags are one text.

        Raises:
            MissingExtra: pandas is not installed.
        """
        found = self.to_dict()
        (low, high), (least, most) = (found.pop(name) or (None, None) for name in ("interval", "allowed"))
        ends = {"low": low, "high": high, "allowed_low": least, "allowed_high": most}
        return frame([{**found, **ends, "flags": "; ".join(self.flags)}])

    def _repr_html_(self) -> str:
        def pair(value: tuple[float, float] | None) -> str:
            return "" if value is None else f"[{value[0]:.5g}, {value[1]:.5g}]"

        rows = [
            ("outcome", self.outcome.value),
            ("grade", self.grade.value),
            ("reason", self.reason),
            ("interval", pair(self.interval)),
            ("allowed", pair(self.allowed)),
            ("level", "" if self.level is None else f"{self.level:g}"),
        ]
        return table("verdict", [], [row for row in rows if row[1]], self.flags)

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Verdict":
        """The inverse of `to_json`.

        Raises:
            KeyError: a field is missing.
            TypeError: a field is of another kind, such as a bool where a number is expected.
            ValueError: a field has a value that no verdict has, such as a level outside (0, 1].
        """
        level = data["level"]
        if level is not None and not 0.0 < (level := _number("level", level)) <= 1.0:
            raise ValueError(f"level must be in (0, 1], got {level!r}")
        if not isinstance(data["flags"], list | tuple):
            raise TypeError(f"flags must be a list of texts, got {shorten(data['flags'])}")
        return Verdict(
            Outcome(_text("outcome", data["outcome"])),
            Grade(_text("grade", data["grade"])),
            _text("reason", data["reason"]),
            _pair("interval", data["interval"]),
            _pair("allowed", data["allowed"]),
            None if data["margin"] is None else _number("margin", data["margin"]),
            level,
            tuple(_text("each flag", flag) for flag in data["flags"]),
        )


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, got {shorten(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} has half a character (a lone surrogate): {shorten(value)}") from error
    return value


def _number(name: str, value: Any) -> float:
    if isinstance(value, str) and value in _SPELLED:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, or one of {', '.join(map(repr, _SPELLED))}, got {shorten(value)}")
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"{name} must be a number that a float can hold, got {shorten(value)}") from error


def _pair(name: str, value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise TypeError(f"{name} must be a list of two numbers or null, got {shorten(value)}")
    low, high = (_number(name, each) for each in value)
    return low, high
