"""Penalties on the maps of a linear model, whose Jacobians are its matrices."""

import pytest
import torch

from sdewm.exceptions import InvalidArgument
from sdewm.jacobian import jacobians
from sdewm.worldmodel.episodes import Episodes
from sdewm.worldmodel.model import WorldModel
from sdewm.worldmodel.neural_sde import Architecture, NeuralSDE
from sdewm.worldmodel.regularise import Penalty, limit_spectral_norms, visited
from sdewm.worldmodel.rssm import RSSM, RSSMArchitecture

from .linear_model import LinearArchitecture, LinearModel

LENGTH = 7


@pytest.fixture
def model():
    return LinearModel(LinearArchitecture(), seed=2).double()


def seen_by(model, data):
    model.fit_units(data)
    o = model.standardise(data.observations[:, :LENGTH]).transpose(0, 1)
    a = data.actions[:, :LENGTH].double().transpose(0, 1)
    return model.filtered(o, a, seed=0), o, a


def by_hand(model, of):
    """∂ mean/∂x of each map, from the weights."""
    h, z = model.hidden, model.latent
    sequence = model.sequence[:, : h + z]
    if of == "prior":
        return torch.cat((sequence, model.prior @ sequence))
    posterior = model.posterior[:, :h] @ sequence
    if of == "filter":
        return torch.cat((sequence, posterior))
    both = torch.cat((model.sequence[:, h : h + z], model.sequence[:, :h]), dim=1)
    nothing = torch.zeros(h, z + model.observation[0], dtype=both.dtype)
    sequence = torch.cat((both, nothing), dim=1)
    prior = model.prior @ sequence
    decoded = model.decoder @ torch.cat((sequence, prior))
    return torch.cat((model.posterior[:, :h] @ sequence, sequence, prior, decoded))


def number(x):
    return float(x.detach())


def value(model, data, draw=0, **options):
    return Penalty(weight=1.0, **options).value(model, *seen_by(model, data), seed=0, draw=draw)


@pytest.mark.parametrize("of", ["prior", "filter", "whole"])
def test_exact_norms_are_those_of_the_matrices(model, data, of):
    matrix = by_hand(model, of)
    torch.testing.assert_close(value(model, data, of=of, exact=True), matrix.square().sum())
    torch.testing.assert_close(
        value(model, data, of=of, kind="spectral", exact=True), torch.linalg.matrix_norm(matrix, 2)
    )
    symmetric = 0.5 * (matrix + matrix.T)
    torch.testing.assert_close(
        value(model, data, of=of, kind="log_norm", exact=True), torch.linalg.eigvalsh(symmetric)[-1]
    )


def test_maps_differ(model, data):
    values = {of: number(value(model, data, of=of, exact=True)) for of in ("prior", "filter")}
    assert values["prior"] != pytest.approx(values["filter"], rel=1e-2)


@pytest.mark.parametrize("of", ["prior", "filter", "whole"])
@pytest.mark.parametrize("columns", ["all", "z", "h"])
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_the_estimate_and_its_gradient_are_right_over_a_full_turn_of_probes(model, data, of, columns, mode):
    parameters = [model.sequence, model.prior, model.posterior, model.decoder]

    def both(**options):
        found = value(model, data, of=of, columns=columns, **options)
        return found.detach(), torch.autograd.grad(found, parameters, allow_unused=True, materialize_grads=True)

    # All rows have one Jacobian, and 144 rows are whole turns of the 2, 4, 8 or 16 orthogonal probes: no noise is left.
    wanted, found = both(exact=True), both(mode=mode, share=1.0)
    torch.testing.assert_close(found, wanted)
    # Negative control: on a part of the batch there is noise, where more than one column is asked for.
    part = both(mode=mode, share=5 / 144)
    assert not torch.allclose(part[1][0], wanted[1][0], rtol=1e-3)


