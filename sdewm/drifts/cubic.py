"""Cubic damping: a drift whose Hessian decides the sign of the second-order effect."""

from typing import final

import numpy as np
import torch
from torch import Tensor

from ..constant import Certified
from ..dynamics.system import DifferentiableSDE
from ..hypothesis import Facts
from ..jacobian.box import Box
from ..jacobian.diagonal import diagonal_constants, squares
from ..jacobian.rounding import UNIT
from ..validation import integer, real


@final
class Cubic(DifferentiableSDE):
    """dx_i = −rate x_i³ dt + noise dB^i.

    Args:
        rate: strength of the damping.
        noise: constant diffusion; 0 makes the base deterministic.
        dim: number of independent copies.

    Warning:
        The drift is not globally Lipschitz: explicit Euler steps can explode where h x² is large, and the moments of
        the scheme are then not those of the equation.

    Example:
        >>> Cubic().f(torch.tensor(0.0), torch.full((1, 1), 2.0))
        tensor([[-8.]])
    """

    diffusion_facts = Facts()

    def __init__(self, rate: float = 1.0, noise: float = 0.0, dim: int = 1) -> None:
        super().__init__()
        self.rate, self.noise = real("rate", rate), real("noise", noise)
        self.dim = integer("dim", dim, least=1)
        self.drift_facts = Facts("one-sided" if self.rate > 0.0 else "explosive" if self.rate < 0.0 else "linear")

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        """−rate x³."""
        return -self.rate * x**3

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        """noise."""
        return torch.full_like(x, self.noise)

    def f_jvp(self, t: Tensor, x: Tensor, v: Tensor) -> Tensor:
        """−3 rate x² v."""
        return -3.0 * self.rate * x**2 * v

    def f_second(self, t: Tensor, x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        """−6 rate x v w."""
        return -6.0 * self.rate * x * v * w

    def g_jvp(self, t: Tensor, x: Tensor, v: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(v)

    def g_second(self, t: Tensor, x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(v)

    def certified(self, box: Box | None = None) -> dict[str, Certified]:
        """Exact suprema of the Jacobian diag(−3 rate x_i²), over all states or a box; infinite where they are."""
        least, most = squares(box, self.dim)
        factor = -3.0 * self.rate
        ends = np.zeros((2, self.dim)) if factor == 0.0 else np.sort([factor * least, factor * most], axis=0)
        # A square, a product and the factor's own rounding; zero is exact.
        low, high = (0.0, 0.0) if box is None else 8.0 * UNIT * np.abs(ends)
        source = "diag(−3 rate x²)" + ("" if box is None else " on a box")
        return {
            **diagonal_constants(ends[0], ends[1], source, (low, high)),
            "diffusion": Certified(0.0, "constant diffusion", 0.0),
        }
