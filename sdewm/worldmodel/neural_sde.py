"""A latent neural SDE with actions, in the leaky four blocks of `FourBlock`."""

import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from ..drifts.four_block import FourBlock, Joined, OfHidden
from ..dynamics.brownian import generator
from ..exceptions import InvalidArgument
from ..validation import integer, positive
from .episodes import Episodes


@final
@dataclass(frozen=True)
class Architecture:
    """Sizes and constants of a `NeuralSDE`.

    Attributes:
        observation, action: sizes of o and a.
        latent: size of z and z̃.
        hidden: size of h.
        width: width of every network.
        leak: τ of the blocks z, z̃, õ, in environment steps; 1 draws z anew at every step.
        scale_floor: smallest diffusion of z and z̃. It bounds the running cost of their relative entropy.

    Raises:
        InvalidArgument: a size is below 1, or a constant is out of range.
    """

    observation: int
    action: int
    latent: int = 8
    hidden: int = 64
    width: int = 64
    leak: float = 2.0
    scale_floor: float = 0.05

    def __post_init__(self) -> None:
        for name in ("observation", "action", "latent", "hidden", "width"):
            integer(name, getattr(self, name), least=1)
        positive("scale_floor", self.scale_floor)
        if not positive("leak", self.leak) >= 1.0:
            raise InvalidArgument(f"leak must be at least one environment step, the Euler step, got {self.leak:g}.")


