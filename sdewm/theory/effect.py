"""The effect of a representation error on a loss: the problem that expansions, order tests and identities share."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, fields, replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from ..dynamics.brownian import BLOCK
from ..dynamics.categorical import CategoricalMap
from ..dynamics.derivatives import curve_derivatives
from ..dynamics.ensemble import GROUP, Ensemble, map_blocks, prepare
from ..dynamics.error import RepresentationError, check_eps
from ..dynamics.noise import INDEPENDENT, Noise, check_clusters, cluster_moments, whole_clusters
from ..dynamics.perturbed import perturb
from ..dynamics.start import Start, check_actions, rows, start_states
from ..dynamics.step_map import StepMap
from ..dynamics.tamed import tame
from ..dynamics.variation import Terms, Variations, Varied
from ..estimate import Moments
from ..exceptions import BiasWarning, InvalidArgument, NumericalFailure, Refused
from ..grid import TimeGrid
from ..hypothesis import Hypothesis
from ..validation import TensorLike, one_of, strings
from .hypotheses import check_hypotheses, refuse, superlinear, unchecked

BIASED = "the Euler scheme's bias of first order in the step is not removed"
TAMED = "tamed steps, since the drift grows faster than linearly; y₁ and y₂ are the derivatives of these steps"
SCHEMES = ("auto", "euler", "tamed")

Loss = Callable[[Tensor], Tensor]
Observe = Callable[[Mapping[str, Any]], list[Tensor]]

FORMS: Mapping[str, Terms] = {
    "ito": Terms(),
    "uncorrected": Terms.without("ito_correction", "mixed", "half", "drift_hessian"),
    "uncorrected-drift-hessian": Terms.without("ito_correction", "mixed", "half"),
}


def terms_of(form: str, without: Sequence[str] | str = ()) -> Terms:
    """The terms of a form, less those that are named.

    Raises:
        InvalidArgument: the form or a term is unknown.
    """
    one_of("form", form, FORMS)
    without = strings("without", without)
    for name in without:
        one_of("without", name, [term.name for term in fields(Terms)])
    return replace(FORMS[form], **dict.fromkeys(without, False))


@final
@dataclass(frozen=True)
class Effect:
    """What was asked for, checked, and enough to run it again; made by `effect_problem`.

    Attributes:
        extrapolate: factor between the two step sizes that are combined, 1 for none.
        flags: what no interval covers.
        hypotheses: what was assumed.
        noise: joint law of the paths; moments are those of the means over its clusters.
    """

    system: Any
    error: RepresentationError
    loss: Loss
    x0: Tensor
    grid: TimeGrid
    paths: int
    seed: int
    actions: Tensor | None
    extrapolate: int
    executor: Executor | None
    flags: tuple[str, ...] = ()
    hypotheses: tuple[Hypothesis, ...] = ()
    noise: Noise = INDEPENDENT

    def __reduce__(self) -> tuple[Any, ...]:
        # An executor stays where it is: another process works on the blocks that it is given.
        own = {term.name: getattr(self, term.name) for term in fields(self)}
        return Effect, tuple({**own, "executor": None}.values())

    def moments(self, members: Mapping[str, Any], observe: Observe) -> Moments:
        """Moments of the observed columns, followed by their discretisation corrections if there are any."""

        columns = self._columns(members, observe)
        parts = ((part,) for part in map_blocks(columns, columns.fine.blocks, self.executor))
        return total(part for (part,) in whole_clusters(parts, self.noise.cluster, BLOCK * GROUP))

    def paths_of_block(self, members: Mapping[str, Any], observe: Observe, block: int = 0) -> Tensor:
        """The same columns path by path, (paths, k), for one block of at most 4096 paths."""
        return self._columns(members, observe).values(block)

    def _columns(self, members: Mapping[str, Any], observe: Observe) -> "_Columns":
        fine, *coarse = self.ensembles(members)
        return _Columns(fine, coarse[0] if coarse else None, self.extrapolated, observe)

    def ensembles(self, members: Mapping[str, Any], save: str = "final") -> tuple[Ensemble, ...]:
        """The paths on the grid, and where there is extrapolation on the coarser one."""
        check_clusters(self.noise, self.paths, {"initial": self.error.initial})
        return tuple(
            prepare(
                members,
                self.x0,
                self.grid,
                self.paths,
                self.seed,
                save=save,
                actions=self.actions,
                coarsen=coarsen,
                motion=self.noise,
            )
            for coarsen in ((1, self.extrapolate) if self.extrapolate > 1 else (1,))
        )

    def extrapolated(self, fine: Tensor, coarse: Tensor | None = None) -> Tensor:
        """Columns (paths, k) of both grids by Richardson's extrapolation, followed by their corrections."""
        if coarse is None:
            return fine
        correction = (fine - coarse) / (self.extrapolate - 1)
        return torch.cat((fine + correction, correction), dim=1)

    def combined(self, fine: Any, coarse: Any = None) -> Any:
        """Values of both grids by Richardson's extrapolation."""
        return fine if coarse is None else fine + (fine - coarse) / (self.extrapolate - 1)

    def variations(self, terms: Terms = Terms(), error: RepresentationError | None = None) -> Variations:
        """The base with its variations."""
        return Variations(self.system, self.error if error is None else error, terms=terms)

    def perturbed(self, eps: float, error: RepresentationError | None = None) -> Any:
        """The system with the error, of a size that the dtype of the states resolves."""
        error = self.error if error is None else error
        if isinstance(self.system, StepMap):
            eps = check_eps(eps, self.x0.dtype)
            return perturb(replace(self.system, dtype=self.x0.dtype), error, eps)
        return perturb(self.system, error, eps, x0=rows(self.x0, 0, min(self.paths, 2)))

    def coefficients(self, state: Varied) -> list[Tensor]:
        """∇ℓᵀy₁, ∇ℓᵀy₂ and y₁ᵀ∇²ℓ y₁ of every path."""
        value = self.differentiable(state.x)
        _, p, s = curve_derivatives(lambda e: self.loss(state.x + e * state.y1), value)
        _, q, _ = curve_derivatives(lambda e: self.loss(state.x + e * state.y2), value, order=1)
        # A loss that is not finite may have finite derivatives, like the logarithm below zero: it must be noticed too.
        return [p + 0.0 * value, q, s]

    def differentiable(self, x: Tensor) -> Tensor:
        """The loss of every path, checked to have a derivative."""
        with torch.enable_grad():
            value = self.value(x.detach().requires_grad_())
        if not value.requires_grad:
            raise InvalidArgument(
                "loss does not depend on the states in a way that can be differentiated; leave out detach() and "
                "no_grad(), and use a loss with derivatives."
            )
        return value.detach()

    def value(self, x: Tensor) -> Tensor:
        """The loss of every path, its shape checked."""
        try:
            value = self.loss(x)
        except (RuntimeError, IndexError, TypeError) as error:
            first_line = str(error).partition("\n")[0]
            given = f"states of shape {tuple(x.shape)} and {x.dtype}"
            raise InvalidArgument(
                f"loss must be a function of states alone, but failed on {given}: {first_line}"
            ) from error
        if not isinstance(value, Tensor) or value.shape != x.shape[:1]:
            if isinstance(value, Tensor):
                got, remedy = f"{tuple(value.shape)}", "sum over the last dimension"
            else:
                got, remedy = type(value).__name__, "compute it with torch, so that it can be differentiated"
            raise InvalidArgument(
                f"loss must return one number a path, a tensor {(len(x),)} for states {tuple(x.shape)}, got {got}; "
                f"{remedy}."
            )
        if not value.is_floating_point():
            raise InvalidArgument(f"loss must return floating point numbers, got {value.dtype}.")
        if value.dtype != x.dtype:
            raise InvalidArgument(
                f"loss returned {value.dtype} for states of {x.dtype}; make them equal, as by .to(x)."
            )
        return value


