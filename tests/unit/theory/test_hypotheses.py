"""What the expansion assumes: found false it refuses before it simulates, taken on it goes on and says so."""

import math
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import pytest
import torch
from systems import ETA, F64, Contracting, Network, elementwise, fixed, sigma
from torch import Tensor, nn

from sdewm.drifts import Cubic, DoubleWell, Geometric, Linear, TanhNetwork
from sdewm.dynamics import LatentSDE, RepresentationError, StepMap, tame
from sdewm.exceptions import HypothesisFails, InvalidArgument, NumericalFailure, Refused
from sdewm.grid import TimeGrid
from sdewm.hypothesis import Facts, Hypothesis, Status, declare
from sdewm.theory import check_hypotheses, expand
from sdewm.theory.effect import TAMED
from sdewm.theory.hypotheses import NAMES, check_names, refuse, superlinear, unchecked
from sdewm.theory.losses import AbsoluteLoss, ExponentialLoss, PolynomialLoss, SoftAbsoluteLoss, SquaredDistance

GRID = TimeGrid(1.0, 16)
HUGE = 10**12  # paths that no machine simulates
DECLARED, PROBED, UNCHECKED, FAILS, ASSUMED = (
    Status.DECLARED,
    Status.PROBED,
    Status.UNCHECKED,
    Status.FAILS,
    Status.ASSUMED,
)
Rows = Callable[[Tensor], Tensor]


class Never(Executor):
    """Fails where a block of an ensemble is to be simulated; a pilot run does not come here."""

    def map(self, *args: Any, **kwargs: Any) -> Any:
        pytest.fail("the ensemble was simulated")


NEVER: dict[str, Any] = {"paths": HUGE, "executor": Never()}


def square(x: Tensor) -> Tensor:
    """|x|²."""
    return x.square().sum(-1)


def ones(t: Tensor, x: Tensor) -> Tensor:
    """A constant diffusion error."""
    return torch.ones_like(x)


UNIT = RepresentationError(diffusion=ones)
QUIET = RepresentationError(diffusion=declare(ones))


class Given(LatentSDE):
    """A system of plain functions that declares nothing, and counts its calls."""

    def __init__(
        self, f: Any, g: Any = None, dim: int = 1, facts: tuple[Facts | None, Facts | None] = (None, None)
    ) -> None:
        super().__init__()
        self.dim, self._f, self._g, self.calls = dim, f, g, 0
        self.drift_facts, self.diffusion_facts = facts

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        self.calls += 1
        return self._f(t, x)

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.full_like(x, 0.5) if self._g is None else self._g(t, x)


