"""What to know before the numbers of a divergence are used."""

import torch
from torch import Tensor

from .result import Curve
from .units import Unit


def flags_of(units: list[Unit], base: Tensor, of: Tensor, sizes: tuple[float, ...], curves: list[Curve]) -> list[str]:
    """Constant and dependent columns, sizes near rounding, errors that died away, and states that carry a mean."""
    flags = []
    size = base[..., of].abs().amax((0, 1)).cpu().double()
    for unit in units:
        if unit.constant:
            names = [int(of[k]) for k in unit.constant]
            flags.append(f"{unit.name}: columns {names} are constant, errors there are neither injected nor seen")
        if unit.rank < len(of) - len(unit.constant):
            flags.append(f"{unit.name}: the covariance has rank {unit.rank} of {len(of)}, inverted on its support")
        rounding = float(torch.finfo(base.dtype).eps) * size
        least = unit.root.norm(dim=1)
        lost = [c for c in sizes if bool((rounding > 0.01 * c * least)[least > 0.0].any())]
        if lost:
            flags.append(
                f"{unit.name}: an error of size {lost[-1]:g} is within a hundred roundings of {base.dtype} in some "
                f"column; take larger sizes or float64"
            )
    for unit in units:
        gone = [c for c in curves if c.unit == unit.name and c.lost is not None]
        if gone:
            said = ", ".join(f"{c.kind} {c.size:g} from step {c.lost}" for c in gone)
            flags.append(f"{unit.name}: errors have died away into rounding ({said})")
    heavy = [c for c in curves if c.heavy is not None]
    if heavy:
        worst = min(heavy, key=lambda c: c.heavy or 0)
        flags.append(
            f"a few states carry the mean square of {len(heavy)} of {len(curves)} curves (from step {worst.heavy} on, "
            f"{worst.kind}, {worst.unit}, {worst.size:g}): look at medians too"
        )
    return flags
