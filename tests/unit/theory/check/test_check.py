"""A bound is judged on a system: by what was seen, by what is certified, and not at all where that does not suffice."""

import math
from dataclasses import replace
from typing import Any, final

import numpy as np
import pytest
import torch
from alarm import FALSE_ALARM, spend
from torch import Tensor

from sdewm import InvalidArgument, LatentSDE, Outcome, Refused, RepresentationError, StepMap, TimeGrid, check
from sdewm.constant import Assumed, Certified, Sampled
from sdewm.drifts import DoubleWell, Linear, TanhNetwork
from sdewm.run import workers
from sdewm.theory.bounds import (
    Bound,
    GaussianQuantile,
    GronwallFrobenius,
    LipschitzSteps,
    LogNorm,
    Setting,
    Supremum,
    Weighted,
)
from sdewm.theory.bounds.bound import Array, Numbers
from sdewm.theory.check.evidence import Evidence
from sdewm.theory.check.pair import Pair
from sdewm.theory.constants import hull_of, search_weight
from sdewm.verdict import Grade, Verdict

GRID = TimeGrid(1.0, 16)
# Where a bound is true and attained, "violated" is a false alarm: these are judged at a stricter level, and booked.
STRICT = 1.0 - FALSE_ALARM
ONES = RepresentationError(drift=lambda t, x: torch.ones_like(x), diffusion=lambda t, x: torch.ones_like(x))
START = RepresentationError(initial=1.0)
SIZES = {"drift_error": Certified(2**0.5, "√2", 2**0.5), "diffusion_error": Certified(2**0.5, "√2", 2**0.5)}


@final
class TooSmall(Bound):
    """A bound that forgets the diffusion: wrong wherever there is one."""

    name = "too small"
    statement = "r' = μ r"
    hypotheses = ("drift one-sided Lipschitz with μ",)
    implied = hypotheses
    reference = "a mistake"
    constants = ("mu",)

    def continuous(self, constants: Numbers, setting: Setting) -> Array:
        return np.asarray(setting.initial * np.exp(constants["mu"] * np.asarray(setting.grid.times)))

    def discrete(self, constants: Numbers, setting: Setting) -> Array:
        h = setting.grid.h
        return np.asarray(setting.initial * (1.0 + h * constants["mu"]) ** np.arange(setting.grid.steps + 1))


def evidence(verdict: Verdict) -> Evidence:
    """The numbers behind it."""
    assert isinstance(verdict.evidence, Evidence)
    return verdict.evidence


def test_a_loose_bound_holds_and_says_how_loose() -> None:
    """Shared noise, drift and diffusion error, on a contracting network."""
    verdict = check(LogNorm(), TanhNetwork(dim=4, gain=0.4), ONES, 0.05, 0.6, GRID, paths=2048)
    assert verdict.outcome is Outcome.HOLDS
    found = evidence(verdict)
    assert 1.0 < found.ratio < 5.0
    assert verdict.interval is not None
    assert verdict.interval[1] <= found.at(found.least, 1.0) == verdict.allowed[1]  # type: ignore[index]
    assert "RMS error" in verdict.reason
    assert "mu -" in verdict.reason


def test_of_several_times_that_hold_the_closest_is_reported() -> None:
    """From a start without an error bound and error part, and meet again where both have settled."""
    verdict = check(LogNorm(), TanhNetwork(dim=4, gain=0.4), ONES, 0.05, 0.6, GRID, 2048, times=(0.25, 0.5, 1.0))
    found = evidence(verdict)
    uppers = [
        found.size(c.upper) / found.at(found.least, t) for c, t in zip(found.comparisons, found.times, strict=True)
    ]
    assert found.worst == uppers.index(max(uppers))
    assert verdict.interval is not None
    assert verdict.interval[1] == found.size(found.comparisons[found.worst].upper)