@final
class NeuralSDE(nn.Module):
    """A world model as a stochastic differential equation; its time unit is one environment step.

        dz = (q(h, o) − z/τ) dt + s(h) dB            while filtering
        dh = γ(h, u, a) ⊙ (tanh c(h, u, a) − h) dt    u = z while filtering, u = z̃ in a rollout
        dz̃ = (p(h) − z̃/τ) dt + s(h) dB̃              in a rollout
        o ≈ D(h, u), standardised

    These are the paper's four blocks with three choices. (1) One diffusion s(h) for z and z̃, without which the relative
    entropy of their laws is infinite, and no noise on h, as in a recurrent state-space model. (2) While filtering, z̃
    and õ feed nothing back and the evidence needs neither, so (z, h) is solved alone; in a rollout z is not needed and
    (h, z̃) is solved alone. (3) The decoder is read out of the state. As a block, dõ = (D(h, z̃)/τ − õ/τ) dt is that same
    read-out, smoothed by the leak: `four_blocks` has it. With f(h, u, a) = γ ⊙ (tanh c − h) an Euler step of size 1 is
    that of a gated recurrent unit.

    The state after step n + 1 is the first that has seen o_n, so a read-out of it is compared with o_n.

    Args:
        architecture: sizes and constants.
        seed: whole number >= 0, fixes the first weights; no global random state is touched.

    Source: Fang, Du, Wang, Zhang, arXiv:2501.00195, the latent model (as reconstructed).

    Example:
        >>> model = NeuralSDE(Architecture(observation=3, action=1))
        >>> model.filtering().dim, model.rollout().dim, model.four_blocks().dim
        (72, 72, 83)
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, architecture: Architecture, *, seed: int = 0) -> None:
        super().__init__()
        self.architecture = c = architecture
        draw = generator(seed, "neural sde: first weights")
        self.posterior = Joined(_network(draw, c.hidden + c.observation, c.width, c.latent))
        self.transition = _network(draw, c.hidden, c.width, c.latent)
        self.scale = _Scale(_network(draw, c.hidden, c.latent), c.scale_floor)
        self.sequence = _Gated(_network(draw, c.hidden + c.latent + c.action, 2 * c.hidden))
        self.decoder = Joined(_network(draw, c.hidden + c.latent, c.width, c.width, c.observation))
        self.register_buffer("mean", torch.zeros(c.observation))
        self.register_buffer("deviation", torch.ones(c.observation))

    def fit_units(self, episodes: Episodes) -> None:
        """Take the mean and the standard deviation of `episodes` as the units of observations.

        Raises:
            InvalidArgument: the sizes differ, or an observed number never changes.
        """
        self.check(episodes)
        deviation = episodes.deviation
        if not bool((deviation > 0.0).all()):
            flat = (deviation <= 0.0).nonzero().flatten().tolist()
            raise InvalidArgument(f"observed numbers {flat} never change in these episodes: leave them out.")
        self.mean.copy_(episodes.mean)
        self.deviation.copy_(deviation)

    def check(self, episodes: Episodes) -> None:
        """Refuse episodes of other sizes.

        Raises:
            InvalidArgument: the sizes of observations or actions are not those of the model.
        """
        got = (episodes.observations.shape[2], episodes.actions.shape[2])
        wanted = (self.architecture.observation, self.architecture.action)
        if got != wanted:
            raise InvalidArgument(f"episodes must have (observation, action) sizes {wanted}, got {got}.")

    def standardise(self, observations: Tensor) -> Tensor:
        """Observations in units of their standard deviation."""
        return (observations.to(self.mean) - self.mean) / self.deviation

    def filtering(self, *, noise: bool = True) -> FourBlock:
        """The system of (z, h), with inputs (a, o): o standardised, one that the state is yet to see.

        `noise=False` leaves the diffusion out.
        """
        return FourBlock(
            **self._sizes,
            sequence=self.sequence,
            posterior=self.posterior,
            posterior_scale=OfHidden(self.scale) if noise else None,
            leak=self.architecture.leak,
            noise="general" if noise else "diagonal",
        )

    def rollout(self, *, noise: bool = True) -> FourBlock:
        """The system of (h, z̃), with inputs a. `noise=False` leaves the diffusion out."""
        return FourBlock(
            **self._sizes,
            sequence=self.sequence,
            transition=self.transition,
            transition_scale=self.scale if noise else None,
            leak=self.architecture.leak,
            form="rollout",
            noise="general" if noise else "diagonal",
        )

    def four_blocks(self) -> FourBlock:
        """The whole filtering system of (z, h, z̃, õ), with inputs (a, o)."""
        return FourBlock(
            **self._sizes,
            sequence=self.sequence,
            posterior=self.posterior,
            posterior_scale=OfHidden(self.scale),
            transition=self.transition,
            transition_scale=self.scale,
            decoder=_Divided(self.decoder, self.architecture.leak),
            leak=self.architecture.leak,
        )

    def read_out(self, hidden: Tensor, latent: Tensor) -> Tensor:
        """D(h, z) or D(h, z̃), a standardised observation (..., observation)."""
        value: Tensor = self.decoder(hidden, latent)
        return value

    def running_cost(self, hidden: Tensor, observations: Tensor) -> Tensor:
        """½ |(q(h, o) − p(h)) / s(h)|², shape (...,): the relative entropy of z against z̃ per unit of time.

        Posterior and predictor share their diffusion and their leak, so the laws of the path under the one drift and
        under the other have this relative entropy (Girsanov). Under Euler steps of size h, h times its sum is exactly
        the sum of the relative entropies of the Gaussian steps.
        """
        gap = (self.posterior(hidden, observations) - self.transition(hidden)) / self.scale(hidden)
        cost: Tensor = 0.5 * gap.square().sum(-1)
        return cost

    @property
    def _sizes(self) -> dict[str, Any]:
        sizes = asdict(self.architecture)
        return {name: sizes[name] for name in ("latent", "hidden", "observation", "action")}


@final
class _Gated(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, hidden: Tensor, latent: Tensor, action: Tensor) -> Tensor:
        gate, candidate = self.network(torch.cat((hidden, latent, action), dim=-1)).chunk(2, dim=-1)
        # The gate begins half closed, so that h first remembers and then learns to forget.
        result: Tensor = torch.sigmoid(gate - 1.0) * (torch.tanh(candidate) - hidden)
        return result


@final
class _Scale(nn.Module):
    def __init__(self, network: nn.Module, floor: float) -> None:
        super().__init__()
        self.network, self.floor = network, floor

    def forward(self, hidden: Tensor) -> Tensor:
        return nn.functional.softplus(self.network(hidden) - 1.0) + self.floor


@final
class _Divided(nn.Module):
    def __init__(self, network: nn.Module, divisor: float) -> None:
        super().__init__()
        self.network, self.divisor = network, divisor

    def forward(self, *blocks: Tensor) -> Tensor:
        value: Tensor = self.network(*blocks) / self.divisor
        return value


def _network(draw: torch.Generator, *sizes: int) -> nn.Sequential:
    """Linear layers with SiLU between them: smooth, so that the variations of the model exist."""
    layers: list[nn.Module] = []
    pairs = list(pairwise(sizes))
    for k, (inputs, outputs) in enumerate(pairs):
        # skip_init: a layer's own initialisation would draw from torch's global generator.
        layer = skip_init(nn.Linear, inputs, outputs)
        last = k == len(pairs) - 1
        bound = (0.7 if last else 1.0) * math.sqrt(3.0 / inputs)
        with torch.no_grad():
            layer.weight.uniform_(-bound, bound, generator=draw)
            layer.bias.zero_()
        layers += [layer] if last else [layer, nn.SiLU()]
    return nn.Sequential(*layers)
