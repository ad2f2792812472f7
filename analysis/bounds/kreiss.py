"""B10: Kreiss's bracket of the transient growth."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from sdewm.claims import Cell, Claim, Result, Row
from sdewm.constant import Certified
from sdewm.run import Record
from sdewm.theory.bounds import kreiss_constant, transient_growth
from sdewm.verdict import Grade, Outcome, Verdict

from ..kit import certified, only

LOWER, UPPER = "K ≤ sup ‖exp(At)‖", "sup ‖exp(At)‖ ≤ e n K"


@final
@dataclass(frozen=True)
class Bracket(Claim):
    """The control exchanges the factors 1 and e n."""

    exchanged: bool = False

    id = "B10"
    title = "Transient growth lies in Kreiss's bracket"
    statement = (
        "For a stable matrix of dimension n, Kreiss's constant K = sup over Re z > 0 of Re z ‖(zI − A)⁻¹‖ brackets "
        "the transient growth: K ≤ sup over t of ‖exp(At)‖ ≤ e n K, on random non-normal matrices."
    )
    cases = (LOWER, UPPER)
    source = "Kreiss 1962; Trefethen, Embree, Spectra and Pseudospectra, chapter 18"
    formula = (
        r"K(A)\le\sup_{t\ge0}\left\|e^{At}\right\|\le e\,n\,K(A),\quad K(A)"
        r"=\sup_{\operatorname{Re}z>0}\operatorname{Re}z\,\left\|(zI-A)^{-1}\right\|"
    )
    assumes = (
        certified("stable matrix", "upper triangular in an orthonormal basis, with a diagonal in [−1.5, −0.5]"),
        certified("both suprema", "from both sides, by a cover of the half plane and by the log-norm between times"),
    )
    note = (
        "Upper triangular matrices in a random orthonormal basis, diagonal in [−1.5, −0.5], entries above it of "
        "either sign with sizes in [3, 6]. K and the growth are known from both sides, by a cover of the half plane "
        "and by the log-norm between the times of a grid; a matrix for which these sides meet the border would be "
        "inconclusive."
    )
    dimensions = (2, 3, 4, 6)

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        # Both cases, and the control, judge the same matrices.
        settings = {"dimensions": list(self.dimensions), "each": 8, "tolerance": 0.1}
        return [Cell(self.id, settings, seed, cost=1.5)]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        rng = np.random.default_rng(cell.seed)
        rows = []
        for n in s["dimensions"]:
            for _ in range(s["each"]):
                a = random_matrix(rng, n)
                k, growth = kreiss_constant(a, tolerance=s["tolerance"]), transient_growth(a)
                rows.append((n, *_sides(k), *_sides(growth)))
        return Result({}, {"rows": np.array(rows, dtype=np.float64)})

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        n, k_low, k_high, low, high = only(records).arrays["rows"].T
        factor = math.e * n if (case == UPPER) != self.exchanged else np.ones_like(n)
        # The ratio that has to be at least one, from both sides.
        if case == LOWER:
            worst, best = low / (factor * k_high), high / (factor * k_low)
        else:
            worst, best = factor * k_low / high, factor * k_high / low
        least, refuting = float(worst.min()), float(best.min())
        reason = (
            f"the least ratio of the right side to the left is in [{least:.4g}, {refuting:.4g}], of {len(n)} matrices"
        )
        interval, allowed = (least, refuting), (1.0, math.inf)
        if least >= 1.0:
            return Verdict(Outcome.HOLDS, Grade.CERTIFIED, reason, interval, allowed, least - 1.0)
        if refuting < 1.0:
            return Verdict(Outcome.VIOLATED, Grade.CERTIFIED, reason, interval, allowed, 1.0 - refuting)
        reason += "; the constants are not known well enough"
        return Verdict(Outcome.INCONCLUSIVE, Grade.CERTIFIED, reason, interval, allowed)

    def control(self) -> "Bracket":
        """The factors exchanged."""
        return replace(self, exchanged=not self.exchanged)


def random_matrix(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """A stable, strongly non-normal matrix (n, n)."""
    above = rng.uniform(3.0, 6.0, (n, n)) * rng.choice([-1.0, 1.0], (n, n))
    triangle = np.triu(above, 1) - np.diag(rng.uniform(0.5, 1.5, n))
    basis = np.linalg.qr(rng.standard_normal((n, n)))[0]
    return np.asarray(basis @ triangle @ basis.T)


def _sides(constant: Certified) -> tuple[float, Any]:
    return float(constant.attained or 0.0), constant.value


ROW = Row(Bracket(), dict.fromkeys(Bracket.cases, Outcome.HOLDS), repetitions=5)
