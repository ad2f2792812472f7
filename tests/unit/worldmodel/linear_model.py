"""A linear Gaussian world model: every law and every Jacobian of it is known."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from sdewm.dynamics.brownian import generator
from sdewm.dynamics.step_map import StepMap
from sdewm.exceptions import InvalidArgument
from sdewm.worldmodel.episodes import Episodes
from sdewm.worldmodel.injection import push
from sdewm.worldmodel.model import Filtered, Pushed, WorldModel


@dataclass(frozen=True)
class LinearArchitecture:
    observation: int = 2
    action: int = 1
    hidden: int = 3
    latent: int = 2
    lag: int = 1
    scale: float = 0.3


@final
class LinearModel(WorldModel):
    """h' = S (h, z, a), z' = P h' + s ξ in a rollout, z' = Q (h', o) + s ξ while filtering, o ≈ D (h', z')."""

    name = "linear"
    rewards = True
    continues = True

    def __init__(self, architecture: LinearArchitecture, seed: int = 0) -> None:
        super().__init__()
        self.architecture = c = architecture
        self.hidden, self.latent, self.action, self.observation = c.hidden, c.latent, c.action, (c.observation,)
        self.lag = c.lag
        draw = generator(seed, "linear model")

        def matrix(out: int, inputs: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(out, inputs, generator=draw) * 0.5 / inputs**0.5)

        self.sequence = matrix(c.hidden, c.hidden + c.latent + c.action)
        self.prior = matrix(c.latent, c.hidden)
        self.posterior = matrix(c.latent, c.hidden + c.observation)
        self.decoder = matrix(c.observation, c.hidden + c.latent)
        self.heads = matrix(2, c.hidden + c.latent)
        self.register_buffer("mean", torch.zeros(c.observation))
        self.register_buffer("deviation", torch.ones(c.observation))

    def transition_parameters(self):
        return [self.sequence, self.prior]

    def fit_units(self, episodes: Episodes) -> None:
        self.check(episodes)
        self.mean.copy_(episodes.mean)
        self.deviation.copy_(episodes.deviation)

    def check(self, episodes: Episodes) -> None:
        if episodes.shape != self.observation:
            raise InvalidArgument(f"episodes must have observations {self.observation}, got {episodes.shape}.")

    def standardise(self, observations: Tensor) -> Tensor:
        return (observations.to(self.mean) - self.mean) / self.deviation

    def embed(self, observations: Tensor) -> Tensor:
        return observations

    def filtered(
        self, observations: Tensor, actions: Tensor, *, seed: int, noise: bool = True, pushed: Pushed | None = None
    ) -> Filtered:
        length, windows = observations.shape[:2]
        draw = generator(seed, "linear model: filter")
        normals = torch.randn(length, windows, self.latent, generator=draw).to(observations)
        omega = torch.randn(length, windows, self.hidden + self.latent, generator=draw).to(observations)
        x = observations.new_zeros(windows, self.hidden + self.latent)
        states, priors, posteriors = [], [], []
        step = self.filter_map()
        for n in range(length):
            a = actions[n - self.lag] if n >= self.lag else torch.zeros_like(actions[0])
            x = step.mean(n, x, torch.cat((a, observations[n]), dim=-1))
            h, z = x.split([self.hidden, self.latent], dim=-1)
            priors.append(h @ self.prior.T)
            posteriors.append(z)
            if noise:
                x = torch.cat((h, z + self.architecture.scale * normals[n]), dim=-1)
            if pushed is not None:
                x = push(x, pushed, omega[n, :, pushed.columns])
            states.append(x)
        prior, posterior = torch.stack(priors), torch.stack(posteriors)
        divergence = 0.5 * ((posterior - prior) / self.architecture.scale).square().sum(-1)
        scale = torch.full_like(prior, self.architecture.scale)
        return Filtered(torch.stack(states), divergence, prior, posterior, scale, scale)

    def prior_map(self, *, noise: bool = True) -> StepMap:
        def mean(n, x, a):
            h = torch.cat((x, a), dim=-1) @ self.sequence.T
            return torch.cat((h, h @ self.prior.T), dim=-1)

        return self._map(mean, noise, self.action)

    def filter_map(self, *, noise: bool = True) -> StepMap:
        def mean(n, x, a):
            h = torch.cat((x, a[:, : self.action]), dim=-1) @ self.sequence.T
            return torch.cat((h, torch.cat((h, a[:, self.action :]), dim=-1) @ self.posterior.T), dim=-1)

        return self._map(mean, noise, self.action + self.observation[0])

    def whole_map(self, *, noise: bool = True) -> StepMap:
        def mean(n, x, a):
            z, h, _, _ = x.split([self.latent, self.hidden, self.latent, self.observation[0]], dim=-1)
            h = torch.cat((h, z, a[:, : self.action]), dim=-1) @ self.sequence.T
            z = torch.cat((h, a[:, self.action :]), dim=-1) @ self.posterior.T
            prior = h @ self.prior.T
            return torch.cat((z, h, prior, torch.cat((h, prior), dim=-1) @ self.decoder.T), dim=-1)

        dim = self.hidden + 2 * self.latent + self.observation[0]
        return StepMap(mean, lambda n, x, a: torch.zeros_like(x), dim, dim, self.action + self.observation[0])

    def decode(self, x: Tensor) -> Tensor:
        return x @ self.decoder.T

    def reward(self, x: Tensor) -> Tensor:
        return (x @ self.heads.T)[..., 0]

    def continuing(self, x: Tensor) -> Tensor:
        return (x @ self.heads.T)[..., 1]

    def _map(self, mean, noise, inputs):
        def scale(n, x, a):
            rows = x.new_zeros(self.hidden, self.latent)
            matrix = torch.cat((rows, (self.architecture.scale if noise else 0.0) * torch.eye(self.latent).to(x)))
            return matrix.expand(len(x), -1, -1)

        return StepMap(mean, scale, self.hidden + self.latent, self.latent, inputs)


def exact_rotation_model(turn: Tensor, lag: int = 1) -> LinearModel:
    """The model that knows o_{n+1} = turn o_n + (0, .3 a_n): h = turn z + (0, .3 a), and z = o, or h in a rollout."""
    model = LinearModel(LinearArchitecture(hidden=2, latent=2, lag=lag, scale=1e-12))
    eye, zero = torch.eye(2), torch.zeros(2, 2)
    with torch.no_grad():
        model.sequence.copy_(torch.cat((zero, turn, torch.tensor([[0.0], [0.3]])), dim=1))
        model.prior.copy_(eye)
        model.posterior.copy_(torch.cat((zero, eye), dim=1))
        model.decoder.copy_(torch.cat((zero, eye), dim=1))
    return model
