"""The units of a world model's observations and rewards, kept among its buffers."""

from typing import cast

import torch
from torch import Tensor, nn

from ..exceptions import InvalidArgument
from .episodes import Episodes
from .model import WorldModel


def add_units(model: WorldModel) -> None:
    """Give `model` the buffers mean and deviation, and reward_mean and reward_deviation if it predicts rewards.

    Images have fixed units: v / 255 − ½.
    """
    shape = model.observation
    images = len(shape) == 3
    model.register_buffer("mean", torch.full((1, 1, 1), 127.5) if images else torch.zeros(shape))
    model.register_buffer("deviation", torch.full((1, 1, 1), 255.0) if images else torch.ones(shape))
    if model.rewards:
        model.register_buffer("reward_mean", torch.zeros(()))
        model.register_buffer("reward_deviation", torch.ones(()))


def check(model: WorldModel, episodes: Episodes) -> None:
    """Refuse episodes of other shapes.

    Raises:
        InvalidArgument: the shapes of observations or actions are not those of the model.
    """
    got, action = (episodes.shape, episodes.actions.shape[2]), model.action
    if got != (model.observation, action):
        names = tuple(shape[0] if len(shape) == 1 else shape for shape in (model.observation, got[0]))
        raise InvalidArgument(
            f"episodes must have (observation, action) sizes {(names[0], action)}, got {(names[1], got[1])}."
        )


def fit_units(model: WorldModel, episodes: Episodes) -> None:
    """Take the mean and the standard deviation of `episodes` as the units of observations, and of rewards.

    Rewards that never change have unit 1: a task may give none to actions that do not look.

    Raises:
        InvalidArgument: the shapes differ, an observed number never changes, or the episodes do not hold what the model
            predicts.
    """
    model.check(episodes)
    for name in ("rewards", "continues"):
        if getattr(model, name) and getattr(episodes, name) is None:
            raise InvalidArgument(f"{name} are predicted by this model, but the episodes hold none: record them.")
    if not episodes.images:
        deviation, seen = episodes.deviation, episodes.observations.float().flatten(0, 1)
        # The deviation of equal numbers may be a rounding error above zero; that of a single row is none.
        still = (seen.amin(0) == seen.amax(0)) | ~(deviation > 0.0)
        if bool(still.any()):
            flat = still.nonzero().flatten().tolist()
            raise InvalidArgument(f"observed numbers {flat} never change in these episodes: leave them out.")
        _buffer(model, "mean").copy_(episodes.mean)
        _buffer(model, "deviation").copy_(deviation)
    if model.rewards and episodes.rewards is not None:
        _buffer(model, "reward_mean").copy_(episodes.rewards.mean())
        _buffer(model, "reward_deviation").copy_(deviation_or_one(episodes.rewards))


def deviation_or_one(values: Tensor) -> Tensor:
    """The standard deviation of some numbers, or 1 where they are all equal: rounding may make theirs 1e-8.

    Example:
        >>> deviation_or_one(torch.full((5, 7), 0.1))
        tensor(1.)
    """
    return values.std() if bool(values.amin() < values.amax()) else torch.ones_like(values.mean())


def standardise(model: WorldModel, observations: Tensor) -> Tensor:
    """Observations in units of their standard deviation; images as v / 255 − ½.

    Raises:
        InvalidArgument: they are not of the model's shape.
    """
    shape = model.observation
    if observations.shape[-len(shape) :] != shape:
        said = ", ".join(map(str, shape))
        raise InvalidArgument(f"observations must have shape (..., {said}), got {tuple(observations.shape)}.")
    mean = _buffer(model, "mean")
    return (observations.to(mean) - mean) / _buffer(model, "deviation")


def fix_reward_units(model: WorldModel, mean: float, deviation: float) -> None:
    """Give rewards units that are known beforehand, in place of those of some episodes.

    Raises:
        InvalidArgument: the model predicts no rewards.
    """
    if not model.rewards:
        raise InvalidArgument("rewards is False: this model predicts none; build it with rewards=True.")
    _buffer(model, "reward_mean").fill_(mean)
    _buffer(model, "reward_deviation").fill_(deviation)


def check_windows(model: WorldModel, observations: Tensor, actions: Tensor) -> None:
    """Refuse windows that `filtered` cannot take.

    Raises:
        InvalidArgument: the shapes of observations and actions do not fit each other or the model, there is no window
            or no time, or observations are of another dtype than the model.
    """
    size, given = model.action, tuple(actions.shape)
    if len(given) != 3 or given[2] != size or observations.shape != (*given[:2], *model.observation):
        shape = ", ".join(map(str, model.observation))
        raise InvalidArgument(
            f"observations and actions must have shapes (length, windows, {shape}) and (length, windows, {size}), got "
            f"{tuple(observations.shape)} and {given}."
        )
    if 0 in given:
        raise InvalidArgument(f"observations and actions must hold at least one window and one time, got {given}.")
    dtype = _buffer(model, "mean").dtype
    if observations.dtype != dtype:
        raise InvalidArgument(
            f"observations must be {dtype} like the model, got {observations.dtype}: standardise() makes them so."
        )


def rewards_of(model: WorldModel, head: nn.Module | None, x: Tensor) -> Tensor:
    """Rewards (...,) of states, from a network that gives them in units.

    Raises:
        InvalidArgument: there is no network.
    """
    if head is None:
        raise InvalidArgument("rewards is False: this model predicts none; build it with rewards=True.")
    standard: Tensor = head(x).squeeze(-1)
    return standard * _buffer(model, "reward_deviation") + _buffer(model, "reward_mean")


def log_odds_of(head: nn.Module | None, x: Tensor) -> Tensor:
    """Log odds (...,) of states that the episode goes on.

    Raises:
        InvalidArgument: there is no network.
    """
    if head is None:
        raise InvalidArgument("continues is False: this model predicts no ends; build it with continues=True.")
    value: Tensor = head(x).squeeze(-1)
    return value


def _buffer(model: WorldModel, name: str) -> Tensor:
    return cast(Tensor, getattr(model, name))
