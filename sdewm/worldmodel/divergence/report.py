"""From injections to curves, Jacobians and bounds as they are returned."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .bounds import PathBounds, path_bounds
from .curves import ROUNDINGS, curve_of
from .derivative import Matrices
from .driven import DrivenMap
from .injection import Injection
from .measure import measure_squares
from .result import Bounds, Curve, Jacobians
from .spectrum import spectrum, step_matrices
from .spread import Array, Spread, mean_band
from .units import WHITENED, Unit, column_sizes

# So many numbers are kept at most as Jacobians, and so many multiplications of theirs are made.
_ENTRIES, _WORK = 1 << 25, 1 << 32
# Two states are looked at as long as they take no more than so many times that.
_STRETCH = 4


def metric_of(unit: Unit, base: Tensor, of: Tensor) -> tuple[Tensor, Tensor]:
    """W and W⁻¹ on the whole state: the unit's on the injected columns, standard deviations on the others."""
    dim, of = base.shape[2], of.cpu()
    if unit.name != WHITENED:
        one = torch.eye(dim, dtype=torch.float64)
        return one, one
    x = base.flatten(0, 1).cpu().double()
    deviation = x.std(0)
    fixed = deviation <= 1e-6 * x.abs().amax(0)
    back = torch.diag(torch.where(fixed, torch.ones_like(deviation), deviation))
    back[of[:, None], of] = unit.completed
    return torch.linalg.inv(back), back


def curves_of(
    driven: DrivenMap,
    base: Tensor,
    each: list[tuple[str, Unit, list[Injection]]],
    sizes: tuple[float, ...],
    of: Tensor,
    measure: Callable[[Tensor], Tensor] | None,
    tangents: bool,
    floors: dict[str, Array],
    cluster: NDArray[np.int64],
    level: float,
    tolerance: float,
) -> list[Curve]:
    """A curve for each kind, unit and size, in this order of change."""
    flat = [injection for _, _, several in each for injection in several]
    squares = iter(measure_squares(driven, base, flat, sizes, of, measure, tangents))
    result = []
    for kind, unit, several in each:
        parts = [next(squares) for _ in several]
        for at, size in enumerate(sizes):
            result.append(curve_of(kind, unit.name, size, at, parts, floors[unit.name], cluster, level, tolerance))
    return result


def jacobians_of(
    driven: DrivenMap,
    base: Tensor,
    metrics: dict[str, tuple[Tensor, Tensor]],
    count: int,
    matrices: Matrices,
    cluster: NDArray[np.int64],
    level: float,
    seed: int,
    flags: list[str],
) -> Jacobians | None:
    """Norms and exponents on some of the states; says in `flags` where they are fewer than was asked for, or none."""
    count = min(count, base.shape[1])
    each_state = driven.horizon * driven.dim**2
    fit = min(_ENTRIES // each_state, _WORK // (each_state * driven.dim))
    if fit < 2 and 2 * each_state <= _STRETCH * min(_ENTRIES, _WORK // driven.dim):
        fit = 2
    if fit < count:
        kept = f"of {fit} states in place of {count}" if fit >= 2 else "left out"
        flags.append(f"Jacobians {kept}: those of {driven.dim} columns over {driven.horizon} steps are large")
    if fit < 2:
        return None
    rows = _some(base.shape[1], min(count, fit))
    some = driven.rows(rows)
    each = step_matrices(some, base[:, rows.to(base.device)], matrices)
    found = spectrum(each, metrics, column_sizes(base), seed, float(torch.finfo(base.dtype).eps))
    own = np.unique(cluster[rows.numpy()], return_inverse=True)[1].astype(np.int64)
    return Jacobians(
        {unit: {name: Spread.of(v.numpy()) for name, v in each.items()} for unit, each in found.norms.items()},
        {unit: Spread.of(v.exp().numpy()) for unit, v in found.product.items()},
        mean_band(found.exponents.numpy(), own, level),
        len(rows),
        matrices.looped,
    )


def bounds_of(
    driven: DrivenMap,
    base: Tensor,
    each: list[tuple[str, Unit, list[Injection]]],
    size: float,
    of: Tensor,
    metrics: dict[str, tuple[Tensor, Tensor]],
    floors: dict[str, Array],
    count: int,
    matrices: Matrices,
    flags: list[str],
) -> tuple[Bounds, ...]:
    """Bounds on each kind and unit at one size, on some of the states; says in `flags` where they are fewer."""
    count = min(count, base.shape[1])
    fit = _ENTRIES // (driven.horizon * driven.dim**2 * max(1, len(each) // len(metrics)))
    if fit < count:
        kept = f"of {fit} states in place of {count}" if fit else "left out"
        flags.append(f"bounds {kept}: Jacobians of {driven.dim} columns over {driven.horizon} steps are large")
    count = min(count, fit)
    if not count:
        return ()
    rows = _some(base.shape[1], count)
    some, path = driven.rows(rows), base[:, rows.to(base.device)]
    marks = sorted({round(x) for x in np.geomspace(1, driven.horizon, 7)})
    found_all: list[PathBounds] = []
    for name, metric in metrics.items():
        own = [several[0].rows(rows) for _, unit, several in each if unit.name == name]
        found_all += path_bounds(some, path, own, size, of, metric, marks, matrices)
    result, root = [], len(of) ** 0.5
    for (kind, unit, _), found in zip(each, found_all, strict=True):
        rms = {name: v.square().mean(1).sqrt().numpy() / root for name, v in found.bounds.items()}
        # What is near rounding is no error of the map, and its mean-value Jacobian is rounding's.
        alive = found.error > ROUNDINGS * root * torch.from_numpy(floors[unit.name])[marks][:, None]
        error = found.error.square().mean(1).sqrt().numpy() / root
        ratios = found.bounds["product"][alive] / found.error[alive]
        result.append(
            Bounds(
                kind,
                unit.name,
                size,
                np.array(marks),
                np.where(error > ROUNDINGS * floors[unit.name][marks], error, 0.0),
                rms["product"],
                rms["spectral"],
                rms["Frobenius"],
                rms["largest"],
                float(ratios.min()) if len(ratios) else float("inf"),
                len(rows),
            )
        )
    return tuple(result)


def _some(paths: int, count: int) -> Tensor:
    return torch.linspace(0, paths - 1, min(paths, count)).round().long()
