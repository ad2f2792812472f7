"""X9: symmetry cancels the odd orders."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from sdewm import RepresentationError
from sdewm.claims import Row
from sdewm.drifts import DoubleWell, TanhNetwork
from sdewm.run import Record
from sdewm.theory.losses import SquaredDistance
from sdewm.verdict import Outcome, Verdict

from ..kit import OrderClaim, Setup, flagged, only, remainders_of, wave

shifted = SquaredDistance(target=-1.0)


@final
@dataclass(frozen=True)
class FourthOrder(OrderClaim):
    """The control gives the error a drift; then order 3 does not cancel."""

    drift: bool = False

    id = "X9"
    title = "Independent zero-drift noise leaves a remainder of order four"
    statement = (
        "For a zero-drift error with independent noise, and functions with four derivatives, the remainder of the "
        "second-order expansion is of order 4: the slope of its mean over antithetic pairs exceeds 3.5."
    )
    cases = ("double well", "tanh network")
    source = "symmetry of the error's noise: W and −W have one law, so that R is even in ε"
    formula = (
        r"\sigma=0,\;\rho=0\;\Longrightarrow\;\mathbb{E}\,\ell(x^\varepsilon)-\mathbb{E}\,\ell(x^0)"
        r"=\varepsilon^2\left(Q+\tfrac12S\right)+O(\varepsilon^4)"
    )
    note = "Not affected by which form of P is used: P = 0 and all odd coefficients vanish."

    def setup(self, case: str) -> Setup:
        error = RepresentationError(drift=wave if self.drift else None, diffusion=wave, correlation="independent")
        sizes = (0.0125, 0.025, 0.05)
        system = TanhNetwork(dim=4) if case == "tanh network" else DoubleWell()
        variant = "with a drift error" if self.drift else ""
        return Setup(system, error, shifted, 0.6, sizes=sizes, paths=32_768, variant=variant)

    def forms(self, case: str, drawn: bool) -> tuple[str, ...]:
        return ("ito",)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        record = only(records)
        return flagged(remainders_of(record).mean_order("ito", threshold=3.5), record)

    def control(self) -> "FourthOrder":
        """With a drift error."""
        return replace(self, drift=not self.drift)


ROW = Row(FourthOrder(), dict.fromkeys(FourthOrder.cases, Outcome.HOLDS), repetitions=5, repetition_scale=0.25)
