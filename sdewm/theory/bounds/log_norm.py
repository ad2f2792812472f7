"""The log-norm bound: contraction and expansion are told apart."""

from typing import final

from .bound import Array, Bound, Numbers, Setting, numbers
from .comparison import compare
from .steps import euler_steps, step_growth


@final
class LogNorm(Bound):
    """m' <= (2μ + Λ²) m + 2ε √m (s + ‖ρ‖ Λ s̄) + ε² s̄², m = E|e|², with μ the drift's log-norm.

    From d|e|² by Itô's formula: ⟨e, g(x^ε) − g(x⁰)⟩ <= μ|e|², and Σ_k |ḡ_k(x^ε) − ḡ_k(x⁰) + ε (σ̄ρᵀ)_k|² has the cross
    term 2ε ‖ρ‖ Λ|e| s̄. Bounded for all times where 2μ + Λ² < 0. Its Euler version is
    r²_{n+1} <= (K r_n + hεs)² + h (Λ² r_n² + 2‖ρ‖ Λ r_n ε s̄ + ε² s̄²) with K² = 1 + 2hμ + h²L², since
    |e + hJe|² = |e|² + 2h⟨e, Je⟩ + h²|Je|²; where L is attained elsewhere than μ, "step_norm" is the better K.

    Source: Söderlind, The logarithmic norm, BIT 2006, for μ; the Euler version is derived here.

    Warning:
        Suprema run over the segments between the two paths, and none is checked here.

    Example:
        >>> import math
        >>> from sdewm import TimeGrid
        >>> numbers = {"mu": -1.0, "spectral": 1.0, "diffusion": 0.0, "drift_error": 1.0, "diffusion_error": 0.0}
        >>> curve = LogNorm().continuous(numbers, Setting(TimeGrid(1.0, 10), eps=0.1))
        >>> bool(abs(curve[-1] - 0.1 * (1 - math.exp(-1.0))) < 1e-9)
        True
    """

    name = "log-norm"
    statement = "(E|e|²)^½ <= r, r² = m, m' = (2μ + Λ²) m + 2ε √m (s + ‖ρ‖ Λ s̄) + ε² s̄²"
    hypotheses = ("drift one-sided Lipschitz with μ", "diffusion Lipschitz with Λ", "error bounded by s and s̄")
    implied = hypotheses
    reference = "Söderlind 2006 for the log-norm; the Euler version is derived here"
    constants = ("mu", "spectral", "diffusion", "drift_error", "diffusion_error")
    optional = ("step_norm",)

    def continuous(self, constants: Numbers, setting: Setting) -> Array:
        """Solves the comparison equation."""
        mu, lam, s, s_bar = numbers(constants, "mu", "diffusion", "drift_error", "diffusion_error")
        linear = 2.0 * setting.eps * (s + setting.correlation * lam * s_bar)
        return compare(2.0 * mu + lam**2, linear, (setting.eps * s_bar) ** 2, setting.initial, setting.grid)

    def discrete(self, constants: Numbers, setting: Setting) -> Array:
        """The recursion of Euler's steps."""
        return euler_steps(step_growth(constants, setting.grid.h), constants, setting)
