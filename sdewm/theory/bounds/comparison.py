"""Comparison equations for the root mean square of an error."""

import math

import numpy as np
from numpy.typing import NDArray

from ...grid import TimeGrid

Array = NDArray[np.float64]


def compare(rate: float, linear: float, constant: float, initial: float, grid: TimeGrid) -> Array:
    """r(t) = m^½ at the grid's times, where m' = rate m + linear m^½ + constant and m(0) = initial².

    In r the equation is r' = ½ (rate r + linear + constant / r). From r(0) = 0 with constant > 0 it begins as
    √(constant t), which the first step of the solver takes from above: started at m = 0, a solver in m would stay on
    the zero solution where constant = 0 < linear.

    Args:
        rate: any number.
        linear, constant: at least 0.
        initial: r(0), at least 0.
        grid: time grid.

    Returns:
        (steps + 1,), to about 1e-8 of each value; infinite from where it leaves floating point numbers, and after time
        0 where an argument is.

    Example:
        >>> compare(0.0, 0.0, 4.0, 0.0, TimeGrid(1.0, 2)).round(6)  # r² = 4t
        array([0.      , 1.414214, 2.      ])
    """
    from scipy.integrate import solve_ivp  # here, so that importing the package stays quick

    if not all(map(math.isfinite, (rate, linear, constant, initial))):
        return infinite(initial, grid)
    times = np.asarray(grid.times)
    if constant == 0.0:  # linear in r, also at r = 0
        half = 0.5 * rate
        with np.errstate(over="ignore", invalid="ignore"):
            growth = np.exp(half * times)
            added = linear * (0.5 * times if half == 0.0 else np.expm1(half * times) / rate)
            curve = (initial * growth if initial else 0.0) + (added if linear else 0.0 * times)
        return np.asarray(curve)
    begin, r0 = 0.0, initial
    if r0 <= math.sqrt(constant * 1e-9 * grid.T):
        begin = 1e-9 * grid.T
        r0 = ahead(rate, linear, constant, initial, begin)
    later = times[times > begin]

    def slope(t: float, log_r: Array) -> Array:
        # In log r, so that growth by many orders of magnitude is one and the same to the solver.
        inverse = np.exp(-log_r)
        return np.asarray(0.5 * (rate + linear * inverse + constant * inverse**2))

    solved = solve_ivp(slope, (begin, grid.T), [np.log(r0)], method="LSODA", t_eval=later, rtol=1e-10, atol=1e-12)
    with np.errstate(over="ignore"):
        found = np.exp(solved.y[0])
    return np.concatenate((np.full(len(times) - len(later), initial), found))


def ahead(rate: float, linear: float, constant: float, initial: float, t: float) -> float:
    """A number above r(t) of `compare`, close to it for short times.

    w = (√(initial² + constant t) + ½ linear t) e^{½ a t} with a = max(rate, 0) is an upper solution: its slope is
    at least ½ (a w + linear + constant / w), as w is at least its root.
    """
    grown: float = math.sqrt(initial**2 + constant * t) + 0.5 * linear * t
    return grown * math.exp(0.5 * max(rate, 0.0) * t)


def infinite(initial: float, grid: TimeGrid) -> Array:
    """The curve of which only the start is known."""
    curve = np.full(grid.steps + 1, math.inf)
    curve[0] = initial
    return curve
