"""The shipped models: how they were made, and how to make one again.

    python -m sdewm.worldmodel.recipe 0 1 2 --into analysis/records/neural_sde

Needs the extra "control".
"""

import argparse
import hashlib
import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from .checkpoint import load, save
from .control import collect
from .episodes import Episodes
from .horizon import HorizonError, horizon_error
from .neural_sde import Architecture, NeuralSDE
from .train import Settings, Trained, train

TASK = "pendulum-swingup"
STEPS = 125
TRAIN_EPISODES, TRAIN_SEED = 300, 100
TEST_EPISODES, TEST_SEED = 128, 200
SETTINGS = Settings(steps=850)
WARM, HORIZON, STARTS = 20, 50, (0, 11, 22, 33, 44, 55)
REPORTED = (1, 10, 25, 50)


def training_episodes() -> Episodes:
    """The episodes that the shipped models were trained on."""
    return collect(TASK, episodes=TRAIN_EPISODES, steps=STEPS, seed=TRAIN_SEED)


def held_out_episodes(episodes: int = TEST_EPISODES) -> Episodes:
    """Episodes that they have not seen; fewer are the first of these."""
    return collect(TASK, episodes=episodes, steps=STEPS, seed=TEST_SEED)


def retrain(seed: int, data: Episodes | None = None) -> NeuralSDE:
    """The shipped model of a seed, trained again: about a minute on one thread.

    Warning:
        Equal to the shipped one statistically; to the bit on one kind of machine and library version only.
    """
    return _trained(seed, training_episodes() if data is None else data).model


def shipped(seed: int, folder: str | Path) -> NeuralSDE:
    """The model of a seed from the folder of records."""
    model: NeuralSDE = load(Path(folder) / f"seed{seed}.safetensors")
    return model


def final_error(model: NeuralSDE, data: Episodes, test: Episodes) -> HorizonError:
    """Open-loop error of a model and of the baselines, on the windows that records report."""
    return horizon_error(model, data, test, warm=WARM, horizon=HORIZON, starts=STARTS)


def make(seed: int, folder: str | Path) -> dict[str, Any]:
    """Train the model of a seed, write it and a JSON that says how it was made, and return the latter."""
    folder = Path(folder)
    data, test = training_episodes(), held_out_episodes()
    began = time.perf_counter()
    result = _trained(seed, data)
    seconds = time.perf_counter() - began
    folder.mkdir(parents=True, exist_ok=True)
    save(result.model, folder / f"seed{seed}.safetensors")
    errors = final_error(result.model, data, test)
    record = {
        "seed": seed,
        "task": TASK,
        "training": {"episodes": TRAIN_EPISODES, "steps": STEPS, "seed": TRAIN_SEED, "sha256": _digest(data)},
        "test": {"episodes": TEST_EPISODES, "steps": STEPS, "seed": TEST_SEED, "starts": STARTS, "warm": WARM},
        "settings": asdict(SETTINGS),
        "architecture": asdict(result.model.architecture),
        "parameters": sum(p.numel() for p in result.model.parameters()),
        "evidence of the last 50 steps": dict(
            zip(("reconstruction", "divergence"), result.history[-50:, :2].mean(0).tolist(), strict=True)
        ),
        "open-loop RMS error, in standard deviations": {
            name: {str(k): round(float(errors.rms(name)[k - 1]), 5) for k in REPORTED} for name in errors.squared
        },
        "seconds on one thread": round(seconds, 1),
        "versions": {name: version(name) for name in ("torch", "torchsde", "numpy", "dm_control", "mujoco")},
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }
    (folder / f"seed{seed}.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return record


def _trained(seed: int, data: Episodes) -> Trained[NeuralSDE]:
    sizes = (data.observations.shape[2], data.actions.shape[2])
    return train(NeuralSDE(Architecture(*sizes), seed=seed), data, SETTINGS, seed=seed)


def _digest(episodes: Episodes) -> str:
    parts = (episodes.observations, episodes.actions)
    return hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest()


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: seeds and a folder."""
    parser = argparse.ArgumentParser(description="Train the shipped models again.")
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--into", type=Path, required=True, help="folder to write to")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for seed in options.seeds:
        record = make(seed, options.into)
        print(seed, record["seconds on one thread"], record["open-loop RMS error, in standard deviations"], flush=True)


if __name__ == "__main__":
    main()