@pytest.mark.parametrize("of", ["prior", "filter", "whole"])
@pytest.mark.parametrize("build", [RSSM, NeuralSDE])
def test_every_state_keeps_its_own_inputs(build, of, data):
    """Against a loop over the rows of a model whose Jacobian differs from row to row, by its own inputs, too."""
    sizes = {"observation": 2, "action": 1, "hidden": 4, "latent": 3, "width": 5}
    model = build(RSSMArchitecture(**sizes) if build is RSSM else Architecture(**sizes), seed=1).double()
    with torch.no_grad():
        # Large weights, so that inputs matter.
        for p in model.parameters():
            p.mul_(2.0)
    seen, o, a = seen_by(model, Episodes(data.observations[:4], data.actions[:4]))
    step, x, inputs = visited(model, of, seen, o, a)
    assert step.action_dim == inputs.shape[1]

    def mean_norm(inputs):
        norms = [
            torch.autograd.functional.jacobian(lambda row, i=i: step.mean(0, row[None], inputs[i : i + 1])[0], x[i])
            for i in range(len(x))
        ]
        return torch.stack(norms).square().sum((1, 2)).mean()

    found = Penalty(of=of, exact=True, share=1.0).value(model, seen, o, a, seed=0)
    torch.testing.assert_close(found.detach(), mean_norm(inputs))
    # Negative control: with the inputs of other rows the norm is another.
    assert float(found.detach()) != pytest.approx(float(mean_norm(inputs.flip(0))), rel=1e-4)


def test_columns_select_the_block(model, data):
    matrix = by_hand(model, "prior")
    torch.testing.assert_close(value(model, data, columns="z", exact=True), matrix[:, 3:].square().sum())
    torch.testing.assert_close(value(model, data, columns="h", exact=True), matrix[:, :3].square().sum())
    whole = by_hand(model, "whole")
    torch.testing.assert_close(value(model, data, of="whole", columns="z", exact=True), whole[:, :2].square().sum())
    torch.testing.assert_close(value(model, data, of="whole", columns="h", exact=True), whole[:, 2:5].square().sum())
    square = matrix[3:, 3:]
    torch.testing.assert_close(
        value(model, data, kind="log_norm", columns="z", exact=True),
        torch.linalg.eigvalsh(0.5 * (square + square.T))[-1],
    )


@pytest.mark.parametrize("columns", ["all", "z"])
def test_whitened_units_are_those_of_the_visited_states(model, data, columns):
    seen, _, _ = seen_by(model, data)
    spread = seen.states[:-1].flatten(0, 1).std(0)
    chosen = slice(0, 5) if columns == "all" else slice(3, 5)
    scaled = by_hand(model, "prior")[:, chosen] * spread[chosen] / spread[:, None]
    found = value(model, data, kind="whitened", columns=columns, exact=True)
    torch.testing.assert_close(found, scaled.square().sum())
    assert number(found) != pytest.approx(number(by_hand(model, "prior")[:, chosen].square().sum()), rel=1e-2)


def test_rescaling_the_latent_lowers_the_plain_norm_only(model, data):
    """z → z/3 with the weights that undo it: the same model in other units."""

    def both():
        return [number(value(model, data, kind=k, exact=True)) for k in ("frobenius", "whitened")]

    before = both()
    with torch.no_grad():
        model.sequence[:, 3:5] *= 3.0
        model.prior /= 3.0
        model.posterior /= 3.0
        model.decoder[:, 3:] *= 3.0
    object.__setattr__(model.architecture, "scale", model.architecture.scale / 3.0)
    after = both()
    assert after[1] == pytest.approx(before[1], rel=1e-6)
    assert after[0] != pytest.approx(before[0], rel=0.1)


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_visited_states_have_the_inputs_that_led_on(data, lag):
    model = LinearModel(LinearArchitecture(lag=lag), seed=2).double()
    seen, o, a = seen_by(model, data)
    step, x, inputs = visited(model, "filter", seen, o, a)
    clean = model.filtered(o, a, seed=0, noise=False)
    step, x, inputs = visited(model, "filter", clean, o, a)
    first = max(lag - 1, 0)
    torch.testing.assert_close(step.mean(0, x, inputs), clean.states[first + 1 :].flatten(0, 1))
    # Negative control: with the actions of the next step the filter does not go where it went.
    wrong = torch.cat((inputs[len(data) :], inputs[: len(data)]))
    assert not torch.allclose(step.mean(0, x, wrong), clean.states[first + 1 :].flatten(0, 1), atol=1e-3)
    step, x, inputs = visited(model, "prior", clean, o, a)
    torch.testing.assert_close(step.mean(0, x, inputs)[:, :3], clean.states[first + 1 :, :, :3].flatten(0, 1))
    assert not x.requires_grad
    assert not inputs.requires_grad


