"""Compiled steps: the same noise to the bit, the same states to rounding, and a way out where nothing compiles."""

import shutil
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from systems import ETA, F64, RHO, Contracting, elementwise, fixed, full_error, sigma, sigma_bar
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from sdewm.drifts import DoubleWell, Linear, TanhNetwork
from sdewm.dynamics import (
    BrownianMotion,
    ErrorCovariance,
    LatentSDE,
    RepresentationError,
    Sensitivity,
    StepMap,
    Terms,
    Variations,
    compiled,
    perturb,
    simulate_coupled,
    tame,
)
from sdewm.dynamics.ensemble import prepare, reduce_blocks
from sdewm.dynamics.sobol import Sobol
from sdewm.exceptions import InvalidArgument, NotCompiledWarning, NumericalFailure
from sdewm.grid import TimeGrid

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
SHARED = RepresentationError(diffusion=elementwise)
APART = RepresentationError(sigma, sigma_bar, ETA, RHO)
GRID = TimeGrid(1.0, 7)


class Driven(LatentSDE):
    """An action and the time drive it."""

    dim, action_dim = 3, 2

    def f(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return torch.sin(3.0 * t) * a.sum(1, keepdim=True) - x

    def g(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return 0.3 + 0.1 * torch.cos(x) * t


def both(members: Mapping[str, Any], x0: Any, grid: TimeGrid = GRID, paths: int = 1500, **options: Any) -> list[Any]:
    """The run without compilation and with it; what is not compiled fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotCompiledWarning)
        return [simulate_coupled(members, x0, grid, paths, 3, compile=c, **options) for c in (False, True)]


def assert_equal(eager: Any, fast: Any, tolerance: float) -> None:
    """All trajectories of two runs, to rounding."""
    for name in eager.trajectories:
        a, b = eager[name], fast[name]
        for one, other in zip(a if isinstance(a, tuple) else (a,), b if isinstance(b, tuple) else (b,), strict=True):
            scale = 1.0 + float(one.states.abs().max())
            assert one.states.shape == other.states.shape
            assert float((one.states - other.states).abs().max()) <= tolerance * scale, name


GENERAL = Contracting("general")
MEMBERS = {
    "general": {
        "x": GENERAL,
        "moved": perturb(GENERAL, full_error(), 0.2),
        "varied": Variations(GENERAL, full_error()),
        "formula": Variations(GENERAL, full_error(), "formula", Terms.without("mixed")),
        "slope": Sensitivity(GENERAL, {"W": fixed(3, 3, seed=9)}),
    },
    "diagonal": {
        "x": Contracting("diagonal"),
        "moved": perturb(Contracting("diagonal"), SHARED, 0.2),
        "varied": Variations(Contracting("diagonal"), SHARED),
        "spread": ErrorCovariance(
            Contracting("diagonal"), RepresentationError(diffusion=elementwise, correlation="independent")
        ),
    },
    "shipped": {
        "well": tame(DoubleWell(dim=3), GRID),
        "network": TanhNetwork(dim=3),
        "varied": Variations(TanhNetwork(dim=3), SHARED),
    },
}


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.filterwarnings("ignore::sdewm.NotCompiledWarning")
def test_states_are_those_of_the_eager_engine(name: str) -> None:
    """At all saved times, which no piece of three steps hits, for paths that fill no block."""
    eager, fast = both(MEMBERS[name], 0.4, save=[0.0, 3 / 7, 4 / 7, 1.0])
    assert_equal(eager, fast, 1e-12)


@needs_compiler
@pytest.mark.slow
def test_noise_is_the_same_to_the_bit() -> None:
    """dx = dB adds up normals; in float32 the order of the sums is the same, and so are the bits."""
    walk = Linear(a=0.0, diffusion_offset=1.0, dim=2)
    eager, fast = both({"x": walk}, torch.zeros(2), TimeGrid(4.0, 4), save="all")
    assert torch.equal(eager["x"].states, fast["x"].states)
    normals = BrownianMotion(3, TimeGrid(4.0, 4), 2).normals(1500, torch.float32)
    assert torch.equal(fast["x"].states[1], normals[0])


@needs_compiler
@pytest.mark.slow
def test_actions_time_and_starts_of_their_own() -> None:
    actions, start = fixed(7, 1500, 2), fixed(1500, 3, seed=1)
    eager, fast = both({"x": Driven()}, start, actions=actions)
    assert_equal(eager, fast, 1e-13)
    late = simulate_coupled([Driven()], start, GRID, 1500, 3, actions=actions.flip(0), compile=False)
    assert float((late[0].final - fast["x"].final).abs().max()) > 0.01  # the control: another order of the actions


class InPlace(LatentSDE):
    """Fills tensors in place: what was zero or one, what a view shows, and the same twice."""

    dim = 3

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        out, ones, copy = torch.zeros_like(x), torch.ones_like(x), x.clone()
        out[:, 0] = -torch.sin(x[:, 1])
        ones *= 0.5 * x
        copy[:, 0] += x[:, 1]
        copy[:, 0] += x[:, 1]
        view = copy[:, 2]
        before = 2.0 * view
        copy.add_(1.0)
        return out - ones - copy + torch.stack((before, 2.0 * view, view), 1)

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        out = torch.zeros_like(x)
        out[:, 1:] = 0.3 * torch.cos(x[:, 1:])
        return out


@needs_compiler
@pytest.mark.slow
def test_what_works_in_place_is_the_same() -> None:
    """Also where it is differentiated."""
    eager, fast = both({"x": InPlace(), "varied": Variations(InPlace(), SHARED)}, 0.4)
    assert_equal(eager, fast, 1e-12)


def test_a_part_that_takes_anothers_old_value() -> None:
    """(x, what x was) after five steps, from the graph itself: nothing is compiled."""

    def delay(index: Tensor, z: Tensor, x: Tensor, before: Tensor) -> tuple[Tensor, ...]:
        return 2.0 * x + z + index, x

    x, before, z = fixed(4, 1), fixed(4, 1, seed=1), fixed(5, 4, 1, seed=2)
    step = make_fx(delay, tracing_mode="fake")(torch.tensor(0), z[0], x, before)
    piece = compiled._repeated(step, 0, 1, 5)
    new = (x, before)
    for n in range(5):
        new = delay(torch.tensor(3 + n), z[n], *new)
    piece(torch.tensor(3), z, x, before)
    assert torch.equal(x, new[0])
    assert torch.equal(before, new[1])


@needs_compiler
@pytest.mark.slow
def test_equal_code_serves_other_numbers() -> None:
    """Another gain is another constant, not another piece of code, and its numbers are the new ones."""
    first = TanhNetwork(dim=3, gain=0.4, seed=1)
    both({"x": first}, 0.4, TimeGrid(1.0, 2))
    before = {code: len(code.pieces) for code in compiled._known.values()}
    eager, fast = both({"x": TanhNetwork(dim=3, gain=0.9, seed=2)}, 0.4, TimeGrid(1.0, 2))
    assert {code: len(code.pieces) for code in compiled._known.values()} == before
    assert_equal(eager, fast, 1e-12)


@needs_compiler
@pytest.mark.slow
def test_moments_and_executors_and_a_failure() -> None:
    """What is observed, on a worker too; and the path and the time of a state that is not finite."""
    members = {"x": Linear(a=1.0, b=0.5)}
    runs = [
        simulate_coupled(members, 1.0, GRID, 3000, 3, observe=first_column, compile=compile)
        for compile in (False, True)
    ]
    assert np.allclose(runs[0].moments[0].mean, runs[1].moments[0].mean, rtol=1e-12)
    with pytest.raises(NumericalFailure, match=r"path 0 first, at t = 0\.714286"):
        simulate_coupled([Cliff()], 0.0, GRID, 100, compile=True)


def first_column(states: Mapping[str, Tensor]) -> Tensor:
    """x₁."""
    return states["x"][:, 0]


class Cliff(LatentSDE):
    """x grows by h a step, and the logarithm of what is left ends it."""

    dim = 1

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.ones_like(x) + 0.0 * torch.log(0.5 - x)

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


class Branching(LatentSDE):
    """Looks at its numbers, which a graph of shapes cannot."""

    dim = 1

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return -x if float(x.max()) > 0.0 else x

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.ones_like(x)


class Counting(LatentSDE):
    """Is another function each time, and not by torch's operations."""

    dim, calls = 1, 0

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        self.calls += 1
        return -x / self.calls

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.ones_like(x)


def test_what_torch_does_not_see_is_found_before_it_is_compiled() -> None:
    with pytest.warns(NotCompiledWarning, match="a step is not what torch's operations in it make of its arguments"):
        prepare([Counting()], torch.ones(1, dtype=F64), GRID, 100, compile=True)


INDEXED = StepMap(lambda n, x, a: (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)[n] * x, lambda n, x, a: torch.ones_like(x), 1, 1)


@pytest.mark.parametrize("system", [Branching(), INDEXED], ids=["branching", "indexed"])
def test_what_cannot_be_traced_runs_as_it_is(system: Any) -> None:
    """With a warning where compilation was asked for, and without one where it was not."""
    with pytest.warns(NotCompiledWarning, match="compile=True is not possible here, so the eager engine is used"):
        asked = simulate_coupled([system], torch.zeros(1, dtype=F64), GRID, 100, compile=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = simulate_coupled([system], torch.zeros(1, dtype=F64), GRID, 100)
    assert torch.equal(asked[0].final, plain[0].final)


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said at once, before any path is simulated."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.warns(NotCompiledWarning, match="no C\\+\\+ compiler 'no-such-compiler'"):
        assert prepare([Linear()], 1.0, GRID, 100, compile=True).compiled is None
    with pytest.warns(NotCompiledWarning):
        asked = simulate_coupled([Linear()], 1.0, GRID, 100, compile=True)
    assert torch.equal(asked[0].final, simulate_coupled([Linear()], 1.0, GRID, 100, compile=False)[0].final)


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor], ids=["here", "threads"])
def test_a_compiler_that_fails(executor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One warning, however many blocks there are, and the same states."""

    def failing(*given: Any) -> Any:
        raise RuntimeError("out of order")

    monkeypatch.setattr(compiled, "_piece", failing)
    system = Linear(a=-1.0, b=0.5)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        pool = None if executor is None else executor(2)
        asked = simulate_coupled([system], 1.0, GRID, 9000, compile=True, executor=pool)
        if pool is not None:
            pool.shutdown()
    assert [warning.category for warning in said if warning.category is NotCompiledWarning] == [NotCompiledWarning]
    assert torch.equal(asked[0].final, simulate_coupled([system], 1.0, GRID, 9000, compile=False)[0].final)


def test_blocks_are_the_same_with_and_without_compilation() -> None:
    """What pairs the blocks of two ensembles, or joins them to clusters, need not know which of them is compiled."""
    fast, eager = (prepare([Linear()], 1.0, GRID, 9000, compile=c) for c in (True, False))
    assert fast.compiled is not None
    assert fast.blocks == eager.blocks == range(3)
    assert [fast.span(k) for k in fast.blocks] == [eager.span(k) for k in eager.blocks]


def test_who_only_hands_out_work_does_not_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Preparing traces, and raises and warns; only a block that is run here needs code here."""

    def never(*given: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(compiled, "_piece", never)
    ensemble = prepare([Linear(a=-1.0)], 1.0, GRID, 100, compile=True)
    assert ensemble.compiled is not None
    assert ensemble.recipe.keywords["compile"] is True
    with pytest.warns(NotCompiledWarning):
        ensemble = prepare([Branching()], torch.zeros(1, dtype=F64), GRID, 100, compile=True)
    assert ensemble.recipe.keywords["compile"] is False  # nor will a worker say it again


def test_small_work_is_not_compiled() -> None:
    """By a rule of counted operations: 2²⁶ numbers are looked at, and worth it if there is enough to compute."""
    members = {"x": DoubleWell(dim=8)}
    assert prepare(members, 0.6, TimeGrid(1.0, 100), 10_000).compiled is None
    assert prepare(members, 0.6, TimeGrid(1.0, 100), 100_000).compiled is None  # looked at, but not worth it
    assert prepare(members, 0.6, TimeGrid(1.0, 1000), 1_000_000).compiled is not None


def test_a_cache_that_others_can_write_to_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read from it is run."""
    tmp_path.chmod(0o777)
    monkeypatch.setenv("SDEWM_COMPILE_CACHE", str(tmp_path))
    with pytest.warns(NotCompiledWarning, match="which others can write to"):
        simulate_coupled([Linear(a=-1.5)], 1.0, GRID, 100, compile=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("option", "value"), [("compile", "always"), ("device", "abacus"), ("device", 3.5)])
def test_wrong_options(option: str, value: Any) -> None:
    with pytest.raises(InvalidArgument, match=f"{option} must be"):
        simulate_coupled([Linear()], 1.0, GRID, 8, **{option: value})


@pytest.mark.slow
@needs_compiler
def test_dependent_paths_stay_one_observation() -> None:
    """A replicate of 2048 points is larger than what runs at a time, and smaller than a block."""
    seen = []
    for compile in (False, True):
        ensemble = prepare([DoubleWell()], 0.3, GRID, 8192, motion=Sobol(2048), compile=compile)
        assert (ensemble.compiled is not None) is compile
        assert [ensemble.span(block) for block in ensemble.blocks] == [(0, 4096), (4096, 4096)]
        seen.append(reduce_blocks(ensemble, lambda s: s[0])[0])
    assert [m.n for m in seen] == [4, 4]
    assert np.allclose(seen[0].covariance, seen[1].covariance, rtol=1e-6)


@pytest.mark.slow
@needs_compiler
def test_states_of_several_parts_are_joined_in_order() -> None:
    """Saved times between, a last block that is not full, and steps that are no multiple of a piece."""
    eager, fast = both({"x": Linear(a=-0.5, b=0.6)}, 1.0, TimeGrid(1.0, 11), paths=5000, save=[3 / 11, 4 / 11, 1.0])
    assert fast["x"].states.shape == (3, 5000, 1)
    assert_equal(eager, fast, 1e-6)
