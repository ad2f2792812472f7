"""Martingales along the variations: against a second derivation, where they are everything, and with mean zero."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from alarm import assert_normal
from systems import F64
from torch import Tensor

from sdewm.drifts import DoubleWell, Linear, TanhNetwork
from sdewm.dynamics import RepresentationError, Variations, simulate_coupled
from sdewm.dynamics.martingale import Increments, Martingales, legendre, martingale_sums, tabulated
from sdewm.dynamics.step_map import StepMap
from sdewm.dynamics.variation import Terms
from sdewm.dynamics.waves import Waves
from sdewm.exceptions import InvalidArgument
from sdewm.grid import TimeGrid

GRID = TimeGrid(1.0, 5)


def sigma_bar(t: Tensor, x: Tensor) -> Tensor:
    """A diffusion error."""
    return 0.5 + 0.4 * torch.sin(2 * x)


def waves(dim: int, count: int = 3) -> Waves:
    """Functions on [−2, 2.5]."""
    return Waves(torch.full((dim,), -2.0, dtype=F64), torch.full((dim,), 2.5, dtype=F64), count)


def dense(n: Any, x: Tensor, a: Tensor | None) -> Tensor:
    """Three columns for two coordinates."""
    return 0.3 + 0.1 * torch.sin(x[:, :, None] * torch.tensor([1.0, -1.0, 0.5], dtype=x.dtype))


CASES: dict[str, tuple[Any, RepresentationError]] = {
    "shared": (DoubleWell(), RepresentationError(diffusion=sigma_bar)),
    "correlated": (TanhNetwork(dim=2), RepresentationError(diffusion=sigma_bar, correlation=-0.6)),
    "drift and start": (
        DoubleWell(),
        RepresentationError(drift=lambda t, x: torch.cos(x), diffusion=sigma_bar, initial=0.3),
    ),
    "dense": (
        StepMap(lambda n, x, a: 0.9 * torch.tanh(x), dense, 2, 3, dtype=F64),
        RepresentationError(diffusion=lambda n, x: 0.1 * dense(n, x, None).cos(), correlation="independent"),
    ),
}


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_derivatives_of_the_functions(order: int) -> None:
    """Each from the one before it, by central differences; the first from the functions themselves."""
    basis, x, h = waves(2), torch.linspace(-2.4, 2.9, 8, dtype=F64).reshape(4, 2), 1e-5

    def below(y: Tensor) -> Tensor:
        if order > 1:
            return basis.derivatives(y)[order - 2]
        k = torch.arange(1, 4, dtype=F64)[:, None] * torch.pi / 4.5
        return torch.cat((y, y**2 / 2, torch.cos(k * (y + 2.0)[:, None, :]).reshape(len(y), -1)), 1)

    slope = (below(x + h) - below(x - h)) / (2 * h)
    torch.testing.assert_close(basis.derivatives(x)[order - 1], slope, rtol=1e-8, atol=1e-8)


def test_legendre_polynomials_are_orthogonal() -> None:
    """In the limit of many steps."""
    table = legendre(4, 20_001, 20_001)
    inner = table.T @ table / len(table)
    torch.testing.assert_close(inner, torch.diag(1.0 / (2.0 * torch.arange(5, dtype=F64) + 1.0)), rtol=1e-3, atol=1e-3)


def test_times_are_constant_on_slices() -> None:
    """Few steps have a time each; many share 64."""
    assert len(legendre(1, 5)[:, 1].unique()) == 5
    assert len(legendre(1, 1000)[:, 1].unique()) == 64
    torch.testing.assert_close(legendre(3, 128)[::2], legendre(3, 64))


def sums_of(
    system: Any, error: RepresentationError, basis: Waves, degree: int, paths: int, derivatives: str = "auto"
) -> Tensor:
    """The integrals, from what is recorded along the paths."""
    member = Increments(Variations(system, error, derivatives=derivatives))
    start = torch.full(basis.low.shape, 0.6, dtype=F64)
    run = simulate_coupled({"v": member}, start, GRID, paths, save="all")["v"]
    return martingale_sums(basis, degree, run[3].states[1:], run[4].states[1:])


def by_hand(system: Any, error: RepresentationError, eps: float, basis: Waves, degree: int, paths: int) -> Tensor:
    """The martingales of the perturbed system itself, from its own step and noise, without a derivative in ε."""
    from sdewm.dynamics.brownian import BrownianMotion
    from sdewm.dynamics.member import step_map_of
    from sdewm.dynamics.step_error import step_error

    x = torch.full((paths, 1 if isinstance(system, DoubleWell) else 2), 0.6, dtype=F64)
    grid = None if isinstance(system, StepMap) else GRID
    step = step_map_of(system, x, None, GRID)
    local = step_error(error, step, x, grid)
    xi = BrownianMotion(0, GRID, step.noise_dim).normals(paths)
    zeta = BrownianMotion(0, GRID, local.own_dim, "error-1").normals(paths) if local.own_dim else None
    eta = local.start(x)
    x = x if eta is None else x + eps * eta
    total = torch.zeros(paths, (degree + 1) * basis.size, dtype=F64)
    for n in range(GRID.steps):
        mean = step.mean(n, x, None)
        mean = mean if local.drift is None else mean + eps * local.drift(n, x)
        s, e = step.scale(n, x, None), eps * local.diffusion(n, x)  # type: ignore[misc]
        s, e = (torch.diag_embed(v) if v.ndim == 2 else v for v in (s, e))
        # One column after another: the base's, with the error's share in it, and the error's own.
        shared, own = float(local.shared), float(local.own)  # type: ignore[arg-type]
        columns = [s[:, :, k] + (shared * e[:, :, k] if shared else 0.0) for k in range(s.shape[2])]
        numbers = list(xi[n].unbind(1))
        if zeta is not None:
            columns += [own * e[:, :, k] for k in range(e.shape[2])]
            numbers += list(zeta[n].unbind(1))
        b1, b2, b3, *_ = (d.reshape(paths, -1, x.shape[1]) for d in basis.derivatives(mean))
        added = torch.zeros(paths, basis.size, dtype=F64)
        for column, w in zip(columns, numbers, strict=True):
            w1, c = w[:, None, None], column[:, None, :]
            w2, w3 = (w1**2 - 1.0) / 2.0, (w1**3 - 3.0 * w1) / 6.0
            added += (b1 * c * w1 + b2 * c**2 * w2 + b3 * c**3 * w3).reshape(paths, -1)
            x_next = mean if column is columns[0] else x_next  # noqa: F821
            x_next = x_next + column * w[:, None]
        total += (legendre(degree, GRID.steps)[n][:, None] * added[:, None, :]).reshape(paths, -1)
        x = x_next
    return total


@pytest.mark.parametrize("name", CASES)
def test_they_are_derivatives_of_those_of_the_perturbed_system(name: str) -> None:
    """Coefficients of 1, ε, ε² against differences of the perturbed system's own martingales."""
    (system, error), degree, paths, h = CASES[name], 2, 7, 1e-3
    dim = 1 if isinstance(system, DoubleWell) else 2
    basis = waves(dim)
    got = sums_of(system, error, basis, degree, paths).reshape(paths, degree + 1, 3, basis.size)
    f = {k: by_hand(system, error, k * h, basis, degree, paths) for k in (-2, -1, 0, 1, 2)}
    first = (8 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12 * h)
    second = (16 * (f[1] + f[-1]) - (f[2] + f[-2]) - 30 * f[0]) / (24 * h**2)
    for j, want in enumerate((second, first, f[0])):
        torch.testing.assert_close(got[:, :, j].reshape(paths, -1), want, rtol=1e-6, atol=1e-6)