class Driven(LatentSDE):
    """dx = a |x|^p sign(x) dt + noise."""

    dim, action_dim = 1, 1

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def f(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return a * x.sign() * x.abs() ** self.p

    def g(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return torch.full_like(x, 0.3)


class Elsewhere:
    """A plain class that states nothing but what torchsde asks."""

    noise_type, sde_type = "diagonal", "ito"

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.relu(x) - x

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.ones_like(x)


def found(
    system: Any, error: RepresentationError = QUIET, loss: Any = square, x0: Any = 0.5, **options: Any
) -> dict[str, Hypothesis]:
    """The hypotheses by name; each name once."""
    result = check_hypotheses(system, error, loss, x0, options.pop("grid", GRID), **options)
    by_name = {h.name: h for h in result}
    assert len(by_name) == len(result)
    assert set(by_name) == set(NAMES)
    return by_name


def lift(function: Rows) -> Callable[[Tensor, Tensor], Tensor]:
    """A function of the state as one of time and state."""
    return lambda t, x: function(x)


# --- what fails -------------------------------------------------------------------------------------------------------

# The problem, the hypothesis that it violates, and what the sentence says.
FAILURES: dict[str, tuple[dict[str, Any], str, str]] = {
    "explosive drift": ({"system": Given(lambda t, x: x + x**3)}, "drift growth", "leaves every bound within 0.0"),
    "|x|^1.5": ({"system": Given(lambda t, x: x.sign() * x.abs() ** 1.5)}, "drift growth", "leaves every bound"),
    "explosive in the second dimension": (
        {"system": Given(lambda t, x: torch.stack((-x[:, 0], x[:, 1] ** 3), 1), dim=2)},
        "drift growth",
        "leaves every bound",
    ),
    "explosive in float32": (
        {"system": Given(lambda t, x: x + x**3, dim=3), "x0": torch.full((3,), 0.5)},
        "drift growth",
        "leaves every bound",
    ),
    "explosive from half-time on": (
        {"system": Given(lambda t, x: -x if float(t) < 0.5 else x**3)},
        "drift growth",
        "leaves every bound",
    ),
    "declared explosive": ({"system": Cubic(rate=-1.0)}, "drift growth", "declared explosive"),
    "declared polynomial, explosive": (
        {"system": Given(lambda t, x: x**3, facts=(Facts("polynomial"), None))},
        "drift growth",
        "leaves every bound",
    ),
    "declared exponential": (
        {"system": Given(lambda t, x: -x, facts=(Facts("exponential"), None))},
        "drift growth",
        "declared to grow faster than every power",
    ),
    "diffusion x²": ({"system": Given(lambda t, x: -x, lambda t, x: x**2)}, "diffusion growth", "fourth moments"),
    "diffusion x² against x³": (
        {"system": Given(lambda t, x: -(x**3), lambda t, x: x**2)},
        "diffusion growth",
        "fourth moments",
    ),
    "error x²": ({"error": RepresentationError(diffusion=lambda t, x: x**2)}, "error growth", "fourth moments"),
    "error x³ in the drift": ({"error": RepresentationError(lambda t, x: x**3)}, "error growth", "fourth moments"),
    "exponential loss": ({"loss": lambda x: torch.exp(x).sum(-1)}, "loss growth", "faster than every power"),
    "steep exponential loss": ({"loss": lambda x: torch.exp(100.0 * x).sum(-1)}, "loss growth", "faster than every"),
    "declared exponential loss": ({"loss": ExponentialLoss()}, "loss growth", "declared to grow faster"),
    "kink in the drift": ({"system": Given(lambda t, x: -torch.relu(x))}, "drift smoothness", "first derivative jumps"),
    "kink in the drift, late": (
        {"system": Given(lambda t, x: -x if float(t) < 0.3 else -x.abs())},
        "drift smoothness",
        "first derivative jumps by 2",
    ),
    "kink in the diffusion": (
        {"system": Given(lambda t, x: -x, lambda t, x: 0.5 + torch.relu(x))},
        "diffusion smoothness",
        "first derivative jumps by 1",
    ),
    "steps in the error": (
        {"system": Given(lambda t, x: -x), "error": RepresentationError(lambda t, x: torch.floor(3.0 * x))},
        "error smoothness",
        "the function itself jumps by 1",
    ),
    "absolute loss": (
        {"system": Given(lambda t, x: -x), "loss": lambda x: x.abs().sum(-1)},
        "loss smoothness",
        "first derivative jumps by 2",
    ),
    "declared absolute loss": (
        {"system": Given(lambda t, x: -x), "loss": AbsoluteLoss(0.1)},
        "loss smoothness",
        "first derivative jumps by 2 at x = (0.1)",
    ),
    "absolute loss, all paths on its kink": (
        {"system": Linear(-1.0), "x0": 0.0, "loss": lambda x: x.abs().sum(-1)},
        "loss smoothness",
        "where all paths are",
    ),
    "square of a relu, all paths on its kink": (
        {"system": Linear(-1.0), "x0": 0.0, "loss": lambda x: torch.relu(x).square().sum(-1)},
        "loss smoothness",
        "second derivative jumps by 2",
    ),
    "quantised map": (
        {
            "system": StepMap(
                lambda n, x, a: torch.round(4.0 * x) / 4.0, lambda n, x, a: torch.full_like(x, 0.5), dim=1, noise_dim=1
            )
        },
        "drift smoothness",
        "the function itself jumps by 0.25",
    ),
    "foreign system": (
        {"system": Elsewhere(), "x0": torch.zeros(3, dtype=F64)},
        "drift smoothness",
        "first derivative",
    ),
    "a sampler inside": (
        {"system": Given(lambda t, x: torch.rand(x.shape, generator=DICE, dtype=x.dtype) - x)},
        "continuous latents",
        "the drift is random by itself",
    ),
}
DICE = torch.Generator().manual_seed(0)
BASE = {"system": Linear(-1.0, 0.5), "error": UNIT, "loss": square, "x0": 0.5}


@pytest.mark.parametrize("name", FAILURES)
def test_each_failing_hypothesis_is_found_and_no_other(name: str) -> None:
    """By its name, with what was seen; the others do not fail."""
    changes, hypothesis, says = FAILURES[name]
    by_name = found(**(BASE | changes))
    assert [key for key, h in by_name.items() if h.status is FAILS] == [hypothesis]
    assert says in by_name[hypothesis].detail
    assert by_name[hypothesis].declared == name.startswith("declared ex")


@pytest.mark.parametrize("name", FAILURES)
def test_expand_refuses_before_it_simulates(name: str) -> None:
    """For more paths than there is memory for; the sentence names the hypothesis and the way out."""
    changes, hypothesis, says = FAILURES[name]
    with pytest.raises(HypothesisFails) as caught:
        expand(**(BASE | changes), grid=GRID, **NEVER)
    message = str(caught.value)
    assert caught.value.hypothesis == hypothesis
    assert caught.value.declared == name.startswith("declared ex")
    assert message.startswith(f"{hypothesis} fails: ")
    assert says in message
    if hypothesis != "continuous latents":
        assert message.endswith(f"; to go on all the same pass assume=('{hypothesis}',).")
    assert "\n" not in message


GROWTH = [name for name, (_, hypothesis, _) in FAILURES.items() if "growth" in hypothesis]


@pytest.mark.parametrize("name", GROWTH)
def test_where_growth_fails_nothing_is_simulated(name: str) -> None:
    """Smoothness is then unchecked, every name of it."""
    by_name = found(**(BASE | FAILURES[name][0]))
    for key, h in by_name.items():
        if "smoothness" in key:
            assert (h.status, h.detail) == (UNCHECKED, "nothing was simulated")


def test_calls_of_the_system() -> None:
    """Growth costs a fixed handful of calls; the pilot run of 128 paths costs one a step; no call is for all paths."""
    rows: list[int] = []

    def watched(t: Tensor, x: Tensor) -> Tensor:
        rows.append(len(x))
        return -x

    found(Given(watched), loss=ExponentialLoss())
    growth = len(rows)
    assert growth < 20
    rows.clear()
    found(Given(watched), paths=10**9)
    assert len(rows) >= GRID.steps
    assert max(rows) <= 20_000  # of rays and radii, or one block
    found(Given(watched), x0=fixed(300, 1))


@pytest.mark.parametrize("name", [n for n in FAILURES if FAILURES[n][1] not in ("drift growth", "continuous latents")])
def test_what_is_taken_on_does_not_stop_the_expansion(name: str) -> None:
    """`assume` goes on to numbers, and the flags say what was taken on and what was known of it."""
    changes, hypothesis, says = FAILURES[name]
    e = expand(**(BASE | changes), grid=GRID, paths=64, assume=(hypothesis,))
    (h,) = [h for h in e.hypotheses if h.name == hypothesis]
    assert h.status is ASSUMED
    assert h.detail.startswith("taken on by the caller (fails: ")
    assert says in h.detail
    assert str(h) in e.flags
    assert math.isfinite(e.P.value)


@pytest.mark.parametrize("system", [Given(lambda t, x: x + x**3), Cubic(rate=-1.0)], ids=["probed", "declared"])
def test_an_explosion_that_is_taken_on(system: Any) -> None:
    """On a short horizon from a small start nothing explodes yet, and the expansion goes on."""
    grid = TimeGrid(0.1, 16)
    with pytest.raises(HypothesisFails, match="drift growth fails"):
        expand(system, QUIET, square, 0.1, TimeGrid(2.0, 16), **NEVER)
    e = expand(system, QUIET, square, 0.1, grid, paths=64, assume="drift growth")
    assert math.isfinite(e.P.value)
    assert any(flag.startswith("drift growth: assumed, taken on by the caller") for flag in e.flags)


def test_assuming_another_hypothesis_does_not_help() -> None:
    """One name is one hypothesis."""
    others = tuple(name for name in NAMES if name != "loss growth")
    with pytest.raises(HypothesisFails, match="loss growth fails"):
        expand(Linear(-1.0, 0.5), UNIT, ExponentialLoss(), 0.5, GRID, assume=others, **NEVER)


def test_all_may_be_assumed() -> None:
    """Then every hypothesis is in the flags, whatever its status was."""
    e = expand(Linear(-1.0, 0.5), UNIT, ExponentialLoss(), 0.5, GRID, paths=64, assume=NAMES)
    assert {h.status for h in e.hypotheses} == {ASSUMED}
    assert len(e.flags) == len(NAMES)


@pytest.mark.parametrize("assume", [("loss",), "drift", ("drift growth", "growth"), ("",), ("Loss growth",)])
def test_unknown_names_are_refused(assume: Any) -> None:
    """With the list of those that there are, also where nothing would fail."""
    for act in (
        lambda: check_hypotheses(Linear(), QUIET, square, 0.5, GRID, assume=assume),
        lambda: expand(Linear(), QUIET, square, 0.5, GRID, assume=assume, **NEVER),
    ):
        with pytest.raises(InvalidArgument, match=r"assume must name hypotheses among 'continuous latents'.*, got '"):
            act()
    assert check_names("loss growth") == ("loss growth",)
    assert check_names([]) == ()


# --- what holds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "system",
    [
        Linear(-1.0, 0.5),
        Geometric(0.1, 0.3),
        DoubleWell(),
        Cubic(noise=0.5),
        Cubic(rate=0.0, noise=0.5),
        TanhNetwork(4),
    ],
    ids=lambda s: type(s).__name__,
)
@pytest.mark.parametrize(
    "loss",
    [SquaredDistance(0.3), PolynomialLoss((0.0, 1.0, 0.5)), SoftAbsoluteLoss(sharpness=1e3)],
    ids=lambda loss: type(loss).__name__,
)
def test_shipped_drifts_and_losses_are_declared(system: Any, loss: Any) -> None:
    """Nothing of them is probed, and with a declared error no flag is left but that of tamed steps."""
    by_name = found(system, loss=loss)
    for key, h in by_name.items():
        assert h.status is (PROBED if key == "continuous latents" else DECLARED), h
        assert h.declared == (key != "continuous latents")
    e = expand(system, QUIET, loss, 0.5, GRID, paths=64)
    inward = isinstance(system, DoubleWell) or (isinstance(system, Cubic) and system.rate > 0.0)
    assert e.flags == ((TAMED,) if inward else ())


def test_what_is_not_declared_is_probed() -> None:
    """The same functions, plain: each hypothesis is probed, none fails and none is flagged."""
    system = Given(lambda t, x: -x, lambda t, x: 0.5 + 0.2 * torch.tanh(x))
    by_name = found(system, RepresentationError(elementwise))
    assert {h.status for h in by_name.values()} == {PROBED}
    e = expand(system, UNIT, square, 0.5, GRID, paths=64)
    assert e.flags == ()
    assert {h.status for h in e.hypotheses} == {PROBED}


BENIGN: dict[str, dict[str, Any]] = {
    "linear, unstable": {"system": Given(lambda t, x: 5.0 * x)},
    "x log x": {"system": Given(lambda t, x: x * torch.log1p(x**2))},
    "bounded": {"system": Given(lambda t, x: torch.sin(x.flip(-1)), lambda t, x: 0.3 + 0.2 * torch.cos(x), 2)},
    "bounded, many waves": {
        "system": Given(lambda t, x: torch.sin(3.0 * x), lambda t, x: 0.3 + 0.2 * torch.cos(3.0 * x), 3)
    },
    "linear, modulated": {"system": Given(lambda t, x: -x * (2.0 + torch.sin(x)), lambda t, x: 0.5 * x)},
    "linear, modulated noise": {"system": Given(lambda t, x: 0.0 * x, lambda t, x: 0.2 * x * (2.0 + torch.sin(x)))},
    "steep": {"system": Given(lambda t, x: -torch.tanh(100.0 * x))},
    "sharp loss": {"system": Given(lambda t, x: -x), "loss": lambda x: nn.functional.softplus(x, beta=1e3).sum(-1)},
    "less sharp loss": {
        "system": Given(lambda t, x: -x),
        "loss": lambda x: nn.functional.softplus(x, beta=1e2).sum(-1),
    },
    "wavy loss": {"system": Given(lambda t, x: -x), "loss": lambda x: torch.cos(100.0 * x).sum(-1)},
    "bounded loss": {"loss": lambda x: torch.exp(-x.square().sum(-1))},
    "logarithm where it is defined": {"system": Geometric(0.0, 0.2), "loss": lambda x: torch.log(x).sum(-1)},
    "beside a kink": {"system": Linear(-1.0), "loss": lambda x: (x - 0.3).abs().sum(-1)},
    "error on the start only": {"error": RepresentationError(initial=ETA[:1])},
    "all kinds": {"system": Network(), "error": RepresentationError(sigma, elementwise, ETA, "independent")},
    "float32": {"system": Contracting("diagonal", torch.float32), "error": RepresentationError(diffusion=elementwise)},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BENIGN)
def test_nothing_is_made_up(name: str) -> None:
    """Smooth problems of linear growth, however steep or wavy: nothing fails, is tamed or is flagged."""
    problem = BASE | BENIGN[name]
    by_name = found(**problem)
    assert [str(h) for h in by_name.values() if h.status not in (DECLARED, PROBED)] == []
    assert not superlinear(tuple(by_name.values()))


@pytest.mark.slow
def test_none_of_many_random_problems_is_refused() -> None:
    """Thirty-six smooth random networks with their own noise and error, in float64 and float32."""
    refused = []
    for k in range(36):
        dtype, dim = (F64, torch.float32)[k % 2], (1, 3, 8)[k % 3]
        w, v = ((fixed(dim, dim, seed=s * 1000 + k) / dim**0.5).to(dtype) for s in (1, 2))
        shift = float(fixed(1, seed=k))
        system = Given(
            lambda t, x, w=w, s=shift: torch.tanh(2.0 * x @ w + s) - x,
            lambda t, x, v=v, s=shift: 0.5 + 0.3 * torch.sin(x @ v + s),
            dim,
        )
        error = RepresentationError(
            lambda t, x, v=v: torch.sigmoid(x @ v), lambda t, x, w=w: torch.cos(x @ w), correlation="independent"
        )
        loss = [square, lambda x: torch.sin(x).sum(-1), lambda x: nn.functional.softplus(3.0 * x).sum(-1)][k % 3]
        hypotheses = check_hypotheses(system, error, loss, torch.full((dim,), shift, dtype=dtype), GRID)
        refused += [(k, str(h)) for h in hypotheses if h.status is not PROBED]
    assert refused == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("system", "error", "status", "says"),
    [
        (Given(lambda t, x: -(x**3)), QUIET, PROBED, "but inwards (power 3.0"),
        (Given(lambda t, x: -torch.sinh(x)), QUIET, UNCHECKED, "but inwards (faster than every power"),
        (
            Given(lambda t, x: torch.stack((x[:, 1], x[:, 0] - x[:, 0] ** 3 - 0.3 * x[:, 1]), 1), dim=2),
            QUIET,
            UNCHECKED,
            "outwards on some rays (power 3.0",
        ),
        (Cubic(noise=0.5), QUIET, DECLARED, "declared to grow faster than linearly, but inwards"),
    ],
    ids=["cubic", "sinh", "Duffing", "declared"],
)
def test_superlinear_drifts_are_tamed(system: Any, error: RepresentationError, status: Status, says: str) -> None:
    """Seen or declared to grow faster than linearly: tamed and flagged; with scheme='euler' neither."""
    h = found(system)["drift growth"]
    assert h.status is status
    assert says in h.detail
    tamed, euler = (expand(system, error, square, 0.5, GRID, paths=64, scheme=s) for s in ("auto", "euler"))
    assert TAMED in tamed.flags
    assert TAMED not in euler.flags
    assert tamed.P.value != euler.P.value
    # That the growth could not be decided is said in any case.
    assert any("drift growth" in flag for flag in euler.flags) == (status is UNCHECKED)
    asked = expand(system, error, square, 0.5, GRID, paths=64, scheme="tamed")
    by_hand = expand(tame(system, GRID), error, square, 0.5, GRID, paths=64, scheme="euler")
    assert asked.P.value == tamed.P.value
    assert by_hand.P.value == pytest.approx(tamed.P.value, rel=1e-12)


