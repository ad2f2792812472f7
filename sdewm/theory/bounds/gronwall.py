"""Gronwall's bounds: the size of the drift's Jacobian, whichever way it points."""

from typing import final

from .bound import Array, Bound, Numbers, Setting, numbers
from .comparison import compare
from .steps import euler_steps


@final
class GronwallSpectral(Bound):
    """m' <= (2L + Λ²) m + 2ε √m (s + ‖ρ‖ Λ s̄) + ε² s̄², m = E|e|², with L the largest spectral norm of Dg.

    The log-norm bound after ⟨e, g(x^ε) − g(x⁰)⟩ <= L|e|², which takes contraction for expansion. Its Euler version is
    r²_{n+1} <= (K r_n + hεs)² + h (Λ² r_n² + 2‖ρ‖ Λ r_n ε s̄ + ε² s̄²) with K = 1 + hL.

    Source: Gronwall's lemma.

    Warning:
        Suprema run over the segments between the two paths, and none is checked here.

    Example:
        >>> import math
        >>> from sdewm import TimeGrid
        >>> numbers = {"spectral": 1.0, "diffusion": 0.0, "drift_error": 1.0, "diffusion_error": 0.0}
        >>> curve = GronwallSpectral().continuous(numbers, Setting(TimeGrid(1.0, 10), eps=0.1))
        >>> bool(abs(curve[-1] - 0.1 * (math.e - 1.0)) < 1e-9)
        True
    """

    name = "Gronwall, spectral"
    statement = "(E|e|²)^½ <= r, r² = m, m' = (2L + Λ²) m + 2ε √m (s + ‖ρ‖ Λ s̄) + ε² s̄²"
    hypotheses = ("drift Lipschitz with L", "diffusion Lipschitz with Λ", "error bounded by s and s̄")
    implied = hypotheses
    reference = "Gronwall's lemma"
    constants = ("spectral", "diffusion", "drift_error", "diffusion_error")

    def continuous(self, constants: Numbers, setting: Setting) -> Array:
        """Solves the comparison equation."""
        return _continuous("spectral", constants, setting)

    def discrete(self, constants: Numbers, setting: Setting) -> Array:
        """The recursion of Euler's steps with K = 1 + hL."""
        return _discrete("spectral", constants, setting)


@final
class GronwallFrobenius(Bound):
    """`GronwallSpectral` with the Frobenius norm of Dg, which is never the smaller one.

    m' <= (2L + Λ²) m + 2ε √m (s + ‖ρ‖ Λ s̄) + ε² s̄² with L the largest ‖Dg‖_F. In n dimensions L may be √n times
    the spectral norm: it grows with the number of coordinates even where they do not interact.

    Source: Gronwall's lemma.

    Warning:
        Suprema run over the segments between the two paths, and none is checked here.

    Example:
        >>> from sdewm import TimeGrid
        >>> numbers = {"frobenius": 1.0, "diffusion": 0.0, "drift_error": 0.0, "diffusion_error": 0.0}
        >>> GronwallFrobenius().discrete(numbers, Setting(TimeGrid(1.0, 2), eps=0.1, initial=1.0))
        array([1.  , 1.5 , 2.25])
    """

    name = "Gronwall, Frobenius"
    statement = "(E|e|²)^½ <= r, r² = m, m' = (2‖Dg‖_F + Λ²) m + 2ε √m (s + ‖ρ‖ Λ s̄) + ε² s̄²"
    hypotheses = ("drift's Jacobian bounded in the Frobenius norm", *GronwallSpectral.hypotheses[1:])
    implied = hypotheses
    reference = "Gronwall's lemma"
    constants = ("frobenius", "diffusion", "drift_error", "diffusion_error")

    def continuous(self, constants: Numbers, setting: Setting) -> Array:
        """Solves the comparison equation."""
        return _continuous("frobenius", constants, setting)

    def discrete(self, constants: Numbers, setting: Setting) -> Array:
        """The recursion of Euler's steps with K = 1 + hL."""
        return _discrete("frobenius", constants, setting)


def _continuous(norm: str, constants: Numbers, setting: Setting) -> Array:
    size, lam, s, s_bar = numbers(constants, norm, "diffusion", "drift_error", "diffusion_error")
    linear = 2.0 * setting.eps * (s + setting.correlation * lam * s_bar)
    return compare(2.0 * size + lam**2, linear, (setting.eps * s_bar) ** 2, setting.initial, setting.grid)


def _discrete(norm: str, constants: Numbers, setting: Setting) -> Array:
    (size,) = numbers(constants, norm)
    return euler_steps(1.0 + setting.grid.h * size, constants, setting)
