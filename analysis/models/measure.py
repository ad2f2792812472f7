"""Train one model and measure everything that any claim asks of it."""

import time
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdewm.claims import Cell, Result
from sdewm.exceptions import NumericalFailure
from sdewm.jacobian import frobenius_squared, jacobians, spectral_norm
from sdewm.worldmodel import (
    RSSM,
    Architecture,
    Episodes,
    Injection,
    NeuralSDE,
    Penalty,
    RSSMArchitecture,
    Settings,
    WorldModel,
    angle_pairs,
    collect,
    divergence,
    horizon_error,
    latent_residuals,
    open_loop,
    perturb_observations,
    train,
)

Array = NDArray[np.float64]

# Strengths of the perturbed observations: standard deviations, degrees, shares; and factors on all masses;
# and how many steps ahead the root mean square error is kept.
PERTURBED = {"noise": (0.1, 0.3, 1.0), "rotation": (5.0, 15.0, 45.0), "masking": (0.1, 0.3, 0.6)}
MASSES = (1.2, 1.5, 2.0)
PERTURBED_AT = (1, 10, 25, 50, 100)
GROWTH_STEPS, GROWTH_STATES, GROWTH_SIZES = 50, 128, (0.01, 0.1, 1.0)
JACOBIAN_STATES = 256


@cache
def data(task: str, episodes: int, steps: int, seed: int, mass: float = 1.0) -> Episodes:
    """Episodes of a task, collected once a process."""
    physics = None if mass == 1.0 else {"mass": mass}
    return collect(task, episodes=episodes, steps=steps, seed=seed, physics=physics)


def untrained(s: Mapping[str, Any], episodes: Episodes, seed: int) -> WorldModel:
    """The model that the settings of a cell name, with first weights of a seed."""
    (observation,), action = episodes.shape, episodes.actions.shape[2]
    if s["model"] == "neural SDE":
        return NeuralSDE(Architecture(observation=observation, action=action, **s["architecture"]), seed=seed)
    return RSSM(RSSMArchitecture(observation=observation, action=action, **s["architecture"]), seed=seed)


def compute(cell: Cell) -> Result:
    """Train and measure; a training that leaves the numbers is a result too."""
    s = cell.settings
    episodes, held_out = data(s["task"], **s["data"]), data(s["task"], **s["held out"])
    began = time.process_time()
    try:
        model = trained(cell, episodes)
    except NumericalFailure as failure:
        return Result({"diverged": str(failure)})
    seconds = time.process_time() - began
    values, arrays = measured(model, episodes, held_out, s)
    return Result({**values, "diverged": None, "seconds of training": round(seconds, 1)}, arrays)


def trained(cell: Cell, episodes: Episodes) -> WorldModel:
    """The model of a cell, trained."""
    s = cell.settings
    changes: dict[str, Any] = s["changes"]
    settings = Settings(steps=s["gradient steps"], **s["training"], **changes.get("training", {}))
    injection = Injection(**changes["injection"]) if "injection" in changes else None
    penalty = Penalty(**changes["penalty"]) if "penalty" in changes else None
    model = untrained(s, episodes, cell.seed)
    return train(model, episodes, settings, seed=cell.seed, injection=injection, penalty=penalty).model


def measured(
    model: WorldModel, episodes: Episodes, held_out: Episodes, s: Any
) -> tuple[dict[str, Any], dict[str, Array]]:
    """All that the settings ask for."""
    values: dict[str, Any] = {}
    arrays: dict[str, Array] = {}
    windows = {"warm": s["warm"], "horizon": s["horizon"]}
    clean = horizon_error(model, episodes, held_out, **windows)
    for name, squared in clean.squared.items():
        arrays[f"horizon/{name}"] = squared.mean(0).numpy()
    for name, squared in clean.reward.items():
        arrays[f"reward/{name}"] = squared.mean(0).numpy()
    if "jacobian" in s["measured"]:
        values["jacobian"] = jacobian_norms(model, held_out, s["warm"])
    if "perturbed" in s["measured"]:
        errors: dict[str, Array] = {}
        for kind, strengths in PERTURBED.items():
            pairs = angle_pairs(s["task"]) if kind == "rotation" else None
            for strength in strengths:
                seen = perturb_observations(held_out, kind, strength, seed=0, pairs=pairs, units=episodes)
                errors[f"{kind}/{strength:g}"] = open_loop_error(model, held_out, seen, s)
        for mass in MASSES:
            other = data(s["task"], **s["held out"], mass=mass)
            errors[f"mass/{mass:g}"] = open_loop_error(model, other, other, s)
        steps = [n for n in PERTURBED_AT if n <= s["horizon"]]
        values["perturbed"] = {
            name: {str(n): float(np.sqrt(squares[n - 1])) for n in steps} for name, squares in errors.items()
        }
    if "growth" in s["measured"]:
        values["growth"], more = growth(model, held_out, s["warm"])
        arrays |= more
    if "residuals" in s["measured"]:
        found = latent_residuals(model, held_out, warm=s["warm"], horizon=50, seed=0).to_dict()
        values["residuals"] = {name: value for name, value in found.items() if name not in ("drift", "diffusion")}
    return shortened(values), {name: array.astype(np.float32) for name, array in arrays.items()}