def sides_of(error: RepresentationError, antithetic: bool | None) -> dict[str, RepresentationError]:
    """The error, and where pairs are wanted its mirror image on −W beside it; by default for independent noise.

    Raises:
        InvalidArgument: pairs were asked for where the error's noise is correlated with the base's.
    """
    apart = error.independent and error.diffusion is not None
    if antithetic and not apart:
        raise InvalidArgument(
            "antithetic pairs mirror the error's noise, which keeps its law only for a diffusion error with "
            f"correlation='independent'; got {error.correlation!r}."
        )
    return {"": error, "mirrored ": error.mirrored()} if apart and antithetic is not False else {"": error}


def total(parts: Any) -> Moments:
    """The moments of all blocks together, merged in their order."""
    result: Moments | None = None
    for part in parts:
        result = part if result is None else result.merge(part)
    assert result is not None
    if not bool(np.isfinite(result.scatter).all()):
        raise NumericalFailure(
            "the spread of the loss or of one of its derivatives is too large for floating point numbers; take a "
            "shorter horizon, or check that the system is not unstable."
        )
    return result


@final
@dataclass(frozen=True)
class _Columns:
    """One block's observed columns, by Richardson's extrapolation in the step size where a coarse twin is given."""

    fine: Ensemble
    coarse: Ensemble | None
    extrapolated: Callable[[Tensor, Tensor | None], Tensor]
    observe: Observe

    def __call__(self, block: int) -> Moments:
        return finite_moments(self.values(block), self.fine, block)

    def values(self, block: int) -> Tensor:
        """The columns (paths, k), and their corrections."""
        columns = self._values(self.fine, block)
        return self.extrapolated(columns, None if self.coarse is None else self._values(self.coarse, block))

    def _values(self, ensemble: Ensemble, block: int) -> Tensor:
        (states,) = ensemble.run(block)
        return torch.stack(self.observe(states), dim=1).detach()


