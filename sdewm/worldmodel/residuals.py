"""The representation error of a trained model, measured: how far its latent while filtering is from its prediction.

At a step of the filter, h is the same for both laws of z. With m_q, m_p the means of posterior and prior,

    z − m_p(h) = δ + ζ,    δ = m_q(h, o) − m_p(h),    ζ = z − m_q(h, o).

δ is the *transition residual*: what the observation teaches, and a rollout misses. ζ is the *sampling spread*: what the
representation adds by being drawn, mean zero given h and o. Read as an error of the rollout's z̃ that does not depend on
the state, the filter differs from the mean of the prediction by

    a drift error σ = E δ,    a zero-drift error σ̄ = (Cov δ)^½,    and the spread ζ.

After a rollout of K steps without noise, from a filtered state, z̃ differs from the posterior mean of the filter there
by the *transition error* of horizon K; for K = 1 it is δ.
"""

import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from ..estimate import Estimate, Moments
from ..exceptions import InvalidArgument
from ..stats.ratio import ratio_interval
from ..validation import integer
from .episodes import Episodes
from .model import WorldModel
from .seeds import derived

HORIZONS = (1, 5, 10, 25, 50)
UNITS = ("whitened", "raw")
# So many numbers of observations are held at once, in float64: 128 MB.
_HELD = 1 << 24
# Directions of smaller variance than this share of the largest are none: probabilities of a group add up to one.
_RANK = 1e-9


@final
@dataclass(frozen=True, eq=False)
class Sizes:
    """Mean squares a coordinate, in one unit, as estimates over episodes.

    Attributes:
        residual: E|δ|² / d, over states and times.
        drift: |E δ|² / d, without the bias of a squared mean. Where it is near zero its interval is a rough one.
        spread: E|ζ|² / d.
        transition: for each horizon K the mean square of z̃ − m_q after K steps of a rollout.
    """

    residual: Estimate
    drift: Estimate
    spread: Estimate
    transition: Mapping[int, Estimate]

    def ratio(self, horizon: int, level: float = 0.95) -> tuple[float, float, float]:
        """Transition error of a horizon in units of the spread, as root mean squares: the value and its interval.

        Raises:
            InvalidArgument: this horizon was not measured.
        """
        if horizon not in self.transition:
            raise InvalidArgument(f"horizon must be one of {', '.join(map(str, self.transition))}, got {horizon!r}.")
        top = self.transition[horizon]
        low, high = (math.sqrt(max(limit, 0.0)) for limit in ratio_interval(top, self.spread, level))
        return math.sqrt(top.value / self.spread.value) if self.spread.value else math.inf, low, high


@final
@dataclass(frozen=True, eq=False)
class LatentResiduals:
    """What `latent_residuals` measures.

    Attributes:
        sizes: for "whitened" and "raw" units.
        drift: σ = E δ, (latent,), raw.
        diffusion: σ̄ = (Cov δ)^½, the symmetric root, (latent, latent), raw.
        root: (Cov z)^½, the unit of whitened numbers, (latent, latent).
        rank: number of directions in which z varies, d of whitened numbers.
        episodes: number of episodes, which are taken for independent.
    """

    sizes: Mapping[str, Sizes]
    drift: Tensor
    diffusion: Tensor
    root: Tensor
    rank: int
    episodes: int

    def to_dict(self, level: float = 0.95) -> dict[str, Any]:
        """Plain numbers for a file: mean squares with their intervals, and ratios of root mean squares."""

        def entry(estimate: Estimate) -> list[float]:
            return [estimate.value, *estimate.interval(level)]

        sizes = {
            unit: {
                "residual": entry(s.residual),
                "drift": entry(s.drift),
                "spread": entry(s.spread),
                "transition": {str(k): entry(e) for k, e in s.transition.items()},
                "transition / spread": {str(k): list(s.ratio(k, level)) for k in s.transition},
            }
            for unit, s in self.sizes.items()
        }
        return {
            "mean squares a coordinate, with intervals over episodes": sizes,
            "level": level,
            "drift": self.drift.tolist(),
            "diffusion": self.diffusion.tolist(),
            "rank": self.rank,
            "episodes": self.episodes,
        }


class _Measured(NamedTuple):
    """Of some episodes: z, δ, ζ (episodes, windows, horizon, latent); transition errors, one a horizon, likewise."""

    z: Tensor
    residual: Tensor
    spread: Tensor
    transition: Tensor


