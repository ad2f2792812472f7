"""Agents on disk: what comes back is what was saved, and what is damaged or of another kind is refused."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sdewm.exceptions import InvalidArgument
from sdewm.worldmodel import load, save
from sdewm.worldmodel.agent.saved import load_agent, save_agent

from .conftest import small_agent


@pytest.fixture
def path(tmp_path):
    place = tmp_path / "agent.safetensors"
    agent = small_agent(seed=3)
    agent.covariance[0, 0] = 0.1 + 0.2
    save_agent(agent, place)
    return place


def words_of(path):
    with safe_open(str(path), framework="pt") as file:
        return dict(file.metadata())


def rewritten(path, tensors=None, **entries):
    """The same file with some tensors and entries changed."""
    words = words_of(path)
    words["agent"] = json.dumps({**json.loads(words["agent"]), **entries})
    save_file({**load_file(path), **(tensors or {})}, path, words)


def test_an_agent_comes_back_to_the_bit(path):
    agent, again = small_agent(seed=3), load_agent(path, task="cartpole-swingup")
    for own, other in ((agent.model, again.model), (agent.actor, again.actor)):
        assert all(torch.equal(value, other.state_dict()[name]) for name, value in own.state_dict().items())
    assert float(again.covariance[0, 0]) == 0.1 + 0.2
    for name in ("task", "action_repeat", "episode_steps", "pixels", "seed"):
        assert getattr(again, name) == getattr(agent, name)
    seen = torch.ones(5)
    assert agent.begin(seed=0).act(seen).tolist() == again.begin(seed=0).act(seen).tolist()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"pixels": [32, 32]}, "the model sees, states, got images of 32 x 32"),
        ({"width": 9}, "actor/layers"),
        ({"width": 10**9}, "cannot have a width of"),
        ({"width": 8.0}, "width is of another kind"),
        ({"least": 3.0}, "least must be below most"),
        ({"action_repeat": 0}, "action_repeat must be"),
        ({"more": 1}, "entries are others"),
    ],
)
def test_entries_that_do_not_fit(path, entries, message):
    rewritten(path, **entries)
    with pytest.raises(InvalidArgument, match=message):
        load_agent(path)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"covariance": torch.eye(4, dtype=torch.float64)}, "covariance"),
        ({"actor/layers.4.bias": torch.zeros(4)}, "actor/layers.4.bias"),
        ({"actor/layers.4.bias": torch.full((2,), float("nan"))}, "not finite"),
        ({"model/prior.0.bias": torch.full((8,), float("nan"))}, "not finite"),
        ({"model/prior.0.bias": torch.zeros(9)}, "prior.0.bias"),
        ({"other": torch.zeros(1)}, "other is too much"),
    ],
)
def test_tensors_that_do_not_fit(path, tensors, message):
    rewritten(path, tensors)
    with pytest.raises(InvalidArgument, match=message):
        load_agent(path)


def test_other_tasks_other_files_and_no_files(path, tmp_path):
    with pytest.raises(InvalidArgument, match="agent of the task 'cartpole-swingup', not of 'walker-walk'"):
        load_agent(path, task="walker-walk")
    with pytest.raises(InvalidArgument, match="no such file"):
        load_agent(tmp_path / "none")
    save(small_agent().model, tmp_path / "model")
    with pytest.raises(InvalidArgument, match="must hold an agent of format"):
        load_agent(tmp_path / "model")
    with pytest.raises(InvalidArgument, match="must hold a model of format"):
        load(path)
    with pytest.raises(InvalidArgument, match="agent must be a Agent"):
        save_agent(small_agent().model, tmp_path / "x")
    whole = path.read_bytes()
    for size in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(InvalidArgument, match="not a readable agent"):
            load_agent(path)
