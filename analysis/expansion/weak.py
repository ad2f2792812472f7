"""X10: the weak identity, at sizes for which no expansion is meant."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import final

import numpy as np
import torch
from torch import Tensor

from sdewm import RepresentationError, TimeGrid, weak_identity
from sdewm.claims import Cell, Claim, Result, Row
from sdewm.drifts import Geometric
from sdewm.estimate import Estimate, Moments
from sdewm.hypothesis import Hypothesis, declare
from sdewm.run import Record
from sdewm.theory.weak import TERMS, agreement
from sdewm.verdict import Outcome, Verdict

from ..kit import bend, certified, flagged, of_expansion, only, unchecked, wave

RATE, VOLATILITY, T = -0.3, 0.45, 0.5
RHO = torch.tensor([[0.9, 0.2], [-0.2, 0.8]], dtype=torch.float64)
START = torch.tensor([1.0, 0.7], dtype=torch.float64)
ETA = torch.tensor([0.3, -0.2], dtype=torch.float64)
ERROR = RepresentationError(drift=bend, diffusion=wave, initial=ETA, correlation=RHO)


def _loss(x: Tensor) -> Tensor:
    return x.square().sum(-1) + x[:, 0] * x[:, 1]


loss = declare(_loss, growth="polynomial")


def value(rate: float, s: float, x: Tensor) -> Tensor:
    """u(s, x) of the geometric base: E of a square grows like 2 rate + volatility², of a product like 2 rate."""
    left = T - s
    squares = math.exp((2.0 * rate + VOLATILITY**2) * left) * x.square().sum(-1)
    return squares + math.exp(2.0 * rate * left) * x[:, 0] * x[:, 1]


@final
@dataclass(frozen=True)
class WeakIdentity(Claim):
    """The control leaves the cross term ε Σ ρ ḡᵀ∇²u σ̄ out, which is what correlation adds."""

    left_out: str = ""

    id = "X10"
    title = "The weak identity is exact at any size of the error"
    statement = (
        "E ℓ(x^ε) − E ℓ(x⁰) = E[u(0, x₀+εη) − u(0, x₀)] + E ∫ [ε σ·∇u + ε Σ ρ_kl ḡ_kᵀ∇²u σ̄_l + ½ε² Σ σ̄_lᵀ∇²u σ̄_l] "
        "dr at any ε: both sides agree to within 5 %."
    )
    cases = ("ε = 0.2", "ε = 0.5", "ε = 1", "ε = 0.5, u by nested simulation")
    source = "Itô's formula and Kolmogorov's backward equation"
    formula = (
        r"\mathbb{E}\,\ell(x^\varepsilon)-\mathbb{E}\,\ell(x^0)=\mathbb{E}\left[u(0,x_0+\varepsilon\eta)-u(0,x_0)\right]"
        r"+\mathbb{E}\int_0^t\Big(\varepsilon\,\sigma\cdot\nabla u+\varepsilon\sum_{k,l}\rho_{kl}\,\bar g_k^\top"
        r"\nabla^2u\,\bar\sigma_l+\tfrac12\varepsilon^2\sum_l\bar\sigma_l^\top\nabla^2u\,\bar\sigma_l\Big)(r,x^\varepsilon_r)\,dr"
        "\n"
        r"u(s,x)=\mathbb{E}\left[\ell(x^0_t)\mid x^0_s=x\right]"
    )
    note = (
        "Geometric base in two dimensions, drift, diffusion and initial error, ρ a full matrix. Both sides are "
        "extrapolated in the step size; the time integral is Simpson's rule."
    )

    def hypotheses(self, case: str) -> Sequence[Hypothesis]:
        found = of_expansion(Geometric(RATE, VOLATILITY, dim=2), ERROR, loss, START, T, 32)
        name = "u is the backward equation's solution"
        if "nested" in case:
            return *found, unchecked(name, "its derivatives are estimates, simulated on paths of their own")
        return *found, certified(name, "the geometric base's, in closed form")

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        nested = "nested" in case
        base = {"rate": RATE, "volatility": VOLATILITY}
        eps = float(case.split(",")[0].removeprefix("ε = "))
        settings = {**base, "rho": RHO.tolist(), "eps": eps, "nested": nested, "T": T, "steps": 32}
        paths = max(int((16_384 if nested else 65_536 if eps < 0.3 else 32_768) * scale), 1024)
        return [Cell(self.id, {**settings, "paths": paths}, seed, cost=paths * (1e-4 if nested else 3e-5))]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        both = weak_identity(
            Geometric(RATE, VOLATILITY, dim=2),
            ERROR,
            loss,
            START,
            TimeGrid(s["T"], s["steps"]),
            s["paths"],
            cell.seed,
            eps=s["eps"],
            value=None if s["nested"] else partial(value, RATE),
        )
        ((moments, _),) = both.left.parts
        return Result({"flags": list(both.flags)}, moments.to_arrays())

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        record = only(records)
        left, right = sides(record, self.left_out)
        quadrature = Moments.from_arrays(record.arrays).estimates()[1 + len(TERMS)]
        return flagged(agreement(left, right, quadrature, 0.05, 0.999, what="left − right"), record)

    def control(self) -> "WeakIdentity":
        """Without the cross term."""
        return replace(self, left_out="" if self.left_out else "cross")


def sides(record: Record, left_out: str = "") -> tuple[Estimate, Estimate]:
    """Both sides of the identity from a record, the right one without one of its terms."""
    moments = Moments.from_arrays(record.arrays)
    width = len(moments.mean)
    left = moments.estimate(np.eye(width)[0])
    right = [moments.estimate(np.eye(width)[1 + k]) for k, name in enumerate(TERMS) if name != left_out]
    return left, sum(right[1:], start=right[0])


ROW = Row(WeakIdentity(), dict.fromkeys(WeakIdentity.cases, Outcome.HOLDS), repetitions=3, repetition_scale=0.25)
