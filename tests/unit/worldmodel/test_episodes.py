"""What episodes may hold, and windows of them."""

import pytest
import torch

from sdewm.exceptions import InvalidArgument
from sdewm.worldmodel.episodes import Episodes


def numbered(shape, dtype=torch.float32):
    return torch.arange(torch.Size(shape).numel()).reshape(shape).to(dtype)


def test_windows_are_slices_in_the_order_of_starts():
    observations, actions = numbered((2, 8, 1)), -numbered((2, 7, 1))
    windows = Episodes(observations, actions).windows((0, 3), 4)
    assert windows.observations[..., 0].tolist() == [
        [0, 1, 2, 3, 4],
        [8, 9, 10, 11, 12],
        [3, 4, 5, 6, 7],
        [11, 12, 13, 14, 15],
    ]
    assert windows.actions[2, :, 0].tolist() == [-3, -4, -5, -6]
    assert windows.rewards is None
    assert windows.continues is None


def test_windows_keep_rewards_and_ends_beside_their_actions():
    rewards, continues = numbered((2, 7)), 1.0 / (1.0 + numbered((2, 7)))
    windows = Episodes(numbered((2, 8, 1)), numbered((2, 7, 1)), rewards, continues).windows((0, 3), 4)
    assert torch.equal(windows.actions[..., 0], windows.rewards)
    assert torch.equal(windows.continues, 1.0 / (1.0 + windows.rewards))
    assert windows.rewards[2].tolist() == [3, 4, 5, 6]


def test_windows_of_images_are_images():
    observations = numbered((2, 8, 3, 2, 2), torch.uint8)
    windows = Episodes(observations, numbered((2, 7, 1))).windows((1,), 3)
    assert torch.equal(windows.observations, observations[:, 1:5])
    assert windows.images


def test_sizes_and_units():
    states = Episodes(torch.randn(5, 8, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(5, 7, 2))
    assert (len(states), states.steps, states.shape, states.images) == (5, 7, (4,), False)
    flat = states.observations.reshape(40, 4)
    torch.testing.assert_close(states.mean, flat.sum(0) / 40)
    torch.testing.assert_close(states.deviation, ((flat - states.mean).square().sum(0) / 39).sqrt())
    images = Episodes(torch.full((5, 8, 3, 6, 7), 200, dtype=torch.uint8), torch.zeros(5, 7, 2))
    assert (images.shape, images.images) == ((3, 6, 7), True)
    # In uint8 the sum would wrap around.
    assert torch.equal(images.mean, torch.full((3, 6, 7), 200.0))


@pytest.mark.parametrize(("starts", "length"), [((0,), 8), ((4,), 4), ((-1,), 2), ((), 2)])
def test_windows_must_fit(starts, length):
    episodes = Episodes(torch.zeros(2, 8, 1), torch.zeros(2, 7, 1))
    with pytest.raises(InvalidArgument, match="do not fit"):
        episodes.windows(starts, length)


@pytest.mark.parametrize("starts", [3, (0.5,), "01", None])
def test_starts_are_whole_numbers(starts):
    episodes = Episodes(torch.zeros(2, 8, 1), torch.zeros(2, 7, 1))
    with pytest.raises(InvalidArgument, match="starts must be a sequence of whole numbers"):
        episodes.windows(starts, 2)
    for good in (range(2), torch.tensor([0, 1]), [0, 1]):
        assert len(episodes.windows(good, 2)) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observations": torch.zeros(2, 7, 1)}, r"\(2, 7, 1\) and \(2, 7, 1\)"),
        ({"observations": torch.zeros(3, 8, 1)}, r"\(3, 8, 1\) and \(2, 7, 1\)"),
        ({"observations": torch.zeros(2, 8)}, r"\(2, 8\) and"),
        ({"actions": torch.zeros(2, 7)}, r"and \(2, 7\)"),
        ({"observations": torch.zeros(2, 8, 3, 4, 4)}, "images in uint8, got .* in torch.float32"),
        ({"observations": torch.zeros(2, 8, 1, dtype=torch.uint8)}, "images in uint8, got .* in torch.uint8"),
        ({"rewards": torch.zeros(2, 8)}, r"rewards must have shape .* = \(2, 7\), got \(2, 8\)"),
        ({"continues": torch.zeros(2, 7, 1)}, r"continues must have shape .*got \(2, 7, 1\)"),
        ({"observations": torch.full((2, 8, 1), torch.nan)}, "finite"),
        ({"actions": torch.full((2, 7, 1), torch.inf)}, "finite"),
        ({"rewards": torch.full((2, 7), torch.nan)}, "finite"),
        ({"continues": torch.full((2, 7), torch.nan)}, "finite"),
        ({"continues": torch.full((2, 7), 2.0)}, r"continues must be 1 .* outside of \[0, 1\]"),
        ({"observations": [["a"]]}, "observations must hold numbers"),
        ({"observations": torch.zeros(2, 8, 1, requires_grad=True)}, r"observations.detach\(\)"),
        ({"actions": None}, "actions must be a tensor of real numbers, got NoneType"),
        ({"actions": torch.zeros(2, 7, 1, dtype=torch.complex64)}, "actions must be .* got complex"),
        ({"rewards": "many"}, "rewards must be a tensor of real numbers, got str"),
        ({"observations": torch.zeros(0, 8, 1), "actions": torch.zeros(0, 7, 1)}, "at least one episode"),
        ({"observations": torch.zeros(2, 1, 1), "actions": torch.zeros(2, 0, 1)}, "at least one episode, one step"),
        ({"observations": torch.zeros(2, 8, 0)}, "one number"),
    ],
)
def test_shapes_and_values_are_checked(changes, message):
    good = {"observations": torch.zeros(2, 8, 1), "actions": torch.zeros(2, 7, 1)}
    Episodes(**good)
    with pytest.raises(InvalidArgument, match=message):
        Episodes(**{**good, **changes})
