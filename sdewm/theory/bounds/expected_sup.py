"""The expected-supremum form of the paper, as reconstructed: it is no theorem, and stands here to be tested."""

import math
from typing import final

import numpy as np
import torch
from torch import Tensor

from ...exceptions import InvalidArgument
from ...grid import TimeGrid
from ...validation import positive
from .bound import Array, Bound, Numbers, Setting, numbers


@final
class ExpectedSup(Bound):
    """E|e| <= δ C_T (e^{J₀} + e^{J₁}), with J₀, J₁ expected suprema of the Jacobians' Frobenius norms; no theorem.

    In the paper J₀ = F_h + F_z + P_h sums such expectations over the blocks of the drift, and J₁ is its twin for the
    diffusion; here J = t E sup_{[0,T]} ‖J‖_F for the whole Jacobian, which in one dimension is the same. δ is the
    error's size, taken as (E|e_0|²)^½ + ε(s + s̄). Three steps towards such a bound fail: Jensen's inequality,
    E e^X >= e^{E X}, goes the other way; the diffusion's Jacobian must enter squared, as in e^{Λ²t/2}; and E[|e_0| e^X]
    does not factor.

    Args:
        constant: C_T. No number rescues the form: on dx = z tanh(x) dt with P(z = M) = 1/M, z = 0 else, its logarithmic
            gap grows like M.

    Raises:
        InvalidArgument: constant is not positive.

    Source: Fang, Du, Wang, Zhang, arXiv:2501.00195, error propagation bound (as reconstructed).

    Warning:
        It is not a bound.

    Example:
        >>> from sdewm import TimeGrid
        >>> numbers = {"expected_drift_jacobian": 0.0, "expected_diffusion_jacobian": 0.0, "drift_error": 1.0,
        ...            "diffusion_error": 0.0}
        >>> ExpectedSup().continuous(numbers, Setting(TimeGrid(1.0, 1), eps=0.1))
        array([0.2, 0.2])
    """

    name = "expected supremum"
    statement = "E|e| <= δ C_T (e^{J₀} + e^{J₁}), J = t E sup ‖J‖_F"
    hypotheses = ("error small",)
    reference = "arXiv:2501.00195, as reconstructed; no theorem"
    constants = ("expected_drift_jacobian", "expected_diffusion_jacobian", "drift_error", "diffusion_error")
    power = 1.0
    theorem = False

    def __init__(self, constant: float = 1.0) -> None:
        self.constant = positive("constant", constant)

    def continuous(self, constants: Numbers, setting: Setting) -> Array:
        """The form at the grid's times."""
        drift, diffusion, s, s_bar = numbers(constants, *self.constants)
        times = np.asarray(setting.grid.times)
        size = setting.initial + setting.eps * (s + s_bar)
        with np.errstate(over="ignore"):
            return np.asarray(size * self.constant * (np.exp(times * drift) + np.exp(times * diffusion)))

    def discrete(self, constants: Numbers, setting: Setting) -> Array:
        """The same: the form does not tell the equation from its steps."""
        return self.continuous(constants, setting)


def running_exponents(norms: Tensor, grid: TimeGrid) -> Tensor:
    """t_n max_{k <= n} ‖J(x_k)‖_F of each path, whose mean over the paths is J at t_n.

    Args:
        norms: Frobenius norms of the Jacobian on the paths, (steps + 1, paths).
        grid: the time grid.

    Returns:
        (steps + 1, paths).

    Raises:
        InvalidArgument: norms does not have one row for each grid time.

    Example:
        >>> running_exponents(torch.tensor([[1.0], [3.0], [2.0]]), TimeGrid(1.0, 2)).T
        tensor([[0.0000, 1.5000, 3.0000]])
    """
    if norms.ndim != 2 or len(norms) != grid.steps + 1:
        raise InvalidArgument(
            f"norms must have shape (steps + 1, paths) with steps = {grid.steps}, got {tuple(norms.shape)}."
        )
    times = torch.tensor(grid.times, dtype=norms.dtype, device=norms.device)
    return times[:, None] * norms.cummax(0).values


def expected_sup_form(drift: float, diffusion: float, delta: float, constant: float = 1.0) -> float:
    """δ C_T (e^{J₀} + e^{J₁}) for expectations that were estimated otherwise, such as block by block.

    Args:
        drift, diffusion: J₀ and J₁.
        delta: size of the error, above zero.
        constant: C_T, above zero.

    Raises:
        InvalidArgument: delta or constant is not positive.

    Example:
        >>> expected_sup_form(0.0, 0.0, 0.5)
        1.0
    """
    return positive("delta", delta) * positive("constant", constant) * (math.exp(drift) + math.exp(diffusion))
