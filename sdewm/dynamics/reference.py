"""torchsde, in integer time and always on this package's Brownian motion."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..exceptions import InvalidArgument, Refused
from ..grid import TimeGrid
from ..validation import TensorLike, integer, one_of
from .brownian import BrownianMotion
from .ensemble import failure
from .error import check_eps
from .perturbed import PerturbedSDE
from .start import Start, check_actions, check_initial_error, rows, start_states
from .step_map import StepMap
from .system import CheckedSystem, check_system
from .trajectory import Trajectory

METHODS = ("euler", "milstein", "srk")


def simulate(
    system: Any,
    x0: Start,
    grid: TimeGrid,
    paths: int | None = None,
    seed: int = 0,
    method: str = "euler",
    save: str | Sequence[float] = "all",
    adjoint: bool = False,
    *,
    actions: TensorLike | None = None,
    dtype: torch.dtype | None = None,
) -> Trajectory:
    """Simulate one system with torchsde, differentiably.

    torchsde runs in integer time, ts = [0, steps] with dt = 1, drift h f and diffusion √h g on unit normals. That is an
    exact change of time; it cannot leave a sliver of a step behind, which in real time makes torchsde hang, and f and g
    are handed `grid.time(n)`. The noise is that of `BrownianMotion`: equal seeds give equal paths here and in
    `simulate_coupled`, for any number of paths.

    Args:
        system: a `LatentSDE`, or any SDE written for torchsde; a Stratonovich system is converted to Itô.
        x0: start: a number, (dim,) or (paths, dim); a perturbed system starts at x0 + ε η.
        grid: time grid.
        paths: number of paths; not needed if x0 has one row a path.
        seed: whole number >= 0.
        method: "euler" for any noise; "milstein" for diagonal, scalar and additive noise; "srk" (order 1.5) likewise.
            Both take the diagonal g_i to depend on x_i alone.
        save: "all", "final", or grid times.
        adjoint: differentiate by torchsde's adjoint equation in place of backpropagation, which keeps no graph of the
            steps. Its gradient is *not* that of the discrete solve: for geometric Brownian motion (a = -0.5, b = 0.6,
            T = 1) and a quadratic loss, the gradients of single paths by the parameters are off by 5.8, 2.5 and 1.1 %,
            and those by the start by 3.1, 1.8 and 0.7 %, at 50, 200 and 800 Euler steps; at b = 1.5 by several times
            that. Parameters of an error's own functions are not seen at all. Train with backpropagation.
        actions: (steps, action_dim) or (steps, paths, action_dim), held over each step.
        dtype: dtype of the states; by default that of a tensor x0, else of the system.

    Returns:
        A `Trajectory` with states (saved, paths, dim), connected to the graph of x0 and of the system's parameters.

    Raises:
        InvalidArgument: a shape or an argument is wrong, or a saved time is not on the grid.
        Refused: the method is not available for this noise; the message gives the reason.
        NumericalFailure: a state is not finite.

    Source: the solvers are torchsde's: Li, Wong, Chen, Duvenaud, Scalable gradients for stochastic differential
    equations, arXiv:2001.01328; Kidger, Foster, Li, Oberhauser, Lyons, Neural SDEs as infinite-dimensional GANs,
    arXiv:2102.03657.

    Warning:
        That a diagonal diffusion's i-th entry depends on x_i alone is not checked.

    Example:
        >>> from sdewm.drifts import Linear
        >>> simulate(Linear(a=-1.0, b=0.5), 1.0, TimeGrid(1.0, 10), paths=3).states.shape
        torch.Size([11, 3, 1])
    """
    from .integer_time import IntegerBrownian, IntegerTime, solve  # here, so that importing the package stays quick

    one_of("method", method, METHODS)
    if isinstance(system, StepMap):
        raise Refused("simulate solves differential equations; a StepMap is run by simulate_coupled.")
    if not isinstance(grid, TimeGrid):
        raise InvalidArgument(f"grid must be a TimeGrid, got {type(grid).__name__}.")
    integer("seed", seed, least=0)
    x, paths = start_states(x0, system, paths, dtype)
    actions = check_actions(actions, grid, paths)
    # A copy: a drift that works in place must not change the caller's start.
    x = rows(x, 0, paths).clone()
    if isinstance(system, PerturbedSDE):
        check_eps(system.eps, x.dtype)
        check_initial_error(system.error.initial, paths)
    # Also of a system that wraps a perturbed one.
    moved = getattr(system, "perturbed_start", None)
    x = x if moved is None else moved(x)
    checked = check_system(system, x, None if actions is None else rows(actions[0].to(x.dtype), 0, paths))
    _check_method(checked, method, adjoint, actions)
    saved = grid.saved(save)
    groups = getattr(system, "noise_groups", None) or (("paths", checked.noise_dim),)
    motions = [BrownianMotion(seed, grid, width, purpose) for purpose, width in groups]
    noise = IntegerBrownian(motions, paths, x.dtype, levy=method == "srk", device=x.device)
    solved = solve(IntegerTime(checked, grid, actions), x, noise, saved, method, adjoint)
    if not bool(torch.isfinite(solved.detach()).all()):
        with torch.no_grad():
            whole = solve(
                IntegerTime(checked, grid, actions), x.detach(), noise, tuple(range(grid.steps + 1)), method, False
            )
        bad = ~torch.isfinite(whole).all(2)
        n = int(bad.any(1).nonzero()[0])
        raise failure(int(bad[n].nonzero()[0]), n, grid, int(bad[n].sum()), paths)
    return Trajectory(grid, solved, saved)


def _check_method(system: CheckedSystem, method: str, adjoint: bool, actions: Tensor | None) -> None:
    name = type(system.source).__name__
    if method != "euler" and system.noise_type == "general":
        raise Refused(
            f"method {method!r} needs iterated integrals of B^k against B^l for the general noise of {name}, which are "
            f"not simulated; use method='euler'."
        )
    if method == "srk" and actions is not None:
        raise Refused("method 'srk' evaluates at the end of a step, where the next action begins; use 'euler'.")
    if adjoint and actions is not None:
        raise Refused("adjoint=True evaluates at the end of a step, where the next action begins; use adjoint=False.")
    if adjoint and not isinstance(system.source, nn.Module):
        raise Refused(
            f"adjoint=True differentiates by the parameters of a torch.nn.Module, and {name} is none; derive it from "
            f"LatentSDE or use adjoint=False."
        )
