"""Rasterised images of known intrinsic dimension, and an estimator of the dimension that does not know it."""

import math
from typing import final

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..dynamics.brownian import generator
from ..exceptions import InvalidArgument
from ..validation import integer

# Position across and down, width, brightness: the first d of them vary.
PARAMETERS = 4


@final
class Blobs:
    """Images of one soft blob, an immersed cube of dimension d in the space of images.

    The image of θ in [0, 1]^d is

        I(p) = b exp(−|p − c|² / (2 w²)),   c = (¼ + ½ θ₁, ¼ + ½ θ₂),   w = 3^θ₃ / 12,   b = ¼ + ¾ θ₄,

    at the centres p of size × size pixels of [0, 1]². Parameters beyond d stay at ½. A blob is never narrower than
    size/12 pixels, so that a raster of 16 hardly aliases it, and its centre never comes near the edge; so the embedding
    is smooth, injective, and neither contracts nor stretches distances by more than a constant factor. The ranges are
    such that all parameters move the image about equally far.

    Args:
        dim: the intrinsic dimension d, from 1 to 4.
        size: pixels along a side, at least 16.

    Raises:
        InvalidArgument: dim or size is out of range.

    Example:
        >>> blobs = Blobs(2)
        >>> blobs.sample(5, seed=0).shape
        torch.Size([5, 1, 16, 16])
    """

    def __init__(self, dim: int, size: int = 16) -> None:
        self.dim = integer("dim", dim, least=1)
        self.size = integer("size", size, least=16)
        if dim > PARAMETERS:
            raise InvalidArgument(f"dim must be at most {PARAMETERS}, the number of a blob's parameters, got {dim}.")

    def parameters(self, count: int, source: torch.Generator) -> Tensor:
        """Independent θ, uniform on [0, 1]^d, (count, d)."""
        return torch.rand(integer("count", count, least=1), self.dim, generator=source)

    def images(self, theta: Tensor) -> Tensor:
        """The images (count, 1, size, size) of parameters θ (count, d), in the dtype of θ.

        Raises:
            InvalidArgument: θ has another shape.
        """
        if theta.ndim != 2 or theta.shape[1] != self.dim:
            raise InvalidArgument(f"theta must have shape (count, {self.dim}), got {tuple(theta.shape)}.")
        rest = torch.full((len(theta), PARAMETERS - self.dim), 0.5, dtype=theta.dtype)
        across, down, wide, bright = torch.cat((theta, rest), 1)[..., None].unbind(1)
        pixels = (torch.arange(self.size, dtype=theta.dtype) + 0.5) / self.size
        scale = 12.0 * 3.0**-wide
        row, column = (torch.exp(-0.5 * ((pixels - 0.25 - 0.5 * at) * scale) ** 2) for at in (down, across))
        # A blob is a product of its profiles along both axes.
        return ((0.25 + 0.75 * bright) * row)[:, None, :, None] * column[:, None, None, :]

    def sample(self, count: int, *, seed: int, purpose: str = "blobs") -> Tensor:
        """Independent images (count, 1, size, size); samples for different purposes are independent."""
        return self.images(self.parameters(count, generator(seed, purpose)))

    def jacobian(self, theta: Tensor) -> Tensor:
        """Derivatives (count, pixels, d) of the flattened images by θ (count, d)."""

        def pixels(t: Tensor) -> Tensor:
            return self.images(t[None]).flatten()

        result: Tensor = torch.func.vmap(torch.func.jacfwd(pixels))(theta)
        return result

    def normal_part(self, theta: Tensor, images: Tensor) -> Tensor:
        """How far images (count, 1, size, size) are from the tangent spaces at the images of θ, (count,).

        Up to the second order of the error it is the distance to the set M of all images, continued beyond the cube.
        That distance vanishes on M and has the Lipschitz constant 1, so that its mean bounds W₁ between any law on M
        and the law of `images` from below (Kantorovich, Rubinstein): what is wrong with a reconstruction and cannot be
        undone by pairing it with another image.

        Warning:
            Neither the second order nor whether another part of M is nearer is checked.
        """
        vectors = flat(images - self.images(theta))[..., None]
        basis = torch.linalg.qr(self.jacobian(theta)).Q
        result: Tensor = (vectors - basis @ (basis.mT @ vectors)).squeeze(-1).norm(dim=1)
        return result


def flat(images: Tensor) -> Tensor:
    """Images as vectors (count, pixels) whose Euclidean norm is the root mean square over the pixels.

    So distances hardly depend on how fine the raster is: they approximate those in L² of the unit square.
    """
    vectors = images.flatten(1)
    result: Tensor = vectors / math.sqrt(vectors.shape[1])
    return result


def neighbour_dimension(points: ArrayLike, neighbours: int = 10) -> float:
    """The intrinsic dimension of a sample, from the distances to its nearest neighbours.

    With r_j the distance to the j-th of k neighbours, near points of a d-dimensional set log(r_k / r_j) are d⁻¹ times
    the order statistics of k − 1 exponential variables, so that

        d̂ = (k − 1) n / Σ_points Σ_{j<k} log(r_k / r_j).

    Args:
        points: (n, D), all different.
        neighbours: k, at least 3.

    Raises:
        InvalidArgument: there are no more points than neighbours, or two are equal.

    Warning:
        It supposes that the density hardly changes within a neighbourhood; near an edge, or where the set is curved,
        it does. In a cube the edge makes d̂ too small, the more so the larger d is.

    Source:
        Levina, Bickel, "Maximum likelihood estimation of intrinsic dimension", NIPS 2004, with the mean of inverses by
        MacKay, Ghahramani 2005.

    Example:
        >>> square = np.random.default_rng(0).random((1000, 2))
        >>> round(neighbour_dimension(square @ np.ones((2, 3)))), round(neighbour_dimension(square))
        (1, 2)
    """
    from scipy.spatial import cKDTree  # here, so that importing the package stays quick

    x, k = np.asarray(points, dtype=np.float64), integer("neighbours", neighbours, least=3)
    if x.ndim != 2 or len(x) <= k:
        raise InvalidArgument(f"points must have shape (n, D) with n > {k} = neighbours, got {x.shape}.")
    distances = cKDTree(x).query(x, k + 1)[0][:, 1:]
    if not float(distances.min()) > 0.0:
        raise InvalidArgument("points must all be different: two at distance zero have no neighbourhood.")
    logs = np.log(distances[:, -1:] / distances[:, :-1]).sum(1)
    return float((k - 1) / logs.mean())
