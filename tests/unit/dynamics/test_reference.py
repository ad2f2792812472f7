"""torchsde behind one file: gradients, strong orders, foreign systems, and the Stratonovich reading."""

from typing import Any

import pytest
import torch
import torchsde
from systems import F64, Contracting, CoupledDiagonal, Geometric, fixed, full_error
from torch import Tensor, nn

from sdewm.dynamics import BrownianMotion, LatentSDE, RepresentationError, perturb, simulate, simulate_coupled
from sdewm.dynamics.integer_time import IntegerBrownian
from sdewm.grid import TimeGrid


def rms(x: Tensor) -> float:
    return float(x.detach().square().mean().sqrt())


# --- gradients -----------------------------------------------------------------------------------------------


def finite_difference_gap(system: nn.Module, parameter: nn.Parameter, method: str, u: Tensor, **options: Any) -> float:
    """Relative gap of the gradients by x0 and by the parameter, along one direction each, to central differences."""
    grid, x0 = TimeGrid(1.0, 12), 0.3 + 0.2 * fixed(4, 3, seed=13)

    def loss(x: Tensor) -> Tensor:
        final = simulate(system, x, grid, method=method, save=[0.5, 1.0], **options)
        return (final.states**2).sum() + torch.sin(final.final).sum()

    leaf = x0.clone().requires_grad_()
    parameter.grad = None
    loss(leaf).backward()
    v, size = fixed(*parameter.shape, seed=14), 1e-5
    assert leaf.grad is not None
    assert parameter.grad is not None
    gaps = []
    for exact, shift in ((float((leaf.grad * u).sum()), "x"), (float((parameter.grad * v).sum()), "p")):
        with torch.no_grad():
            values = []
            for sign in (1, -1):
                parameter.add_(sign * size * v if shift == "p" else 0 * v)
                values.append(float(loss(x0 + sign * size * u if shift == "x" else x0)))
                parameter.sub_(sign * size * v if shift == "p" else 0 * v)
        numeric = (values[0] - values[1]) / (2 * size)
        gaps.append(abs(numeric - exact) / abs(exact))
    return max(gaps)


@pytest.mark.parametrize("method", ["euler", "milstein", "srk"])
@pytest.mark.parametrize("noise", ["diagonal", "scalar", "additive"])
def test_backpropagation_is_the_derivative_of_the_discrete_map(method: str, noise: str) -> None:
    system = Contracting(noise)
    for parameter in (system.W, system.C):
        assert finite_difference_gap(system, parameter, method, fixed(4, 3, seed=15)) < 1e-6


@pytest.mark.parametrize("kind", ["general", "coupled Stratonovich", "perturbed"])
def test_backpropagation_through_what_only_euler_can(kind: str) -> None:
    base = Contracting("general")
    system: Any = {
        "general": base,
        "coupled Stratonovich": CoupledDiagonal("stratonovich"),
        "perturbed": perturb(base, full_error(), 0.2),
    }[kind]
    parameter = system.M if kind == "coupled Stratonovich" else base.C
    assert finite_difference_gap(system, parameter, "euler", fixed(4, 3, seed=15)) < 1e-6


def geometric_gradients(steps: int, adjoint: bool) -> tuple[Tensor, Tensor]:
    """Path-wise gradients of x(1)² by (a, b) and by x(0), for 1000 paths."""
    system, x0 = Geometric(), torch.ones(1000, 1, dtype=F64, requires_grad=True)
    system.a, system.b = (nn.Parameter(torch.full((1000, 1), v, dtype=F64)) for v in (-0.5, 0.6))
    final = simulate(system, x0, TimeGrid(1.0, steps), save="final", adjoint=adjoint).final
    a, b, x = torch.autograd.grad((final**2).sum(), (system.a, system.b, x0))
    return torch.stack((a, b)), x


# What the docstring of `simulate` quotes: relative gaps of these two gradients in percent, at so many Euler steps.
QUOTED = {50: (5.8, 3.1), 200: (2.5, 1.8), 800: (1.1, 0.7)}


@pytest.mark.slow
def test_adjoint_converges_to_backpropagation_with_the_step() -> None:
    gaps = {}
    for steps, quoted in QUOTED.items():
        exact, off = geometric_gradients(steps, False), geometric_gradients(steps, True)
        gaps[steps] = [100 * float((b - a).norm() / a.norm()) for a, b in zip(exact, off, strict=True)]
        for gap, number in zip(gaps[steps], quoted, strict=True):
            assert number / 1.5 < gap < number * 1.5, gaps
            assert f"{number:g}" in str(simulate.__doc__)
    for i in (0, 1):
        assert gaps[800][i] < 0.4 * gaps[50][i]


