"""Open-loop prediction error against the horizon, and what simple predictors reach."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ..dynamics.reference import simulate
from ..exceptions import InvalidArgument
from ..grid import TimeGrid
from ..validation import integer, positive
from .episodes import Episodes
from .neural_sde import NeuralSDE
from .seeds import derived

Predict = Callable[[Tensor, Tensor, int], Tensor]


@final
@dataclass(frozen=True, eq=False)
class HorizonError:
    """Squared errors of several predictors on the same windows.

    Attributes:
        squared: for each predictor (windows, horizon): the mean over the observed numbers of the squared error k + 1
            steps after the last observation that was given, in units of the training data's standard deviation.
        episode: (windows,), the episode of each window; windows of one episode are not independent.
    """

    squared: Mapping[str, Tensor]
    episode: Tensor

    def rms(self, name: str) -> Tensor:
        """Root mean square over windows, (horizon,)."""
        return self.squared[name].mean(0).sqrt()


def horizon_error(
    model: NeuralSDE,
    train: Episodes,
    test: Episodes,
    *,
    warm: int = 20,
    horizon: int = 50,
    starts: Sequence[int] = (0,),
    samples: int = 0,
    seed: int = 0,
) -> HorizonError:
    """Errors of the model and of the mean, the last observation, and a ridge regression, open loop with known actions.

    All are given o_0 … o_{warm−1} of a window and all its actions before the time that is predicted.

    Args:
        model: a trained model.
        train: the episodes that it was trained on; the baselines are fitted to them.
        test: other episodes.
        warm: observations given; the model filters them.
        horizon: largest number of steps ahead.
        starts: where in each test episode a window begins.
        samples: 0 predicts by one filter and rollout without noise; otherwise by the mean over this many with noise.
        seed: fixes their noise.

    Raises:
        InvalidArgument: the windows do not fit into the episodes, or the sizes are not those of the model.
    """
    warm, horizon = integer("warm", warm, least=1), integer("horizon", horizon, least=1)
    model.check(train)
    model.check(test)
    windows = test.windows(starts, warm + horizon)
    observations = model.standardise(windows.observations)
    truth = observations[:, warm : warm + horizon]
    with torch.no_grad():
        predictions = {
            "neural SDE": open_loop(model, windows, warm=warm, samples=samples, seed=seed),
            # The data's mean is the origin of standardised units.
            "mean": torch.zeros_like(truth),
            "persistence": observations[:, warm - 1 : warm].expand_as(truth),
            "ridge": ridge(model.standardise(train.observations), train.actions, warm=warm, horizon=horizon)(
                observations, windows.actions, warm
            ),
        }
    squared = {name: (value.double() - truth.double()).square().mean(-1) for name, value in predictions.items()}
    return HorizonError(squared, torch.arange(len(test)).repeat(len(starts)))


def open_loop(model: NeuralSDE, windows: Episodes, *, warm: int, samples: int = 0, seed: int = 0) -> Tensor:
    """Standardised predictions (windows, steps − warm, observation) from o_0 … o_{warm−1} and the actions.

    Arguments as in `horizon_error`.
    """
    samples = integer("samples", samples, least=0)
    total = torch.zeros(())
    for sample in range(max(samples, 1)):
        start = filtered(model, windows, warm, seed=derived(seed, "open loop: filter", sample), noise=samples > 0)
        system = model.rollout(noise=samples > 0)
        actions = windows.actions[:, warm:].transpose(0, 1)
        grid = TimeGrid(T=len(actions), steps=len(actions))
        # The state after step n + 1 is the first to have seen o_n: the start belongs to o_{warm−1}, the next to o_warm.
        noise_seed = derived(seed, "open loop: rollout", sample)
        states = simulate(system, start, grid, seed=noise_seed, actions=actions).states[1:]
        blocks = system.split(states)
        total = total + model.read_out(blocks.hidden, blocks.predictor)
    return (total / max(samples, 1)).transpose(0, 1)


def filtered(model: NeuralSDE, windows: Episodes, warm: int, *, seed: int = 0, noise: bool = True) -> Tensor:
    """States (windows, hidden + latent) in which a rollout starts, after filtering o_0 … o_{warm−1}.

    Args:
        model: the model.
        windows: the windows.
        warm: observations given.
        seed: fixes the noise of the posterior.
        noise: False leaves it out.
    """
    if not 1 <= warm <= windows.steps:
        raise InvalidArgument(f"warm must lie between 1 and the {windows.steps} steps of a window, got {warm}.")
    system = model.filtering(noise=noise)
    observations = model.standardise(windows.observations[:, :warm])
    inputs = torch.cat((windows.actions[:, :warm].to(observations), observations), dim=-1).transpose(0, 1)
    start = observations.new_zeros(len(windows), system.dim)
    grid = TimeGrid(T=warm, steps=warm)
    final = simulate(system, start, grid, seed=seed, actions=inputs, save="final").final
    return system.rollout_start(final)


def ridge(
    observations: Tensor, actions: Tensor, *, warm: int, horizon: int, past: int = 10, penalty: float = 1e-2
) -> Predict:
    """A linear prediction of each horizon from the last observations, their actions, and the actions to come.

    One ridge regression a horizon, not one iterated: the direct one is the better predictor.

    Args:
        observations: (episodes, steps + 1, observation), standardised.
        actions: (episodes, steps, action).
        warm: where a window's last given observation is, o_{warm−1}.
        horizon: largest number of steps ahead.
        past: how many of the last observations are used, at most `warm`.
        penalty: squared-norm penalty, relative to the number of windows.

    Returns:
        A function of (observations, actions, warm) -> (windows, horizon, observation).
    """
    past = min(integer("past", past, least=1), warm)
    positive("penalty", penalty)
    spare = actions.shape[1] - warm - horizon
    if spare < 0:
        raise InvalidArgument(f"episodes must have at least {warm + horizon} steps, got {actions.shape[1]}.")
    # Every third start: neighbours say nearly the same.
    starts = range(0, spare + 1, 3)
    seen = torch.cat([observations[:, s : s + warm + horizon] for s in starts]).double()
    done = torch.cat([actions[:, s : s + warm + horizon] for s in starts]).double()
    weights = []
    for k in range(1, horizon + 1):
        x = _features(seen, done, warm, past, k)
        gram = x.T @ x + penalty * len(x) * torch.eye(x.shape[1], dtype=x.dtype)
        weights.append(torch.linalg.solve(gram, x.T @ seen[:, warm - 1 + k]))

    def predict(observations: Tensor, actions: Tensor, warm: int) -> Tensor:
        o, a = observations.double(), actions.double()
        parts = [_features(o, a, warm, past, k + 1) @ weight for k, weight in enumerate(weights)]
        return torch.stack(parts, dim=1)

    return predict


def _features(observations: Tensor, actions: Tensor, warm: int, past: int, ahead: int) -> Tensor:
    recent = observations[:, warm - past : warm].flatten(1)
    known = actions[:, warm - past : warm - 1 + ahead].flatten(1)
    return torch.cat((recent, known, recent.new_ones(len(recent), 1)), dim=1)
