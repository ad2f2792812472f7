"""How to train a world model."""

import math
from dataclasses import dataclass
from typing import final

from ..validation import integer, not_negative, positive


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
        weight_decay: decoupled from the gradient, as in AdamW: weights shrink by rate * weight_decay a step.
        spectral_limit: largest spectral norm of the transition's weight matrices, which are projected every
            `spectral_every` steps and after the last; None for no limit.
        spectral_every: see there.
        observation_noise: standard deviation of Gaussian noise on the standardised observations that are filtered; the
            decoder is held against those without noise.

    Raises:
        InvalidArgument: a value is out of range.

    Example:
        >>> Settings(steps=10, weight_decay=0.01).batch
        32
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
    weight_decay: float = 0.0
    spectral_limit: float | None = None
    spectral_every: int = 10
    observation_noise: float = 0.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "length", "warmup", "spectral_every"):
            integer(name, getattr(self, name), least=1)
        for name in ("rate", "last", "observation_scale", "clip"):
            positive(name, getattr(self, name))
        for name in ("divergence_weight", "weight_decay", "observation_noise"):
            not_negative(name, getattr(self, name))
        if self.spectral_limit is not None:
            positive("spectral_limit", self.spectral_limit)

    def rate_at(self, step: int) -> float:
        """The learning rate of a gradient step."""
        rise = min(1.0, (step + 1) / self.warmup)
        fall = 0.5 * (1.0 + math.cos(math.pi * step / self.steps))
        return self.rate * rise * (self.last + (1.0 - self.last) * fall)