def test_a_linear_drift_is_tamed_only_on_demand() -> None:
    """By scheme='tamed'; an unknown scheme, and one for maps, are refused."""
    system = Linear(-1.0, 0.5)
    assert expand(system, QUIET, square, 0.5, GRID, paths=64).flags == ()
    assert expand(system, QUIET, square, 0.5, GRID, paths=64, scheme="tamed").flags == (TAMED,)
    with pytest.raises(InvalidArgument, match="scheme must be one of 'auto', 'euler', 'tamed', got 'implicit'"):
        expand(system, QUIET, square, 0.5, GRID, scheme="implicit", **NEVER)
    with pytest.raises(Refused, match="a StepMap is a step already"):
        expand(MAP, QUIET, square, 0.5, GRID, scheme="tamed", **NEVER)


def test_tamed_steps_save_an_expansion_that_euler_steps_lose() -> None:
    """A start far out with a large step: numbers with 'auto', a refusal of the numbers with 'euler'."""
    grid = TimeGrid(10.0, 20)
    e = expand(Cubic(noise=0.5), QUIET, square, 30.0, grid, paths=64)
    assert TAMED in e.flags
    with pytest.raises(NumericalFailure, match="take smaller steps"):
        expand(Cubic(noise=0.5), QUIET, square, 30.0, grid, paths=64, scheme="euler")


