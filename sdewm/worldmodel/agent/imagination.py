"""Rollouts of a world model under a policy, and the returns of what they earn."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ..injection import push, push_normals
from ..model import Pushed
from ..noise import window_normals
from ..rssm import RSSM
from .actor import Actor


@final
@dataclass(frozen=True, eq=False)
class Imagined:
    """What a policy does in a world model, time first, differentiable by the policy's weights.

    Attributes:
        states: (horizon + 1, paths, hidden + latent).
        log_density: (horizon, paths), of the actions.
        rewards: (horizon, paths): the n-th came with state n + 1.
        continuing: (horizon, paths), probability that the episode goes on at state n + 1; ones where the model predicts
            no ends.
    """

    states: Tensor
    log_density: Tensor
    rewards: Tensor
    continuing: Tensor


def imagine(
    model: RSSM, actor: Actor, starts: Tensor, horizon: int, *, seed: int, pushed: Pushed | None = None
) -> Imagined:
    """Roll a model out from states under a policy, with the noise of both.

    Args:
        model: predicts rewards.
        actor: the policy.
        starts: (paths, hidden + latent).
        horizon: number of actions.
        seed: fixes all noise; path i has noise of its own, whatever their number.
        pushed: an error that is injected after every step.
    """
    paths, latents, dtype = len(starts), model.laws.normals, starts.dtype
    drawn = window_normals(seed, "imagination", horizon, paths, latents + model.action, dtype).to(starts.device)
    of_latent, of_action = drawn.split([latents, model.action], dim=-1)
    pushes = None if pushed is None else push_normals(pushed, horizon, paths, seed=seed)
    step, x = model.sampled_step(), starts
    states, densities = [x], []
    for n in range(horizon):
        policy = actor(x)
        densities.append(actor.log_density(policy, of_action[n]))
        x = step(x, actor.action_of(policy, of_action[n]), of_latent[n])
        if pushed is not None:
            x = push(x, pushed, None if pushes is None else pushes[n])
        states.append(x)
    whole = torch.stack(states)
    rewards = model.reward(whole[1:])
    continuing = torch.sigmoid(model.continuing(whole[1:])) if model.continues else torch.ones_like(rewards)
    return Imagined(whole, torch.stack(densities), rewards, continuing)


def lambda_returns(rewards: Tensor, continuing: Tensor, values: Tensor, *, discount: float, trace: float) -> Tensor:
    """R_n = r_n + γ c_n ((1 − λ) V_{n+1} + λ R_{n+1}), R_H = V_H, (horizon, paths).

    Args:
        rewards: (horizon, paths), r_n.
        continuing: (horizon, paths), c_n, probability that the episode goes on after r_n.
        values: (horizon + 1, paths), V_0 … V_H; the first is not used.
        discount: γ.
        trace: λ: 0 looks one step ahead, 1 to the horizon.

    Source: Sutton, Barto, Reinforcement Learning, 2nd ed., equation 12.2; Hafner et al., arXiv:1912.01603, equation 6.

    Example:
        >>> one = torch.ones(3, 1)
        >>> lambda_returns(one, one, torch.zeros(4, 1), discount=0.5, trace=1.0).flatten().tolist()
        [1.75, 1.5, 1.0]
    """
    kept = discount * continuing
    ahead = torch.addcmul(rewards, kept, (1.0 - trace) * values[1:])
    result, last = [], values[-1]
    for n in range(len(rewards) - 1, -1, -1):
        last = torch.addcmul(ahead[n], kept[n], trace * last)
        result.append(last)
    return torch.stack(result[::-1])


def survival(continuing: Tensor) -> Tensor:
    """Probability (horizon, paths) that the episode has not ended before action n: 1, c_0, c_0 c_1, …; a constant."""
    kept = continuing.detach()
    return torch.cat((torch.ones_like(kept[:1]), kept[:-1])).cumprod(0)
