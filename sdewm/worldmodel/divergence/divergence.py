"""How fast do errors grow in a model? Plain batched callables in, numbers with intervals out."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...exceptions import InvalidArgument, Refused
from ...jacobian.probes import Columns, selected
from ...validation import integer, positive
from ...validation import level as check_level
from .arguments import driven_map, groups_of, names_of, sizes_of, start_states
from .bounds import PathBounds, path_bounds
from .check_derivative import check_derivative
from .check_map import check_map
from .curves import ROUNDINGS, curve_of
from .derivative import Matrices
from .driven import DrivenMap
from .injection import KINDS, Injection, injections
from .measure import base_states, measure_squares, rounding_floor
from .random_state import untouched
from .result import Bounds, Curve, Divergence, Jacobians
from .spectrum import spectrum, step_matrices
from .spread import Array, Spread, mean_band
from .units import UNITS, WHITENED, Unit, raw_unit, whitened_unit

# So many numbers are kept at most as Jacobians.
_ENTRIES = 1 << 25


def divergence(
    step: Any,
    states: Any,
    actions: Any = None,
    *,
    horizon: int | None = None,
    errors: str | Sequence[str] = KINDS,
    units: str | Sequence[str] = UNITS,
    sizes: float | Sequence[float] = (0.01, 0.1),
    directions: int = 8,
    of: Columns = None,
    measure: Callable[[Tensor], Tensor] | None = None,
    noise_dim: int = 0,
    groups: Any = None,
    jacobians: bool = True,
    jacobian_states: int = 32,
    bound_states: int = 8,
    tolerance: float = 0.1,
    level: float = 0.95,
    seed: int = 0,
) -> Divergence:
    """Inject errors into a rollout of `step`, measure how they grow, and compare with first order and with bounds.

    With T = I in raw units, and T Tᵀ the covariance of the injected columns over the rollouts in whitened ones:

        initial      x_0 ← x_0 + c T ω                          |ω|² the number of columns, a direction for each state
        zero drift   x_{n+1} ← step(x_n) + c T ω_n              ω_n standard normal, anew at each step
        drift        x_{n+1} ← step(x_n) + c T v                |v|² the number of columns, one v for all states and n

    so that one injection has root mean square c a coordinate for each kind. Base and perturbed rollouts share actions
    and noise. A map that keeps distances lets them grow like 1, √N and N: less is damping, more is compounding. The
    first-order prediction is y_{n+1} = J_n y_n + (the same injections), J_n the step's own Jacobian on the base path.

    The step is looked at first: shapes and dtype, numbers, the same value twice, rows that do not mix, and automatic
    derivatives that are those of its values.

    Args:
        step: step(x), step(x, a), or step(x, a, noise) with noise_dim > 0, on tensors (paths, dim), (paths, action),
            (paths, noise_dim) to (paths, dim), where a is None without actions; or a `StepMap`, whose scale may be zero
            on any coordinates.
        states: where rollouts start, (paths, dim), float32 or float64; everything is computed in this dtype, on this
            device. Take states that the model visits, such as filtered ones.
        actions: (steps, paths, action), or (steps, action) for all paths alike.
        horizon: number of steps; by default that of the actions, or 25.
        errors: of "initial", "zero drift", "drift".
        units: of "raw", "whitened".
        sizes: c, one or several.
        directions: number of directions of a drift, which are averaged over: a single one decides a lot.
        of: columns of x that errors are injected into, and in which they are measured; by default all.
        measure: a read-out x -> (paths, anything), such as a decoder, that is measured as well, in its own units.
        noise_dim: standard normals that a row of the step's third argument has.
        groups: a label for each state; states with one label, such as an episode's, are one cluster of the intervals.
        jacobians: False measures only: for steps that are not differentiable.
        jacobian_states, bound_states: number of states for exact Jacobians and for bounds, which cost more; 0 bounds
            leaves them out.
        tolerance: how far the first order may be off to count as right.
        level: of the intervals, over clusters of states, for the directions that were drawn, each point by itself.
        seed: fixes all noise; that of path i does not depend on the number of paths.

    Returns:
        Curves, Jacobians and bounds; print it, `.explain()`, `.plot("growth.png")`, `.to_dict()`.

    Raises:
        InvalidArgument: an argument is not of the kind above, or the step does not map rows to rows.
        NumericalFailure: a value is not finite.
        Refused: the step draws noise of its own, mixes rows, or has a derivative that is not that of its values.

    Warning:
        Not checked: that the states are those that the model visits. Intervals are asymptotic; `flags` say where one
        state carries much of a mean. The bounds hold on the states that were looked at; a supremum over them is
        sampled, not certified.

    Source: the bounds are the discrete form of the Alekseev–Gröbner identity, Alekseev, Vestnik Moskov. Univ. (1961);
        the Lyapunov spectrum is that of Benettin et al., Meccanica 15 (1980).

    Example:
        >>> turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
        >>> starts = torch.randn(16, 2, generator=torch.Generator().manual_seed(0))
        >>> d = divergence(lambda x: x @ turn.T, starts, horizon=9, errors="initial", units="raw", sizes=0.01)
        >>> d.curve("initial").growth.value.round(2)[[0, 9]]
        array([1., 1.])
        >>> bool(d.jacobians.lyapunov.value.max() < 1e-6)
        True
    """
    kinds, unit_names, c = names_of("errors", errors, KINDS), names_of("units", units, UNITS), sizes_of(sizes)
    counts = {
        name: integer(name, value, least=least)
        for name, value, least in (
            ("directions", directions, 1),
            ("jacobian_states", jacobian_states, 2),
            ("bound_states", bound_states, 0),
        )
    }
    tolerance, level = positive("tolerance", tolerance), check_level(level)
    with torch.inference_mode(False):
        start = start_states(step, states)
    cluster = groups_of(groups, len(start))
    chosen = selected(of, start.shape[1])
    columns = (torch.arange(start.shape[1]) if chosen is None else chosen).to(start.device)
    with torch.inference_mode(False), untouched(start.device):
        driven = driven_map(step, start, actions, noise_dim, horizon, seed)
        check_map(driven, start)
        base = base_states(driven, start)
        read = _checked_measure(measure, start)
        matrices = Matrices()
        if jacobians:
            check_derivative(step, driven, base[:-1], matrices, seed)
        scales = _units(unit_names, base, columns)
        each = [
            (kind, unit, injections(kind, unit, len(start), driven.horizon, counts["directions"], seed))
            for unit in scales
            for kind in kinds
        ]
        floors = {unit.name: rounding_floor(driven, base, unit, columns, seed).numpy() for unit in scales}
        curves = _curves(driven, base, each, c, columns, read, jacobians, floors, cluster, level, tolerance)
        metrics = {unit.name: _metric(unit, base, columns) for unit in scales}
        report: Jacobians | None = None
        bounds: tuple[Bounds, ...] = ()
        flags = _flags(scales, base, columns, c, curves)
        if jacobians:
            report = _jacobians(driven, base, metrics, counts["jacobian_states"], matrices, cluster, level, seed, flags)
            bounds = _bounds(driven, base, each, c[-1], columns, metrics, floors, counts["bound_states"], matrices)
        if matrices.looped is not None:
            said = f"vmap does not go through step, its Jacobians are taken in a loop ({matrices.looped})"
            flags.append(said)
            warnings.warn(said, stacklevel=2)
    said = "shapes, numbers, determinism, rows" + (", derivative against finite differences" if jacobians else "")
    return Divergence(
        tuple(curves),
        report,
        bounds,
        driven.horizon,
        len(start),
        int(cluster.max()) + 1,
        start.shape[1],
        len(columns),
        level,
        tolerance,
        str(start.dtype).removeprefix("torch."),
        said,
        tuple(flags),
    )


def _units(names: tuple[str, ...], base: Tensor, of: Tensor) -> list[Unit]:
    digits = float(torch.finfo(base.dtype).eps)
    result = []
    for name in names:
        block = base[..., of].cpu()
        unit = whitened_unit(block, digits) if name == WHITENED else raw_unit(len(of))
        if unit.rank == 0:
            raise Refused(
                "whitened units need a column that varies over the rollouts, and the chosen ones are all constant: "
                "pass units='raw', other columns by of=, or more states."
            )
        result.append(unit)
    return result


def _metric(unit: Unit, base: Tensor, of: Tensor) -> tuple[Tensor, Tensor]:
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


def _checked_measure(measure: Callable[[Tensor], Tensor] | None, x: Tensor) -> Callable[[Tensor], Tensor] | None:
    if measure is None:
        return None
    if not callable(measure):
        raise InvalidArgument(f"measure must be a callable of states, got {type(measure).__name__}.")
    try:
        with torch.no_grad():
            seen = measure(x)
    except Exception as error:
        raise InvalidArgument(f"measure fails on states {tuple(x.shape)}: {error}.") from error
    if not isinstance(seen, Tensor) or seen.ndim < 2 or len(seen) != len(x) or seen.dtype != x.dtype:
        got = f"{seen.dtype} {tuple(seen.shape)}" if isinstance(seen, Tensor) else type(seen).__name__
        raise InvalidArgument(
            f"measure must map states {tuple(x.shape)} to a tensor ({len(x)}, anything) of {x.dtype}, got {got}."
        )
    return lambda y: measure(y).flatten(1)


def _curves(
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
    flat = [injection for _, _, several in each for injection in several]
    squares = iter(measure_squares(driven, base, flat, sizes, of, measure, tangents))
    result = []
    for kind, unit, several in each:
        parts = [next(squares) for _ in several]
        for at, size in enumerate(sizes):
            result.append(curve_of(kind, unit.name, size, at, parts, floors[unit.name], cluster, level, tolerance))
    return result


def _some(paths: int, count: int) -> Tensor:
    return torch.linspace(0, paths - 1, min(paths, count)).round().long()


def _jacobians(
    driven: DrivenMap,
    base: Tensor,
    metrics: dict[str, tuple[Tensor, Tensor]],
    count: int,
    matrices: Matrices,
    cluster: NDArray[np.int64],
    level: float,
    seed: int,
    flags: list[str],
) -> Jacobians:
    fit = max(2, _ENTRIES // (driven.horizon * driven.dim**2))
    if fit < min(count, base.shape[1]):
        flags.append(f"Jacobians of {fit} states in place of {min(count, base.shape[1])}, for their memory")
    rows = _some(base.shape[1], min(count, fit))
    some = driven.rows(rows)
    each = step_matrices(some, base[:, rows.to(base.device)], matrices)
    found = spectrum(each, metrics, seed, float(torch.finfo(base.dtype).eps))
    own = np.unique(cluster[rows.numpy()], return_inverse=True)[1].astype(np.int64)
    return Jacobians(
        {unit: {name: Spread.of(v.numpy()) for name, v in each.items()} for unit, each in found.norms.items()},
        {unit: Spread.of(v.exp().numpy()) for unit, v in found.product.items()},
        mean_band(found.exponents.numpy(), own, level),
        len(rows),
        matrices.looped,
    )


def _bounds(
    driven: DrivenMap,
    base: Tensor,
    each: list[tuple[str, Unit, list[Injection]]],
    size: float,
    of: Tensor,
    metrics: dict[str, tuple[Tensor, Tensor]],
    floors: dict[str, Array],
    count: int,
    matrices: Matrices,
) -> tuple[Bounds, ...]:
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


def _flags(units: list[Unit], base: Tensor, of: Tensor, sizes: tuple[float, ...], curves: list[Curve]) -> list[str]:
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