@pytest.mark.parametrize(
    ("loss", "status", "says"),
    [
        (declare(square, "polynomial"), DECLARED, "declared polynomial"),
        (declare(lambda x: torch.exp(x).sum(-1), "polynomial"), DECLARED, "declared polynomial"),
        (declare(square, "linear"), DECLARED, "declared linear"),
        (declare(square, "exponential"), FAILS, "declared to grow faster"),
        (square, PROBED, "power 2.0"),
        (lambda x: torch.log(x).sum(-1) if len(x) > 1100 else square(x), PROBED, "power 0.1"),
        (lambda x: x[:, 0] * math.nan if len(x) > 1100 else square(x), UNCHECKED, "not finite far from the start"),
    ],
    ids=["polynomial", "believed", "linear", "exponential", "plain", "half", "nowhere"],
)
def test_a_users_loss(loss: Any, status: Status, says: str) -> None:
    """What its author declares is believed, right or wrong; what is not declared is probed."""
    h = found(Linear(-1.0, 0.5), loss=loss)["loss growth"]
    assert h.status is status
    assert says in h.detail


@pytest.mark.parametrize("smoothness", [0, 1, 2, 2.5, 3, math.inf])
def test_declared_smoothness(smoothness: float) -> None:
    """Three derivatives of drift and loss, two of an error, are enough; with fewer the probe looks all the same."""
    facts = Facts("linear", smoothness)
    system = Given(lambda t, x: -x, facts=(facts, facts))
    error = RepresentationError(declare(sigma_one, "linear", smoothness), declare(ones, "linear", smoothness))
    by_name = found(system, error, declare(square, "polynomial", smoothness))
    for name in ("drift smoothness", "diffusion smoothness", "loss smoothness"):
        assert by_name[name].status is (DECLARED if smoothness >= 3 else PROBED)
    assert by_name["error smoothness"].status is (DECLARED if smoothness >= 2 else PROBED)


