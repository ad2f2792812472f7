"""A base and its perturbed twin on one Brownian path, as a bound sees them."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...dynamics.brownian import generator
from ...dynamics.ensemble import Ensemble, map_blocks, prepare
from ...dynamics.error import RepresentationError
from ...dynamics.perturbed import perturb
from ...dynamics.start import rows
from ...dynamics.step_map import StepMap
from ...exceptions import InvalidArgument
from ...grid import TimeGrid
from ..bounds.bound import Bound, Setting

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Pair:
    """x⁰ and x^ε on one Brownian path; made by `check`.

    Attributes:
        system: the base, whose drift is already tamed where that is needed.
        error, eps: what moves the other.
        x0: start of the base, (dim,) or (paths, dim).
        grid, paths, seed, actions: as in `check`.
    """

    system: Any
    error: RepresentationError
    eps: float
    x0: Tensor
    grid: TimeGrid
    paths: int
    seed: int
    actions: Tensor | None = None

    def ensemble(self, save: str | Sequence[float], paths: int | None = None) -> Ensemble:
        """Both members, ready to run."""
        paths = self.paths if paths is None else min(paths, self.paths)
        x0 = self.x0 if self.x0.ndim == 1 else self.x0[:paths]
        actions, error = self.actions, self.error
        if actions is not None and actions.ndim == 3:
            actions = actions[:, :paths]
        if isinstance(error.initial, Tensor) and error.initial.ndim == 2 and len(error.initial) > 1:
            error = replace(error, initial=error.initial[:paths])
        moved = perturb(self.system, error, self.eps, x0=rows(x0, 0, min(paths, 2)))
        return prepare({"x": self.system, "xe": moved}, x0, self.grid, paths, self.seed, save=save, actions=actions)

    def setting(self, random_base: bool, additive_error: bool) -> Setting:
        """What the curves of a bound are evaluated for; moments of the start are means over the paths' own starts."""
        self._check_start()
        first = self.ensemble([0.0])
        moment, fourth, count = np.zeros((self.x0.shape[-1],) * 2), 0.0, 0
        blocks = first.blocks if self._starts_differ else first.blocks[:1]
        for block in blocks:
            (states,) = first.run(block)
            e = (states["xe"] - states["x"]).double().cpu().numpy()
            moment += e.T @ e
            fourth += float((np.square(e).sum(1) ** 2).sum())
            count += len(e)
        moment /= count
        return Setting(
            self.grid,
            self.eps,
            float(np.trace(moment)) ** 0.5,
            correlation_norm(self.error),
            self.x0.shape[-1],
            tuple(map(tuple, moment.tolist())),
            (fourth / count) ** 0.25,
            random_base,
            additive_error,
        )

    def _check_start(self) -> None:
        eta = self.error.initial
        if callable(eta):
            x = rows(self.x0, 0, min(self.paths, 64))
            if not torch.equal(torch.as_tensor(eta(x)), torch.as_tensor(eta(x))):
                raise InvalidArgument("initial must be the same each time it is called; pass a tensor (paths, dim).")

    @property
    def _starts_differ(self) -> bool:
        return self.error.initial is not None and (self.x0.ndim == 2 or isinstance(self.error.initial, Tensor))

    @property
    def alike(self) -> bool:
        """Whether all paths have one law; if not, they come in an order that somebody has chosen."""
        eta = self.error.initial
        differs = isinstance(eta, Tensor) and eta.ndim == 2 and len(eta) > 1
        return not (differs or self.x0.ndim == 2 or (self.actions is not None and self.actions.ndim == 3))

    def shuffled(self) -> "Pair":
        """The same rows of starts, actions and initial errors in an order that nobody has chosen."""
        source = generator(self.seed, "order of rows")
        order = torch.randperm(self.paths, generator=source)
        eta, actions = self.error.initial, self.actions
        if isinstance(eta, Tensor) and eta.ndim == 2 and len(eta) > 1:
            eta = eta[order]
        if actions is not None and actions.ndim == 3:
            actions = actions[:, order]
        x0 = self.x0[order] if self.x0.ndim == 2 else self.x0
        return replace(self, x0=x0, error=replace(self.error, initial=eta), actions=actions)

    def observed(self, bound: Bound, steps: Sequence[int], executor: Executor | None) -> Iterator[Array]:
        """What the bound averages, (times, paths) block by block, at the steps with these numbers."""
        running = bound.running
        times: str | list[float] = "all" if running else [self.grid.time(n) for n in steps]
        yield from map_blocks(
            _Observed(self.ensemble(times), bound, tuple(steps)), self.ensemble(times).blocks, executor
        )


@final
@dataclass(frozen=True)
class _Observed:
    ensemble: Ensemble
    bound: Bound
    steps: tuple[int, ...]

    def __call__(self, block: int) -> Array:
        found, largest = [], None
        saved = self.ensemble.saved
        for n, states in zip(saved, self.ensemble.run(block), strict=True):
            e = (states["xe"] - states["x"]).double()
            with torch.no_grad():
                if not self.bound.running:
                    found.append(self.bound.observed(e))
                    continue
                now = self.bound.observed(e[None])
                largest = now if largest is None else torch.maximum(largest, now)
                if n in self.steps:
                    found.append(largest)
        return np.stack([values.cpu().numpy() for values in found])


def correlation_norm(error: RepresentationError) -> float:
    """‖ρ‖₂ of an error's noise with the base's; 0 without a diffusion error."""
    if error.diffusion is None or error.independent:
        return 0.0
    rho = error.correlation
    if isinstance(rho, str):
        return 1.0
    if isinstance(rho, Tensor) and rho.ndim == 2:
        return min(float(torch.linalg.matrix_norm(rho.double(), 2)), 1.0)
    return abs(float(rho))


def is_map(system: Any) -> bool:
    """Whether a system is a step map already."""
    return isinstance(system, StepMap)
