"""B3: the log-norm bound of Euler steps, and where it is attained."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from sdewm.claims import Cell, Claim, Result, Row
from sdewm.run import Record
from sdewm.stats import all_of
from sdewm.theory.bounds import LogNorm, Setting
from sdewm.theory.bounds.steps import euler_steps, recursion, step_growth
from sdewm.verdict import Outcome, Verdict

from ..kit import certified, flagged
from .tightness import (
    BOTH,
    BOUNDS,
    INITIAL,
    LOG_NORM,
    MOSTLY,
    NETWORKS,
    NOISY,
    ROTATING,
    S1,
    S2,
    S3,
    S3_HIGH,
    SHARED,
    SPECTRAL,
    SYMMETRIC,
    Array,
    Rule,
    beside,
    cell,
    judged,
    non_normal,
)

TIGHT = 1.1
NON_NORMAL, NETWORK, ROTATION = "non-normal (S1)", "tanh networks (S3 and others)", "rotating plane"
MULTIPLICATIVE, ATTAINED = "multiplicative noise", "contracting normal: within 10 %"
RADIUS, QUADRATURE = "spectral radius for the norm", "drift errors in quadrature"
NO_SQUARE, NO_CROSS = "without h²L²", "without the cross term"


def _spectral_radius(constants: Mapping[str, float], setting: Setting) -> Array:
    """The steps of S1 by the eigenvalues of I + hA, which are on its diagonal."""
    rates = non_normal().A.diagonal().numpy()
    return euler_steps(float(np.abs(1.0 + setting.grid.h * rates).max()), constants, setting)


def _quadrature(constants: Mapping[str, float], setting: Setting) -> Array:
    """The drift errors of different steps as if they had nothing to do with each other."""
    h, eps, lam = setting.grid.h, setting.eps, constants["diffusion"]
    s, s_bar = constants["drift_error"], constants["diffusion_error"]
    linear = 2.0 * h * setting.correlation * lam * eps * s_bar
    added = (h * eps * s) ** 2 + h * (eps * s_bar) ** 2
    growth = step_growth(constants, h)
    return recursion(growth, 0.0, h * lam**2, linear, added, setting.initial, setting.grid.steps)


def _no_square(constants: Mapping[str, float], setting: Setting) -> Array:
    """K² = 1 + 2hμ, as in the equation."""
    return euler_steps(math.sqrt(max(1.0 + 2.0 * setting.grid.h * constants["mu"], 0.0)), constants, setting)


def _no_cross(constants: Mapping[str, float], setting: Setting) -> Array:
    """Shared noise taken for independent noise."""
    return LogNorm().discrete(constants, replace(setting, correlation=0.0))


OWN = LogNorm()
WRONG: Mapping[str, Rule] = {
    RADIUS: Rule(OWN.constants, _spectral_radius),
    QUADRATURE: Rule(OWN.constants, _quadrature, OWN.optional),
    NO_SQUARE: Rule(OWN.constants, _no_square),
    NO_CROSS: Rule(OWN.constants, _no_cross, OWN.optional),
}
# What the control takes for the log-norm bound; the last is a bound too, but a loose one.
CONTROLS: Mapping[str, str] = {
    NON_NORMAL: RADIUS,
    NETWORK: QUADRATURE,
    ROTATION: NO_SQUARE,
    MULTIPLICATIVE: NO_CROSS,
    ATTAINED: SPECTRAL,
}
# Which errors are judged on which systems; the first system decides, the others are simulated only where it is drawn.
SYSTEMS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    NON_NORMAL: {S1: (INITIAL, BOTH)},
    NETWORK: {S3: (INITIAL, BOTH), S3_HIGH: (INITIAL, BOTH), **dict.fromkeys(NETWORKS, (INITIAL, BOTH))},
    ROTATION: {ROTATING: (INITIAL, BOTH)},
    MULTIPLICATIVE: {NOISY: (SHARED,)},
    ATTAINED: {ROTATING: (INITIAL,), SYMMETRIC: (MOSTLY,)},
}


@final
@dataclass(frozen=True)
class LogNormBound(Claim):
    """The control takes another formula for the bound; for the last case the spectral norm in place of the log-norm."""

    swapped: bool = False

    id = "B3"
    title = "The log-norm bound is true, and tight for contracting normal drifts"
    statement = (
        "On Lipschitz systems the root mean square error of Euler steps is at most the discrete log-norm bound, r² ← "
        "(K r + hεs)² + h (Λ²r² + 2‖ρ‖Λrεs̄ + ε²s̄²) with K² = 1 + 2hμ + h²L² or K = sup ‖I + h Dg‖, at t = 1, 2 and "
        "4; and for contracting normal drifts the bound is at most 1.1 times the error."
    )
    cases = tuple(CONTROLS)
    source = "Söderlind, The logarithmic norm, BIT 2006, for μ; the version for Euler steps is derived in sdewm"
    formula = (
        r"\left(\mathbb{E}\,|e_n|^2\right)^{1/2}\le r_n,\quad r_{n+1}^2=(Kr_n+h\varepsilon s)^2+h"
        r"\left(\Lambda^2r_n^2+2\|\rho\|\Lambda r_n\,\varepsilon\bar s+\varepsilon^2\bar s^2\right),"
        r"\quad K^2=1+2h\mu+h^2L^2"
    )
    assumes = (
        certified(
            "Lipschitz coefficients",
            "suprema over all states: exact for constant matrices, at the vertices of {−I + WD} for tanh networks",
        ),
        certified("size of the error", "σ, σ̄ and η are the same everywhere, by construction"),
    )
    note = (
        "Suprema are over all states, and certified: exact for constant matrices, at the vertices of {−I + WD} for "
        "tanh networks. The controls take (S1) the spectral radius of the step for its norm, (networks) the drift "
        "errors of different steps in quadrature, (rotation) K without h²L², (multiplicative noise) shared noise for "
        "independent noise, (10 %) the spectral norm for the log-norm. Tight: planes that turn under an initial error, "
        "planes that do not under a drift error; a drift error that the drift itself turns averages out, which no "
        "bound by norms sees. The double well (S2) is simulated by tamed steps with sampled constants; it is drawn "
        "and not judged."
    )

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        rule = CONTROLS[case] if self.swapped else LOG_NORM
        rules = tuple(dict.fromkeys((*BOUNDS, rule))) if drawn else (rule,)
        systems = dict(SYSTEMS[case] if drawn or case == ATTAINED else list(SYSTEMS[case].items())[:1])
        if drawn and case == NON_NORMAL:
            systems[S2] = (INITIAL, BOTH)
        # Multiplicative noise has a heavier tail.
        paths = {MULTIPLICATIVE: 32_768, ROTATION: 8192, ATTAINED: 8192}.get(case, 4096)
        return [cell(name, errors, rules, scale, seed, paths=paths) for name, errors in systems.items()]

    def compute(self, cell: Cell) -> Result:
        return beside(cell, lambda sigma, sigma_bar: WRONG)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        rule = CONTROLS[case] if self.swapped else LOG_NORM
        verdicts: dict[str, Verdict] = {}
        for record in records:
            for error in SYSTEMS[case].get(record.key["settings"]["system"], ()):
                verdicts |= judged(record, error, rule, TIGHT if case == ATTAINED else math.inf)
        chosen = all_of(verdicts)
        # Of so many one is enough to read.
        more = (f"the least clear of {len(verdicts)} judged",) if chosen.outcome is Outcome.HOLDS else ()
        return replace(flagged(chosen, records[0]), flags=more)

    def control(self) -> "LogNormBound":
        """A wrong bound, or a loose one."""
        return replace(self, swapped=not self.swapped)


ROW = Row(LogNormBound(), dict.fromkeys(LogNormBound.cases, Outcome.HOLDS), repetitions=5)
