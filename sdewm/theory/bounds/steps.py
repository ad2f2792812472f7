"""The recursions that bound the error of explicit steps."""

import math

import numpy as np

from .bound import Array, Numbers, Setting, numbers
from .comparison import infinite


def recursion(
    growth: float, shift: float, quadratic: float, linear: float, constant: float, initial: float, steps: int
) -> Array:
    """r_n with r²_{n+1} = (growth r_n + shift)² + quadratic r_n² + linear r_n + constant, (steps + 1,).

    Args:
        growth, shift, quadratic, linear, constant: at least 0.
        initial: r_0, at least 0.
        steps: number of steps.

    Example:
        >>> recursion(2.0, 0.0, 5.0, 0.0, 0.0, 1.0, 2)
        array([1., 3., 9.])
    """
    curve = np.empty(steps + 1)
    curve[0] = r = initial
    # From here on squares are infinite, and differences of infinities no numbers.
    known = all(map(math.isfinite, (growth, shift, quadratic, linear, constant, initial)))
    for n in range(steps):
        finite = known and r < 1e150
        r = math.hypot(growth * r + shift, math.sqrt((quadratic * r + linear) * r + constant)) if finite else math.inf
        curve[n + 1] = r
    return curve


def euler_steps(growth: float, constants: Numbers, setting: Setting) -> Array:
    """r_n at all grid times: r²_{n+1} = (K r_n + hεs)² + h (Λ² r_n² + 2‖ρ‖ Λ r_n ε s̄ + ε² s̄²).

    The noise of a step is independent of the state, so that the mean square of its part adds; the drift part is
    e + h (g(x^ε) − g(x⁰)) + hεσ, at most K|e| + hε|σ| in norm, and Minkowski's inequality bounds its mean square.

    Args:
        growth: K >= 0, a Lipschitz constant of x + h g(x).
        constants: "diffusion", "drift_error", "diffusion_error".
        setting: what it is evaluated for.
    """
    h, eps = setting.grid.h, setting.eps
    lam, s, s_bar = numbers(constants, "diffusion", "drift_error", "diffusion_error")
    cross = 2.0 * setting.correlation * lam * eps * s_bar
    if not math.isfinite(cross):
        return infinite(setting.initial, setting.grid)
    return recursion(
        growth, h * eps * s, h * lam**2, h * cross, h * (eps * s_bar) ** 2, setting.initial, setting.grid.steps
    )


def step_growth(constants: Numbers, h: float) -> float:
    """K, a Lipschitz constant of x + h g(x): K² = 1 + 2hμ + h²L², K = 1 + hL or "step_norm", whichever is least.

    |e + hJe|² = |e|² + 2h⟨e, Je⟩ + h²|Je|², for the mean-value Jacobian J of the two states.

    Args:
        constants: "mu", "spectral", and "step_norm" if it is known.
        h: the step.
    """
    mu, spectral = numbers(constants, "mu", "spectral")
    growth = min(math.sqrt(max(1.0 + 2.0 * h * mu + (h * spectral) ** 2, 0.0)), 1.0 + h * spectral)
    return min(growth, *numbers(constants, "step_norm")) if "step_norm" in constants else growth
