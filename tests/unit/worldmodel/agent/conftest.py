"""A world model, an actor and a training that are as small as they can be."""

import pytest
import torch

from sdewm.worldmodel.agent.actor import Actor
from sdewm.worldmodel.agent.agent import Agent
from sdewm.worldmodel.agent.settings import AgentSettings
from sdewm.worldmodel.agent.training import train_agent
from sdewm.worldmodel.rssm import RSSM, RSSMArchitecture

SMALL = RSSMArchitecture(
    observation=5, action=1, hidden=6, latent=3, width=8, embedding=4, rewards=True, continues=True
)
# cartpole-swingup in ten actions an episode.
FEW = AgentSettings(
    environment_steps=100,
    episode_steps=20,
    prefill=2,
    train_ratio=3.0,
    batch=4,
    length=5,
    starts=8,
    horizon=4,
    warmup=2,
    actor_width=8,
)
TASK = "cartpole-swingup"


def small_agent(seed=0, **changes):
    model = RSSM(SMALL, seed=seed)
    size = model.hidden + model.latent
    parts = {
        "model": model,
        "actor": Actor(size, 1, width=8, seed=seed),
        "task": TASK,
        "action_repeat": 2,
        "episode_steps": 20,
        "pixels": None,
        "seed": seed,
        "covariance": torch.eye(size, dtype=torch.float64),
    }
    return Agent(**{**parts, **changes})


def trained_small(**arguments):
    return train_agent(TASK, arguments.pop("settings", FEW), seed=0, architecture=SMALL, **arguments)


@pytest.fixture(scope="session")
def trained():
    pytest.importorskip("dm_control")
    return trained_small()


def equal(one, two):
    """Whether two trainings are the same to the bit."""
    nets = zip((one.agent.model, one.agent.actor), (two.agent.model, two.agent.actor), strict=True)
    return all(
        torch.equal(value, other.state_dict()[name]) for net, other in nets for name, value in net.state_dict().items()
    ) and torch.equal(one.returns, two.returns)