def test_they_are_all_that_is_random_where_the_value_function_is_a_basis_function() -> None:
    """dx = s dB + ε c dB, ℓ = x²/2: u = x²/2 + …, so that nothing is left but P = s c T and Q + S/2 = c² T/2."""
    s, c = 0.7, 0.4
    base = StepMap(lambda n, x, a: x, lambda n, x, a: torch.full_like(x, s), 1, 1)
    error = RepresentationError(diffusion=lambda n, x: torch.full_like(x, c))
    run = simulate_coupled({"v": Increments(Variations(base, error))}, 1.0, GRID, 50, save="all")["v"]
    sums = martingale_sums(waves(1, 0), 0, run[3].states[1:], run[4].states[1:])
    x, y1, y2 = (run[k].final for k in range(3))
    torch.testing.assert_close(x * y1 - sums[:, 3:4], torch.full_like(x, 5 * s * c))
    torch.testing.assert_close(x * y2 + 0.5 * y1**2 - sums[:, 1:2], torch.full_like(x, 5 * c**2 / 2))


@pytest.mark.parametrize("name", CASES)
def test_states_are_those_of_the_variations(name: str) -> None:
    """Whether the step's derivatives are written by hand or automatic, and so are the integrals."""
    system, error = CASES[name]
    varied = Variations(system, error)
    start = torch.full(waves(1 if isinstance(system, DoubleWell) else 2).low.shape, 0.6, dtype=F64)
    run = simulate_coupled({"alone": varied, "recorded": Increments(varied)}, start, GRID, 16)
    for k in range(3):
        torch.testing.assert_close(run["recorded"][k].final, run["alone"][k].final, rtol=1e-12, atol=1e-12)
    basis = waves(len(start))
    automatic = sums_of(system, error, basis, 1, 16, "autodiff")
    torch.testing.assert_close(sums_of(system, error, basis, 1, 16), automatic, rtol=1e-11, atol=1e-11)


def test_states_without_all_terms_are_those_of_the_variations() -> None:
    """Terms that are left out are left out of the states; the integrals are what they are."""
    system, error = CASES["correlated"]
    varied = Variations(system, error, terms=Terms.without("mixed", "half"))
    run = simulate_coupled({"alone": varied, "recorded": Increments(varied)}, 0.6, GRID, 16)
    assert torch.equal(run["recorded"][2].final, run["alone"][2].final)


