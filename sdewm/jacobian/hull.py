"""Jacobians of drift and diffusion columns together, as the convex hull of a few."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from ..exceptions import InvalidArgument

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Hull:
    """Matrices (A_v, G_v1, …, G_vm) whose convex hull contains (Dg, Dḡ_1, …, Dḡ_m) at all states.

    It then contains the mean of these over every segment, so that differences of two paths are covered.

    Args:
        drift: A, (vertices, dim, dim).
        diffusion: G, (vertices, columns, dim, dim); None for none.
        drift_radius, diffusion_radius: rounding errors of the entries, of the same shapes; None for 0.

    Raises:
        InvalidArgument: the shapes do not fit together, or an entry is not finite.

    Example:
        >>> Hull(-np.eye(2)[None]).dim
        2
    """

    drift: Array
    diffusion: Array = None  # type: ignore[assignment]
    drift_radius: Array = None  # type: ignore[assignment]
    diffusion_radius: Array = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        drift = np.asarray(self.drift, dtype=np.float64)
        columns = np.zeros((*drift.shape[:1], 0, *drift.shape[1:])) if self.diffusion is None else self.diffusion
        columns = np.asarray(columns, dtype=np.float64)
        fits = (
            drift.ndim == 3
            and columns.ndim == 4
            and len(drift) == len(columns) > 0
            and drift.shape[1:] == columns.shape[2:]
            and drift.shape[1] == drift.shape[2] > 0
        )
        if not fits or not (np.isfinite(drift).all() and np.isfinite(columns).all()):
            raise InvalidArgument(
                f"drift must be finite (vertices, dim, dim) and diffusion (vertices, columns, dim, dim), got shapes "
                f"{drift.shape} and {columns.shape}."
            )
        radii = []
        for name, matrices in (("drift_radius", drift), ("diffusion_radius", columns)):
            radius = getattr(self, name)
            radius = np.zeros_like(matrices) if radius is None else np.asarray(radius, dtype=np.float64)
            if radius.shape != matrices.shape or not (radius >= 0.0).all():
                raise InvalidArgument(f"{name} must be at least 0 and of shape {matrices.shape}, got {radius.shape}.")
            radii.append(radius)
        for name, value in zip(
            ("drift", "diffusion", "drift_radius", "diffusion_radius"), (drift, columns, *radii), strict=True
        ):
            object.__setattr__(self, name, value)

    @property
    def dim(self) -> int:
        """Dimension of the state."""
        return int(self.drift.shape[1])
