"""B2: the repaired random-Jacobian bound, estimated on both sides."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from sdewm import RepresentationError, TimeGrid, perturb, simulate_coupled, tame
from sdewm.claims import Cell, Claim, Result, Row
from sdewm.drifts import DoubleWell, Linear, TanhNetwork
from sdewm.hypothesis import Hypothesis
from sdewm.run import Record
from sdewm.stats import Limits, all_of, increasing, share
from sdewm.theory.bounds import FourthMoment, Setting, mean_value_jacobian
from sdewm.theory.bounds.mean_value import diffusion_columns
from sdewm.theory.bounds.random_jacobian import right_side, step_growth_rate
from sdewm.theory.constants.structural import certified_constants
from sdewm.verdict import Grade, Outcome, Verdict

from ..kit import at_least_paths, certified, flagged, only, unchecked
from .limits import Array, ends, mean_limits

NETWORK, WELL, LINEAR = "tanh network, from one state to another", "double well, tamed", "linear, rotational noise"
BOUND, WRONG = "bound", "wrong form"
HORIZONS = {NETWORK: 2.0, WELL: 1.0, LINEAR: 2.0}
POWERS = (1.0, 2.0)
LEVEL = 0.999
VACUOUS = 100.0


@final
@dataclass(frozen=True)
class RandomJacobian(Claim):
    """The control takes the Jacobians along the base path alone; in the linear system it leaves the noise out."""

    form: str = BOUND

    id = "B2"
    title = "The repaired random-Jacobian bound is true"
    statement = (
        "For an initial error e₀ and p = 1, 2: E|e_N|^p ≤ (E |e₀|^{2p} Π κ_n^{2p})^½, with ln κ_n = h(μ(A) + ½ Σ‖G_k‖² "
        "+ (p − 1) Σ‖G_k‖²) up to higher orders of the step h, A and G_k the mean-value Jacobians of drift and "
        "diffusion between the two paths."
    )
    cases = (NETWORK, WELL, LINEAR)
    source = (
        "derived here, in place of the bound by expected exponentials of Jacobians in arXiv:2501.00195 (as "
        "reconstructed)"
    )
    formula = (
        r"\mathbb{E}\,|e_N|^p\le\Big(\mathbb{E}\,|e_0|^{2p}\prod_{n<N}\kappa_n^{2p}\Big)^{1/2}"
        "\n"
        r"\ln\kappa_n=h\Big(\mu(A_n)+\tfrac12\sum_k\|G_{k,n}\|^2+(p-1)\sum_k\|G_{k,n}\|^2\Big)+O(h^2)"
    )
    note = (
        "Both sides are estimated on the same Euler (or tamed) steps, each with its own limits at a shared level, and "
        "both powers are judged. The Jacobians have to be those between the paths: near either stable state the drift "
        "contracts, and an error that spans both does not go away. How loose the bound is is the ratio in the reason. "
        "It does not cover errors of drift or diffusion."
    )

    def hypotheses(self, case: str) -> Sequence[Hypothesis]:
        only_start = certified("initial error only", "the error has neither drift nor diffusion, by construction")
        if case == LINEAR:
            return only_start, certified("moments of order 4p", "of a linear system, certified at every step")
        return only_start, unchecked("moments of order 4p", "upper limits rest on the central limit theorem")

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        horizon = HORIZONS[case]
        settings: dict[str, Any] = {"case": case, "T": horizon, "steps": 48, "powers": list(POWERS), "level": LEVEL}
        settings |= {"paths": at_least_paths(8192 * scale, 4096), "forms": [BOUND, WRONG] if drawn else [self.form]}
        # Only the curves that are drawn need more than the end.
        settings["times"] = [horizon * k / 8 for k in range(1, 9)] if drawn else [horizon]
        return [Cell(self.id, settings, seed, cost=3.0 * scale)]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        grid = TimeGrid(s["T"], s["steps"])
        system, x0, initial = _system(s["case"], grid)
        error = RepresentationError(initial=initial)
        members = {"x": system, "xe": perturb(system, error, 1.0)}
        run = simulate_coupled(members, x0, grid, s["paths"], cell.seed, save="all")
        base, other = run["x"].states, run["xe"].states
        logs = {form: _rates(system, base, other, grid, s["powers"], form == BOUND, s["case"]) for form in s["forms"]}
        at = [grid.index(t) for t in s["times"]]
        # Each power has two sides.
        miss = 1.0 - share(s["level"], 2 * len(s["powers"]))
        first = (other[0] - base[0]).norm(dim=1)
        # Certified moments are those of the linear system; of the others they are too large to say anything.
        known = _fourth_moments(system, grid, float(first[0])) if s["case"] == LINEAR else None
        arrays = {}
        for p in s["powers"]:
            sizes = (other[at] - base[at]).norm(dim=2).pow(p).numpy()
            second = [None if known is None else float(known[n] ** (0.5 * p)) for n in at]
            limits = [mean_limits(size, miss, second_moment=v) for size, v in zip(sizes, second, strict=True)]
            arrays[f"error {p:g}"] = np.array([ends(each) for each in limits])
            arrays[f"mean error {p:g}"] = sizes.mean(1)
            for form in s["forms"]:
                squares = [right_side(first, logs[form][p][n - 1], p).numpy() for n in at]
                arrays[f"{form} {p:g}"] = np.array([ends(_root(mean_limits(square, miss))) for square in squares])
                arrays[f"mean {form} {p:g}"] = np.sqrt([square.mean() for square in squares])
        flags = ["tamed steps, on both sides"] if s["case"] == WELL else []
        return Result({"flags": flags, "certified": known is not None}, arrays)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        record = only(records)
        return flagged(all_of({f"p = {p:g}": self._one(record, p) for p in POWERS}), record)

    def _one(self, record: Record, p: float) -> Verdict:
        error, right = (record.arrays[f"{name} {p:g}"][-1].tolist() for name in ("error", self.form))
        value, bound = (float(record.arrays[f"mean {name} {p:g}"][-1]) for name in ("error", self.form))
        reason = (
            f"E|e|^p is {value:.4g} [{error[0]:.4g}, {error[1]:.4g}], the right side {bound:.4g} [{right[0]:.4g}, "
            f"{right[1]:.4g}], {bound / value:.3g} times as large"
        )
        flags = ("vacuous: more than 100 times the error",) if right[0] > VACUOUS * error[1] else ()
        # The least and the greatest ratio of truth to right side. From below both are certified; from above they rest
        # on the central limit theorem, but for an error whose moments are certified.
        low, high = error[0] / right[1], error[1] / right[0] if right[0] > 0.0 else math.inf
        outcome, grade = Outcome.INCONCLUSIVE, Grade.ASYMPTOTIC
        if high <= 1.0:
            outcome, grade = Outcome.HOLDS, Grade.CERTIFIED if record.values["certified"] else grade
        elif low > 1.0:
            outcome = Outcome.VIOLATED
        else:
            reason += "; their limits overlap"
        margin = max(1.0 - high, low - 1.0)
        return Verdict(outcome, grade, reason, (low, high), (0.0, 1.0), margin, LEVEL, flags)

    def control(self) -> "RandomJacobian":
        """A form that looks alike, and is no bound."""
        return replace(self, form=WRONG if self.form == BOUND else BOUND)


def _system(case: str, grid: TimeGrid) -> tuple[Any, Tensor, Tensor]:
    """A system, where its base starts, and the error of the start."""
    if case == NETWORK:
        weight = 2.0 * torch.eye(3, dtype=torch.float64)
        weight += 0.3 * torch.tensor([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]], dtype=torch.float64)
        start = torch.full((3,), -1.9, dtype=torch.float64)
        return TanhNetwork(dim=3, weight=weight, noise=0.3, modulation=0.2), start, -2.0 * start
    if case == WELL:
        start = torch.full((1,), -1.0, dtype=torch.float64)
        return tame(DoubleWell(noise=0.2, modulation=0.12), grid), start, -2.0 * start
    columns = 0.35 * torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, -1.0], [1.0, 0.0]]], dtype=torch.float64)
    start = torch.tensor([1.0, 0.0], dtype=torch.float64)
    return Linear(a=-0.5, b=columns), start, torch.tensor([0.3, 0.4], dtype=torch.float64)


def _rates(
    system: Any, base: Tensor, other: Tensor, grid: TimeGrid, powers: Sequence[float], right: bool, case: str
) -> dict[float, Tensor]:
    """For each power the sum of ln κ up to each step on each path, (steps, paths)."""
    rates: dict[float, list[Tensor]] = {p: [] for p in powers}
    for n in range(grid.steps):
        t = torch.tensor(grid.time(n), dtype=torch.float64)
        x = base[n]
        y = other[n] if right or case == LINEAR else x
        drift = mean_value_jacobian(partial(system.f, t), x, y)
        field = diffusion_columns(partial(system.g, t), system.noise_type == "diagonal")
        columns = mean_value_jacobian(field, x, y)
        if not right and case == LINEAR:
            columns = torch.zeros_like(columns)
        for p in powers:
            rates[p].append(step_growth_rate(drift, columns, grid.h, p))
    return {p: torch.stack(each).cumsum(0) for p, each in rates.items()}


def _fourth_moments(system: Any, grid: TimeGrid, initial: float) -> Array:
    """Certified bounds on E|e_n|⁴, (steps + 1,)."""
    numbers = {name: constant.value for name, constant in certified_constants(system).items()}
    setting = Setting(grid, 1.0, initial, dim=system.dim, initial_fourth=initial)
    return FourthMoment().variance({**numbers, "drift_error": 0.0, "diffusion_error": 0.0}, setting)


def _root(limits: Limits) -> Limits:
    return increasing(math.sqrt, limits)


ROW = Row(RandomJacobian(), dict.fromkeys(RandomJacobian.cases, Outcome.HOLDS), repetitions=5)
