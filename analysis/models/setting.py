"""Which models are trained for the claims about learned models, on what, and how: all that a record depends on."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sdewm.claims import Cell

TASKS = ("pendulum-swingup", "cartpole-swingup")
MODELS = ("RSSM", "neural SDE")
SEEDS = 10
# Pilots, in which doses and weights were chosen, have seeds from here on; no claim is judged on one of them.
PILOT = 1000

DATA = {"episodes": 300, "steps": 125, "seed": 100}
HELD_OUT = {"episodes": 256, "steps": 125, "seed": 200}
WARM, HORIZON = 20, 100
STEPS = {"RSSM": 1500, "categorical RSSM": 1500, "neural SDE": 850}
SMALL_STEPS = 300
# Sizes and constants that are not the data's; what is not said here is the class's own.
ARCHITECTURES: Mapping[str, Mapping[str, Any]] = {
    "RSSM": {"hidden": 64, "kind": "gaussian", "latent": 16, "free_nats": 1.0, "rewards": True},
    "categorical RSSM": {
        "hidden": 64,
        "kind": "categorical",
        "groups": 8,
        "classes": 8,
        "free_nats": 1.0,
        "rewards": True,
    },
    "neural SDE": {"hidden": 64, "latent": 8, "rewards": True},
}
TRAINING: Mapping[str, Mapping[str, Any]] = {
    "RSSM": {"batch": 16},
    "categorical RSSM": {"batch": 16},
    "neural SDE": {"batch": 32},
}

# What the arms differ in. Doses and weights: analysis/protocol/*.md says how they were chosen.
ARMS: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "zero drift in training": {
        "injection": {"block": "z", "kind": "zero drift", "unit": "whitened", "size": 0.03},
    },
    "drift in training": {
        "injection": {"block": "z", "kind": "drift", "unit": "whitened", "size": 0.03},
    },
    "penalty, prior map": {"penalty": {"of": "prior", "kind": "frobenius", "weight": 0.001}},
    "penalty, filter map": {"penalty": {"of": "filter", "kind": "frobenius", "weight": 0.001}},
    "whitened penalty, prior map": {"penalty": {"of": "prior", "kind": "whitened", "weight": 0.03}},
    # At the cost of the penalties, which make a gradient step a quarter dearer.
    "more steps": {"longer": 1.25},
    "noise injection": {"training": {"observation_noise": 0.03}, "longer": 1.25},
    "weight decay": {"training": {"weight_decay": 0.01}, "longer": 1.25},
    "spectral norm": {"training": {"spectral_limit": 2.5}, "longer": 1.25},
}
# Seconds on one thread, for the order of the work and the time left.
COSTS = {"RSSM": 45.0, "categorical RSSM": 60.0, "neural SDE": 50.0}


def seeds(scale: float) -> range:
    """The seeds of a budget: ten at scale 1."""
    return range(max(round(SEEDS * scale), 3))


def small(seed: int, steps: int = SMALL_STEPS) -> Cell:
    """A model that is trained for a few seconds, of which only the open-loop error is measured."""
    whole = cell(TASKS[0], "RSSM", "plain", seed)
    return replace(whole, settings={**whole.settings, "gradient steps": steps, "measured": []}, cost=10.0)


def cell(task: str, model: str, arm: str, seed: int, *, changed: Any = None) -> Cell:
    """The training of one model and all that is measured of it.

    Args:
        task, model: one of `TASKS`, and a key of `STEPS`.
        arm: a key of `ARMS`.
        seed: of weights, windows and noise; arms with one seed differ in nothing else.
        changed: in place of the arm's own settings, for pilots.
    """
    changes = dict(ARMS[arm] if changed is None else changed)
    settings = {
        "task": task,
        "model": model,
        "arm": arm,
        "changes": changes,
        "gradient steps": round(STEPS[model] * changes.get("longer", 1.0)),
        "architecture": ARCHITECTURES[model],
        "training": TRAINING[model],
        "data": DATA,
        "held out": HELD_OUT,
        "warm": WARM,
        "horizon": HORIZON,
        # Growth and residuals are asked of plain models only.
        "measured": ["jacobian", "perturbed", *(["growth", "residuals"] if arm == "plain" else [])],
    }
    dear = 1.5 if "penalty" in changes else 1.0
    return Cell("learned model", settings, seed, cost=COSTS[model] * dear)


def cells(task: str, model: str, arms: Sequence[str], scale: float) -> list[Cell]:
    """One cell an arm and seed."""
    return [cell(task, model, arm, seed) for arm in arms for seed in seeds(scale)]
