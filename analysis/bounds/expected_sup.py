"""B1: whether a constant rescues the expected-supremum form."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from sdewm import LatentSDE, RepresentationError, TimeGrid, perturb, simulate_coupled
from sdewm.claims import Cell, Claim, Result, Row
from sdewm.drifts import Linear
from sdewm.dynamics.brownian import generator
from sdewm.hypothesis import Facts, Hypothesis
from sdewm.jacobian import frobenius_squared, jacobians
from sdewm.run import Record
from sdewm.stats import Limits, increasing, share
from sdewm.theory.bounds import mean_value_jacobian
from sdewm.theory.bounds.expected_sup import expected_sup_form, running_exponents
from sdewm.theory.bounds.random_jacobian import growth_rate, right_side, step_growth_rate
from sdewm.verdict import Grade, Outcome, Verdict

from ..kit import PAPER, at_least_paths, certified, only
from .limits import Array, ends, mean_limits

GAIN, NOISE = "frozen random gain, growth with M", "rotational noise, growth with b"
MULTIPLE = "rotational noise, any multiple of b in the exponent"
FORMS = ("expected supremum", "random Jacobian, repaired")
GAINS, STRENGTHS = (2.0, 4.0, 8.0, 16.0, 32.0), (2.0, 6.0, 10.0, 14.0)
LEVEL = 0.999
# What the logarithm of the ratio, or its slope, has to gain for each unit of M or b.
GROWTH = 0.25
GROUP = 16
# So small that tanh is linear, and the largest error of the family, δ e^32, still is.
DELTA = 1e-18


@final
class FrozenGain(LatentSDE):
    """dx = z tanh(x) dt, dz = 0; no noise."""

    dim = 2
    drift_facts, diffusion_facts = Facts("one-sided"), Facts()

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        """z tanh x, and zero."""
        return torch.stack((x[:, 1] * torch.tanh(x[:, 0]), torch.zeros_like(x[:, 0])), 1)

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(x)


@final
@dataclass(frozen=True)
class ConstantRescues(Claim):
    """The control takes the repaired random-Jacobian form: E e^X in place of e^{E X}, the diffusion's norm squared."""

    form: str = FORMS[0]

    id = "B1"
    title = "Some constant saves the bound by an expected supremum"
    statement = (
        "There is a constant C with E|e| ≤ δ C (e^{J₀} + e^{J₁}) for δ → 0 on a family of systems, J = t E sup "
        "‖Jacobian‖_F: (a) dx = z tanh x dt, P(z = M) = 1/M, else z = 0, x⁰ = 0; (b) dx = b x dB¹ + b x^⊥ dB² in R²; "
        "(c) as (b), with e^{cJ} for any c. Violated: the log ratio of truth to form gains at least 0.25 a unit of M "
        "or b between all members of the family (in (c) its slope does), and ends above zero. Holds: C = 1 will do "
        "for all members."
    )
    cases = (GAIN, NOISE, MULTIPLE)
    source = PAPER + ": error propagation bound, with the whole Jacobian in place of its blocks"
    formula = (
        r"\mathbb{E}\,|e_t|\le\delta\,C\left(e^{J_0}+e^{J_1}\right),\quad J_0=t\,\mathbb{E}\sup_{s\le t}\|Dg(x_s)\|_F"
        r",\quad J_1=t\,\mathbb{E}\sup_{s\le t}\|D\bar g(x_s)\|_F"
        "\n"
        r"\mathbb{E}\,|e_t|\le\delta\,C\left(e^{cJ_0}+e^{cJ_1}\right)\quad\text{for some}\;c\;\text{(third case)}"
    )
    note = (
        "The form is the paper's as reconstructed. Here J₀ = 1 for all M in (a), and J₁ = 2b in (b); E|e|/δ tends to 1 "
        "+ (e^M − 1)/M and to e^{b²/2} at t = 1, which (c) judges. In (a) and (b) truth and form are those of Euler's "
        "steps, with limits that need no central limit theorem; in (b) |e| is a product of independent, equal factors, "
        "and the mean of one is measured. Finitely many members cannot prove growth for ever; the closed forms do. "
        "Not affected: systems whose Jacobians are not random, where E e^X = e^{E X}, as long as their noise is "
        "additive or weak (b < 4 here); and the repaired bound (B2), which has the exponential inside the expectation "
        "and the diffusion's norm squared."
    )

    def hypotheses(self, case: str) -> Sequence[Hypothesis]:
        if case == MULTIPLE:
            return (certified("moments", "of linear noise, in closed form; nothing is sampled"),)
        limits = certified("limits on means", "by betting on bounded variables, or from an exact variance")
        if case == NOISE:
            return limits, certified(
                "equal, independent factors", "each step turns e and stretches it, by construction"
            )
        return limits, certified("small errors", "δ = 1e-18: tanh is linear, to rounding, on the largest error")

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        forms = list(FORMS) if drawn else [self.form]
        if case == GAIN:
            settings = {"members": list(GAINS), "steps": 32, "paths": at_least_paths(16_384 * scale, 4096)}
            cost = 3.0 * scale * len(forms)
        else:
            # Both cases of rotational noise share their work.
            settings = {"members": list(STRENGTHS), "steps": 256, "paths": at_least_paths(524_288 * scale, 131_072)}
            cost = 2.0 * scale
        work = f"{self.id} {'gain' if case == GAIN else 'noise'}"
        return [Cell(work, {**settings, "forms": forms, "delta": DELTA, "level": LEVEL}, seed, cost=cost)]

    def compute(self, cell: Cell) -> Result:
        members = cell.settings["members"]
        measure = _gain if cell.work.endswith("gain") else _noise
        found = [measure(cell, member) for member in members]
        arrays = {key: np.array([each[key] for each in found]) for key in found[0]}
        return Result({}, {"member": np.array(members), **arrays})

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        record = only(records)
        closed = case == MULTIPLE
        x = record.arrays["member"]
        truth, form = (record.arrays[f"closed {key}" if closed else key] for key in ("truth", self.form))
        low, high = truth[:, 0] - form[:, 1], truth[:, 1] - form[:, 0]
        values = ", ".join(f"[{a:.2f}, {b:.2f}]" for a, b in zip(low, high, strict=True))
        letter = "M" if case == GAIN else "b"
        reason = f"log ratio of truth to form {values} at {letter} = {', '.join(f'{v:g}' for v in x)}"
        worst = float(high.max())
        if worst <= 0.0:
            interval = float(low.max()), worst
            reason += "; C = 1 will do"
            return Verdict(Outcome.HOLDS, Grade.CERTIFIED, reason, interval, (-math.inf, 0.0), -worst, LEVEL)
        at, least, most = _slopes(x, low, high)
        what = "its slope"
        if closed:
            # 1 + e^{2cb} is e^{2cb} up to a factor of two, and c moves all slopes of that alike.
            _, least, most = _slopes(at, least, most)
            what = "the slope of its slope"
        growth, end = (float(least.min()), float(most.min())), float(low[-1])
        reason += f"; {what} is at least {growth[0]:.3g}, to be violated {GROWTH:g}"
        margin = min(growth[0] - GROWTH, end)
        outcome = Outcome.VIOLATED if margin > 0.0 else Outcome.INCONCLUSIVE
        return Verdict(outcome, Grade.CERTIFIED, reason, growth, (-math.inf, GROWTH), margin, LEVEL)

    def control(self) -> "ConstantRescues":
        """The form for which there is a theorem."""
        return replace(self, form=FORMS[1 - FORMS.index(self.form)])


