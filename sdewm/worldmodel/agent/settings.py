"""How to train an agent."""

from dataclasses import dataclass
from typing import final

from ...exceptions import InvalidArgument
from ...validation import integer, not_negative, positive, real


@final
@dataclass(frozen=True)
class AgentSettings:
    """How to train an agent: what it plays, what it replays, what it imagines, and how it learns from that.

    Attributes:
        environment_steps: to be played in all, prefill included; rounded up to whole episodes.
        episode_steps: environment steps an episode, a multiple of `action_repeat`.
        action_repeat: environment steps for which an action is held.
        prefill: episodes under smooth random actions, before the first gradient step.
        train_ratio: replayed environment steps for each one that is played; those of the prefill are due at its end.
        batch, length: windows a gradient step, and actions a window.
        starts: states of these windows, chosen at random, from which a gradient step imagines.
        horizon: actions that are imagined.
        discount: γ, an action.
        trace: λ of the returns.
        entropy: weight of the policy's entropy, in units of the normalised return.
        slow: rate at which the slow critic follows the critic.
        percentile: the spread of returns is that from this percentile to 100 minus it, averaged over gradient steps.
        spread_kept: share of the averaged spread that a gradient step keeps.
        least_spread: returns are divided by the spread, but at least by this, in rewards of one environment step.
        model_rate, actor_rate, critic_rate: learning rates of Adam; they rise over `warmup` gradient steps.
        warmup: see there.
        model_clip, actor_clip, critic_clip: largest norms of the three gradients.
        actor_width: width of the two layers of the actor, and of the critic.
        least_deviation, most_deviation: bounds of the policy's standard deviation before tanh.
        exploration: standard deviation of Gaussian noise on actions while training, which are then clipped.
        observation_scale: standard deviation of the decoder's Gaussian, in standard deviations of the prefill.
        reward_scale: standard deviation of the predicted reward, in rewards of one action.
        divergence_weight, weight_decay, spectral_limit, spectral_every, observation_noise: as in `Settings`.

    Raises:
        InvalidArgument: a value is out of range, or two do not fit each other.

    Example:
        >>> AgentSettings(environment_steps=10_000).episodes
        10
    """

    environment_steps: int = 60_000
    episode_steps: int = 1000
    action_repeat: int = 2
    prefill: int = 4
    train_ratio: float = 80.0
    batch: int = 16
    length: int = 32
    starts: int = 128
    horizon: int = 15
    discount: float = 0.99
    trace: float = 0.95
    entropy: float = 3e-3
    slow: float = 0.02
    percentile: float = 5.0
    spread_kept: float = 0.98
    least_spread: float = 10.0
    model_rate: float = 1e-3
    actor_rate: float = 1e-3
    critic_rate: float = 1e-3
    warmup: int = 100
    model_clip: float = 100.0
    actor_clip: float = 1.0
    critic_clip: float = 10.0
    actor_width: int = 64
    least_deviation: float = 0.1
    most_deviation: float = 1.0
    exploration: float = 0.0
    observation_scale: float = 0.1
    reward_scale: float = 0.05
    divergence_weight: float = 1.0
    weight_decay: float = 0.0
    spectral_limit: float | None = None
    spectral_every: int = 10
    observation_noise: float = 0.0

    def __post_init__(self) -> None:
        counts = ("environment_steps", "episode_steps", "action_repeat", "prefill", "batch", "starts", "horizon")
        for name in (*counts, "warmup", "actor_width", "spectral_every"):
            integer(name, getattr(self, name), least=1)
        integer("length", self.length, least=2)
        for name in ("train_ratio", "least_spread", "model_rate", "actor_rate", "critic_rate", "model_clip"):
            positive(name, getattr(self, name))
        for name in ("actor_clip", "critic_clip", "least_deviation", "most_deviation", "observation_scale"):
            positive(name, getattr(self, name))
        positive("reward_scale", self.reward_scale)
        for name in ("entropy", "exploration", "divergence_weight", "weight_decay", "observation_noise"):
            not_negative(name, getattr(self, name))
        for name in ("discount", "trace", "spread_kept"):
            if not 0.0 <= real(name, getattr(self, name)) < 1.0:
                raise InvalidArgument(f"{name} must be at least 0 and below 1, got {getattr(self, name):g}.")
        if not 0.0 < real("slow", self.slow) <= 1.0:
            raise InvalidArgument(f"slow must be above 0 and at most 1, got {self.slow:g}.")
        if not 0.0 <= real("percentile", self.percentile) < 50.0:
            raise InvalidArgument(f"percentile must be at least 0 and below 50, got {self.percentile:g}.")
        if self.spectral_limit is not None:
            positive("spectral_limit", self.spectral_limit)
        if self.least_deviation >= self.most_deviation:
            raise InvalidArgument(
                f"least_deviation must be below most_deviation, got {self.least_deviation:g} and "
                f"{self.most_deviation:g}."
            )
        if self.episode_steps % self.action_repeat:
            raise InvalidArgument(
                f"episode_steps must be a multiple of action_repeat, got {self.episode_steps} and {self.action_repeat}."
            )
        if self.length > self.actions:
            raise InvalidArgument(
                f"length must be at most the {self.actions} actions of an episode, got {self.length}."
            )
        if self.starts > self.batch * self.length:
            raise InvalidArgument(
                f"starts must be at most the {self.batch * self.length} states of a gradient step, got {self.starts}."
            )
        if self.prefill >= self.episodes:
            raise InvalidArgument(
                f"prefill must be below the {self.episodes} episodes that environment_steps allow, got {self.prefill}."
            )

    @property
    def actions(self) -> int:
        """Actions of an episode."""
        return self.episode_steps // self.action_repeat

    @property
    def episodes(self) -> int:
        """Episodes that are played in all."""
        return -(-self.environment_steps // self.episode_steps)

    def updates_after(self, episodes: int) -> int:
        """Gradient steps that are due once so many episodes are played, none before the end of the prefill."""
        played = episodes * self.episode_steps if episodes >= self.prefill else 0
        return int(played * self.train_ratio) // (self.batch * self.length * self.action_repeat)
