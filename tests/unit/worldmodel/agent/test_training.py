"""Training an agent: of the seed alone, the same when it is stopped and resumed, and refusing what does not fit."""

import math
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from trainings import killed

from sdewm.exceptions import InvalidArgument, MissingExtra, NumericalFailure
from sdewm.worldmodel.agent.evaluate import play
from sdewm.worldmodel.agent.lock import sole_use
from sdewm.worldmodel.agent.training import train_agent
from sdewm.worldmodel.injection import Injection
from sdewm.worldmodel.regularise import Penalty
from sdewm.worldmodel.rssm import RSSM, RSSMArchitecture

from .conftest import FEW, SMALL, TASK, equal, trained_small

pytestmark = pytest.mark.control
SHORT = replace(FEW, environment_steps=60)
BUSY = {
    "injection": Injection("z", "zero drift", "whitened", 0.3),
    "penalty": Penalty(of="filter", weight=0.01),
    "settings": replace(FEW, weight_decay=0.01, spectral_limit=0.6, observation_noise=0.1, exploration=0.1),
}


@pytest.fixture(autouse=True)
def _dm_control():
    pytest.importorskip("dm_control")


def test_a_training_is_a_function_of_its_seed(trained):
    before = torch.get_rng_state()
    assert equal(trained, trained_small())
    assert torch.equal(before, torch.get_rng_state())
    other = train_agent(TASK, FEW, seed=1, architecture=SMALL)
    assert not torch.equal(other.returns, trained.returns)


def test_what_comes_back(trained):
    assert trained.finished
    assert trained.curve[:, 0].tolist() == [20.0, 40.0, 60.0, 80.0, 100.0]
    assert torch.equal(trained.curve[:, 1], trained.returns)
    assert bool(((trained.returns >= 0.0) & (trained.returns <= 20.0)).all())
    assert trained.losses.shape == (5, 10)
    assert [bool(row.isfinite().all()) for row in trained.losses] == [False, True, True, True, True]
    # Rewards have the units of environment steps, whatever the prefill earned.
    assert float(trained.agent.model.reward_deviation) == FEW.action_repeat
    assert trained.seconds > 0.0


@pytest.mark.parametrize("more", [{}, BUSY], ids=["plain", "everything"])
def test_a_stopped_training_is_resumed_to_the_bit(more, tmp_path):
    path = tmp_path / "state"
    for _ in range(10):
        # Each call stops after its first episode's gradient steps.
        part = trained_small(checkpoint=path, minutes=1e-9, **more)
        if part.finished:
            break
    assert part.finished
    through = trained_small(**more)
    assert equal(part, through)
    assert torch.equal(part.losses.nan_to_num(), through.losses.nan_to_num())
    assert torch.equal(part.agent.covariance, through.agent.covariance)
    # Once more it is only read.
    again = trained_small(checkpoint=path, **more)
    assert equal(again, through)
    assert again.seconds == part.seconds


@pytest.mark.slow
def test_a_killed_training_is_resumed_to_the_bit(tmp_path):
    path, long = tmp_path / "state", replace(BUSY["settings"], environment_steps=2000)
    script = f"""
from dataclasses import replace
from unit.worldmodel.agent.test_training import BUSY, trained_small
long = replace(BUSY["settings"], environment_steps=2000)
trained_small(**{{**BUSY, "settings": long}}, checkpoint={str(path)!r}, every=3)
"""
    killed(script, path)
    assert 0 < len(load_file(path)["returns"]) < 100
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        resumed = trained_small(**{**BUSY, "settings": long}, checkpoint=path, every=3)
        through = trained_small(**{**BUSY, "settings": long})
    finally:
        torch.set_num_threads(threads)
    assert equal(resumed, through)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    pytest.importorskip("dm_control")
    path = tmp_path_factory.mktemp("written") / "state"
    trained_small(settings=SHORT, checkpoint=path, minutes=1e-9)
    return path.read_bytes()


@pytest.fixture
def path(written, tmp_path):
    place = tmp_path / "state"
    place.write_bytes(written)
    return place


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "seed is 0 and not 1"),
        ({"settings": replace(SHORT, actor_rate=0.1)}, "settings.actor_rate is 0.001 and not 0.1"),
        ({"injection": Injection()}, "injection"),
        ({"penalty": Penalty()}, "penalty"),
        ({"task": "cartpole-balance"}, "task is cartpole-swingup and not cartpole-balance"),
        ({"architecture": replace(SMALL, hidden=7)}, "architecture.hidden is 6 and not 7"),
    ],
)
def test_another_training_is_not_resumed(path, written, changes, message):
    own = {"task": TASK, "settings": SHORT, "seed": 0, "architecture": SMALL}
    with pytest.raises(InvalidArgument, match=f"holds another training: .*{message}"):
        train_agent(**{**own, **changes}, checkpoint=path)
    assert path.read_bytes() == written


def test_damaged_checkpoints(path, written):
    def refused(message):
        with pytest.raises(InvalidArgument, match=message):
            trained_small(settings=SHORT, checkpoint=path)

    for size in (0, 100, len(written) - 1):
        path.write_bytes(written[:size])
        refused("not a readable checkpoint")
    path.write_bytes(written)
    tensors = load_file(path)
    with safe_open(str(path), framework="pt") as file:
        words = dict(file.metadata())
    name = "actor/first/actor/layers.0.bias"
    for other, message in (
        ({name: tensors[name][:-1]}, "tensors are not those"),
        ({name: tensors[name] * math.nan}, "not finite"),
        ({"returns": tensors["returns"][:1]}, "holds 1 episodes"),
        ({"spread": tensors["spread"].double()}, "tensors are not those"),
        ({"more": tensors["spread"].clone()}, "tensors are not those"),
    ):
        save_file({**tensors, **other}, path, words)
        refused(message)
    save_file(tensors, path, {**words, "step": "many"})
    refused("words are damaged")
    save_file(tensors, path, {**words, "format": "other"})
    refused("its format is 'other'")