@pytest.mark.parametrize("name", CASES)
def test_tables_add_up_the_same(name: str) -> None:
    """Combinations from tables are those of the sums, to the distance between two points of a table."""
    system, error = CASES[name]
    basis = waves(1 if isinstance(system, DoubleWell) else 2)
    count = 9 * basis.size
    weights = torch.linspace(-1.0, 1.0, 2 * count, dtype=F64).reshape(count, 2)
    member = Martingales(Variations(system, error), basis, 2, {5: weights})
    found = simulate_coupled({"v": member}, torch.full(basis.low.shape, 0.6, dtype=F64), GRID, 256)["v"]
    wanted = sums_of(system, error, basis, 2, 256) @ weights
    rest = (found[3].final - wanted).std() / wanted.std()
    assert rest < 0.01


def test_tables_hold_the_derivatives_of_the_combination() -> None:
    """At the centre of each point, of the functions' derivatives as they are evaluated elsewhere."""
    basis, points = waves(2), 8
    weights = torch.linspace(-1.0, 1.0, 6 * basis.size, dtype=F64)[:, None]
    table = tabulated(basis, 1, weights, 3, points).reshape(3, 12, 2, points)
    x = (-2.0 + 4.5 * (torch.arange(points, dtype=F64) + 0.5) / points)[:, None].repeat(1, 2)
    derivatives = torch.stack(basis.derivatives(x)).reshape(5, points, -1, 2)
    each = torch.einsum("sq,qefd->sefd", legendre(1, 3), weights.reshape(2, 3, -1, 2))
    first = 0
    for e, most in enumerate((5, 4, 3)):
        want = torch.einsum("sfd,mpfd->smdp", each[:, e], derivatives[:most])
        torch.testing.assert_close(table[:, first : first + most], want)
        first += most


def _means(change: Callable[[Tensor], Tensor]) -> list[tuple[float, float]]:
    """Mean and standard error of all integrals together, and of a combination from a coarse table."""
    system, error = CASES["correlated"]
    basis = waves(2)
    sums = sums_of(system, error, basis, 1, 4096)
    weights = (1.0 / sums.std(0))[:, None]
    member = Martingales(Variations(system, error), basis, 1, {5: weights})
    looked_up = simulate_coupled({"v": member}, torch.full((2,), 0.6, dtype=F64), GRID, 4096)["v"][3].final
    values = [change(each).sum(1) for each in (sums / sums.std(0), looked_up)]
    return [(float(each.mean()), float(each.std()) / 64.0) for each in values]


def test_their_means_are_zero() -> None:
    """All together; what is not centred is noticed."""
    for mean, error in _means(lambda sums: sums):
        assert_normal(mean, 0.0, error)
    for mean, error in _means(lambda sums: sums + 0.1 * sums**2):
        assert abs(mean) > 5.0 * error


def looks(shift: int) -> Tensor:
    """Combinations of increments whose integrand is that of the state `shift` steps later, from a table of one step."""
    system, error = CASES["shared"]
    run = simulate_coupled({"v": Increments(Variations(system, error))}, 0.6, TimeGrid(1.0, 32), 4096, save="all")["v"]
    mean, parts = run[3].states[1:], run[4].states[1:]
    some = mean[shift:], parts[: len(parts) - shift]
    return martingale_sums(waves(1, 0), 0, *some)[:, 5]


def test_an_integrand_that_looks_ahead_is_noticed() -> None:
    """∫ x dB-like sums are centred with the state before the step, and not with the one after it."""
    now, later = looks(0), looks(1)
    assert_normal(float(now.mean()), 0.0, float(now.std()) / 64.0)
    assert abs(float(later.mean())) > 5.0 * float(later.std()) / 64.0


def test_bad_arguments() -> None:
    varied = Variations(Linear(a=-1.0, b=0.5), RepresentationError(diffusion=sigma_bar))
    with pytest.raises(InvalidArgument, match="each low must be below its high"):
        Waves(torch.zeros(1), torch.zeros(1), 1)
    with pytest.raises(InvalidArgument, match="of must be Variations of order 2"):
        Increments(Variations(varied.system, varied.error, order=1))
    with pytest.raises(InvalidArgument, match=r"weights must be \(30, k\), got \(3, 1\)"):
        Martingales(varied, waves(1), 1, {5: torch.zeros(3, 1)})
    with pytest.raises(InvalidArgument, match="basis is of 2 coordinates, the state of 1"):
        simulate_coupled([Martingales(varied, waves(2), 0, {5: torch.zeros(30, 1)})], 1.0, GRID, 2)
    with pytest.raises(InvalidArgument, match=r"weights are for \[4\] steps, and the grid has 5"):
        simulate_coupled([Martingales(varied, waves(1), 0, {4: torch.zeros(15, 1)})], 1.0, GRID, 2)
