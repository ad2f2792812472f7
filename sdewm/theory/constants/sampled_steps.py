"""Constants of a step map as they are seen between coupled paths."""

from typing import final

from torch import Tensor

from ...constant import Sampled
from ...dynamics.error import RepresentationError
from ...dynamics.step_map import StepMap, time_of
from ...exceptions import InvalidArgument
from ...validation import integer
from .sampled import Suprema, action_rows, error_sizes, sampled
from .segments import column_supremum, jacobian_suprema, lowered, segment_points


@final
class SampledStepConstants:
    """Suprema of a step's derivatives over the segments between x⁰ and x^ε.

    For x' = mean(n, x, a) + scale(n, x, a) ξ: "spectral" and "frobenius" of D mean, "diffusion", the joint Lipschitz
    constant of the scale's columns, and the error's sizes a step, "drift_error" and "diffusion_error", at x^ε.

    Args:
        step: the step map.
        error: its error a step, or None.
        points: points of each segment, 3 or more.

    Raises:
        InvalidArgument: an argument is not as above.

    Warning:
        As for `SampledConstants`: the true suprema are these numbers or more.

    Example:
        >>> import torch
        >>> step = StepMap(lambda n, x, a: 0.9 * x, lambda n, x, a: 0.1 * x, dim=2, noise_dim=2)
        >>> seen = SampledStepConstants(step)
        >>> seen.add(0, torch.zeros(4, 2), torch.ones(4, 2))
        >>> round(seen.constants()["frobenius"].value, 4), round(seen.constants()["diffusion"].value, 4)
        (1.2728, 0.1)
    """

    def __init__(self, step: StepMap, error: RepresentationError | None = None, points: int = 5) -> None:
        if not isinstance(step, StepMap):
            raise InvalidArgument(f"step must be a StepMap, got {type(step).__name__}; make one by euler_map.")
        self._step = step
        self._errors = {
            "drift_error": None if error is None else error.drift,
            "diffusion_error": None if error is None else error.diffusion,
        }
        self.points = integer("points", points, least=3)
        self.count = 0
        self._seen = Suprema()

    def add(self, n: int, base: Tensor, perturbed: Tensor, actions: Tensor | None = None) -> None:
        """Looks at paths before step n.

        Args:
            n: index of the step.
            base, perturbed: x⁰ and x^ε on one path of the noise, (paths, dim).
            actions: (paths, action_dim) or (action_dim,), or None.

        Raises:
            InvalidArgument: the shapes differ.
            NumericalFailure: a state or a derivative is not finite.
        """
        x = segment_points(base, perturbed, self.points)
        a = action_rows(actions, len(base), self.points)
        values = jacobian_suprema(lambda y, b: self._step.mean(n, y, b), x, a)
        values.pop("mu", None)  # of a step it says nothing
        values["diffusion"] = column_supremum(lambda y, b: self._step.scale(n, y, b), x, a)
        self._seen.see(lowered(values, x) | error_sizes(self._errors, time_of(None, n, perturbed), perturbed))
        self.count += len(base)

    def merge(self, other: "SampledStepConstants") -> None:
        """Takes in what another one has seen of the same step."""
        self._seen.see(other._seen.values)
        self.count += other.count

    def constants(self) -> dict[str, Sampled]:
        """What was seen, by name.

        Raises:
            InvalidArgument: nothing was added yet.
        """
        return sampled(self._seen, self.count, f"{self.points} points of each of {self.count} segments")
