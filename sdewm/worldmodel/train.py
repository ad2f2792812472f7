"""Training a `NeuralSDE` through the solver, on the evidence lower bound."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from ..drifts.four_block import FourBlock
from ..dynamics.brownian import generator
from ..dynamics.reference import simulate
from ..exceptions import InvalidArgument, NumericalFailure
from ..grid import TimeGrid
from ..validation import integer, positive, real
from .episodes import Episodes
from .neural_sde import Architecture, NeuralSDE
from .seeds import derived


@final
@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        steps: number of gradient steps.
        batch, length: windows a step, and environment steps a window.
        rate: highest learning rate of Adam; it rises over `warmup` steps and falls along a cosine to `rate * last`.
        warmup, last: see there.
        observation_scale: standard deviation of the decoder's Gaussian, in standard deviations of the data.
        divergence_weight: weight of the relative entropy; 1 is the evidence lower bound.
        clip: largest norm of a gradient.

    Raises:
        InvalidArgument: a value is out of range.
    """

    steps: int = 1000
    batch: int = 32
    length: int = 32
    rate: float = 3e-3
    warmup: int = 100
    last: float = 0.02
    observation_scale: float = 0.05
    divergence_weight: float = 1.0
    clip: float = 10.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "length", "warmup"):
            integer(name, getattr(self, name), least=1)
        for name in ("rate", "last", "observation_scale", "clip"):
            positive(name, getattr(self, name))
        if real("divergence_weight", self.divergence_weight) < 0.0:
            raise InvalidArgument(f"divergence_weight must be at least 0, got {self.divergence_weight:g}.")


class Evidence(NamedTuple):
    """The two parts of the negative evidence lower bound, each per environment step and averaged over windows.

    Attributes:
        reconstruction: E |D(h, z) − o|² / (2 observation_scale²), without its constant.
        divergence: relative entropy of the posterior path against the predictor's.
    """

    reconstruction: Tensor
    divergence: Tensor


@final
@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model and the parts of its evidence at every gradient step, (steps, 2)."""

    model: NeuralSDE
    history: Tensor


def evidence(
    model: NeuralSDE,
    system: FourBlock,
    observations: Tensor,
    actions: Tensor,
    *,
    seed: int,
    observation_scale: float,
) -> Evidence:
    """The evidence of some windows, by one differentiable torchsde solve of the filtering system.

    Args:
        model: the model.
        system: its `filtering()` system.
        observations: (length, windows, observation), standardised: o_n is given at step n.
        actions: (length, windows, action).
        seed: fixes the Brownian motion; window i sees path i of it.
        observation_scale: standard deviation of the decoder's Gaussian.
    """
    length, windows = actions.shape[:2]
    grid = TimeGrid(T=length, steps=length)
    inputs = torch.cat((actions, observations), dim=-1)
    start = observations.new_zeros(windows, system.dim)
    states = simulate(system, start, grid, seed=seed, actions=inputs).states
    blocks = system.split(states)
    cost = grid.h * model.running_cost(blocks.hidden[:-1], observations)
    miss = model.read_out(blocks.hidden[1:], blocks.posterior[1:]) - observations
    return Evidence((0.5 * (miss / observation_scale).square().sum(-1)).mean(), cost.mean())


def train(
    episodes: Episodes,
    settings: Settings,
    *,
    seed: int,
    architecture: Architecture | None = None,
    progress: Callable[[int, Evidence], None] | None = None,
) -> Trained:
    """Train a model from its seed: weights, windows and noise are functions of `seed`, and nothing else is random.

    The gradient is that of the discrete solve, by backpropagation. Subnormal numbers are flushed to zero while
    training (they slow processors down); the setting is given back afterwards.

    Args:
        episodes: the data.
        settings: how to train.
        seed: whole number >= 0.
        architecture: sizes of the model; by default those of the data and the defaults of `Architecture`.
        progress: called after each gradient step with its number and its evidence.

    Raises:
        InvalidArgument: an argument is out of range, or the sizes do not fit the data.
        NumericalFailure: the loss is not finite.

    Warning:
        Equal to the bit on one kind of machine and number of threads only; otherwise to rounding, which training then
        amplifies.
    """
    length = settings.length
    if length > episodes.steps:
        raise InvalidArgument(f"length must be at most the {episodes.steps} steps of the episodes, got {length}.")
    sizes = (episodes.observations.shape[2], episodes.actions.shape[2])
    model = NeuralSDE(architecture or Architecture(*sizes), seed=seed)
    model.fit_units(episodes)
    system = model.filtering()
    draw = generator(seed, "neural sde: windows")
    observations, actions = model.standardise(episodes.observations), episodes.actions
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.rate)
    history = torch.zeros(settings.steps, 2)
    with subnormals_flushed():
        for step in range(settings.steps):
            for group in optimiser.param_groups:
                group["lr"] = _rate(settings, step)
            rows = torch.randint(len(episodes), (settings.batch,), generator=draw)
            first = torch.randint(episodes.steps - length + 1, (settings.batch,), generator=draw)
            columns = first + torch.arange(length)[:, None]
            parts = evidence(
                model,
                system,
                observations[rows, columns],
                actions[rows, columns],
                seed=derived(seed, "neural sde: training noise", step),
                observation_scale=settings.observation_scale,
            )
            loss = parts.reconstruction + settings.divergence_weight * parts.divergence
            if not bool(torch.isfinite(loss)):
                raise NumericalFailure(f"the loss is not finite at gradient step {step}; lower the learning rate.")
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            optimiser.step()
            parts = Evidence(*(part.detach() for part in parts))
            history[step] = torch.stack(parts)
            if progress is not None:
                progress(step, parts)
    return Trained(model, history)


@contextmanager
def subnormals_flushed() -> Iterator[None]:
    """Flush subnormal numbers to zero inside, and give the setting back outside.

    It holds for the calling thread. torch has no way to ask for the setting, so a subnormal number is looked at.
    """
    tiny = torch.full((1,), 1e-310, dtype=torch.float64)
    before = bool((tiny * 0.5 == 0.0).all())
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _rate(settings: Settings, step: int) -> float:
    rise = min(1.0, (step + 1) / settings.warmup)
    fall = 0.5 * (1.0 + math.cos(math.pi * step / settings.steps))
    return settings.rate * rise * (settings.last + (1.0 - settings.last) * fall)
