"""How an error that is injected into the latent at every step of a rollout grows, and what first order predicts.

A zero-drift error moves z̃ by c T ω_n at step n, with ω_n fresh standard normals; a drift error moves it by c T v, with
one direction v of norm √latent for all steps, paths and times. Both have the same one-step root mean square: c a
coordinate, in the units of T. T = I in raw units; in whitened units T is the symmetric root of the covariance of z
after filtering, so that c = 1 is as large as the latent itself.

Base and perturbed rollouts start in one filtered state, see the same actions and move on one Brownian path.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from ..dynamics.brownian import generator
from ..dynamics.ensemble import prepare
from ..dynamics.error import RepresentationError
from ..dynamics.perturbed import perturb
from ..dynamics.variation import Variations, Varied
from ..exceptions import InvalidArgument
from ..grid import TimeGrid
from ..validation import integer, one_of, positive
from .episodes import Episodes
from .horizon import filtered
from .neural_sde import NeuralSDE
from .seeds import derived

KINDS = ("zero drift", "zero drift, shared", "drift")
UNITS = ("whitened", "raw")


@final
@dataclass(frozen=True, eq=False)
class Rollouts:
    """Where rollouts start, and in which units their error is measured: the part that all cells of a model share.

    Attributes:
        model: the model, in float64.
        start: (paths, hidden + latent).
        actions: (steps, paths, action).
        root: (latent, latent), symmetric root of the covariance of z under filtering.
        inverse_root: its inverse.
        episode: (paths,), the episode of each path; paths of one episode are not independent.
        seed: fixes the noise and the direction of the drift.
    """

    model: NeuralSDE
    start: Tensor
    actions: Tensor
    root: Tensor
    inverse_root: Tensor
    episode: Tensor
    seed: int


@final
@dataclass(frozen=True, eq=False)
class Growth:
    """Errors after each step, for every path: mean squares over the coordinates of the latent z̃ and of the observation.

    With e the error of the perturbed rollout, y₁ the first variation of the model and c the size:

    Attributes:
        kind, unit: of the injected error.
        sizes: c.
        latent, observation: |e|², each (sizes, steps, paths).
        latent_first, observation_first: |y₁|², (steps, paths): the prediction for size c is c² times it.
        latent_rest, observation_rest: |e − c y₁|², (sizes, steps, paths).
        latent_second: |c y₁ + c² y₂|², (sizes, steps, paths); without the second variation y₂ it is |c y₁|².
        episode: (paths,).

    The latent is measured in the unit of the injected error, the observation in standard deviations of the data.
    """

    kind: str
    unit: str
    sizes: tuple[float, ...]
    latent: Tensor
    observation: Tensor
    latent_first: Tensor
    observation_first: Tensor
    latent_rest: Tensor
    observation_rest: Tensor
    latent_second: Tensor
    episode: Tensor


def rollouts(
    model: NeuralSDE,
    episodes: Episodes,
    *,
    seed: int,
    paths: int = 1024,
    warm: int = 25,
    steps: int = 50,
) -> Rollouts:
    """Filter windows of `episodes` and make their ends the starts of rollouts.

    Path i belongs to episode i mod len(episodes), in a window that begins at one of as many equally spaced times as are
    needed; when these run out, windows repeat with other noise.

    Args:
        model: a trained model.
        episodes: episodes that it was not trained on.
        seed: fixes all noise.
        paths: number of rollouts.
        warm: observations that are filtered before a rollout.
        steps: length of the rollouts.

    Raises:
        InvalidArgument: the episodes are too short or of other sizes.
    """
    paths, steps = integer("paths", paths, least=2), integer("steps", steps, least=1)
    model.check(episodes)
    model = deepcopy(model).double().requires_grad_(False)
    spare = episodes.steps - warm - steps
    if spare < 0:
        raise InvalidArgument(f"episodes must have at least {warm + steps} steps, got {episodes.steps}.")
    needed = -(-paths // len(episodes))
    distinct = min(needed, spare + 1)
    starts = [(k % distinct) * spare // max(distinct - 1, 1) for k in range(needed)]
    windows = episodes.windows(starts, warm + steps)
    windows = Episodes(windows.observations[:paths], windows.actions[:paths])
    start = filtered(model, windows, warm, seed=derived(seed, "growth: filter"))
    root, inverse = _roots(torch.cov(model.rollout().split(start).predictor.T))
    actions = windows.actions[:, warm:].transpose(0, 1).to(start)
    return Rollouts(model, start, actions, root, inverse, torch.arange(paths) % len(episodes), seed)


def measure_growth(
    setup: Rollouts,
    *,
    kind: str,
    unit: str = "whitened",
    sizes: Sequence[float] = (0.01, 0.03, 0.1, 0.3, 1.0),
    direction: int = 0,
    second: bool = False,
) -> Growth:
    """Inject errors of one kind and several sizes into z̃ at every step, and measure.

    Args:
        setup: from `rollouts`.
        kind: "zero drift" (with noise of its own), "zero drift, shared" (with the model's noise) or "drift".
        unit: "whitened" or "raw".
        sizes: one-step root mean squares c.
        direction: number of the drift's direction; the growth of one direction may be far from that of another.
        second: whether the second variation is measured as well, for about half as much work again.

    Warning:
        Where some paths come near an instability, the root mean square over paths, and that of y₁ more than that of e,
        is carried by a few of them: look at the median, too.

    Raises:
        InvalidArgument: the kind or the unit is unknown, or a size is not above zero.
        NumericalFailure: a rollout left the numbers.
    """
    sizes = tuple(positive("size", size) for size in sizes)
    if not sizes:
        raise InvalidArgument("sizes is empty: give at least one size above zero.")
    system = setup.model.rollout()
    error = injected(setup, kind, unit, direction)
    members: dict[Any, Any] = {c: perturb(system, error, c) for c in sizes}
    members["first"] = Variations(system, error, order=2 if second else 1)
    steps, paths, _ = setup.actions.shape
    grid = TimeGrid(T=steps, steps=steps)
    noise_seed = derived(setup.seed, "growth: rollout")
    ensemble = prepare(members, setup.start, grid, paths, noise_seed, save="all", actions=setup.actions)
    back = setup.inverse_root if unit == "whitened" else torch.eye(len(setup.root), dtype=setup.root.dtype)

    def read(x: Tensor) -> Tensor:
        blocks = system.split(x)
        return setup.model.read_out(blocks.hidden, blocks.predictor)

    def latent(e: Tensor) -> Tensor:
        return (system.split(e).predictor @ back).square().mean(-1)

    def measure(states: Mapping[Any, Any]) -> list[Tensor]:
        varied: Varied = states["first"]
        x, y1, y2 = varied
        pair = torch.func.jvp(read, (x,), (y1,))
        seen, seen_y1 = pair[0], pair[1]
        columns: list[list[Tensor]] = [[] for _ in range(5)]
        for c in sizes:
            e = states[c] - x
            miss = read(x + e) - seen
            values = (
                latent(e),
                miss.square().mean(-1),
                latent(e - c * y1),
                (miss - c * seen_y1).square().mean(-1),
                latent(c * y1 + c * c * y2),
            )
            for column, value in zip(columns, values, strict=True):
                column.append(value)
        return [latent(y1), seen_y1.square().mean(-1), *(torch.stack(column) for column in columns)]

    blocks = [[measure(states) for states in ensemble.run(block)][1:] for block in ensemble.blocks]
    # Each quantity as (…, steps, paths): steps stacked, blocks of paths side by side.
    first, observation_first, *rest = (
        torch.cat([torch.stack([row[k] for row in block], dim=-2) for block in blocks], dim=-1) for k in range(7)
    )
    e, o, e_rest, o_rest, both = rest
    return Growth(kind, unit, sizes, e, o, first, observation_first, e_rest, o_rest, both, setup.episode)


def injected(setup: Rollouts, kind: str, unit: str, direction: int = 0) -> RepresentationError:
    """The error of unit size on the block z̃ of a rollout (h, z̃), whose Euler step is one environment step.

    Arguments and errors as in `measure_growth`.
    """
    one_of("kind", kind, KINDS)
    one_of("unit", unit, UNITS)
    integer("direction", direction, least=0)
    latent, hidden = len(setup.root), setup.start.shape[1] - len(setup.root)
    root = setup.root if unit == "whitened" else torch.eye(latent, dtype=setup.root.dtype)
    if kind == "drift":
        v = torch.randn(latent, generator=generator(setup.seed, "growth: direction", direction), dtype=root.dtype)
        sigma = torch.cat((root.new_zeros(hidden), root @ (v * (latent**0.5 / v.norm()))))
        return RepresentationError(drift=lambda t, x: sigma.expand_as(x))
    sigma_bar = torch.cat((root.new_zeros(hidden, latent), root))
    return RepresentationError(
        diffusion=lambda t, x: sigma_bar.expand(len(x), -1, -1),
        correlation="shared" if kind == "zero drift, shared" else "independent",
    )


def _roots(covariance: Tensor) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh(covariance)
    if not float(values[0]) > 0.0:
        raise InvalidArgument("the latent's covariance is singular on these windows: take more paths.")
    return (vectors * values.sqrt()) @ vectors.T, (vectors / values.sqrt()) @ vectors.T
