"""Open-loop prediction error against the horizon, and what simple predictors reach."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import torch
from torch import Tensor

from ..dynamics.brownian import BrownianMotion
from ..dynamics.step_map import multiply
from ..exceptions import InvalidArgument, NumericalFailure
from ..grid import TimeGrid
from ..output import frame, plain, table
from ..validation import integer, one_of, positive
from .episodes import Episodes
from .injection import Injection, push, push_normals, state_covariance
from .model import Pushed, WorldModel
from .seeds import derived
from .units import deviation_or_one

Step = Callable[[int, Tensor, Tensor, Tensor | None], Tensor]
Predict = Callable[[Tensor, Tensor, int], Tensor]
BASELINES = ("mean", "persistence", "ridge")
WHEN = ("filter", "rollout", "both")


@final
@dataclass(frozen=True, eq=False)
class HorizonError:
    """Squared errors of several predictors on the same windows.

    Attributes:
        squared: for each predictor (windows, horizon): the mean over the observed numbers of the squared error k + 1
            steps after the last observation that was given, in units of the training data's standard deviation.
        episode: (windows,), the episode of each window; windows of one episode are not independent.
        reward: likewise for the reward that comes with that observation; empty where there is none to predict.
        omitted: predictors that were left out, with the reason.
    """

    squared: Mapping[str, Tensor]
    episode: Tensor
    reward: Mapping[str, Tensor] = field(default_factory=dict)
    omitted: Mapping[str, str] = field(default_factory=dict)

    def rms(self, name: str, what: str = "observation") -> Tensor:
        """Root mean square over windows, (horizon,), of "observation" or "reward".

        Raises:
            InvalidArgument: there is no such predictor, or rewards were not predicted.
        """
        chosen = self.squared if one_of("what", what, ("observation", "reward")) == "observation" else self.reward
        if not chosen:
            raise InvalidArgument("what='reward' was not predicted: the model, or the episodes, have no rewards.")
        return chosen[one_of("name", name, list(chosen))].mean(0).sqrt()

    @property
    def _all(self) -> dict[str, dict[str, list[float]]]:
        each = {"observation": self.squared, "reward": self.reward}
        return {what: {name: plain(self.rms(name, what)) for name in found} for what, found in each.items()}

    def to_dict(self) -> dict[str, Any]:
        """Root mean squares at each horizon for each predictor, as plain values for JSON."""
        sizes = {"windows": len(self.episode), "episodes": len(self.episode.unique())}
        return {"rms": self._all, **sizes, "omitted": dict(self.omitted)}

    def to_frame(self) -> Any:
        """A pandas DataFrame with a row for each predictor and number of steps ahead.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return frame(
            {"what": what, "predictor": name, "ahead": k + 1, "rms": value}
            for what, found in self._all.items()
            for name, values in found.items()
            for k, value in enumerate(values)
        )

    def _repr_html_(self) -> str:
        found = [(what, name, values) for what, each in self._all.items() for name, values in each.items()]
        last = len(found[0][2]) if found else 0
        shown = sorted({k for k in (1, 2, 5, 10, 20, 50, last) if 1 <= k <= last})
        rows = [(what, name, *(f"{float(values[k - 1]):.3g}" for k in shown)) for what, name, values in found]
        head = ["RMS error", "predictor", *(f"{k} ahead" for k in shown)]
        return table("open loop", head, rows, [f"{name} left out: {why}" for name, why in self.omitted.items()])


