"""The four blocks against their equations, written out by hand."""

import pytest
import torch
from torch import Tensor, nn

from sdewm.drifts.four_block import Blocks, FourBlock, Joined, OfHidden
from sdewm.dynamics import euler_map, simulate
from sdewm.exceptions import InvalidArgument
from sdewm.grid import TimeGrid

LATENT, HIDDEN, SEEN, ACTION = 2, 3, 1, 1
SIZES = {"latent": LATENT, "hidden": HIDDEN, "observation": SEEN, "action": ACTION}


class Formula(nn.Module):
    """A plain function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *arguments: Tensor) -> Tensor:
        return self.function(*arguments)


def q(h, o):
    return torch.sin(h[:, :2]) + 2.0 * o


def f(h, u, a):
    return torch.tanh(h) - h + u.sum(1, keepdim=True) * a


def p(h):
    return h[:, 1:] ** 2


def d(h, u):
    return h[:, :1] * u[:, 1:]


def scale(h, *_):
    return 0.1 + h[:, :2] ** 2


def hidden_scale(h, u, a):
    return 0.3 * u[:, :1] * torch.ones_like(h)


def decoder_scale(h, u):
    return 0.5 + u[:, :1]


def mixing(h, u):
    return torch.stack((h[:, :1], u[:, :1]), dim=-1)


def four(**changes):
    modules = {
        "sequence": f,
        "posterior": q,
        "transition": p,
        "decoder": d,
        "posterior_scale": scale,
        "sequence_scale": hidden_scale,
        "transition_scale": scale,
        "decoder_scale": decoder_scale,
    }
    options = {**SIZES, **modules, **changes}
    return FourBlock(**{k: Formula(v) if callable(v) else v for k, v in options.items()})


def states(model, paths=5):
    source = torch.Generator().manual_seed(1)
    x = torch.randn(paths, model.dim, generator=source, dtype=torch.float64)
    inputs = torch.randn(paths, model.action_dim, generator=source, dtype=torch.float64)
    return x, inputs


@pytest.mark.parametrize("leak", [None, 0.5, 3.0])
@pytest.mark.parametrize("form", ["filtering", "rollout"])
def test_drift_is_the_papers(leak, form):
    model = four(leak=leak, form=form)
    x, inputs = states(model)
    z, h, u, o = x[:, :2], x[:, 2:5], x[:, 5:7], x[:, 7:]
    a, seen = inputs[:, :1], inputs[:, 1:]
    rate = 0.0 if leak is None else 1.0 / leak
    expected = torch.cat(
        (q(h, seen) - rate * z, f(h, z if form == "filtering" else u, a), p(h) - rate * u, d(h, u) - rate * o), dim=1
    )
    torch.testing.assert_close(model.f(torch.tensor(0.0), x, inputs), expected, rtol=1e-14, atol=1e-14)


def test_diagonal_noise_is_the_papers():
    model = four()
    x, inputs = states(model)
    z, h, u = x[:, :2], x[:, 2:5], x[:, 5:7]
    expected = torch.cat((scale(h), hidden_scale(h, z, None), scale(h), decoder_scale(h, u)), dim=1)
    torch.testing.assert_close(model.g(torch.tensor(0.0), x, inputs), expected, rtol=0, atol=0)


@pytest.mark.parametrize("missing", [(), ("sequence_scale",), ("posterior_scale", "decoder_scale")])
def test_general_noise_is_the_diagonal_one_without_empty_columns(missing):
    none = dict.fromkeys(missing)
    x, inputs = states(four())
    diagonal = four(**none).g(torch.tensor(0.0), x, inputs)
    model = four(noise="general", **none)
    columns = model.g(torch.tensor(0.0), x, inputs)
    kept = diagonal[0] != 0.0
    assert columns.shape == (5, 8, model.noise_dim)
    assert model.noise_dim == int(kept.sum()) == 8 - 3 * ("sequence_scale" in missing) - 3 * (len(missing) == 2)
    torch.testing.assert_close(columns, torch.diag_embed(diagonal)[:, :, kept], rtol=0, atol=0)


def test_shared_noise_drives_predictor_and_decoder_by_one_motion():
    model = four(noise="shared", decoder_scale=mixing, sequence_scale=None)
    x, inputs = states(model)
    g = model.g(torch.tensor(0.0), x, inputs)
    h, u = x[:, 2:5], x[:, 5:7]
    assert model.noise_dim == 4
    covariance = g @ g.transpose(1, 2)
    own = torch.diag_embed(scale(h))
    torch.testing.assert_close(covariance[:, 5:7, 7:], own @ mixing(h, u).transpose(1, 2))
    torch.testing.assert_close(covariance[:, :2, :2], own @ own)
    assert not covariance[:, :2, 2:].any()
    # With noises of their own the two blocks are uncorrelated.
    apart = four(noise="general", sequence_scale=None).g(torch.tensor(0.0), x, inputs)
    assert not (apart @ apart.transpose(1, 2))[:, 5:7, 7:].any()


def test_z_feeds_h_while_filtering_and_not_in_a_rollout():
    grid, inputs = TimeGrid(T=1.0, steps=6), torch.full((6, 2), 0.7, dtype=torch.float64)
    for form, feeds in (("rollout", False), ("filtering", True)):
        model = four(form=form, leak=1.0, noise="general")
        x = states(model)[0] * 0.3
        moved = x.clone()
        moved[:, :2] += 0.1
        one = model.split(simulate(model, x, grid, seed=3, actions=inputs).states)
        two = model.split(simulate(model, moved, grid, seed=3, actions=inputs).states)
        assert bool((one.posterior != two.posterior).all())
        for block in ("hidden", "predictor", "decoded"):
            assert bool((getattr(one, block)[-1] != getattr(two, block)[-1]).any()) is feeds


def test_rollout_is_the_rollout_form_without_z():
    filtering = four(leak=2.0)
    rollout = filtering.rollout()
    whole = four(leak=2.0, form="rollout")
    x, inputs = states(whole)
    t = torch.tensor(0.0)
    torch.testing.assert_close(rollout.f(t, x[:, 2:], inputs[:, :1]), whole.f(t, x, inputs)[:, 2:], rtol=0, atol=0)
    torch.testing.assert_close(rollout.g(t, x[:, 2:], inputs[:, :1]), whole.g(t, x, inputs)[:, 2:], rtol=0, atol=0)
    assert (rollout.dim, rollout.action_dim, whole.action_dim) == (6, 1, 2)
    start = rollout.split(filtering.rollout_start(x))
    torch.testing.assert_close(start.predictor, x[:, :2], rtol=0, atol=0)
    torch.testing.assert_close(start.hidden, x[:, 2:5], rtol=0, atol=0)


def test_a_leak_of_one_step_draws_z_anew():
    model = four(leak=0.25)
    x, inputs = states(model)
    step = euler_map(model, TimeGrid(T=1.0, steps=4))
    mean = step.mean(0, x, inputs)[:, :2]
    torch.testing.assert_close(mean, 0.25 * q(x[:, 2:5], inputs[:, 1:]), rtol=1e-13, atol=1e-13)
    other = x.clone()
    other[:, :2] += 1.0
    torch.testing.assert_close(step.mean(0, other, inputs)[:, :2], mean, rtol=0, atol=1e-15)


def test_the_literal_log_norm_is_not_negative():
    def top(model):
        x, inputs = states(model, 1)
        jacobian = torch.func.jacrev(lambda y: model.f(torch.tensor(0.0), y[None], inputs)[0])(x[0])
        return float(torch.linalg.eigvalsh(0.5 * (jacobian + jacobian.T)).max())

    calm = {
        "sequence": lambda h, u, a: -h,
        "posterior": lambda h, o: 0.1 * h[:, :2],
        "transition": lambda h: 0.1 * h[:, :2],
        "decoder": lambda h, u: 0.1 * h[:, :1],
    }
    assert top(four(**calm)) >= 0.0
    assert top(four(**calm, leak=1.0)) < -0.5


def test_split_and_join_are_inverse():
    model = four()
    x, _ = states(model)
    blocks = model.split(x)
    assert isinstance(blocks, Blocks)
    assert [b.shape[1] for b in blocks] == [2, 3, 2, 1]
    assert torch.equal(model.join(blocks), x)
    with pytest.raises(InvalidArgument, match="8 columns"):
        model.split(x[:, 1:])


def test_plain_networks_and_shared_diffusion():
    net = Joined(nn.Linear(HIDDEN + SEEN, LATENT).double())
    common = nn.Linear(HIDDEN, LATENT).double()
    model = four(posterior=net, posterior_scale=OfHidden(common), transition_scale=common)
    x, inputs = states(model)
    g = model.g(torch.tensor(0.0), x, inputs)
    assert torch.equal(g[:, :2], g[:, 5:7])
    expected = net.network(torch.cat((x[:, 2:5], inputs[:, 1:]), dim=1))
    torch.testing.assert_close(model.f(torch.tensor(0.0), x, inputs)[:, :2], expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"posterior": None, "posterior_scale": None}, "filtering needs the posterior"),
        ({"form": "rollout", "transition": None, "transition_scale": None}, "rollout needs the predictor"),
        ({"transition": None, "transition_scale": None}, "decoder reads"),
        ({"posterior": None, "form": "rollout"}, "posterior_scale is given without posterior"),
        ({"noise": "shared", "decoder_scale": None}, "shared"),
        ({"noise": "white"}, "noise must be one of"),
        ({"form": "dreaming"}, "form must be one of"),
        ({"leak": 0.0}, "leak must be above zero"),
        ({"latent": 0}, "latent must be a whole number"),
        ({"observation": 0}, "observation must be at least 1"),
        ({"transition": lambda h: h}, r"transition must map .* to shape \(2, 2\), got \(2, 3\)"),
        ({"sequence": lambda h: h}, "sequence failed on arguments"),
        ({"noise": "shared"}, r"decoder_scale must map .* to shape \(2, 1, 2\)"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(InvalidArgument, match=message):
        four(**changes)


def test_general_noise_needs_a_scale():
    none = dict.fromkeys(("posterior_scale", "sequence_scale", "transition_scale", "decoder_scale"))
    with pytest.raises(InvalidArgument, match="needs a scale"):
        four(noise="general", **none)