def shortened(value: Any) -> Any:
    """Plain values with numbers of six digits, which is far below any interval: records are kept in the project."""
    if isinstance(value, Mapping):
        return {name: shortened(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [shortened(each) for each in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def open_loop_error(model: WorldModel, truth: Episodes, seen: Episodes, s: Any) -> Array:
    """Mean squared open-loop error at each horizon, for a model that is given `seen` in place of the truth."""
    warm, horizon = s["warm"], s["horizon"]
    given, held = seen.windows((0,), warm + horizon), truth.windows((0,), warm + horizon)
    with torch.no_grad():
        predicted = open_loop(model, given, warm=warm)
        miss = predicted - model.standardise(held.observations[:, warm : warm + horizon])
    return np.asarray(miss.double().square().mean((0, 2)).numpy())


def filtered_states(model: WorldModel, windows: Episodes, warm: int) -> tuple[Tensor, Tensor]:
    """States (windows, dim) after o_0 … o_{warm−1} with the noise of the posterior, and the actions of a rollout."""
    observations = model.standardise(windows.observations[:, :warm]).transpose(0, 1)
    actions = windows.actions.transpose(0, 1)
    with torch.no_grad():
        states = model.filtered(observations, actions[:warm], seed=0).states[-1]
    return states, actions[warm - model.lag :]


def jacobian_norms(model: WorldModel, windows: Episodes, warm: int) -> dict[str, float]:
    """Norms of the Jacobian of the prior map's mean by x = (h, z) at filtered states, root mean squares over them.

    Whitened: rows and columns in standard deviations of the coordinates of filtered states.
    """
    states, actions = filtered_states(model, windows, warm)
    states, a = states[:JACOBIAN_STATES], actions[0, :JACOBIAN_STATES]
    step = model.prior_map(noise=False)
    rows = torch.cat((states, a), dim=1)
    full = jacobians(lambda x: step.mean(0, x[:, : step.dim], x[:, step.dim :]), rows, slice(0, step.dim)).detach()
    spread = states.std(0)
    # A coordinate that never moves has no unit of its own; it neither passes an error on nor receives one.
    alive = spread > 1e-6 * spread.max()
    whitened = full[:, alive][:, :, alive] * (spread[alive] / spread[alive][:, None])
    z = slice(model.hidden, None)
    return {
        "frobenius, raw": _rms(frobenius_squared(full)),
        "frobenius, whitened": _rms(frobenius_squared(whitened)),
        "frobenius by z, raw": _rms(frobenius_squared(full[:, :, z])),
        "spectral, raw": float(spectral_norm(full).mean()),
        "spectral, whitened": float(spectral_norm(whitened).mean()),
        "moving coordinates": int(alive.sum()),
    }


def _rms(squares: Tensor) -> float:
    return float(squares.double().mean().sqrt())


def growth(model: WorldModel, held_out: Episodes, warm: int) -> tuple[dict[str, Any], dict[str, Array]]:
    """How errors of both kinds, injected into z and into h at each step of a rollout, grow; in float64.

    The measured root mean square error is in whitened units of the injected block, and is its own first column; what
    first order predicts is for size 1.
    """
    states, actions = filtered_states(model, held_out, warm)
    states, actions = states[:GROWTH_STATES].double(), actions[:GROWTH_STEPS, :GROWTH_STATES].double()
    values: dict[str, Any] = {}
    arrays: dict[str, Array] = {}
    exact = deepcopy(model).double().requires_grad_(False)
    for block, of in (("z", slice(exact.hidden, None)), ("h", slice(0, exact.hidden))):
        found = divergence(
            exact.prior_map(),
            states,
            actions,
            errors=("zero drift", "drift"),
            units="whitened",
            sizes=GROWTH_SIZES,
            directions=4,
            of=of,
            measure=lambda x: exact.decode(x),
            bound_states=0,
            jacobian_states=32 if block == "z" else 2,
        )
        for curve in found.curves:
            name = f"{curve.kind}/{block}/{curve.size:g}"
            arrays[f"growth/{name}"] = curve.error.value[1:]
            if curve.read is not None:
                arrays[f"growth of the observation/{name}"] = curve.read.value[1:]
            values[name] = {"within a tenth up to": curve.within, "off from": curve.off}
            if curve.predicted is not None and curve.size == GROWTH_SIZES[0]:
                arrays[f"growth/{curve.kind}/{block}/first order"] = curve.predicted.value[1:] / curve.size
        if block == "z" and found.jacobians is not None:
            arrays["lyapunov"] = found.jacobians.lyapunov.value
            arrays["product norm"] = found.jacobians.product["whitened"].mean
    return values, arrays
