"""What this project relies on, or works around, in torchsde 0.2.6.

Everything that calls torchsde does so with a Brownian motion of its own, in integer time, and trains by
backpropagation.  Each test below pins one reason for that, so that an upgrade that removes or changes the
reason is noticed.  A test that fails here need not be a defect: it says that a decision is to be made again.
"""

import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
import torchsde
from torch import Tensor
from torchsde import BaseBrownian, BrownianInterval

F32, F64 = torch.float32, torch.float64


@dataclass
class Sde:
    """An Ito equation that counts the calls of its drift."""

    drift: Callable[[Tensor], Tensor]
    diffusion: Callable[[Tensor], Tensor]
    noise_type: str = "diagonal"
    sde_type: str = "ito"
    calls: int = 0

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        self.calls += 1
        return self.drift(y)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return self.diffusion(y)


@dataclass(repr=False)
class PreparedIncrements(BaseBrownian):
    """Hands out rows of a table of increments, and writes down what was asked.

    The grid is t = 0, h, 2h, ...; a query is rounded to it, so that a sliver has zero noise.
    """

    table: Tensor
    h: float = 1.0
    space_time: Tensor | None = None
    queries: list[tuple[float, float]] = field(default_factory=list)

    def __call__(self, ta: Any, tb: Any = None, return_U: bool = False, return_A: bool = False) -> Any:
        self.queries.append((float(ta), float(tb)))
        rows = slice(round(float(ta) / self.h), round(float(tb) / self.h))
        if not return_U:
            return self.table[rows].sum(0)
        assert self.space_time is not None
        return self.table[rows].sum(0), self.space_time[rows].sum(0)

    def __repr__(self) -> str:
        return "PreparedIncrements()"

    @property
    def dtype(self) -> torch.dtype:
        return self.table.dtype

    @property
    def device(self) -> torch.device:
        return self.table.device

    @property
    def shape(self) -> torch.Size:
        return self.table.shape[1:]

    @property
    def levy_area_approximation(self) -> str:
        return "none" if self.space_time is None else "space-time"


def normals(*size: int, seed: int = 1, dtype: torch.dtype = F64) -> Tensor:
    """Standard normals from a generator of their own."""
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=F64).to(dtype)


def pure_noise() -> Sde:
    """dX = dW: the solution is the Brownian path that the solver saw."""
    return Sde(torch.zeros_like, torch.ones_like)


def pendulum(h: float = 1.0) -> Sde:
    """A nonlinear drift and a nonlinear diagonal noise; h is the step when the solver's own step is 1."""
    return Sde(lambda y: h * (torch.sin(y) - y), lambda y: math.sqrt(h) * 0.5 * torch.cos(y))


def euler(sde: Sde, y: Tensor, table: Tensor, h: float) -> Tensor:
    """The Euler scheme, written by hand."""
    for row in table:
        y = y + sde.drift(y) * h + sde.diffusion(y) * row
    return y


def solve(sde: Sde, y0: Tensor, end: float, dt: float, bm: BaseBrownian | None = None, method: str = "euler") -> Tensor:
    """The state at the end of [0, end]."""
    ts = torch.tensor([0.0, end], dtype=y0.dtype)
    ys: Tensor = torchsde.sdeint(sde, y0, ts, bm=bm, dt=dt, method=method)
    return ys[-1]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """The machine has other work; restored afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def _global_generators() -> Iterator[None]:
    """For the few tests about the global generators: put both back as they were."""
    before = np.random.get_state()  # global on purpose: it is what torchsde reads
    with torch.random.fork_rng(devices=[]):
        yield
    np.random.set_state(before)


# --- the solver can hang -----------------------------------------------------------------------------------

# The default Brownian motion keeps a binary tree, and draws one seed sequence per split of it: counting those
# counts its work.  A case ends by returning, or by Stop: after `splits` splits or `cpu` seconds of processor
# time, neither of which depends on what else the machine does.
CHILD = """
import gc, json, resource, signal, sys
import numpy as np, torch, torchsde

torch.set_num_threads(1)
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 2**30, size + 2**30))
made, allowed, seed_sequence = 0, None, np.random.SeedSequence

class Stop(Exception):
    pass

