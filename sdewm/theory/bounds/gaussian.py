"""Gaussian concentration of the error's size, for a constant diffusion error about a base without noise."""

import math
from typing import final

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from ...exceptions import InvalidArgument
from ...validation import real
from .bound import Array, Bound, Numbers, Setting, numbers
from .comparison import infinite
from .steps import step_growth


@final
class GaussianQuantile(Bound):
    """P(|e| > E|e| + a) <= exp(−a² / (2ε²v²)), v² = ‖σ̄‖² (e^{2μt} − 1) / (2μ); v² = ‖σ̄‖² t at μ = 0.

    With a base without noise, σ = 0, e_0 = 0 and σ̄ constant, e is a function of the error's noise alone. Two noises
    whose difference has the derivative u give errors that differ by at most ε‖σ̄‖ ∫e^{μ(t−s)}|u_s| ds, so that |e| is
    Lipschitz with εv by Cauchy and Schwarz, and Gaussian concentration gives the tail. For Euler's steps |e_N| is a
    Lipschitz function of the normals with constant ε‖σ̄‖ (h Σ_{n<N} K^{2(N−1−n)})^½, K that of x + h g(x).

    The curve is εv. By the Gaussian Poincaré inequality it bounds the standard deviation of |e|, and that is what
    `observed` estimates; the statement on quantiles is `quantile`.

    Source: Boucheron, Lugosi and Massart, Concentration Inequalities, theorems 3.20 and 5.6; the Euler version is
    derived here.

    Warning:
        That the base has no noise, and that σ̄ is constant, is what the setting says and is not checked here; nor are
        suprema.

    Example:
        >>> from sdewm import TimeGrid
        >>> numbers = {"mu": 0.0, "spectral": 0.0, "diffusion_error_operator": 1.0}
        >>> setting = Setting(TimeGrid(1.0, 1), eps=0.1, random_base=False, additive_error=True)
        >>> GaussianQuantile().continuous(numbers, setting)
        array([0. , 0.1])
    """

    name = "Gaussian quantile"
    statement = "P(|e| > E|e| + a) <= exp(−a² / (2ε²v²)), v² = ‖σ̄‖² (e^{2μt} − 1) / (2μ)"
    hypotheses = (
        "base without noise",
        "σ = 0",
        "e_0 = 0",
        "σ̄ constant",
        "drift one-sided Lipschitz with μ",
    )
    reference = "Boucheron, Lugosi, Massart 2013, theorem 5.6; the Euler version is derived here"
    constants = ("mu", "spectral", "diffusion_error_operator")
    quantity = "standard deviation of |e|"
    optional = ("step_norm",)

    def continuous(self, constants: Numbers, setting: Setting) -> Array:
        """εv."""
        self._check(setting)
        mu, size = numbers(constants, "mu", "diffusion_error_operator")
        times = np.asarray(setting.grid.times)
        if not math.isfinite(mu) or not math.isfinite(size):
            return infinite(0.0, setting.grid)
        with np.errstate(over="ignore"):
            square = times if mu == 0.0 else np.expm1(2.0 * mu * times) / (2.0 * mu)
        return np.asarray(setting.eps * size * np.sqrt(square))

    def discrete(self, constants: Numbers, setting: Setting) -> Array:
        """εv of Euler's steps."""
        self._check(setting)
        (size,) = numbers(constants, "diffusion_error_operator")
        growth, h = step_growth(constants, setting.grid.h), setting.grid.h
        curve = infinite(0.0, setting.grid)
        if not math.isfinite(growth) or not math.isfinite(size):
            return curve
        total = 0.0
        for n in range(setting.grid.steps):
            total = 1.0 + growth**2 * total if total < 1e150 else math.inf
            curve[n + 1] = setting.eps * size * math.sqrt(h * total)
        return curve

    def quantile(
        self,
        constants: Numbers,
        setting: Setting,
        probability: float,
        mean: ArrayLike,
        *,
        discrete: bool = True,
    ) -> Array:
        """A number that |e| exceeds with no more than this probability: E|e| + εv (2 ln(1/probability))^½.

        Args:
            constants, setting: as for the curve.
            probability: in (0, 1].
            mean: E|e|, or a bound on it, such as one on (E|e|²)^½: a number or (steps + 1,).
            discrete: whether for Euler's steps, or for the equation.

        Returns:
            (steps + 1,).

        Raises:
            InvalidArgument: the probability is not in (0, 1], or the setting is not that of the theorem.
        """
        if not 0.0 < real("probability", probability) <= 1.0:
            raise InvalidArgument(f"probability must lie in (0, 1], got {probability!r}.")
        curve = (self.discrete if discrete else self.continuous)(constants, setting)
        return np.asarray(np.asarray(mean) + curve * math.sqrt(-2.0 * math.log(probability)))

    def refuses(self, setting: Setting, initial: bool, drift: bool, diffusion: bool) -> str | None:
        """Only a constant diffusion error about a base without noise is covered."""
        if initial or setting.initial > 0.0:
            return "the error has an initial part, and the quantile bound needs e_0 = 0"
        if drift:
            return "the error has a drift part, and the quantile bound needs σ = 0"
        if setting.random_base:
            return "the base has noise, and the quantile bound needs one without"
        if not setting.additive_error:
            return "the diffusion error depends on time or state, and the quantile bound needs a constant one"
        return None

    def observed(self, e: Tensor) -> Tensor:
        """½ (|e| − |e'|)² of independent pairs of paths, (paths // 2,), whose mean is the variance of |e|.

        Raises:
            InvalidArgument: there is only one path.
        """
        norm = (e * e).sum(-1).sqrt()
        if len(norm) < 2:
            raise InvalidArgument("paths must be at least 2 for the spread of the error, got 1.")
        pairs = norm[: len(norm) // 2 * 2].reshape(-1, 2)
        return 0.5 * (pairs[:, 0] - pairs[:, 1]) ** 2

    def _check(self, setting: Setting) -> None:
        reason = self.refuses(setting, False, False, True)
        if reason is not None:
            raise InvalidArgument(f"{reason}; change the setting or use a bound on a moment.")
