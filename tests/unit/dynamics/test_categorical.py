"""Categorical latents: their law, their coupling, and why nothing of them is expanded."""

import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from alarm import FALSE_ALARM, spend
from scipy.stats import binom
from systems import F64, elementwise, fixed
from torch import Tensor

from sdewm.dynamics import (
    BrownianMotion,
    CategoricalMap,
    ErrorCovariance,
    RepresentationError,
    Variations,
    perturb,
    simulate_coupled,
)
from sdewm.exceptions import HypothesisFails, InvalidArgument, NumericalFailure, Refused, SdewmError
from sdewm.grid import TimeGrid
from sdewm.hypothesis import Status
from sdewm.theory import check_hypotheses, expand

GRID = TimeGrid(3.0, 3)
LOGITS = torch.tensor([[0.3, -1.2, 0.9], [2.0, 0.0, -2.0]], dtype=F64)
READ = 0.5 * fixed(2, 6, seed=4)
WRITE = 0.4 * fixed(8, 2, seed=5)


def recurrent(n: int, h: Tensor, z: Tensor, a: Tensor | None) -> Tensor:
    """Two hidden units that read themselves and the latents."""
    return torch.tanh(torch.cat((h, z), dim=1) @ WRITE.to(h) + 0.1 * n)


def logits(n: int, h: Tensor) -> Tensor:
    """Two groups of three classes, that depend on the hidden units and on the step."""
    return LOGITS.reshape(-1).to(h) + h @ READ.to(h) + 0.2 * n


STEP = CategoricalMap(recurrent, logits, hidden=2, groups=2, classes=3)


def constant(values: Tensor) -> CategoricalMap:
    """A map whose latents have one law, whatever the state: (groups, classes) logits."""
    return CategoricalMap(
        lambda n, h, z, a: h,
        lambda n, h: values.reshape(1, -1).expand(len(h), -1).to(h),
        hidden=1,
        groups=len(values),
        classes=values.shape[1],
    )


def coin(theta: float) -> CategoricalMap:
    """One variable of two classes with logits (0, θ)."""
    return constant(torch.tensor([[0.0, theta]], dtype=F64))


def start(step: CategoricalMap, paths: int, dtype: torch.dtype = F64) -> Tensor:
    """Hidden units of some size, and no class yet."""
    return torch.full((paths, step.dim), 0.1, dtype=dtype)


def test_the_draw_is_the_inverse_distribution_function() -> None:
    """Class by class against numpy's search in the cumulated probabilities, the hidden units passed on."""
    xi = 1.5 * fixed(500, 2, seed=6)
    x = fixed(500, 8, seed=7)
    moved = STEP(1, x, xi, None)
    h = torch.tanh(x @ WRITE + 0.1)
    assert torch.equal(moved[:, :2], h)
    drawn = moved[:, 2:].reshape(500, 2, 3)
    weights = np.exp((LOGITS.reshape(-1) + h @ READ + 0.2).reshape(500, 2, 3).numpy())
    # Φ from the standard library.
    uniform = [[0.5 * math.erfc(-float(v) / math.sqrt(2.0)) for v in row] for row in xi]
    for path in range(500):
        for group in range(2):
            ladder = np.cumsum(weights[path, group]) / weights[path, group].sum()
            k = int(np.searchsorted(ladder, uniform[path][group]))
            assert drawn[path, group].tolist() == [float(c == k) for c in range(3)]