def test_the_variance_is_certified_where_the_constants_are() -> None:
    """Then the grade is certified too; it is asymptotic as soon as one constant is only seen."""
    base = Linear(a=-1.0, b=0.3, dim=2)
    certified = check(GronwallFrobenius(), base, ONES, 0.05, 0.6, GRID, 16_384, constants=SIZES)
    assert (certified.outcome, certified.grade) == (Outcome.HOLDS, Grade.CERTIFIED)
    assert evidence(certified).most is not None
    seen = check(GronwallFrobenius(), base, ONES, 0.05, 0.6, GRID, 2048)
    assert (seen.outcome, seen.grade) == (Outcome.HOLDS, Grade.ASYMPTOTIC)
    assert evidence(seen).most is None
    assert "drift_error, diffusion_error" in seen.explain()


def test_a_wrong_bound_is_violated_only_at_certified_constants() -> None:
    """The same numbers, once certified by the system, once seen between paths only."""
    base = Linear(a=-1.0, b=1.0)
    wrong = check(TooSmall(), base, START, 0.1, 1.0, GRID, paths=4096)
    assert (wrong.outcome, wrong.grade) == (Outcome.VIOLATED, Grade.CERTIFIED)
    assert "or the bound is wrong" in wrong.explain()
    open_question = check(TooSmall(), _Hidden(base), START, 0.1, 1.0, GRID, paths=4096)
    assert open_question.outcome is Outcome.INCONCLUSIVE
    assert "if mu were certified" in open_question.explain()
    spend()
    assert check(LogNorm(), base, START, 0.1, 1.0, GRID, 4096, level=STRICT).outcome is not Outcome.VIOLATED


@final
class _Hidden(LatentSDE):
    """A system that says nothing of itself."""

    dim = 1

    def __init__(self, base: Any) -> None:
        super().__init__()
        self.base = base

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        value: Tensor = self.base.f(t, x)
        return value

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        value: Tensor = self.base.g(t, x)
        return value


def test_the_segment_decides_not_its_ends() -> None:
    """dx = x − x³ from ±1: the slope is −2 on both paths, and the distance stays 2."""
    well = DoubleWell(noise=0.0, modulation=0.0)
    start = RepresentationError(initial=2.0)
    verdict = check(LogNorm(), well, start, 1.0, -1.0, GRID, paths=16, scheme="euler")
    assert evidence(verdict).constants["mu"].at_least == pytest.approx(1.0)
    # Nothing is random here: the error is 2, and the bound grows.
    assert evidence(verdict).comparisons[0].estimate.value == pytest.approx(4.0)


def test_an_attained_bound_is_not_violated_by_its_own_scheme() -> None:
    """de = −3e dt + √6 e dB: the truth stays 1, Euler's steps grow to (1 + 9h²)^(t/2h)."""
    base = Linear(a=-3.0, b=6**0.5)
    spend()
    verdict = check(LogNorm(), base, START, 0.1, 1.0, TimeGrid(2.0, 40), paths=4096, level=STRICT)
    assert verdict.outcome is not Outcome.VIOLATED
    assert evidence(verdict).at(evidence(verdict).least, 2.0) == pytest.approx(0.1 * (1 + 9 * 0.05**2) ** 20, rel=1e-3)


def test_several_times_share_the_level() -> None:
    """It holds if it holds at all; each is judged at a stricter level."""
    base = TanhNetwork(dim=2, gain=0.4)
    verdict = check(LogNorm(), base, ONES, 0.05, 0.6, GRID, 2048, times=(0.25, 0.5, 1.0))
    assert verdict.outcome is Outcome.HOLDS
    assert evidence(verdict).times == (0.25, 0.5, 1.0)
    assert all(c.level == pytest.approx(1.0 - 0.01 / 3) for c in evidence(verdict).comparisons)


def test_running_maxima() -> None:
    """A maximum is more than the last value, and its bound is for it."""
    base = TanhNetwork(dim=2, gain=0.4)
    running, last = (check(b, base, ONES, 0.05, 0.6, GRID, 2048) for b in (Supremum(), LogNorm()))
    assert running.outcome is Outcome.HOLDS
    assert evidence(running).comparisons[0].estimate.value > evidence(last).comparisons[0].estimate.value


