"""Constants of a bound as they are seen between coupled paths."""

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor

from ...constant import Sampled
from ...dynamics.error import RepresentationError
from ...dynamics.step_map import StepMap
from ...dynamics.system import check_system, probe_of
from ...exceptions import InvalidArgument, NumericalFailure
from ...validation import integer
from .segments import column_supremum, jacobian_suprema, lowered, segment_points

TimedField = Callable[[Any, Tensor, Tensor | None], Tensor]


@final
class Suprema:
    """The largest values seen, by name; the order in which they come makes no difference.

    Example:
        >>> seen = Suprema()
        >>> seen.see({"mu": 1.0})
        >>> seen.see({"mu": 0.5, "spectral": 2.0})
        >>> seen.values
        {'mu': 1.0, 'spectral': 2.0}
    """

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def see(self, values: dict[str, float]) -> None:
        """Keeps the larger of each.

        Raises:
            NumericalFailure: a value is not finite.
        """
        for name, value in values.items():
            if not -torch.inf < value < torch.inf:
                raise NumericalFailure(f"{name} is {value} between the paths: a state or a derivative is not finite.")
            self.values[name] = max(value, self.values.get(name, value))


@final
class SampledConstants:
    """Suprema over the segments between x⁰ and x^ε, collected over blocks of paths and over times.

    At `points` points of each segment: "mu", "spectral" and "frobenius" of the drift's Jacobian, and "diffusion", the
    joint Lipschitz constant λ_max(Σ_k G_kᵀG_k)^½ of the diffusion's columns. At x^ε, where the error acts:
    "drift_error" |σ| and "diffusion_error" (Σ_l |σ̄_l|²)^½. Norms of Jacobians are lowered by what rounding may have
    added, so that a certified constant is not contradicted by a digit.

    Args:
        drift: g(t, x, a) -> (paths, dim), a is None where there are no actions.
        diffusion: (t, x, a) -> (paths, dim) for diagonal noise or (paths, dim, columns), or None.
        drift_error, diffusion_error: of (t, x), or None for 0.
        points: points of each segment, 3 or more; both ends and, for an odd number, the middle are among them.

    Raises:
        InvalidArgument: an argument is not as above.

    Warning:
        A supremum that was sampled is no more than a number that the true one reaches: it can show that a bound holds
        on this system, never that it is violated.

    Example:
        >>> seen = SampledConstants(lambda t, x, a: x - x**3)
        >>> seen.add(0.0, torch.tensor([[-1.0]]), torch.tensor([[1.0]]))
        >>> round(seen.constants()["mu"].value, 4)  # −2 at both ends, 1 in the middle
        1.0
    """

    def __init__(
        self,
        drift: TimedField,
        diffusion: TimedField | None = None,
        drift_error: Callable[[Any, Tensor], Tensor] | None = None,
        diffusion_error: Callable[[Any, Tensor], Tensor] | None = None,
        points: int = 5,
    ) -> None:
        for name, function in (("drift", drift), ("diffusion", diffusion or drift)):
            if not callable(function):
                raise InvalidArgument(f"{name} must be a function of (t, x, a), got {function!r}.")
        self._drift, self._diffusion = drift, diffusion
        self._errors = {"drift_error": drift_error, "diffusion_error": diffusion_error}
        self.points = integer("points", points, least=3)
        self.count = 0
        self._seen = Suprema()

    @staticmethod
    def of(
        system: Any, error: RepresentationError | None = None, points: int = 5, x0: Tensor | None = None
    ) -> "SampledConstants":
        """For a system (a Stratonovich one in its Itô form) and its error.

        Args:
            system: a `LatentSDE` or any torchsde SDE.
            error: the representation error, or None.
            points: points of each segment.
            x0: a state (paths, dim) at which shapes are probed, where the system does not state its `dim`.
        """
        if isinstance(system, StepMap):
            raise InvalidArgument("system must be an SDE, got a StepMap: use SampledStepConstants.")
        probe = probe_of(system, x0)
        action_dim = int(getattr(system, "action_dim", 0))
        checked = check_system(system, probe, probe.new_zeros(len(probe), action_dim) if action_dim else None)
        sigma, sigma_bar = (None, None) if error is None else (error.drift, error.diffusion)
        return SampledConstants(checked.drift, checked.diffusion, sigma, sigma_bar, points)

    def add(self, t: float | Tensor, base: Tensor, perturbed: Tensor, actions: Tensor | None = None) -> None:
        """Looks at paths at one time.

        Args:
            t: the time.
            base, perturbed: x⁰ and x^ε on one Brownian path, (paths, dim).
            actions: (paths, action_dim) or (action_dim,), or None.

        Raises:
            InvalidArgument: the shapes differ.
            NumericalFailure: a state or a derivative is not finite.
        """
        x = segment_points(base, perturbed, self.points)
        time = torch.as_tensor(t, dtype=x.dtype, device=x.device)
        a = action_rows(actions, len(base), self.points)
        values = jacobian_suprema(lambda y, b: self._drift(time, y, b), x, a)
        diffusion = self._diffusion
        if diffusion is not None:
            values["diffusion"] = column_supremum(lambda y, b: diffusion(time, y, b), x, a)
        else:
            values["diffusion"] = 0.0
        self._seen.see(lowered(values, x) | error_sizes(self._errors, time, perturbed))
        self.count += len(base)

    def merge(self, other: "SampledConstants") -> None:
        """Takes in what another one has seen of the same system."""
        self._seen.see(other._seen.values)
        self.count += other.count

    def constants(self) -> dict[str, Sampled]:
        """What was seen, by the names of `CONSTANTS`.

        Raises:
            InvalidArgument: nothing was added yet.
        """
        return sampled(self._seen, self.count, f"{self.points} points of each of {self.count} segments")


def error_sizes(errors: dict[str, Callable[[Any, Tensor], Tensor] | None], time: Any, x: Tensor) -> dict[str, float]:
    """The largest |σ| and (Σ_l |σ̄_l|²)^½ over rows; 0 for a part that is None."""
    with torch.no_grad():
        return {
            name: 0.0 if part is None else float(part(time, x).flatten(1).norm(dim=1).max())
            for name, part in errors.items()
        }


def sampled(seen: Suprema, count: int, where: str) -> dict[str, Sampled]:
    """Suprema as constants.

    Raises:
        InvalidArgument: there are none.
    """
    if not count:
        raise InvalidArgument("no states were added: call add(t, base, perturbed) first.")
    return {name: Sampled(value, where) for name, value in seen.values.items()}


def action_rows(actions: Tensor | None, paths: int, points: int) -> Tensor | None:
    """Actions (paths, action_dim) or (action_dim,) for every point of every segment."""
    if actions is None:
        return None
    if actions.ndim == 1:
        actions = actions.expand(paths, -1)
    if actions.ndim != 2 or len(actions) != paths:
        raise InvalidArgument(
            f"actions must have shape ({paths}, action_dim) or (action_dim,), got {tuple(actions.shape)}."
        )
    return actions.repeat(points, 1)