def _slopes(x: Array, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """Where, and between what, the slopes from each member to the next lie."""
    dx = np.diff(x)
    return 0.5 * (x[1:] + x[:-1]), (low[1:] - high[:-1]) / dx, (high[1:] - low[:-1]) / dx


def _miss(s: Any) -> float:
    """Of each interval, where truth and form of all members have one."""
    return 1.0 - share(s["level"], 2 * len(s["members"]))


def _gain(cell: Cell, most: float) -> dict[str, tuple[float, float]]:
    """Limits on the logarithms of E|e|/δ and of the forms, from paths of which each has its own gain."""
    s, miss = cell.settings, _miss(cell.settings)
    grid, system = TimeGrid(1.0, s["steps"]), FrozenGain()
    draws = torch.rand(s["paths"], generator=generator(cell.seed, f"gains up to {most:g}"), dtype=torch.float64)
    z = most * (draws < 1.0 / most).double()
    start = torch.stack((torch.zeros_like(z), z), 1)
    error = RepresentationError(initial=torch.tensor([s["delta"], 0.0], dtype=torch.float64))
    run = simulate_coupled({"x": system, "xe": perturb(system, error, 1.0)}, start, grid, save="all")
    base, other = run["x"].states, run["xe"].states
    size = (other[-1] - base[-1]).norm(dim=1).numpy() / s["delta"]
    # |tanh x| ≤ |x|, so that no path exceeds the linear growth, up to rounding.
    largest = (1.0 + grid.h * most) ** grid.steps * (1.0 + 1e-9)
    found = {"truth": _log(mean_limits(_grouped(size), miss, largest=largest))}
    found["closed truth"] = _exactly(math.log1p(math.expm1(most) / most))
    found[f"closed {FORMS[0]}"] = _exactly(math.log(expected_sup_form(1.0, 0.0, 1.0)))
    found[f"closed {FORMS[1]}"] = _exactly(0.5 * math.log1p(math.expm1(2.0 * most) / most))

    def drift(x: Tensor) -> Tensor:
        return system.f(torch.tensor(0.0, dtype=torch.float64), x)

    if FORMS[0] in s["forms"]:
        norms = frobenius_squared(jacobians(drift, base.flatten(0, 1))).sqrt().reshape(base.shape[:2])
        mean = mean_limits(_grouped(running_exponents(norms, grid)[-1].numpy()), miss, largest=most)
        found[FORMS[0]] = ends(increasing(lambda j: math.log(expected_sup_form(j, 0.0, 1.0)), mean))
    if FORMS[1] in s["forms"]:
        silent = torch.zeros(s["paths"], 1, 2, 2, dtype=torch.float64)
        steps = zip(base[:-1], other[:-1], strict=True)
        rates = [step_growth_rate(mean_value_jacobian(drift, x, y, 1), silent, grid.h, 1.0) for x, y in steps]
        squares = right_side(torch.ones(s["paths"], dtype=torch.float64), torch.stack(rates).sum(0), 1.0).numpy()
        low, high = _log(mean_limits(_grouped(squares), miss, largest=largest**2))
        found[FORMS[1]] = (0.5 * low, 0.5 * high)
    return found


def _noise(cell: Cell, b: float) -> dict[str, tuple[float, float]]:
    """The same for rotational noise: a step turns e, and stretches it by a factor that knows nothing of the past."""
    s, miss = cell.settings, _miss(cell.settings)
    grid, eye = TimeGrid(1.0, s["steps"]), torch.eye(2, dtype=torch.float64)
    columns = b * torch.stack((eye, torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)))
    system = Linear(a=0.0, b=columns)
    error = RepresentationError(initial=torch.tensor([s["delta"], 0.0], dtype=torch.float64))
    once = TimeGrid(grid.h, 1)
    run = simulate_coupled({"x": system, "xe": perturb(system, error, 1.0)}, 0.0, once, s["paths"], cell.seed)
    factor = (run["xe"].final - run["x"].final).norm(dim=1).numpy() / s["delta"]
    # E factor² = 1 + 2hb², and E factor is at least the length of the mean, 1.
    one = mean_limits(factor, miss, variance=2.0 * grid.h * b**2)
    found = {"truth": ends(increasing(lambda k: grid.steps * math.log(k), one))}
    found["closed truth"] = _exactly(0.5 * b**2)
    norm, silent = float(columns.square().sum().sqrt()), torch.zeros(1, 2, 2, dtype=torch.float64)
    found[FORMS[0]] = found[f"closed {FORMS[0]}"] = _exactly(math.log(expected_sup_form(0.0, grid.T * norm, 1.0)))
    found[FORMS[1]] = _exactly(grid.steps * float(step_growth_rate(silent, columns[None], grid.h, 1.0)))
    found[f"closed {FORMS[1]}"] = _exactly(grid.T * float(growth_rate(silent, columns[None], 1.0)))
    return found


def _grouped(values: Array) -> Array:
    """Means of groups of paths: the size of a bet is learnt from the first values, and large gains are rare."""
    return np.asarray(values.reshape(-1, GROUP).mean(1))


def _exactly(value: float) -> tuple[float, float]:
    return ends(Limits.exactly(value))


def _log(limits: Limits) -> tuple[float, float]:
    return ends(increasing(lambda value: math.log(value) if value > 0.0 else -math.inf, limits))


ROW = Row(ConstantRescues(), dict.fromkeys(ConstantRescues.cases, Outcome.VIOLATED), repetitions=8)
