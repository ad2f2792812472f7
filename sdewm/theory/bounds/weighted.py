"""The log-norm bound in a norm made for the system: transient growth of a non-normal drift is no growth there."""

import math
from collections.abc import Sequence
from typing import Any, final

import numpy as np

from ...constant import Constant
from ...exceptions import InvalidArgument
from .bound import Array, Bound, Numbers, Setting, numbers
from .comparison import compare, infinite
from .steps import recursion


@final
class Weighted(Bound):
    """m' <= 2ν m + 2ε √m (s_M + ‖ρ‖ Λ_M s̄_M) + ε² s̄_M², m = E eᵀMe, and (E|e|²)^½ <= (m / λ_min(M))^½.

    ν is a number with MA + AᵀM + Σ_k G_kᵀMG_k <= 2νM for the Jacobians A = Dg, G_k = Dḡ_k at each state of the segments
    between the two paths. The left side is a convex function of (A, G), so that it then holds for mean-value Jacobians
    too. The norms of errors are those of |v|_M = (vᵀMv)^½. The start is m(0) = E e₀ᵀMe₀ = tr(M E e₀e₀ᵀ) where the
    setting has that moment, else λ_max(M) E|e₀|².

    The Euler version. Given the state, the mean of |e'|_M² over the noise of the step is
    |(I + hA)e + hεσ|_M² + h Σ_k |G_k e|_M² + 2hε Σ_kl ρ_kl ⟨G_k e, σ̄_l⟩_M + hε² Σ_l |σ̄_l|_M². Its quadratic part is
    eᵀ[(I + hA)ᵀM(I + hA) + h Σ_k G_kᵀMG_k]e <= κ²|e|_M², where drift and noise are taken together as in ν: that matrix
    is M + h(MA + AᵀM + Σ_k G_kᵀMG_k) + h²AᵀMA, so that κ² = 1 + 2hν + h²L_M² will do, and "weighted_step" is the best
    κ for one h. With |(I + hA)e|_M <= K|e|_M,
    r²_{n+1} <= κ²r_n² + 2hεs_M K r_n + h²ε²s_M² + h (2‖ρ‖ Λ_M r_n ε s̄_M + ε² s̄_M²): Λ_M enters the cross term only.
    K is at most κ and 1 + hL_M; "weighted_step_norm" is the best one for one h. With both of these M = I is never worse
    than the log-norm bound.

    Args:
        M: the weight, symmetric and positive definite, (dim, dim). Its scale does not matter to the bound; the
            weighted errors have to be those of this M.
        nu: what is known of ν, where it was found together with M; it is then among `known`.

    Raises:
        InvalidArgument: M is not square, not symmetric or not positive definite.

    Source: the weighted log-norm, Söderlind, BIT 2006; with diffusion, and for Euler's steps, derived here.

    Warning:
        Suprema run over the segments between the two paths, and none is checked here.

    Example:
        >>> import numpy as np
        >>> from sdewm import TimeGrid
        >>> bound = Weighted([[1.0, 0.0], [0.0, 400.0]])
        >>> rate = bound.rates(np.array([[[-1.0, 10.0], [0.0, -1.5]]]))[0]  # the log-norm is 3.76
        >>> round(float(rate), 3)
        -0.896
        >>> numbers = {"weighted_rate": rate, "weighted_diffusion": 0.0, "weighted_drift_error": 0.0,
        ...            "weighted_diffusion_error": 0.0}
        >>> start = ((1.0, 0.0), (0.0, 0.0))
        >>> setting = Setting(TimeGrid(4.0, 1), eps=0.05, initial=1.0, dim=2, initial_moment=start)
        >>> round(float(bound.continuous(numbers, setting)[-1]), 4)
        0.0277
    """

    name = "weighted log-norm"
    statement = "(E|e|²)^½ <= (m / λ_min(M))^½, m' = 2ν m + 2ε √m (s_M + ‖ρ‖ Λ_M s̄_M) + ε² s̄_M²"
    hypotheses = (
        "M Dg + Dgᵀ M + Σ_k Dḡ_kᵀ M Dḡ_k <= 2ν M",
        "diffusion Lipschitz with Λ_M",
        "error bounded by s_M and s̄_M",
    )
    implied = hypotheses
    reference = "Söderlind 2006 for the weighted log-norm; diffusion and the Euler version are derived here"
    constants = (
        "weighted_rate",
        "weighted_spectral",
        "weighted_diffusion",
        "weighted_drift_error",
        "weighted_diffusion_error",
    )
    optional = ("weighted_step", "weighted_step_norm")

    def __init__(self, M: Sequence[Sequence[float]] | Any, nu: Constant | None = None) -> None:
        weight = np.asarray(M, dtype=np.float64)
        if weight.ndim != 2 or weight.shape[0] != weight.shape[1] or not weight.size:
            raise InvalidArgument(f"M must be a square matrix, got shape {weight.shape}.")
        if not np.isfinite(weight).all():
            raise InvalidArgument("M must be finite, but some entries are NaN or infinite.")
        gap = float(np.abs(weight - weight.T).max())
        if gap > 1e-12 * float(np.abs(weight).max()):
            raise InvalidArgument(
                f"M must be symmetric, but it differs from its transpose by {gap:.3g}; take ½(M + Mᵀ)."
            )
        self.weight = 0.5 * (weight + weight.T)
        values, vectors = np.linalg.eigh(self.weight)
        if not values[0] > 1e-14 * abs(values[-1]):
            raise InvalidArgument(
                f"M must be positive definite, but its eigenvalues run from {values[0]:.3g} to {values[-1]:.3g}."
            )
        self.least, self.greatest = float(values[0]), float(values[-1])
        self._root = (vectors * np.sqrt(values)) @ vectors.T
        self._inverse_root = (vectors / np.sqrt(values)) @ vectors.T
        if nu is not None:
            self.known = {"weighted_rate": nu}

    def continuous(self, constants: Numbers, setting: Setting) -> Array:
        """Solves the comparison equation in the norm of M."""
        nu, lam, s, s_bar = numbers(
            constants, "weighted_rate", "weighted_diffusion", "weighted_drift_error", "weighted_diffusion_error"
        )
        linear = 2.0 * setting.eps * (s + setting.correlation * lam * s_bar)
        curve = compare(2.0 * nu, linear, (setting.eps * s_bar) ** 2, self.start(setting), setting.grid)
        return np.asarray(curve / math.sqrt(self.least))

    def discrete(self, constants: Numbers, setting: Setting) -> Array:
        """The recursion of Euler's steps in the norm of M."""
        nu, size, lam, s, s_bar = numbers(constants, *self.constants)
        h, eps, start = setting.grid.h, setting.eps, self.start(setting)
        growth = math.sqrt(max(1.0 + 2.0 * h * nu + (h * size) ** 2, 0.0))
        if "weighted_step" in constants:
            growth = min(growth, *numbers(constants, "weighted_step"))
        drift = min(growth, 1.0 + h * size)
        if "weighted_step_norm" in constants:
            drift = min(drift, *numbers(constants, "weighted_step_norm"))
        rest, cross = growth**2 - drift**2, 2.0 * setting.correlation * lam * eps * s_bar
        if math.isnan(cross) or math.isnan(rest):
            return infinite(start / math.sqrt(self.least), setting.grid)
        curve = recursion(drift, h * eps * s, rest, h * cross, h * (eps * s_bar) ** 2, start, setting.grid.steps)
        return np.asarray(curve / math.sqrt(self.least))

    def start(self, setting: Setting) -> float:
        """(E e₀ᵀMe₀)^½, or a number above it.

        Raises:
            InvalidArgument: the setting's dimension is not that of M.
        """
        if setting.dim != len(self.weight):
            raise InvalidArgument(f"setting.dim must be that of M, {len(self.weight)}, got {setting.dim}.")
        if setting.initial_moment is None:
            return math.sqrt(self.greatest) * setting.initial
        # The moment may be negative by rounding.
        return math.sqrt(max(float(np.sum(self.weight * np.asarray(setting.initial_moment))), 0.0))

    def norms(self, v: Array) -> Array:
        """|v|_M = (vᵀMv)^½ of vectors (points, dim), or (Σ_l |v_l|_M²)^½ of columns (points, dim, m): (points,)."""
        columns = v if v.ndim == 3 else v[:, :, None]
        return np.asarray(np.sqrt(np.square(self._root @ columns).sum((1, 2))))

    def rates(self, drift: Array, diffusion: Array | None = None) -> Array:
        """What "weighted_rate" is the supremum of.

        Args:
            drift: the drift's Jacobians A, (points, dim, dim).
            diffusion: the Jacobians G_k of the diffusion's columns, (points, m, dim, dim), or None.

        Returns:
            ½ λ_max(M^{-½} (MA + AᵀM + Σ_k G_kᵀMG_k) M^{-½}), (points,).
        """
        inner = self._similar(drift)
        total = inner + np.swapaxes(inner, -1, -2) + self._gram(diffusion)
        return np.asarray(0.5 * np.linalg.eigvalsh(total)[..., -1])

    def spectral(self, drift: Array) -> Array:
        """What "weighted_spectral" is the supremum of: ‖M^½ A M^{-½}‖₂, (points,)."""
        return np.asarray(np.linalg.norm(self._similar(drift), 2, axis=(-2, -1)))

    def lipschitz(self, diffusion: Array) -> Array:
        """What "weighted_diffusion" is the supremum of: (λ_max(M^{-½} Σ_k G_kᵀMG_k M^{-½}))^½, (points,)."""
        return np.asarray(np.sqrt(np.linalg.eigvalsh(self._gram(diffusion))[..., -1]))

    def step(self, drift: Array, diffusion: Array | None, h: float) -> Array:
        """What "weighted_step" is the supremum of, for steps of size h; arguments as in `rates`."""
        inner = np.eye(len(self.weight)) + h * self._similar(drift)
        total = np.swapaxes(inner, -1, -2) @ inner + h * self._gram(diffusion)
        return np.asarray(np.sqrt(np.linalg.eigvalsh(total)[..., -1]))

    def step_norms(self, drift: Array, h: float) -> Array:
        """What "weighted_step_norm" is the supremum of: ‖M^½ (I + hA) M^{-½}‖₂, (points,)."""
        return np.asarray(np.linalg.norm(np.eye(len(self.weight)) + h * self._similar(drift), 2, axis=(-2, -1)))

    def _similar(self, matrices: Array) -> Array:
        return np.asarray(self._root @ matrices @ self._inverse_root)

    def _gram(self, diffusion: Array | None) -> Array | float:
        if diffusion is None:
            return 0.0
        columns = self._similar(diffusion)
        return np.asarray((np.swapaxes(columns, -1, -2) @ columns).sum(-3))
