"""One gradient step of an agent: of its world model on what was played, of its behaviour on what that imagines."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from ...dynamics.brownian import generator
from ...exceptions import NumericalFailure
from ..episodes import Episodes
from ..evidence import evidence
from ..injection import Injection, state_covariance, without_push
from ..model import Filtered, Pushed
from ..regularise import Penalty, limit_spectral_norms
from ..rssm import RSSM
from ..seeds import derived
from ..train import averaged
from .actor import Actor
from .behaviour import behaviour
from .critic import Critic
from .settings import AgentSettings
from .state import moments_of, take_moments

PLACES = ("model", "imagination", "acting")


class Losses(NamedTuple):
    """One gradient step in numbers.

    Attributes:
        reconstruction, divergence, reward, continuing, penalty: as in `Evidence`; rewards in `reward_scale`.
        actor, critic: the losses of behaviour.
        returns: mean imagined λ-return, in rewards of actions.
        entropy: of the policy, in nats.
        spread: of the imagined returns.
    """

    reconstruction: Tensor
    divergence: Tensor
    reward: Tensor
    continuing: Tensor
    penalty: Tensor
    actor: Tensor
    critic: Tensor
    returns: Tensor
    entropy: Tensor
    spread: Tensor


@final
class Learner:
    """Networks, optimisers and running averages of an agent, and its next gradient step.

    Every random number is a function of (seed, gradient step).

    Args:
        model: an untrained world model whose units are fitted.
        settings: see there.
        seed: whole number >= 0.
        injection: an error on the states, in some of `places`.
        places: where it is injected: "model", while the model learns to filter, "imagination", "acting".
        penalty: a Jacobian penalty on the model.
    """

    def __init__(
        self,
        model: RSSM,
        settings: AgentSettings,
        *,
        seed: int,
        injection: Injection | None = None,
        places: Collection[str] = PLACES,
        penalty: Penalty | None = None,
    ) -> None:
        self.model, self.settings, self.seed = model, settings, seed
        self.injection, self.places, self.penalty = injection, frozenset(places), penalty
        size, width = model.hidden + model.latent, settings.actor_width
        bounds = {"least": settings.least_deviation, "most": settings.most_deviation}
        self.actor = Actor(size, model.action, width=width, seed=derived(seed, "agent: actor"), **bounds)
        unit = settings.action_repeat / (1.0 - settings.discount)
        self.critic = Critic(size, width=width, unit=unit, seed=derived(seed, "agent: critic"))
        self.slow = self.critic.follower()
        decay = settings.weight_decay
        self.optimisers = {
            "model": torch.optim.AdamW(model.parameters(), lr=settings.model_rate, weight_decay=decay, fused=True),
            "actor": torch.optim.AdamW(self.actor.parameters(), lr=settings.actor_rate, weight_decay=0.0, fused=True),
            "critic": torch.optim.AdamW(
                self.critic.parameters(), lr=settings.critic_rate, weight_decay=0.0, fused=True
            ),
        }
        self.step = 0
        self.covariance: Tensor | None = None
        self.spread: Tensor | None = None

    def pushed(self, place: str) -> Pushed | None:
        """The injected error of a place, in the units that the covariance has now; None where there is none.

        Raises:
            InvalidArgument: it is whitened, and no gradient step was taken.
        """
        if self.injection is None or place not in self.places:
            return None
        return self.injection.pushed(self.model, self.covariance, seed=self.seed)

    def update(self, windows: Episodes) -> Losses:
        """Take a gradient step of all three.

        Raises:
            NumericalFailure: states, a loss or a gradient are not finite.
        """
        step, settings = self.step, self.settings
        rise = min(1.0, (step + 1) / settings.warmup)
        rates = {"model": settings.model_rate, "actor": settings.actor_rate, "critic": settings.critic_rate}
        for name, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = rates[name] * rise
        try:
            parts, seen = self._learn_model(windows)
            behaved = self._learn_behaviour(seen.states.detach())
        except NumericalFailure as error:
            raise NumericalFailure(
                f"training left the numbers at gradient step {step}; lower the learning rates ({error})",
                time=float(step),
            ) from error
        self.step += 1
        return Losses(*(part.detach() for part in parts), *behaved)

    def check_weights(self) -> None:
        """Refuse weights that are not finite, before somebody keeps them.

        Raises:
            NumericalFailure: a weight is not finite.
        """
        for name, p in self._named().items():
            if not bool(torch.isfinite(p).all()):
                raise NumericalFailure(
                    f"{name} is not finite after gradient step {self.step - 1}; lower the learning rates.",
                    time=float(self.step - 1),
                )

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next gradient step depends on, beside the step's number."""
        result = {f"model/{name}": value for name, value in self.model.state_dict().items()}
        result |= {name: p for name, p in self._named().items() if name not in result}
        for which, optimiser in self.optimisers.items():
            result |= moments_of(optimiser, self._named(which), which)
        averages = {"covariance": self.covariance, "spread": self.spread}
        return result | {name: value for name, value in averages.items() if value is not None}

    def averages_like(self) -> dict[str, Tensor]:
        """Tensors of the shapes and kinds of the running averages, once there are some."""
        size = self.model.hidden + self.model.latent
        return {"covariance": torch.zeros(size, size, dtype=torch.float64), "spread": torch.zeros(())}

    def take(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Go on from what `tensors()` gave after so many gradient steps; names and shapes are those of `tensors()`."""
        self.model.load_state_dict({name: tensors[f"model/{name}"] for name in self.model.state_dict()})
        with torch.no_grad():
            for name, p in self._named().items():
                p.copy_(tensors[name])
        for which, optimiser in self.optimisers.items():
            take_moments(optimiser, self._named(which), which, tensors)
        self.covariance, self.spread, self.step = tensors["covariance"], tensors["spread"], step

    def _named(self, only: str | None = None) -> dict[str, nn.Parameter]:
        """Parameters by the names that they have in files."""
        parts = {"model": self.model, "actor": self.actor, "critic": self.critic, "slow": self.slow}
        chosen = {only: parts[only]} if only is not None else parts
        return {f"{part}/{name}": p for part, net in chosen.items() for name, p in net.named_parameters()}

    def _learn_model(self, windows: Episodes) -> tuple[tuple[Tensor, ...], Filtered]:
        step, settings, model = self.step, self.settings, self.model
        observations = model.standardise(windows.observations[:, :-1]).transpose(0, 1)
        actions = windows.actions.transpose(0, 1).to(observations)
        assert windows.rewards is not None
        assert windows.continues is not None
        rewards = windows.rewards.transpose(0, 1).to(observations)
        continues = windows.continues.transpose(0, 1).to(observations) if model.continues else None
        given = observations
        if settings.observation_noise > 0.0:
            source = generator(self.seed, "agent: observation noise", step)
            noise = torch.randn(observations.shape, generator=source).to(observations)
            given = observations + settings.observation_noise * noise
        noise_seed = derived(self.seed, "agent: filter", step)
        if self.covariance is None and self.injection is not None and self.injection.whitened:
            # The first push needs units: the first step filters once more, without it.
            with torch.no_grad():
                self.covariance = state_covariance(model.filtered(given, actions, seed=noise_seed).states)
        pushed = self.pushed("model")
        parts, seen = evidence(
            model,
            observations,
            actions,
            seed=noise_seed,
            observation_scale=settings.observation_scale,
            rewards=rewards,
            continues=continues,
            reward_unit=settings.reward_scale * settings.action_repeat,
            given=given,
            pushed=pushed,
        )
        loss = parts.reconstruction + settings.divergence_weight * parts.divergence + parts.reward + parts.continuing
        if self.penalty is not None:
            value = self.penalty.value(
                model, seen, given, actions, seed=derived(self.seed, "agent: penalty"), draw=step
            )
            parts = parts._replace(penalty=value)
            loss = loss + self.penalty.weight * value
        self._apply("model", loss, model.parameters(), settings.model_clip)
        done = step + 1
        last = done == settings.updates_after(settings.episodes)
        if settings.spectral_limit is not None and (done % settings.spectral_every == 0 or last):
            limit_spectral_norms(model, settings.spectral_limit)
        fresh = state_covariance(seen.states)
        if pushed is not None:
            fresh = without_push(fresh, pushed)
        self.covariance = fresh if self.covariance is None else averaged(self.covariance, fresh, step)
        return parts, seen

    def _learn_behaviour(self, states: Tensor) -> tuple[Tensor, ...]:
        step, settings = self.step, self.settings
        rows = states.flatten(0, 1)
        chosen = torch.randperm(len(rows), generator=generator(self.seed, "agent: starts", step))[: settings.starts]
        result = behaviour(
            self.model,
            self.actor,
            self.critic,
            self.slow,
            rows[chosen],
            settings,
            seed=derived(self.seed, "agent: imagination", step),
            spread=self.spread,
            pushed=self.pushed("imagination"),
        )
        self._apply("actor", result.actor, self.actor.parameters(), settings.actor_clip)
        self._apply("critic", result.critic, self.critic.parameters(), settings.critic_clip)
        self.slow.follow(self.critic, settings.slow)
        self.spread = result.spread
        return tuple(part.detach() for part in result)

    def _apply(self, name: str, loss: Tensor, parameters: Iterable[nn.Parameter], clip: float) -> None:
        """Step one optimiser along the gradient of a loss by its own parameters, and by no others."""
        own = list(parameters)
        for p, gradient in zip(own, torch.autograd.grad(loss, own, allow_unused=True), strict=True):
            p.grad = gradient
        norm = torch.nn.utils.clip_grad_norm_(own, clip)
        if not bool(torch.isfinite(loss.detach() + norm)):
            raise NumericalFailure(f"the loss of the {name} or its gradient is not finite")
        self.optimisers[name].step()