def count(*args, **kwargs):
    global made
    made += 1
    if allowed is not None and made > allowed:
        raise Stop("splits")
    return seed_sequence(*args, **kwargs)

def out_of_time(*_):
    raise Stop("cpu")

class Noise:
    noise_type, sde_type, calls = "diagonal", "ito", 0

    def f(self, t, y):
        self.calls += 1
        return torch.zeros_like(y)

    def g(self, t, y):
        return torch.ones_like(y)

np.random.SeedSequence = count
signal.signal(signal.SIGPROF, out_of_time)
for case in json.loads(sys.argv[1]):
    dtype, sde = getattr(torch, case["dtype"]), Noise()
    made, allowed = 0, case.get("splits")
    ts = torch.tensor([0.0, case["end"]], dtype=dtype)
    if case.get("list_all"):
        ts = torch.arange(101, dtype=dtype) * case["dt"]
    bm = None
    if case.get("hint"):
        bm = torchsde.BrownianInterval(0.0, case["end"], size=(4, 1), dtype=dtype, dt=case["dt"])
    gc.collect()
    before = len(gc.get_objects())
    signal.setitimer(signal.ITIMER_PROF, case.get("cpu", 0.0))
    try:
        torchsde.sdeint(sde, torch.zeros(4, 1, dtype=dtype), ts, bm=bm, dt=case["dt"], method="euler")
        end, grown = "returned", 0
    except Stop as stop:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        end, grown = str(stop), len(gc.get_objects()) - before
    signal.setitimer(signal.ITIMER_PROF, 0.0)
    print(json.dumps(dict(name=case["name"], end=end, calls=sde.calls, splits=made, grown=grown)), flush=True)
