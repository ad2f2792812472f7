"""S4: what training under an error does to a parameter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, final

import sympy as sp
import torch
from torch import Tensor, nn

from sdewm import LatentSDE, RepresentationError, TimeGrid, effect_gradient
from sdewm.claims import Cell, Claim, Result, Row
from sdewm.estimate import Moments
from sdewm.hypothesis import Facts
from sdewm.run import Record
from sdewm.stats import at_least
from sdewm.theory.symbolic import PolynomialSystem, coefficient_equations, extended_symbols
from sdewm.verdict import Outcome, Verdict

from ..kit import PAPER, at_least_paths, certified, flagged, ones, square

A, B, C, EPS, T = -0.5, 0.6, -1.0, 0.2, 1.0
CORRELATIONS = (-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0)


@final
class Gain(LatentSDE):
    """dx = a x dt + b x dB with a trainable gain a."""

    dim = 1
    drift_facts, diffusion_facts = Facts(), Facts()

    def __init__(self, a: float, b: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a, dtype=torch.float64))
        self.b = b

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        """a x."""
        return self.a * x

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        """b x."""
        return self.b * x


@final
@dataclass(frozen=True)
class PushesTheGainDown(Claim):
    """The control exchanges the two kinds of noise."""

    exchanged: bool = False

    id = "S4"
    title = "Training under a zero-drift error shrinks the gain"
    statement = (
        "Training under a zero-drift error shrinks the gain of dx = ax dt + (bx + εc) dB (shared noise) or of dx = ax "
        "dt + bx dB + εc dW (independent noise), as a Jacobian penalty would: dR/da > 0 for ℓ = x², c = −1, ε = 0.2."
    )
    cases = ("shared noise", "independent noise")
    source = PAPER + ": zero-drift errors regularise the Jacobian"
    formula = (
        r"\frac{d}{da}\left(\mathbb{E}\,(x^\varepsilon_t)^2-\mathbb{E}\,(x^0_t)^2\right)>0"
        "\n"
        r"dx=ax\,dt+(bx+\varepsilon c)\,dB\;\text{(shared)},\quad "
        r"dx=ax\,dt+bx\,dB+\varepsilon c\,dW\;\text{(independent)}"
    )
    assumes = (
        certified(
            "derivative under the expectation", "a polynomial loss of linear steps: both sides are polynomials in a"
        ),
        certified("zero drift", "σ = 0, by construction"),
    )
    note = (
        "Differentiated through the coupled simulation with common noise, a as one parameter. The statement is the "
        "paper's as reconstructed. Not affected: independent noise, and shared noise of the other sign (c > 0)."
    )

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        shared = (case == "shared noise") != self.exchanged
        paths = at_least_paths(16_384 * scale, 1024)
        settings = {"a": A, "b": B, "c": C, "eps": EPS, "T": T, "steps": 32, "x0": 1.0, "paths": paths}
        correlations = list(CORRELATIONS) if drawn else [1.0 if shared else 0.0]
        return [Cell(self.id, {**settings, "rho": rho}, seed, cost=0.5 * scale) for rho in correlations]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        error = RepresentationError(diffusion=ones, correlation=s["rho"]).scaled(s["c"])
        system, grid = Gain(s["a"], s["b"]), TimeGrid(s["T"], s["steps"])
        slope = effect_gradient(system, error, square, s["x0"], grid, s["paths"], cell.seed, eps=s["eps"])["a"]
        ((moments, _),) = slope.parts
        return Result({"closed form": closed_form(s), "sign change": sign_change(s)}, moments.to_arrays())

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        shared = (case == "shared noise") != self.exchanged
        record = next(r for r in records if r.key["settings"]["rho"] == (1.0 if shared else 0.0))
        slope = Moments.from_arrays(record.arrays).estimates()[0]
        return flagged(at_least(slope, what="dR/da"), record)

    def control(self) -> "PushesTheGainDown":
        """Shared noise for independent, and the other way round."""
        return replace(self, exchanged=not self.exchanged)


@cache
def _derivatives() -> tuple[sp.Expr, sp.Expr, tuple[sp.Symbol, ...]]:
    """dP/da at ρ = 1 and d(Q + S/2)/da in symbols, from the closed moment equations."""
    x, a, b, c, x0 = sp.symbols("x a b c x0", real=True)
    base = PolynomialSystem([x], [a * x], [[b * x]], error_diffusion=[[c]])
    _, y1, y2 = extended_symbols(base)
    p, _, s = coefficient_equations(base, x**2)
    start = {x: x0, y1[0]: 0, y2[0]: 0}
    first, second = (sp.diff(e.solution(start), a) for e in (p, s))
    return first, second / 2, (a, b, c, x0, p.time)


def _numbers(s: Mapping[str, Any]) -> tuple[float, float]:
    first, second, symbols = _derivatives()
    values = dict(zip(symbols, (s["a"], s["b"], s["c"], s["x0"], s["T"]), strict=True))
    # Both moment equations use their own symbol of time, which has one name.
    return float(first.subs(values)), float(second.subs(values))


def closed_form(s: Mapping[str, Any]) -> float:
    """dR/da in continuous time: ε ρ dP/da + ε² d(S/2)/da."""
    first, second = _numbers(s)
    return float(s["eps"] * s["rho"] * first + s["eps"] ** 2 * second)


def sign_change(s: Mapping[str, Any]) -> float:
    """The correlation at which dR/da changes its sign."""
    first, second = _numbers(s)
    return float(-s["eps"] * second / first)


ROW = Row(PushesTheGainDown(), {"shared noise": Outcome.VIOLATED, "independent noise": Outcome.HOLDS}, repetitions=12)
