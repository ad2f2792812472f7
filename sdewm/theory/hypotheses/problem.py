"""A problem as functions of time and rows, in the one form that the probes look at."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import torch
from torch import Tensor

from ...dynamics.categorical import CONTINUOUS, NO_DERIVATIVE, CategoricalMap
from ...dynamics.error import RepresentationError
from ...dynamics.start import rows
from ...dynamics.step_map import StepMap
from ...dynamics.system import check_system
from ...exceptions import HypothesisFails, InvalidArgument, SdewmError
from ...grid import TimeGrid
from ...hypothesis import Facts, facts_of

Rows = Callable[[Tensor], Tensor]
Timed = Callable[[float, Tensor], Tensor]


@final
@dataclass(frozen=True)
class Problem:
    """A system, an error and a loss as functions of time and rows, with what they declare of themselves.

    For a `StepMap` the drift is the mean and the diffusion the scale of a step, and time is its index.
    """

    system: Any
    drift: Timed
    diffusion: Timed
    error: RepresentationError
    loss: Rows
    centre: Tensor
    grid: TimeGrid

    @property
    def discrete(self) -> bool:
        """Whether the system is a map and not an equation."""
        return isinstance(self.system, StepMap)

    @property
    def times(self) -> tuple[float, ...]:
        """Times at which growth is looked at."""
        return (0.0, float(self.grid.steps // 2)) if self.discrete else (0.0, self.grid.time(self.grid.steps // 2))

    def facts(self, part: str) -> Facts | None:
        """What the system declares of its drift or diffusion."""
        if self.discrete:
            return facts_of(getattr(self.system, {"drift": "mean", "diffusion": "scale"}[part]))
        return facts_of(self.system, f"{part}_facts")

    def parts_of_the_error(self) -> list[tuple[str, Timed, Facts | None]]:
        """Name, function and facts of the error's drift and diffusion, as far as there are any."""
        result = []
        for name in ("drift", "diffusion"):
            function = getattr(self.error, name)
            if function is not None:
                result.append((name, _of_time(function), facts_of(function)))
        return result


def _of_time(function: Callable[[Tensor, Tensor], Tensor]) -> Timed:
    return lambda t, x: function(torch.tensor(t, dtype=x.dtype, device=x.device), x)


def problem_of(
    system: Any, error: RepresentationError, loss: Rows, x0: Tensor, grid: TimeGrid, actions: Tensor | None = None
) -> Problem:
    """The functions of a problem at fixed actions: those of the first path, at the beginning.

    Raises:
        InvalidArgument: a shape is wrong.
        HypothesisFails: the system has categorical latents.
    """
    if isinstance(system, CategoricalMap):
        raise HypothesisFails(NO_DERIVATIVE, CONTINUOUS, declared=True)
    probe = rows(x0, 0, 1)
    a = None if actions is None else (actions[0] if actions.ndim == 2 else actions[0, 0]).reshape(1, -1).to(probe)

    def act(x: Tensor) -> Tensor | None:
        return None if a is None else a.expand(len(x), -1)

    if isinstance(system, StepMap):
        drift: Timed = lambda n, x: system.mean(int(n), x, act(x))  # noqa: E731
        diffusion: Timed = lambda n, x: system.scale(int(n), x, act(x))  # noqa: E731
        return Problem(system, drift, diffusion, error, loss, probe[0], grid)
    checked = check_system(system, probe, a)
    return Problem(
        system,
        lambda t, x: checked.drift(torch.tensor(t, dtype=x.dtype, device=x.device), x, act(x)),
        lambda t, x: checked.diffusion(torch.tensor(t, dtype=x.dtype, device=x.device), x, act(x)),
        error,
        loss,
        probe[0],
        grid,
    )


def attempt(look: Callable[[], Any]) -> Any:
    """The answer, or None where a function cannot be evaluated at such states: then it is unchecked."""
    try:
        return look()
    except SdewmError:
        raise
    except (RuntimeError, ValueError, ArithmeticError, IndexError):
        return None


def check_apart(problem: Problem) -> None:
    """Each path must be mapped apart from the others, or what is called a mean over paths is none.

    Raises:
        InvalidArgument: a function's first row changes with the other rows.
    """
    x = problem.centre + 0.01 * (1.0 + problem.centre.abs()) * torch.arange(4, dtype=problem.centre.dtype)[:, None]
    labels = ("the mean", "the scale") if problem.discrete else ("f", "g")
    start = problem.times[0]
    functions: list[tuple[str, Rows]] = [("loss", problem.loss)]
    functions += [(name, partial(f, start)) for name, f in zip(labels, (problem.drift, problem.diffusion), strict=True)]
    functions += [(f"the error's {name}", partial(f, start)) for name, f, _ in problem.parts_of_the_error()]
    for name, function in functions:
        together, again, alone = (attempt(partial(function, rows)) for rows in (x, x, x[:1]))
        if together is None or again is None or alone is None or not torch.equal(together, again):
            continue  # not finite, or random: those are other complaints
        # A matrix product of one row may be rounded otherwise than one of four.
        rounding = torch.finfo(x.dtype).eps ** 0.5 * float(together.detach().abs().max())
        if together.shape[1:] != alone.shape[1:] or float((together[:1] - alone).detach().abs().max()) > rounding:
            raise InvalidArgument(
                f"{name} must map each path apart from the others, but its first row changes with the other rows; "
                f"reduce over the last dimension only, as in sum(-1)."
            )
