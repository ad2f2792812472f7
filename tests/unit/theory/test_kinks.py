"""Kinks by bisection: found where paths cross them, never made up for what is smooth."""

import math
from collections.abc import Callable

import pytest
import torch
from systems import F64, fixed
from torch import Tensor, nn

from sdewm.theory.hypotheses.kinks import Jump, find_jump, segments

F32 = torch.float32
Rows = Callable[[Tensor], Tensor]
DTYPES = pytest.mark.parametrize("dtype", [F32, F64], ids=["float32", "float64"])
ACTIVATIONS = {"ReLU": nn.ReLU(), "ELU": nn.ELU(), "SiLU": nn.SiLU(), "Tanh": nn.Tanh(), "GELU": nn.GELU()}
F = nn.functional


def cloud(dim: int, scale: float = 1.0, shift: float = 0.2, seed: int = 0, dtype: torch.dtype = F64) -> Tensor:
    """As many normal states as a pilot run visits."""
    return (shift + scale * fixed(128, dim, seed=seed)).to(dtype)


def look(function: Rows, states: Tensor, orders: int = 2) -> Jump | None:
    """What the bisection finds between these states."""
    return find_jump(function, *segments(states), orders)


def huber(x: Tensor) -> Tensor:
    """½x² within one, |x| − ½ beyond."""
    return F.huber_loss(x, torch.zeros_like(x), reduction="none")


def network(name: str, dim: int, seed: int, dtype: torch.dtype) -> nn.Module:
    """A random network of two hidden layers."""
    act = ACTIVATIONS[name]
    net = nn.Sequential(nn.Linear(dim, 32), act, nn.Linear(32, 32), act, nn.Linear(32, dim)).double()
    with torch.no_grad():
        for k, p in enumerate(net.parameters()):
            p.copy_(fixed(*p.shape, seed=10 * seed + k) / p.shape[-1] ** 0.5)
    return net.to(dtype)


# --- kinks ------------------------------------------------------------------------------------------------------------

# function of one variable, order of its first jump, size of the jump in one variable, places
KINKS: dict[str, tuple[Rows, int, float, list[float]]] = {
    "absolute": (torch.abs, 1, 2.0, [0.0]),
    "relu": (torch.relu, 1, 1.0, [0.0]),
    "leaky relu": (lambda x: F.leaky_relu(x, 0.9), 1, 0.1, [0.0]),
    "clamp": (lambda x: x.clamp(-0.5, 0.7), 1, 1.0, [-0.5, 0.7]),
    "hard tanh": (F.hardtanh, 1, 1.0, [-1.0, 1.0]),
    "absolute beside a line": (lambda x: 5.0 * x + x.abs(), 1, 2.0, [0.0]),
    "absolute beside a square": (lambda x: x.abs() + x**2, 1, 2.0, [0.0]),
    "large": (lambda x: 1e6 * x.abs(), 1, 2e6, [0.0]),
    "sine of an absolute": (lambda x: torch.sin(x.abs()), 1, 2.0, [0.0]),
    "floor": (torch.floor, 0, 1.0, [float(k) for k in range(-4, 6)]),
    "round": (torch.round, 0, 1.0, [k + 0.5 for k in range(-5, 5)]),
    "sign": (torch.sign, 0, 2.0, [0.0]),
    "saw": (lambda x: x - torch.floor(x), 0, 1.0, [float(k) for k in range(-4, 6)]),
}
SECOND: dict[str, tuple[Rows, int, float, list[float]]] = {
    "huber": (huber, 2, 1.0, [-1.0, 1.0]),
    "elu": (F.elu, 2, 1.0, [0.0]),
    "square of a relu": (lambda x: torch.relu(x) ** 2, 2, 2.0, [0.0]),
    "x|x|": (lambda x: x * x.abs(), 2, 4.0, [0.0]),
}
CASES = [(name, dtype, *KINKS[name]) for name in KINKS for dtype in (F32, F64)]
CASES += [(name, F64, *SECOND[name]) for name in SECOND]  # second differences in float32 are rounding


