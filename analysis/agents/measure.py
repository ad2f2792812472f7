"""Train one agent and measure everything that any claim asks of it."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from torch import Tensor

from sdewm.claims import Cell, Result
from sdewm.dynamics.step_map import multiply
from sdewm.exceptions import NumericalFailure
from sdewm.worldmodel import (
    Agent,
    AgentSettings,
    Episodes,
    Injection,
    Penalty,
    TrainedAgent,
    divergence,
    play,
    train_agent,
)

from ..models.measure import Array, data, filtered_states, jacobian_norms, open_loop_error, shortened
from .reading import CLEAN
from .setting import INJECTED, PERTURBED

# An encoder's error is there wherever the encoder is used.
PLACES = ("model", "acting")
WARM, HORIZON = 20, 100
# Windows of an episode of 500 actions.
STARTS = (0, 100, 200, 300)
GROWTH_STEPS, GROWTH_SIZE = 50, 0.1
RANDOM: Mapping[str, int] = {"episodes": 64, "steps": 125, "seed": 200}


def compute(cell: Cell) -> Result:
    """Train and measure; a training that leaves the numbers is a result too."""
    s = cell.settings
    try:
        trained = train(cell)
    except NumericalFailure as failure:
        return Result({"diverged": str(failure)})
    values: dict[str, Any] = {"diverged": None, "seconds of training": round(trained.seconds, 1)}
    arrays: dict[str, Array] = {"curve": trained.returns.numpy()}
    measured = s["measured"]
    keys = evaluations() if "returns" in measured else (CLEAN,)
    own, values["returns"] = returns_of(trained.agent, s, keys)
    if "growth" in measured:
        arrays |= growth(trained.agent, own)
    if "open loop" in measured:
        model, windows = trained.agent.model, own.windows(STARTS, WARM + HORIZON)
        where = {"warm": WARM, "horizon": HORIZON}
        random = data(s["task"], **RANDOM)
        arrays["open loop/own"] = open_loop_error(model, windows, windows, where)
        arrays["open loop/random"] = open_loop_error(model, random, random, where)
        values["jacobian"] = jacobian_norms(model, windows, WARM)
    return Result(shortened(values), {name: array.astype(np.float32) for name, array in arrays.items()})


def train(cell: Cell) -> TrainedAgent:
    """The agent of a cell."""
    s = cell.settings
    changes: Mapping[str, Any] = s["changes"]
    settings = AgentSettings(environment_steps=s["environment steps"], **changes.get("training", {}))
    injection = Injection(**changes["injection"]) if "injection" in changes else None
    penalty = Penalty(**changes["penalty"]) if "penalty" in changes else None
    errors: dict[str, Any] = {"injection": injection, "places": PLACES, "penalty": penalty}
    return train_agent(s["task"], settings, seed=cell.seed, pixels=changes.get("pixels"), **errors)


def evaluations() -> tuple[str, ...]:
    """What an agent is played on: clean, perturbed in each kind and strength, and with errors in its filter."""
    perturbed = [f"{kind}/{strength:g}" for kind, strengths in PERTURBED.items() for strength in strengths]
    injected = [f"{kind}/{size:g}" for kind in ("zero drift", "drift") for size in INJECTED]
    return (CLEAN, *perturbed, *injected)


def returns_of(agent: Agent, s: Mapping[str, Any], keys: Sequence[str]) -> tuple[Episodes, dict[str, list[float]]]:
    """The clean episodes, and for each evaluation one return an episode; starts are the same in all."""
    found: dict[str, list[float]] = {}
    clean: Episodes | None = None
    for key in keys:
        kind, _, strength = key.partition("/")
        given: dict[str, Any] = {}
        if kind in PERTURBED:
            given["perturbation"] = (kind, float(strength))
        elif strength:
            given["injection"] = Injection(kind=kind, size=float(strength))
        played = play(agent, s["task"], episodes=s["episodes"], seed=s["play seed"], **given)
        found[key] = [float(value) for value in played.values]
        if key == CLEAN:
            clean = played.episodes
    assert clean is not None
    return clean, found


def growth(agent: Agent, own: Episodes) -> dict[str, Array]:
    """How errors in z of both kinds grow in rollouts that are imagined under the policy, whitened, in float64."""
    states, _ = filtered_states(agent.model, own.windows(STARTS, WARM + HORIZON), WARM)
    model = deepcopy(agent.model).double().requires_grad_(False)
    actor = deepcopy(agent.actor).double().requires_grad_(False)
    prior = model.prior_map()

    def step(x: Tensor, a: Tensor | None, noise: Tensor) -> Tensor:
        chosen = actor.action_of(actor(x), None)
        mean, scale = prior.mean(0, x, chosen), prior.scale(0, x, chosen)
        return mean + multiply(scale, noise)

    found = divergence(
        step,
        states.double(),
        horizon=GROWTH_STEPS,
        noise_dim=prior.noise_dim,
        errors=("zero drift", "drift"),
        units="whitened",
        sizes=GROWTH_SIZE,
        directions=4,
        of=slice(model.hidden, None),
        jacobian_states=2,
        bound_states=0,
    )
    arrays: dict[str, Array] = {}
    for curve in found.curves:
        arrays[f"growth/{curve.kind}"] = curve.error.value[1:]
        if curve.predicted is not None:
            arrays[f"growth/{curve.kind}/first order"] = curve.predicted.value[1:]
    return arrays
