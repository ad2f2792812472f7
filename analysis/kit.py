"""What the claims share: losses, errors, the reading of records, and the claims that are decided by an order test."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor

from sdewm import RepresentationError, TimeGrid, check_hypotheses
from sdewm.claims import Cell, Claim, Result
from sdewm.dynamics.variation import Terms
from sdewm.estimate import Moments
from sdewm.hypothesis import Hypothesis, Status, declare
from sdewm.run import Record
from sdewm.stats import Remainders
from sdewm.theory.effect import FORMS, Loss, effect_problem
from sdewm.theory.losses import PolynomialLoss, SquaredDistance
from sdewm.theory.remainder import measure_remainders
from sdewm.verdict import Verdict

PAPER = "Fang, Du, Wang, Zhang, arXiv:2501.00195 (as reconstructed; please check against the published formula)"
UNAFFECTED = (
    "The formula is the paper's as reconstructed, in its general form. Not affected: P' and S' wherever "
    "Σ ρ_kl Dḡ_k σ̄_l = 0, above all an error in z and a sequence model whose noise does not depend on z, as in a real "
    "recurrent state-space model; bases without noise; independent noise; and everything read as Stratonovich."
)

# How drift and zero-drift errors grow over a rollout, as claims say it.
GROWTH_LAWS = (
    r"G_N=\left(\frac{\mathbb{E}\,|e_N|^2}{\mathbb{E}\,|e_1|^2}\right)^{1/2},"
    r"\quad G^{\text{zero drift}}_{25}\le\sqrt{25},\quad G^{\text{drift}}_{25}>25"
)
# A third case of such claims: the drift error ends larger.
ENDS_LARGER = r"\frac{\mathbb{E}\,|e^{\text{drift}}_{25}|^2}{\mathbb{E}\,|e^{\text{zero drift}}_{25}|^2}>1"
# The open-loop error of a model beside that of a baseline.
BETTER = r"\operatorname{RMSE}_{25}(\text{model})<\operatorname{RMSE}_{25}(\text{baseline})"

# ℓ(x) = |x|², Σ x_i, Σ x_i⁴/4 − 0.3 x_i.
square = SquaredDistance()
total = PolynomialLoss((0.0, 1.0))
tilted = PolynomialLoss((0.0, -0.3, 0.0, 0.0, 0.25))
LOSSES: Mapping[str, Loss] = {"|x|²": square, "Σx": total, "Σ x⁴/4 − 0.3x": tilted}


def _ones(t: Tensor, x: Tensor) -> Tensor:
    return torch.ones_like(x)


def _wave(t: Tensor, x: Tensor) -> Tensor:
    return 0.5 + 0.4 * torch.sin(2.0 * x)


def _bend(t: Tensor, x: Tensor) -> Tensor:
    return 0.5 * torch.cos(x) + 0.3


# A constant error of size one; state-dependent ones, ½ + ⅖ sin 2x and ½ cos x + 0.3.
ones, wave, bend = declare(_ones), declare(_wave), declare(_bend)


def certified(name: str, detail: str) -> Hypothesis:
    """A hypothesis that is true by construction, or by a computation that allows for its own errors."""
    return Hypothesis(name, Status.CERTIFIED, detail, declared=True)


def declared(name: str, detail: str) -> Hypothesis:
    """A hypothesis for which somebody's word is taken."""
    return Hypothesis(name, Status.DECLARED, detail, declared=True)


def unchecked(name: str, detail: str) -> Hypothesis:
    """A hypothesis that nobody has checked."""
    return Hypothesis(name, Status.UNCHECKED, detail)


def of_expansion(
    system: Any,
    error: RepresentationError,
    loss: Loss,
    x0: float | Tensor,
    T: float,
    steps: int,
    actions: Tensor | None = None,
) -> tuple[Hypothesis, ...]:
    """What the expansion assumes of a problem, as the library finds it."""
    return check_hypotheses(system, error, loss, x0, TimeGrid(T, steps), actions=actions)


def only(records: Sequence[Record]) -> Record:
    """The one record of a case."""
    (record,) = records
    return record


def moments_of(records: Sequence[Record]) -> Moments:
    """The moments that a case's only cell has recorded."""
    return Moments.from_arrays(only(records).arrays)


def flagged(verdict: Verdict, record: Record) -> Verdict:
    """The verdict, with what the record says is not covered."""
    return replace(verdict, flags=(*verdict.flags, *record.values.get("flags", ())))


def at_least_paths(paths: float, least: int = 512) -> int:
    """A whole number of paths."""
    return max(int(paths), least)


def terms_named(name: str) -> Terms:
    """The terms of a form by its name: "ito", "uncorrected", "without half", "without mixed and quadratic"."""
    return FORMS[name] if name in FORMS else Terms.without(*(set(_left_out(name)) - {"quadratic"}))


def _left_out(name: str) -> list[str]:
    return name.removeprefix("without ").split(" and ") if name.startswith("without ") else []


def remainder_result(remainders: Remainders, flags: Sequence[str]) -> Result:
    """Remainders as a record's content."""
    # The discrete map is expanded as it is: its bias is no concern here.
    kept = [flag for flag in flags if "bias" not in flag]
    return Result({**remainders.to_values(), "flags": kept}, remainders.moments.to_arrays())


def remainders_of(record: Record) -> Remainders:
    """The inverse of `remainder_result`."""
    return Remainders.from_record(record.values, record.arrays)


@final
@dataclass(frozen=True)
class Setup:
    """A system with an error and a loss, and how it is tested; the variant tells setups of one case apart."""

    system: Any
    error: RepresentationError
    loss: Loss
    x0: float | Tensor
    T: float = 1.0
    steps: int = 16
    sizes: tuple[float, ...] = (0.0125, 0.025, 0.05, 0.1)
    paths: int = 4096
    variant: str = ""


class OrderClaim(Claim, ABC):
    """A claim that is decided by remainders of forms of the expansion on the same paths."""

    @abstractmethod
    def setup(self, case: str) -> Setup:
        """The system of a case."""

    @abstractmethod
    def forms(self, case: str, drawn: bool) -> tuple[str, ...]:
        """The forms that are measured: those that claim and control judge, and with `drawn` those that are shown."""

    def hypotheses(self, case: str) -> Sequence[Hypothesis]:
        """Those of the expansion."""
        s = self.setup(case)
        return of_expansion(s.system, s.error, s.loss, s.x0, s.T, s.steps)

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        """One cell with all forms."""
        s = self.setup(case)
        paths = at_least_paths(s.paths * scale)
        x0 = s.x0.tolist() if isinstance(s.x0, Tensor) else s.x0
        problem = {"case": case, "variant": s.variant, "x0": x0, "T": s.T, "steps": s.steps}
        settings = {**problem, "sizes": list(s.sizes), "paths": paths}
        forms = list(self.forms(case, drawn))
        cost = paths * s.steps * (len(forms) * 3.0 + len(s.sizes)) * 2e-7
        return [Cell(self.id, {**settings, "forms": forms}, seed, cost=cost)]

    def compute(self, cell: Cell) -> Result:
        """Remainders of the forms."""
        v = cell.settings
        s = self.setup(v["case"])
        grid = TimeGrid(v["T"], v["steps"])
        problem = effect_problem(s.system, s.error, s.loss, s.x0, grid, v["paths"], cell.seed, extrapolate=False)
        forms = {name: terms_named(name) for name in v["forms"]}
        bare = [name for name in v["forms"] if "quadratic" in _left_out(name)]
        measured = measure_remainders(problem, forms, v["sizes"], antithetic=None, without_s=bare)
        return remainder_result(measured, problem.flags)
