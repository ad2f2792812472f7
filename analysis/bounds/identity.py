"""B5: the error of a rollout as a telescoping sum."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch

from sdewm import RepresentationError, StepMap, TimeGrid, euler_map, perturb
from sdewm.claims import Cell, Claim, Result, Row
from sdewm.drifts import DoubleWell, TanhNetwork
from sdewm.run import Record
from sdewm.stats import all_of
from sdewm.theory.bounds import alekseev_groebner
from sdewm.theory.bounds.rollout import draw_normals
from sdewm.verdict import Grade, Outcome, Verdict

from ..expansion.variations import gated, spread
from ..kit import certified, wave

EXACT = 1e-12
SIZES = (0.0125, 0.025, 0.05, 0.1)


@final
@dataclass(frozen=True)
class TelescopingSum(Claim):
    """The control exchanges the two forms."""

    exchanged: bool = False

    id = "B5"
    title = "The error is a sum of local errors, exactly and linearised"
    statement = (
        "On every path and at every ε the error e_N = x^ε_N − x⁰_N equals, to 1e-12 of its root mean square, the sum "
        "of what the initial error and the error of each step have become at the end, as differences of base rollouts "
        "(Alekseev–Gröbner, discrete); and so it does with each difference replaced by the product of the step's "
        "Jacobians along the base path times the local error (linearised form)."
    )
    cases = ("the identity", "linearised form")
    source = "Alekseev 1961, Gröbner 1960, in discrete time"
    formula = (
        r"e_N=X_{0,N}(x^\varepsilon_0)-X_{0,N}(x^0_0)+\sum_{n<N}\left[X_{n+1,N}(F^\varepsilon_n(x^\varepsilon_n))"
        r"-X_{n+1,N}(F_n(x^\varepsilon_n))\right]"
        "\n"
        r"e_N=\Phi_{0,N}\,e_0+\sum_{n<N}\Phi_{n+1,N}\left(F^\varepsilon_n-F_n\right)(x^\varepsilon_n)\quad\text{(linearised)}"
    )
    assumes = (certified("one derivative", "all steps are smooth, by construction; only the linearised form needs it"),)
    note = (
        "A linear form is what first-order bounds and Jacobian penalties rest on. What it leaves over is of order ε². "
        "Not affected: linear maps, for which it is exact."
    )
    systems = ("tanh network, shared noise", "double well, independent noise", "recurrent step map, ρ = −0.6")

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        linearised = (case == "linearised form") != self.exchanged
        settings = {"T": 1.0, "steps": 24, "sizes": list(SIZES), "linearised": linearised}
        paths = max(int(512 * scale), 128)
        return [
            Cell(self.id, {**settings, "system": name, "paths": paths}, seed, cost=0.4 * scale) for name in self.systems
        ]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        grid, paths = TimeGrid(s["T"], s["steps"]), s["paths"]
        system, correlation = _system(s["system"])
        error = RepresentationError(drift=wave, diffusion=wave, initial=0.3, correlation=correlation)
        if isinstance(system, StepMap):
            error = error.scaled(0.2)
        x0 = torch.full((paths, system.dim), 0.3, dtype=torch.float64)
        residuals, sizes = [], []
        for eps in s["sizes"]:
            base, other = (_step(each, grid) for each in (system, perturb(system, error, eps)))
            normals = draw_normals(other, grid, paths, cell.seed)
            found = alekseev_groebner(base, other, x0, normals, linearised=s["linearised"])
            residuals.append(found.residual.numpy())
            sizes.append(float(found.error.square().sum(1).mean().sqrt()))
        return Result({}, {"residual": np.stack(residuals), "error": np.array(sizes)})

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        return all_of({record.key["settings"]["system"]: _exact(record) for record in records})

    def control(self) -> "TelescopingSum":
        """The linear form for the identity, and the other way round."""
        return replace(self, exchanged=not self.exchanged)


def _system(name: str) -> tuple[Any, str | float]:
    if name.startswith("tanh"):
        return TanhNetwork(dim=8, gain=0.4, seed=3, noise=0.3, modulation=0.2), "shared"
    if name.startswith("double"):
        return DoubleWell(), "independent"
    return StepMap(gated, spread, dim=8, noise_dim=8), -0.6


def _step(system: Any, grid: TimeGrid) -> StepMap:
    return system if isinstance(system, StepMap) else euler_map(system, grid)


def _exact(record: Record) -> Verdict:
    relative = record.arrays["residual"] / record.arrays["error"][:, None]
    worst = float(relative.max())
    reason = f"largest residual is {worst:.2g} of the error, allowed {EXACT:g}"
    outcome = Outcome.HOLDS if worst <= EXACT else Outcome.VIOLATED
    if outcome is Outcome.VIOLATED:
        rms = np.sqrt((record.arrays["residual"] ** 2).mean(1))
        slope = np.polyfit(np.log(record.key["settings"]["sizes"]), np.log(rms), 1)[0]
        reason += f"; its root mean square is of order {slope:.2f} in ε"
    # Nothing is estimated here: it is true of the paths that were simulated.
    return Verdict(outcome, Grade.CERTIFIED, reason, (worst, worst), (0.0, EXACT), abs(EXACT - worst))


ROW = Row(TelescopingSum(), {"the identity": Outcome.HOLDS, "linearised form": Outcome.VIOLATED}, repetitions=5)