@pytest.mark.parametrize("method", ["euler", "milstein"])
def test_adjoint_sees_every_parameter(method: str) -> None:
    for noise in ("diagonal", "scalar", "additive"):
        system, gradients = Contracting(noise), []
        for adjoint in (False, True):
            system.zero_grad()
            final = simulate(system, 0.5, TimeGrid(1.0, 200), 50, method=method, save="final", adjoint=adjoint).final
            (final**2).mean().backward()
            parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in system.parameters()]
            gradients.append(torch.cat([g.flatten() for g in parts]))
        assert rms(gradients[1] - gradients[0]) < 0.1 * rms(gradients[0])
        assert bool(gradients[1].any())


def test_parameters_of_an_error_are_seen_by_backpropagation_only() -> None:
    size = torch.tensor(0.5, dtype=F64, requires_grad=True)
    error = RepresentationError(lambda t, x: size * x)
    for adjoint in (False, True):
        system, size.grad = perturb(Contracting("diagonal"), error, 0.1), None
        simulate(system, 0.5, TimeGrid(1.0, 20), 5, save="final", adjoint=adjoint).final.sum().backward()
        assert (size.grad is None) == adjoint
        assert system.base.W.grad is not None


# --- strong order --------------------------------------------------------------------------------------------


def geometric_error(method: str, steps: int, sde_type: str = "ito") -> float:
    grid, a, b = TimeGrid(1.0, steps), -0.5, 0.6
    w = BrownianMotion(0, grid, 1).increments(1000).sum(0)
    exact = torch.exp((a - (0.5 * b**2 if sde_type == "ito" else 0.0)) + b * w)
    with torch.no_grad():
        return rms(simulate(Geometric(a, b, sde_type), 1.0, grid, 1000, method=method, save="final").final - exact)


@pytest.mark.parametrize(("method", "order"), [("euler", 0.5), ("milstein", 1.0), ("srk", 1.5)])
@pytest.mark.parametrize("sde_type", ["ito", "stratonovich"])
def test_strong_order_against_the_exact_solution(method: str, order: float, sde_type: str) -> None:
    errors = [geometric_error(method, steps, sde_type) for steps in (16, 128)]
    measured = float(torch.log2(torch.tensor(errors[0] / errors[1]))) / 3
    assert abs(measured - order) < 0.2, (errors, measured)


def test_higher_methods_beat_euler_and_the_wrong_reading_is_seen() -> None:
    euler, milstein, srk = (geometric_error(method, 64) for method in ("euler", "milstein", "srk"))
    assert srk < milstein / 4 < euler / 12
    grid = TimeGrid(1.0, 64)
    w = BrownianMotion(0, grid, 1).increments(1000).sum(0)
    as_ito = simulate(Geometric(), 1.0, grid, 1000, method="srk").final - torch.exp(-0.5 + 0.6 * w)
    assert rms(as_ito) > 30 * geometric_error("srk", 64, "stratonovich")


# --- somebody else's systems -----------------------------------------------------------------------------------


class Plain:
    """As somebody would write it for torchsde: no base class, nothing but f and g."""

    noise_type, sde_type = "diagonal", "ito"

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.sin(t) - y

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return 0.3 * torch.cos(y) + 0.1 * t


