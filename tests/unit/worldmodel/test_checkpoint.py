"""Files of models: unchanged when they are read back, and refused in one sentence when they are not what they say."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sdewm.exceptions import InvalidArgument
from sdewm.worldmodel import checkpoint
from sdewm.worldmodel.checkpoint import FORMAT, KINDS, load, save
from sdewm.worldmodel.neural_sde import Architecture, NeuralSDE
from sdewm.worldmodel.rssm import RSSM, RSSMArchitecture

SHIPPED = Path(__file__).parents[3] / "analysis" / "records" / "neural_sde" / "seed0.safetensors"


@pytest.fixture
def path(model, tmp_path):
    path = tmp_path / "model.safetensors"
    save(model, path)
    return path


def rewritten(path, tensors=None, **words):
    """The file with other tensors or words."""
    model = load(path)
    metadata = {"format": FORMAT, "kind": "neural sde", "architecture": json.dumps(asdict(model.architecture))}
    save_file(load_file(path) if tensors is None else tensors, path, {**metadata, **words})
    return path


def test_a_model_comes_back_unchanged(model, path):
    loaded = load(path)
    assert type(loaded) is type(model)
    assert loaded.architecture == model.architecture
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())
    assert all(p.requires_grad for p in loaded.parameters())


def test_the_first_format_is_still_read():
    assert load(SHIPPED).architecture.hidden == 64


def test_no_global_random_state_is_touched(path):
    before = torch.get_rng_state()
    load(path)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_failed_save_leaves_the_old_file(model, path, monkeypatch):
    old = path.read_bytes()

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    with pytest.raises(InvalidArgument, match="cannot be written: no space left"):
        save(model, path)
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("kept", [0, 4, 20, 300, -1])
def test_a_truncated_file_is_refused(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InvalidArgument, match="is not a readable model") as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_refused(model, tmp_path):
    with pytest.raises(InvalidArgument, match="no such file"):
        load(tmp_path / "absent")
    with pytest.raises(InvalidArgument, match="it is a directory"):
        load(tmp_path)
    with pytest.raises(InvalidArgument, match="it is a directory"):
        save(model, tmp_path)
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(InvalidArgument, match="not a readable model"):
        load(tmp_path / "text")


def test_other_formats_and_kinds_are_refused(path):
    with pytest.raises(InvalidArgument, match=r"must hold a model of format .* got 'another'"):
        load(rewritten(path, format="another"))


def test_another_kind_is_refused(path):
    with pytest.raises(InvalidArgument, match=r"of a kind among .*'neural sde'.*got 'oracle'"):
        load(rewritten(path, kind="oracle"))


def test_tensors_must_be_those_of_the_architecture(path):
    tensors = load_file(path)
    name = "transition.0.weight"
    for changed, message in (
        ({k: v for k, v in tensors.items() if k != name}, f"{name} missing"),
        ({**tensors, "more": torch.zeros(2)}, "more too much"),
        ({**tensors, name: torch.zeros(2, 2)}, rf"{name} is \(2, 2\) and not \(8, 6\)"),
    ):
        with pytest.raises(InvalidArgument, match=message):
            load(rewritten(path, changed))
        save_file(tensors, path, {"format": FORMAT, "architecture": json.dumps({"observation": 2, "action": 1})})
        with pytest.raises(InvalidArgument, match="another architecture than it says"):
            load(path)
        save(load_from(tensors), path)


def load_from(tensors):
    model = NeuralSDE(Architecture(observation=2, action=1, latent=3, hidden=6, width=8, leak=2.0))
    model.load_state_dict(tensors)
    return model


def test_numbers_must_be_finite(path):
    tensors = load_file(path)
    tensors["mean"][0] = torch.nan
    with pytest.raises(InvalidArgument, match="not finite, in mean"):
        load(rewritten(path, tensors))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "unknown entries: list"),
        ('{"observation": 2, "action": 1, "code": 1}', "unknown entries: code"),
        ('{"observation": 2}', "is none"),
        ('{"observation": 2, "action": 1, "latent": -1}', "latent must be a whole number"),
        ('{"observation": 2, "action": 1, "hidden": "many"}', "hidden must be a whole number"),
        ('{"observation": 2, "action": 1, "hidden": 1000000000000}', "too few for an architecture of hidden="),
        ('{"observation": 2, "action": 1, "leak": 1e999}', "leak"),
    ],
)
def test_hostile_words_are_refused(path, words, message):
    with pytest.raises(InvalidArgument, match=message):
        load(rewritten(path, architecture=words))


def test_nothing_is_allocated_for_sizes_that_the_tensors_do_not_have(path, monkeypatch):
    # Below the number of numbers in the file, and yet with weights of 10¹⁰ numbers.
    tensors = {"a": torch.zeros(100_000, dtype=torch.int8)}
    words = json.dumps({"observation": 2, "action": 1, "hidden": 100_000, "width": 100_000})
    save_file(tensors, path, {"format": FORMAT, "kind": "neural sde", "architecture": words})
    real, largest = torch.empty, 0

    def watched(*args, **kwargs):
        nonlocal largest
        result = real(*args, **kwargs)
        largest = max(largest, 0 if result.is_meta else result.numel())
        return result

    monkeypatch.setattr(torch, "empty", watched)
    with pytest.raises(InvalidArgument, match="too much"):
        load(path)
    assert largest < 10**6


def test_a_class_that_load_cannot_make_is_not_saved(linear, tmp_path):
    with pytest.raises(InvalidArgument, match="got LinearModel"):
        save(linear, tmp_path / "model")
    assert not list(tmp_path.iterdir())


MODELS = {
    "neural sde": NeuralSDE(Architecture(observation=2, action=1, hidden=4, width=5)),
    "gaussian": RSSM(RSSMArchitecture(observation=2, action=1, hidden=4, latent=3, width=5)),
    "categorical": RSSM(RSSMArchitecture(observation=2, action=1, kind="categorical", rewards=True, continues=True)),
    "images": RSSM(RSSMArchitecture(observation=(3, 16, 32), action=1, channels=2)),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_comes_back_unchanged(name, tmp_path):
    model = MODELS[name]
    save(model, tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert type(loaded) is type(model)
    assert loaded.architecture == model.architecture
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())


@pytest.mark.parametrize("name", MODELS)
def test_shapes_without_memory_are_the_real_ones(name):
    whole = MODELS[name]
    with torch.device("meta"), checkpoint._Shapes():
        hollow = type(whole)(whole.architecture).state_dict()
    assert {k: v.shape for k, v in hollow.items()} == {k: v.shape for k, v in whole.state_dict().items()}
    assert all(value.is_meta for value in hollow.values())


def test_every_kind_is_tested():
    assert {type(model) for model in MODELS.values()} == {build for _, build in KINDS.values()}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_model_keeps_its_dtype(dtype, tmp_path):
    """Weights that are not numbers of float32, which would be rounded by a model of that kind."""
    model = RSSM(RSSMArchitecture(observation=2, action=1, hidden=4, width=5)).to(dtype)
    with torch.no_grad():
        for p in model.parameters():
            p.div_(3.0)
    save(model, tmp_path / "model")
    back = load(tmp_path / "model")
    for name, value in model.state_dict().items():
        assert back.state_dict()[name].dtype == dtype
        assert torch.equal(back.state_dict()[name], value)


def test_tensors_are_numbers_of_one_kind(path):
    tensors, whole = load_file(path), path.read_bytes()
    name = next(iter(tensors))
    for wrong in ({name: tensors[name].double()}, {key: v.to(torch.int32) for key, v in tensors.items()}):
        path.write_bytes(whole)
        rewritten(path, {**tensors, **wrong})
        with pytest.raises(InvalidArgument, match="floating-point numbers of one kind"):
            load(path)


@pytest.mark.parametrize("name", [3, None, "a\0b", "x" * 300])
def test_what_cannot_name_a_file_is_refused(name, model):
    for call in (lambda: save(model, name), lambda: load(name)):
        with pytest.raises(InvalidArgument, match="path must name a file"):
            call()


def test_pipes_and_files_of_no_end_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidArgument, match="it is no file"):
        load(tmp_path / "pipe")
    with open(tmp_path / "long", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InvalidArgument, match="more than 2048 MiB"):
        load(tmp_path / "long")
