"""Perturbed observations of recorded episodes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..dynamics.brownian import generator
from ..exceptions import InvalidArgument, Refused
from ..validation import one_of, real
from .episodes import Episodes

KINDS = ("noise", "rotation", "masking")
PATCHES = 8


def perturb_observations(
    episodes: Episodes,
    kind: str,
    strength: float,
    *,
    seed: int,
    pairs: Sequence[tuple[int, int]] | None = None,
    units: Episodes | None = None,
) -> Episodes:
    """The same episodes, seen worse: only observations change, and at strength 0 they do not.

    - "noise": independent Gaussian noise on every number, of `strength` standard deviations of that number over
      `units`; on images of 255 `strength` grey levels, rounded and clipped to 0 … 255.
    - "rotation": by `strength` degrees. Images turn anticlockwise about their centre, bilinear, black from outside; of
      states every (cosine, sine) pair (c, s) becomes (c cos α − s sin α, s cos α + c sin α): angles grow by α.
    - "masking": every number is replaced by its mean over `units`, independently at every time, with probability
      `strength`; images have 8 × 8 patches, each of which is black with that probability.

    Args:
        episodes: to perturb.
        kind: "noise", "rotation" or "masking". A changed physics perturbs no recorded observation: see `collect`.
        strength: see above; at least 0 for noise, from 0 to 1 for masking, any for rotation.
        seed: whole number >= 0. Noise and masks of episode i depend on (seed, kind, i) and on its shape alone, and not
            on the strength: a larger one scales the same noise and enlarges the same masks.
        pairs: columns (cosine, sine) of a state, from `angle_pairs`: for rotation alone; images ignore it.
        units: episodes whose means and deviations are used, for instance the training data; by default `episodes`.

    Returns:
        Episodes of the same shapes and types, which share actions, rewards and continuations with the given ones.

    Raises:
        InvalidArgument: an argument is out of range, or does not fit the observations.
        Refused: kind is "physics", or states without pairs are to be rotated.

    Warning:
        That c² + s² = 1 holds in each pair is not checked.

    Example:
        >>> seen = Episodes(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.zeros(1, 1, 1))
        >>> turned = perturb_observations(seen, "rotation", 90, seed=0, pairs=[(0, 1)])
        >>> turned.observations.round().abs().tolist()
        [[[0.0, 1.0], [1.0, 0.0]]]
    """
    if kind == "physics":
        raise Refused(
            "another physics cannot be put into recorded observations; collect episodes with physics=... anew."
        )
    units = episodes if units is None else units
    if units.shape != episodes.shape:
        raise InvalidArgument(
            f"units must have observations of the same shape {episodes.shape}, got {units.shape}: collect both alike."
        )
    generator(seed, kind)  # refuses a bad seed, also where no noise is drawn
    change = observation_change(kind, strength, episodes.shape, pairs=pairs, mean=units.mean, deviation=units.deviation)
    if strength == 0.0:
        return episodes
    observations = torch.empty_like(episodes.observations)
    for i, seen in enumerate(episodes.observations):
        observations[i] = change(seen, generator(seed, f"perturbed observations: {kind}", i))
    return replace(episodes, observations=observations)


def observation_change(
    kind: str,
    strength: float,
    shape: tuple[int, ...],
    *,
    pairs: Sequence[tuple[int, int]] | None = None,
    mean: Tensor | None = None,
    deviation: Tensor | None = None,
) -> Callable[[Tensor, torch.Generator], Tensor]:
    """(observations (times, *shape), a generator) to the observations that are seen in their place.

    Args:
        kind, strength, pairs: as in `perturb_observations`.
        shape: of one observation.
        mean, deviation: (size,), units of a state; images need none.

    Raises:
        InvalidArgument: an argument is out of range, or does not fit the shape.
        Refused: states without pairs are to be rotated.
    """
    one_of("kind", kind, KINDS)
    strength = real("strength", strength)
    if (strength < 0.0 and kind != "rotation") or (strength > 1.0 and kind == "masking"):
        raise InvalidArgument(
            f"strength must be at least 0 for noise and from 0 to 1 for masking, got {strength:g} for {kind!r}."
        )
    images = len(shape) == 3
    if kind == "rotation":
        if images:
            return partial(_rotate_images, degrees=strength)
        return partial(_rotate_states, degrees=strength, pairs=_checked(pairs, shape[0]))
    if images:
        return partial(_noise_on_images if kind == "noise" else _mask_images, strength=strength)
    if mean is None or deviation is None:
        raise InvalidArgument("mean and deviation are needed where states are perturbed: pass those of the data.")
    if kind == "noise":
        return partial(_noise_on_states, scale=strength * deviation)
    return partial(_mask_states, strength=strength, mean=mean)


def _checked(pairs: Sequence[tuple[int, int]] | None, size: int) -> Tensor:
    if pairs is not None and not isinstance(pairs, Sequence):
        raise InvalidArgument(f"pairs must be a sequence of (cosine, sine) columns, got {type(pairs).__name__}.")
    if pairs is None or not len(pairs):
        raise Refused(
            "states are rotated by their (cosine, sine) pairs: give pairs=angle_pairs(task), or rotate images."
        )
    listed = [tuple(pair) if isinstance(pair, Sequence) else () for pair in pairs]
    columns = [column for pair in listed for column in pair]
    whole = all(isinstance(c, int) and not isinstance(c, bool) and 0 <= c < size for c in columns)
    if not whole or any(len(pair) != 2 for pair in listed) or len(set(columns)) < len(columns):
        raise InvalidArgument(f"pairs must be pairs of different columns from 0 to {size - 1}, got {pairs!r}.")
    return torch.tensor(listed)


def _noise_on_states(seen: Tensor, source: torch.Generator, *, scale: Tensor) -> Tensor:
    return seen + scale * torch.randn(seen.shape, generator=source, dtype=seen.dtype)


def _noise_on_images(seen: Tensor, source: torch.Generator, *, strength: float) -> Tensor:
    noise = torch.randn(seen.shape, generator=source)
    return (seen + 255.0 * strength * noise).round().clamp(0.0, 255.0).to(torch.uint8)


def _mask_states(seen: Tensor, source: torch.Generator, *, strength: float, mean: Tensor) -> Tensor:
    hidden = torch.rand(seen.shape, generator=source) < strength
    return torch.where(hidden, mean.to(seen.dtype), seen)


def _mask_images(seen: Tensor, source: torch.Generator, *, strength: float) -> Tensor:
    times, _, height, width = seen.shape
    hidden = torch.rand(times, 1, PATCHES, PATCHES, generator=source) < strength
    rows, columns = (torch.arange(side) * PATCHES // side for side in (height, width))
    return seen.masked_fill(hidden[..., rows[:, None], columns], 0)


def _rotate_states(seen: Tensor, _: torch.Generator, *, degrees: float, pairs: Tensor) -> Tensor:
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    c, s = seen[..., pairs[:, 0]], seen[..., pairs[:, 1]]
    turned = seen.clone()
    turned[..., pairs[:, 0]], turned[..., pairs[:, 1]] = c * cosine - s * sine, s * cosine + c * sine
    return turned


def _rotate_images(seen: Tensor, _: torch.Generator, *, degrees: float) -> Tensor:
    height, width = seen.shape[-2:]
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    y = torch.arange(height, dtype=torch.float64)[:, None] - (height - 1) / 2
    x = torch.arange(width, dtype=torch.float64)[None, :] - (width - 1) / 2
    # Where each pixel of the turned image comes from, in units in which the image reaches from -1 to 1; y points down.
    source_x, source_y = cosine * x - sine * y, sine * x + cosine * y
    grid = torch.stack((source_x * 2 / width, source_y * 2 / height), dim=-1).float().expand(len(seen), -1, -1, -1)
    turned = torch.nn.functional.grid_sample(seen.float(), grid, padding_mode="zeros", align_corners=False)
    return turned.round().clamp(0.0, 255.0).to(torch.uint8)
