"""The constants of a bound, as they are seen between simulated pairs of paths."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import jacfwd, vmap

from ...constant import Sampled
from ...dynamics.error import RepresentationError
from ...dynamics.step_map import StepMap, time_of
from ...dynamics.system import check_system
from ...exceptions import InvalidArgument, NumericalFailure
from ...grid import TimeGrid
from ...jacobian.norms import jacobians, log_norm, spectral_norm
from ..bounds.bound import CONSTANTS
from ..bounds.weighted import Weighted
from ..constants.segments import segment_points
from .pair import Pair

Array = NDArray[np.float64]

_PATHS, _LEAST_PATHS, _NUMBERS, _TIMES = 512, 64, 4096, 17


@final
@dataclass(frozen=True)
class Linearised:
    """Derivatives at points between pairs of paths, and the error's parts where they act.

    Attributes:
        drift: Jacobians of the drift, or of a step's mean, (points, dim, dim).
        diffusion: Jacobian of all entries of the diffusion, or of a step's scale: (points, dim, dim) for a diagonal
            one, else (points, dim m, dim).
        columns: m for a matrix, 0 for diagonal noise.
        drift_error: σ, (paths, dim).
        diffusion_error: σ̄, (paths, dim, m̄).
        h: the step size; None for a step map.
    """

    drift: Array
    diffusion: Array
    columns: int
    drift_error: Array
    diffusion_error: Array
    h: float | None

    def by_column(self) -> Array:
        """Jacobians of the diffusion's columns, (points, m, dim, dim)."""
        points, _, dim = self.diffusion.shape
        if self.columns:
            return self.diffusion.reshape(points, dim, self.columns, dim).swapaxes(1, 2)
        result = np.zeros((points, dim, dim, dim))
        result[:, np.arange(dim), np.arange(dim)] = self.diffusion
        return result

    def largest(self, name: str, weight: Weighted | None) -> float | None:
        """The largest value of a named constant over the points; None if it is not seen there."""
        if name.startswith("weighted_") and weight is not None and self.h is not None:
            return float(self._weighted(name, weight).max())
        maker = (_OF_SYSTEM if self.h is not None else _OF_STEP).get(name)
        if maker is None:
            return None
        return float(maker(self).max())

    def rounding(self, name: str, value: float, dtype: torch.dtype) -> float:
        """What rounding may have added to a norm, as in `lowered`: what is seen must not contradict what is proved."""
        signed = name in ("mu", "weighted_rate")
        size = float(_spectral(self.drift).max() + _joint(self.diffusion).max() ** 2) if signed else value
        part = 16.0 * (self.drift.shape[-1] + 4) * float(torch.finfo(dtype).eps)
        return float(part * max(size, abs(value)))

    def _weighted(self, name: str, weight: Weighted) -> Array:
        assert self.h is not None
        values: dict[str, Any] = {
            "weighted_rate": lambda: weight.rates(self.drift, self.by_column()),
            "weighted_spectral": lambda: weight.spectral(self.drift),
            "weighted_diffusion": lambda: weight.lipschitz(self.by_column()),
            "weighted_step_norm": lambda: weight.step_norms(self.drift, self.h or 0.0),
            "weighted_step": lambda: weight.step(self.drift, self.by_column(), self.h or 0.0),
            "weighted_drift_error": lambda: weight.norms(self.drift_error),
            "weighted_diffusion_error": lambda: weight.norms(self.diffusion_error),
        }
        return np.asarray(values[name]())


def _spectral(matrices: Array) -> Array:
    return spectral_norm(torch.from_numpy(matrices)).numpy()


def _joint(entries: Array) -> Array:
    """λ_max(Σ_k G_kᵀG_k)^½ = λ_max(JᵀJ)^½, with J the Jacobian of all entries of the diffusion."""
    gram = np.swapaxes(entries, 1, 2) @ entries
    return np.asarray(np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[:, -1], 0.0)))


def _frobenius(arrays: Array) -> Array:
    return np.asarray(np.sqrt(np.square(arrays.reshape(len(arrays), -1)).sum(1)))


