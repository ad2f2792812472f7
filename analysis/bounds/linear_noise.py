"""B6: how long the linear noise approximation is right."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from sdewm import LatentSDE, RepresentationError, TimeGrid, perturb, simulate_coupled, tame
from sdewm.claims import Cell, Claim, Result, Row
from sdewm.estimate import Estimate, Moments
from sdewm.hypothesis import Facts
from sdewm.run import Record
from sdewm.stats.decide import decide, doubt_of
from sdewm.theory.bounds import linear_noise
from sdewm.verdict import Grade, Outcome, Verdict

from ..kit import at_least_paths, certified, flagged, ones, only, unchecked

TOLERANCE = 0.1
HORIZONS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
LEVEL = 0.999


@final
class Unstable(LatentSDE):
    """dx = rate (x − bend x³) dt, from the unstable point; no noise."""

    dim = 1
    drift_facts, diffusion_facts = Facts("one-sided"), Facts()

    def __init__(self, rate: float = 1.0, bend: float = 1.0) -> None:
        super().__init__()
        self.rate, self.bend = rate, bend

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        """rate (x − bend x³)."""
        return self.rate * (x - self.bend * x**3)

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(x)


@final
@dataclass(frozen=True)
class LinearNoiseRatio(Claim):
    """The control leaves CAᵀ out of the equation at T = 1, and takes the linear drift x at T = 8."""

    swapped: bool = False

    id = "B6"
    title = "The linear noise approximation is right to 10 %"
    statement = (
        "The linear noise approximation C' = AC + CAᵀ + ε²σ̄σ̄ᵀ predicts the root mean square error to 10 %: for dx = "
        "(x − x³) dt from 0, ε = 0.05, (truth) / (tr C)^½ is in [0.9, 1.1]."
    )
    cases = ("initial error, T = 1", "initial error, T = 8", "diffusion error, T = 1", "diffusion error, T = 8")
    source = "van Kampen, Stochastic Processes in Physics and Chemistry, chapter X"
    formula = (
        r"\dot C=AC+CA^\top+\varepsilon^2\bar\sigma\bar\sigma^\top,\quad0.9\le\frac{\left("
        r"\mathbb{E}\,|e_T|^2\right)^{1/2}}{\left(\operatorname{tr}C_T\right)^{1/2}}\le1.1"
    )
    assumes = (
        certified("base at rest", "x⁰ = 0 is a fixed point without noise"),
        unchecked("small error", "that the error stays small against the bend of the drift is what is judged"),
    )
    note = (
        "Initial error ±ε, equally likely: truth by integrating the flow, no sampling; the ratio is 1/√(1 + ε²(e^{2T} "
        "− 1)). Diffusion error ε dW: truth by simulation, C by the recursion of the same tamed steps. It is the "
        "growth of the error to the size on which the drift bends that decides, not T. Not affected: linear drifts, "
        "and stable points as long as ε is small."
    )

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        horizon = _horizon(case)
        settings: dict[str, Any] = {"eps": 0.05, "bend": 1.0, "growth": 1.0, "steps a unit": 32}
        if self.swapped:
            # In one dimension AC is half of AC + CAᵀ.
            settings |= {"growth": 0.5} if horizon == HORIZONS[0] else {"bend": 0.0}
        settings["horizons"] = list(HORIZONS) if drawn and horizon == HORIZONS[-1] else [horizon]
        kind = case.split(" error")[0]
        if kind == "diffusion":
            settings["paths"] = at_least_paths(32_768 * scale, 2048)
        return [Cell(f"{self.id} {kind}", settings, seed, cost=0.2 if kind == "initial" else 1.5 * scale)]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        grid = TimeGrid(s["horizons"][-1], int(s["horizons"][-1] * s["steps a unit"]))
        at = [grid.index(t) for t in s["horizons"]]
        truth, assumed = Unstable(bend=s["bend"]), Unstable(rate=s["growth"], bend=s["bend"])
        error, zero = RepresentationError(diffusion=ones), torch.zeros(1, dtype=torch.float64)
        if cell.work.endswith("initial"):
            none, unit = RepresentationError(diffusion=_nothing), torch.ones(1, 1, dtype=torch.float64)
            found = linear_noise(assumed, none, zero, grid, eps=s["eps"], initial=unit)
            arrays = {"square": np.array([_flow(truth, s["eps"], t) ** 2 for t in s["horizons"]])}
            return Result({}, {**arrays, "approximation": found.rms[at]})
        # Taming would bend the linear drift of the control.
        steps, assumed_steps = (tame(each, grid) if s["bend"] else each for each in (truth, assumed))
        found = linear_noise(assumed_steps, error, zero, grid, eps=s["eps"], discrete=True)
        members = {"base": steps, "other": perturb(steps, error, s["eps"])}

        def observe(states: Mapping[str, Any]) -> Tensor:
            gap: Tensor = states["other"] - states["base"]
            return gap.square().sum(1, keepdim=True)

        run = simulate_coupled(
            members, 0.0, grid, s["paths"], cell.seed, observe=observe, save=[float(t) for t in s["horizons"]]
        )
        arrays = {"approximation": found.rms[at]}
        for k, moments in enumerate(run.moments):
            arrays |= {f"{name} {k}": values for name, values in moments.to_arrays().items()}
        return Result({"flags": ["tamed steps, in truth and approximation"] if s["bend"] else []}, arrays)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        record = only(records)
        k = record.key["settings"]["horizons"].index(_horizon(case))
        approximation = float(record.arrays["approximation"][k])
        allowed = (1.0 - TOLERANCE, 1.0 + TOLERANCE)
        if "square" in record.arrays:
            ratio = math.sqrt(float(record.arrays["square"][k])) / approximation
            reason = f"truth / approximation is {ratio:.4g}, allowed [{allowed[0]:g}, {allowed[1]:g}]"
            gap = min(ratio - allowed[0], allowed[1] - ratio)
            outcome = Outcome.HOLDS if gap >= 0.0 else Outcome.VIOLATED
            # Integrated to ten digits; nothing is sampled.
            return Verdict(outcome, Grade.CERTIFIED, reason, (ratio, ratio), allowed, abs(gap))
        square = square_at(record, k)
        ends = square.interval(LEVEL)
        low, high = (math.sqrt(max(end, 0.0)) / approximation for end in ends)
        ratio = math.sqrt(square.value) / approximation
        verdict = decide(
            f"truth / approximation is {ratio:.4g} [{low:.4g}, {high:.4g}], allowed [{allowed[0]:g}, {allowed[1]:g}]",
            min(low - allowed[0], allowed[1] - high),
            max(allowed[0] - high, low - allowed[1]),
            interval=(low, high),
            allowed=allowed,
            level=LEVEL,
            doubt=doubt_of(square, TOLERANCE * square.value),
        )
        return flagged(verdict, record)

    def control(self) -> "LinearNoiseRatio":
        """Another equation, or another drift."""
        return replace(self, swapped=not self.swapped)


def square_at(record: Record, k: int) -> Estimate:
    """The mean square error at the k-th horizon."""
    own = {name.removesuffix(f" {k}"): value for name, value in record.arrays.items() if name.endswith(f" {k}")}
    return Moments.from_arrays(own).estimates()[0]


def _horizon(case: str) -> float:
    return float(case.split("T = ")[1])


def _nothing(t: Tensor, x: Tensor) -> Tensor:
    return torch.zeros_like(x)


def _flow(system: Unstable, start: float, t: float) -> float:
    """The solution of x' = rate (x − bend x³) at time t, by integration; that from −start is its negative."""
    from scipy.integrate import solve_ivp

    def slope(_: float, x: Any) -> Any:
        return system.rate * (x - system.bend * x**3)

    return float(solve_ivp(slope, (0.0, t), [start], method="DOP853", rtol=1e-11, atol=1e-13).y[0, -1])


ROW = Row(
    LinearNoiseRatio(),
    {case: Outcome.HOLDS if case.endswith("1") else Outcome.VIOLATED for case in LinearNoiseRatio.cases},
    repetitions=8,
)
