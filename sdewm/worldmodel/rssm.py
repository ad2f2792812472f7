"""A recurrent state-space model with Gaussian or categorical latents, on numbers or images."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from ..dynamics.brownian import generator
from ..dynamics.step_map import StepField, StepMap
from ..exceptions import InvalidArgument
from ..validation import instance, integer, not_negative, one_of, positive, real
from . import units
from .episodes import Episodes
from .latents import CategoricalLatents, GaussianLatents, Latents, Law
from .model import Filtered, Pushed, WorldModel
from .networks import ImageDecoder, ImageEncoder, gru_cell, mlp, observation_shape
from .noise import pushes, window_normals

KINDS = ("gaussian", "categorical")


@final
@dataclass(frozen=True)
class RSSMArchitecture:
    """Sizes and constants of an `RSSM`.

    Attributes:
        observation: size of o, or (channels, height, width) of images, height and width multiples of 16.
        action: size of a.
        hidden: size of h.
        kind: "gaussian" or "categorical" latents.
        latent: size of a Gaussian z.
        groups, classes: number of categorical variables, and of the classes of each; z has groups × classes numbers.
        width: width of every network with a layer between.
        embedding: size of what the posterior reads of an observation.
        channels: channels after the first halving of an image.
        rewards, continues: whether rewards, and whether the ends of episodes, are predicted.
        scale_floor: smallest standard deviation of Gaussian latents.
        dynamics_weight, representation_weight: weights of the relative entropy as a loss of the prior alone and of the
            posterior alone.
        free_nats: relative entropy below which there is no loss, at each time of each window.
        uniform: share of the uniform law in categorical latents.

    Raises:
        InvalidArgument: a size is below its least, or a constant is out of range.
    """

    observation: int | tuple[int, ...]
    action: int
    hidden: int = 64
    kind: str = "gaussian"
    latent: int = 16
    groups: int = 8
    classes: int = 8
    width: int = 64
    embedding: int = 64
    channels: int = 8
    rewards: bool = False
    continues: bool = False
    scale_floor: float = 0.1
    dynamics_weight: float = 0.8
    representation_weight: float = 0.2
    free_nats: float = 0.0
    uniform: float = 0.01

    def __post_init__(self) -> None:
        one_of("kind", self.kind, KINDS)
        for name in ("action", "hidden", "latent", "groups", "width", "embedding", "channels"):
            integer(name, getattr(self, name), least=1)
        integer("classes", self.classes, least=2)
        for name in ("rewards", "continues"):
            instance(name, getattr(self, name), bool)
        positive("scale_floor", self.scale_floor)
        for name in ("dynamics_weight", "representation_weight", "free_nats"):
            not_negative(name, getattr(self, name))
        if not 0.0 < real("uniform", self.uniform) < 1.0:
            raise InvalidArgument(
                f"uniform must lie strictly between 0 and 1, got {self.uniform:g}: without it relative entropies are "
                f"not bounded."
            )
        shape = observation_shape("observation", self.observation)
        # One way to write each architecture, so that equal ones are equal, and lists from a file are tuples again.
        object.__setattr__(self, "observation", shape[0] if len(shape) == 1 else shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one observation."""
        return (self.observation,) if isinstance(self.observation, int) else self.observation