_ERRORS = {
    "drift_error": lambda seen: _frobenius(seen.drift_error),
    "diffusion_error": lambda seen: _frobenius(seen.diffusion_error),
    "diffusion_error_operator": lambda seen: _spectral(seen.diffusion_error),
}
_OF_SYSTEM: dict[str, Any] = {
    "mu": lambda seen: log_norm(torch.from_numpy(seen.drift)).numpy(),
    "spectral": lambda seen: _spectral(seen.drift),
    "frobenius": lambda seen: _frobenius(seen.drift),
    "diffusion": lambda seen: _joint(seen.diffusion),
    "step_norm": lambda seen: _spectral(np.eye(seen.drift.shape[-1]) + seen.h * seen.drift),
    **_ERRORS,
}
_OF_STEP: dict[str, Any] = {
    "step_mean": lambda seen: _spectral(seen.drift),
    "step_scale": lambda seen: _joint(seen.diffusion),
    **_ERRORS,
}


@final
@dataclass(frozen=True)
class Seen:
    """Constants as sampled, and what was noticed of the system on the way.

    Attributes:
        constants: by name.
        random_base: whether the base has noise anywhere.
        additive_error: whether σ̄ was the same everywhere.
        lowest, highest: the box that the states stayed in, (dim,) each.
        times: the times that were looked at.
        sizes: |e| of the paths at these times, (times, paths).
    """

    constants: Mapping[str, Sampled]
    random_base: bool
    additive_error: bool
    lowest: Array
    highest: Array
    times: Array
    sizes: Array

    def curve(self, power: float, running: bool) -> Array:
        """(E|e|^p)^(1/p) at these times, or that of the largest so far."""
        sizes = np.maximum.accumulate(self.sizes) if running else self.sizes
        return np.asarray(np.mean(sizes**power, axis=1) ** (1.0 / power))