def horizon_error(
    model: WorldModel,
    train: Episodes,
    test: Episodes,
    *,
    warm: int = 20,
    horizon: int = 50,
    starts: Sequence[int] = (0,),
    samples: int = 0,
    seed: int = 0,
    seen: Episodes | None = None,
    injection: Injection | None = None,
    when: str = "both",
    covariance: Tensor | None = None,
) -> HorizonError:
    """Errors of the model and of the mean, the last observation, and a ridge regression, open loop with known actions.

    All are given o_0 … o_{warm−1} of a window and all its actions before the time that is predicted. Of images there
    is no ridge regression: `omitted` says so.

    Args:
        model: a trained model.
        train: the episodes that it was trained on; the baselines are fitted to them.
        test: other episodes.
        warm: observations given; the model filters them.
        horizon: largest number of steps ahead.
        starts: where in each test episode a window begins.
        samples: 0 predicts by one filter and rollout without noise; otherwise by the mean over this many with noise.
        seed: fixes their noise.
        seen: what all predictors are given in place of `test`: perturbed observations of the same episodes. The truth
            that they are held against stays `test`.
        injection, when, covariance: an error that is injected into the model, as for `open_loop`.

    Raises:
        InvalidArgument: the windows do not fit into the episodes, the sizes are not those of the model, or `seen` are
            not the same episodes.
        NumericalFailure: a rollout left the numbers.

    Warning:
        A model of lag 0 is given the action of the predicted time as well. Actions that do not look at the state, as
        those of `collect`, say nothing of it; those of a policy would.
    """
    warm, horizon = integer("warm", warm, least=1), integer("horizon", horizon, least=1)
    model.check(train)
    model.check(test)
    windows = test.windows(starts, warm + horizon)
    given = windows if seen is None else _same(test, seen).windows(starts, warm + horizon)
    device = next(model.parameters()).device
    rewarded = model.rewards and train.rewards is not None and windows.rewards is not None
    squared: dict[str, list[Tensor]] = {}
    reward: dict[str, list[Tensor]] = {}
    omitted = {}
    with torch.no_grad():
        # The data's mean is the origin of standardised units.
        last = model.standardise(given.observations[:, warm - 1].to(device))
        predictors = {"mean": torch.zeros_like(last), "persistence": last}
        linear = None
        if train.images:
            omitted["ridge"] = "no linear regression on images"
        else:
            fitted = ridge(
                model.standardise(train.observations.to(device)), train.actions.to(device), warm=warm, horizon=horizon
            )
            given_units = model.standardise(given.observations.to(device))
            linear = fitted(given_units, given.actions.to(device), warm)
        unit = _reward_units(train) if rewarded else None
        rolled = _rollouts(model, given, warm, samples, seed, injection, when, covariance)
        for k, states in enumerate(rolled):
            truth = model.standardise(windows.observations[:, warm + k].to(device))
            predictors[model.name] = torch.stack([model.decode(x) for x in states]).mean(0)
            if linear is not None:
                predictors["ridge"] = linear[:, k]
            for name, value in predictors.items():
                miss = (value.double() - truth.double()).flatten(1).square().mean(1)
                squared.setdefault(name, []).append(miss.cpu())
            if unit is None or windows.rewards is None or given.rewards is None:
                continue
            guesses = {model.name: torch.stack([model.reward(x) for x in states]).mean(0), "mean": unit[0]}
            if warm > 1:
                guesses["persistence"] = given.rewards[:, warm - 2]
            came = windows.rewards[:, warm + k - 1].double()
            for name, guess in guesses.items():
                reward.setdefault(name, []).append(((guess.double().cpu() - came) / unit[1]).square())
    order = (model.name, *(name for name in BASELINES if name in squared))
    return HorizonError(
        {name: torch.stack(squared[name], dim=1) for name in order},
        torch.arange(len(test)).repeat(len(starts)),
        {name: torch.stack(values, dim=1) for name, values in reward.items()},
        omitted,
    )


def open_loop(
    model: WorldModel,
    windows: Episodes,
    *,
    warm: int,
    samples: int = 0,
    seed: int = 0,
    injection: Injection | None = None,
    when: str = "both",
    covariance: Tensor | None = None,
) -> Tensor:
    """Standardised predictions (windows, steps − warm, *observation) from o_0 … o_{warm−1} and the actions.

    Args:
        model, windows, warm, samples, seed: as for `horizon_error`.
        injection: an error that is added to the state after every step. Its direction is a function of `seed` and its
            own number: under the seed of a training run it is the direction that was injected there.
        when: "filter", "rollout" or "both": the steps after which it is added.
        covariance: of the states under filtering, (hidden + latent, hidden + latent), for whitened units; by default
            that of these windows, filtered with noise and without the error.

    Raises:
        InvalidArgument: an argument is out of range.
        NumericalFailure: a rollout left the numbers.
    """
    predicted = [
        torch.stack([model.decode(x) for x in states]).mean(0)
        for states in _rollouts(model, windows, warm, samples, seed, injection, when, covariance)
    ]
    return torch.stack(predicted, dim=1)


def filtered(
    model: WorldModel, windows: Episodes, warm: int, *, seed: int = 0, noise: bool = True, pushed: Pushed | None = None
) -> Tensor:
    """States (windows, hidden + latent) in which a rollout starts, after filtering o_0 … o_{warm−1}.

    Args:
        model: the model.
        windows: the windows.
        warm: observations given.
        seed: fixes the noise of the posterior.
        noise: False leaves it out.
        pushed: an error that is injected after every step.
    """
    return _filtered(model, windows, warm, seed, noise, pushed)[-1]


