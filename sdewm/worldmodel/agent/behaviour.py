"""How actor and critic learn from what a world model imagines."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..model import Pushed
from ..rssm import RSSM
from .actor import Actor
from .critic import Critic
from .imagination import imagine, lambda_returns, survival
from .settings import AgentSettings


class Behaviour(NamedTuple):
    """The two losses of one imagination, and what the next one takes from it.

    Attributes:
        actor: −E w (R / S + η H), a function of the actor's weights alone.
        critic: half the squared error of V against R, a function of the critic's weights alone.
        returns: mean of R, in rewards of actions.
        entropy: mean of −log π.
        spread: S before its floor, the average with this imagination in it.
    """

    actor: Tensor
    critic: Tensor
    returns: Tensor
    entropy: Tensor
    spread: Tensor


def behaviour(
    model: RSSM,
    actor: Actor,
    critic: Critic,
    slow: Critic,
    starts: Tensor,
    settings: AgentSettings,
    *,
    seed: int,
    spread: Tensor | None = None,
    pushed: Pushed | None = None,
) -> Behaviour:
    """The losses of actor and critic.

        actor:   −E w_n (R_n / max(S, floor) − η log π(a_n | x_n))
        critic:  ½ E w_n (V(x_n) − R_n)²,  R_n a constant

    R_n are λ-returns with values of the slow critic, w_n the probability that the episode has not ended. The first is
    differentiated through the model's steps and the policy's noise (reparameterised), with the spread S of the returns
    a constant.

    Args:
        model: predicts rewards; its weights are constants here.
        actor, critic: what learns.
        slow: follows the critic.
        starts: (paths, hidden + latent), constants.
        settings: see there.
        seed: fixes all noise.
        spread: S of the imagination before; None for the first.
        pushed: an error that is injected after every step.

    Warning:
        Of categorical latents the gradient is that of the probabilities (straight through).

    Source: Hafner et al., arXiv:1912.01603, gradients through the dynamics; arXiv:2301.04104, the spread of returns.
    """
    seen = imagine(model, actor, starts.detach(), settings.horizon, seed=seed, pushed=pushed)
    returns = lambda_returns(
        seen.rewards, seen.continuing, slow(seen.states), discount=settings.discount, trace=settings.trace
    )
    weights, constant = survival(seen.continuing), returns.detach()
    wide = spread_of(constant, settings.percentile)
    kept = settings.spread_kept
    spread = wide if spread is None else kept * spread + (1.0 - kept) * wide
    floor = settings.least_spread * settings.action_repeat
    gain = returns / spread.clamp(min=floor) - settings.entropy * seen.log_density
    return Behaviour(
        -(weights * gain).mean(),
        critic.loss(seen.states[:-1].detach(), constant, weights),
        constant.mean(),
        -seen.log_density.detach().mean(),
        spread,
    )


def spread_of(returns: Tensor, percentile: float) -> Tensor:
    """From one percentile of all returns to 100 minus it."""
    share = percentile / 100.0
    low, high = torch.quantile(returns.flatten(), returns.new_tensor((share, 1.0 - share)))
    spread: Tensor = high - low
    return spread