def finite_moments(columns: Tensor, ensemble: Ensemble, block: int) -> Moments:
    """Moments of one block's columns (paths, k), one observation a cluster of paths that depend on each other.

    Raises:
        NumericalFailure: a value is not finite; names the path.
    """
    bad = (~torch.isfinite(columns)).any(1)
    if bool(bad.any()):
        path = ensemble.span(block)[0] + int(bad.nonzero()[0])
        raise NumericalFailure(
            f"the loss or one of its derivatives is not finite: path {path} first, at t = {ensemble.grid.T:g}; "
            f"check the loss at the states that are visited.",
            path,
            ensemble.grid.T,
            int(bad.sum()),
        )
    return cluster_moments(columns, ensemble.cluster, ensemble.noise_key)


def effect_problem(
    system: Any,
    error: RepresentationError,
    loss: Loss,
    x0: Start,
    grid: TimeGrid,
    paths: int | None = None,
    seed: int = 0,
    *,
    actions: TensorLike | None = None,
    dtype: torch.dtype | None = None,
    extrapolate: bool | None = None,
    scheme: str = "auto",
    assume: Sequence[str] = (),
    executor: Executor | None = None,
) -> Effect:
    """Check all arguments and hypotheses once; arguments as in `expand`.

    Raises:
        InvalidArgument, Refused, HypothesisFails: as in `expand`.
    """
    if not isinstance(error, RepresentationError):
        raise InvalidArgument(f"error must be a RepresentationError, got {type(error).__name__}.")
    if not isinstance(grid, TimeGrid):
        raise InvalidArgument(f"grid must be a TimeGrid, got {type(grid).__name__}.")
    if not callable(loss):
        raise InvalidArgument(f"loss must be a function of the states (paths, dim), got {loss!r}.")
    one_of("scheme", scheme, SCHEMES)
    is_map = isinstance(system, StepMap)
    if is_map and scheme == "tamed":
        raise Refused("scheme='tamed' is a way to discretise a differential equation; a StepMap is a step already.")
    x, paths = start_states(x0, system, paths, dtype)
    if extrapolate not in (None, True, False):
        raise InvalidArgument(f"extrapolate must be True, False or None, got {extrapolate!r}.")
    actions = check_actions(actions, grid, paths)
    factor, flags = _extrapolation(extrapolate, grid, is_map, actions)
    problem = Effect(system, error, loss, x, grid, paths, seed, actions, factor, executor)
    if not isinstance(system, CategoricalMap):
        problem.perturbed(1.0)  # refuses what cannot be measured either
        problem.differentiable(rows(x, 0, min(paths, 8)))
    found = check_hypotheses(system, error, loss, x, grid, paths=paths, seed=seed, actions=actions, assume=assume)
    refuse(found)
    if scheme == "tamed" or (scheme == "auto" and not is_map and superlinear(found)):
        problem = replace(problem, system=tame(system, grid, x0=rows(x, 0, min(paths, 2))))
        flags = (*flags, TAMED)
    return replace(problem, flags=(*flags, *unchecked(found)), hypotheses=found)


def _extrapolation(
    wanted: bool | None, grid: TimeGrid, is_map: bool, actions: Tensor | None
) -> tuple[int, tuple[str, ...]]:
    """The factor between the two step sizes, and what is to be said where there is none."""
    factor = 1 if is_map or actions is not None else _factor(grid.steps)
    if wanted and factor == 1:
        raise InvalidArgument(
            "extrapolate=True needs a differential equation without actions, and a number of steps that 2, 3 or 5 "
            f"divides, got {grid.steps} steps; leave it at None."
        )
    if wanted is not False and factor > 1:
        return factor, ()
    if is_map:
        return 1, ()
    if wanted is None and actions is None:
        # Up through effect_problem and expand, to the caller's own line.
        said = f"{BIASED}: {grid.steps} steps are not divisible by 2, 3 or 5; choose others"
        warnings.warn(said, BiasWarning, stacklevel=4)
    return 1, (BIASED,)


def _factor(steps: int) -> int:
    """The smallest of 2, 3 and 5 that divides the number of steps, or 1."""
    return next((k for k in (2, 3, 5) if steps % k == 0), 1)