def sigma_one(t: Tensor, x: Tensor) -> Tensor:
    """A drift error."""
    return torch.sin(x)


def test_a_declaration_hides_a_kink() -> None:
    """declare(...) is believed: the price of not probing, and the caller's own."""
    system = Given(lambda t, x: -x)
    kinked: Rows = lambda x: x.abs().sum(-1)  # noqa: E731
    assert found(system, loss=kinked)["loss smoothness"].status is FAILS
    assert found(system, loss=declare(kinked, "linear"))["loss smoothness"].status is DECLARED


@pytest.mark.parametrize(
    ("function", "status"),
    [
        (torch.relu, UNCHECKED),
        (lambda x: torch.relu(x) ** 2 / (1.0 + x**2), PROBED),
        (torch.sign, FAILS),
        (torch.sin, PROBED),
    ],
    ids=["relu", "its square", "sign", "sine"],
)
def test_an_error_needs_one_derivative_less(function: Rows, status: Status) -> None:
    """A kink of the error is remarked upon, a jump of it fails."""
    system = Given(lambda t, x: -x)
    for error in (RepresentationError(lift(function)), RepresentationError(diffusion=lift(function))):
        assert found(system, error)["error smoothness"].status is status


def test_a_jump_of_the_second_derivative_is_remarked_upon() -> None:
    """Harmless in the mean where states have a density, so unchecked and flagged; fatal where all states sit on it."""
    loss: Rows = lambda x: nn.functional.huber_loss(x, torch.zeros_like(x), reduction="none").sum(-1)  # noqa: E731
    e = expand(Given(lambda t, x: -x), UNIT, loss, 1.0, GRID, paths=64)
    (flag,) = e.flags
    assert "loss smoothness: unchecked, its second derivative jumps by 1 at x = (" in flag
    with pytest.raises(HypothesisFails, match="loss smoothness fails: its second derivative jumps by"):
        expand(Linear(0.0), QUIET, loss, 1.0, GRID, **NEVER)


