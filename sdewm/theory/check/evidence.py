"""What a verdict on a bound rests on: curves, constants and estimates, to be drawn and explained."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from ...constant import Constant
from ...stats.sequential import CONTRADICTION, Comparison
from ...verdict import Grade, Outcome
from ..bounds.bound import Bound, Setting
from ..bounds.fourth_moment import FourthMoment

Array = NDArray[np.float64]

# So many paths are no advice.
MANY = 1e7


@final
@dataclass(frozen=True, eq=False)
class Evidence:
    """The numbers behind a verdict on a bound.

    Attributes:
        bound: the bound.
        setting: what it was evaluated for.
        constants: what is known of its constants.
        times: the times that were judged.
        comparisons: for each of them the mean of what the bound averages, beside both sides of the bound.
        least: the discrete bound at what its constants are known to reach, (steps + 1,).
        most: the same at what they surely do not exceed; None where one of them is not certified.
        continuous: the bound on the equation itself at the least constants; None where there is none.
        seen: (times, sizes of the error) of the paths between which constants were sampled; drawn, and not judged.
        certifiable: whether certified constants bound the variance of what is averaged.
        withheld: why a lower limit above the bound would not mean that it is violated, or None.
    """

    bound: Bound
    setting: Setting
    constants: Mapping[str, Constant]
    times: tuple[float, ...]
    comparisons: tuple[Comparison, ...]
    least: Array
    most: Array | None
    continuous: Array | None
    seen: tuple[Array, Array]
    certifiable: bool
    withheld: str | None

    @property
    def worst(self) -> int:
        """The number of the time that decides: violated before inconclusive before holds, then where it is closest."""
        order = (Outcome.VIOLATED, Outcome.INCONCLUSIVE, Outcome.HOLDS)

        def key(i: int) -> tuple[int, float]:
            c = self.comparisons[i]
            violated = c.outcome is Outcome.VIOLATED
            error, bound = (c.lower, c.at_most) if violated else (c.upper, c.at_least)
            finite = bound is not None and 0.0 < bound < math.inf and math.isfinite(error)
            return order.index(c.outcome), -error / bound if finite and bound is not None else 0.0

        return min(range(len(self.times)), key=key)

    @property
    def quantity(self) -> str:
        """What is bounded, in words."""
        if self.bound.quantity:
            return self.bound.quantity
        if self.bound.running:
            return "RMS of the largest error so far"
        return {1.0: "mean error", 2.0: "RMS error"}.get(self.bound.power, f"L{self.bound.power:g} error")

    def size(self, mean: float) -> float:
        """(E|e|^p)^(1/p) from the mean of |e|^p."""
        return float(max(mean, 0.0) ** (1.0 / self.bound.power))

    @property
    def ratio(self) -> float:
        """Bound over observed error at the time that decides."""
        seen = self.size(self.comparisons[self.worst].estimate.value)
        bound = self.at(self.least, self.times[self.worst])
        return bound / seen if seen > 0.0 else math.inf

    def at(self, curve: Array, t: float) -> float:
        """A curve's value at a grid time."""
        return float(curve[self.setting.grid.index(t)])

    def explain(self) -> str:
        """What would have to change for the verdict to change."""
        c, t = self.comparisons[self.worst], self.times[self.worst]
        if c.outcome is Outcome.HOLDS:
            lines = [] if c.upper_grade is Grade.CERTIFIED else [self._for_a_certified_grade()]
            lines.append(self._for_a_violation(c, t))
        elif c.outcome is Outcome.VIOLATED and self.withheld is not None:
            lines = [f"the lower limit of the error exceeds the bound at certified constants, but {self.withheld}"]
        elif c.outcome is Outcome.VIOLATED:
            lines = [
                f"the lower limit of the error exceeds the bound at certified constants: what certifies one of "
                f"{', '.join(self.bound.constants) or 'its premises'} is wrong, or the bound is wrong"
            ]
        else:
            lines = [self._open(c)]
        return ".\n".join(lines) + "."

    def _for_a_certified_grade(self) -> str:
        if not self.certifiable:
            return f"it cannot be certified: no theorem here bounds the spread of the {self.quantity}"
        missing = [name for name in FourthMoment.constants if not _bounded(self._most(name))]
        if missing:
            return f"it would be certified if {', '.join(missing)} were, which bounds the variance of what is averaged"
        return "it would be certified with more paths, or sharper constants for the fourth moment of the error"

    def _for_a_violation(self, c: Comparison, t: float) -> str:
        if self.most is None:
            return f"it cannot be violated, since these are not certified: {self._not_certified()}"
        factor = self.at(self.most, t) / max(self.size(c.estimate.value), 1e-300)
        return (
            f"it would be violated if the error were more than {factor:.3g} times as large; how loose the bound is "
            f"comes from the constants and the inequality, not from the number of paths"
        )

    def _most(self, name: str) -> float | None:
        return self.constants[name].at_most if name in self.constants else None

    def _not_certified(self) -> str:
        names = [name for name in self.constants if name not in self.bound.optional]
        return ", ".join(name for name in names if not _bounded(self.constants[name].at_most))

    def _open(self, c: Comparison) -> str:
        value, below = c.estimate.value, c.at_least
        if c.doubt and (below is None or c.lower <= below or c.doubt == CONTRADICTION):
            return f"{c.doubt}; more paths, a shorter horizon, a smaller error or a certified variance may help"
        if below is not None and value <= below:
            need = ((c.upper - value) / max(below - value, 1e-300)) ** 2 * c.n
            if need < MANY:
                return f"about {math.ceil(need)} paths in place of {c.n} would show that it holds"
            return "error and bound are the same to within noise: the bound may be attained"
        if below is not None and math.isclose(value, below, rel_tol=1e-9):
            return "error and bound are the same to within rounding: the bound may be attained"
        if c.at_most is None or not math.isfinite(c.at_most):
            more = "" if below is not None and c.lower > below else "more paths showed that it does, and "
            return (
                f"the error exceeds the bound at the constants that were seen, so that only larger ones can save it: "
                f"it would be violated if {more}{self._not_certified()} were certified at these values"
            )
        if value > c.at_most:
            need = ((value - c.lower) / max(value - c.at_most, 1e-300)) ** 2 * c.n
            if need < MANY:
                return f"about {math.ceil(need)} paths in place of {c.n} would show that it is violated"
            return "error and bound are the same to within noise: the bound may be attained"
        names = ", ".join(name for name in self.bound.constants if _loose(self.constants[name]))
        return (
            f"the error lies between both sides of the bound: sharper certified constants ({names}) would decide, more "
            f"paths would not"
        )

    def plot(self, path: str | Path | None = None) -> Any:
        """Bound and error against time, with intervals.

        Args:
            path: where to write it, PNG, PDF or SVG by its ending; by default nowhere.

        Returns:
            The matplotlib figure.
        """
        from ...style import (  # here, so that importing the package stays quick
            COLOURS,
            GREY,
            MARKERS,
            new_figure,
            style,
        )

        with style():
            figure, (axes,) = new_figure(5.4, 3.5)
            times = np.asarray(self.setting.grid.times)
            curves = [(self.least, "bound at the constants seen", "-")]
            if self.most is not None and np.allclose(self.most, self.least, 1e-4, 0.0):
                curves = [(self.least, "bound", "-")]
            elif self.most is not None:
                curves.append((self.most, "bound at certified constants", "--"))
            if self.continuous is not None and not np.allclose(self.continuous, self.least, 1e-4, 0.0):
                curves.append((self.continuous, "the same for the equation", ":"))
            for k, (curve, label, look) in enumerate(curves):
                shown = np.isfinite(curve) & (curve > 0.0)
                mark = "_" if shown.sum() < 2 else None
                axes.plot(times[shown], curve[shown], look, marker=mark, color=("black", "black", GREY)[k], label=label)
            seen_at, seen = self.seen
            begun = seen > 0.0  # an error that begins at zero has no place on a logarithmic axis
            if not self.bound.quantity:  # else something other than the size of the error is bounded
                axes.plot(seen_at[begun], seen[begun], color=COLOURS[0], lw=1.0, label="simulated, some hundred paths")
            values = np.array([self.size(c.estimate.value) for c in self.comparisons])
            low = np.array([self.size(c.lower) for c in self.comparisons])
            high = np.array([self.size(c.upper) for c in self.comparisons])
            high = np.where(np.isfinite(high), high, values)
            bars = np.stack((np.maximum(values - low, 0.0), np.maximum(high - values, 0.0)))
            axes.errorbar(self.times, values, bars, fmt=MARKERS[0], color=COLOURS[0], label="judged, with its interval")
            axes.set_yscale("log")
            axes.set_xlabel("t")
            axes.set_ylabel(self.quantity)
            said = f"bound / error = {self.ratio:.3g} at t = {self.times[self.worst]:g}"
            axes.set_title(f"{self.bound.name}: {said}")
            axes.legend()
            if path is not None:
                figure.savefig(path)
        return figure


def described(constant: Constant) -> str:
    """What is known of a constant, in a few words.

    Example:
        >>> from sdewm.constant import Certified
        >>> described(Certified(2.0, "a norm", attained=1.5))
        '1.5 to 2 (certified)'
    """
    low, high = constant.at_least, constant.at_most
    if high is None:
        return f"{constant.value:.4g} ({type(constant).__name__.lower()})"
    if low is None or math.isclose(low, high, rel_tol=1e-4, abs_tol=1e-12):
        # What is certified to be zero is rounded up to a tiny number.
        return f"{high if abs(high) > 1e-200 else 0.0:.4g} (certified)"
    return f"{low:.4g} to {high:.4g} (certified)"


def _loose(constant: Constant) -> bool:
    low, high = constant.at_least, constant.at_most
    return high is not None and (low is None or not math.isclose(low, high, rel_tol=1e-4, abs_tol=1e-12))


def _bounded(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
