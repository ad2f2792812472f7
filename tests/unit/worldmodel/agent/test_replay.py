"""Windows are pieces of what was played, chosen by the seed and the draw alone."""

import pytest
import torch

from sdewm.exceptions import InvalidArgument
from sdewm.worldmodel.agent.replay import Replay
from sdewm.worldmodel.agent.settings import AgentSettings

STEPS = 9


def filled(count, room=4):
    replay = Replay(room, STEPS, (2,), 1)
    for i in range(count):
        time = torch.arange(STEPS + 1.0)
        seen = torch.stack((torch.full_like(time, i), time), dim=1)
        replay.add(seen, time[:-1, None], 100.0 * i + time[:-1], torch.ones(STEPS))
    return replay


def test_windows_are_contiguous_pieces_of_one_episode():
    windows = filled(3).windows(50, 4, seed=0, draw=2)
    seen = windows.observations
    assert torch.equal(seen[:, :, 0], seen[:, :1, 0].expand(-1, 5))
    assert torch.equal(seen[:, :, 1] - seen[:, :1, 1], torch.arange(5.0).expand(50, 5))
    assert torch.equal(windows.actions[:, :, 0], seen[:, :-1, 1])
    assert torch.equal(windows.rewards, 100.0 * seen[:, :-1, 0] + seen[:, :-1, 1])
    # All that was played is drawn from, and nothing of the empty room.
    assert set(seen[:, 0, 0].tolist()) == {0.0, 1.0, 2.0}
    assert set(seen[:, 0, 1].tolist()) == set(range(STEPS - 3))


def test_windows_are_a_function_of_seed_and_draw():
    one, two = filled(3), filled(3)
    two.windows(5, 4, seed=9, draw=9)
    a, b = (replay.windows(5, 4, seed=0, draw=2).observations for replay in (one, two))
    assert torch.equal(a, b)
    assert not torch.equal(a, one.windows(5, 4, seed=0, draw=3).observations)
    assert not torch.equal(a, one.windows(5, 4, seed=1, draw=2).observations)


def test_images_are_kept_as_they_are():
    replay = Replay(1, 2, (3, 16, 16), 1)
    image = torch.full((3, 3, 16, 16), 200, dtype=torch.uint8)
    replay.add(image, torch.zeros(2, 1), torch.zeros(2), torch.ones(2))
    assert torch.equal(replay.windows(1, 2, seed=0, draw=0).observations[0], image)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"environment_steps": 0}, "environment_steps must be a whole number"),
        ({"length": 1}, "length must be a whole number >= 2"),
        ({"train_ratio": 0.0}, "train_ratio must be above zero"),
        ({"entropy": -1.0}, "entropy must be at least 0"),
        ({"discount": 1.0}, "discount must be at least 0 and below 1"),
        ({"slow": 0.0}, "slow must be above 0"),
        ({"percentile": 50.0}, "percentile must be"),
        ({"least_deviation": 1.0}, "below most_deviation"),
        ({"action_repeat": 3}, "multiple of action_repeat"),
        ({"length": 501}, "at most the 500 actions"),
        ({"starts": 513}, "at most the 512 states"),
        ({"prefill": 60}, "below the 60 episodes"),
        ({"spectral_limit": 0.0}, "spectral_limit"),
        ({"model_rate": float("nan")}, "model_rate must be a finite number"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(InvalidArgument, match=message):
        AgentSettings(**changes)


def test_gradient_steps_are_due_by_the_ratio():
    settings = AgentSettings(environment_steps=10_000, prefill=4, train_ratio=32.0, batch=16, length=32)
    assert settings.updates_after(3) == 0
    # Each gradient step replays 16 x 32 actions of two environment steps.
    assert settings.updates_after(4) == 4000 * 32 // 1024
    assert settings.updates_after(10) == 10_000 * 32 // 1024