def seen_constants(
    pair: Pair, names: Iterable[str], given: Collection[str] = (), weight: Weighted | None = None, points: int = 5
) -> Seen:
    """Suprema over points of the segments between the first paths of a pair, at some times of the grid.

    Args:
        pair: the base and its perturbed twin.
        names: the constants that are wanted.
        given: those that are known otherwise as well, so that they need not be seen.
        weight: the bound whose norm the weighted constants are for.
        points: points of each segment.

    Raises:
        InvalidArgument: a constant is not seen between paths, and not given either.
        NumericalFailure: a derivative is not finite.
    """
    last, dim = pair.grid.steps - 1, pair.x0.shape[-1]
    # From the last time no step is made: there the error is measured, and nothing differentiated.
    steps = sorted({*(round(k * last / (_TIMES - 1)) for k in range(_TIMES)), last + 1})
    ensemble = pair.ensemble([pair.grid.time(n) for n in steps], max(_LEAST_PATHS, min(_PATHS, _NUMBERS // dim)))
    wanted, found = list(dict.fromkeys(names)), dict[str, float]()
    error_first: Array | None = None
    random_base, additive = False, True
    lowest, highest = np.full(dim, math.inf), np.full(dim, -math.inf)
    count, sizes = 0, []
    for n, states in zip(ensemble.saved, ensemble.run(0), strict=True):
        base, moved = states["x"], states["xe"]
        sizes.append((moved - base).double().norm(dim=1).cpu().numpy())
        lowest = np.minimum(lowest, torch.minimum(base, moved).double().amin(0).cpu().numpy())
        highest = np.maximum(highest, torch.maximum(base, moved).double().amax(0).cpu().numpy())
        if n > last:
            continue
        seen, noisy = _linearised(pair, n, base, moved, points)
        random_base = random_base or noisy
        for name in wanted:
            value = seen.largest(name, weight)
            if value is None:
                if name in given:
                    continue
                kind = "an equation" if seen.h is not None else "a step map"
                raise InvalidArgument(
                    f"bound needs {name!r} ({CONSTANTS.get(name, 'an unknown constant')}), which is not seen between "
                    f"paths of {kind}; take another bound, or give it in constants."
                )
            if not math.isfinite(value):
                raise NumericalFailure(f"{name} is {value} between the paths: a derivative is not finite.")
            found[name] = max(value - seen.rounding(name, value, base.dtype), found.get(name, -math.inf))
        first = seen.diffusion_error[:1]
        error_first = first if error_first is None else error_first
        additive = additive and bool(np.allclose(seen.diffusion_error, error_first, rtol=1e-12, atol=0.0))
        count += len(base)
    where = f"{points} points of each of {count} segments"
    sampled = {name: Sampled(value, where) for name, value in found.items()}
    times = np.array([pair.grid.time(n) for n in steps])
    return Seen(sampled, random_base, additive, lowest, highest, times, np.stack(sizes))


def _linearised(pair: Pair, n: int, base: Tensor, moved: Tensor, points: int) -> tuple[Linearised, bool]:
    """The derivatives at step n, and whether the base has noise there."""
    x = segment_points(base, moved, points)
    a = None
    if pair.actions is not None:
        now = pair.actions[n]
        a = (now if now.ndim == 1 else now[: len(base)]).to(x).expand(len(base), -1).repeat(points, 1)
    grid = None if isinstance(pair.system, StepMap) else pair.grid
    drift, diffusion = _fields(pair.system, x[:2], None if a is None else a[:2], n, grid)
    both = x if a is None else torch.cat((x, a), 1)
    dim = x.shape[1]

    def of(function: Any) -> Array:
        def rows(y: Tensor) -> Tensor:
            value: Tensor = function(y[:, :dim], None if a is None else y[:, dim:])
            return value.flatten(1)

        found = _jacobians(rows, both, dim)
        return np.asarray(found.detach().double().cpu().numpy())

    with torch.no_grad():
        g = diffusion(x, a)
    noisy, columns = bool(g.abs().max() > 0.0), 0 if g.ndim == 2 else int(g.shape[2])
    sigma, sigma_bar = _error_parts(pair.error, n, grid, moved)
    h = None if grid is None else grid.h
    return Linearised(of(drift), of(diffusion), columns, sigma, sigma_bar, h), noisy


def _jacobians(rows: Any, both: Tensor, dim: int) -> Tensor:
    """Exact Jacobians by the first `dim` columns: forward where there are more outputs than inputs, and it can be."""
    with torch.no_grad():
        outputs = rows(both[:1]).shape[1]
    if outputs > dim:
        try:
            with torch.no_grad():
                forward = vmap(jacfwd(lambda row, rest: rows(torch.cat((row, rest))[None])[0]))
                return cast(Tensor, forward(both[:, :dim], both[:, dim:]))
        except (RuntimeError, NotImplementedError):
            pass  # no forward mode through the step
    return jacobians(rows, both, None if both.shape[1] == dim else slice(0, dim))


def _columns(g: Tensor) -> Tensor:
    return torch.diag_embed(g) if g.ndim == 2 else g


def _fields(system: Any, probe: Tensor, a: Tensor | None, n: int, grid: TimeGrid | None) -> tuple[Any, Any]:
    if grid is None:
        return (lambda y, b: system.mean(n, y, b)), (lambda y, b: system.scale(n, y, b))
    checked = check_system(system, probe, a)
    t = time_of(grid, n, probe)
    return (lambda y, b: checked.drift(t, y, b)), (lambda y, b: checked.diffusion(t, y, b))


def _error_parts(error: RepresentationError, n: int, grid: TimeGrid | None, x: Tensor) -> tuple[Array, Array]:
    t = time_of(grid, n, x)
    with torch.no_grad():
        sigma = torch.zeros_like(x) if error.drift is None else error.drift(t, x)
        sigma_bar = x.new_zeros(*x.shape, 1) if error.diffusion is None else _columns(error.diffusion(t, x))
    return sigma.double().cpu().numpy(), sigma_bar.double().cpu().numpy()
