"""Training refuses, in one sentence, what it cannot train or resume, and leaves models and files as they are."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sdewm.exceptions import InvalidArgument
from sdewm.worldmodel.neural_sde import Architecture, NeuralSDE
from sdewm.worldmodel.rssm import RSSM, RSSMArchitecture
from sdewm.worldmodel.train import Settings, train

from .linear_model import LinearArchitecture, LinearModel

FEW = Settings(steps=2, batch=4, length=5)


def fresh():
    return LinearModel(LinearArchitecture(), seed=3)


@pytest.fixture
def written(data, tmp_path):
    """A checkpoint, its tensors and its words."""
    path = tmp_path / "state"
    train(fresh(), data, FEW, seed=3, checkpoint=path)
    with safe_open(path, "pt") as file:
        words = file.metadata()
    return path, load_file(path), words


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"episodes": None}, "episodes must be a Episodes, got NoneType"),
        ({"settings": {"steps": 3}}, "settings must be a Settings, got dict"),
        ({"injection": {"size": 1.0}}, "injection must be a Injection, got dict"),
        ({"penalty": 0.1}, "penalty must be a Penalty, got float"),
        ({"checkpoint": 3}, "path must name a file, got 3"),
        ({"checkpoint": "a\0b"}, "path must name a file"),
        ({"checkpoint": "x" * 300}, "path must name a file"),
    ],
)
def test_arguments_of_another_kind_are_named(changes, message, data):
    given = {"episodes": data, "settings": FEW, **changes}
    with pytest.raises(InvalidArgument, match=message):
        train(fresh(), given.pop("episodes"), given.pop("settings"), seed=3, **given)


def test_what_cannot_learn_is_refused(data):
    with pytest.raises(InvalidArgument, match="no weight that requires a gradient"):
        train(fresh().requires_grad_(False), data, FEW, seed=3)
    for off in (torch.no_grad, torch.inference_mode):
        with off(), pytest.raises(InvalidArgument, match="gradients are switched off"):
            train(fresh(), data, FEW, seed=3)


@pytest.mark.parametrize("name", ["rewards", "continues"])
def test_a_window_of_one_step_has_no_reward_and_no_end_to_predict(name, rewarded):
    sizes = {"observation": 2, "action": 1, "hidden": 4, "width": 4, name: True}
    for model in (RSSM(RSSMArchitecture(**sizes)), NeuralSDE(Architecture(**sizes))):
        with pytest.raises(InvalidArgument, match="length must be at least 2"):
            train(model, rewarded, replace(FEW, length=1), seed=0)
        # Two steps are enough.
        assert bool(train(model, rewarded, replace(FEW, length=2), seed=0).history.isfinite().all())


def test_without_rewards_a_window_may_have_one_step(data):
    assert bool(train(fresh(), data, replace(FEW, length=1), seed=3).history.isfinite().all())


def damaged(tensors, what):
    first = next(name for name in tensors if name.startswith("first/") and tensors[name].ndim == 2)
    changed = dict(tensors)
    if what == "a moment of another shape":
        changed[first] = changed[first].T.contiguous()[:1]
    elif what == "a moment of nothing":
        for group in ("first", "second"):
            changed[f"{group}/nothing"] = changed.pop(f"{group}/{first.removeprefix('first/')}")
    elif what == "weights that are whole numbers":
        changed = {name: v.to(torch.int32) if name.startswith("weights/") else v for name, v in changed.items()}
    elif what == "a history of other parts":
        changed["history"] = changed["history"][:, :3].contiguous()
    elif what == "a covariance of another size":
        changed["covariance"] = torch.eye(2, dtype=torch.float64)
    else:
        changed[first] = torch.full_like(changed[first], torch.nan)
    return changed


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("a moment of another shape", "shapes, kinds or names differ"),
        ("a moment of nothing", "shapes, kinds or names differ"),
        ("weights that are whole numbers", "shapes, kinds or names differ"),
        ("a history of other parts", "shapes, kinds or names differ"),
        ("a covariance of another size", "shapes, kinds or names differ"),
        ("moments that are lost", "numbers in first/.* are not finite"),
    ],
)
def test_damaged_parts_are_refused_before_anything_is_taken_from_them(what, message, written, data):
    path, tensors, words = written
    save_file(damaged(tensors, what), path, words)
    before, model = path.read_bytes(), fresh()
    model.fit_units(data)
    first = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(InvalidArgument, match=message):
        train(model, data, FEW, seed=3, checkpoint=path)
    assert path.read_bytes() == before
    assert all(torch.equal(value, first[name]) for name, value in model.state_dict().items())
    # Whole again, it is taken.
    save_file(tensors, path, words)
    assert train(fresh(), data, FEW, seed=3, checkpoint=path).history.shape == (2, 5)


@pytest.mark.parametrize(
    "words", [{"configuration": "null"}, {"configuration": "[]"}, {"seconds": "nan"}, {"step": "-1"}, {"step": "x"}]
)
def test_damaged_words_are_refused(words, written, data):
    path, tensors, good = written
    save_file(tensors, path, {**good, **words})
    with pytest.raises(InvalidArgument, match="is not a readable checkpoint"):
        train(fresh(), data, FEW, seed=3, checkpoint=path)


def test_what_differs_is_said_shortly(written, data):
    path, _, words = written
    other = LinearModel(LinearArchitecture(), seed=4)
    with pytest.raises(InvalidArgument) as caught:
        train(other, data, FEW, seed=3, checkpoint=path)
    digest = json.loads(words["configuration"])["first weights"]
    assert f"first weights is {digest[:12]}… and not" in str(caught.value)
    assert digest not in str(caught.value)
