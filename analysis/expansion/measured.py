"""Coefficients of a form beside coefficients measured without any formula, on affine systems with quadratic losses."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sdewm import RepresentationError, TimeGrid, Variations, perturb, simulate_coupled
from sdewm.claims import Result
from sdewm.dynamics.derivatives import curve_derivatives
from sdewm.estimate import Estimate, Moments
from sdewm.run import Record
from sdewm.stats import negligible
from sdewm.theory.effect import FORMS, Loss
from sdewm.verdict import Verdict

EPS = 0.1
COLUMNS = ("form P", "form S/2", "P", "S/2", "P' − P", "S'/2 − S/2", "P²", "(S/2)²")


def compare(
    system: Any,
    error: RepresentationError,
    loss: Loss,
    x0: float | Tensor,
    grid: TimeGrid,
    paths: int,
    seed: int,
    form: str,
    actions: Tensor | None = None,
) -> Result:
    """Moments of `COLUMNS`.

    Measured are central differences in ε of the simulated loss. For an affine system with a constant error the loss is
    quadratic in ε, path by path, so that they are exact on the simulated map: neither the step size nor the size of ε
    can be taken for a fault of the form. There y₂ = 0, so that the second-order coefficient is S/2 alone.
    """
    probe = torch.as_tensor(x0, dtype=torch.float64).expand(2, system.dim)
    members = {
        "varied": Variations(system, error, terms=FORMS[form]),
        "plus": perturb(system, error, EPS, x0=probe),
        "minus": perturb(system, error.scaled(-1.0), EPS, x0=probe),
    }

    def observe(states: Mapping[str, Any]) -> Tensor:
        x, y1, y2 = states["varied"]
        here, up, down = loss(x), loss(states["plus"]), loss(states["minus"])
        _, p, curvature = curve_derivatives(lambda e: loss(x + e * y1 + e**2 * y2), here)
        form_s = 0.5 * curvature
        true_p, true_s = (up - down) / (2.0 * EPS), (up - 2.0 * here + down) / (2.0 * EPS**2)
        # The differences are columns of their own, so that their tails are seen and not those of their parts.
        columns = (p, form_s, true_p, true_s, p - true_p, form_s - true_s, true_p**2, true_s**2)
        return torch.stack(columns, 1)

    run = simulate_coupled(members, x0, grid, paths, seed, observe=observe, actions=actions)
    return Result({}, run.moments[0].to_arrays())


def column(record: Record, name: str) -> Estimate:
    """The estimate of one of `COLUMNS`."""
    return Moments.from_arrays(record.arrays).estimates()[COLUMNS.index(name)]


def judge_p(record: Record, level: float = 0.999) -> Verdict:
    """Whether P' is P, to 5 % of its path-wise root mean square."""
    m = Moments.from_arrays(record.arrays).estimates()
    return negligible(m[4], m[6], level=level, root=True, floor=1e-12, what="P' − P")


def judge_s(record: Record, level: float = 0.999) -> Verdict:
    """Whether S'/2 is S/2, to 5 % of its path-wise root mean square."""
    m = Moments.from_arrays(record.arrays).estimates()
    return negligible(m[5], m[7], level=level, root=True, floor=1e-12, what="S'/2 − S/2")