def test_step_maps_and_weights() -> None:
    """A map's own constants; a weight under which a non-normal drift contracts."""
    step = StepMap(lambda n, x, a: 0.9 * torch.tanh(x), lambda n, x, a: 0.1 * torch.ones_like(x), 2, 2)
    assert check(LipschitzSteps(), step, ONES, 0.01, 0.3, TimeGrid(8.0, 8), 1024).outcome is Outcome.HOLDS
    matrix = torch.tensor([[-1.0, 10.0], [0.0, -1.5]], dtype=torch.float64)
    base, grid = Linear(a=matrix, b=0.1 * torch.eye(2, dtype=torch.float64)[None]), TimeGrid(4.0, 64)
    plain = check(LogNorm(), base, START, 0.01, 1.0, grid, 512)
    weighted = check(Weighted([[1.0, 0.0], [0.0, 400.0]]), base, START, 0.01, 1.0, grid, 512)
    assert plain.outcome is weighted.outcome is Outcome.HOLDS
    assert evidence(plain).ratio > 1e4
    assert evidence(weighted).ratio < 50.0
    assert any("vacuous" in flag for flag in plain.flags)
    assert not any("vacuous" in flag for flag in weighted.flags)


def test_what_a_bound_does_not_cover_fails_as_a_hypothesis() -> None:
    noisy = check(GaussianQuantile(), Linear(b=0.5), RepresentationError(diffusion=torch_ones), 0.1, 1.0, GRID, 512)
    assert noisy.outcome is Outcome.HYPOTHESIS_FAILS
    assert "the base has noise" in noisy.reason
    box = check(LogNorm(), TanhNetwork(dim=2), ONES, 0.1, 0.6, GRID, 512, box=(0.5, 0.7))
    assert box.outcome is Outcome.HYPOTHESIS_FAILS
    assert "the paths leave the box: coordinate 0 runs from" in box.reason


def torch_ones(t: Tensor, x: Tensor) -> Tensor:
    """One."""
    return torch.ones_like(x)


def test_a_box_violates_nothing() -> None:
    """That no path ever leaves it is not certified."""
    verdict = check(TooSmall(), Linear(a=-1.0, b=1.0), START, 0.1, 1.0, GRID, 4096, box=(-1e6, 1e6))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "leaves it is not certified" in verdict.reason


def test_superlinear_drifts_are_tamed_and_heavy_tails_not_trusted() -> None:
    verdict = check(LogNorm(), DoubleWell(), START, 0.1, 0.6, GRID, 2048)
    assert any("steps are tamed" in flag for flag in verdict.flags)
    heavy = check(LogNorm(), Linear(a=0.0, b=2.0), START, 0.1, 1.0, TimeGrid(4.0, 64), 1024)
    assert heavy.outcome is Outcome.INCONCLUSIVE
    assert "tail" in heavy.reason or "variance" in heavy.reason


def test_few_paths_are_inconclusive_and_a_failure_is_one() -> None:
    few = check(LogNorm(), Linear(a=-1.0, b=0.3), ONES, 0.05, 0.6, GRID, 4)
    assert few.outcome is Outcome.INCONCLUSIVE
    explodes = check(LogNorm(), Linear(a=1e4, b=0.0), START, 0.1, 1.0, TimeGrid(100.0, 200), 16)
    assert explodes.outcome is Outcome.NUMERICAL_FAILURE
    assert "path 0 first" in explodes.reason


def test_constants_that_are_given() -> None:
    base = Linear(a=-1.0, b=0.3)
    for word in (Assumed(3.0), Sampled(3.0, "elsewhere"), Certified(3.0, "a worse proof")):
        known = evidence(check(LogNorm(), base, ONES, 0.05, 0.6, GRID, 1024, constants={"mu": word})).constants["mu"]
        assert (known.at_least, known.at_most) == pytest.approx((-1.0, -1.0))
    with pytest.raises(InvalidArgument, match="attained must be at most the certified value"):
        check(LogNorm(), base, ONES, 0.05, 0.6, GRID, 1024, constants={"mu": Certified(-2.0, "a mistake")})


def test_figures_and_files(tmp_path: Any) -> None:
    """The picture has the bound, the error and the interval; a verdict from a file has none."""
    verdict = check(LogNorm(), TanhNetwork(dim=2, gain=0.4), ONES, 0.05, 0.6, GRID, 1024)
    figure = verdict.plot(tmp_path / "bound.png")
    assert (tmp_path / "bound.png").stat().st_size > 10_000
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[0] == "bound at the constants seen"
    assert np.allclose(axes.lines[0].get_ydata(), evidence(verdict).least[1:])
    again = Verdict.from_json(verdict.to_json())
    assert again == verdict
    with pytest.raises(Refused, match="no curves to draw or explain"):
        again.plot()
    assert "evidence" not in verdict.to_json()