class Once(torch.autograd.Function):
    """sin, with a derivative that cannot be differentiated again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, v: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return v * x.cos()


def test_a_function_without_a_second_derivative_fails() -> None:
    """A function without second derivatives: double backpropagation would take its first one for zero."""
    by_name = found(Given(lambda t, x: Once.apply(x)))
    assert by_name["drift smoothness"].status is FAILS
    assert "not that of its values" in by_name["drift smoothness"].detail


def test_the_worst_of_the_parts_and_of_the_times_counts() -> None:
    """Drift and diffusion of an error, begin and half-time of a drift: the one of which less is known."""
    bad: Rows = lambda x: x[:, :1] * math.nan if len(x) > 1100 else torch.sin(x)  # noqa: E731
    for error in (
        RepresentationError(lift(bad), ones),
        RepresentationError(ones, lift(bad)),
        RepresentationError(declare(lift(bad)), lift(bad)),
    ):
        assert found(Linear(-1.0, 0.5), error)["error growth"].status is UNCHECKED
    for early in (True, False):
        system = Given(lambda t, x, e=early: bad(x) if (float(t) < 0.25) == e else -x)
        assert found(system)["drift growth"].status is UNCHECKED


# --- maps, actions, starts --------------------------------------------------------------------------------------------

MAP = StepMap(lambda n, x, a: 0.9 * x, lambda n, x, a: torch.full_like(x, 0.5), dim=1, noise_dim=1)


@pytest.mark.parametrize(
    ("mean", "status", "says"),
    [
        (lambda n, x, a: 0.9 * x, PROBED, "linear"),
        (lambda n, x, a: x - 0.01 * x**3, PROBED, "power 3.0"),
        (lambda n, x, a: x + x**3, PROBED, "power 3.0"),
        (lambda n, x, a: torch.exp(-x), UNCHECKED, "faster than every power"),
        (declare(lambda n, x, a: torch.exp(-x)), DECLARED, "declared"),
        (declare(lambda n, x, a: x, "explosive"), FAILS, "declared explosive"),
    ],
    ids=["linear", "cubic", "outward", "exponential", "declared", "declared explosive"],
)
def test_a_map_of_finitely_many_steps_does_not_explode(mean: Any, status: Status, says: str) -> None:
    """Polynomial growth of a step has moments of every order; nothing is tamed."""
    step = StepMap(mean, MAP.scale, dim=1, noise_dim=1)
    by_name = found(step, grid=TimeGrid(2.0, 2), x0=0.1)
    assert by_name["drift growth"].status is status
    assert says in by_name["drift growth"].detail
    assert not superlinear(tuple(by_name.values()))


def test_a_map_is_looked_at_by_its_index() -> None:
    """The step's number, not a time, is handed to mean, scale and error."""
    seen: set[float] = set()

    def mean(n: int, x: Tensor, a: Tensor | None) -> Tensor:
        assert isinstance(n, int)
        seen.add(n)
        return 0.9 * x

    def drift(n: Tensor, x: Tensor) -> Tensor:
        seen.add(float(n))
        return torch.sin(x)

    found(StepMap(mean, MAP.scale, dim=1, noise_dim=1), RepresentationError(drift), grid=TimeGrid(0.5, 8))
    assert {0, 4, 8} <= seen
    assert 0.25 not in seen


