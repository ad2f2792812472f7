"""The parts of a world model's training loss."""

from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from .model import Filtered, Pushed, WorldModel


class Evidence(NamedTuple):
    """Parts of the negative evidence lower bound, each per environment step and averaged over windows, and the penalty.

    Attributes:
        reconstruction: E |D(x) − o|² / (2 observation_scale²), without its constant.
        divergence: relative entropy of the posterior against the prior.
        reward: half the squared error of rewards, in standard deviations of the data; 0 where none are predicted.
        continuing: cross-entropy of whether the episode goes on, in nats; 0 where that is not predicted.
        penalty: a Jacobian penalty, without its weight; 0 without one.
    """

    reconstruction: Tensor
    divergence: Tensor
    reward: Tensor
    continuing: Tensor
    penalty: Tensor


def evidence(
    model: WorldModel,
    observations: Tensor,
    actions: Tensor,
    *,
    seed: int,
    observation_scale: float,
    rewards: Tensor | None = None,
    continues: Tensor | None = None,
    reward_unit: float = 1.0,
    given: Tensor | None = None,
    pushed: Pushed | None = None,
) -> tuple[Evidence, Filtered]:
    """The evidence of some windows, by one differentiable pass of the filter, and what the filter gave.

    Args:
        model: the model.
        observations: (length, windows, *observation), standardised.
        actions: (length, windows, action).
        seed: fixes the noise; window i has noise of its own.
        observation_scale: standard deviation of the decoder's Gaussian.
        rewards, continues: (length, windows), where they are to be predicted: those at n came with o_{n+1}, so that the
            first state of a window has none, and the last ones are not used.
        reward_unit: what rewards are measured in.
        given: what the filter reads in place of `observations`.
        pushed: an error that is injected after every step.

    Example:
        >>> import torch
        >>> from sdewm.worldmodel import Architecture, NeuralSDE
        >>> model = NeuralSDE(Architecture(observation=2, action=1))
        >>> o, a = torch.zeros(5, 3, 2), torch.zeros(5, 3, 1)
        >>> parts, seen = evidence(model, o, a, seed=0, observation_scale=1.0)
        >>> seen.states.shape
        torch.Size([5, 3, 72])
    """
    read = observations if given is None else given
    seen = model.filtered(read, actions, seed=seed, pushed=pushed)
    miss = ((model.decode(seen.states) - observations) / observation_scale).flatten(2)
    zero = miss.new_zeros(())
    reward = continuing = zero
    if rewards is not None:
        wrong = (model.reward(seen.states[1:]) - rewards[:-1]) / reward_unit
        reward = 0.5 * wrong.square().mean()
    if continues is not None:
        continuing = binary_cross_entropy_with_logits(model.continuing(seen.states[1:]), continues[:-1])
    reconstruction = (0.5 * miss.square().sum(-1)).mean()
    return Evidence(reconstruction, seen.divergence.mean(), reward, continuing, zero), seen