@pytest.mark.parametrize(
    ("dtype", "function", "order", "size", "places"), [c[1:] for c in CASES], ids=[f"{c[0]}-{c[1]}" for c in CASES]
)
def test_kinks_are_found_with_order_size_and_place(
    dtype: torch.dtype, function: Rows, order: int, size: float, places: list[float]
) -> None:
    """In one variable and in the fourth of eight, where the jump is the direction's share of it."""
    states = cloud(1, dtype=dtype)
    found = look(function, states)
    assert found is not None
    assert found.order == order
    # After 12 halvings in float32 a thousandth of a segment is left, over which a smooth part still moves.
    assert found.size == pytest.approx(size, rel=0.02 if dtype == F32 else 1e-6)
    assert min(abs(float(found.at[0]) - place) for place in places) < (2e-3 if dtype == F32 else 1e-8)
    within = look(lambda x: function(x[:, 3]), cloud(8, dtype=dtype))
    assert within is not None
    assert within.order == order
    assert 0.0 < within.size <= size * 1.02
    assert min(abs(float(within.at[3]) - place) for place in places) < (5e-3 if dtype == F32 else 1e-8)


@pytest.mark.parametrize("name", SECOND)
def test_no_more_orders_than_asked_for(name: str) -> None:
    """A jump of the second derivative is none of the first."""
    function, *_ = SECOND[name]
    assert look(function, cloud(1), orders=1) is None
    assert look(torch.abs, cloud(1), orders=0) is None
    assert look(torch.sign, cloud(1), orders=0) is not None


def test_third_derivatives_are_not_looked_at() -> None:
    """|x|³ and the cube of a relu have two continuous derivatives."""
    for function in (lambda x: x.abs() ** 3, lambda x: torch.relu(x) ** 3, lambda x: x.abs() ** 3.5):
        assert look(function, cloud(1)) is None


def test_a_kink_beside_the_cloud_is_not_found() -> None:
    """No segment crosses it: the probe's limit, and what 'visited' means."""
    assert look(lambda x: (x - 50.0).abs(), cloud(1)) is None


@pytest.mark.parametrize(
    "steep",
    [
        lambda x: torch.sin(10.0 * x),
        lambda x: x**4,
        lambda x: torch.exp(2.0 * x),
        lambda x: torch.tanh(30.0 * (x - 1.0)),
    ],
    ids=["wave", "fourth power", "exponential", "step"],
)
def test_a_kink_beside_something_steep_is_found(steep: Rows) -> None:
    """|x| added to what moves more elsewhere, in five clouds: the bisection must not be lured away from the kink."""
    for seed in range(5):
        found = look(lambda x: x.abs() + steep(x), cloud(1, seed=seed))
        assert found is not None
        assert found.order == 1
        assert abs(float(found.at[0])) < 1e-8


@pytest.mark.slow
@DTYPES
def test_misses(dtype: torch.dtype) -> None:
    """None in 240: |x| and relu of any size, with the kink anywhere within one deviation of a cloud of any width."""
    missed = []
    for k in range(60):
        u = torch.rand(4, generator=torch.Generator().manual_seed(k)).tolist()
        dim, scale, shift, factor = (1, 2, 8)[k % 3], 10 ** (3 * u[0] - 2), 6 * u[1] - 3, 10 ** (6 * u[3] - 3)
        kink = shift + (2 * u[2] - 1) * scale
        states = cloud(dim, scale, shift, k, dtype)
        weight = fixed(dim, 16, seed=k).to(dtype)
        for name, function in (
            ("abs", lambda x, c=kink, s=factor: s * (x - c).abs()),
            ("sum", lambda x, c=kink: (x - c).abs().sum(-1)),
            ("relu", lambda x, c=kink, s=factor: s * torch.relu(x - c)),
            ("layer", lambda x, c=kink, w=weight: torch.relu((x - c) @ w)),
        ):
            found = look(function, states)
            if found is None or found.order != 1:
                missed.append((k, name, found))
    assert missed == []


# --- what is smooth ---------------------------------------------------------------------------------------------------

