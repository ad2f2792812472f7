"""What training, tables and claims ask of a latent world model, whatever it is made of."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor, nn

from ..dynamics.step_map import StepMap
from .episodes import Episodes


@final
@dataclass(frozen=True, eq=False)
class Filtered:
    """What filtering some windows gives, time first.

    Attributes:
        states: (length, windows, hidden + latent), x = (h, z); the n-th has seen o_0 … o_n.
        divergence: (length, windows), what a training loss adds for the posterior of o_n against its prior.
        prior_mean, prior_scale, posterior_mean, posterior_scale: (length, windows, latent), parameters of the two laws
            of z given h: means and standard deviations of Gaussian latents, probabilities and None of categorical ones.
    """

    states: Tensor
    divergence: Tensor
    prior_mean: Tensor
    posterior_mean: Tensor
    prior_scale: Tensor | None = None
    posterior_scale: Tensor | None = None


@final
@dataclass(frozen=True, eq=False)
class Pushed:
    """An error that is added to the latent, or to the hidden state, after every step.

    x' ← x' + c T v for a drift, x' ← x' + c T ω_n with fresh standard normals ω_n for zero drift, in one block of x.

    Attributes:
        columns: the block of x = (h, z).
        root: c T, (block, block).
        direction: v, (block,) with norm √block; None for zero drift.
    """

    columns: slice
    root: Tensor
    direction: Tensor | None = None


class WorldModel(nn.Module, ABC):
    """A latent world model with state x = (h, z), h first: h deterministic given the past, z the latent.

    Filtering reads observations; a rollout does without. The same state has a posterior of z in the first and a
    prediction of it in the second. A model is an `nn.Module`, and its weights are the only thing that it remembers.

    Attributes:
        name: what tables call it.
        architecture: a frozen dataclass of plain numbers and strings: all that is needed to build an untrained one.
        hidden, latent: sizes of h and z.
        action: size of a.
        observation: shape of one observation.
        lag: the action that a rollout's step towards o_n is given is a_{n − lag}.
        rewards, continues: whether it predicts them.
    """

    name: str
    architecture: Any
    hidden: int
    latent: int
    action: int
    observation: tuple[int, ...]
    lag: int
    rewards: bool
    continues: bool

    @abstractmethod
    def fit_units(self, episodes: Episodes) -> None:
        """Take the units of observations (and rewards) from `episodes`."""

    @abstractmethod
    def check(self, episodes: Episodes) -> None:
        """Refuse episodes of other shapes, naming both."""

    @abstractmethod
    def standardise(self, observations: Tensor) -> Tensor:
        """Observations in the model's units, (..., *observation): floats of about unit size."""

    @abstractmethod
    def embed(self, observations: Tensor) -> Tensor:
        """Standardised observations (..., *observation) as what the posterior reads, (..., embedding)."""

    @abstractmethod
    def filtered(
        self, observations: Tensor, actions: Tensor, *, seed: int, noise: bool = True, pushed: Pushed | None = None
    ) -> Filtered:
        """Filter standardised observations o_0 … o_{L−1}, (length, windows, *observation), differentiably.

        Args:
            observations: see there.
            actions: (length, windows, action): a_n is taken after o_n is seen.
            seed: fixes all noise; window i has noise of its own, whatever the number of windows.
            noise: False takes means (or the probabilities of categorical latents).
            pushed: an error that is injected after every step.
        """

    @abstractmethod
    def prior_map(self, *, noise: bool = True) -> StepMap:
        """One step of a rollout, x = (h, z) and a to (h', z'): h' by the sequence model, z' by the prior of h'."""

    @abstractmethod
    def filter_map(self, *, noise: bool = True) -> StepMap:
        """One step of the filter, x = (h, z) and (a, embedding of o) to (h', z'): z' by the posterior of h' and o."""

    @abstractmethod
    def whole_map(self, *, noise: bool = True) -> StepMap:
        """One step of the paper's four blocks, (z, h, z̃, õ) and (a, embedding of o), while filtering."""

    def transition_parameters(self) -> Iterable[nn.Parameter]:
        """What a limit on the transition is a limit of: the parameters of `prior_map`; by default all."""
        return self.parameters()

    @abstractmethod
    def decode(self, x: Tensor) -> Tensor:
        """Standardised observations (..., *observation) that a state (..., hidden + latent) stands for."""

    @abstractmethod
    def reward(self, x: Tensor) -> Tensor:
        """Reward (...,) that came with the observation that a state stands for."""

    @abstractmethod
    def continuing(self, x: Tensor) -> Tensor:
        """Log odds (...,) that the episode goes on after the observation that a state stands for."""
