"""A system's derivatives at points between pairs of paths, and the constants that are read off from them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import jacfwd, vmap

from ...jacobian.norms import jacobians, log_norm, spectral_norm
from ..bounds.weighted import Weighted

Array = NDArray[np.float64]
Field = Callable[[Tensor, Tensor | None], Tensor]


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
        h: the step size, where it is known.
    """

    drift: Array
    diffusion: Array
    columns: int
    drift_error: Array
    diffusion_error: Array
    h: float | None = None

    def by_column(self) -> Array:
        """Jacobians of the diffusion's columns, (points, m, dim, dim)."""
        points, _, dim = self.diffusion.shape
        if self.columns:
            return self.diffusion.reshape(points, dim, self.columns, dim).swapaxes(1, 2)
        result = np.zeros((points, dim, dim, dim))
        result[:, np.arange(dim), np.arange(dim)] = self.diffusion
        return result

    def largest(self, name: str, weight: Weighted | None = None) -> float:
        """The largest value of a named constant over the points."""
        maker = PLAIN.get(name)
        if maker is not None:
            return float(maker(self).max())
        assert weight is not None
        return float(WEIGHTED[name](self, weight).max())

    def rounding(self, name: str, value: float, dtype: torch.dtype) -> float:
        """What rounding may have added to a norm: 16 (dim + 4) units of the dtype, of the size of the matrices.

        A norm of a constant Jacobian is easily seen one unit above its exact value, and far more so in float32; what is
        said to be reached must not contradict what is proved never to be exceeded.
        """
        signed = name in ("mu", "weighted_rate")
        size = float(_spectral(self.drift).max() + joint(self.diffusion).max() ** 2) if signed else value
        part = 16.0 * (self.drift.shape[-1] + 4) * float(torch.finfo(dtype).eps)
        return float(part * max(size, abs(value)))


def joint(entries: Array) -> Array:
    """λ_max(Σ_k G_kᵀG_k)^½ = λ_max(JᵀJ)^½, with J the Jacobian of all entries of the diffusion, (points, ·, dim)."""
    gram = np.swapaxes(entries, 1, 2) @ entries
    return np.asarray(np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[:, -1], 0.0)))


def _spectral(matrices: Array) -> Array:
    return spectral_norm(torch.from_numpy(matrices)).numpy()


def _frobenius(arrays: Array) -> Array:
    return np.asarray(np.sqrt(np.square(arrays.reshape(len(arrays), -1)).sum(1)))


def _step(seen: Linearised) -> Array:
    return _spectral(np.eye(seen.drift.shape[-1]) + (seen.h or 0.0) * seen.drift)


ERRORS: dict[str, Callable[[Linearised], Array]] = {
    "drift_error": lambda seen: _frobenius(seen.drift_error),
    "diffusion_error": lambda seen: _frobenius(seen.diffusion_error),
    "diffusion_error_operator": lambda seen: _spectral(seen.diffusion_error),
}
OF_SYSTEM: dict[str, Callable[[Linearised], Array]] = {
    "mu": lambda seen: log_norm(torch.from_numpy(seen.drift)).numpy(),
    "spectral": lambda seen: _spectral(seen.drift),
    "frobenius": lambda seen: _frobenius(seen.drift),
    "diffusion": lambda seen: joint(seen.diffusion),
}
OF_STEP: dict[str, Callable[[Linearised], Array]] = {
    "step_mean": lambda seen: _spectral(seen.drift),
    "step_scale": lambda seen: joint(seen.diffusion),
}
OF_GRID: dict[str, Callable[[Linearised], Array]] = {"step_norm": _step}
PLAIN = {**ERRORS, **OF_SYSTEM, **OF_STEP, **OF_GRID}
WEIGHTED: dict[str, Callable[[Linearised, Weighted], Array]] = {
    "weighted_rate": lambda seen, weight: weight.rates(seen.drift, seen.by_column()),
    "weighted_spectral": lambda seen, weight: weight.spectral(seen.drift),
    "weighted_diffusion": lambda seen, weight: weight.lipschitz(seen.by_column()),
    "weighted_drift_error": lambda seen, weight: weight.norms(seen.drift_error),
    "weighted_diffusion_error": lambda seen, weight: weight.norms(seen.diffusion_error),
}
WEIGHTED_OF_GRID: dict[str, Callable[[Linearised, Weighted], Array]] = {
    "weighted_step_norm": lambda seen, weight: weight.step_norms(seen.drift, seen.h or 0.0),
    "weighted_step": lambda seen, weight: weight.step(seen.drift, seen.by_column(), seen.h or 0.0),
}
WEIGHTED |= WEIGHTED_OF_GRID


def field_jacobians(field: Field, x: Tensor, a: Tensor | None) -> Array:
    """Jacobians of all entries of a field by the state, (points, entries, dim), without the actions' part.

    Forward where there are more entries than states, and the field can be; else as in `jacobians`.
    """
    dim = x.shape[1]
    both = (x if a is None else torch.cat((x, a.to(x)), 1)).detach()

    def rows(y: Tensor) -> Tensor:
        return field(y[:, :dim], None if a is None else y[:, dim:]).flatten(1)

    with torch.no_grad():
        entries = rows(both[:1]).shape[1]
    if entries > dim:
        try:
            with torch.no_grad():
                forward = vmap(jacfwd(lambda row, rest: rows(torch.cat((row, rest))[None])[0]))
                found = cast(Tensor, forward(both[:, :dim], both[:, dim:]))
                return np.asarray(found.double().cpu().numpy())
        except (RuntimeError, NotImplementedError):
            pass  # no forward mode through the field
    exact = jacobians(rows, both, None if a is None else slice(0, dim))
    return np.asarray(exact.detach().double().cpu().numpy())


def as_columns(g: Any) -> Tensor:
    """A diffusion as a matrix (paths, dim, m)."""
    return torch.diag_embed(g) if g.ndim == 2 else g