SMOOTH: dict[str, Rows] = {
    "identity": lambda x: x,
    "constant": torch.ones_like,
    "zero": lambda x: 0.0 * x,
    "square": lambda x: x**2,
    "fourth power": lambda x: x**4,
    "exponential": torch.exp,
    "gauss": lambda x: torch.exp(-(x**2)),
    "sine": torch.sin,
    "tanh": torch.tanh,
    "softplus": F.softplus,
    "silu": F.silu,
    "gelu": F.gelu,
    "quotient": lambda x: 1.0 / (1.0 + x**2),
    "norm away from zero": lambda x: (1.0 + x.square().sum(-1)).sqrt(),
    "large": lambda x: 1e6 * x**2,
    "small": lambda x: 1e-9 * x**2,
    "beside a large number": lambda x: 1e6 + torch.sin(x),
    "beside a large slope": lambda x: 1e6 * x + torch.sin(x),
    "softmax": lambda x: torch.softmax(5.0 * x, -1),
    "logsumexp": lambda x: torch.logsumexp(5.0 * x, -1),
}
STEEP: dict[str, Rows] = {
    "softplus of sharpness 100": lambda x: F.softplus(x, beta=1e2),
    "softplus of sharpness 1000": lambda x: F.softplus(x, beta=1e3),
    "logistic softplus": lambda x: torch.logaddexp(torch.zeros_like(x), 100.0 * x),
    "tanh of 100 x": lambda x: torch.tanh(100.0 * x),
    "cosine of 100 x": lambda x: torch.cos(100.0 * x),
    "error function of 50 x": lambda x: torch.erf(50.0 * x),
    "root": lambda x: torch.sqrt(1e-4 + x**2),
    "narrow gauss": lambda x: torch.exp(-((20.0 * x) ** 2)),
}


@DTYPES
@pytest.mark.parametrize("dim", [1, 8])
@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_functions_have_no_kink(name: str, dim: int, dtype: torch.dtype) -> None:
    """Of any size, in one dimension and in eight."""
    assert look(SMOOTH[name], cloud(dim, dtype=dtype)) is None


@pytest.mark.slow
@DTYPES
@pytest.mark.parametrize("dim", [1, 8])
@pytest.mark.parametrize("name", STEEP)
def test_steep_functions_have_no_kink(name: str, dim: int, dtype: torch.dtype) -> None:
    """A bend narrower than the distance between states is still a bend, in eight clouds."""
    found = [look(STEEP[name], cloud(dim, seed=k, dtype=dtype)) for k in range(8)]
    assert [str(jump) for jump in found if jump is not None] == []


def families(k: int, dim: int, dtype: torch.dtype) -> dict[str, Rows]:
    """Smooth functions with random wave lengths, shifts and weights."""
    u = torch.rand(2, generator=torch.Generator().manual_seed(k)).tolist()
    s, p = 0.3 + 4.7 * u[0], 6 * u[1] - 3
    w = (fixed(dim, dim, seed=k) / dim**0.5).to(dtype)
    return {
        "sine": lambda x: torch.sin(s * x + p),
        "tanh": lambda x: torch.tanh(s * x + p),
        "exponential": lambda x: torch.exp(0.3 * s * x),
        "cubic": lambda x: x**3 - p * x**2 + s * x,
        "distance": lambda x: (x - p).square().sum(-1),
        "gauss": lambda x: torch.exp(-((s * (x - p)) ** 2)),
        "logistic": lambda x: torch.sigmoid(s * (x - p)),
        "layer": lambda x: torch.tanh(s * x @ w + p) @ w,
        "silu": lambda x: F.silu(s * x @ w + p) @ w,
        "gelu": lambda x: F.gelu(s * x + p) @ w,
        "logsumexp": lambda x: torch.logsumexp(s * x, 1),
        "quotient": lambda x: x / (1.0 + s * (x - p) ** 2),
        "hyperbola": lambda x: torch.sqrt(0.01 + (x - p) ** 2),
    }


@pytest.mark.slow
@DTYPES
def test_false_alarms(dtype: torch.dtype) -> None:
    """None in 780: thirteen smooth families with random parameters, in clouds of width 0.01 to 10."""
    alarms = []
    for k in range(60):
        u = torch.rand(2, generator=torch.Generator().manual_seed(1000 + k)).tolist()
        dim = (1, 2, 8)[k % 3]
        states = cloud(dim, 10 ** (3 * u[0] - 2), 6 * u[1] - 3, k, dtype)
        for name, function in families(k, dim, dtype).items():
            found = look(function, states)
            if found is not None:
                alarms.append((k, name, round(10 ** (3 * u[0] - 2), 3), str(found)))
    assert alarms == []