@final
class RSSM(WorldModel):
    """A recurrent state-space model: a gated recurrent h, and a latent z that is drawn anew at every step.

        h_n = GRU([z_{n−1}, a_{n−1}], h_{n−1})
        z_n ~ q(· | h_n, o_n)      while filtering
        z_n ~ p(· | h_n)           in a rollout
        o_n ≈ D(h_n, z_n), standardised

    Before the first observation h, z and a are zero. All networks are smooth. There is no noise on h, so that the
    noise of every step is singular.

    Gaussian latents: a step is x' = mean + scale ξ, a `StepMap`.

    Categorical latents: a step jumps, and has no derivative along a path. `filtered` draws one-hot z, with the gradient
    of the probabilities put in place of that of the jump (straight through); `sampled_step` is the same as a step. The
    maps `prior_map`, `filter_map` and `whole_map` are those of the probabilities, z' = p(h') in place of a draw, which
    are smooth and without noise: derivatives, variations and bounds speak of them.

    Args:
        architecture: sizes and constants.
        seed: whole number >= 0, fixes the first weights; no global random state is touched.

    Raises:
        InvalidArgument: the architecture is of another kind, or the seed is no whole number >= 0.

    Source: Hafner et al., arXiv:1811.04551 and arXiv:2010.02193; the discrete twin of the four blocks of Fang, Du,
    Wang, Zhang, arXiv:2501.00195 (as reconstructed).

    Example:
        >>> model = RSSM(RSSMArchitecture(observation=3, action=1))
        >>> seen = model.filtered(torch.zeros(5, 2, 3), torch.zeros(5, 2, 1), seed=0)
        >>> seen.states.shape, model.prior_map().dim
        (torch.Size([5, 2, 80]), 80)
    """

    name = "RSSM"
    lag = 1

    def __init__(self, architecture: RSSMArchitecture, *, seed: int = 0) -> None:
        super().__init__()
        self.architecture = c = instance("architecture", architecture, RSSMArchitecture)
        self.hidden, self.action, self.observation = c.hidden, c.action, c.shape
        self.rewards, self.continues = c.rewards, c.continues
        self.laws: Latents = (
            GaussianLatents(c.latent, c.scale_floor)
            if c.kind == "gaussian"
            else CategoricalLatents(c.groups, c.classes, c.uniform)
        )
        self.latent = self.laws.size
        draw = generator(seed, "rssm: first weights")
        size = c.hidden + self.latent
        self.encoder: nn.Module
        self.decoder: nn.Module
        if len(c.shape) == 3:
            self.encoder = ImageEncoder(draw, c.shape, c.channels, c.embedding)
            self.decoder = ImageDecoder(draw, size, c.shape, c.channels)
        else:
            self.encoder = mlp(draw, c.shape[0], c.width, c.embedding)
            self.decoder = mlp(draw, size, c.width, c.width, c.shape[0])
        self.cell = gru_cell(draw, self.latent + c.action, c.hidden)
        self.prior = mlp(draw, c.hidden, c.width, self.laws.parameters)
        self.posterior = mlp(draw, c.hidden + c.embedding, c.width, self.laws.parameters)
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
        """Standardised observations (..., *observation) as what the posterior reads, (..., embedding)."""
        value: Tensor = self.encoder(observations)
        return value

    def filtered(
        self, observations: Tensor, actions: Tensor, *, seed: int, noise: bool = True, pushed: Pushed | None = None
    ) -> Filtered:
        """Filter standardised observations o_0 … o_{L−1}, (length, windows, *observation), differentiably.

        The divergence is

            w_p max(KL(q̄ ‖ p), free_nats) + w_q max(KL(q ‖ p̄), free_nats),

        a bar marking what no gradient goes through. With weights that add up to one and no free nats its value is the
        relative entropy.

        Args:
            observations: see there.
            actions: (length, windows, action): a_n is taken after o_n is seen; the last are not used.
            seed: fixes all noise; window i has noise of its own, whatever the number of windows.
            noise: False takes means (or the probabilities of categorical latents).
            pushed: an error that is injected after every step; the laws at a step are those before it.

        Raises:
            InvalidArgument: the shapes do not fit, or observations are not in the model's dtype.

        Source: Hafner et al., arXiv:2010.02193, the balanced divergence.
        """
        units.check_windows(self, observations, actions)
        length, windows = actions.shape[:2]
        # All that does not wait for the state is done for all times at once.
        first, _, last = cast(tuple[nn.Linear, nn.SiLU, nn.Linear], tuple(self.posterior))
        cell, size, dtype = self.cell, self.hidden, observations.dtype
        seen = linear(self.embed(observations), first.weight[:, size:], first.bias).unbind()
        acted = linear(actions[:-1].to(dtype), cell.weight_ih[:, self.latent :])
        acted = torch.cat((acted.new_zeros(1, windows, 3 * size), acted)) + cell.bias_ih
        driven = acted.unbind()
        from_latent, from_hidden = cell.weight_ih[:, : self.latent].T, cell.weight_hh.T
        read = first.weight[:, :size].T
        normals = push = None
        if noise:
            drawn = window_normals(seed, "filter", length, windows, self.laws.normals, dtype)
            normals = drawn.to(observations.device).unbind()
        if pushed is not None:
            push = pushes(pushed, size + self.latent, seed, length, windows, dtype)
        h, z = observations.new_zeros(windows, size), observations.new_zeros(windows, self.latent)
        hs, numbers, states = [], [], []
        for n in range(length):
            inputs = torch.addmm(driven[n], z, from_latent)
            h = _gated(inputs, torch.addmm(cell.bias_hh, h, from_hidden), h)
            raw = last(nn.functional.silu(torch.addmm(seen[n], h, read)))
            law = self.laws.law(raw)
            z = law.mean if normals is None else self.laws.draw(law, normals[n])
            hs.append(h)
            numbers.append(raw)
            x = torch.cat((h, z), dim=-1)
            if push is not None:
                x = x + push[n]
                h, z = x[:, :size], x[:, size:]
            states.append(x)
        posterior, prior = self.laws.law(torch.stack(numbers)), self.laws.law(self.prior(torch.stack(hs)))
        return Filtered(
            torch.stack(states),
            self._balanced(posterior, prior),
            prior.mean,
            posterior.mean,
            prior.scale,
            posterior.scale,
        )

    def prior_map(self, *, noise: bool = True) -> StepMap:
        """One step of a rollout, x = (h, z) and a to (h', z'): h' by the cell, z' by the prior of h'.

        Gaussian latents: mean (h', μ_p(h')), scale (0, σ_p(h')), diagonal, so that noise columns of h do nothing.
        Categorical ones: (h', p(h')) without noise, whatever `noise` says; see the class.
        """

        def law(x: Tensor, a: Tensor | None) -> tuple[Tensor, Law]:
            h = self._next(x, a)
            return h, self._prior(h)

        return self._map(law, self.action, noise)

    def filter_map(self, *, noise: bool = True) -> StepMap:
        """One step of the filter, x = (h, z) and (a, embedding of o) to (h', z'): z' by the posterior of h' and o.

        Noise as in `prior_map`.
        """

        def law(x: Tensor, a: Tensor | None) -> tuple[Tensor, Law]:
            h = self._next(x, a)
            return h, self._posterior(h, _inputs(a)[:, self.action :])

        return self._map(law, self.action + self.architecture.embedding, noise)

    def whole_map(self, *, noise: bool = True) -> StepMap:
        """One step of the paper's four blocks, (z, h, z̃, õ) and (a, embedding of o), while filtering.

            h' = GRU([z, a], h),  z' ~ q(· | h', o),  z̃' ~ p(· | h'),  õ' = D(h', mean of z̃'), flattened.

        Both draws have noise of their own; õ has none, and is decoded from the mean of z̃', since a decoder of the draw
        would not be linear in the noise. Nothing feeds back from z̃ and õ. Noise as in `prior_map`.

        Source: Fang, Du, Wang, Zhang, arXiv:2501.00195, the four blocks (as reconstructed).
        """
        size, latent = self.hidden, self.latent
        pixels = torch.Size(self.observation).numel()

        def laws(x: Tensor, a: Tensor | None) -> tuple[Tensor, Law, Law]:
            h = self._next(torch.cat((x[:, latent : latent + size], x[:, :latent]), dim=-1), a)
            return h, self._posterior(h, _inputs(a)[:, self.action :]), self._prior(h)

        def mean(n: int, x: Tensor, a: Tensor | None) -> Tensor:
            h, posterior, prior = laws(x, a)
            decoded = self.decode(torch.cat((h, prior.mean), dim=-1)).flatten(1)
            return torch.cat((posterior.mean, h, prior.mean, decoded), dim=-1)

        def scale(n: int, x: Tensor, a: Tensor | None) -> Tensor:
            h, posterior, prior = laws(x, a)
            assert posterior.scale is not None
            assert prior.scale is not None
            still = h.new_zeros(len(h), pixels)
            return torch.cat((posterior.scale, torch.zeros_like(h), prior.scale, still), dim=-1)

        dim = size + 2 * latent + pixels
        return self._noisy(mean, scale if noise else None, dim, self.action + self.architecture.embedding)

    def sampled_step(self) -> Callable[[Tensor, Tensor | None, Tensor], Tensor]:
        """(x, a, ξ) to x': one step of a rollout as it is drawn, from standard normals ξ.

        ξ is (paths, latent) for Gaussian latents and (paths, groups) for categorical ones.

        Warning:
            The gradient of a categorical draw is that of the probabilities (straight through). It is not the derivative
            of the step, which is zero in z' wherever it exists: a check against finite differences fails.
        """

        def step(x: Tensor, a: Tensor | None, normals: Tensor) -> Tensor:
            h = self._next(x, a)
            return torch.cat((h, self.laws.draw(self._prior(h), normals)), dim=-1)

        return step

    def sampled_filter_step(self) -> Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]:
        """(x, a, embedding of o, ξ) to x': one step of the filter as `filtered` takes it; without ξ, of its means.

        ξ as in `sampled_step`.
        """

        def step(x: Tensor, a: Tensor, embedded: Tensor, normals: Tensor | None) -> Tensor:
            h = self._next(x, a)
            law = self._posterior(h, embedded)
            return torch.cat((h, law.mean if normals is None else self.laws.draw(law, normals)), dim=-1)

        return step

    def transition_parameters(self) -> Iterable[nn.Parameter]:
        """Those of the cell and of the prior."""
        return [*self.cell.parameters(), *self.prior.parameters()]

    def decode(self, x: Tensor) -> Tensor:
        """Standardised observations (..., *observation) that a state (..., hidden + latent) stands for."""
        value: Tensor = self.decoder(x)
        return value

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

    def _next(self, x: Tensor, a: Tensor | None) -> Tensor:
        """h' of states (h, z) and inputs that begin with the action."""
        h, z = x[:, : self.hidden], x[:, self.hidden :]
        value: Tensor = self.cell(torch.cat((z, _inputs(a)[:, : self.action].to(x)), dim=-1), h)
        return value

    def _prior(self, h: Tensor) -> Law:
        return self.laws.law(self.prior(h))

    def _posterior(self, h: Tensor, embedded: Tensor) -> Law:
        return self.laws.law(self.posterior(torch.cat((h, embedded.to(h)), dim=-1)))

    def _balanced(self, posterior: Law, prior: Law) -> Tensor:
        c = self.architecture
        dynamics = self.laws.relative_entropy(_detached(posterior), prior)
        representation = self.laws.relative_entropy(posterior, _detached(prior))
        if c.free_nats > 0.0:
            dynamics, representation = dynamics.clamp(min=c.free_nats), representation.clamp(min=c.free_nats)
        divergence: Tensor = c.dynamics_weight * dynamics + c.representation_weight * representation
        return divergence

    def _map(self, law: Callable[[Tensor, Tensor | None], tuple[Tensor, Law]], inputs: int, noise: bool) -> StepMap:
        def mean(n: int, x: Tensor, a: Tensor | None) -> Tensor:
            h, of_z = law(x, a)
            return torch.cat((h, of_z.mean), dim=-1)

        def scale(n: int, x: Tensor, a: Tensor | None) -> Tensor:
            h, of_z = law(x, a)
            assert of_z.scale is not None
            return torch.cat((torch.zeros_like(h), of_z.scale), dim=-1)

        return self._noisy(mean, scale if noise else None, self.hidden + self.latent, inputs)

    def _noisy(self, mean: StepField, scale: StepField | None, dim: int, inputs: int) -> StepMap:
        dtype = self.cell.weight_hh.dtype
        if scale is None or self.architecture.kind == "categorical":
            # One column of zeros: the least that a StepMap may have.
            return StepMap(mean, lambda n, x, a: x.new_zeros(len(x), dim, 1), dim, 1, inputs, dtype=dtype)
        return StepMap(mean, scale, dim, dim, inputs, dtype=dtype)


def _gated(inputs: Tensor, hidden: Tensor, h: Tensor) -> Tensor:
    """The step of a `GRUCell` from its two matrix products."""
    size = h.shape[-1]
    reset, update = torch.sigmoid(inputs[:, : 2 * size] + hidden[:, : 2 * size]).chunk(2, dim=-1)
    candidate = torch.tanh(torch.addcmul(inputs[:, 2 * size :], reset, hidden[:, 2 * size :]))
    return torch.lerp(candidate, h, update)


def _inputs(a: Tensor | None) -> Tensor:
    if a is None:
        raise InvalidArgument("a is None: a step of this model needs actions (paths, action).")
    return a


def _detached(law: Law) -> Law:
    return Law(law.mean.detach(), None if law.scale is None else law.scale.detach())