"""

HANGING: list[dict[str, Any]] = [
    {"name": "T=10 dt=.1", "end": 10.0, "dt": 0.1, "dtype": "float64", "splits": 10_000},
    {"name": "T=5 dt=.05", "end": 5.0, "dt": 0.05, "dtype": "float64", "splits": 10_000},
    {"name": "all listed", "end": 10.0, "dt": 0.1, "dtype": "float64", "splits": 10_000, "list_all": True},
]
OTHERS: list[dict[str, Any]] = [
    {"name": "two seconds", "end": 10.0, "dt": 0.1, "dtype": "float64", "cpu": 2.0},
    {"name": "float32", "end": 1.0, "dt": 0.01, "dtype": "float32"},
    {"name": "step size told", "end": 10.0, "dt": 0.1, "dtype": "float64", "hint": True, "splits": 10_000},
    {"name": "no sliver", "end": 1.0, "dt": 0.01, "dtype": "float64", "splits": 10_000},
]


@pytest.fixture(scope="module")
def child() -> dict[str, dict[str, Any]]:
    """What happened to every case, run in a process of its own under a limit on its memory."""
    if not sys.platform.startswith("linux"):
        pytest.skip("limits memory through /proc and setrlimit")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(HANGING + OTHERS)],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    return {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}


@pytest.mark.slow
@pytest.mark.parametrize("name", [case["name"] for case in HANGING])
def test_hangs_at_the_sliver_after_the_last_of_100_steps(child: dict[str, dict[str, Any]], name: str) -> None:
    """The default Brownian motion takes the sliver of 1e-14 after 100 steps for the average step, and splits
    all of [0, T] as finely: 1e13 pieces.  Any user of the default can meet this; we never use the default."""
    result = child[name]
    assert result["end"] == "splits"  # 100 times as many as steps, and it had not returned
    assert result["calls"] == 101  # once to check shapes, and 100 steps: only the sliver is left to do
    assert result["grown"] > 10_000  # every split is kept: this is what eats the memory


def test_hangs_for_seconds_where_milliseconds_suffice(child: dict[str, dict[str, Any]]) -> None:
    """The same without a limit on the work: two seconds of processor time do not get it past the sliver."""
    result = child["two seconds"]
    assert result["end"] == "cpu"
    assert result["calls"] == 101
    assert result["splits"] > 1_000
    assert result["grown"] > 1_000


def test_float32_sliver_costs_a_hundredfold(child: dict[str, dict[str, Any]]) -> None:
    """In float32 the sliver is wider, 7e-7 of T: the solve returns, after 500 times the splits it needs."""
    result = child["float32"]
    assert result["end"] == "returned"
    assert result["calls"] == 102
    assert result["splits"] > 100 * 100
    assert child["no sliver"]["end"] == "returned"
    assert child["no sliver"]["splits"] <= 101


def test_brownian_interval_that_is_told_the_step_does_not_hang(child: dict[str, dict[str, Any]]) -> None:
    """The guess of the average step is the cause, so that naming the step is a way out for other people."""
    assert child["step size told"]["end"] == "returned"
    assert child["step size told"]["calls"] == 102


@pytest.mark.parametrize(("end", "dt"), [(10.0, 0.1), (5.0, 0.05)])
def test_own_brownian_motion_returns_but_still_sees_the_sliver(end: float, dt: float) -> None:
    """A Brownian motion of one's own avoids the hang; the sliver itself is the solver's and stays."""
    bm = PreparedIncrements(torch.zeros(101, 4, 1, dtype=F64), dt)
    sde = pure_noise()
    solve(sde, torch.zeros(4, 1, dtype=F64), end, dt, bm)
    assert sde.calls == 102
    assert len(bm.queries) == 101
    assert 0.0 < bm.queries[-1][1] - bm.queries[-1][0] < 1e-12


@pytest.mark.parametrize(
    ("dtype", "n", "extra"),
    [(F32, n, 1) for n in (50, 100, 200, 500, 1000)]
    + [(F32, n, 0) for n in (10, 20, 64, 256, 1024)]
    + [(F64, n, 1) for n in (6, 7, 10, 30, 80)]
    + [(F64, n, 0) for n in (5, 20, 64, 100, 1000)],
)
def test_accumulated_time_takes_an_extra_micro_step(dtype: torch.dtype, n: int, extra: int) -> None:
    """Times are summed up in the precision of `ts`, so that dt = 1/n gives n or n + 1 steps: a table
    of n increments may run out.  Dyadic steps are exact; integer time makes all of them exact."""
    bm = PreparedIncrements(torch.zeros(n, 1, 1, dtype=dtype), 1 / n)
    solve(pure_noise(), torch.zeros(1, 1, dtype=dtype), 1.0, 1 / n, bm)
    assert len(bm.queries) == n + extra
    if extra:
        assert 0.0 < bm.queries[-1][1] - bm.queries[-1][0] < 0.02 / n


# --- outputs -----------------------------------------------------------------------------------------------


def test_outputs_off_the_grid_are_interpolated_linearly() -> None:
    """W(.05) has variance .05, and comes out with .025 if dt = .1: half the spread, in the direction that
    flatters an upper bound.  Save times must lie on the grid of the steps."""
    increments = torch.cat([normals(1, 500, 1), torch.zeros(10, 500, 1, dtype=F64)])
    increments[0] *= math.sqrt(0.1 / (increments[0] ** 2).mean().item())  # mean square exactly .1
    bm = PreparedIncrements(increments, 0.1)
    ts = torch.tensor([0.0, 0.05, 0.1, 1.0], dtype=F64)
    ys = torchsde.sdeint(pure_noise(), torch.zeros(500, 1, dtype=F64), ts, bm=bm, dt=0.1, method="euler")
    assert torch.allclose(ys[1], 0.5 * increments[0], rtol=0.0, atol=1e-15)
    assert abs((ys[1] ** 2).mean().item() - 0.025) < 1e-15
    assert bm.queries[0] == (0.0, 0.1)  # no step ended at .05


def test_interpolation_ignores_the_brownian_path() -> None:
    """The true W(.05) of the very same path is at hand and is not used (10 standard errors either side)."""
    bm = BrownianInterval(0.0, 1.0, size=(20_000, 1), dtype=F64, entropy=3)
    ts = torch.tensor([0.0, 0.05, 0.1, 1.0], dtype=F64)
    ys = torchsde.sdeint(pure_noise(), torch.zeros(20_000, 1, dtype=F64), ts, bm=bm, dt=0.1, method="euler")
    assert torch.allclose(ys[1], 0.5 * bm(0.0, 0.1), rtol=0.0, atol=1e-15)
    assert abs(ys[1].var().item() - 0.025) < 0.0025
    assert abs(bm(0.0, 0.05).var().item() - 0.05) < 0.005


def test_saving_every_step_holds_the_path_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """States are collected in a list and then stacked: at that moment both are alive.  Save few times."""
    stacked: list[tuple[int, int]] = []
    stack = torch.stack

    def spy(tensors: Any, dim: int = 0) -> Tensor:
        out = stack(tensors, dim)
        stacked.append((sum(x.numel() for x in tensors), out.numel()))
        return out

    monkeypatch.setattr(torch, "stack", spy)
    bm = PreparedIncrements(torch.zeros(20, 4, 2, dtype=F64))
    torchsde.sdeint(pure_noise(), torch.zeros(4, 2, dtype=F64), torch.arange(21, dtype=F64), bm=bm, dt=1.0,
                    method="euler")  # fmt: skip
    assert stacked == [(21 * 8, 21 * 8)]


# --- seeds and paths ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_global_generators")
def test_default_seed_is_31_bits_of_numpys_global_state() -> None:
    """A run is as reproducible as numpy's global state, and 31 bits are likely to collide in 5e4 runs."""
    np.random.seed(7)
    expected = int(np.random.randint(0, 2**31 - 1))
    np.random.seed(7)
    assert BrownianInterval(0.0, 1.0, size=(4, 1)).entropy == expected
    assert BrownianInterval(0.0, 1.0, size=(4, 1)).entropy != expected  # the global state moved on


