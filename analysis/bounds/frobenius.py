"""B9: what the Frobenius norm of a Jacobian says about the growth of errors."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from sdewm import RepresentationError, StepMap, TimeGrid, perturb, simulate_coupled
from sdewm.claims import Cell, Claim, Result, Row
from sdewm.drifts import Linear
from sdewm.run import Record
from sdewm.verdict import Grade, Outcome, Verdict

from ..kit import PAPER, certified, ones, only

DRIFTS, MAPS = "drifts −2x and 0", "step maps [[0, 2], [0, 0]] and 0.9 I"
RATES = (-3.0, -1.5, -1.0, -0.5, -0.25, 0.25, 0.5, 0.75)
# What is drawn of a case, beside ‖J‖_F: its rightful measure is the last but one or the last.
MEASURES: Mapping[str, tuple[str, ...]] = {
    DRIFTS: ("Frobenius norm", "log-norm", "product norm"),
    MAPS: ("Frobenius norm", "spectral norm", "product norm"),
}
RIGHT: Mapping[str, str] = {DRIFTS: "log-norm", MAPS: "product norm"}


@final
@dataclass(frozen=True)
class SmallerNormSmallerError(Claim):
    """The control takes the log-norm of the drift, and the norm of the product of the steps, for the Frobenius norm."""

    right: bool = False

    id = "B9"
    title = "A smaller Frobenius norm means a smaller error"
    statement = (
        "Of two systems, the one whose Jacobian has the smaller Frobenius norm has the smaller error at the end: the "
        "drifts −2x and 0 under a drift error; the step maps [[0, 2], [0, 0]] and 0.9 I under an initial error."
    )
    cases = (DRIFTS, MAPS)
    source = PAPER + ": the Frobenius norm of the Jacobian stands for the growth of errors"
    formula = r"\|J_1\|_F<\|J_2\|_F\;\Longrightarrow\;|e^{(1)}_N|<|e^{(2)}_N|"
    assumes = (certified("no noise", "nothing is sampled: both systems are deterministic"),)
    note = (
        "The statement is a reading of the paper's bound and penalty, as reconstructed. What is monotone in the "
        "log-norm, or in the norm of the product of all steps, is the bound on the error. Not affected: the penalty "
        "of the product Φ(t, r) (X15), and a Frobenius norm of the step's Jacobian as an upper bound on its spectral "
        "norm."
    )

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        settings: dict[str, Any] = {"case": case, "eps": 0.05}
        if case == DRIFTS:
            settings |= {"rates": [-2.0, 0.0, *(RATES if drawn else ())], "T": 4.0, "steps": 128}
        else:
            settings |= {"steps": 8, "directions": 16, "more": 60 if drawn else 0}
        # The control judges the same numbers by another measure.
        return [Cell(self.id, settings, seed, cost=0.3)]

    def compute(self, cell: Cell) -> Result:
        return Result({}, _drifts(cell.settings) if cell.settings["case"] == DRIFTS else _maps(cell))

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        arrays = only(records).arrays
        name = RIGHT[case] if self.right else "Frobenius norm"
        (m0, m1), (e0, e1) = (arrays[key][:2].tolist() for key in (name, "error"))
        # Signed so that it is positive where the order of the errors is that of the measures.
        agreement = (e1 - e0) * math.copysign(1.0, m1 - m0)
        reason = f"{name} {m0:.4g} and {m1:.4g}, error {e0:.4g} and {e1:.4g}"
        outcome = Outcome.HOLDS if agreement > 0.0 else Outcome.VIOLATED
        # Without noise: nothing is sampled.
        return Verdict(outcome, Grade.CERTIFIED, reason, (agreement, agreement), (0.0, math.inf), abs(agreement))

    def control(self) -> "SmallerNormSmallerError":
        """Another measure of the same Jacobians."""
        return replace(self, right=not self.right)


def _drifts(s: Mapping[str, Any]) -> dict[str, Any]:
    grid, error = TimeGrid(s["T"], s["steps"]), RepresentationError(drift=ones)
    errors = [_error(Linear(a=rate), error, grid, s["eps"], 1) for rate in s["rates"]]
    rates = np.array(s["rates"])
    product = np.abs(1.0 + grid.h * rates) ** grid.steps
    return {"error": np.array(errors), "Frobenius norm": np.abs(rates), "log-norm": rates, "product norm": product}


def _maps(cell: Cell) -> dict[str, Any]:
    s = cell.settings
    rng = np.random.default_rng(cell.seed)
    more = rng.standard_normal((s["more"], 2, 2))
    more *= (rng.uniform(0.4, 2.0, s["more"]) / np.linalg.norm(more, axis=(1, 2)))[:, None, None]
    matrices = np.concatenate((np.array([[[0.0, 2.0], [0.0, 0.0]], [[0.9, 0.0], [0.0, 0.9]]]), more))
    grid = TimeGrid(float(s["steps"]), s["steps"])
    angles = torch.arange(s["directions"], dtype=torch.float64) * (2.0 * math.pi / s["directions"])
    error = RepresentationError(initial=torch.stack((angles.cos(), angles.sin()), 1))
    errors = [_error(_linear_map(m), error, grid, s["eps"], s["directions"]) for m in matrices]
    products = np.stack([np.linalg.matrix_power(m, s["steps"]) for m in matrices])
    return {
        "error": np.array(errors),
        "Frobenius norm": np.linalg.norm(matrices, axis=(1, 2)),
        "spectral norm": np.linalg.norm(matrices, 2, axis=(1, 2)),
        "product norm": np.linalg.norm(products, 2, axis=(1, 2)),
    }


def _linear_map(matrix: Any) -> StepMap:
    weight = torch.from_numpy(np.ascontiguousarray(matrix))
    return StepMap(lambda n, x, a: x @ weight.T, lambda n, x, a: torch.zeros_like(x), 2, 2)


def _error(system: Any, error: RepresentationError, grid: TimeGrid, eps: float, paths: int) -> float:
    """Root mean square of the error at the end, over the directions of an initial error."""
    start: Tensor = torch.zeros(system.dim, dtype=torch.float64)
    run = simulate_coupled([system, perturb(system, error, eps)], start, grid, paths, 0)
    return float((run[1].final - run[0].final).square().sum(1).mean().sqrt())


ROW = Row(SmallerNormSmallerError(), dict.fromkeys(SmallerNormSmallerError.cases, Outcome.VIOLATED), repetitions=0)
