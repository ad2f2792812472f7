"""A small control problem with a known law, in place of an environment: a driven, damped rotation."""

import pytest
import torch

from sdewm.worldmodel.episodes import Episodes
from sdewm.worldmodel.neural_sde import Architecture, NeuralSDE

from .linear_model import LinearArchitecture, LinearModel

SMALL = Architecture(observation=2, action=1, latent=3, hidden=6, width=8, leak=2.0)


def rotations(episodes: int, steps: int, seed: int) -> Episodes:
    """o_{n+1} = .97 R o_n + (0, .3 a_n), R a rotation by .3: linear, so that a ridge regression is exact."""
    source = torch.Generator().manual_seed(seed)
    angle = torch.tensor(0.3)
    turn = 0.97 * torch.tensor([[torch.cos(angle), -torch.sin(angle)], [torch.sin(angle), torch.cos(angle)]])
    actions = torch.rand(episodes, steps, 1, generator=source) * 2.0 - 1.0
    seen = [torch.randn(episodes, 2, generator=source)]
    for n in range(steps):
        seen.append(seen[-1] @ turn.T + torch.tensor([0.0, 0.3]) * actions[:, n])
    return Episodes(torch.stack(seen, dim=1), actions)


@pytest.fixture(scope="session")
def data() -> Episodes:
    return rotations(24, 40, seed=1)


@pytest.fixture
def model(data: Episodes) -> NeuralSDE:
    model = NeuralSDE(SMALL, seed=4)
    model.fit_units(data)
    return model


@pytest.fixture
def linear() -> LinearModel:
    return LinearModel(LinearArchitecture(), seed=2)


@pytest.fixture(scope="session")
def rewarded(data: Episodes) -> Episodes:
    """The same episodes with a reward that is linear in what is seen next, and ends by its sign."""
    rewards = data.observations[:, 1:] @ torch.tensor([2.0, -1.0])
    continues = (rewards > 0.0).float()
    return Episodes(data.observations, data.actions, rewards, continues)
