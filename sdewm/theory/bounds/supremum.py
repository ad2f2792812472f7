"""A bound on the largest error on the way, not only on the one at the end."""

import math
from typing import final

import numpy as np
from torch import Tensor

from ...exceptions import InvalidArgument
from ...grid import TimeGrid
from ...validation import one_of
from .bound import Array, Bound, Numbers, Setting, numbers
from .comparison import ahead, infinite
from .steps import euler_steps, step_growth

LOG_NORM, OWN = "log-norm", "own"


@final
class Supremum(Bound):
    """R_t <= r_0 + ∫_0^t (L r + εs) ds + 2 (∫_0^t (Λ² r² + 2‖ρ‖ Λ r ε s̄ + ε² s̄²) ds)^½, R_t = ‖sup_{[0,t]} |e|‖₂.

    By Minkowski's inequality for the drift's part of e and Doob's inequality, whose constant is 2, for the martingale
    part. r bounds (E|e_s|²)^½ under the integrals. It is the log-norm bound, or R itself: then the inequality is an
    integral equation, which needs no μ, and whose solution is never the smaller one, as R' >= L R + εs + n/(2R) where n
    is the integrand of the noise. For the Euler steps the integrals are sums over the steps before.

    What is observed is the mean of max_{k <= n} |e_k|² over the grid's times, which is more than that of |e_n|² and
    never falls; the supremum over all times, grid times or not, is again more, and the continuous curve bounds that.

    Args:
        pointwise: what bounds r, "log-norm" or "own" for R itself.

    Raises:
        InvalidArgument: pointwise is neither.

    Source: Doob's maximal inequality; Revuz and Yor, Continuous Martingales and Brownian Motion, theorem II.1.7.

    Warning:
        Suprema run over the segments between the two paths, and none is checked here.

    Example:
        >>> from sdewm import TimeGrid
        >>> numbers = {"mu": 0.0, "spectral": 0.0, "diffusion": 0.0, "drift_error": 0.0, "diffusion_error": 1.0}
        >>> curve = Supremum().continuous(numbers, Setting(TimeGrid(1.0, 1), eps=0.5))
        >>> round(float(curve[-1]), 9)  # twice the root mean square of 0.5 W_1
        1.0
    """

    name = "supremum"
    statement = "‖sup_{[0,t]} |e|‖₂ <= r_0 + ∫(L r + εs) + 2 (∫(Λ² r² + 2‖ρ‖ Λ r ε s̄ + ε² s̄²))^½"
    hypotheses: tuple[str, ...] = ("drift Lipschitz with L", "diffusion Lipschitz with Λ", "error bounded by s and s̄")
    reference = "Doob's inequality, with its constant 2"
    constants: tuple[str, ...] = ("mu", "spectral", "diffusion", "drift_error", "diffusion_error")
    optional: tuple[str, ...] = ("step_norm",)
    running = True

    def __init__(self, pointwise: str = LOG_NORM) -> None:
        self.own = one_of("pointwise", pointwise, (LOG_NORM, OWN)) == OWN
        if self.own:
            self.constants, self.optional = self.constants[1:], ()
        else:
            self.hypotheses = ("drift one-sided Lipschitz with μ", *self.hypotheses)
        self.implied = self.hypotheses

    def continuous(self, constants: Numbers, setting: Setting) -> Array:
        """Solves the integral equation as a differential one."""
        size, lam, s, s_bar = numbers(constants, "spectral", "diffusion", "drift_error", "diffusion_error")
        rate = None if self.own else 2.0 * numbers(constants, "mu")[0] + lam**2
        eps = setting.eps
        noise = (lam**2, 2.0 * setting.correlation * lam * eps * s_bar, (eps * s_bar) ** 2)
        return _solve(rate, size, eps * s, noise, setting.initial, setting.grid)

    def discrete(self, constants: Numbers, setting: Setting) -> Array:
        """The sums over the steps before."""
        size, lam, s, s_bar = numbers(constants, "spectral", "diffusion", "drift_error", "diffusion_error")
        h, eps, steps = setting.grid.h, setting.eps, setting.grid.steps
        pointwise = None if self.own else euler_steps(step_growth(constants, h), constants, setting)
        cross = 2.0 * setting.correlation * lam * eps * s_bar
        curve = infinite(setting.initial, setting.grid)
        drift = noise = 0.0
        for n in range(steps):
            r = curve[n] if pointwise is None else pointwise[n]
            if not r < 1e150 or not math.isfinite(size + lam + eps * s + eps * s_bar):
                break
            drift += h * (size * r + eps * s)
            noise += h * ((lam**2 * r + cross) * r + (eps * s_bar) ** 2)
            curve[n + 1] = setting.initial + drift + 2.0 * math.sqrt(noise)
        return curve

    def observed(self, e: Tensor) -> Tensor:
        """max_k |e_k|² of each path, for the errors (times, paths, dim) at all times so far.

        Raises:
            InvalidArgument: e has no axis of times.
        """
        if e.ndim != 3:
            raise InvalidArgument(
                f"e must have shape (times, paths, dim), got {tuple(e.shape)}: the maximum is over times."
            )
        return (e * e).sum(-1).amax(0)


def _solve(
    rate: float | None, size: float, shift: float, noise: tuple[float, float, float], initial: float, grid: TimeGrid
) -> Array:
    # R = initial + D + 2W with D' = L r + εs, (W²)' = n(r). The solver sees log R and w = W/R, and log r where that is
    # not R: all of them stay moderate where errors grow by many orders of magnitude.
    from scipy.integrate import solve_ivp

    quadratic, linear, constant = noise
    if not all(map(math.isfinite, (rate or 0.0, size, shift, *noise, initial))):
        return infinite(initial, grid)
    # W begins as √t, so that the solver needs a start from above: on [0, begin] the constant C is an upper solution.
    # (n(r))^½ <= Λr + εs̄.
    lam, extra = math.sqrt(quadratic), math.sqrt(constant)
    begin = min(1e-9 * grid.T, 1.0 / (32.0 * (size + quadratic)) if size + quadratic else math.inf)
    root = 2.0 * math.sqrt(begin)
    largest = (initial + begin * shift + root * extra) / (1.0 - begin * size - root * lam)
    if largest == 0.0:
        return np.zeros(grid.steps + 1)
    w = math.sqrt(begin * ((quadratic * largest + linear) * largest + constant))
    start = initial + begin * (size * largest + shift) + 2.0 * w
    state = [math.log(start), w / start]
    if rate is not None:
        state.append(math.log(ahead(rate, 2.0 * shift + linear, constant, initial, begin)))

    def slope(t: float, y: Array) -> Array:
        inverse = math.exp(-y[0])
        ratio = 1.0 if rate is None else math.exp(y[2] - y[0])
        q = (quadratic * ratio + linear * inverse) * ratio + constant * inverse**2
        push = q / y[1] if q > 0.0 else 0.0
        growth = size * ratio + shift * inverse + push
        slopes = [growth, 0.5 * push - y[1] * growth]
        if rate is not None:
            back = math.exp(-y[2])
            slopes.append(0.5 * (rate + (2.0 * shift + linear) * back + constant * back**2))
        return np.asarray(slopes)

    times = np.asarray(grid.times)
    solved = solve_ivp(slope, (begin, grid.T), state, method="LSODA", t_eval=times[1:], rtol=1e-10, atol=1e-12)
    with np.errstate(over="ignore"):
        return np.concatenate(([initial], np.exp(solved.y[0])))