@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=str)
def test_each_group_has_one_class(dtype: torch.dtype) -> None:
    """One-hot in every group, in the dtype of the states, at every step."""
    run = simulate_coupled([STEP], start(STEP, 50, dtype), GRID, save="all")
    z = run[0].states[1:, :, 2:].reshape(3, 50, 2, 3)
    assert z.dtype == dtype
    assert set(z.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(z.sum(-1), torch.ones(3, 50, 2, dtype=dtype))


def test_frequencies_are_the_softmax() -> None:
    """Six counts lie in exact binomial regions; those of logits twice as large do not."""
    paths = 40_000
    run = simulate_coupled([constant(LOGITS)], start(constant(LOGITS), 1)[0], TimeGrid(1.0, 1), paths)
    counts = run[0].final[:, 1:].sum(0).numpy()
    spend()
    inside = {}
    for factor in (1.0, 2.0):
        p = torch.softmax(factor * LOGITS, 1).reshape(-1).numpy()
        low, high = (binom.ppf(q, paths, p) for q in (FALSE_ALARM / 12, 1.0 - FALSE_ALARM / 12))
        inside[factor] = (low <= counts) & (counts <= high)
    assert inside[1.0].all()
    assert not inside[2.0].any()


def test_groups_are_drawn_apart() -> None:
    """Each variable has a uniform number of its own: changing one leaves the other's class as it is."""
    x, xi = start(STEP, 300), fixed(300, 2, seed=8)
    other = xi.clone()
    other[:, 0] = -other[:, 0]
    one, two = STEP(0, x, xi, None)[:, 2:].reshape(300, 2, 3), STEP(0, x, other, None)[:, 2:].reshape(300, 2, 3)
    assert torch.equal(one[:, 1], two[:, 1])
    assert not torch.equal(one[:, 0], two[:, 0])


def quantiles(count: int) -> Tensor:
    """Normals whose uniforms are the midpoints of equal cells: any interval's share is right to 1/count."""
    u = (torch.arange(count, dtype=F64) + 0.5) / count
    return torch.special.ndtri(u)[:, None]


def root_mean_square(eps: float, theta: float, xi: Tensor, other: Tensor) -> float:
    """Of the difference of the latents under logits θ and θ + ε, from the normals of each."""
    x = start(coin(theta), len(xi))
    gap = coin(theta + eps)(0, x, other, None) - coin(theta)(0, x, xi, None)
    return float(gap.square().sum(1).mean().sqrt())


@pytest.mark.slow
@pytest.mark.parametrize("theta", [0.0, 1.3, -2.0])
def test_common_uniforms_differ_by_order_one_half(theta: float) -> None:
    """RMS difference √(2 |p(θ+ε) − p(θ)|), hence √(2p(1−p)ε) as ε → 0; independent uniforms never come near."""
    count = 400_000
    xi = quantiles(count)
    mixed = xi[torch.randperm(count, generator=torch.Generator().manual_seed(0))]
    p = 1.0 / (1.0 + math.exp(-theta))
    for eps in (0.4, 0.1, 0.025):
        exact = abs(1.0 / (1.0 + math.exp(-theta - eps)) - p)
        found = root_mean_square(eps, theta, xi, xi)
        # Each of the two thresholds is met to one cell.
        assert abs(found**2 - 2.0 * exact) <= 2.0 * 2.0 / count
        # Of the mean-value theorem, with |p''| <= 0.1.
        assert abs(found**2 - 2.0 * p * (1.0 - p) * eps) <= 0.1 * eps**2 + 4.0 / count
        assert root_mean_square(eps, theta, xi, mixed) > 0.9 * math.sqrt(4.0 * p * (1.0 - p))
    ratio = root_mean_square(0.1, theta, xi, xi) / root_mean_square(0.025, theta, xi, xi)
    assert ratio == pytest.approx(2.0, abs=0.1)  # order ½, where order 1 would have 4


def test_in_the_engine_a_latent_differs_exactly_where_its_uniform_falls_between() -> None:
    """Base and perturbed map draw from one and the same uniform, that of the seed's Brownian motion."""
    error = RepresentationError(drift=lambda n, h: torch.tensor([0.0, 1.0], dtype=F64).expand(len(h), -1))
    step, eps, grid = coin(0.4), 0.3, TimeGrid(5.0, 5)
    run = simulate_coupled(
        {"x": step, "xe": perturb(step, error, eps)}, start(step, 1)[0], grid, paths=3000, seed=2, save="all"
    )
    uniform = torch.special.ndtr(BrownianMotion(2, grid, 1).normals(3000))[:, :, 0]
    # Class 1 beyond the probability of class 0.
    low, high = 1.0 / (1.0 + math.exp(0.7)), 1.0 / (1.0 + math.exp(0.4))
    between = (low < uniform) & (uniform <= high)
    differs = (run["x"].states != run["xe"].states).any(2)
    assert torch.equal(differs[1:], between)
    assert 0.0 < float(between.double().mean()) < 0.15
    assert not torch.equal(differs[1:], between.flip(0))


def test_noise_does_not_depend_on_the_number_of_paths() -> None:
    """To the bit, over two blocks, and not that of another seed."""
    few, many, other = (
        simulate_coupled([STEP], start(STEP, 1)[0], GRID, paths=n, seed=seed)[0].final
        for n, seed in ((10, 0), (5000, 0), (10, 1))
    )
    assert torch.equal(few, many[:10])
    assert not torch.equal(few, other)


def test_actions_reach_the_recurrence() -> None:
    """h' = h + a, and a map that takes none is not given any."""
    step = CategoricalMap(lambda n, h, z, a: h + a, lambda n, h: h.expand(-1, 2), 1, 1, 2, action_dim=1)
    actions = torch.tensor([[1.0], [2.0], [4.0]], dtype=F64)
    run = simulate_coupled([step], torch.zeros(3, dtype=F64), GRID, paths=4, actions=actions)
    assert torch.equal(run[0].final[:, 0], torch.full((4,), 7.0, dtype=F64))
    for system, given in ((step, None), (STEP, actions)):
        with pytest.raises(InvalidArgument, match="actions must have"):
            simulate_coupled([system], start(system, 4), GRID, actions=given)


def test_an_error_is_added_to_the_logits() -> None:
    """logits + ε σ(n, h), with the step's index in place of the time; everything else stays."""

    def drift(n: Tensor, h: Tensor) -> Tensor:
        return torch.sin(h @ READ) + n

    moved = perturb(STEP, RepresentationError(drift), 0.25)
    h = fixed(4, 2)
    assert isinstance(moved, CategoricalMap)
    torch.testing.assert_close(moved.logits(3, h), logits(3, h) + 0.25 * (torch.sin(h @ READ) + 3.0))
    assert (moved.recurrent, moved.dim, moved.noise_groups) == (STEP.recurrent, STEP.dim, STEP.noise_groups)
    assert torch.equal(STEP.logits(3, h), logits(3, h))


@pytest.mark.parametrize(
    "parts",
    [
        {"diffusion": elementwise},
        {"drift": elementwise, "diffusion": elementwise},
        {"drift": elementwise, "initial": 1.0},
        {"initial": 1.0},
    ],
    ids=lambda parts: "+".join(parts),
)
def test_other_errors_of_the_logits_are_refused(parts: dict[str, Any]) -> None:
    """There is no noise to add to and no start to move."""
    with pytest.raises(Refused, match=r"drift σ\(n, h\) of its logits; give that one alone"):
        perturb(STEP, RepresentationError(**parts), 0.1)


@pytest.mark.parametrize("columns", [1, 2, 5], ids=["one, which broadcasts", "those of h", "five"])
def test_an_error_of_another_shape_than_the_logits_is_refused(columns: int) -> None:
    """One column would shift all logits alike, and do nothing at all."""
    error = RepresentationError(lambda n, h: torch.ones(len(h), columns, dtype=h.dtype))
    with pytest.raises(InvalidArgument, match=r"\(2, 6\)"):
        simulate_coupled([perturb(STEP, error, 0.1)], start(STEP, 4), GRID)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_logits_that_are_not_finite_are_noticed(bad: float) -> None:
    """Compared with NaN no uniform is above: every latent would be class 0, and the states finite."""

    def broken(n: int, h: Tensor) -> Tensor:
        return logits(n, h) + (bad if n == 1 else 0.0)

    step = CategoricalMap(recurrent, broken, hidden=2, groups=2, classes=3)
    with pytest.raises((NumericalFailure, InvalidArgument), match="finite"):
        simulate_coupled([step], start(step, 4), GRID)


UNIT = RepresentationError(lambda n, h: torch.ones(len(h), 6, dtype=h.dtype))
X0 = start(STEP, 1)[0]


@pytest.mark.parametrize(
    "act",
    [
        lambda: simulate_coupled([Variations(STEP, UNIT)], X0, GRID, paths=4),
        lambda: expand(STEP, UNIT, lambda x: x.sum(-1), X0, GRID, paths=10**12),
        lambda: expand(STEP, UNIT, lambda x: x.sum(-1), X0, GRID, 4, assume=("continuous latents",)),
    ],
    ids=["variations", "expansion", "taken on by the caller"],
)
def test_nothing_of_it_is_expanded(act: Callable[[], Any]) -> None:
    """By the name of the hypothesis, with what to do instead; no assumption makes a derivative."""
    with pytest.raises(HypothesisFails, match=r"^continuous latents fails: a CategoricalMap has no der") as caught:
        act()
    assert caught.value.hypothesis == "continuous latents"
    assert "StepMap" in str(caught.value)
    assert "assume=" not in str(caught.value)
    assert str(caught.value).count("continuous latents fails") == 1


def test_the_check_names_the_hypothesis() -> None:
    """It fails, or is assumed where the caller takes it on."""
    (found,) = check_hypotheses(STEP, UNIT, lambda x: x.sum(-1), X0, GRID)
    assert (found.name, found.status) == ("continuous latents", Status.FAILS)
    (found,) = check_hypotheses(STEP, UNIT, lambda x: x.sum(-1), X0, GRID, assume="continuous latents")
    assert found.status is Status.ASSUMED


def test_what_differentiates_it_says_why_not() -> None:
    """The covariance of an error has no meaning either, and the sentence speaks of latents, not of noise types."""
    error = RepresentationError(diffusion=elementwise, correlation="independent")
    with pytest.raises(SdewmError) as caught:
        simulate_coupled([ErrorCovariance(STEP, error)], X0, GRID, paths=4)
    assert "noise_type" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"hidden": 0}, "hidden must be a whole number >= 1, got 0"),
        ({"groups": 0}, "groups must be a whole number >= 1, got 0"),
        ({"classes": 1}, "classes must be a whole number >= 2, got 1"),
        ({"classes": 2.0}, r"classes must be a whole number >= 2, got 2\.0"),
        ({"action_dim": -1}, "action_dim must be a whole number >= 0, got -1"),
    ],
    ids=str,
)
def test_sizes(changes: dict[str, Any], says: str) -> None:
    """Nothing to draw, or nothing to draw it from."""
    with pytest.raises(InvalidArgument, match=says):
        CategoricalMap(recurrent, logits, **({"hidden": 2, "groups": 2, "classes": 3} | changes))


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (
            CategoricalMap(lambda n, h, z, a: h[:, :1], logits, hidden=2, groups=2, classes=3),
            r"recurrent must return shape \(2, 2\), got \(2, 1\)",
        ),
        (
            CategoricalMap(recurrent, lambda n, h: h, hidden=2, groups=2, classes=3),
            r"logits must return shape \(2, 6\), got \(2, 2\)",
        ),
        (
            CategoricalMap(recurrent, lambda n, h: logits(n, h)[:1], hidden=2, groups=2, classes=3),
            r"logits must return shape \(2, 6\), got \(1, 6\)",
        ),
    ],
    ids=["recurrent", "logits", "one row for all"],
)
def test_bad_shapes(step: CategoricalMap, says: str) -> None:
    """Checked before anything runs."""
    with pytest.raises(InvalidArgument, match=says):
        simulate_coupled([step], start(step, 4), GRID)


def test_the_start_must_have_hidden_units_and_latents() -> None:
    """Eight columns here."""
    with pytest.raises(InvalidArgument, match=r"x0 must have shape \(8,\) or \(paths, 8\), got \(2,\)"):
        simulate_coupled([STEP], [0.0, 0.0], GRID, paths=4)


def test_a_map_of_plain_functions_travels() -> None:
    """Pickled, it draws the same classes."""
    twin = pickle.loads(pickle.dumps(STEP))
    assert torch.equal(twin(0, start(STEP, 9), fixed(9, 2), None), STEP(0, start(STEP, 9), fixed(9, 2), None))
