"""A latent neural SDE with actions, in the leaky four blocks of `FourBlock`."""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from ..drifts.four_block import FourBlock, Joined, OfHidden
from ..dynamics.brownian import generator
from ..dynamics.error import RepresentationError
from ..dynamics.perturbed import perturb
from ..dynamics.reference import simulate
from ..dynamics.step_map import StepMap, euler_map
from ..exceptions import InvalidArgument
from ..grid import TimeGrid
from ..validation import instance, integer, positive
from . import units
from .episodes import Episodes
from .model import Filtered, Pushed, WorldModel
from .networks import ImageDecoder, ImageEncoder, mlp, observation_shape
from .noise import placed_root

_UNIT = TimeGrid(T=1.0, steps=1)


@final
@dataclass(frozen=True)
class Architecture:
    """Sizes and constants of a `NeuralSDE`.

    Attributes:
        observation: size of o, or (channels, height, width) of images, height and width multiples of 16.
        action: size of a.
        latent: size of z and z̃.
        hidden: size of h.
        width: width of every network.
        leak: τ of the blocks z, z̃, õ, in environment steps; 1 draws z anew at every step.
        scale_floor: smallest diffusion of z and z̃. It bounds the running cost of their relative entropy.
        rewards, continues: whether rewards, and whether the ends of episodes, are predicted.
        embedding: size of what the posterior reads of an image; numbers it reads as they are.
        channels: channels after the first halving of an image.

    Raises:
        InvalidArgument: a size is below 1, or a constant is out of range.
    """

    observation: int | tuple[int, ...]
    action: int
    latent: int = 8
    hidden: int = 64
    width: int = 64
    leak: float = 2.0
    scale_floor: float = 0.05
    rewards: bool = False
    continues: bool = False
    embedding: int = 64
    channels: int = 8

    def __post_init__(self) -> None:
        shape = observation_shape("observation", self.observation)
        # One way to write each architecture, so that equal ones are equal, and lists from a file are tuples again.
        object.__setattr__(self, "observation", shape[0] if len(shape) == 1 else shape)
        for name in ("action", "latent", "hidden", "width", "embedding", "channels"):
            integer(name, getattr(self, name), least=1)
        for name in ("rewards", "continues"):
            instance(name, getattr(self, name), bool)
        positive("scale_floor", self.scale_floor)
        if not positive("leak", self.leak) >= 1.0:
            raise InvalidArgument(f"leak must be at least one environment step, the Euler step, got {self.leak:g}.")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one observation."""
        return (self.observation,) if isinstance(self.observation, int) else self.observation


@final
class NeuralSDE(WorldModel):
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
    that of a gated recurrent unit. Images are read by way of an embedding, which takes the place of o in q.

    The state after step n + 1 is the first that has seen o_n, so a read-out of it is compared with o_n.

    Args:
        architecture: sizes and constants.
        seed: whole number >= 0, fixes the first weights; no global random state is touched.

    Raises:
        InvalidArgument: the architecture is of another kind, or the seed is no whole number >= 0.

    Source: Fang, Du, Wang, Zhang, arXiv:2501.00195, the latent model (as reconstructed).

    Example:
        >>> model = NeuralSDE(Architecture(observation=3, action=1))
        >>> model.filtering().dim, model.rollout().dim, model.four_blocks().dim
        (72, 72, 83)
    """

    name = "neural SDE"
    lag = 0

    def __init__(self, architecture: Architecture, *, seed: int = 0) -> None:
        super().__init__()
        self.architecture = c = instance("architecture", architecture, Architecture)
        self.hidden, self.latent, self.action, self.observation = c.hidden, c.latent, c.action, c.shape
        self.rewards, self.continues = c.rewards, c.continues
        images, size = len(c.shape) == 3, c.hidden + c.latent
        self._seen = c.embedding if images else c.shape[0]
        draw = generator(seed, "neural sde: first weights")
        self.posterior = Joined(mlp(draw, c.hidden + self._seen, c.width, c.latent))
        self.transition = mlp(draw, c.hidden, c.width, c.latent)
        self.scale = _Scale(mlp(draw, c.hidden, c.latent), c.scale_floor)
        self.sequence = _Gated(mlp(draw, size + c.action, 2 * c.hidden))
        self.decoder = Joined(
            ImageDecoder(draw, size, c.shape, c.channels) if images else mlp(draw, size, c.width, c.width, c.shape[0])
        )
        # What a model may do without comes last: the other weights of a seed are then the same with and without it.
        self.encoder = ImageEncoder(draw, c.shape, c.channels, c.embedding) if images else None
        self.reward_head = mlp(draw, size, c.width, 1) if c.rewards else None
        self.continue_head = mlp(draw, size, c.width, 1) if c.continues else None
        units.add_units(self)

    def fit_units(self, episodes: Episodes) -> None:
        """Take the mean and the standard deviation of `episodes` as the units of observations, and of rewards.

        The units of images are fixed: v / 255 − ½.

        Raises:
            InvalidArgument: the shapes differ, an observed number never changes, or the episodes hold no rewards (or no
                ends), which this model predicts.
        """
        units.fit_units(self, episodes)

    def check(self, episodes: Episodes) -> None:
        """Refuse episodes of other shapes.

        Raises:
            InvalidArgument: the shapes of observations or actions are not those of the model.
        """
        units.check(self, episodes)

    def standardise(self, observations: Tensor) -> Tensor:
        """Observations in units of their standard deviation; images as v / 255 − ½.

        Raises:
            InvalidArgument: they are not of the model's shape.
        """
        return units.standardise(self, observations)

    def embed(self, observations: Tensor) -> Tensor:
        """What the posterior reads of standardised observations: numbers as they are, images (..., embedding)."""
        value: Tensor = observations if self.encoder is None else self.encoder(observations)
        return value

    def filtered(
        self, observations: Tensor, actions: Tensor, *, seed: int, noise: bool = True, pushed: Pushed | None = None
    ) -> Filtered:
        """Filter standardised observations o_0 … o_{L−1}, (length, windows, *observation), by one torchsde solve.

        The laws are those of the Euler step of z towards o_n, their relative entropy is `running_cost`.

        Args:
            observations: see there.
            actions: (length, windows, action): a_n is taken after o_n is seen, and known to the state that has seen it.
            seed: fixes all noise; window i sees path i of the Brownian motion.
            noise: False leaves the diffusion out.
            pushed: an error that is injected after every step.

        Raises:
            InvalidArgument: the shapes do not fit, or observations are not in the model's dtype.
            NumericalFailure: a state is not finite.
        """
        units.check_windows(self, observations, actions)
        seen = self.embed(observations)
        system: Any = self.filtering(noise=noise)
        start = seen.new_zeros(actions.shape[1], system.dim)
        if pushed is not None:
            system = perturb(system, self._error(pushed, start), 1.0, x0=start)
        grid = TimeGrid(T=len(actions), steps=len(actions))
        given = torch.cat((actions.to(seen), seen), dim=-1)
        states = simulate(system, start, grid, seed=seed, actions=given).states
        z, h = states[:-1, :, : self.latent], states[:-1, :, self.latent :]
        q, p, scale = self.posterior(h, seen), self.transition(h), self.scale(h)
        kept = z * (1.0 - 1.0 / self.architecture.leak)
        cost = 0.5 * ((q - p) / scale).square().sum(-1)
        # In the order (h, z) of every model.
        return Filtered(states[1:].roll(self.hidden, dims=-1), cost, kept + p, kept + q, scale, scale)

    def prior_map(self, *, noise: bool = True) -> StepMap:
        """One step of a rollout, x = (h, z̃) and a: the Euler step of `rollout`."""
        return euler_map(self.rollout(noise=noise), _UNIT)

    def filter_map(self, *, noise: bool = True) -> StepMap:
        """One step of the filter, x = (h, z) and (a, embedding of o): the Euler step of `filtering`, h first."""
        step = euler_map(self.filtering(noise=noise), _UNIT)

        def mean(n: int, x: Tensor, a: Tensor | None) -> Tensor:
            return step.mean(n, x.roll(self.latent, dims=1), a).roll(self.hidden, dims=1)

        def scale(n: int, x: Tensor, a: Tensor | None) -> Tensor:
            return step.scale(n, x.roll(self.latent, dims=1), a).roll(self.hidden, dims=1)

        return StepMap(mean, scale, step.dim, step.noise_dim, step.action_dim, dtype=step.dtype)

    def whole_map(self, *, noise: bool = True) -> StepMap:
        """One step of the paper's four blocks, (z, h, z̃, õ) and (a, embedding of o), while filtering.

        The Euler step of `four_blocks`, for images too; õ is flattened. Noise columns of h and õ do nothing.
        """
        c = self.architecture
        sizes = (c.latent, c.hidden, c.latent, torch.Size(c.shape).numel())
        dim = sum(sizes)

        def mean(n: int, x: Tensor, a: Tensor | None) -> Tensor:
            z, h, predictor, decoded = x.split(sizes, dim=1)
            a = x.new_zeros(len(x), 0) if a is None else a
            keep = 1.0 - 1.0 / c.leak
            return torch.cat(
                (
                    keep * z + self.posterior(h, a[:, c.action :]),
                    h + self.sequence(h, z, a[:, : c.action]),
                    keep * predictor + self.transition(h),
                    keep * decoded + self.read_out(h, predictor).flatten(1) / c.leak,
                ),
                dim=1,
            )

        def scale(n: int, x: Tensor, a: Tensor | None) -> Tensor:
            _, h, _, decoded = x.split(sizes, dim=1)
            s = self.scale(h) if noise else x.new_zeros(len(x), c.latent)
            return torch.cat((s, torch.zeros_like(h), s, torch.zeros_like(decoded)), dim=1)

        return StepMap(mean, scale, dim, dim, c.action + self._seen, dtype=next(self.parameters()).dtype)

    def transition_parameters(self) -> list[nn.Parameter]:
        """Those of the sequence model, the predictor and its scale."""
        parts = (self.sequence, self.transition, self.scale)
        return [p for part in parts for p in part.parameters()]

    def decode(self, x: Tensor) -> Tensor:
        """Standardised observations (..., *observation) that a state x = (h, z) or (h, z̃) stands for."""
        return self.read_out(x[..., : self.hidden], x[..., self.hidden :])

    def reward(self, x: Tensor) -> Tensor:
        """Reward (...,) that came with the observation that a state stands for.

        Raises:
            InvalidArgument: this model predicts none.
        """
        return units.rewards_of(self, self.reward_head, x)

    def continuing(self, x: Tensor) -> Tensor:
        """Log odds (...,) that the episode goes on after the observation that a state stands for.

        Raises:
            InvalidArgument: this model predicts none.
        """
        return units.log_odds_of(self.continue_head, x)

    def filtering(self, *, noise: bool = True) -> FourBlock:
        """The system of (z, h), with inputs (a, o): o standardised (images: embedded), one that is yet to be seen.

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
        """The whole filtering system of (z, h, z̃, õ), with inputs (a, o).

        Raises:
            InvalidArgument: observations are images, which its block õ does not hold; take `whole_map`.
        """
        if self.encoder is not None:
            raise InvalidArgument(
                f"observation {self.observation} is an image: the blocks of o and õ differ in size; take whole_map()."
            )
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
        return {"latent": self.latent, "hidden": self.hidden, "observation": self._seen, "action": self.action}

    def _error(self, pushed: Pushed, like: Tensor) -> RepresentationError:
        """What is pushed as an error of the system of (z, h), whose Euler step is one environment step."""
        placed = placed_root(pushed, self.hidden + self.latent, like.dtype).roll(self.latent, dims=0)
        if pushed.direction is not None:
            sigma = placed @ pushed.direction.to(like)
            return RepresentationError(drift=lambda t, x: sigma.expand_as(x))
        return RepresentationError(diffusion=lambda t, x: placed.expand(len(x), -1, -1), correlation="independent")


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