def test_draws_differ_and_nothing_global_is_touched(model, data):
    before = torch.get_rng_state()
    one, again, other = (number(value(model, data, draw)) for draw in (0, 0, 1))
    assert one == again != other
    assert torch.equal(torch.get_rng_state(), before)


def test_a_state_that_never_moves_has_a_scale(model, data):
    with torch.no_grad():
        model.posterior[1] = 0.0
        object.__setattr__(model.architecture, "scale", 0.0)
    assert bool(torch.isfinite(value(model, data, kind="whitened", exact=True)))
    with torch.no_grad():
        model.posterior.zero_()
        model.sequence.zero_()
    with pytest.raises(InvalidArgument, match="all of this batch are equal"):
        value(model, data, kind="whitened")


def test_spectral_norms_are_limited_by_projection(model):
    with torch.no_grad():
        model.sequence.mul_(20.0)
    untouched = model.posterior.clone()
    left, values, right = torch.linalg.svd(model.sequence.detach(), full_matrices=False)
    limit = float(values[0] + values[-1]) / 2.0
    wanted = (left * values.clamp(max=limit)) @ right
    assert limit_spectral_norms(model, limit) == 1
    torch.testing.assert_close(model.sequence.detach(), wanted)
    assert torch.equal(model.posterior, untouched)
    # What is inside already stays to the bit.
    kept = model.sequence.detach().clone()
    assert limit_spectral_norms(model, limit * (1.0 + 1e-9)) == 0
    assert torch.equal(model.sequence, kept)
    with pytest.raises(InvalidArgument, match="limit must be above zero"):
        limit_spectral_norms(model, 0.0)


def test_the_transition_of_a_recurrent_model_is_its_cell_and_its_prior():
    model = RSSM(RSSMArchitecture(observation=2, action=1, hidden=6, latent=3, width=5))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    assert limit_spectral_norms(model, 0.1) == 4
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"cell.weight_ih", "cell.weight_hh", "prior.0.weight", "prior.2.weight"}
    other = NeuralSDE(Architecture(observation=2, action=1, hidden=6, latent=3, width=5))
    names = {
        name.split(".")[0] for name, p in other.named_parameters() if any(p is q for q in other.transition_parameters())
    }
    assert names == {"sequence", "transition", "scale"}
    # By default every matrix counts.
    assert set(WorldModel.transition_parameters(model)) == set(model.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"of": "step"}, "of must be one of"),
        ({"kind": "nuclear"}, "kind must be one of"),
        ({"columns": "o"}, "columns must be one of"),
        ({"mode": "both"}, "mode must be one of"),
        ({"weight": -1.0}, "weight must be at least 0"),
        ({"probes": 0}, "probes"),
        ({"share": 0.0}, "share must lie above 0"),
        ({"share": 1.5}, "share must lie above 0"),
        ({"exact": 1}, "exact must be True or False"),
    ],
)
def test_arguments_are_checked(changes, message):
    with pytest.raises(InvalidArgument, match=message):
        Penalty(**changes)


def test_one_step_is_too_short(model, data):
    seen, o, a = seen_by(model, data)
    short = type(seen)(seen.states[:1], seen.divergence[:1], seen.prior_mean[:1], seen.posterior_mean[:1])
    with pytest.raises(InvalidArgument, match="at least 2 steps"):
        Penalty().value(model, short, o[:1], a[:1], seed=0)


def test_exact_norms_are_those_of_automatic_jacobians(model, data):
    seen, o, a = seen_by(model, data)
    step, x, inputs = visited(model, "whole", seen, o, a)
    found = jacobians(lambda y: step.mean(0, y, inputs[:1].expand(len(y), -1)), x[:2])
    torch.testing.assert_close(found[0], by_hand(model, "whole"))
