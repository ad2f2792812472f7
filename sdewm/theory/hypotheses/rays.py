"""How a function grows along random rays: a search for a counterexample, not a proof."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...dynamics.brownian import generator

Rows = Callable[[Tensor], Tensor]

RAYS = 48
# Radii from 2⁻⁸ to 2²⁰ times the size of the centre, four a doubling, so that oscillation is not taken for growth.
_FIRST, _LAST, _EACH = -8, 20, 4
# A power is read off over this many doublings, and over at least three.
_LONG, _SHORT = 10, 3
# Above this a power is no power if the exponent still grows from doubling to doubling, as that of exp does.
_LARGE_POWER = 8.0
_KEEPS_GROWING = 1.5
_SLACK = 0.2


@final
@dataclass(frozen=True)
class Growth:
    """How fast a function was seen to grow.

    Attributes:
        exponent: largest power of the radius over all rays, far out; infinite where it keeps growing.
        radius: how far out the function was still finite on the ray that decided.
    """

    exponent: float
    radius: float

    @property
    def faster_than_any_power(self) -> bool:
        """Whether the growth was exponential, or faster."""
        return math.isinf(self.exponent)

    @property
    def linear(self) -> bool:
        """Whether it was at most linear."""
        return self.exponent <= 1.0 + _SLACK

    @property
    def quadratic(self) -> bool:
        """Whether it was at most quadratic."""
        return self.exponent <= 2.0 + _SLACK

    def __str__(self) -> str:
        where = f"seen on {2 * RAYS} rays to |x| = {self.radius:.2g}"
        fast = self.faster_than_any_power
        return f"faster than every power, {where}" if fast else f"power {self.exponent:.1f}, {where}"


def directions(dim: int, count: int = RAYS) -> Tensor:
    """Unit vectors ± (2 count, dim): the first coordinate axes, the diagonal and random ones, the same every time."""
    axes = torch.eye(dim, dtype=torch.float64)[: count // 3]
    diagonal = torch.ones(1, dim, dtype=torch.float64)
    noise = torch.randn(count, dim, generator=generator(0, "growth along rays")).double()
    vectors = torch.cat((axes, diagonal, noise))[:count]
    vectors = vectors / vectors.norm(dim=1, keepdim=True)
    return torch.cat((vectors, -vectors))


def growth(function: Rows, centre: Tensor) -> Growth | None:
    """How |function| grows along rays from a centre, or None where it is not finite on most of them.

    Args:
        function: rows (paths, dim) to (paths, …).
        centre: (dim,).

    Warning:
        Growth that begins beyond 2²⁰ times the size of the centre is not seen.
    """
    return _worst(_sizes(function, centre), float(centre.abs().max()))


def outward_growth(drift: Rows, diffusion: Rows | None, centre: Tensor, order: float = 4.0) -> Growth | None:
    """How x·f + ½ (order − 1)|g|² grows along rays, where it is positive: at most like a square if moments exist."""
    rounding = 1e4 * torch.finfo(centre.dtype).eps

    def outward(x: Tensor) -> Tensor:
        f, away = drift(x), x - centre
        # A product that cancels up to rounding is no pull.
        value = (away * f).sum(1) - rounding * (away * f).abs().sum(1)
        if diffusion is not None:
            value = value + 0.5 * (order - 1.0) * diffusion(x).flatten(1).square().sum(1)
        # What pulls inwards is no growth; the one keeps the logarithm finite.
        return 1.0 + value.clamp(min=0.0)

    return _worst(_sizes(outward, centre), float(centre.abs().max()))


def _radii(scale: float) -> NDArray[np.float64]:
    return (1.0 + scale) * 2.0 ** (np.arange(_FIRST * _EACH, _LAST * _EACH, dtype=np.float64) / _EACH)


def _sizes(function: Rows, centre: Tensor) -> NDArray[np.float64]:
    """log₂ of the largest |function| up to each radius, on every ray: (rays, radii)."""
    rays = directions(len(centre)).to(centre)
    radii = torch.from_numpy(_radii(float(centre.abs().max()))).to(centre)
    points = centre + (rays[:, None, :] * radii[None, :, None]).reshape(-1, len(centre))
    with torch.no_grad():
        value = function(points).detach()
    size = value.reshape(len(value), -1).double().abs().amax(1).reshape(len(rays), len(radii))
    # Far below its size near the centre a function does not grow, however fast it decays.
    near = size[:, 0][torch.isfinite(size[:, 0])]
    floor = max(float(near.max()) if len(near) else 0.0, 1e-300)
    logarithms: NDArray[np.float64] = np.log2(size.clamp(min=floor).numpy())
    # The running maximum: a function that oscillates has the growth of its peaks. NaN stays where it begins.
    return np.maximum.accumulate(logarithms, axis=1)


def _worst(sizes: NDArray[np.float64], scale: float) -> Growth | None:
    radii = _radii(scale)
    found: list[Growth] = []
    for row in sizes:
        finite = np.isfinite(row)
        # From the first radius at which it is not finite on, nothing counts: it overflowed, or is not defined there.
        stop = len(row) if finite.all() else int(np.argmin(finite))
        ends = stop < len(row) and not np.isposinf(row[stop])
        if stop <= _SHORT * _EACH or (ends and radii[stop] < 8.0 * (1.0 + scale)):
            continue
        powers = row[_EACH:stop] - row[: stop - _EACH]
        last = float(powers[-1])
        steps = powers[[-1, -1 - _EACH, -1 - 2 * _EACH]] if len(powers) > 2 * _EACH else powers[[-1, -1 - _EACH]]
        ratios = steps[:-1] / np.maximum(steps[1:], 1e-9)
        growing = bool((ratios >= _KEEPS_GROWING).all()) and last >= _LARGE_POWER
        # Over many doublings an oscillation does not count, over fewer what cancels further in does not.
        spans = [min(doublings * _EACH, stop - 1) for doublings in (_LONG, _LONG // 2)]
        mean = min(float(row[stop - 1] - row[stop - 1 - span]) * _EACH / span for span in spans)
        found.append(Growth(math.inf if growing else max(mean, 0.0), float(radii[stop - 1])))
    if len(found) * 2 < len(sizes):
        return None
    return max(found, key=lambda seen: seen.exponent)