@pytest.mark.slow
@DTYPES
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_random_networks_in_eight_dimensions(name: str, dtype: torch.dtype) -> None:
    """ReLU kinks, ELU kinks one order later (in float64), and SiLU, Tanh and GELU not at all, in six networks."""
    orders = []
    for seed in range(6):
        net, states = network(name, 8, seed, dtype), cloud(8, seed=seed, dtype=dtype)
        for function in (net, lambda x, net=net: net(x) - x, lambda x, net=net: net(x).square().sum(-1)):
            found = look(function, states)
            orders.append(None if found is None else found.order)
    expected = {"ReLU": 1, "ELU": 2 if dtype == F64 else None}.get(name)
    assert orders == [expected] * 18


@pytest.mark.parametrize("name", ["log", "sqrt"])
@pytest.mark.parametrize("dim", [1, 8])
def test_the_edge_of_a_domain_is_another_complaint(name: str, dim: int) -> None:
    """States on both sides of where a logarithm or a root ends: no kink is made of that."""
    assert look(getattr(torch, name), cloud(dim)) is None
    assert look(lambda x: getattr(torch, name)(x).sum(-1), cloud(dim)) is None
    assert look(lambda x: torch.full_like(x, math.nan), cloud(dim)) is None


# --- segments ---------------------------------------------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize(("paths", "dim"), [(1, 1), (2, 3), (5, 8), (128, 2), (500, 1)])
def test_segments(paths: int, dim: int, dtype: torch.dtype) -> None:
    """At most 16 around states and 48 between them; around a state every coordinate moves, to both sides alike."""
    states = fixed(paths, dim).to(dtype)
    left, right = segments(states)
    near = min(paths, 16)
    assert near <= len(left) == len(right) <= near + min(paths // 2, 48)
    torch.testing.assert_close(0.5 * (left + right)[:near], states[:near])
    move = (right - left)[:near]
    assert float(move.min()) > 0.0
    assert float(move.max()) < 5e-4 * (1.0 + float(states.abs().max())) * (1.0 if dtype == F64 else 100.0)
    if paths > 1:
        assert all(any(torch.equal(end, state) for state in states) for end in left[near:])


@DTYPES
@pytest.mark.parametrize("dim", [1, 8])
def test_all_states_on_the_kink(dim: int, dtype: torch.dtype) -> None:
    """A base without noise sits in one point: on a kink it is found, of the first and of the second order."""
    there = torch.full((128, dim), 0.3, dtype=dtype)
    for function in (torch.abs, torch.relu):
        found = look(lambda x, function=function: function(x - 0.3), there)
        assert found is not None
        assert found.order == 1
    assert look(lambda x: torch.floor(x + 0.7), there) is not None
    if dtype == F64:
        found = look(lambda x: torch.relu(x - 0.3) ** 2, there)
        assert found is not None
        assert found.order == 2


@DTYPES
@pytest.mark.parametrize("dim", [1, 8])
def test_all_states_beside_the_kink(dim: int, dtype: torch.dtype) -> None:
    """Beside it, by more than the neighbourhood that is looked at, there is none; a smooth function never has one."""
    there = torch.full((128, dim), 0.4, dtype=dtype)
    assert look(lambda x: (x - 0.3).abs(), there) is None
    for name in SMOOTH:
        assert look(SMOOTH[name], there) is None


def test_one_state() -> None:
    """A single path has no other end, only its neighbourhood."""
    assert look(torch.abs, torch.zeros(1, 2, dtype=F64)) is not None
    assert look(torch.abs, torch.ones(1, 2, dtype=F64)) is None


def test_text() -> None:
    """The order in words, the size, and the first coordinates of the place."""
    jump = Jump(1, 2.0, torch.arange(6, dtype=F64) / 2)
    assert str(jump) == "its first derivative jumps by 2 at x = (0, 0.5, 1, 1.5, …)"
    assert str(Jump(0, 0.5, torch.zeros(1))) == "the function itself jumps by 0.5 at x = (0)"


@pytest.mark.parametrize(("size", "seen"), [(1e-3, True), (1e-5, True), (1e-7, True), (2e-9, False)])
def test_a_small_jump_beside_large_values(size: float, seen: bool) -> None:
    """A seam of a library function, 2e-9 of the values, is passed over; what is fifty times as large is not."""
    left, right = torch.full((4, 1), -1.0, dtype=F64), torch.full((4, 1), 1.0, dtype=F64)
    found = find_jump(lambda x: x + size * torch.relu(x - 0.3), left, right, 1)
    assert (found is not None) is seen
