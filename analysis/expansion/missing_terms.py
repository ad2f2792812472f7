"""X5 and X6: single terms of Q, left out one at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from sdewm import LatentSDE, RepresentationError
from sdewm.claims import Row
from sdewm.drifts import Cubic, DoubleWell
from sdewm.hypothesis import Facts
from sdewm.run import Record
from sdewm.theory.losses import SquaredDistance
from sdewm.verdict import Outcome, Verdict

from ..kit import PAPER, OrderClaim, Setup, flagged, ones, only, remainders_of, tilted, total, wave


@final
class Hyperbolic(LatentSDE):
    """dx = √(1 + x²) dB."""

    dim = 1
    drift_facts, diffusion_facts = Facts(), Facts()

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(x)

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        """√(1 + x²)."""
        return torch.sqrt(1.0 + x**2)


@final
@dataclass(frozen=True)
class NoSecondCorrection(OrderClaim):
    """X5 on the third counterexample; the control puts the correction back."""

    form: str = "without ito_correction"

    id = "X5"
    title = "Under independent noise Q needs no Itô correction"
    statement = (
        "Under independent noise Q needs no Itô correction −G_k ½D²ḡ_k[y₁, y₁]: the coefficient of ε² that the form "
        "without it misses is within 5 % of E |c|."
    )
    cases = ("dx = √(1+x²) dB + ε dW, loss x",)
    source = PAPER
    formula = (
        r"\rho=0\;\Longrightarrow\;\mathbb{E}\,\nabla\ell(x_t)^\top\int_0^t\Phi(t,r)\sum_kG_k\,"
        r"\tfrac12D^2\bar g_k[y_1,y_1]\,dr=0"
    )
    note = (
        "Here R = 0 at every ε. The form is the paper's as reconstructed, in its general reading. Not affected: bases "
        "with Σ G_k D²ḡ_k = 0, such as affine diffusions, and P and S of any base under independent noise."
    )

    def setup(self, case: str) -> Setup:
        error = RepresentationError(diffusion=ones, correlation="independent")
        return Setup(Hyperbolic(), error, total, 1.0, steps=32, paths=16_384)

    def forms(self, case: str, drawn: bool) -> tuple[str, ...]:
        return ("ito", "without ito_correction")

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        record = only(records)
        return flagged(remainders_of(record).verdict(self.form), record)

    def control(self) -> "NoSecondCorrection":
        """The form with the correction."""
        return replace(self, form="ito" if self.form != "ito" else "without ito_correction")


# Of (a) and (b): ½|x + 1|².
TARGET = -1.0
FORMS = {
    "(a) plain Hessian, no ½": "without half",
    "(b) no drift Hessian": "without drift_hessian",
    "(c) no mixed terms": "without mixed",
}


@final
@dataclass(frozen=True)
class LeftOutTerms(OrderClaim):
    """X6 on cubic damping and on the double well; the control has all terms."""

    complete: bool = False

    id = "X6"
    title = "A term of the second variation may be left out"
    statement = (
        "Q is right although a term is left out of y₂: the coefficient of ε² that the form misses is within 5 % of E "
        "|c|."
    )
    cases = tuple(FORMS)
    source = PAPER
    formula = (
        r"dy_2=\left(Dg\,y_2+\tfrac12D^2g[y_1,y_1]+D\sigma\,y_1\right)dt+\sum_k\left(G_ky_2+"
        r"\tfrac12D^2\bar g_k[y_1,y_1]\right)dB^k+\sum_lD\bar\sigma_l\,y_1\,dW^l"
        "\n"
        r"Q=\mathbb{E}\,\nabla\ell(x_t)^\top y_2(t)\quad\text{also without one of its terms}"
    )
    note = (
        "(a) and (b) are two readings of the paper's Q' as reconstructed, on a base without noise, where there is no "
        "Itô correction to argue about; (c) leaves Dσ̄ y₁ out. Not affected: affine drift and diffusion with a "
        "constant error, where all three terms vanish, and P and S throughout."
    )

    def setup(self, case: str) -> Setup:
        if case == "(c) no mixed terms":
            return Setup(DoubleWell(), RepresentationError(diffusion=wave), tilted, 0.6, steps=32, paths=8192)
        loss = SquaredDistance(target=TARGET, factor=0.5)
        error = RepresentationError(diffusion=ones, correlation="independent")
        return Setup(Cubic(), error, loss, 1.0, steps=32, paths=8192)

    def forms(self, case: str, drawn: bool) -> tuple[str, ...]:
        return ("ito", FORMS[case])

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        record = only(records)
        return flagged(remainders_of(record).verdict("ito" if self.complete else FORMS[case]), record)

    def control(self) -> "LeftOutTerms":
        """The form with all terms."""
        return replace(self, complete=not self.complete)


ROWS = (
    Row(NoSecondCorrection(), dict.fromkeys(NoSecondCorrection.cases, Outcome.VIOLATED), repetitions=12),
    Row(LeftOutTerms(), dict.fromkeys(LeftOutTerms.cases, Outcome.VIOLATED), repetitions=12),
)
