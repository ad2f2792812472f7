"""Training: deterministic, downhill, with the gradient of the filter, and the same when it is killed and resumed."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from trainings import killed

from sdewm.exceptions import InvalidArgument, NumericalFailure
from sdewm.worldmodel.episodes import Episodes
from sdewm.worldmodel.evidence import Evidence, evidence
from sdewm.worldmodel.injection import Injection
from sdewm.worldmodel.neural_sde import NeuralSDE
from sdewm.worldmodel.regularise import Penalty
from sdewm.worldmodel.rssm import RSSM, RSSMArchitecture
from sdewm.worldmodel.train import Settings, subnormals_flushed, train

from .conftest import SMALL
from .linear_model import LinearArchitecture, LinearModel

FEW = Settings(steps=40, batch=8, length=10, rate=2e-2, warmup=5, observation_scale=0.3)
EVERYTHING = {
    "injection": Injection("z", "zero drift", "whitened", 0.3),
    "penalty": Penalty(of="filter", kind="whitened", weight=0.01),
}
BUSY = replace(FEW, weight_decay=0.01, spectral_limit=0.6, spectral_every=7, observation_noise=0.1)


def fresh(seed=3):
    return LinearModel(LinearArchitecture(), seed=seed)


def same(one, two):
    return all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())


@pytest.fixture(scope="module")
def trained(data):
    return train(fresh(), data, FEW, seed=3)


def batch(model, data, dtype=torch.float64):
    seen = model.standardise(data.observations[:8, :10]).to(dtype).transpose(0, 1)
    return seen, data.actions[:8, :10].to(dtype).transpose(0, 1)


def whole_loss(model, data):
    """The loss on all episodes, always on the same noise."""
    seen, actions = model.standardise(data.observations[:, :10]).transpose(0, 1), data.actions[:, :10].transpose(0, 1)
    with torch.no_grad():
        parts, _ = evidence(model, seen, actions, seed=0, observation_scale=FEW.observation_scale)
    return float(sum(parts))


def test_training_lowers_the_loss_and_needs_its_learning_rate(trained, data):
    untrained = fresh()
    untrained.fit_units(data)
    before = whole_loss(untrained, data)
    assert whole_loss(trained.model, data) < 0.6 * before
    two = train(fresh(), data, replace(FEW, steps=2, warmup=1), seed=3)
    assert whole_loss(two.model, data) < before
    still = train(fresh(), data, replace(FEW, rate=1e-12), seed=3)
    assert whole_loss(still.model, data) == pytest.approx(before, rel=1e-4)


def test_training_is_in_place_and_a_function_of_the_seed(trained, data):
    before = torch.get_rng_state()
    short = replace(FEW, steps=3)
    model = fresh()
    one, two, other = (
        train(model, data, short, seed=3),
        train(fresh(), data, short, seed=3),
        train(fresh(), data, short, seed=4),
    )
    assert one.model is model
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.history, two.history)
    assert same(one.model, two.model)
    assert torch.equal(one.history[0], trained.history[0])
    assert not torch.equal(one.history, other.history)
    assert one.seconds > 0.0
    assert one.covariance is None


def test_parts_of_the_evidence_are_as_written(linear, rewarded):
    """Against a loop over time and windows, from the states alone."""
    model = linear.double()
    o, a = batch(model, rewarded)
    r, c = (part[:8, :10].double().T for part in (rewarded.rewards, rewarded.continues))
    parts, seen = evidence(model, o, a, seed=1, observation_scale=0.5, rewards=r, continues=c, reward_unit=3.0)
    miss = reward = ends = 0.0
    with torch.no_grad():
        for n in range(10):
            for w in range(8):
                x = seen.states[n, w]
                miss += float((model.decoder @ x - o[n, w]).square().sum()) / (2 * 0.25)
                if n:
                    guess, odds = model.heads @ x
                    reward += 0.5 * float((guess - r[n - 1, w]) / 3.0) ** 2
                    p = torch.sigmoid(odds)
                    ends -= float(torch.log(p if c[n - 1, w] else 1.0 - p))
    assert [float(part.detach()) for part in parts] == pytest.approx(
        [miss / 80, float(seen.divergence.mean().detach()), reward / 72, ends / 72, 0.0], rel=1e-9
    )
    # Negative control: rewards that are one step off give another number.
    late, _ = evidence(model, o, a, seed=1, observation_scale=0.5, rewards=r.roll(1, 0), reward_unit=3.0)
    assert float(late.reward.detach()) != pytest.approx(reward / 72, rel=1e-3)


def test_rewards_and_ends_are_learned_where_there_are_some(rewarded, data):
    result = train(fresh(), rewarded, replace(FEW, steps=300), seed=0)
    first, last = result.history[:20].mean(0), result.history[-20:].mean(0)
    columns = dict(zip(Evidence._fields, zip(first.tolist(), last.tolist(), strict=True), strict=True))
    assert columns["reward"][1] < 0.5 * columns["reward"][0]
    assert columns["continuing"][1] < 0.8 * columns["continuing"][0]
    without = train(fresh(), data, replace(FEW, steps=3), seed=0).history
    assert not without[:, 2:].any()


def test_the_gradient_is_that_of_the_filter(linear, data):
    model = linear.double()
    seen, actions = batch(model, data)

    def loss():
        return sum(evidence(model, seen, actions, seed=0, observation_scale=0.5)[0])

    source = torch.Generator().manual_seed(2)
    parameters = [p for name, p in model.named_parameters() if name != "heads"]
    direction = [torch.randn(p.shape, generator=source, dtype=p.dtype) for p in parameters]
    slope = sum((g * v).sum() for g, v in zip(torch.autograd.grad(loss(), parameters), direction, strict=True))
    values, h = [], 1e-5
    with torch.no_grad():
        for sign in (1.0, -2.0):
            for p, v in zip(parameters, direction, strict=True):
                p.add_(v, alpha=sign * h)
            values.append(loss())
    torch.testing.assert_close(slope, (values[0] - values[1]) / (2.0 * h), rtol=1e-6, atol=0)


@pytest.mark.parametrize("settings", [FEW, BUSY])
def test_a_resumed_training_equals_one_that_ran_through_to_the_bit(settings, data, tmp_path):
    options = EVERYTHING if settings is BUSY else {}
    path = tmp_path / "state"
    through = train(fresh(), data, settings, seed=3, **options)

    class Stop(Exception):
        pass

    def stop(n, parts):
        if n == 24:
            raise Stop

    with pytest.raises(Stop):
        train(fresh(), data, settings, seed=3, checkpoint=path, every=10, progress=stop, **options)
    told = []
    # An untrained model of the same seed: what matters is in the file. It was written after step 20 for the last time.
    resumed = train(
        fresh(), data, settings, seed=3, checkpoint=path, every=10, progress=lambda n, _: told.append(n), **options
    )
    assert told == list(range(20, 40))
    assert same(resumed.model, through.model)
    assert torch.equal(resumed.history, through.history)
    if settings is BUSY:
        assert torch.equal(resumed.covariance, through.covariance)
    # Once it is finished, it is read and not trained.
    again = train(
        fresh(), data, settings, seed=3, checkpoint=path, progress=lambda *_: pytest.fail("trained"), **options
    )
    assert same(again.model, through.model)
    assert again.seconds == pytest.approx(resumed.seconds)


RECURRENT = {
    "gaussian": RSSMArchitecture(2, 1, hidden=6, latent=3, width=5, embedding=4),
    "categorical": RSSMArchitecture(2, 1, hidden=6, kind="categorical", groups=2, classes=3, width=5, rewards=True),
    "images": RSSMArchitecture((1, 16, 16), 1, hidden=6, latent=3, width=5, embedding=4, channels=2, continues=True),
}


@pytest.fixture(scope="module")
def pictures(rewarded):
    """The same episodes, seen as pictures."""
    x = torch.linspace(-2.0, 2.0, 16)
    o = rewarded.observations[:6, :13, :, None, None]
    light = torch.exp(-2.0 * ((x[:, None] - o[:, :, 0]) ** 2 + (x - o[:, :, 1]) ** 2))
    seen = (255.0 * light).to(torch.uint8)[:, :, None]
    return Episodes(seen, rewarded.actions[:6, :12], rewarded.rewards[:6, :12], rewarded.continues[:6, :12])


@pytest.mark.slow
@pytest.mark.parametrize("of", ["prior", "filter", "whole"])
@pytest.mark.parametrize("name", RECURRENT)
def test_a_recurrent_model_is_trained_and_resumed_to_the_bit(name, of, rewarded, pictures, tmp_path):
    data = pictures if name == "images" else rewarded
    settings = replace(BUSY, steps=8, batch=3)
    options = {**EVERYTHING, "penalty": Penalty(of=of, kind="whitened", weight=0.01, share=0.5)}

    def new():
        return RSSM(RECURRENT[name], seed=1)

    through = train(new(), data, settings, seed=3, **options)
    assert bool(through.history[:, 4].all())
    assert bool(through.history[:, 2].any()) == through.model.rewards
    assert bool(through.history[:, 3].any()) == through.model.continues
    with pytest.raises(ZeroDivisionError):
        train(
            new(),
            data,
            settings,
            seed=3,
            checkpoint=tmp_path / "a",
            every=3,
            progress=lambda n, _: 1 / (4 - n),
            **options,
        )
    resumed = train(new(), data, settings, seed=3, checkpoint=tmp_path / "a", **options)
    assert same(resumed.model, through.model)
    assert torch.equal(resumed.history, through.history)
    left_out = train(new(), data, settings, seed=3)
    assert not same(left_out.model, through.model)


@pytest.mark.parametrize("lost", ["first/", "second/", "covariance"])
def test_every_part_of_the_checkpoint_matters(lost, data, tmp_path):
    """Negative control of the test above: with one part left out, the resumed training is another."""
    path = tmp_path / "state"
    through = train(fresh(), data, BUSY, seed=3, **EVERYTHING)
    with pytest.raises(ZeroDivisionError):
        train(fresh(), data, BUSY, seed=3, checkpoint=path, every=20, progress=lambda n, _: 1 / (30 - n), **EVERYTHING)
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        words = file.metadata()
    tensors = {k: torch.zeros_like(v) if k.startswith(lost) else v for k, v in load_file(path).items()}
    save_file(tensors, path, words)
    resumed = train(fresh(), data, BUSY, seed=3, checkpoint=path, **EVERYTHING)
    assert not same(resumed.model, through.model)


@pytest.mark.slow
def test_a_killed_process_is_resumed_to_the_bit(data, tmp_path):
    path, long = tmp_path / "state", replace(BUSY, steps=400)
    script = f"""
