"""What a verdict on a bound rests on: curves, constants and estimates, to be drawn and explained."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from ...constant import Constant
from ...stats.sequential import Comparison
from ...verdict import Grade, Outcome
from ..bounds.bound import Bound, Setting

Array = NDArray[np.float64]


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

    def size(self, mean: float) -> float:
        """(E|e|^p)^(1/p) from the mean of |e|^p."""
        return float(max(mean, 0.0) ** (1.0 / self.bound.power))

    @property
    def ratio(self) -> float:
        """Bound over observed error at the last time that was judged."""
        seen = self.size(self.comparisons[-1].estimate.value)
        bound = self.at(self.least, self.times[-1])
        return bound / seen if seen > 0.0 else math.inf

    def at(self, curve: Array, t: float) -> float:
        """A curve's value at a grid time."""
        return float(curve[self.setting.grid.index(t)])

    def explain(self) -> str:
        """What would have to change for the verdict to change."""
        c = self.comparisons[-1]
        lines = []
        if c.outcome is Outcome.HOLDS:
            if c.upper_grade is Grade.ASYMPTOTIC:
                lines.append(self._for_a_certified_grade())
            gap = self.ratio
            lines.append(
                f"it would be violated only if the error were more than {gap:.3g} times as large; how loose the bound "
                f"is comes from the constants and the inequality, not from the number of paths"
            )
        elif c.outcome is Outcome.VIOLATED:
            lines.append(
                f"the lower limit of the error exceeds the bound at certified constants: one of {self._hypotheses()} "
                f"fails here, or the bound is wrong"
            )
        else:
            lines += self._open(c)
        return ".\n".join(lines) + "."

    def _for_a_certified_grade(self) -> str:
        missing = self._not_certified()
        if missing:
            return f"it would be certified if {missing} were, which bounds the variance of what is averaged"
        return "it would be certified if the certified fourth moment were finite and small enough for these paths"

    def _not_certified(self) -> str:
        names = [name for name in self.constants if name not in self.bound.optional]
        return ", ".join(name for name in names if not _bounded(self.constants[name].at_most))

    def _hypotheses(self) -> str:
        return ", ".join(self.bound.hypotheses) or "its premises"

    def _open(self, c: Comparison) -> list[str]:
        value, below = c.estimate.value, c.at_least
        lines = []
        if below is not None and value <= below:
            need = ((c.upper - value) / max(below - value, 1e-300)) ** 2
            if c.doubt:
                lines.append(f"{c.doubt}; a shorter horizon, a smaller error or a certified variance would help")
            elif math.isfinite(need):
                lines.append(f"about {math.ceil(need * c.n)} paths in place of {c.n} would show that it holds")
        elif c.at_most is None:
            lines.append(
                f"the error exceeds the bound at the constants that were seen, so that only larger ones can save it: "
                f"it would be violated if {self._not_certified()} were certified at these values"
            )
        elif value > c.at_most:
            need = ((value - c.lower) / max(value - c.at_most, 1e-300)) ** 2
            lines.append(f"about {math.ceil(need * c.n)} paths in place of {c.n} would show that it is violated")
        else:
            loose = {n: k for n, k in self.constants.items() if k.at_most != k.at_least}
            lines.append(
                f"the error lies between both sides of the bound: sharper certified constants ({', '.join(loose)}) "
                f"would decide, more paths would not"
            )
        return lines

    def plot(self, path: str | Path | None = None) -> Any:
        """Bound and error against time, with intervals.

        Args:
            path: where to write it, PNG, PDF or SVG by its ending; by default nowhere.

        Returns:
            The matplotlib figure.
        """
        from matplotlib.figure import Figure  # here, so that importing the package stays quick

        grid = self.setting.grid
        times = np.asarray(grid.times)
        figure = Figure(figsize=(5.2, 3.4), layout="constrained")
        axes = figure.add_subplot()
        curves = [(self.least, "bound at the constants seen", "-")]
        if self.most is not None and not np.allclose(self.most, self.least):
            curves.append((self.most, "bound at certified constants", "--"))
        if self.continuous is not None:
            curves.append((self.continuous, "the same for the equation", ":"))
        for k, (curve, label, style) in enumerate(curves):
            shown = np.isfinite(curve) & (curve > 0.0)
            axes.plot(times[shown], curve[shown], style, color=("black", "0.35", "0.6")[k], label=label)
        seen_at, seen = self.seen
        begun = seen > 0.0  # an error that begins at zero has no place on a logarithmic axis
        axes.plot(seen_at[begun], seen[begun], color="tab:blue", lw=1.0, label="simulated error, some hundred paths")
        values = np.array([self.size(c.estimate.value) for c in self.comparisons])
        low = np.array([self.size(c.lower) for c in self.comparisons])
        high = np.array([self.size(c.upper) for c in self.comparisons])
        high = np.where(np.isfinite(high), high, values)
        bars = np.stack((np.maximum(values - low, 0.0), np.maximum(high - values, 0.0)))
        axes.errorbar(
            self.times, values, bars, fmt="o", ms=4, color="tab:blue", capsize=3, label="judged, with its interval"
        )
        axes.set_yscale("log")
        axes.set_xlabel("t")
        axes.set_ylabel({2.0: "RMS error", 1.0: "mean error"}.get(self.bound.power, "error"))
        axes.set_title(f"{self.bound.name}: {self.ratio:.3g} times the error at t = {self.times[-1]:g}", fontsize=10)
        axes.legend(frameon=False, fontsize=8)
        if path is not None:
            figure.savefig(path, dpi=200)
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


def _bounded(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