def latent_residuals(
    model: WorldModel, episodes: Episodes, *, warm: int = 25, horizon: int = 50, seed: int = 0
) -> LatentResiduals:
    """Measure the representation error of a trained model on episodes that it was not trained on.

    Windows of warm + horizon steps are laid side by side into each episode, as many as fit, and filtered with noise.
    δ and ζ are taken at all times after the first `warm`; rollouts start in the last of the first `warm` states.

    Whitened units are those in which z after filtering has covariance I on the directions in which it varies. They
    come from the same windows, and intervals do not hold their uncertainty.

    Args:
        model: a trained model; the computation is in float64.
        episodes: at least three.
        warm: observations that are filtered before anything is measured.
        horizon: steps that are measured, and the longest rollout; transition errors are given for it and for those of
            1, 5, 10, 25, 50 that are shorter.
        seed: fixes all noise.

    Raises:
        InvalidArgument: the episodes are too few, too short or of other shapes, or z does not vary.

    Warning:
        δ depends on the state, and on δ one step before. σ and σ̄ are its first two moments, and a model with an error
        of these constants has no more of it. Not checked: that the episodes are independent of each other.

    Source: Fang, Du, Wang, Zhang, arXiv:2501.00195, drift and diffusion of the representation error (as reconstructed).
    """
    warm, horizon = integer("warm", warm, least=1), integer("horizon", horizon, least=1)
    seed = integer("seed", seed, least=0)
    model.check(episodes)
    length = warm + horizon
    if episodes.steps < length:
        raise InvalidArgument(f"episodes must have at least {length} steps, got {episodes.steps}.")
    if len(episodes) < 3:
        raise InvalidArgument(f"episodes must be at least 3, for intervals over them, got {len(episodes)}.")
    model = deepcopy(model).double().requires_grad_(False)
    horizons = (*(k for k in HORIZONS if k < horizon), horizon)
    measured = _Measured(
        *(torch.cat(part) for part in zip(*_measure(model, episodes, warm, horizons, seed), strict=True))
    )
    covariance = torch.cov(measured.z.flatten(0, 2).T)
    values, vectors = torch.linalg.eigh(covariance.reshape(model.latent, model.latent))
    kept = values > _RANK * values[-1]
    if not float(values[-1]) > 0.0:
        raise InvalidArgument("z does not vary on these windows: nothing can be measured in units of it.")
    rank, root = int(kept.sum()), (vectors * values.clamp(min=0.0).sqrt()) @ vectors.T
    inverse = (vectors[:, kept] / values[kept].sqrt()) @ vectors[:, kept].T
    sizes = {
        "whitened": _sizes(_Measured(*(part @ inverse for part in measured)), rank, horizons),
        "raw": _sizes(measured, model.latent, horizons),
    }
    delta = measured.residual.flatten(0, 2)
    values, vectors = torch.linalg.eigh(torch.cov(delta.T).reshape(model.latent, model.latent))
    diffusion = (vectors * values.clamp(min=0.0).sqrt()) @ vectors.T
    return LatentResiduals(sizes, delta.mean(0), diffusion, root, rank, len(episodes))


def _measure(
    model: WorldModel, episodes: Episodes, warm: int, horizons: tuple[int, ...], seed: int
) -> Iterator[_Measured]:
    length = warm + horizons[-1]
    count = episodes.steps // length
    spare = episodes.steps - length
    starts = [k * spare // max(count - 1, 1) for k in range(count)]
    together = max(1, _HELD // (count * length * torch.Size(model.observation).numel()))
    step, hidden = model.prior_map(noise=False), model.hidden
    for block, first in enumerate(range(0, len(episodes), together)):
        rows = slice(first, first + together)
        windows = Episodes(episodes.observations[rows], episodes.actions[rows]).windows(starts, length)
        seen = model.standardise(windows.observations[:, :length]).transpose(0, 1)
        actions = windows.actions.to(seen).transpose(0, 1)
        result = model.filtered(seen, actions, seed=derived(seed, "residuals: filter", block))
        x, missed = result.states[warm - 1], []
        for n in range(warm, length):
            x = step.mean(n, x, actions[n - model.lag])
            if n - warm + 1 in horizons:
                missed.append(x[:, hidden:] - result.posterior_mean[n])
        z, q, p = (v[warm:] for v in (result.states[..., hidden:], result.posterior_mean, result.prior_mean))
        # On the CPU, where they are put together: all of them may be more than a device holds.
        yield _Measured(*(_by_episode(v.cpu(), count) for v in (z, q - p, z - q, torch.stack(missed))))


def _by_episode(values: Tensor, count: int) -> Tensor:
    """(times, windows, latent) to (episodes, windows of each, times, latent); starts vary slowest in windows."""
    split: Tensor = values.unflatten(1, (count, -1))
    return split.permute(2, 1, 0, 3)


def _sizes(measured: _Measured, coordinates: int, horizons: tuple[int, ...]) -> Sizes:
    residual, spread = (v.square().sum(-1).mean((1, 2)) / coordinates for v in (measured.residual, measured.spread))
    drift = mean_square_values(measured.residual.mean((1, 2))) / coordinates
    transition = measured.transition.square().sum(-1).mean(1) / coordinates
    # In one table, so that ratios of these estimates know how they vary together.
    table = torch.cat((torch.stack((residual, drift, spread), dim=1), transition), dim=1)
    first, second, third, *rest = Moments.of(table.numpy()).estimates()
    return Sizes(first, second, third, dict(zip(horizons, rest, strict=True)))


def mean_square_values(means: Tensor) -> Tensor:
    """Numbers (n,) whose mean is the unbiased estimate of |E m|² from independent vectors `means` (n, d).

    That estimate is U = Σ_{i≠j} m_i·m_j / (n(n − 1)); the numbers are the jackknife's, n U − (n − 1) U without i, so
    that their standard error is one of U. Where E m = 0 the law of U is not near a normal one.

    Source: Efron and Stein, The jackknife estimate of variance, Annals of Statistics 9 (1981).

    Example:
        >>> mean_square_values(torch.tensor([[1.0], [2.0], [3.0]])).mean()
        tensor(3.6667)
    """
    n = len(means)
    total, own = means.sum(0), means.square().sum(-1)
    whole = (total.square().sum() - own.sum()) / (n * (n - 1))
    without = ((total - means).square().sum(-1) - (own.sum() - own)) / ((n - 1) * (n - 2))
    values: Tensor = n * whole - (n - 1) * without
    return values