from unit.worldmodel.conftest import rotations
from unit.worldmodel.test_train import BUSY, EVERYTHING, fresh, replace, train
data = rotations(24, 40, seed=1)
train(fresh(), data, replace(BUSY, steps=400), seed=3, checkpoint={str(path)!r}, every=3, **EVERYTHING)
"""
    killed(script, path)
    done = len(load_file(path)["history"])
    assert 0 < done < 400
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        resumed = train(fresh(), data, long, seed=3, checkpoint=path, every=3, **EVERYTHING)
        through = train(fresh(), data, long, seed=3, **EVERYTHING)
    finally:
        torch.set_num_threads(threads)
    assert same(resumed.model, through.model)
    assert torch.equal(resumed.history, through.history)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 4}, "seed is 3 and not 4"),
        ({"settings": replace(FEW, rate=0.1)}, r"settings.rate is 0.02 and not 0.1"),
        ({"injection": Injection(unit="raw")}, "injection"),
        ({"penalty": Penalty()}, "penalty"),
        ({"model": fresh(5)}, "first weights"),
        ({"model": LinearModel(LinearArchitecture(lag=0), seed=3)}, "architecture.lag is 1 and not 0"),
    ],
)
def test_another_training_is_not_resumed(changes, message, data, tmp_path):
    path = tmp_path / "state"
    train(fresh(), data, replace(FEW, steps=2), seed=3, checkpoint=path)
    old = path.read_bytes()
    changed = {"model": fresh(), "settings": FEW, "seed": 3, **changes}
    if "settings" not in changes:
        changed["settings"] = replace(FEW, steps=2)
    with pytest.raises(InvalidArgument, match=message) as caught:
        train(changed.pop("model"), data, checkpoint=path, **changed)
    assert "holds another training" in str(caught.value)
    assert path.read_bytes() == old


def test_other_data_are_not_resumed(data, rewarded, tmp_path):
    path = tmp_path / "state"
    train(fresh(), rewarded, replace(FEW, steps=2), seed=3, checkpoint=path)
    for other in (data, replace(rewarded, rewards=rewarded.rewards + 1.0)):
        with pytest.raises(InvalidArgument, match="data is"):
            train(fresh(), other, replace(FEW, steps=2), seed=3, checkpoint=path)


def test_a_damaged_checkpoint_is_refused_and_left(data, tmp_path):
    path, short = tmp_path / "state", replace(FEW, steps=2)
    train(fresh(), data, short, seed=3, checkpoint=path)
    whole = path.read_bytes()
    for kept in (0, 7, 200, len(whole) - 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(InvalidArgument, match="is not a readable checkpoint of a training") as caught:
            train(fresh(), data, short, seed=3, checkpoint=path)
        assert "\n" not in str(caught.value)
        assert path.read_bytes() == whole[:kept]
    with pytest.raises(InvalidArgument, match="it is a directory"):
        train(fresh(), data, short, seed=3, checkpoint=tmp_path)
    save_file({"history": torch.zeros(1, 5)}, path, {"format": "another"})
    with pytest.raises(InvalidArgument, match="its format is 'another'"):
        train(fresh(), data, short, seed=3, checkpoint=path)
    for words in ({}, {"configuration": "{", "step": "1", "seconds": "0"}):
        save_file({"history": torch.zeros(1, 5)}, path, {"format": "sdewm training 1", **words})
        with pytest.raises(InvalidArgument, match="its words are damaged"):
            train(fresh(), data, short, seed=3, checkpoint=path)


def test_parts_of_a_checkpoint_must_fit(data, tmp_path):
    from safetensors import safe_open

    path, short = tmp_path / "state", replace(FEW, steps=2)
    train(fresh(), data, short, seed=3, checkpoint=path)
    with safe_open(path, "pt") as file:
        words = file.metadata()
    tensors = load_file(path)
    save_file({**tensors, "history": torch.zeros(1, 5)}, path, words)
    with pytest.raises(InvalidArgument, match="do not fit each other"):
        train(fresh(), data, short, seed=3, checkpoint=path)
    save_file({**tensors, "weights/prior": torch.zeros(1, 5)}, path, words)
    with pytest.raises(InvalidArgument, match="shapes, kinds or names differ"):
        train(fresh(), data, short, seed=3, checkpoint=path)


@pytest.mark.parametrize("wrong", ["loss", "weights"])
def test_numbers_that_are_lost_are_noticed_and_the_last_checkpoint_is_kept(wrong, data, tmp_path, monkeypatch):
    path = tmp_path / "state"
    model = fresh()
    kept = []

    def spoil(n, parts):
        if n == 5:
            kept.append(path.read_bytes())
            with torch.no_grad():
                if wrong == "loss":
                    model.decoder.fill_(torch.inf)
                else:
                    # Without rewards nothing is learned from them, so that the loss does not see it.
                    model.heads.fill_(torch.nan)

    number = 6 if wrong == "loss" else 8
    with pytest.raises(NumericalFailure, match=f"gradient step {number}"):
        train(model, data, FEW, seed=3, checkpoint=path, every=3, progress=spoil)
    assert path.read_bytes() == kept[0]
    assert len(load_file(path)["history"]) == 6
    resumed = train(fresh(), data, FEW, seed=3, checkpoint=path)
    assert same(resumed.model, train(fresh(), data, FEW, seed=3).model)


def test_a_whitened_error_has_the_size_of_the_states_that_it_meets(data, monkeypatch):
    sizes, units = [], []
    real = LinearModel.filtered

    def watched(self, observations, actions, *, seed, noise=True, pushed=None):
        clean = real(self, observations, actions, seed=seed).states.detach().flatten(0, 1)
        if pushed is not None:
            sizes.append(pushed.root.square().sum().sqrt())
            units.append(torch.cov(clean[:, pushed.columns].T).trace().sqrt())
        return real(self, observations, actions, seed=seed, noise=noise, pushed=pushed)

    monkeypatch.setattr(LinearModel, "filtered", watched)
    size = 0.8
    still = replace(FEW, steps=60, rate=1e-9)
    train(fresh(), data, still, seed=0, injection=Injection("z", "zero drift", "whitened", size))
    ratio = torch.stack(sizes) / torch.stack(units) / size
    # Nothing is learned, so the average settles: at what the states would have without it, but for what the filter
    # carries on, and for windows that differ. Fed by itself it would have grown by √(1 / (1 − c²)) = 1.67.
    assert float(ratio[0]) == pytest.approx(1.0, rel=1e-5)
    assert float(ratio[-20:].mean()) == pytest.approx(1.0, abs=0.15)
    assert not torch.equal(sizes[10], sizes[20])


@pytest.mark.slow
def test_what_is_asked_for_is_done(data):
    """Negative controls: each option left out gives another training."""
    plain = train(fresh(), data, FEW, seed=3)
    options = [
        (FEW, {"injection": Injection(size=0.3)}),
        (FEW, {"injection": Injection("h", "drift", "raw", 0.3)}),
        (FEW, {"penalty": Penalty(weight=0.1)}),
        (replace(FEW, observation_noise=0.3), {}),
        (replace(FEW, weight_decay=0.3), {}),
        (replace(FEW, spectral_limit=0.3), {}),
    ]
    for settings, extra in options:
        assert not same(train(fresh(), data, settings, seed=3, **extra).model, plain.model)
    nothing = [
        (FEW, {"injection": Injection(unit="raw", size=0.0)}),
        (FEW, {"penalty": Penalty(weight=0.0)}),
        (replace(FEW, spectral_limit=1e6), {}),
    ]
    for settings, extra in nothing:
        assert same(train(fresh(), data, settings, seed=3, **extra).model, plain.model)


def test_a_penalty_lowers_what_it_penalises(data):
    def norm(model):
        full = torch.cat((model.sequence[:, :5], model.prior @ model.sequence[:, :5]))
        return float(full.detach().square().sum())

    plain = norm(train(fresh(), data, replace(FEW, steps=150), seed=3).model)
    assert norm(train(fresh(), data, replace(FEW, steps=150), seed=3, penalty=Penalty(weight=5.0)).model) < 0.7 * plain


def test_the_spectral_limit_holds_at_the_end(data):
    model = train(fresh(), data, replace(FEW, spectral_limit=0.3, spectral_every=7), seed=3).model
    for weight in model.transition_parameters():
        assert float(torch.linalg.matrix_norm(weight.detach(), 2)) <= 0.3 * (1.0 + 1e-5)
    # The decoder is none of the transition's.
    assert float(torch.linalg.matrix_norm(model.decoder.detach(), 2)) > 0.3


def test_weight_decay_is_decoupled(data):
    """With hardly any gradient step, weights shrink by the product of (1 − rate · decay)."""
    settings = replace(FEW, steps=10, weight_decay=100.0, rate=1e-4)
    model, begun = fresh(), fresh()
    train(model, replace(data, rewards=None), settings, seed=0)
    factor = 1.0
    for n in range(10):
        factor *= 1.0 - settings.rate_at(n) * 100.0
    torch.testing.assert_close(model.posterior, factor * begun.posterior, rtol=0, atol=1e-3)
    assert factor < 0.97


def test_noise_is_given_and_the_target_is_clean(data, monkeypatch):
    given = []
    real = LinearModel.filtered

    def watched(self, observations, actions, **options):
        given.append(observations)
        return real(self, observations, actions, **options)

    monkeypatch.setattr(LinearModel, "filtered", watched)
    tiny = replace(FEW, steps=1, rate=1e-12, observation_scale=1.0)
    clean = train(fresh(), data, tiny, seed=0).history[0]
    noisy = train(fresh(), data, replace(tiny, observation_noise=0.5), seed=0).history[0]
    noise = given[1] - given[0]
    assert float(noise.std()) == pytest.approx(0.5, rel=0.3)
    # The decoder of a model that does not look at observations is held against the same target.
    blind = fresh()
    with torch.no_grad():
        blind.posterior[:, 3:] = 0.0
    one, two = (
        train(model, data, s, seed=0).history[0, 0]
        for model, s in ((blind, tiny), (blind, replace(tiny, observation_noise=0.5)))
    )
    assert torch.equal(one, two)
    assert not torch.equal(clean, noisy)


def test_every_gradient_step_has_windows_and_noise_of_its_own(data, monkeypatch):
    given, seeds = [], []
    real = LinearModel.filtered

    def watched(self, observations, actions, **options):
        given.append((observations, actions))
        seeds.append(options["seed"])
        return real(self, observations, actions, **options)

    monkeypatch.setattr(LinearModel, "filtered", watched)
    units = fresh()
    units.fit_units(data)
    episodes = units.standardise(data.observations)
    train(fresh(), data, replace(FEW, steps=4), seed=0)
    assert len(set(seeds)) == 4
    starts = set()
    for o, a in given:
        for w in range(FEW.batch):
            # Each window is a piece of one episode, with the actions that were taken there.
            row, first = (episodes == o[0, w]).all(-1).nonzero()[0].tolist()
            assert torch.equal(episodes[row, first : first + FEW.length], o[:, w])
            assert torch.equal(data.actions[row, first : first + FEW.length], a[:, w])
            starts.add((row, first))
    assert len(starts) > 24
    given.clear()
    train(fresh(), data, replace(FEW, steps=2, observation_noise=1.0), seed=0)
    clean = list(given)
    given.clear()
    train(fresh(), data, replace(FEW, steps=2), seed=0)
    noise = [noisy - plain for (noisy, _), (plain, _) in zip(clean, given, strict=True)]
    assert not torch.allclose(noise[0], noise[1], atol=0.1)


def test_progress_is_told_every_step(data):
    told = []
    history = train(
        fresh(), data, replace(FEW, steps=2), seed=0, progress=lambda n, parts: told.append((n, *map(float, parts)))
    ).history
    assert [n for n, *_ in told] == [0, 1]
    torch.testing.assert_close(torch.tensor([parts for _, *parts in told]), history)


def test_the_subnormal_setting_is_given_back():
    def flushed():
        return bool((torch.full((1,), 1e-310, dtype=torch.float64) * 0.5 == 0.0).all())

    before = flushed()
    with subnormals_flushed():
        assert flushed()
        with subnormals_flushed():
            pass
        assert flushed()
    assert flushed() is before


def test_the_device_is_named_or_that_of_the_model(data, trained):
    result = train(fresh(), data, FEW, seed=3, device="cpu")
    assert same(result.model, trained.model)
    for device, message in (
        ("meta", "have none"),
        ("tpu:7", "cannot be used"),
        (3.5, "cannot be used"),
    ):
        with pytest.raises(InvalidArgument, match=message):
            train(fresh(), data, FEW, seed=3, device=device)
    hollow = fresh().to("meta")
    with pytest.raises(InvalidArgument, match="have none"):
        train(hollow, data, FEW, seed=3)
    mixed = fresh()
    mixed.heads = torch.nn.Parameter(mixed.heads.detach().to("meta"))
    with pytest.raises(InvalidArgument, match="on one device, got 2"):
        train(mixed, data, FEW, seed=3)


@pytest.mark.parametrize("build", [fresh, lambda: NeuralSDE(SMALL), lambda: RSSM(RECURRENT["categorical"])])
def test_a_model_may_be_in_double_precision(build, rewarded):
    short = replace(FEW, steps=3)
    double = train(build().double(), rewarded, short, seed=0, **EVERYTHING)
    assert next(double.model.parameters()).dtype == torch.float64
    single = train(build(), rewarded, short, seed=0, **EVERYTHING)
    torch.testing.assert_close(double.history, single.history, rtol=1e-3, atol=1e-4)


def test_states_that_are_lost_name_the_gradient_step(data):
    model = NeuralSDE(SMALL)
    with torch.no_grad():
        model.transition[0].weight.fill_(torch.nan)
        model.scale.network[0].weight.fill_(torch.nan)
    with pytest.raises(NumericalFailure, match="states are not finite at gradient step 0"):
        train(model, data, FEW, seed=0)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"steps": 0}, "steps"),
        ({"rate": 0.0}, "rate"),
        ({"clip": -1.0}, "clip"),
        ({"divergence_weight": -1.0}, "divergence_weight"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"observation_noise": -1.0}, "observation_noise"),
        ({"spectral_limit": 0.0}, "spectral_limit"),
        ({"spectral_every": 0}, "spectral_every"),
    ],
)
def test_settings_are_checked(changes, name):
    with pytest.raises(InvalidArgument, match=name):
        Settings(**changes)


def test_the_learning_rate_rises_and_falls_along_a_cosine():
    settings = Settings(steps=1000, rate=2.0, warmup=100, last=0.1)
    assert settings.rate_at(0) == pytest.approx(0.02)
    assert settings.rate_at(500) == pytest.approx(2.0 * (0.1 + 0.9 * 0.5))
    assert settings.rate_at(1000) == pytest.approx(0.2)
    assert settings.rate_at(98) < settings.rate_at(99) > settings.rate_at(100)


def test_arguments_are_checked(data):
    with pytest.raises(InvalidArgument, match="at most the 40 steps"):
        train(fresh(), data, Settings(steps=1, length=41), seed=0)
    with pytest.raises(InvalidArgument, match="every"):
        train(fresh(), data, FEW, seed=0, every=0)
    with pytest.raises(InvalidArgument, match="seed"):
        train(fresh(), data, FEW, seed=-1)


def test_what_is_written_can_be_read_by_people(data, tmp_path):
    from safetensors import safe_open

    train(fresh(), data, replace(FEW, steps=2), seed=3, checkpoint=tmp_path / "state", **EVERYTHING)
    with safe_open(tmp_path / "state", "pt") as file:
        words = file.metadata()
    made = json.loads(words["configuration"])
    assert words["step"] == "2"
    assert made["injection"]["size"] == 0.3
    assert made["penalty"]["of"] == "filter"
    assert made["settings"]["batch"] == 8
    assert made["seed"] == 3
