"""Remainders of an expansion at several sizes on one sample of paths, and the tests of their order."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, final

from ..estimate import Estimate, Moments
from ..validation import one_of
from ..verdict import Outcome, Verdict
from .decide import decide
from .order import CURVED, TOLERATED, curvature, negligible, order_at_least
from .ratio import all_of

# Rounding of a difference of two losses, in units of the dtype's precision and of the loss.
_ROUNDING = 50.0
COLUMNS = ("missing 1", "missing 2", "truncation 1", "truncation 2", "p", "c", "|c|", "p²")


@final
@dataclass(frozen=True)
class Remainders:
    """r_i(ε) = ℓ(x^ε) − ℓ(x⁰) − εp_i − ε²c_i with p_i = ∇ℓᵀy₁ and c_i = ∇ℓᵀy₂ + ½y₁ᵀ∇²ℓ y₁, path by path.

    All on one Brownian path and with y₁, y₂ the derivatives of the simulated step itself: there is no discretisation
    bias, and the ratio of signal to noise does not depend on ε.

    Attributes:
        sizes: ε_1 < … < ε_K.
        forms: names of the forms of the coefficients whose remainders were taken.
        digits: relative rounding of the states' dtype.
        moments: for each form r/ε² and (r/ε²)² at each size, the coefficients of ε¹ and ε² that are missing
            (extrapolated to ε = 0 path by path), by how much these change when the largest size is left out, p, c, |c|
            and p²; and at last (|ℓ| + |∇ℓ·x|)² at x⁰ and at the largest size, by which rounding is judged.
    """

    sizes: tuple[float, ...]
    forms: tuple[str, ...]
    digits: float
    moments: Moments

    def to_dict(self) -> dict[str, Any]:
        """The mean remainder and its mean square at each size, for each form, as plain values for JSON."""
        forms = {
            form: {
                "mean": [e.to_dict() for e in self.mean(form)],
                "mean_square": [e.to_dict() for e in self.mean_square(form)],
            }
            for form in self.forms
        }
        return {"sizes": list(self.sizes), "forms": forms, "rounding": self.rounding}

    def _estimate(self, form: str, index: int) -> Estimate:
        one_of("form", form, self.forms)
        width = 2 * len(self.sizes) + len(COLUMNS)
        weights = [0.0] * len(self.moments.mean)
        weights[self.forms.index(form) * width + index] = 1.0
        return self.moments.estimate(weights)

    def scaled(self, form: str) -> list[Estimate]:
        """E r(ε)/ε² at each size."""
        return [self._estimate(form, j) for j in range(len(self.sizes))]

    def mean(self, form: str) -> list[Estimate]:
        """E r(ε) at each size."""
        return [eps**2 * e for eps, e in zip(self.sizes, self.scaled(form), strict=True)]

    def mean_square(self, form: str) -> list[Estimate]:
        """E r(ε)² at each size."""
        k = len(self.sizes)
        return [eps**4 * self._estimate(form, k + j) for j, eps in enumerate(self.sizes)]

    def column(self, form: str, name: str) -> Estimate:
        """One of the `COLUMNS` of a form."""
        return self._estimate(form, 2 * len(self.sizes) + COLUMNS.index(one_of("name", name, COLUMNS)))

    @property
    def rounding(self) -> float:
        """What rounding may make of a remainder."""
        return _ROUNDING * self.digits * float(self.moments.mean[-1] ** 0.5 + 1e-30)

    def first(self, form: str, level: float = 0.999) -> Verdict:
        """T1 at ε¹: the missing coefficient is within 5 % of √E p² + ε₁ E |c|, which is the larger at interpolation."""
        besides = TOLERATED * self.sizes[0] * self.column(form, "|c|") + self.rounding / self.sizes[0]
        missing, scale = self.column(form, "missing 1"), self.column(form, "p²")
        what = "the missing coefficient of ε"
        found = negligible(missing, scale, level=level, root=True, floor=besides, what=what)
        return self._but_for_truncation(found, form, 1)

    def second(self, form: str, level: float = 0.999) -> Verdict:
        """T1 at ε²: the missing coefficient is within 5 % of E |c|."""
        missing, scale = self.column(form, "missing 2"), self.column(form, "|c|")
        what = "the missing coefficient of ε²"
        found = negligible(missing, scale, level=level, floor=self.rounding / self.sizes[0] ** 2, what=what)
        return self._but_for_truncation(found, form, 2)

    def _but_for_truncation(self, found: Verdict, form: str, order: int) -> Verdict:
        """What an extrapolation leaves of higher orders is no missing coefficient, and no interval covers it."""
        left = abs(self.column(form, f"truncation {order}").value)
        if found.outcome is not Outcome.VIOLATED or (found.margin or 0.0) > left:
            return found
        reason = f"{found.reason}; the extrapolation to ε = 0 may be off by {left:.2g}, smaller sizes would decide"
        return replace(found, outcome=Outcome.INCONCLUSIVE, margin=None, reason=reason)

    def mean_order(self, form: str, threshold: float = 2.5, level: float = 0.999) -> Verdict:
        """T2: the order of the mean remainder, by its slope in log ε."""
        return order_at_least(self.mean(form), self.sizes, threshold, level, rounding=self.rounding)

    def path_order(self, form: str, threshold: float = 2.5, level: float = 0.999) -> Verdict:
        """T3: the order of the root mean square remainder."""
        what = "the order of the root mean square remainder"
        squares = self.mean_square(form)
        return order_at_least(
            squares, self.sizes, threshold, level, power=0.5, rounding=self.rounding, clear=0.0, what=what
        )

    def curvature(self, form: str) -> float:
        """How far the slope at the largest sizes is from its limit; above 0.1 truncation dominates there."""
        values = [e.value for e in self.mean_square(form)]
        if min(values) ** 0.5 <= self.rounding:
            return 0.0
        return curvature(values, self.sizes)

    def verdict(self, form: str, level: float = 0.999) -> Verdict:
        """Whether the form is right to second order: T1 at ε¹ and at ε², with half of the error probability each.

        It is inconclusive where the sizes are so large that the next orders hide these.
        """
        half = 0.5 + level / 2.0
        judged = {"first order": self.first(form, half)}
        if judged["first order"].outcome is not Outcome.VIOLATED:
            # What is missing at ε makes the extrapolation at ε² meaningless.
            judged["second order"] = self.second(form, half)
        both = self._but_for_paths(all_of(judged), judged, form, level)
        curved = self.curvature(form)
        if curved <= CURVED or both.outcome is Outcome.INCONCLUSIVE:
            return replace(both, level=level)
        slopes = f"up to ε = {self.sizes[-1]:g} the slope of the root mean square remainder is off by {curved:.2f}"
        doubt = f"truncation dominates: {slopes}; use smaller sizes"
        interval, allowed = both.interval or (0.0, 0.0), both.allowed or (0.0, 0.0)
        return decide(both.reason, 0.0, 0.0, interval=interval, allowed=allowed, level=level, doubt=doubt)

    def _but_for_paths(self, both: Verdict, judged: Mapping[str, Verdict], form: str, level: float) -> Verdict:
        """A coefficient that is surely not zero is no right one, where the order of the paths says so as well."""
        if both.outcome is not Outcome.HOLDS:
            return both
        for order, found in enumerate(judged.values(), start=1):
            low, high = found.interval or (0.0, 0.0)
            left = self.rounding / self.sizes[0] ** order + abs(self.column(form, f"truncation {order}").value)
            if max(low, -high) > left and self.path_order(form, level=level).outcome is Outcome.VIOLATED:
                doubt = "less is missing than counts, but it is not zero, and the order of the paths says so"
                return replace(both, outcome=Outcome.INCONCLUSIVE, margin=None, reason=f"{found.reason}; {doubt}")
        return both

    def to_values(self) -> dict[str, Any]:
        """What is not an array, as plain values for a file; the arrays are those of the moments."""
        return {"sizes": list(self.sizes), "forms": list(self.forms), "digits": self.digits}

    @staticmethod
    def from_record(values: Mapping[str, Any], arrays: Mapping[str, Any]) -> "Remainders":
        """The inverse: from plain values, which may hold more, and the arrays of the moments."""
        sizes, forms = tuple(values["sizes"]), tuple(values["forms"])
        return Remainders(sizes, forms, float(values["digits"]), Moments.from_arrays(arrays))
