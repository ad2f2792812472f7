"""What `divergence` returns: numbers with intervals, a table, a picture."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from ...exceptions import InvalidArgument
from ...output import frame, plain_fields
from .spread import Array, Band, Spread


@final
@dataclass(frozen=True, eq=False)
class Curve:
    """How one error grows. Arrays run over N = 0, …, horizon, the states after N steps.

    Attributes:
        kind: "initial", "zero drift" or "drift".
        unit: "raw" or "whitened", of the injected error and of how it is measured.
        size: c, the root mean square of one injection, a coordinate.
        error: root mean square over states (and directions) of the error in the injected columns, a coordinate.
        growth: the same over c.
        median: the median over states in place of the mean.
        law: what the growth of a map that keeps distances would be: 1, √N or N.
        predicted: to first order, by the step's own Jacobians at the same injected errors; None without Jacobians.
        ratio: error / predicted, NaN where either is zero or near rounding.
        within: the last N up to which the ratio's intervals all lie within 1 ± tolerance.
        agreeing: the share of states whose own error lies within 1 ± tolerance of its prediction, at each N.
        off: the first N at which the ratio's interval lies outside, or None.
        directions: the error of each direction of a drift, (directions, horizon + 1); None for other kinds.
        read: root mean square error of the read-out `measure`, or None; `read_predicted` to first order.
        lost: the first N from which on the error is no larger than ten roundings make it, and below a hundredth of the
            states' spread, or None.
        heavy: the first N at which one state (or cluster) makes up so much of the mean square and its variance that its
            interval may be short; None.
    """

    kind: str
    unit: str
    size: float
    error: Band
    growth: Band
    median: Array
    law: Array
    predicted: Band | None = None
    ratio: Band | None = None
    within: int | None = None
    agreeing: Array | None = None
    off: int | None = None
    directions: Array | None = None
    read: Band | None = None
    read_predicted: Band | None = None
    lost: int | None = None
    heavy: int | None = None


@final
@dataclass(frozen=True, eq=False)
class Jacobians:
    """The Jacobians J_n of the whole state along the base rollout, on some of the states.

    Attributes:
        norms: for each unit, "log-norm" λ_max((J + Jᵀ)/2), "spectral" ‖J‖₂ and "Frobenius", over n.
        product: for each unit ‖J_{N−1} ⋯ J_0‖₂ for N = 1, …, horizon.
        lyapunov: exponents (1/N) ln σ_j of the whole product, per step, largest first, with intervals over states; −∞
            for directions that are mapped to zero.
        states: number of states.
        looped: why vmap does not go through the step, if it does not.

    In whitened units norms are of W J W⁻¹, with W the inverse root of the injected columns' covariance, and the other
    columns in units of their standard deviation.
    """

    norms: Mapping[str, Mapping[str, Spread]]
    product: Mapping[str, Spread]
    lyapunov: Band
    states: int
    looped: str | None = None


@final
@dataclass(frozen=True, eq=False)
class Bounds:
    """The discrete bounds on one error beside the error itself, root mean squares over the same few states.

    Attributes:
        kind, unit, size: of the error, of the first direction for a drift.
        steps: the N that were looked at.
        error: a coordinate, over these states; 0 where it is near rounding.
        product: Σ_n ‖J̃_{N−1} ⋯ J̃_{n+1}‖ |d_n|, with mean-value Jacobians; holds path by path.
        spectral, frobenius: with products of the steps' norms in place of norms of the product.
        largest: with the largest spectral norm that was seen in place of each: sampled, not certified.
        tightest: the least bound / error of a single state, by "product"; a theorem says that it is at least 1,
            up to the rounding of states that errors are added to.
        states: number of states.
    """

    kind: str
    unit: str
    size: float
    steps: Array
    error: Array
    product: Array
    spectral: Array
    frobenius: Array
    largest: Array
    tightest: float
    states: int


@final
@dataclass(frozen=True, eq=False)
class Divergence:
    """How fast errors grow in a model, from `divergence`.

    Attributes:
        curves: one for each kind, unit and size.
        jacobians: None where they were not asked for.
        bounds: one for each kind and unit, at the largest size.
        horizon, states, clusters, dim, columns: what was looked at; `columns` is the number of injected columns.
        level: of the intervals, each point by itself.
        tolerance: how far the first order may be off.
        checked: what was checked of the step before.
        flags: what to know before the numbers are used.
    """

    curves: tuple[Curve, ...]
    jacobians: Jacobians | None
    bounds: tuple[Bounds, ...]
    horizon: int
    states: int
    clusters: int
    dim: int
    columns: int
    level: float
    tolerance: float
    dtype: str
    checked: str
    flags: tuple[str, ...] = field(default=())

    def curve(self, kind: str, unit: str | None = None, size: float | None = None) -> Curve:
        """One of the curves; the last unit and the smallest size where they are not given.

        Raises:
            InvalidArgument: there is none.
        """
        of_kind = [c for c in self.curves if c.kind == kind]
        unit = of_kind[-1].unit if of_kind and unit is None else unit
        found = sorted((c for c in of_kind if c.unit == unit), key=lambda c: c.size)
        found = found if size is None else [c for c in found if math.isclose(c.size, size)]
        if not found:
            known = sorted({(c.kind, c.unit, c.size) for c in self.curves})
            raise InvalidArgument(f"there is no curve of {kind!r}, {unit!r}, {size!r}; there are {known}.")
        return found[0]

    def explain(self) -> str:
        """What was found, in sentences."""
        from .table import explained

        return explained(self)

    def __str__(self) -> str:
        from .table import table

        return table(self)

    def plot(self, path: str | Path | None = None, unit: str | None = None) -> Any:
        """Growth by kind, Jacobian norms, the Lyapunov spectrum, and where the first order ends.

        Args:
            path: where to write it, PNG, PDF or SVG by its ending; by default nowhere.
            unit: "raw" or "whitened"; by default the last that was asked for.

        Returns:
            The matplotlib figure.

        Raises:
            InvalidArgument: nothing was measured in that unit.
        """
        from .plot import drawn

        return drawn(self, path, unit)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values for JSON; numbers that it does not have are the strings "nan", "inf", "-inf"."""
        return plain_fields(self)

    def to_frame(self) -> Any:
        """A pandas DataFrame with a row for each curve and number of steps N.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return frame(
            {
                "kind": c.kind,
                "unit": c.unit,
                "size": c.size,
                "N": n,
                **{f"{name}{end}": value for name, end, value in _numbers(c, n)},
                "median": float(c.median[n]),
                "law": float(c.law[n]),
            }
            for c in self.curves
            for n in range(len(c.law))
        )

    def _repr_html_(self) -> str:
        from .table import html_table

        return html_table(self)


def _numbers(c: Curve, n: int) -> Iterator[tuple[str, str, float]]:
    bands = {"error": c.error, "growth": c.growth, "predicted": c.predicted, "ratio": c.ratio, "read": c.read}
    for name, band in bands.items():
        for end, array in (("", "value"), (" low", "low"), (" high", "high")):
            yield name, end, math.nan if band is None else float(getattr(band, array)[n])