@pytest.mark.parametrize(("push", "status"), [(-1.0, PROBED), (1.0, FAILS)], ids=["inwards", "outwards"])
@pytest.mark.parametrize("shape", ["steps", "steps and paths"])
def test_actions_are_those_of_the_first_step(push: float, status: Status, shape: str) -> None:
    """The same drift pulls in or explodes by the sign of its action, in either form of actions."""
    actions = torch.full((16, 1) if shape == "steps" else (16, 200, 1), push, dtype=F64)
    by_name = found(Driven(3.0), paths=200, actions=actions)
    assert by_name["drift growth"].status is status
    assert (by_name["drift smoothness"].status is PROBED) == (push < 0.0)


def test_actions_of_another_number_of_columns() -> None:
    """As everywhere."""
    with pytest.raises(InvalidArgument, match="pass actions="):
        found(Driven(1.0))
    with pytest.raises(InvalidArgument, match="actions must have 1 columns"):
        found(Driven(1.0), actions=torch.zeros(16, 2, dtype=F64))


@pytest.mark.parametrize(
    "x0", [0.5, [0.5], torch.full((1,), 0.5), fixed(5, 1), fixed(500, 1)], ids=["number", "list", "vector", "5", "500"]
)
def test_starts_in_every_form(x0: Any) -> None:
    """A number, a vector, or one row a path, more or fewer than the pilot run has."""
    assert {h.status for h in found(Linear(-1.0, 0.5), x0=x0).values()} <= {DECLARED, PROBED}