@pytest.mark.usefixtures("_global_generators")
def test_torch_seed_does_nothing_to_the_default_noise() -> None:
    """`torch.manual_seed`, which people set, does not matter; numpy's seed, which they forget, does."""

    def path(torch_seed: int, numpy_seed: int) -> Tensor:
        torch.manual_seed(torch_seed)
        np.random.seed(numpy_seed)
        return solve(pure_noise(), torch.zeros(4, 1, dtype=F64), 1.0, 1 / 16)

    assert torch.equal(path(0, 7), path(1, 7))
    assert not torch.any(path(0, 7) == path(0, 8))


@pytest.mark.usefixtures("_global_generators")
def test_own_brownian_motion_leaves_both_global_generators_alone() -> None:
    """With our own noise a solve has no side effect on anybody's random numbers."""
    before_torch, before_numpy = torch.get_rng_state(), np.random.get_state(legacy=False)
    solve(pure_noise(), torch.zeros(4, 1, dtype=F64), 8.0, 1.0, PreparedIncrements(normals(8, 4, 1)))
    assert torch.equal(before_torch, torch.get_rng_state())
    assert np.array_equal(before_numpy["state"]["key"], np.random.get_state(legacy=False)["state"]["key"])
    assert before_numpy["state"]["pos"] == np.random.get_state(legacy=False)["state"]["pos"]


@pytest.mark.usefixtures("_global_generators")
def test_g_prod_moves_the_global_torch_generator() -> None:
    """The exception: the shape of `g_prod` is checked with global normals, drawn and dropped."""

    class WithProduct(Sde):
        def g_prod(self, t: Tensor, y: Tensor, v: Tensor) -> Tensor:
            return v

    before = torch.get_rng_state()
    sde = WithProduct(torch.zeros_like, torch.ones_like)
    solve(sde, torch.zeros(4, 1, dtype=F64), 8.0, 1.0, PreparedIncrements(normals(8, 4, 1)))
    assert not torch.equal(before, torch.get_rng_state())


def walk(n: int, **kwargs: Any) -> Tensor:
    """W at k/n, k = 0..n, from a new Brownian interval of always the same entropy, queried step by step."""
    bm = BrownianInterval(0.0, 1.0, size=(32,), dtype=F64, entropy=11, **kwargs)
    steps = [bm(i / n, (i + 1) / n) for i in range(n)]
    return torch.cat([torch.zeros(1, 32, dtype=F64), torch.stack(steps).cumsum(0)])


