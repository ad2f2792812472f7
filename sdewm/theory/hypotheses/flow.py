"""Whether the noise-free flow of a drift explodes."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from .rays import directions

Rows = Callable[[Tensor], Tensor]

_DOUBLINGS = 24
_FIRST = 4
_STEP = 0.05
_STEPS = 4000
# Doubling times of an explosion shrink by a power; those of x log x only like one over their number.
_SHRUNK = 0.05


def explodes(
    drift: Rows, centre: Tensor, horizon: float, starts: int = 12, diffusion: Rows | None = None
) -> float | None:
    """The time at which the noise-free flow of a drift has left every bound, or None if it was not seen to.

    The flow is followed from the centre and from points around it in a time s of its own, in which no solution
    explodes: dt = ds / (1 + |f|/(1 + |x|)). The moments t at which |x| doubles once more add up to a finite explosion
    time if and only if their distances shrink geometrically; those of a merely unstable flow do not.

    Args:
        drift: rows (paths, dim) to (paths, dim), with its time held fixed.
        centre: (dim,).
        horizon: how long to look.
        starts: how many rays to start on, at three times the size of the centre.
        diffusion: rows to (paths, dim) or (paths, dim, m); where drift and diffusion of a coordinate both vanish at its
            zero, as those of a population do, no path changes its sign, and no start beyond is looked at.
    """
    scale = 1.0 + float(centre.abs().max())
    rays = directions(len(centre))
    chosen = rays[torch.linspace(0, len(rays) - 1, starts).long()].to(centre)
    around = centre + 3.0 * scale * chosen
    if diffusion is not None:
        around = around[~_behind_a_barrier(drift, diffusion, centre, around)]
    x = torch.cat((centre[None], around))
    t = torch.zeros(len(x), dtype=x.dtype)
    level = torch.full((len(x),), scale * 2.0**_FIRST, dtype=x.dtype)
    reached: list[list[float]] = [[] for _ in x]

    def slope(y: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            f = torch.nan_to_num(drift(y).detach())
        # By the largest entry: a sum of squares would overflow long before the drift does.
        size = 1.0 + y.abs().amax(1, keepdim=True)
        weight = 1.0 / (1.0 + f.abs().amax(1, keepdim=True) / size)
        return f * weight, weight[:, 0]

    for _ in range(_STEPS):
        a, u = slope(x)
        b, v = slope(x + 0.5 * _STEP * a)
        c, w = slope(x + 0.5 * _STEP * b)
        d, z = slope(x + _STEP * c)
        x = x + _STEP / 6.0 * (a + 2.0 * b + 2.0 * c + d)
        t = t + _STEP / 6.0 * (u + 2.0 * v + 2.0 * w + z)
        crossed = (x.abs().amax(1) >= level) & (t <= horizon)
        for k in crossed.nonzero()[:, 0].tolist():
            reached[k].append(float(t[k]))
            level[k] *= 2.0
        if bool(((t > horizon) | (level >= scale * 2.0**_DOUBLINGS)).all()):
            break
    exploded = [times[-1] for times in reached if _geometric(times)]
    return min(exploded, default=None)


def _behind_a_barrier(drift: Rows, diffusion: Rows, centre: Tensor, points: Tensor) -> Tensor:
    """Which points no path from the centre can reach, since a coordinate would have to leave its absorbing zero."""
    behind = torch.zeros(len(points), dtype=torch.bool)
    for i in range(len(centre)):
        crossing = centre[i] * points[:, i] < 0.0
        if not bool(crossing.any()):
            continue
        share = centre[i] / (centre[i] - points[crossing, i])
        on_the_way = centre + share[:, None] * (points[crossing] - centre)
        on_the_way[:, i] = 0.0
        with torch.no_grad():
            away = drift(on_the_way)[:, i].abs() + diffusion(on_the_way)[:, i].reshape(len(on_the_way), -1).abs().sum(1)
        behind[crossing] |= away == 0.0
    return behind


def _geometric(times: list[float]) -> bool:
    """Whether the distances of these moments shrink as those of an explosion."""
    if len(times) < _DOUBLINGS - _FIRST:
        return False
    gaps = [b - a for a, b in pairwise(times)]
    return gaps[-1] <= _SHRUNK * gaps[0]