def _filtered(
    model: WorldModel, windows: Episodes, warm: int, seed: int, noise: bool, pushed: Pushed | None = None
) -> Tensor:
    if not 1 <= integer("warm", warm, least=1) <= windows.steps:
        raise InvalidArgument(f"warm must lie between 1 and the {windows.steps} steps of a window, got {warm}.")
    device = next(model.parameters()).device
    observations = model.standardise(windows.observations[:, :warm].to(device)).transpose(0, 1)
    actions = _actions(model, windows)[:warm]
    return model.filtered(observations, actions, seed=seed, noise=noise, pushed=pushed).states


def _rollouts(
    model: WorldModel,
    windows: Episodes,
    warm: int,
    samples: int,
    seed: int,
    injection: Injection | None,
    when: str,
    covariance: Tensor | None,
) -> Iterator[list[Tensor]]:
    """For each step ahead the states (windows, hidden + latent) of all samples."""
    samples, noise = integer("samples", samples, least=0), samples > 0
    one_of("when", when, WHEN)
    step, width = _step(model, noise)
    actions = _actions(model, windows)
    if warm < model.lag:
        raise InvalidArgument(f"warm must be at least the model's lag {model.lag}, got {warm}.")
    horizon, pushed = windows.steps - warm, None
    if horizon < 1:
        raise InvalidArgument(f"warm must be less than the {windows.steps} steps of a window, got {warm}.")
    if injection is not None:
        if injection.whitened and covariance is None:
            with torch.no_grad():
                states = _filtered(model, windows, warm, derived(seed, "open loop: covariance"), True)
            covariance = state_covariance(states)
        pushed = injection.pushed(model, covariance, seed=seed)
    early = pushed if when != "rollout" else None
    late = pushed if when != "filter" else None
    current, shocks, errors = [], [], []
    for sample in range(max(samples, 1)):
        current.append(
            filtered(model, windows, warm, seed=derived(seed, "open loop: filter", sample), noise=noise, pushed=early)
        )
        rollout_seed = derived(seed, "open loop: rollout", sample)
        motion = BrownianMotion(rollout_seed, TimeGrid(T=horizon, steps=horizon), width) if noise else None
        shocks.append(None if motion is None else motion.normals(len(windows), torch.float32).to(current[-1]))
        errors.append(None if late is None else push_normals(late, horizon, len(windows), seed=rollout_seed))
    for k in range(horizon):
        # The start has seen o_{warm−1}, so that this step leads towards o_{warm+k}.
        a = actions[warm + k - model.lag]
        for sample, x in enumerate(current):
            normals, error = shocks[sample], errors[sample]
            y = step(k, x, a, None if normals is None else normals[k])
            if late is not None:
                y = push(y, late, None if error is None else error[k])
            current[sample] = y
        if not all(bool(torch.isfinite(x).all()) for x in current):
            raise NumericalFailure(f"a rollout of {model.name} is not finite {k + 1} steps ahead.", time=float(k + 1))
        yield list(current)


def _step(model: WorldModel, noise: bool) -> tuple[Step, int]:
    """One step of a rollout from (n, x, a, ξ), and the size of ξ."""
    sampled = getattr(model, "sampled_step", None)
    if noise and sampled is not None:
        # Draws that are not linear in the noise are no `StepMap`.
        draw = sampled()
        return lambda n, x, a, normals: draw(x, a, normals), model.laws.normals  # type: ignore[union-attr, return-value]
    step = model.prior_map(noise=noise)

    def move(n: int, x: Tensor, a: Tensor, normals: Tensor | None) -> Tensor:
        mean = step.mean(n, x, a)
        return mean if normals is None else mean + multiply(step.scale(n, x, a), normals)

    return move, step.noise_dim


def _actions(model: WorldModel, windows: Episodes) -> Tensor:
    return windows.actions.to(next(model.parameters())).transpose(0, 1)


def _same(test: Episodes, seen: Episodes) -> Episodes:
    same = seen.observations.shape == test.observations.shape and torch.equal(seen.actions, test.actions)
    if not same or seen.observations.dtype != test.observations.dtype:
        raise InvalidArgument(
            f"seen must be the episodes of test with other observations of the same kind, got shape "
            f"{tuple(seen.observations.shape)} for {tuple(test.observations.shape)} or other actions."
        )
    return seen if seen.rewards is not None else replace(seen, rewards=test.rewards)


def _reward_units(train: Episodes) -> tuple[Tensor, Tensor]:
    assert train.rewards is not None
    rewards = train.rewards.double()
    return rewards.mean(), deviation_or_one(rewards)


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
        gram = x.T @ x + penalty * len(x) * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
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