def test_same_entropy_is_not_the_same_path() -> None:
    """Only W(1) survives a change of the step: 'same seed, half the step' is neither a coupling, nor an order
    test, nor a multilevel estimator."""
    for coarse, fine in [(walk(8), walk(16)), (walk(8, dt=1 / 8), walk(16, dt=1 / 16))]:
        assert torch.allclose(coarse[-1], fine[-1], rtol=0.0, atol=1e-12)
        assert (coarse[4] - fine[8]).abs().max() > 0.1
        assert (coarse[1:-1] - fine[2:-1:2]).abs().amin() > 1e-6  # nowhere, not by chance


@pytest.mark.parametrize(("coarse", "fine"), [(8, 16), (10, 20), (10, 30)])
def test_halfway_tree_is_the_same_path(coarse: int, fine: int) -> None:
    """The option that repairs it, and that it cannot be had without a tolerance."""
    paths = [walk(n, halfway_tree=True, tol=1e-6) for n in (coarse, fine)]
    assert torch.allclose(paths[0], paths[1][:: fine // coarse], rtol=0.0, atol=1e-4)
    with pytest.raises(ValueError, match="tol"):
        walk(8, halfway_tree=True)


def test_one_shared_object_is_the_same_path() -> None:
    """Sharing one object instead of its entropy couples two step sizes."""
    bm = BrownianInterval(0.0, 1.0, size=(4, 1), dtype=F64, entropy=11)
    y0, ts = torch.zeros(4, 1, dtype=F64), torch.tensor([0.0, 0.5, 1.0], dtype=F64)
    halves = [torchsde.sdeint(pure_noise(), y0, ts, bm=bm, dt=1 / n, method="euler") for n in (8, 16)]
    assert torch.allclose(halves[0], halves[1], rtol=0.0, atol=1e-12)


def row_noise(rows: int, dtype: torch.dtype = F64) -> Tensor:
    """The noise of a batch of one-dimensional paths."""
    noise: Tensor = BrownianInterval(0.0, 1.0, size=(rows, 1), dtype=dtype, entropy=5)(0.0, 1.0)
    return noise


@pytest.mark.parametrize("dtype", [F32, F64])
def test_noise_of_a_row_depends_on_the_batch_size(dtype: torch.dtype) -> None:
    """Path i of a batch of 8 is not path i of a batch of 64, so that a run cannot be cut into blocks, nor one
    path replayed.  Multiples of 16 happen to agree."""
    full = row_noise(64, dtype)
    for rows in (1, 8, 15):
        assert not torch.any(row_noise(rows, dtype) == full[:rows])
    for rows in (16, 32, 48):
        assert torch.equal(row_noise(rows, dtype), full[:rows])
    assert torch.equal(row_noise(20, dtype)[:4], full[:4])  # the last 16 are drawn again
    assert not torch.any(row_noise(20, dtype)[4:] == full[4:20])


def test_noise_of_a_row_depends_on_the_precision() -> None:
    """Float64 is no check of a float32 run of 16 rows or more; below 16 rows the two agree to rounding."""
    assert (row_noise(64, F32).to(F64) - row_noise(64, F64)).abs().max() > 0.5
    assert torch.allclose(row_noise(8, F32).to(F64), row_noise(8, F64), rtol=0.0, atol=1e-6)


# --- limits of size ----------------------------------------------------------------------------------------


def test_recursion_error_at_20_000_steps() -> None:
    """A long horizon at a small step fails under Python's default recursion limit, at the 101st query."""

    def drift(y: Tensor) -> Tensor:
        if sde.calls > 500:
            pytest.fail("the 101st query succeeded")
        return torch.zeros_like(y)

    sde = Sde(drift, torch.ones_like)
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    try:
        with pytest.raises(RecursionError):
            solve(sde, torch.zeros(1, 1, dtype=F64), 20.0, 1e-3)
    finally:
        sys.setrecursionlimit(before)
    assert sde.calls == 101


def test_own_brownian_motion_does_20_000_steps() -> None:
    """The same length with prepared increments, to the right value."""
    table = normals(20_000, 1, 1) * math.sqrt(1e-3)
    end = solve(pure_noise(), torch.zeros(1, 1, dtype=F64), 20_000.0, 1.0, PreparedIncrements(table))
    assert torch.allclose(end, table.sum(0), rtol=0.0, atol=1e-10)


def saved_tensors(sde: Sde, steps: int, method: str = "euler") -> tuple[int, Tensor]:
    """How many tensors a solve keeps for a backward pass, and its result."""
    kept: list[int] = []

    def keep(x: Tensor) -> Tensor:
        kept.append(x.numel())
        return x

    bm = PreparedIncrements(torch.zeros(steps, 4, 2, dtype=F64))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        end = solve(sde, torch.ones(4, 2, dtype=F64), float(steps), 1.0, bm, method)
    return len(kept), end


def test_parameters_that_require_grad_keep_the_whole_graph() -> None:
    """A simulation through a network costs memory in proportion to its steps, unless under `no_grad`."""
    weight = torch.tensor(0.1, dtype=F64, requires_grad=True)
    sde = Sde(lambda y: weight * y, torch.ones_like)
    kept = {steps: saved_tensors(sde, steps)[0] for steps in (10, 20, 40)}
    assert kept[10] >= 10
    assert kept[40] - kept[20] == 2 * (kept[20] - kept[10])
    with torch.no_grad():
        count, end = saved_tensors(sde, 40)
    assert count == 0
    assert not end.requires_grad


def test_milstein_keeps_a_graph_that_nobody_asked_for() -> None:
    """Its derivative of the diffusion comes from autograd: the result requires grad though no input does."""
    count, end = saved_tensors(pendulum(0.1), 10, method="milstein")
    assert count > 10
    assert end.requires_grad
    assert not saved_tensors(pendulum(0.1), 10)[1].requires_grad
    with torch.no_grad():
        assert not saved_tensors(pendulum(0.1), 10, method="milstein")[1].requires_grad


# --- a Brownian motion of one's own ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("n", [1, 64])
def test_prepared_increments_give_the_hand_written_euler_scheme(dtype: torch.dtype, n: int) -> None:
    """A small subclass is all it takes, and then the solver is exactly the textbook scheme."""
    table = normals(n, 5, 3, dtype=dtype) / math.sqrt(n)
    y0 = normals(5, 3, seed=2, dtype=dtype)
    end = solve(pendulum(), y0, 1.0, 1 / n, PreparedIncrements(table, 1 / n))
    assert torch.equal(end, euler(pendulum(), y0, table, 1 / n))


def test_prepared_increments_make_rows_independent_of_the_batch() -> None:
    """Whoever hands out the noise decides about seeds: three rows alone are the first three of many."""
    table, y0 = normals(32, 40, 1), torch.zeros(40, 1, dtype=F64)
    full = solve(pendulum(), y0, 32.0, 1.0, PreparedIncrements(table))
    part = solve(pendulum(), y0[:3], 32.0, 1.0, PreparedIncrements(table[:, :3]))
    assert torch.allclose(full[:3], part, rtol=0.0, atol=1e-12)


# --- the path KL of `logqp` --------------------------------------------------------------------------------


@dataclass
class Posterior(Sde):
    """A posterior with its prior drift `h`, as `logqp` wants it."""

    prior: Callable[[Tensor], Tensor] = torch.zeros_like

    def h(self, t: Tensor, y: Tensor) -> Tensor:
        return self.prior(y)


def log_ratio(gap: list[float], noise: list[float], columns: int, noise_type: str = "diagonal") -> Tensor:
    """`logqp` over [0, 1] for a constant gap between the drifts and a constant diffusion."""
    u, s = torch.tensor(gap, dtype=F64), torch.tensor(noise, dtype=F64)
    diffusion = s.expand if noise_type == "diagonal" else torch.diag(s).expand
    shape = (3, 2) if noise_type == "diagonal" else (3, 2, 2)
    sde = Posterior(lambda y: u - y, lambda y: diffusion(*shape), noise_type=noise_type, prior=torch.neg)
    bm = PreparedIncrements(normals(8, 3, columns) / math.sqrt(8), 1 / 8)
    y0, ts = torch.ones(3, 2, dtype=F64), torch.tensor([0.0, 1.0], dtype=F64)
    cost: Tensor = torchsde.sdeint(sde, y0, ts, bm=bm, dt=1 / 8, method="euler", logqp=True)[1]
    return cost


def test_logqp_is_nan_at_zero_noise() -> None:
    """It divides by g: a block without noise, such as a deterministic recurrent state, gives NaN even where
    the two drifts agree.  The divergence must be a running cost of our own on the noisy block."""
    regular = log_ratio([0.1, 0.2], [0.5, 0.5], 3)
    assert (regular - 0.5 * (0.2**2 + 0.4**2)).abs().max().item() < 1e-12
    assert log_ratio([0.1, 0.0], [0.5, 0.0], 3).isnan().all()
    assert not log_ratio([0.1, 0.2], [0.5, 0.0], 3).isfinite().any()


def test_logqp_wants_one_more_brownian_column_under_diagonal_noise() -> None:
    """The running cost is a further state with its own column of noise, which is then multiplied by zero."""
    with pytest.raises(ValueError, match="Noise sizes not consistent"):
        log_ratio([0.1, 0.2], [0.5, 0.5], 2)


def test_logqp_forgets_an_infinite_cost_under_general_noise() -> None:
    """With a pseudo-inverse it is not NaN but wrong: a drift that no noise can explain costs nothing, where
    the divergence is infinite."""
    cost = log_ratio([0.1, 0.2], [0.5, 0.0], 2, "general")
    assert (cost - 0.5 * 0.2**2).abs().max().item() < 1e-12


# --- gradients ---------------------------------------------------------------------------------------------

PATHS = 256


def per_path_gradients(n: int, solver: Callable[..., Tensor]) -> Tensor:
    """Gradients of x(1)^2 in two parameters, per path, after n Euler steps along the same paths."""
    table = normals(256, PATHS, 1).reshape(n, -1, PATHS, 1).sum(1) / math.sqrt(256)
    a = torch.full((PATHS, 1), 1.0, dtype=F64, requires_grad=True)
    b = torch.full((PATHS, 1), 0.8, dtype=F64, requires_grad=True)
    sde = Sde(lambda y: a * torch.sin(y), lambda y: b * torch.cos(y))
    y0 = torch.linspace(-1.0, 1.0, PATHS, dtype=F64).reshape(PATHS, 1)
    kwargs = {"adjoint_params": (a, b)} if solver is torchsde.sdeint_adjoint else {}
    ts = torch.tensor([0.0, 1.0], dtype=F64)
    end = solver(sde, y0, ts, bm=PreparedIncrements(table, 1 / n), dt=1 / n, method="euler", **kwargs)[-1]
    return torch.stack(torch.autograd.grad((end**2).sum(), (a, b)))


def test_ito_adjoint_is_not_the_gradient_of_the_discrete_solve() -> None:
    """It is off by half at 4 steps and by 3 % still at 256, falling like a strong error: train by
    backpropagation."""
    gaps = []
    for n in (4, 32, 256):
        exact = per_path_gradients(n, torchsde.sdeint)
        gaps.append(((per_path_gradients(n, torchsde.sdeint_adjoint) - exact).norm() / exact.norm()).item())
    assert gaps[0] > 0.3
    assert gaps[1] < gaps[0] / 2
    assert gaps[2] < gaps[1] / 2
    assert 0.01 < gaps[2] < 0.1


@pytest.mark.parametrize("n", [4, 32])
def test_backpropagation_equals_finite_differences_of_the_step_map(n: int) -> None:
    """The gradient we train with is that of the very map we evaluate with."""
    table = normals(256, PATHS, 1).reshape(n, -1, PATHS, 1).sum(1) / math.sqrt(256)
    y0 = torch.linspace(-1.0, 1.0, PATHS, dtype=F64).reshape(PATHS, 1)

    def loss(a: float, b: float) -> Tensor:
        return euler(Sde(lambda y: a * torch.sin(y), lambda y: b * torch.cos(y)), y0, table, 1 / n) ** 2

    e = 1e-5
    differences = torch.stack(
        [(loss(1 + e, 0.8) - loss(1 - e, 0.8)) / (2 * e), (loss(1, 0.8 + e) - loss(1, 0.8 - e)) / (2 * e)]
    )
    exact = per_path_gradients(n, torchsde.sdeint)
    assert ((exact - differences).norm() / exact.norm()).item() < 1e-8


# --- integer time ------------------------------------------------------------------------------------------


def both_times(n: int, method: str, dtype: torch.dtype) -> tuple[Tensor, Tensor, PreparedIncrements]:
    """The same n steps on [0, n] with unit normals and on [0, 1] with Brownian increments."""
    h = 1 / n
    z = normals(n, 16, 3, seed=3, dtype=dtype)
    u = 0.5 * z + normals(n, 16, 3, seed=4, dtype=dtype) / math.sqrt(12)  # Var U = 1/3, Cov(U, Z) = 1/2
    area = method == "srk"
    integer = PreparedIncrements(z, 1.0, u if area else None)
    real = PreparedIncrements(math.sqrt(h) * z, h, h**1.5 * u if area else None)
    y0 = torch.linspace(-1.0, 1.0, 48, dtype=dtype).reshape(16, 3)
    with torch.no_grad():
        ends = (
            solve(pendulum(h), y0, float(n), 1.0, integer, method=method),
            solve(pendulum(), y0, 1.0, h, real, method=method),
        )
    return *ends, integer


@pytest.mark.parametrize("method", ["euler", "milstein", "srk"])
@pytest.mark.parametrize("n", [64, 100, 200])
def test_integer_time_equals_real_time(method: str, n: int) -> None:
    """With drift f h, diffusion g sqrt(h) and unit normals nothing is lost, space-time Levy area included."""
    integer, real, _ = both_times(n, method, F64)
    assert (integer - real).abs().max().item() < 2e-14


@pytest.mark.parametrize("method", ["euler", "milstein", "srk"])
@pytest.mark.parametrize("n", [50, 100, 200])
@pytest.mark.parametrize("dtype", [F32, F64])
def test_integer_time_has_no_extra_steps(method: str, n: int, dtype: torch.dtype) -> None:
    """Whole numbers add up exactly: one query per step, at its index, where real time has slivers."""
    *_, bm = both_times(n, method, dtype)
    assert bm.queries == [(float(i), float(i + 1)) for i in range(n)]


def test_integer_time_equals_a_hand_written_float32_loop() -> None:
    """At 1000 steps of a growing system, to the bit; real time is another sequence of float32 steps."""
    n, h = 1000, 1e-3
    z = normals(n, 16, 3, dtype=F32)
    y0 = torch.ones(16, 3)
    scaled = Sde(lambda y: h * 5.0 * y, lambda y: math.sqrt(h) * 0.5 * torch.ones_like(y))
    plain = Sde(lambda y: 5.0 * y, lambda y: 0.5 * torch.ones_like(y))
    by_hand = euler(scaled, y0, z, 1.0)
    bm = PreparedIncrements(z)
    assert torch.equal(solve(scaled, y0, float(n), 1.0, bm), by_hand)
    assert len(bm.queries) == n
    real = PreparedIncrements(math.sqrt(h) * z, h)
    gap = (solve(plain, y0, 1.0, h, real) - by_hand).abs().max().item()
    assert gap > 1e-4  # of values up to 200
    assert len(real.queries) == n + 1


def test_srk_needs_space_time_levy_area() -> None:
    """A Brownian motion that offers increments alone is refused; ours must hand out U as well."""
    y0 = torch.zeros(16, 3, dtype=F64)
    with pytest.raises(ValueError, match="levy_area_approximation"):
        solve(pendulum(), y0, 4.0, 1.0, PreparedIncrements(torch.zeros(4, 16, 3, dtype=F64)), method="srk")


@pytest.mark.parametrize("method", ["milstein", "srk"])
def test_higher_order_schemes_refuse_general_noise(method: str) -> None:
    """A full diffusion matrix leaves Euler only, hence strong order one half."""
    table = torch.zeros(4, 16, 3, dtype=F64)
    sde = Sde(torch.neg, lambda y: torch.diag_embed(torch.ones_like(y)), noise_type="general")
    y0 = torch.ones(16, 3, dtype=F64)
    with pytest.raises(ValueError, match="noise type general"):
        solve(sde, y0, 4.0, 1.0, PreparedIncrements(table, 1.0, table), method=method)
    assert solve(sde, y0, 4.0, 1.0, PreparedIncrements(table)).shape == y0.shape
