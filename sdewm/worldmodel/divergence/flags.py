"""What to know before the numbers of a divergence are used."""

import numpy as np
import torch
from torch import Tensor

from .curves import CARRIED, ROUNDINGS
from .result import Curve
from .spread import Array
from .units import Unit

# Rounding is not taken for larger than this share of the states' spread.
CHAOS = 1e-3
# Of 95 % intervals over 8 clusters of chi-squared states 91 % cover, over 10 94 %.
_FEW = 10


def flags_of(units: list[Unit], base: Tensor, of: Tensor, sizes: tuple[float, ...], curves: list[Curve]) -> list[str]:
    """Constant and dependent columns, sizes near rounding, errors that died away, and states that carry a mean."""
    flags = []
    size = base[..., of].abs().amax((0, 1)).cpu().double()
    for unit in units:
        if unit.constant:
            names = [int(of[k]) for k in unit.constant]
            flags.append(f"{unit.name}: columns {names} are constant, errors there are neither injected nor seen")
        if unit.rank < len(of) - len(unit.constant):
            said = f"{unit.name}: the covariance has rank {unit.rank} of {len(of)}, inverted on its support"
            few = unit.rank >= base.shape[0] * base.shape[1] - 1
            flags.append(said + "; there are too few states for more, take others" * few)
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
            f"one state moves the mean square of {len(heavy)} of {len(curves)} curves by over {CARRIED:.0%}, first "
            f"at step {worst.heavy} of {worst.kind}, {worst.unit}, {worst.size:g}: intervals may be short; look at "
            f"medians, or take more states"
        )
    return flags


def chaos_flags(rounding: dict[str, Array], spreads: dict[str, float], dtype: torch.dtype) -> list[str]:
    """Where rounding alone has grown to the size of the states."""
    flags = []
    for name, floor in rounding.items():
        grown = np.flatnonzero(floor > ROUNDINGS * CHAOS * spreads[name])
        if len(grown):
            better = "take float64 or a shorter horizon" if dtype == torch.float32 else "take a shorter horizon"
            flags.append(
                f"{name}: rounding alone grows to {ROUNDINGS * CHAOS:.0%} of the states' spread by step {grown[0]}: "
                f"from there on no rollout is that of the model without rounding, and errors say how far two of them "
                f"part; {better}"
            )
    return flags


def cluster_flags(clusters: int, named: str) -> list[str]:
    """Whether intervals rest on too few clusters, `named` states or groups."""
    if clusters >= _FEW:
        return []
    return [f"intervals over {clusters} {named} are rough: {_FEW} are few, 100 are better"]


def spread_of(unit: Unit, base: Tensor, of: Tensor) -> float:
    """Root mean square deviation of the states from their mean, a coordinate; infinite where there is none."""
    x = base[..., of].flatten(0, 1).cpu().double()
    return float(unit.squares(x - x.mean(0)).mean().sqrt()) or float("inf")
