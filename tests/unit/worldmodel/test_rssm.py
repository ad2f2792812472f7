"""The recurrent state-space model: its steps, its laws, its noise, its weights."""

import pytest
import torch

from sdewm.worldmodel.noise import window_normals
from sdewm.worldmodel.rssm import RSSM, RSSMArchitecture

SIZES = {"observation": 2, "action": 1, "hidden": 6, "width": 8, "embedding": 5}
GAUSSIAN = RSSMArchitecture(**SIZES, latent=3)
CATEGORICAL = RSSMArchitecture(**SIZES, kind="categorical", groups=2, classes=3)
IMAGES = RSSMArchitecture(**{**SIZES, "observation": (3, 16, 32)}, latent=3, channels=2)
LENGTH, WINDOWS = 7, 5


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def built(architecture):
    """An untrained model in float64 with larger weights, so that no map is nearly linear."""
    model = RSSM(architecture, seed=3).double().requires_grad_(False)
    for parameter in model.parameters():
        parameter.mul_(1.5)
    return model


def inputs(model, length=LENGTH, windows=WINDOWS):
    return normal(length, windows, *model.observation), normal(length, windows, model.action, seed=1)


@pytest.mark.parametrize("noise", [True, False])
@pytest.mark.parametrize("architecture", [GAUSSIAN, IMAGES], ids=["numbers", "images"])
def test_filtered_states_are_steps_of_the_filter_map(architecture, noise):
    model = built(architecture)
    seen, actions = inputs(model)
    result = model.filtered(seen, actions, seed=2, noise=noise)
    step = model.filter_map(noise=noise)
    normals = window_normals(2, "filter", LENGTH, WINDOWS, 3, torch.float64)

    def run(lag):
        x, states = torch.zeros(WINDOWS, 9, dtype=torch.float64), []
        acted = torch.cat((torch.zeros(lag, WINDOWS, 1, dtype=torch.float64), actions))
        for n in range(LENGTH):
            a = torch.cat((acted[n], model.embed(seen[n])), dim=1)
            scale = step.scale(n, x, a)
            xi = torch.cat((torch.full((WINDOWS, 6), 7.0, dtype=torch.float64), normals[n]), dim=1)
            moved = scale * xi if noise else (scale @ xi[:, :1, None])[..., 0]
            x = step.mean(n, x, a) + moved
            states.append(x)
        return torch.stack(states)

    torch.testing.assert_close(run(model.lag), result.states, rtol=1e-12, atol=1e-12)
    # Negative control: the action of the other convention.
    assert not torch.allclose(run(0), result.states, rtol=1e-3)
