"""The laws of a recurrent model's latent: how a network's numbers become one, how it is drawn, how two are compared."""

from abc import ABC, abstractmethod
from typing import NamedTuple, final

import torch
from torch import Tensor
from torch.nn.functional import one_hot, softplus


class Law(NamedTuple):
    """Parameters of a law of z, each (..., latent).

    Attributes:
        mean: means, or the probabilities of one-hot latents.
        scale: standard deviations; None for one-hot latents.
    """

    mean: Tensor
    scale: Tensor | None


class Latents(ABC):
    """A family of laws of z.

    Attributes:
        size: of z.
        parameters: how many numbers of a network make a law.
        normals: how many standard normals make a draw.
    """

    size: int
    parameters: int
    normals: int

    @abstractmethod
    def law(self, numbers: Tensor) -> Law:
        """The law that a network's numbers (..., parameters) stand for."""

    @abstractmethod
    def draw(self, law: Law, normals: Tensor) -> Tensor:
        """z (..., latent) from standard normals (..., normals), differentiable by the law."""

    @abstractmethod
    def relative_entropy(self, law: Law, other: Law) -> Tensor:
        """KL(law ‖ other), (...,)."""


@final
class GaussianLatents(Latents):
    """z ~ N(μ, σ²), σ = softplus(·) + floor.

    Args:
        size: of z.
        floor: smallest standard deviation.
    """

    def __init__(self, size: int, floor: float) -> None:
        self.size, self.parameters, self.normals, self.floor = size, 2 * size, size, floor

    def law(self, numbers: Tensor) -> Law:
        """The first half are the means."""
        mean, raw = numbers.chunk(2, dim=-1)
        return Law(mean, softplus(raw) + self.floor)

    def draw(self, law: Law, normals: Tensor) -> Tensor:
        """μ + σ ξ."""
        assert law.scale is not None
        return torch.addcmul(law.mean, law.scale, normals)

    def relative_entropy(self, law: Law, other: Law) -> Tensor:
        """Σ log(σ'/σ) + (σ² + (μ − μ')²) / 2σ'² − ½."""
        assert law.scale is not None
        assert other.scale is not None
        ratio, gap = law.scale / other.scale, (law.mean - other.mean) / other.scale
        return (0.5 * (ratio.square() + gap.square() - 1.0) - ratio.log()).sum(-1)


@final
class CategoricalLatents(Latents):
    """z of one-hot groups, with a little of the uniform law mixed in, so that no class becomes impossible.

    Args:
        groups, classes: number of categorical variables, and of the classes of each.
        uniform: the share of the uniform law.
    """

    def __init__(self, groups: int, classes: int, uniform: float) -> None:
        self.groups, self.classes, self.uniform = groups, classes, uniform
        self.size = self.parameters = groups * classes
        self.normals = groups

    def law(self, numbers: Tensor) -> Law:
        """(1 − uniform) softmax + uniform / classes in each group."""
        p = numbers.unflatten(-1, (self.groups, self.classes)).softmax(-1)
        return Law(((1.0 - self.uniform) * p + self.uniform / self.classes).flatten(-2), None)

    def draw(self, law: Law, normals: Tensor) -> Tensor:
        """The one-hot latent of the inverse distribution function at Φ(ξ), with the gradient of the probabilities."""
        p = law.mean.unflatten(-1, (self.groups, self.classes))
        uniform = torch.special.ndtr(normals)[..., None]
        # Without the last rung, which rounding may put below one.
        drawn = (p.detach().cumsum(-1)[..., :-1] < uniform).sum(-1)
        hot = one_hot(drawn, self.classes).to(p)
        # Straight through: the value is one-hot, the gradient that of p.
        drawn_z: Tensor = (hot + (p - p.detach())).flatten(-2)
        return drawn_z

    def relative_entropy(self, law: Law, other: Law) -> Tensor:
        """Σ p log(p / p')."""
        return (law.mean * (law.mean.log() - other.mean.log())).sum(-1)
