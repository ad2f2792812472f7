"""Open-loop error: causal predictions, and baselines whose error is known."""

import pytest
import torch

from sdewm.exceptions import InvalidArgument
from sdewm.worldmodel.episodes import Episodes
from sdewm.worldmodel.horizon import horizon_error, open_loop, ridge

from .conftest import rotations

WARM, HORIZON = 8, 12


@pytest.fixture(scope="module")
def test_data():
    return rotations(10, 40, seed=2)


def test_baselines_have_the_errors_that_they_must(model, data, test_data):
    errors = horizon_error(model, data, test_data, warm=WARM, horizon=HORIZON, starts=(0, 20))
    assert errors.squared["neural SDE"].shape == (20, HORIZON)
    assert errors.episode.tolist() == [*range(10), *range(10)]
    seen = model.standardise(test_data.observations)
    truth = torch.cat([seen[:, s + WARM : s + WARM + HORIZON] for s in (0, 20)])
    last = torch.cat([seen[:, s + WARM - 1] for s in (0, 20)])
    torch.testing.assert_close(errors.rms("mean").float(), truth.square().mean((0, 2)).sqrt())
    expected = (truth - last[:, None]).square().mean((0, 2)).sqrt()
    torch.testing.assert_close(errors.rms("persistence").float(), expected)
    # The data are linear, so a weakly penalised regression is nearly exact where the others are not.
    assert float(errors.rms("ridge").max()) < 0.05
    assert float(errors.rms("persistence").max()) > 0.5


def test_ridge_uses_the_past_and_known_actions_only(model, data, test_data):
    seen = model.standardise(data.observations)
    predict = ridge(seen, data.actions, warm=WARM, horizon=HORIZON)
    o, a = model.standardise(test_data.observations), test_data.actions
    base = predict(o, a, WARM)
    later, acted = o.clone(), a.clone()
    later[:, WARM:] += 1.0
    assert torch.equal(predict(later, a, WARM), base)
    acted[:, WARM + 3 :] += 1.0
    moved = (predict(o, acted, WARM) - base).abs().amax((0, 2))
    # o_{WARM + k} follows a_{WARM + k − 1}: the action at WARM + 3 first shows at k = 4.
    assert not moved[:4].any()
    assert float(moved[4]) > 0.01


@pytest.mark.parametrize("samples", [0, 2])
def test_the_model_uses_the_past_and_known_actions_only(model, test_data, samples):
    windows = test_data.windows((0,), WARM + HORIZON)

    def predict(observations, actions):
        with torch.no_grad():
            return open_loop(model, Episodes(observations, actions), warm=WARM, samples=samples)

    o, a = windows.observations, windows.actions
    base = predict(o, a)
    assert base.shape == (10, HORIZON, 2)
    later, earlier, acted = o.clone(), o.clone(), a.clone()
    later[:, WARM:] += 1.0
    assert torch.equal(predict(later, a), base)
    earlier[:, WARM - 1] += 1.0
    assert not torch.equal(predict(earlier, a)[:, 0], base[:, 0])
    acted[:, WARM + 3 :] += 1.0
    moved = (predict(o, acted) - base).abs().amax((0, 2))
    assert not moved[:3].any()
    assert bool(moved[4:].all())


def test_windows_and_arguments_are_checked(model, data, test_data):
    with pytest.raises(InvalidArgument, match="do not fit"):
        horizon_error(model, data, test_data, warm=30, horizon=20)
    with pytest.raises(InvalidArgument, match="at least 50 steps"):
        ridge(data.observations, data.actions, warm=30, horizon=20)
    with pytest.raises(InvalidArgument, match="warm"):
        horizon_error(model, data, test_data, warm=0)
