"""Which agents are trained for the claims about returns, and how: all that a record depends on."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sdewm.claims import Cell

TASK = "cartpole-swingup"
SEEDS = 5
# Pilots, in which doses and weights were chosen, have seeds from here on; no claim is judged on one of them.
PILOT = 1000
ENVIRONMENT_STEPS, SMALL_STEPS = 40_000, 6_000
# Episodes a cell of an evaluation, the same starts for each agent and each perturbation.
EPISODES, PLAY_SEED = 5, 500
PERTURBED: Mapping[str, Sequence[float]] = {
    "noise": (0.1, 0.3, 1.0),
    "rotation": (5.0, 15.0, 45.0),
    "masking": (0.1, 0.3, 0.6),
}
# Errors injected into z at each step of the filter, while acting: whitened one-step sizes.
INJECTED = (0.1, 0.3, 1.0)

PRIOR = {"of": "prior", "kind": "frobenius", "weight": 0.001}
DRIFT = {"block": "z", "kind": "drift", "unit": "whitened", "size": 0.03}
# What the arms differ in. Doses and weights: analysis/protocol/agents.md says how they were chosen.
ARMS: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "zero drift in training": {"injection": {"block": "z", "kind": "zero drift", "unit": "whitened", "size": 0.1}},
    "penalty, prior map": {"penalty": PRIOR},
    "penalty, filter map": {"penalty": {**PRIOR, "of": "filter"}},
    "drift in training": {"injection": DRIFT},
    "drift in training, penalty": {"injection": DRIFT, "penalty": PRIOR},
    # What is known to do harm, for the controls.
    "large drift in training": {"injection": {**DRIFT, "size": 1.0}},
}
# What the full budget adds: the paper's proxy for the size of an error, and controls of the penalties.
MORE_ARMS: Mapping[str, Mapping[str, Any]] = {
    "batch 8": {"training": {"batch": 8, "train_ratio": 40.0}},
    "batch 32": {"training": {"batch": 32, "train_ratio": 160.0}},
    "batch 64": {"training": {"batch": 64, "train_ratio": 320.0}},
    "noise injection": {"training": {"observation_noise": 0.03}},
    "weight decay": {"training": {"weight_decay": 0.01}},
    "plain, pixels": {"pixels": 32},
    "penalty, prior map, pixels": {"pixels": 32, "penalty": PRIOR},
}
# Other tasks of the full budget: the arms that are trained on them, and environment steps.
ELSEWHERE: Mapping[str, tuple[Sequence[str], int]] = {
    "walker-walk": (("plain", "zero drift in training", "penalty, prior map"), 150_000),
}
# Seconds on one thread, for the order of the work and the time left.
COST = 300.0


def seeds(scale: float) -> range:
    """The seeds of a budget: five at scale 1."""
    return range(max(round(SEEDS * min(scale, 2.0)), 3))


def cell(arm: str, seed: int, *, task: str = TASK, changed: Any = None, steps: int = ENVIRONMENT_STEPS) -> Cell:
    """The training of one agent and all that is measured of it.

    Args:
        arm: a key of `ARMS` or `MORE_ARMS`.
        seed: of weights, episodes, windows and noise; arms with one seed differ in nothing else.
        task: of dm_control.
        changed: in place of the arm's own settings, for pilots.
        steps: environment steps to train for.
    """
    changes = dict({**ARMS, **MORE_ARMS}[arm] if changed is None else changed)
    settings = {
        "task": task,
        "arm": arm,
        "changes": changes,
        "environment steps": steps,
        "episodes": EPISODES,
        "play seed": PLAY_SEED,
        # Errors of images are another matter than those of states.
        "measured": ["returns"] if "pixels" in changes else ["returns", "growth", "open loop"],
    }
    cost = (
        COST
        * steps
        / ENVIRONMENT_STEPS
        * (1.3 if "penalty" in changes else 1.0)
        * (8.0 if "pixels" in changes else 1.0)
    )
    return Cell("agent", settings, seed, cost=cost)


def small(seed: int, changed: Any = None) -> Cell:
    """An agent that is trained for less than a minute, of which clean returns and open-loop errors are kept."""
    whole = cell("plain", seed, changed=changed, steps=SMALL_STEPS)
    return replace(whole, settings={**whole.settings, "measured": ["open loop"]}, cost=60.0)


def cells(arms: Sequence[str], scale: float) -> list[Cell]:
    """One cell an arm and seed."""
    return [cell(arm, seed) for arm in arms for seed in seeds(scale)]


def more_cells(scale: float) -> list[Cell]:
    """What the full budget shows beside what is judged: more arms, images, another task."""
    if scale <= 1.0:
        return []
    elsewhere = [
        cell(arm, seed, task=task, steps=steps)
        for task, (arms, steps) in ELSEWHERE.items()
        for arm in arms
        for seed in seeds(scale)
    ]
    return [*cells(tuple(MORE_ARMS), scale), *elsewhere]