class Together(torchsde.SDEIto):
    """torchsde's own base class, f_and_g only."""

    def __init__(self) -> None:
        super().__init__(noise_type="general")

    def f_and_g(self, t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return torch.sin(t) - y, torch.stack((0.3 * torch.cos(y), 0.2 * y), dim=2)


class PlainStratonovich(Plain):
    sde_type = "stratonovich"


class RealTime(torchsde.BaseBrownian):
    """The same increments in real time, for torchsde as its users run it."""

    def __init__(self, dw: Tensor, h: float) -> None:
        super().__init__()
        self.dw, self.h = dw, h

    def __call__(self, ta: Any, tb: Any = None, return_U: bool = False, return_A: bool = False) -> Tensor:
        return self.dw[round(float(ta) / self.h) : round(float(tb) / self.h)].sum(0)

    def __repr__(self) -> str:
        return "RealTime()"

    dtype = property(lambda self: self.dw.dtype)
    device = property(lambda self: self.dw.device)
    shape = property(lambda self: self.dw.shape[1:])
    levy_area_approximation = property(lambda self: "none")


def in_real_time(system: Any, x0: Tensor, grid: TimeGrid, noise_dim: int, method: str) -> Tensor:
    bm = RealTime(BrownianMotion(0, grid, noise_dim).increments(len(x0)), grid.h)
    ts = torch.tensor([0.0, grid.T], dtype=F64)
    with torch.no_grad():
        return torchsde.sdeint(system, x0, ts, bm=bm, dt=grid.h, method=method)[-1]


@pytest.mark.parametrize(
    ("system", "noise_dim", "methods"),
    [(Plain(), 3, ["euler", "milstein"]), (Together(), 2, ["euler"])],
    ids=["f, g", "f_and_g"],
)
def test_a_foreign_system_works_unchanged(system: Any, noise_dim: int, methods: list[str]) -> None:
    grid, x0 = TimeGrid(2.0, 64), fixed(20, 3)
    for method in methods:
        ours = simulate(system, x0, grid, method=method, save="final").final
        torch.testing.assert_close(ours, in_real_time(system, x0, grid, noise_dim, method), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(simulate_coupled([system], x0, grid)[0].final, simulate(system, x0, grid).final)


def test_ours_works_in_torchsde() -> None:
    system, grid, x0 = Contracting("general"), TimeGrid(2.0, 64), fixed(20, 3)
    theirs = in_real_time(system, x0, grid, 2, "euler")
    torch.testing.assert_close(simulate(system, x0, grid).final.detach(), theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("system", "noise_dim"),
    [
        (PlainStratonovich(), 3),
        (CoupledDiagonal("stratonovich"), 3),
        (Contracting("general", sde_type="stratonovich"), 2),
    ],
    ids=["foreign", "coupled diagonal", "general"],
)
def test_stratonovich_agrees_with_torchsdes_midpoint(system: Any, noise_dim: int) -> None:
    """The midpoint rule takes no derivative of g, so that torchsde need not assume g_i(x_i); for noise that does not
    commute both converge with order ½ to one solution, seen at two step sizes. Read as Itô, it goes elsewhere."""
    x0, gaps = fixed(100, 3, seed=16), []
    for steps in (32, 512):
        grid = TimeGrid(1.0, steps)
        theirs = in_real_time(system, x0, grid, noise_dim, "midpoint")
        with torch.no_grad():
            gaps.append(rms(simulate(system, x0, grid, save="final").final - theirs))

    class AsIto:
        noise_type, sde_type, f, g = system.noise_type, "ito", system.f, system.g

    wrong = rms(simulate(AsIto(), x0, TimeGrid(1.0, 512), save="final").final - theirs)
    assert gaps[1] < 0.45 * gaps[0]
    assert gaps[1] < 0.3 * wrong


# --- noise and times -------------------------------------------------------------------------------------------


class Clock(LatentSDE):
    dim = 1

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        self.seen.append(float(t))
        return torch.zeros_like(x)

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_f_is_handed_grid_times_and_called_once_a_step(dtype: torch.dtype) -> None:
    for steps in (50, 100, 200, 1000):
        clock, grid = Clock(), TimeGrid(0.7, steps)
        simulate(clock, 1.0, grid, 1, dtype=dtype, save="final")
        # Our own check and torchsde's probe the shapes once each.
        assert clock.seen[2:] == [float(torch.tensor(t, dtype=dtype)) for t in grid.times[:-1]]


@pytest.mark.parametrize("save", [[0.0], [0.0, 0.3], [0.1], [0.3, 0.5], "all", "final"])
def test_saved_states_are_rows_of_all_states(save: Any) -> None:
    grid = TimeGrid(0.5, 5)
    whole = simulate(Contracting("diagonal"), 0.5, grid, 6)
    some = simulate(Contracting("diagonal"), 0.5, grid, 6, save=save)
    assert some.states.shape == (len(some.saved), 6, 3)
    assert torch.equal(some.states, whole.states[list(some.saved)])


def test_more_paths_begin_with_the_same_paths() -> None:
    grid, system = TimeGrid(1.0, 10), Contracting("diagonal")
    many = simulate(system, 0.5, grid, 1030, method="srk").states
    torch.testing.assert_close(simulate(system, 0.5, grid, 7, method="srk").states, many[:, :7], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("n", [1, 4])
def test_space_time_area(n: int) -> None:
    """U = ∫ (W_s - W_0) ds over several steps has the moments of Brownian motion, and is that of its parts."""
    from alarm import assert_normal

    paths = 20_000
    noise = IntegerBrownian([BrownianMotion(0, TimeGrid(1.0, n), 1)], paths, F64, levy=True)
    w, u = (part[:, 0] for part in noise(0, n, return_U=True))
    for value, expected, variance in (
        ((w * w).mean(), n, 2 * n**2),
        ((w * u).mean(), n**2 / 2, n * n**3 / 3 + n**4 / 4),
        ((u * u).mean(), n**3 / 3, 2 * n**6 / 9),
    ):
        assert_normal(float(value), expected, (variance / paths) ** 0.5)
    parts = [noise(k, k + 1, return_U=True) for k in range(n)]
    before = torch.stack([p[0] for p in parts]).cumsum(0) - torch.stack([p[0] for p in parts])
    torch.testing.assert_close((torch.stack([p[1] for p in parts]) + before).sum(0)[:, 0], u)
    assert noise.shape == (paths, 1)
    assert repr(noise) == f"IntegerBrownian(steps={n}, shape=(20000, 1))"