def test_paths_are_used_once_and_only_as_far_as_needed() -> None:
    """An early stop simulates no further block; the same seed gives the same verdict."""
    base = Linear(a=-1.0, b=0.3, dim=2)
    first = check(GronwallFrobenius(), base, ONES, 0.05, 0.6, GRID, 65_536, constants=SIZES)
    assert evidence(first).comparisons[0].n < 65_536
    assert evidence(first).comparisons[0].stopped_early
    whole = check(GronwallFrobenius(), base, ONES, 0.05, 0.6, GRID, 8192, constants=SIZES, sequential=False)
    assert evidence(whole).comparisons[0].n == 8192
    again = check(GronwallFrobenius(), base, ONES, 0.05, 0.6, GRID, 65_536, constants=SIZES)
    assert again == first


def test_moments_of_the_start() -> None:
    """Means over the paths' own starts."""
    x0 = torch.randn(5000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    eta = RepresentationError(initial=lambda x: x)
    setting = Pair(Linear(a=-1.0, dim=2), eta, 0.5, x0, GRID, 5000, 0).setting(True, False)
    assert setting.initial == pytest.approx(0.5 * float((x0**2).sum(1).mean()) ** 0.5)
    assert setting.initial_fourth == pytest.approx(0.5 * float((x0**2).sum(1).square().mean()) ** 0.25)
    assert np.allclose(np.asarray(setting.initial_moment), 0.25 * (x0.T @ x0 / 5000).numpy())
    fixed = replace(Pair(Linear(a=-1.0, dim=2), START, 0.5, x0[0], GRID, 9, 0), seed=1).setting(True, False)
    assert fixed.initial == pytest.approx(0.5 * math.sqrt(2.0))


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "bound": ({"bound": "log-norm"}, "bound must be a Bound"),
    "error": ({"error": 1.0}, "error must be a RepresentationError"),
    "grid": ({"grid": 1.0}, "grid must be a TimeGrid"),
    "eps": ({"eps": 0.0}, "eps must be above zero"),
    "large eps": ({"eps": 1e160}, "eps must be below 1e100"),
    "level": ({"level": 1.0}, "level must lie strictly between 0 and 1"),
    "times": ({"times": "all"}, "times must be one of 'final'"),
    "no times": ({"times": ()}, "times must be 'final' or grid times after the start"),
    "scheme": ({"scheme": "milstein"}, "scheme must be one of"),
    "points": ({"points": 2}, "points must be a whole number >= 3"),
    "constants": ({"constants": {"nu": 1.0}}, "constants must map names to Certified"),
    "box": ({"box": 3.0}, "box must be"),
    "empty box": ({"box": (3.0, -3.0)}, "box must have lower sides"),
    "one time": ({"times": 1.0}, "times must be 'final' or grid times, got 1.0"),
    "the start": ({"times": (0.0, 1.0)}, "after the start, which is known"),
    "a list": ({"constants": [1]}, "constants must map names"),
    "weight": ({"bound": Weighted([[1.0, 0.0], [0.0, 1.0]])}, "bound must have a weight for dimension 1, got 2"),
    "step constants": ({"bound": LipschitzSteps()}, "bound needs 'step_mean'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str) -> None:
    given: dict[str, Any] = {
        "bound": LogNorm(),
        "system": Linear(a=-1.0, b=0.3),
        "error": ONES,
        "eps": 0.05,
        "x0": 0.6,
        "grid": GRID,
        "paths": 64,
    }
    changed, message = BAD[name]
    with pytest.raises(InvalidArgument, match=message):
        check(**{**given, **changed})


def test_a_weight_that_is_searched_and_certified() -> None:
    """Its rate is certified, is seen as well, and the bound stays near the error where the log-norm bound explodes."""
    matrix = torch.tensor([[-1.0, 10.0], [0.0, -1.5]], dtype=torch.float64)
    base = Linear(a=matrix, b=0.1 * torch.eye(2, dtype=torch.float64)[None])
    weight = search_weight(hull_of(base))
    verdict = check(Weighted(weight.matrix, weight.nu), base, START, 0.01, 1.0, TimeGrid(8.0, 128), 4096)
    assert verdict.outcome is Outcome.HOLDS
    rate = evidence(verdict).constants["weighted_rate"]
    assert rate.at_most == weight.nu.value < 0.0
    assert rate.at_least == pytest.approx(weight.nu.value, abs=1e-6)
    assert evidence(verdict).ratio < 100.0


@pytest.mark.slow
def test_workers_give_the_same_verdict() -> None:
    """Bounds, weights and pairs travel to other processes."""
    base = TanhNetwork(dim=2, gain=0.4)
    error = RepresentationError(diffusion=torch_ones)
    weight = search_weight(hull_of(base))
    with workers(2) as pool:
        for bound in (Supremum(), Weighted(weight.matrix, weight.nu)):
            apart = check(bound, base, error, 0.05, 0.6, GRID, 6000, executor=pool)
            assert apart == check(bound, base, error, 0.05, 0.6, GRID, 6000)


def test_rows_in_an_order_that_somebody_chose() -> None:
    """Large errors first: a true and attained bound is not violated by stopping early, nor does a false one hold."""
    x0 = torch.ones(8192, 1, dtype=torch.float64)
    x0[4096:] = 0.01
    spend()
    as_start = RepresentationError(initial=lambda x: x)
    verdict = check(LogNorm(), Linear(a=-1.0, b=0.3), as_start, 0.1, x0, GRID, level=STRICT)
    assert verdict.outcome is not Outcome.VIOLATED
    assert evidence(verdict).comparisons[0].n == 8192
    assert any("random order" in flag for flag in verdict.flags)
    small_first = torch.ones(8192, 1, dtype=torch.float64)
    small_first[:4096] = 0.3
    wrong = check(TooSmall(), Linear(a=-1.0, b=1.0), as_start, 0.1, small_first, GRID)
    assert wrong.outcome is Outcome.VIOLATED
    assert wrong.grade is Grade.ASYMPTOTIC


def test_rounding_violates_nothing() -> None:
    """After a long contraction two states differ by rounding alone."""
    base = Linear(a=-1.0, drift_offset=1.0, diffusion_offset=0.5)
    verdict = check(LogNorm(), base, START, 0.1, 1.0, TimeGrid(34.0, 544), paths=512)
    assert verdict.outcome is not Outcome.VIOLATED


def test_an_unchecked_hypothesis_violates_nothing() -> None:
    """Certified constants are not all that a bound of one's own may assume."""
    bound = TooSmall()
    bound.hypotheses = (*TooSmall.hypotheses, "the drift contracts")
    verdict = check(bound, Linear(a=-1.0, b=1.0), START, 0.1, 1.0, GRID, 4096)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "not certified: the drift contracts" in verdict.reason


def test_what_does_not_certify_the_variance() -> None:
    """A box, a quantity of one's own, a step map, tamed steps: the fourth moment of Euler's errors is not theirs."""
    base = Linear(a=-1.0, b=0.3, dim=2)
    boxed = check(LogNorm(), base, ONES, 0.05, 0.6, GRID, 4096, constants=SIZES, box=(-100.0, 100.0))
    tamed = check(LogNorm(), base, ONES, 0.05, 0.6, GRID, 4096, constants=SIZES, scheme="tamed")
    plain = check(LogNorm(), base, ONES, 0.05, 0.6, GRID, 16_384, constants=SIZES)
    assert (plain.outcome, plain.grade) == (Outcome.HOLDS, Grade.CERTIFIED)
    own = check(_Tenfold(), base, ONES, 0.05, 0.6, GRID, 4096, constants=SIZES)
    for verdict in (boxed, tamed, own):
        assert not (verdict.outcome is Outcome.HOLDS and verdict.grade is Grade.CERTIFIED)
        assert not evidence(verdict).certifiable


@final
class _Tenfold(Bound):
    """The Frobenius bound, of ten times the square."""

    name, statement, reference = "tenfold", "10 E|e|²", "a test"
    hypotheses = GronwallFrobenius.hypotheses
    implied = hypotheses
    constants = GronwallFrobenius.constants

    def continuous(self, constants: Numbers, setting: Setting) -> Array:
        return GronwallFrobenius().continuous(constants, setting)

    def discrete(self, constants: Numbers, setting: Setting) -> Array:
        return GronwallFrobenius().discrete(constants, setting)

    def observed(self, e: Tensor) -> Tensor:
        value: Tensor = 10.0 * (e * e).sum(-1)
        return value


def test_too_few_paths_for_a_central_limit() -> None:
    """Eight paths of a heavy tail would say that a false bound holds, three times in four."""
    for seed in range(10):
        verdict = check(LogNorm(), _Hidden(Linear(a=-1.0, b=2.0)), START, 0.01, 1.0, TimeGrid(1.0, 64), 8, seed)
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert "8 paths are too few" in verdict.reason


def test_no_step_is_made_from_the_last_state() -> None:
    """dx = x² dt: the slope at the last state is no constant of the steps that led there."""
    grid = TimeGrid(1.0, 2)
    verdict = check(LogNorm(), _Square(), START, 1e-4, 1.0, grid, 4, scheme="euler")
    # From 1 to 1.5 to 2.625: the steepest slope on the way is 2 · 1.5.
    assert evidence(verdict).constants["mu"].at_least == pytest.approx(3.0, rel=1e-3)


@final
class _Square(LatentSDE):
    """dx = x² dt."""

    dim = 1

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return x**2

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def test_the_deciding_time_is_explained() -> None:
    """Violated early, holding later: the words are about the early time."""
    base = Linear(a=-1.0, b=1.0)
    verdict = check(TooSmall(), base, START, 0.1, 1.0, GRID, 4096, times=(0.5, 1.0))
    assert verdict.outcome is Outcome.VIOLATED
    assert f"at t = {evidence(verdict).times[evidence(verdict).worst]:g}" in verdict.reason
    assert "the bound is wrong" in verdict.explain()


def test_degenerate_numbers_are_no_tracebacks() -> None:
    """Underflow, overflow, no error at all, tensors for each path, a random start."""
    far = check(LogNorm(), Linear(a=-1.0), START, 0.1, 1.0, TimeGrid(200.0, 400), 300)
    assert far.outcome in (Outcome.HOLDS, Outcome.INCONCLUSIVE)
    vast = check(GronwallFrobenius(), TanhNetwork(dim=4), START, 0.1, 0.6, TimeGrid(800.0, 1600), 300)
    assert vast.outcome is Outcome.HOLDS
    assert any("vacuous" in flag for flag in vast.flags)
    none = check(LogNorm(), Linear(a=-1.0), RepresentationError(initial=0.0), 0.1, 1.0, GRID, 300)
    assert none.outcome is not Outcome.VIOLATED
    each = RepresentationError(initial=torch.ones(600, 1, dtype=torch.float64))
    assert check(LogNorm(), Linear(a=-1.0), each, 0.1, 1.0, GRID, 600).outcome is not Outcome.VIOLATED
    with pytest.raises(InvalidArgument, match="initial must be the same each time"):
        check(LogNorm(), Linear(a=-1.0), RepresentationError(initial=lambda x: torch.randn_like(x)), 0.1, 1.0, GRID, 64)


def test_a_recurrent_cell_and_its_dtype() -> None:
    """A GRU cell as a step map: judged in its own dtype, refused in a sentence in another."""
    cell = torch.nn.GRUCell(1, 4)
    source = torch.Generator().manual_seed(0)
    for parameter in cell.parameters():
        torch.nn.init.uniform_(parameter, -0.5, 0.5, generator=source)
    step = StepMap(
        lambda n, x, a: cell(torch.zeros(len(x), 1, dtype=torch.float32), x), lambda n, x, a: 0.1 + 0.0 * x, 4, 4
    )
    x0 = torch.full((4,), 0.3)
    verdict = check(LipschitzSteps(), step, ONES, 0.01, x0, TimeGrid(8.0, 8), 1024)
    assert verdict.outcome is Outcome.HOLDS
    with pytest.raises(InvalidArgument, match=r"system does not take states of shape .* and torch\.float64"):
        check(LipschitzSteps(), step, ONES, 0.01, x0.double(), TimeGrid(8.0, 8), 1024)
