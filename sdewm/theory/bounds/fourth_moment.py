"""A certified fourth moment, which certifies the variance of a squared error."""

import math
from typing import final

import numpy as np

from ...exceptions import InvalidArgument
from .bound import Array, Bound, Numbers, Setting, numbers
from .comparison import compare, infinite
from .steps import step_growth


@final
class FourthMoment(Bound):
    """M₄' <= 4μM₄ + 4εs M₄^¾ + 6 (Λ²M₄ + 2‖ρ‖Λεs̄ M₄^¾ + ε²s̄² M₄^½), M₄ = E|e|⁴.

    From Itô's formula for |e|⁴ with the noise's matrix B: its drift is 4|e|²⟨e, g(x^ε) − g(x⁰) + εσ⟩ + 2|e|²‖B‖_F²
    + 4|Bᵀe|², and the last two are at most 6|e|²‖B‖_F², with equality in one dimension. In q = M₄^¼ it reads
    (q²)' = (2μ + 3Λ²) q² + 2ε(s + 3‖ρ‖Λs̄) q + 3ε²s̄²: the log-norm bound with three times the noise.

    The Euler version. For e' = a + √h B ξ, given the state, E|e'|⁴ = |a|⁴ + 2h|a|²‖B‖_F² + 4h|Bᵀa|² + h²(‖B‖_F⁴ +
    2 tr (BBᵀ)²) <= |a|⁴ + 6h|a|²‖B‖_F² + 3h²‖B‖_F⁴. In L⁴, ‖a‖ <= Kq + hεs =: α and ‖B‖_F² has the L²-norm
    Λ²q² + 2‖ρ‖Λqεs̄ + ε²s̄² =: β² at most, so that q⁴_{n+1} <= α⁴ + 6hα²β² + 3h²β⁴.

    The variance of |e|² is at most M₄: see `variance`.

    Source: derived here.

    Warning:
        s and s̄ have to bound the error's parts in L⁴; suprema over states do. Suprema run over the segments between the
        two paths. None of that is checked here.

    Example:
        >>> import math
        >>> from sdewm import TimeGrid
        >>> numbers = {"mu": 0.0, "spectral": 0.0, "diffusion": 0.5, "drift_error": 0.0, "diffusion_error": 0.0}
        >>> setting = Setting(TimeGrid(1.0, 1), eps=0.1, initial=1.0, initial_fourth=1.0)
        >>> bool(abs(FourthMoment().continuous(numbers, setting)[-1] ** 4 - math.exp(6 * 0.5**2)) < 1e-9)
        True
    """

    name = "fourth moment"
    statement = "(E|e|⁴)^¼ <= q, M = q⁴, M' = 4μM + 4εs M^¾ + 6 (Λ²M + 2‖ρ‖Λεs̄ M^¾ + ε²s̄² M^½)"
    hypotheses = ("drift one-sided Lipschitz with μ", "diffusion Lipschitz with Λ", "error bounded by s and s̄ in L⁴")
    implied = hypotheses
    reference = "derived here"
    constants = ("mu", "spectral", "diffusion", "drift_error", "diffusion_error")
    optional = ("step_norm",)
    power = 4.0

    def continuous(self, constants: Numbers, setting: Setting) -> Array:
        """Solves the comparison equation for q."""
        mu, lam, s, s_bar = numbers(constants, "mu", "diffusion", "drift_error", "diffusion_error")
        linear = 2.0 * setting.eps * (s + 3.0 * setting.correlation * lam * s_bar)
        constant = 3.0 * (setting.eps * s_bar) ** 2
        return compare(2.0 * mu + 3.0 * lam**2, linear, constant, _start(setting), setting.grid)

    def discrete(self, constants: Numbers, setting: Setting) -> Array:
        """The recursion of Euler's steps."""
        lam, s, s_bar = numbers(constants, "diffusion", "drift_error", "diffusion_error")
        h, eps, growth = setting.grid.h, setting.eps, step_growth(constants, setting.grid.h)
        curve = infinite(_start(setting), setting.grid)
        q = curve[0]
        if not math.isfinite(growth + lam + eps * s + eps * s_bar):
            return curve
        for n in range(setting.grid.steps):
            if not q < 1e70:
                break
            a = (growth * q + h * eps * s) ** 2
            b = h * ((lam * q) ** 2 + 2.0 * setting.correlation * lam * q * eps * s_bar + (eps * s_bar) ** 2)
            q = (a**2 + 6.0 * a * b + 3.0 * b**2) ** 0.25
            curve[n + 1] = q
        return curve

    def variance(self, constants: Numbers, setting: Setting, *, discrete: bool = True) -> Array:
        """A bound on Var |e|² <= E|e|⁴, (steps + 1,), for Euler's steps or for the equation."""
        with np.errstate(over="ignore"):
            return np.asarray((self.discrete if discrete else self.continuous)(constants, setting) ** 4)

    def refuses(self, setting: Setting, initial: bool, drift: bool, diffusion: bool) -> str | None:
        """The fourth moment of the start has to be known."""
        return None if setting.initial == 0.0 or setting.initial_fourth is not None else _UNKNOWN


_UNKNOWN = "the fourth moment of the start is not known; give initial_fourth, for a start that is not random initial"


def _start(setting: Setting) -> float:
    if setting.initial_fourth is None and setting.initial > 0.0:
        raise InvalidArgument(f"{_UNKNOWN}.")
    return setting.initial_fourth or 0.0
