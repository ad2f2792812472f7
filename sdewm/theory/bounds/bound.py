"""What a bound on the error of a rollout is: a statement with hypotheses, and a curve over the grid."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...constant import Constant
from ...exceptions import InvalidArgument
from ...grid import TimeGrid
from ...validation import integer, positive, real

Array = NDArray[np.float64]
Numbers = Mapping[str, float]

# The constants that a bound may ask for, each a supremum; a bound's curve increases in every one of them.
CONSTANTS = {
    "mu": "log-norm: largest eigenvalue of the symmetric part of the drift's Jacobian",
    "spectral": "spectral norm of the drift's Jacobian",
    "frobenius": "Frobenius norm of the drift's Jacobian",
    "diffusion": "joint Lipschitz constant of the diffusion columns, Λ: Σ_k |ḡ_k(x) − ḡ_k(y)|² <= Λ² |x − y|²",
    "drift_error": "|σ|, the drift error",
    "diffusion_error": "(Σ_l |σ̄_l|²)^½, the diffusion error",
    "diffusion_error_operator": "spectral norm of the diffusion error σ̄ as a matrix (dim, m̄)",
    "step_norm": "spectral norm of I + h Dg, the Jacobian of the drift part of one Euler step of the grid at hand",
    "weighted_rate": "least ν with M Dg + Dgᵀ M + Σ_k Dḡ_kᵀ M Dḡ_k <= 2ν M",
    "weighted_spectral": "operator norm of the drift's Jacobian in the norm |v|_M = (vᵀ M v)^½",
    "weighted_diffusion": "joint Lipschitz constant of the diffusion columns in the norm of M",
    "weighted_drift_error": "|σ|_M",
    "weighted_diffusion_error": "(Σ_l |σ̄_l|_M²)^½",
    "weighted_step": "least κ with (I + h Dg)ᵀ M (I + h Dg) + h Σ_k Dḡ_kᵀ M Dḡ_k <= κ² M, for the grid at hand",
    "weighted_step_norm": "operator norm of I + h Dg in the norm of M, for the grid at hand",
    "step_mean": "Lipschitz constant of the mean of a step map",
    "step_scale": "joint Lipschitz constant of the scale of a step map, in the Frobenius norm",
    "expected_drift_jacobian": "mean over paths of the largest ‖Dg‖_F on a path",
    "expected_diffusion_jacobian": "the same for the diffusion's Jacobian",
}
_SIGNED = ("mu", "weighted_rate")


def numbers(constants: Numbers, *names: str) -> tuple[float, ...]:
    """The named constants.

    Raises:
        InvalidArgument: one is missing, is not a number, or is negative and may not be.
    """
    for name in names:
        if name not in constants:
            raise InvalidArgument(f"constants must hold {name!r} ({CONSTANTS[name]}), got {', '.join(constants)}.")
        value = constants[name]
        if value != value or (value < 0.0 and name not in _SIGNED):
            raise InvalidArgument(f"the constant {name!r} must be a number >= 0, got {value!r}.")
    return tuple(float(constants[name]) for name in names)


@final
@dataclass(frozen=True)
class Setting:
    """What a bound is evaluated for.

    Args:
        grid: the time grid.
        eps: size ε of the error, above zero.
        initial: root mean square of |x^ε_0 − x_0|.
        correlation: ‖ρ‖₂ of the error's noise with the base's: 1 if shared, 0 if independent.
        dim: dimension of the state.
        initial_moment: E e₀ e₀ᵀ for e₀ = x^ε_0 − x_0, (dim, dim), where it is known; else only its trace initial² is.
        initial_fourth: (E |e₀|⁴)^¼, where it is known; for a start that is not random it is `initial`.
        random_base: whether the base has noise.
        additive_error: whether the diffusion error σ̄ is one matrix for all times and states.

    Raises:
        InvalidArgument: a number is out of its range, or the moments of the start contradict each other.
    """

    grid: TimeGrid
    eps: float
    initial: float = 0.0
    correlation: float = 1.0
    dim: int = 1
    initial_moment: tuple[tuple[float, ...], ...] | None = None
    initial_fourth: float | None = None
    random_base: bool = True
    additive_error: bool = False

    def __post_init__(self) -> None:
        integer("dim", self.dim, least=1)
        positive("eps", self.eps)
        if not real("initial", self.initial) >= 0.0:
            raise InvalidArgument(f"initial must be at least 0, got {self.initial!r}.")
        if not 0.0 <= real("correlation", self.correlation) <= 1.0:
            raise InvalidArgument(f"correlation must be a norm in [0, 1], got {self.correlation!r}.")
        if self.initial_moment is not None:
            self._check_moment(np.asarray(self.initial_moment, dtype=np.float64))
        fourth = self.initial_fourth
        if fourth is not None and not real("initial_fourth", fourth) >= self.initial * (1.0 - 1e-9):
            raise InvalidArgument(f"initial_fourth must be at least initial = {self.initial!r}, got {fourth!r}.")

    def _check_moment(self, moment: Array) -> None:
        if moment.shape != (self.dim, self.dim) or not np.isfinite(moment).all():
            raise InvalidArgument(
                f"initial_moment must be finite and of shape (dim, dim) = {(self.dim, self.dim)}, got {moment.shape}."
            )
        trace = float(np.trace(moment))
        if abs(trace - self.initial**2) > 1e-9 * max(trace, self.initial**2):
            raise InvalidArgument(f"initial_moment must have the trace initial² = {self.initial**2!r}, got {trace!r}.")
        if np.abs(moment - moment.T).max() > 1e-9 * trace or np.linalg.eigvalsh(moment)[0] < -1e-9 * trace:
            raise InvalidArgument(
                "initial_moment must be symmetric and positive semidefinite, as a moment E e₀ e₀ᵀ is."
            )
        # A frozen setting is compared and hashed, which an array is not.
        object.__setattr__(self, "initial_moment", tuple(map(tuple, moment.tolist())))


class Bound(ABC):
    """A bound on e_t = x^ε_t − x⁰_t, on one Brownian path.

    Attributes:
        name: short name.
        statement: the inequality in one line.
        hypotheses: what its proof assumes, by name; what is not checked is reported as unchecked.
        reference: where it is from, "as reconstructed" for the paper's formulas.
        constants: the names (see `CONSTANTS`) of what its curve depends on, increasing in each.
        optional: names of further constants that make the discrete curve smaller where they are given.
        known: constants that come with the bound.
        running: whether the quantity is a maximum over all times up to t; see `observed`.
        power: the p of the quantity (E|e|^p)^(1/p) that is bounded.
        theorem: whether it has a proof; without one a violation is no surprise.
        implied: those of the hypotheses that hold wherever all constants are certified; while another one is unchecked,
            nothing violates the bound.
        quantity: what is bounded, in words; by default by the power.
    """

    name: str
    statement: str
    hypotheses: tuple[str, ...]
    reference: str
    constants: tuple[str, ...]
    optional: tuple[str, ...] = ()
    known: Mapping[str, Constant] = MappingProxyType({})
    running: bool = False
    power: float = 2.0
    theorem: bool = True
    implied: tuple[str, ...] = ()
    quantity: str = ""

    @abstractmethod
    def continuous(self, constants: Numbers, setting: Setting) -> Array:
        """The bound on (E|e_t|^p)^(1/p) for the equation itself, (steps + 1,); infinite where a constant is.

        Raises:
            InvalidArgument: a constant is missing or no number.
            Refused: there is no continuous theorem.
        """

    @abstractmethod
    def discrete(self, constants: Numbers, setting: Setting) -> Array:
        """The same for the explicit Euler steps of the grid, (steps + 1,); what simulated paths are checked against.

        Raises:
            InvalidArgument: a constant is missing or no number.
            Refused: there is no discrete theorem.
        """

    def refuses(self, setting: Setting, initial: bool, drift: bool, diffusion: bool) -> str | None:
        """Why the bound does not cover an error with these parts, or None."""
        return None

    def observed(self, e: Tensor) -> Tensor:
        """What is averaged, of states (paths, dim): |e|^p."""
        norm: Tensor = (e * e).sum(-1)
        return norm ** (self.power / 2)