def test_a_checkpoint_in_use_is_refused(path):
    with sole_use(path), pytest.raises(InvalidArgument, match="in use by another training"):
        trained_small(settings=SHORT, checkpoint=path)


def differs(one, two):
    return not all(
        torch.equal(value, two.agent.model.state_dict()[name]) for name, value in one.agent.model.state_dict().items()
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["zero drift", "drift"])
@pytest.mark.parametrize("unit", ["raw", "whitened"])
@pytest.mark.parametrize("place", ["model", "imagination", "acting"])
def test_an_injection_changes_its_place_and_leaves_the_rest(kind, unit, place):
    plain = trained_small(settings=SHORT)
    none = trained_small(settings=SHORT, injection=Injection("z", kind, unit, 0.0), places=place)
    # Of size zero it changes nothing but rounding: no other noise hangs on it.
    torch.testing.assert_close(none.losses, plain.losses, rtol=1e-3, atol=1e-4, equal_nan=True)
    torch.testing.assert_close(none.returns, plain.returns, rtol=1e-3, atol=1e-6)
    moved = trained_small(settings=SHORT, injection=Injection("z", kind, unit, 2.0), places=place)
    # The prefill is played before anything is injected.
    assert torch.equal(moved.returns[:2], plain.returns[:2])
    same = (plain.losses[1] == moved.losses[1]).tolist()
    if place == "acting":
        # The third episode is the first that the agent plays.
        assert all(same)
        assert not torch.equal(moved.returns, plain.returns)
    elif place == "imagination":
        # The model learns as before, until other actions bring it other episodes.
        assert all(same[:5])
        assert not all(same[5:])
    else:
        assert not any(same[k] for k in (0, 1, 2))


def test_a_penalty_changes_the_model_and_not_the_noise():
    plain, none, some = (
        trained_small(settings=SHORT, penalty=p) for p in (None, Penalty(weight=0.0), Penalty(weight=1.0))
    )
    assert equal(plain, none)
    assert differs(plain, some)
    assert float(plain.losses[1, 4]) == 0.0
    assert float(some.losses[1, 4]) > 0.0


def test_settings_of_the_world_model_pass_through():
    plain = trained_small(settings=SHORT)
    for changes in ({"weight_decay": 0.5}, {"observation_noise": 0.5}, {"spectral_limit": 0.3}, {"batch": 5}):
        assert differs(plain, trained_small(settings=replace(SHORT, **changes)))
    limited = trained_small(settings=replace(SHORT, spectral_limit=0.3, spectral_every=1000)).agent.model
    norms = [float(torch.linalg.matrix_norm(p.detach(), 2)) for p in limited.transition_parameters() if p.ndim == 2]
    assert max(norms) <= 0.3 + 1e-5


def test_a_training_that_leaves_the_numbers_is_a_failure(tmp_path):
    path = tmp_path / "state"
    wild = replace(FEW, model_rate=1e20, model_clip=1e30, warmup=1)
    with pytest.raises(NumericalFailure, match="lower the learning rates"):
        trained_small(settings=wild, checkpoint=path)
    assert not path.exists()


def test_progress_is_told():
    told = []
    trained_small(settings=SHORT, progress=lambda episodes, value, losses: told.append((episodes, value, losses)))
    assert [each[0] for each in told] == [2, 3]
    assert all(math.isfinite(float(each[2].reconstruction)) for each in told)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": 3}, "settings must be a AgentSettings"),
        ({"seed": -1}, "seed must be a whole number >= 0"),
        ({"every": 0}, "every"),
        ({"minutes": 0.0}, "minutes must be above zero"),
        ({"places": "everywhere"}, "places must be some of 'model', 'imagination', 'acting', got 'everywhere'"),
        ({"places": ()}, "places must be some of"),
        ({"injection": 1.0}, "injection must be a Injection"),
        ({"penalty": 1.0}, "penalty must be a Penalty"),
        ({"task": "cartpole"}, "task must be"),
        ({"architecture": replace(SMALL, observation=4)}, r"observation \(5,\) and the action 1"),
        ({"architecture": replace(SMALL, action=2)}, "the action 1"),
        ({"architecture": replace(SMALL, rewards=False)}, "rewards=True"),
        ({"checkpoint": 3}, "path must name a file"),
        ({"pixels": 4}, "pixels must be"),
    ],
)
def test_bad_input(changes, message):
    own = {"task": TASK, "settings": SHORT, "seed": 0, "architecture": SMALL}
    with pytest.raises(InvalidArgument, match=message):
        train_agent(**{**own, **changes})
    with torch.no_grad(), pytest.raises(InvalidArgument, match="gradients are switched off"):
        train_agent(**own)


@pytest.mark.slow
def test_images_and_categorical_latents():
    seen = RSSMArchitecture((3, 32, 32), 1, hidden=6, kind="categorical", groups=2, classes=3, channels=2, rewards=True)
    try:
        trained = train_agent(TASK, SHORT, seed=0, pixels=32, architecture=seen)
    except MissingExtra as error:
        pytest.skip(str(error))
    assert trained.agent.pixels == (32, 32)
    assert isinstance(trained.agent.model, RSSM)
    values = [play(trained.agent, episodes=1, seed=0, perturbation=p).mean for p in (None, ("rotation", 90.0))]
    assert all(math.isfinite(value) for value in values)
    with pytest.raises(InvalidArgument, match="architecture must have the observation"):
        train_agent(TASK, SHORT, seed=0, architecture=seen)
