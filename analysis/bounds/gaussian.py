"""B7: quantiles of the error of a constant diffusion error, about a base without noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch

from sdewm import Outcome, RepresentationError, TimeGrid, perturb, simulate_coupled
from sdewm.claims import Cell, Claim, Result, Row
from sdewm.drifts import Linear, TanhNetwork
from sdewm.hypothesis import Hypothesis, Status
from sdewm.run import Record
from sdewm.stats import share
from sdewm.theory.bounds import GaussianQuantile
from sdewm.theory.check import Evidence, check
from sdewm.verdict import Grade, Verdict

from ..expansion.refused import refused_in
from ..kit import at_least_paths, certified, ones, only
from .limits import mean_limits

SCALAR, PLANE, NETWORK = "linear drift x", "linear drift in R², rotating", "tanh network, unstable at 0"
NOISY = "linear drift x, multiplicative base"
# a in units of εv.
DISTANCES = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
LEVEL = 0.999


@final
@dataclass(frozen=True)
class Quantiles(Claim):
    """The control leaves the growth by the drift out, v² = ‖σ̄‖² t; the base of the last case has no noise there."""

    swapped: bool = False

    id = "B7"
    title = "Quantiles of the error lie below the Gaussian bound"
    statement = (
        "Base without noise, σ = 0, e₀ = 0, σ̄ constant: P(|e| > E|e| + a) ≤ exp(−a²/(2ε²v²)) with v² = ‖σ̄‖² (e^{2μt} − "
        "1)/(2μ), here its version for Euler's steps, at a = kεv, k = ½, 1, …, 3, all of them together."
    )
    cases = (SCALAR, PLANE, NETWORK, NOISY)
    source = "Boucheron, Lugosi, Massart, Concentration Inequalities, theorem 5.6; the Euler version is derived here"
    formula = (
        r"\mathbb{P}\left(|e_t|>\mathbb{E}\,|e_t|+a\right)\le\exp\left("
        r"-\frac{a^2}{2\varepsilon^2v^2}\right),\quad v^2=\|\bar\sigma\|^2\,\frac{e^{2\mu t}-1}{2\mu}"
    )
    note = (
        "Limits on E|e| come from one half of the paths (betting from below, the central limit theorem from above), "
        "and exact binomial limits on the probabilities from the other, so that the threshold does not depend on what "
        "is counted. The constants are exact suprema over all states. The bound is not attained: |e| is nearly "
        "half-normal, or in R² Rayleigh's. "
        "With noise in the base the derivative of the error depends on that noise too, and the statement is refused."
    )

    def hypotheses(self, case: str) -> Sequence[Hypothesis]:
        noisy = case == NOISY and not self.swapped
        silent = Hypothesis("base without noise", Status.FAILS, "it has multiplicative noise", declared=True)
        return (
            silent if noisy else certified("base without noise", "by construction"),
            certified("constant diffusion error", "σ̄ = 1, by construction"),
            certified("one-sided Lipschitz drift", "μ is an exact supremum over all states"),
        )

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        settings: dict[str, Any] = {"case": case, "T": 2.0, "steps": 64, "eps": 0.02, "level": LEVEL, "base noise": 0.0}
        if case == NOISY:
            # What the statement would say of it is drawn, and not judged.
            settings |= {"base noise": 0.0 if self.swapped else 0.5, "scales": ["right"], "drawn": drawn}
        else:
            own = "no growth" if self.swapped else "right"
            settings["scales"] = ["right", "no growth"] if drawn else [own]
        settings["paths"] = at_least_paths(65_536 * scale, 16_384)
        return [Cell(self.id, settings, seed, cost=1.5 * scale)]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        grid, start = TimeGrid(s["T"], s["steps"]), 0.0 if s["case"] == NETWORK else 1.0
        error = RepresentationError(diffusion=ones, correlation="independent")

        def look(system: Any) -> Verdict:
            # The library looks at the paths, and says what the setting is and which constants are certified.
            return check(GaussianQuantile(), system, error, s["eps"], start, grid, 1024, cell.seed)

        system, values = _system(s["case"], s["base noise"]), {}
        looked = look(system)
        if looked.outcome is Outcome.HYPOTHESIS_FAILS:
            values = {"hypothesis": looked.reason, "declared": looked.grade is Grade.CERTIFIED}
            if not s["drawn"]:
                return Result(values)
            looked = look(_system(s["case"], 0.0))
        evidence = looked.evidence
        assert isinstance(evidence, Evidence)
        members = {"x": system, "xe": perturb(system, error, s["eps"])}
        run = simulate_coupled(members, start, grid, s["paths"], cell.seed + 1)
        size = (run["xe"].final - run["x"].final).norm(dim=1).numpy()
        half = len(size) // 2
        first, second = size[:half], size[half:]
        # The mean's two limits take one share of the level, the probabilities the others.
        miss = 1.0 - share(s["level"], 1 + len(DISTANCES))
        mean = mean_limits(first, miss)
        arrays = {"mean": np.array([mean.lower, float(first.mean()), mean.upper])}
        for name in s["scales"]:
            scale = _scale(evidence, grid, name)
            above = [[int((second > m + k * scale).sum()) for m in (mean.lower, mean.upper)] for k in DISTANCES]
            arrays |= {f"counts, {name}": np.array(above), f"scale, {name}": np.array([scale])}
        probabilities = np.geomspace(10.0 / half, 0.9, 60)
        arrays |= {"probability": probabilities, "quantile": np.quantile(second, 1.0 - probabilities)}
        return Result({"counted": len(second), **values}, arrays)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        record = only(records)
        refused = refused_in(record)
        if refused is not None:
            return refused
        n, arrays = record.values["counted"], record.arrays
        name = "no growth" if self.swapped and case != NOISY else "right"
        miss = 1.0 - share(LEVEL, 1 + len(DISTANCES))
        low, high = limits(arrays[f"counts, {name}"], n, miss)
        allowed = np.exp(-0.5 * np.array(DISTANCES) ** 2)
        holds, violated = high / allowed, low / allowed
        rows = [
            f"{p:.3g} [{a:.3g}, {b:.3g}] allowed {c:.3g}"
            for p, a, b, c in zip(arrays[f"counts, {name}"][:, 0] / n, low, high, allowed, strict=True)
        ]
        reason = f"P(|e| > E|e| + kεv) at k = {', '.join(f'{k:g}' for k in DISTANCES)}: {'; '.join(rows)}"
        i = int(violated.argmax()) if violated.max() > 1.0 else int(holds.argmax())
        interval, most = (float(low[i]), float(high[i])), float(allowed[i])
        if violated.max() > 1.0:
            reason = f"at k = {DISTANCES[i]:g} more than allowed; {reason}"
            # The upper limit on E|e| is that of the central limit theorem.
            return Verdict(Outcome.VIOLATED, Grade.ASYMPTOTIC, reason, interval, (0.0, most), interval[0] - most, LEVEL)
        outcome = Outcome.HOLDS if holds.max() <= 1.0 else Outcome.INCONCLUSIVE
        return Verdict(outcome, Grade.CERTIFIED, reason, interval, (0.0, most), most - interval[1], LEVEL)

    def control(self) -> "Quantiles":
        """Another scale, or a base without noise."""
        return replace(self, swapped=not self.swapped)


def limits(counts: Any, n: int, miss: float) -> tuple[Any, Any]:
    """Exact limits on probabilities (Clopper and Pearson), from how often |e| exceeded thresholds.

    Args:
        counts: (k, 2), beyond the threshold at the lower limit of E|e|, and at the upper one. The probability is at
            most that at the lower threshold and at least that at the upper one.
        n: number of paths.
        miss: probability that one of both sides is wrong.
    """
    from scipy.special import betaincinv  # here, so that importing the catalogue stays quick

    above, beyond = np.asarray(counts, dtype=np.float64).T
    low = np.where(beyond > 0, betaincinv(np.maximum(beyond, 1.0), n - beyond + 1.0, 0.5 * miss), 0.0)
    high = np.where(above < n, betaincinv(above + 1.0, np.maximum(n - above, 1.0), 1.0 - 0.5 * miss), 1.0)
    return low, high


def _scale(evidence: Evidence, grid: TimeGrid, name: str) -> float:
    """εv, from the constants as far as they are reached: the least that the statement can mean."""
    least: Mapping[str, float | None] = {key: c.at_least for key, c in evidence.constants.items()}
    numbers = {key: value for key, value in least.items() if value is not None}
    if name == "no growth":
        numbers = {"mu": 0.0, "spectral": 0.0, "diffusion_error_operator": numbers["diffusion_error_operator"]}
    return float(GaussianQuantile().discrete(numbers, evidence.setting)[grid.steps])


def _system(case: str, noise: float) -> Any:
    if case in (SCALAR, NOISY):
        return Linear(a=1.0, b=noise)
    if case == PLANE:
        return Linear(a=torch.tensor([[1.0, -3.0], [3.0, 1.0]], dtype=torch.float64), b=noise)
    weight = torch.full((4, 4), 0.45, dtype=torch.float64)
    return TanhNetwork(dim=4, weight=weight, noise=noise, modulation=0.0)


ROW = Row(
    Quantiles(),
    {case: Outcome.HYPOTHESIS_FAILS if case == NOISY else Outcome.HOLDS for case in Quantiles.cases},
    repetitions=5,
)
