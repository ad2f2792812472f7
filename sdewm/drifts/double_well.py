"""A double well with state-dependent noise: two stable states and non-commuting derivatives."""

from typing import final

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
class DoubleWell(DifferentiableSDE):
    """dx_i = (x_i − x_i³) dt + (noise + modulation sin x_i) dB^i.

    Args:
        noise, modulation: the diffusion's constant and its modulation.
        dim: number of independent copies.

    Warning:
        The drift is not globally Lipschitz: explicit Euler steps can explode where h x² is large, and the moments of
        the scheme are then not those of the equation.

    Example:
        >>> DoubleWell().f(torch.tensor(0.0), torch.full((1, 1), 2.0))
        tensor([[-6.]])
    """

    drift_facts, diffusion_facts = Facts("one-sided"), Facts()

    def __init__(self, noise: float = 0.5, modulation: float = 0.3, dim: int = 1) -> None:
        super().__init__()
        self.noise, self.modulation = real("noise", noise), real("modulation", modulation)
        self.dim = integer("dim", dim, least=1)

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        """x − x³."""
        return x - x**3

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        """noise + modulation sin x."""
        return self.noise + self.modulation * torch.sin(x)

    def f_jvp(self, t: Tensor, x: Tensor, v: Tensor) -> Tensor:
        """(1 − 3x²) v."""
        return (1.0 - 3.0 * x**2) * v

    def f_second(self, t: Tensor, x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        """−6 x v w."""
        return -6.0 * x * v * w

    def g_jvp(self, t: Tensor, x: Tensor, v: Tensor) -> Tensor:
        """modulation cos(x) v."""
        return self.modulation * torch.cos(x) * v

    def g_second(self, t: Tensor, x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        """−modulation sin(x) v w."""
        return -self.modulation * torch.sin(x) * v * w

    def certified(self, box: Box | None = None) -> dict[str, Certified]:
        """Exact suprema of diag(1 − 3 x_i²), over all states or a box, and of the diffusion's modulation · cos x_i.

        The log-norm is 1 over all states. The spectral norm is infinite there: explicit steps need a box, and a proof
        that paths stay in it.
        """
        least, most = squares(box, self.dim)
        # 1 − 3 · 0 is exact.
        low, high = (0.0, 0.0) if box is None else (8.0 * UNIT * (1.0 + 3.0 * x) * (x > 0.0) for x in (most, least))
        source = "diag(1 − 3x²)" + ("" if box is None else " on a box")
        modulation = abs(self.modulation)
        columns = Certified(modulation, "|modulation|, all states", modulation if box is None else None)
        return {**diagonal_constants(1.0 - 3.0 * most, 1.0 - 3.0 * least, source, (low, high)), "diffusion": columns}
