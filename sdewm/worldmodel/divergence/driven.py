"""A step with its actions and its noise in hand: a deterministic map for each step index."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor, nn

from ...dynamics.step_map import StepMap, multiply

Call = Callable[[int, Tensor, Tensor | None, Tensor | None], Any]


@final
@dataclass(frozen=True, eq=False)
class DrivenMap:
    """x ↦ step(x, a_n, ξ_n) for n = 0, …, horizon − 1, on fixed actions and noise.

    Attributes:
        call: the step of (n, x, a, ξ), where a and ξ may be None.
        dim: columns of x.
        horizon: number of steps.
        actions: (horizon, paths, action), or None.
        noise: (horizon, paths, noise_dim), or None.
    """

    call: Call
    dim: int
    horizon: int
    actions: Tensor | None = None
    noise: Tensor | None = None

    def __call__(self, n: int, x: Tensor) -> Any:
        """The states after step n, in memory of their own: some steps write each value over the one before."""
        return _copied(self.call(n, x, *self._driving(n)))

    def rows(self, index: Tensor) -> "DrivenMap":
        """The same for some of the paths."""
        actions = None if self.actions is None else self.actions[:, index.to(self.actions.device)]
        noise = None if self.noise is None else self.noise[:, index.to(self.noise.device)]
        return replace(self, actions=actions, noise=noise)

    def double(self, step: Any) -> "DrivenMap":
        """The same in float64, with another step."""
        actions = None if self.actions is None else self.actions.double()
        noise = None if self.noise is None else self.noise.double()
        return replace(self, call=call_of(step), actions=actions, noise=noise)

    def joined(self, n: int, x: Tensor) -> Tensor:
        """(x, a_n, ξ_n) side by side, one row a path: what vmap can take apart."""
        return torch.cat((x, *(part for part in self._driving(n) if part is not None)), 1)

    def of_joined(self, n: int) -> Callable[[Tensor], Tensor]:
        """Step n as a function of such rows."""
        width = 0 if self.actions is None else self.actions.shape[2]

        def function(rows: Tensor) -> Tensor:
            x, a, xi = rows.tensor_split((self.dim, self.dim + width), dim=1)
            y = self.call(n, x, None if self.actions is None else a, None if self.noise is None else xi)
            value: Tensor = _copied(y)
            return value

        return function

    def _driving(self, n: int) -> tuple[Tensor | None, Tensor | None]:
        return (
            None if self.actions is None else self.actions[n],
            None if self.noise is None else self.noise[n],
        )


def call_of(step: Any) -> Call:
    """A step map, or a plain step(x), step(x, a) or step(x, a, noise), as a function of (n, x, a, ξ)."""
    if isinstance(step, StepMap):

        def of_map(n: int, x: Tensor, a: Tensor | None, xi: Tensor | None) -> Tensor:
            y = step.mean(n, x, a)
            # Without noise columns the scale has nothing to multiply.
            return y if xi is None else y + multiply(step.scale(n, x, a), xi)

        return of_map

    def plain(n: int, x: Tensor, a: Tensor | None, xi: Tensor | None) -> Any:
        if xi is not None:
            return step(x, a, xi)
        return step(x) if a is None else step(x, a)

    return plain


def _copied(y: Any) -> Any:
    return y.clone() if isinstance(y, Tensor) else y


def spelled(driven: DrivenMap) -> str:
    """How the step is called, for messages."""
    if driven.noise is not None:
        return "step(x, a, noise)" if driven.actions is not None else "step(x, None, noise)"
    return "step(x)" if driven.actions is None else "step(x, a)"


def home_of(step: Any) -> tuple[torch.dtype | None, torch.device | None]:
    """Dtype and device of a module's first weight, or of a step map that insists on a dtype."""
    weight = next(step.parameters(), None) if isinstance(step, nn.Module) else None
    if weight is not None and weight.dtype.is_floating_point:
        return weight.dtype, weight.device
    return (step.dtype if isinstance(step, StepMap) else None), None
