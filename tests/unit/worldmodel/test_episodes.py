"""Windows of episodes."""

import pytest
import torch

from sdewm.exceptions import InvalidArgument
from sdewm.worldmodel.episodes import Episodes


def test_windows_are_slices_in_the_order_of_starts():
    observations = torch.arange(2 * 8, dtype=torch.float32).reshape(2, 8, 1)
    actions = -torch.arange(2 * 7, dtype=torch.float32).reshape(2, 7, 1)
    windows = Episodes(observations, actions).windows((0, 3), 4)
    assert windows.observations[..., 0].tolist() == [
        [0, 1, 2, 3, 4],
        [8, 9, 10, 11, 12],
        [3, 4, 5, 6, 7],
        [11, 12, 13, 14, 15],
    ]
    assert windows.actions[2, :, 0].tolist() == [-3, -4, -5, -6]


@pytest.mark.parametrize(("starts", "length"), [((0,), 8), ((4,), 4), ((-1,), 2), ((), 2)])
def test_windows_must_fit(starts, length):
    episodes = Episodes(torch.zeros(2, 8, 1), torch.zeros(2, 7, 1))
    with pytest.raises(InvalidArgument, match="do not fit"):
        episodes.windows(starts, length)


def test_shapes_and_values_are_checked():
    with pytest.raises(InvalidArgument, match=r"\(2, 7, 1\) and \(2, 7, 1\)"):
        Episodes(torch.zeros(2, 7, 1), torch.zeros(2, 7, 1))
    with pytest.raises(InvalidArgument, match="finite"):
        Episodes(torch.full((2, 8, 1), torch.nan), torch.zeros(2, 7, 1))
