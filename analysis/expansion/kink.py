"""X11: kinks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor

from sdewm import LatentSDE, RepresentationError, TimeGrid, perturb, simulate_coupled
from sdewm.claims import Cell, Claim, Result, Row
from sdewm.estimate import Moments
from sdewm.hypothesis import Hypothesis
from sdewm.run import Record
from sdewm.stats import order_at_least
from sdewm.theory.effect import Loss
from sdewm.theory.losses import AbsoluteLoss, SoftAbsoluteLoss
from sdewm.verdict import Outcome, Verdict

from ..kit import of_expansion, ones, only, total

SIZES = (0.0125, 0.025, 0.05, 0.1)
SHARP = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
# Both have curvature one half of their sharpness at the kink; this one is that of the control.
SMOOTH = 1.0


@final
class Rectified(LatentSDE):
    """dx = relu(x) dt, or its smooth version softplus(sharpness x)/sharpness less its value at zero; no noise."""

    dim = 1

    def __init__(self, sharpness: float | None) -> None:
        super().__init__()
        self.sharpness = sharpness

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        """relu(x), smoothed so that x = 0 stays where it is."""
        if self.sharpness is None:
            return torch.relu(x)
        zero = torch.nn.functional.softplus(torch.zeros_like(x), beta=self.sharpness)
        return torch.nn.functional.softplus(x, beta=self.sharpness) - zero

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(x)


@final
class Still(LatentSDE):
    """dx = 0."""

    dim = 1

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(x)

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(x)


@final
@dataclass(frozen=True)
class AtTheKink(Claim):
    """A zero-drift error meets a kink on which the base without noise sits; the control smooths the kink.

    P, by antithetic pairs, is zero on both sides of the kink, so that R itself is what is left after the first order.
    """

    sharpness: float | None = None

    id = "X11"
    title = "The effect is of second order at a kink too"
    statement = (
        "For a base without noise and a zero-drift error, E ℓ(x^ε) − E ℓ(x⁰) = O(ε²) also at a kink: its slope in log "
        "ε exceeds 1.5."
    )
    cases = ("ReLU drift, x⁰ = 0", "|x| loss, x⁰ = 0")
    source = "the expansion, where its hypothesis of two derivatives fails"
    formula = r"\mathbb{E}\,\ell(x^\varepsilon)-\mathbb{E}\,\ell(x^0)=O(\varepsilon^2)\quad\text{at a kink}"
    note = (
        "The hypothesis of two derivatives fails here, which is what is tried; expand() finds the kink and refuses. "
        "Not affected: a base that stays off the kink, and, for the first order, "
        "one whose law has a density; with a density at a visited kink the effect is of order ε², but the coefficient "
        "that derivatives beside the kink give is wrong."
    )

    def hypotheses(self, case: str) -> Sequence[Hypothesis]:
        base: LatentSDE = Rectified(self.sharpness) if case.startswith("ReLU") else Still()
        smoothed: Loss = AbsoluteLoss() if self.sharpness is None else SoftAbsoluteLoss(sharpness=self.sharpness)
        error = RepresentationError(diffusion=ones, correlation="independent")
        return of_expansion(base, error, total if case.startswith("ReLU") else smoothed, 0.0, 1.0, 32)

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        paths = max(int(8192 * scale), 1024)
        settings = {"case": case, "T": 1.0, "steps": 32, "sizes": list(SIZES), "paths": paths}
        shown = [None, *SHARP] if drawn else [self.sharpness]
        return [Cell(self.id, {**settings, "sharpness": list(shown)}, seed, cost=0.02 * len(shown) * scale + 0.1)]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        grid, drift = TimeGrid(s["T"], s["steps"]), s["case"].startswith("ReLU")
        error = RepresentationError(diffusion=ones, correlation="independent")
        members: dict[str, Any] = {}
        losses: dict[str, Loss] = {}
        for sharp in s["sharpness"]:
            base = Rectified(sharp) if drift else Still()
            smoothed: Loss = AbsoluteLoss() if sharp is None else SoftAbsoluteLoss(sharpness=sharp)
            for sign in (1.0, -1.0):
                for eps in s["sizes"]:
                    name = f"{sharp} {sign} {eps}"
                    members[name] = perturb(base, error.scaled(sign), eps)
                    losses[name] = total if drift else smoothed
        zero = torch.zeros(1, 1, dtype=torch.float64)

        def observe(states: Mapping[str, Any]) -> Tensor:
            effect = {name: losses[name](x) - losses[name](zero) for name, x in states.items()}
            return torch.stack(
                [
                    0.5 * (effect[f"{sharp} 1.0 {eps}"] + effect[f"{sharp} -1.0 {eps}"])
                    for sharp in s["sharpness"]
                    for eps in s["sizes"]
                ],
                1,
            )

        run = simulate_coupled(members, 0.0, grid, s["paths"], cell.seed, observe=observe)
        return Result({}, run.moments[0].to_arrays())

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        record = only(records)
        sharp: Sequence[float | None] = record.key["settings"]["sharpness"]
        means = Moments.from_arrays(record.arrays).estimates()
        k, count = list(sharp).index(self.sharpness), len(SIZES)
        return order_at_least(means[k * count : (k + 1) * count], SIZES, 1.5, what="the order of R in ε")

    def control(self) -> "AtTheKink":
        """The kink smoothed."""
        return replace(self, sharpness=SMOOTH if self.sharpness is None else None)


ROW = Row(AtTheKink(), dict.fromkeys(AtTheKink.cases, Outcome.VIOLATED), repetitions=12)
