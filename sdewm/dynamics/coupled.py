"""Several systems and their variations on one Brownian path."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from ..estimate import Moments
from ..grid import TimeGrid
from ..validation import TensorLike
from .ensemble import Ensemble, Observe, map_blocks, prepare, reduce_blocks
from .start import Start
from .trajectory import Trajectory


@final
@dataclass(frozen=True, eq=False)
class CoupledRun:
    """What a coupled simulation has kept.

    Attributes:
        grid: the time grid.
        saved: index of each saved time.
        trajectories: for each member a `Trajectory`, or several for `Variations` and the like; empty if observed.
        moments: for each saved time the moments of what was observed; empty if nothing was.
    """

    grid: TimeGrid
    saved: tuple[int, ...]
    trajectories: Mapping[Any, Any]
    moments: tuple[Moments, ...]

    def __getitem__(self, name: Any) -> Any:
        return self.trajectories[name]


def simulate_coupled(
    members: Mapping[Any, Any] | Sequence[Any],
    x0: Start,
    grid: TimeGrid,
    paths: int | None = None,
    seed: int = 0,
    *,
    observe: Observe | None = None,
    save: str | Sequence[float] = "final",
    actions: TensorLike | None = None,
    dtype: torch.dtype | None = None,
    executor: Executor | None = None,
    compile: bool | str = "auto",
    device: str | torch.device | None = None,
) -> CoupledRun:
    """Simulate several systems and their variations on one Brownian path, by the ensemble engine (Euler–Maruyama).

    Args:
        members: named systems (`LatentSDE`, torchsde SDE, `perturb(...)`, `StepMap`, `CategoricalMap`), `Variations`,
            `Sensitivity` or `ErrorCovariance`; a sequence is named 0, 1, ….
        x0: start of the base: a number, (dim,) or (paths, dim); perturbed members start at x0 + ε η.
        grid: time grid.
        paths: number of paths; not needed if x0 has one row a path.
        seed: whole number >= 0; equal seeds give equal noise, also in `simulate`.
        observe: called with {name: state} at each saved time, where a state is (paths, dim), or a named tuple for
            `Variations`, `Sensitivity` and `ErrorCovariance`; returns (paths,) or (paths, k). Then only the moments of
            its values are kept.
        save: "final", "all", or grid times.
        actions: (steps, action_dim) or (steps, paths, action_dim), held over each step.
        dtype: dtype of the states; by default that of x0 or of the first system.
        executor: where to run the blocks: threads, spawned processes (systems and functions at module level; see
            `sdewm.run.workers`), or another `concurrent.futures.Executor`; the result is the same to the bit on one
            kind of machine.
        compile: whether to compile the steps of all members together with torch's inductor, which needs a C++ compiler:
            True, False, or "auto", which does so where the work is worth the seconds that it takes (a rule of counted
            operations). The noise is the same to the bit, the states to rounding; sine, cosine and tangent in single
            precision are then our own, to 4e-7 and what one rounding of their argument changes. What cannot be traced
            (a step that depends on numbers by `if` or `item()`, or on its index) runs as it is. Compiled code is kept
            in memory; it is written to a directory of its own unless the environment variable SDEWM_COMPILE_CACHE names
            one to keep, which must be private, since it is read with pickle.
        device: where the states live, for instance "cuda"; by default where x0 or the system's parameters are. The
            normals are drawn on the CPU all the same, so that the noise is the same on every device.

    Returns:
        A `CoupledRun` with trajectories, states (saved, paths, dim), or with moments.

    Raises:
        InvalidArgument: a shape, a number of noise columns, or an argument is wrong.
        NumericalFailure: a state is not finite.

    Example:
        >>> from sdewm.drifts import Linear
        >>> from sdewm.dynamics import RepresentationError, perturb
        >>> base = Linear(a=-1.0, b=0.5)
        >>> error = RepresentationError(diffusion=lambda t, x: torch.ones_like(x))
        >>> run = simulate_coupled({"x": base, "xe": perturb(base, error, 0.1)}, 1.0, TimeGrid(1.0, 20), paths=8)
        >>> run["xe"].final.shape
        torch.Size([8, 1])
    """
    options: dict[str, Any] = {"save": save, "actions": actions, "dtype": dtype, "compile": compile, "device": device}
    ensemble = prepare(members, x0, grid, paths, seed, **options)
    if observe is not None:
        return CoupledRun(grid, ensemble.saved, {}, reduce_blocks(ensemble, observe, executor))
    each = list(map_blocks(_Kept(ensemble), ensemble.blocks, executor))
    trajectories: dict[Any, Any] = {}
    for name in ensemble.members:
        parts = [torch.cat(blocks, dim=1) for blocks in zip(*(block[name] for block in each), strict=True)]
        kept = [Trajectory(grid, part, ensemble.saved) for part in parts]
        trajectories[name] = tuple(kept) if len(kept) > 1 else kept[0]
    return CoupledRun(grid, ensemble.saved, trajectories, ())


@final
@dataclass(frozen=True)
class _Kept:
    ensemble: Ensemble

    def __call__(self, block: int) -> dict[Any, tuple[Tensor, ...]]:
        saved = [
            {name: (state if isinstance(state, tuple) else (state,)) for name, state in states.items()}
            for states in self.ensemble.run(block)
        ]
        return {
            name: tuple(torch.stack(parts) for parts in zip(*(s[name] for s in saved), strict=True))
            for name in saved[0]
        }
