"""Saving and loading agents, as safetensors: plain numbers, no code."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...exceptions import InvalidArgument
from ...validation import instance
from ..checkpoint import built_from, differing, read_tensors, words_of, write_tensors
from ..rssm import RSSM
from .actor import Actor
from .agent import Agent

FORMAT = "sdewm agent 1"
_ENTRIES = {
    "task": str,
    "action_repeat": int,
    "episode_steps": int,
    "pixels": list | None,
    "seed": int,
    "width": int,
    "least": float,
    "most": float,
}


def save_agent(agent: Agent, path: str | Path) -> None:
    """Write an agent to `path`, whole or not at all.

    Raises:
        InvalidArgument: it is no agent, or the file cannot be written.
    """
    instance("agent", agent, Agent)
    actor = agent.actor
    entries = {
        "task": agent.task,
        "action_repeat": agent.action_repeat,
        "episode_steps": agent.episode_steps,
        "pixels": agent.pixels,
        "seed": agent.seed,
        "width": actor.width,
        "least": actor.least,
        "most": actor.most,
    }
    tensors = {f"model/{name}": value for name, value in agent.model.state_dict().items()}
    tensors |= {f"actor/{name}": value for name, value in actor.state_dict().items()}
    tensors["covariance"] = agent.covariance
    write_tensors(path, tensors, {"format": FORMAT, **words_of(agent.model), "agent": json.dumps(entries)})


def load_agent(path: str | Path, *, task: str | None = None) -> Agent:
    """The agent that `save_agent` wrote to `path`, on the CPU.

    Args:
        path: see there.
        task: what it has to be trained for; None for whatever it was.

    Raises:
        InvalidArgument: there is no such file, it is damaged, it is not an agent of this format, its parts do not fit
            each other, or it was trained for another task.
    """
    what = "a readable agent"
    tensors, words = read_tensors(path, what)
    if words.get("format") != FORMAT:
        raise InvalidArgument(f"{path} must hold an agent of format {FORMAT!r}, got {words.get('format')!r}.")
    entries = _entries(path, words.get("agent", ""))
    if task is not None and entries["task"] != task:
        raise InvalidArgument(f"{path} holds an agent of the task {entries['task']!r}, not of {task!r}: train another.")
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "actor": {}, "covariance": {}}
    for name, value in tensors.items():
        group, _, rest = name.partition("/")
        if group not in groups:
            raise InvalidArgument(f"{path} is not {what}: {name} is too much.")
        groups[group][rest] = value
    model = built_from(path, groups["model"], words)
    if not isinstance(model, RSSM):
        raise InvalidArgument(f"{path} is not {what}: its world model is a {type(model).__name__}, not an RSSM.")
    size, numbers = model.hidden + model.latent, sum(value.numel() for value in tensors.values())
    if not 1 <= entries["width"] <= numbers:
        raise InvalidArgument(f"{path} is not {what}: its actor cannot have a width of {entries['width']}.")
    actor = Actor(size, model.action, width=entries["width"], least=entries["least"], most=entries["most"])
    like = {"covariance": torch.zeros(size, size, dtype=torch.float64)}
    like |= {f"actor/{name}": value for name, value in actor.state_dict().items()}
    found = {name: value for name, value in tensors.items() if not name.startswith("model/")}
    wanted, given = (
        {name: (tuple(value.shape), str(value.dtype)) for name, value in each.items()} for each in (like, found)
    )
    if wanted != given:
        raise InvalidArgument(f"{path} is not {what}: {differing(wanted, given)}.")
    bad = [name for name, value in found.items() if not value.isfinite().all()]
    if bad:
        raise InvalidArgument(f"{path} is not {what}: numbers in {', '.join(bad[:4])} are not finite.")
    actor.load_state_dict(groups["actor"])
    pixels = None if entries["pixels"] is None else tuple(entries["pixels"])
    try:
        return Agent(
            model=model,
            actor=actor,
            task=entries["task"],
            action_repeat=entries["action_repeat"],
            episode_steps=entries["episode_steps"],
            pixels=pixels,
            seed=entries["seed"],
            covariance=found["covariance"],
        )
    except InvalidArgument as error:
        raise InvalidArgument(f"{path} is not {what}: {error}") from error


def _entries(path: str | Path, text: str) -> dict[str, Any]:
    try:
        entries = json.loads(text)
        if not isinstance(entries, dict) or entries.keys() != _ENTRIES.keys():
            raise ValueError("its entries are others")
        for name, kind in _ENTRIES.items():
            if not isinstance(entries[name], kind) or isinstance(entries[name], bool):
                raise ValueError(f"{name} is of another kind")
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{path} is not a readable agent: its words are damaged ({error}).") from error
    return entries
