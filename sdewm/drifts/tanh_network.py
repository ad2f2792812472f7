"""A random recurrent network, the drift of a continuous-time latent model."""

from typing import final

import numpy as np
import torch
from torch import Tensor

from ..constant import Certified
from ..dynamics.brownian import generator
from ..dynamics.system import DifferentiableSDE
from ..exceptions import InvalidArgument
from ..hypothesis import Facts
from ..jacobian.box import Box, box_sides
from ..jacobian.chain_bounds import chain_bounds
from ..jacobian.hull import Hull
from ..jacobian.rounding import UNIT, frobenius_bounds
from ..jacobian.slopes import SlopeChain, slope_vertices, vertex_matrices
from ..validation import integer, real


@final
class TanhNetwork(DifferentiableSDE):
    """dx = (−x + W tanh x) dt + (noise + modulation tanh x) dB, one noise a coordinate.

    W has independent normal entries of standard deviation gain / √dim; above a gain of about one the noise-free
    network is chaotic.

    Args:
        dim: number of units.
        gain: standard deviation of W's entries times √dim.
        seed: seed of W.
        noise, modulation: the diffusion's constant and its modulation.
        weight: W itself (dim, dim), in place of a random one.

    Raises:
        InvalidArgument: weight is not (dim, dim).

    Example:
        >>> TanhNetwork(dim=3, weight=torch.zeros(3, 3)).f(torch.tensor(0.0), torch.ones(1, 3))
        tensor([[-1., -1., -1.]])
    """

    weight: Tensor

    drift_facts, diffusion_facts = Facts(), Facts()

    def __init__(
        self,
        dim: int = 8,
        gain: float = 0.4,
        seed: int = 0,
        *,
        noise: float = 0.3,
        modulation: float = 0.2,
        weight: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.dim = integer("dim", dim, least=1)
        self.noise, self.modulation = real("noise", noise), real("modulation", modulation)
        if weight is None:
            scale = real("gain", gain) / self.dim**0.5
            weight = scale * torch.randn(dim, dim, generator=generator(seed, "tanh network")).double()
        if weight.shape != (dim, dim):
            raise InvalidArgument(f"weight must have shape (dim, dim) = {(dim, dim)}, got {tuple(weight.shape)}.")
        self.register_buffer("weight", weight.double())

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        """−x + W tanh x."""
        return torch.tanh(x) @ self.weight.to(x).T - x

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        """noise + modulation tanh x."""
        return self.noise + self.modulation * torch.tanh(x)

    def f_jvp(self, t: Tensor, x: Tensor, v: Tensor) -> Tensor:
        """−v + W (tanh' x ∘ v)."""
        return ((1.0 - torch.tanh(x) ** 2) * v) @ self.weight.to(x).T - v

    def f_second(self, t: Tensor, x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        """W (tanh'' x ∘ v ∘ w)."""
        return (_tanh_second(x) * v * w) @ self.weight.to(x).T

    def g_jvp(self, t: Tensor, x: Tensor, v: Tensor) -> Tensor:
        """modulation tanh' x ∘ v."""
        return self.modulation * (1.0 - torch.tanh(x) ** 2) * v

    def g_second(self, t: Tensor, x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        """modulation tanh'' x ∘ v ∘ w."""
        return self.modulation * _tanh_second(x) * v * w

    def certified(self, box: Box | None = None) -> dict[str, Certified]:
        """Suprema of −I + W D with D = diag(tanh' x_i), over all states or a box.

        Each tanh' x_i takes all of (0, 1], or of its range on the box, apart from the others: up to 12 units the
        vertices of D give the suprema themselves (up to rounding), beyond that the bounds are only bounds.
        """
        chain, where = self._chain(box), "all states" if box is None else "a box"
        # Ends of slopes that are approached, or rounded outwards, are reached up to this part of W.
        short = float(frobenius_bounds(chain.weights[1])[1]) * 2.0**-43
        result = {
            name: Certified(b.above, f"−I + W D, {b.method}, {where}", b.below - short if b.exact else None)
            for name, b in chain_bounds(chain).items()
        }
        modulation, steepest = abs(self.modulation), float(chain.upper[0].max())
        columns = modulation if box is None else modulation * steepest * (1.0 + 4.0 * UNIT)
        reached = modulation if box is None else None
        return {**result, "diffusion": Certified(columns, f"|modulation| sup tanh', {where}", reached)}

    def jacobian_hull(self, box: Box | None = None) -> Hull:
        """−I + W D and the columns modulation D_kk e_k e_kᵀ at the vertices of D.

        Raises:
            InvalidArgument: there are more than 12 units.
        """
        chain = self._chain(box)
        drift, radius = vertex_matrices(chain)
        slopes = self.modulation * slope_vertices(chain)
        columns = np.zeros((len(drift), self.dim, self.dim, self.dim))
        each = np.arange(self.dim)
        columns[:, each, each, each] = slopes
        return Hull(drift, columns, radius, 2.0 * UNIT * np.abs(columns))

    def _chain(self, box: Box | None) -> SlopeChain:
        low, high = np.zeros(self.dim), np.ones(self.dim)
        if box is not None:
            sides = np.stack(box_sides(box, self.dim))
            far, near = np.abs(sides).max(0), np.where(sides[0] * sides[1] <= 0.0, 0.0, np.abs(sides).min(0))
            # NumPy's tanh is right to a few units in the last place.
            low = np.maximum(1.0 - np.tanh(far) ** 2 - 2.0**-48, 0.0)
            high = np.minimum(1.0 - np.tanh(near) ** 2 + 2.0**-48, 1.0)
        weight = self.weight.double().cpu().numpy()
        return SlopeChain((np.eye(self.dim), weight), (low,), (high,), -1.0)


def _tanh_second(x: Tensor) -> Tensor:
    y = torch.tanh(x)
    return -2.0 * y * (1.0 - y**2)
