"""How fast do errors grow in a model? Plain batched callables in, numbers with intervals out."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...exceptions import Refused, SlowFallbackWarning
from ...jacobian.probes import Columns, selected
from ...validation import integer, positive
from ...validation import level as check_level
from .arguments import driven_map, groups_of, names_of, sizes_of, start_states
from .check_derivative import check_derivative, check_readout_derivative
from .check_map import check_map, check_repeats
from .check_readout import check_readout
from .derivative import Matrices
from .flags import CHAOS, chaos_flags, cluster_flags, flags_of, spread_of
from .injection import KINDS, injections
from .measure import base_states, rounding_floor
from .random_state import kept_buffers, untouched
from .report import bounds_of, curves_of, jacobians_of, metric_of
from .result import Bounds, Divergence, Jacobians
from .units import UNITS, WHITENED, Unit, raw_unit, whitened_unit


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
            leaves them out. For many columns fewer are taken, or none, and `flags` say so: the growth and its
            first-order prediction need no matrices.
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
    # Inference mode lets nothing be differentiated, and fused attention nothing twice.
    differentiable = torch.inference_mode(False), sdpa_kernel(SDPBackend.MATH)
    with differentiable[0], differentiable[1], untouched(start.device), kept_buffers(step, measure):
        driven = driven_map(step, start, actions, noise_dim, horizon, seed)
        check_map(driven, start)
        base = base_states(driven, start)
        check_repeats(driven, base)
        read = None if measure is None else check_readout(measure, start)
        matrices = Matrices()
        if jacobians:
            check_derivative(step, driven, base[:-1], matrices, seed)
            if read is not None:
                check_readout_derivative(read, base, seed)
        scales = _units(unit_names, base, columns)
        each = [
            (kind, unit, injections(kind, unit, len(start), driven.horizon, counts["directions"], seed))
            for unit in scales
            for kind in kinds
        ]
        rounding = {unit.name: rounding_floor(driven, base, unit, columns, seed).numpy() for unit in scales}
        spreads = {unit.name: spread_of(unit, base, columns) for unit in scales}
        # Rounding that has grown as large as the states is chaos: errors of that size have not died away.
        floors = {name: np.minimum(floor, CHAOS * spreads[name]) for name, floor in rounding.items()}
        curves = curves_of(driven, base, each, c, columns, read, jacobians, floors, cluster, level, tolerance)
        # After all those calls too: a step may have learned from them.
        check_repeats(driven, base)
        metrics = {unit.name: metric_of(unit, base, columns) for unit in scales}
        report: Jacobians | None = None
        bounds: tuple[Bounds, ...] = ()
        clusters = int(cluster.max()) + 1
        flags = flags_of(scales, base, columns, c, curves)
        flags += chaos_flags(rounding, spreads, start.dtype)
        flags += cluster_flags(clusters, "states" if groups is None else "groups")
        if jacobians:
            report = jacobians_of(
                driven, base, metrics, counts["jacobian_states"], matrices, cluster, level, seed, flags
            )
            bounds = bounds_of(
                driven, base, each, c[-1], columns, metrics, floors, counts["bound_states"], matrices, flags
            )
        if matrices.looped is not None:
            said = f"vmap does not go through step, its Jacobians are taken in a loop ({matrices.looped})"
            flags.append(said)
            warnings.warn(said, SlowFallbackWarning, stacklevel=2)
    said = "shapes, numbers, determinism, rows" + (", derivative against finite differences" if jacobians else "")
    return Divergence(
        tuple(curves),
        report,
        bounds,
        driven.horizon,
        len(start),
        clusters,
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