@pytest.mark.parametrize("paths", [1, 2, 3])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_paths_and_steps(paths: int, steps: int) -> None:
    """One path, one step: still looked at."""
    by_name = found(Given(lambda t, x: -x.abs()), x0=0.0, paths=paths, grid=TimeGrid(1.0, steps))
    assert by_name["drift growth"].status is PROBED
    e = expand(Given(lambda t, x: -x), UNIT, square, 0.5, TimeGrid(1.0, 2 * steps), paths=paths)
    assert e.flags == ()


def test_a_system_without_dim() -> None:
    """A foreign object is looked at in the state that is given, and refused only for what is wrong."""
    smooth = Elsewhere()
    smooth.f = lambda t, x: -x  # type: ignore[method-assign]
    assert {h.status for h in found(smooth, x0=torch.ones(3, dtype=F64)).values()} <= {DECLARED, PROBED}
    e = expand(smooth, QUIET, square, torch.ones(3, dtype=F64), GRID, paths=64)
    assert e.flags == ()
    cubic = Elsewhere()
    cubic.f = lambda t, x: -(x**3)  # type: ignore[method-assign]
    assert TAMED in expand(cubic, QUIET, square, torch.ones(3, dtype=F64), GRID, paths=64).flags


def test_the_pilot_run_does_not_change_the_result() -> None:
    """Declared or probed, the same numbers to the bit, and no global random state is touched."""
    before = torch.get_rng_state()
    plain = Given(lambda t, x: -x, lambda t, x: 0.5 * x)
    told = Given(lambda t, x: -x, lambda t, x: 0.5 * x, facts=(Facts(), Facts()))
    a, b = (expand(s, e, square, 0.5, GRID, paths=64) for s, e in ((plain, UNIT), (told, QUIET)))
    assert (a.P.value, a.Q.value, a.S.value) == (b.P.value, b.Q.value, b.S.value)
    assert torch.equal(before, torch.get_rng_state())


def test_the_answer_is_the_same_every_time() -> None:
    """Rays, starts and pilot run are fixed by the seed."""
    one, two = (found(Given(lambda t, x: -torch.sinh(x), dim=3), UNIT, seed=3) for _ in range(2))
    assert {str(h) for h in one.values()} == {str(h) for h in two.values()}


def test_refuse_and_unchecked() -> None:
    """The first that fails is raised; what is unchecked or assumed is told; the rest is silence."""
    good = [Hypothesis("a", DECLARED, "x", declared=True), Hypothesis("b", PROBED, "x")]
    refuse(good)
    assert unchecked(good) == ()
    more = [*good, Hypothesis("c", UNCHECKED, "y"), Hypothesis("d", ASSUMED, "z")]
    refuse(more)
    assert unchecked(more) == ("c: unchecked, y", "d: assumed, z")
    bad = [*more, Hypothesis("e", FAILS, "too fast.", declared=True), Hypothesis("f", FAILS, "w")]
    with pytest.raises(
        HypothesisFails, match=r"^e fails: too fast; to go on all the same pass assume=\('e',\)\.$"
    ) as caught:
        refuse(bad)
    assert caught.value.declared
