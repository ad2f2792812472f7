"""One form for every system: shapes, dtypes, actions, and the Itô form of a Stratonovich system."""

from typing import Any

import pytest
import torch
from systems import F64, Contracting, CoupledDiagonal, Geometric, Network, fixed
from torch import Tensor, nn

from sdewm.dynamics import LatentSDE, euler_map
from sdewm.dynamics.system import check_system, system_dtype
from sdewm.exceptions import InvalidArgument, Refused
from sdewm.grid import TimeGrid


@pytest.mark.parametrize(("noise", "columns"), [("diagonal", 3), ("scalar", 1), ("additive", 2), ("general", 2)])
def test_checked_system_keeps_the_fields(noise: str, columns: int) -> None:
    system, x = Contracting(noise), fixed(4, 3)
    checked = check_system(system, x)
    assert (checked.dim, checked.noise_dim, checked.noise_type, checked.source) == (3, columns, noise, system)
    assert checked.diagonal == (noise == "diagonal")
    t = torch.tensor(0.3, dtype=F64)
    assert torch.equal(checked.drift(t, x, None), system.f(t, x))
    assert torch.equal(checked.diffusion(t, x, None), system.g(t, x))


def test_the_class_itself_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        LatentSDE()  # type: ignore[abstract]


def test_dtype_of_a_system() -> None:
    assert system_dtype(Geometric(dtype=torch.float32)) == torch.float32
    assert system_dtype(Network()) == F64
    assert system_dtype(object()) == F64
    counter = nn.Module()
    counter.register_buffer("n", torch.zeros(1, dtype=torch.long))
    assert system_dtype(counter) == F64


def stratonovich_correction(columns: Any, x: Tensor) -> Tensor:
    """½ Σ_k (Dg_k) g_k, row by row from full Jacobians."""
    rows = []
    for row in x:
        value = columns(row)
        jacobian = torch.func.jacrev(columns)(row)  # (d, m, d)
        rows.append(0.5 * torch.einsum("ikj,jk->i", jacobian, value))
    return torch.stack(rows)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize(
    "system",
    [Geometric(sde_type="stratonovich"), CoupledDiagonal("stratonovich")]
    + [Contracting(noise, sde_type="stratonovich") for noise in ("diagonal", "scalar", "additive", "general")],
    ids=["geometric", "coupled", "diagonal", "scalar", "additive", "general"],
)
def test_stratonovich_drift_is_corrected(system: Any, grad: bool) -> None:
    x, t = fixed(5, system.dim, seed=3), torch.tensor(0.4, dtype=F64)

    def columns(row: Tensor) -> Tensor:
        g = system.g(t, row[None])[0]
        return torch.diag(g) if g.ndim == 1 else g

    checked = check_system(system, x)
    with torch.set_grad_enabled(grad):
        drift = checked.drift(t, x, None)
    expected = stratonovich_correction(columns, x).detach()
    torch.testing.assert_close((drift - system.f(t, x)).detach(), expected, rtol=1e-12, atol=1e-14)
    assert bool(expected.any()) == (system.noise_type != "additive")
    assert checked.source is system


def test_corrected_drift_is_differentiable_in_states_and_parameters() -> None:
    system = CoupledDiagonal("stratonovich")
    t = torch.tensor(0.0, dtype=F64)

    def drift(x: Tensor, M: Tensor) -> Tensor:
        system.M.data = M.detach()
        del system._parameters["M"]
        system.__dict__["M"] = M
        try:
            return check_system(system, x).drift(t, x, None)
        finally:
            del system.__dict__["M"]
            system.M = nn.Parameter(M.detach())

    assert torch.autograd.gradcheck(drift, (fixed(2, 3).requires_grad_(), fixed(3, 3, seed=1).requires_grad_()))


class Undifferentiable(LatentSDE):
    dim, sde_type = 1, "stratonovich"

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return x

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        class Once(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, y: Tensor) -> Tensor:
                return y.clone()

            @staticmethod
            def backward(ctx: Any, v: Tensor) -> Tensor:
                raise RuntimeError("no derivative here")

        return Once.apply(x)


def test_stratonovich_without_derivative_is_refused() -> None:
    with pytest.raises(
        Refused, match=r"Undifferentiable is Stratonovich .* \(no derivative here\); write it in Itô form"
    ):
        check_system(Undifferentiable(), fixed(2, 1))


class Driven(LatentSDE):
    dim, action_dim = 2, 3

    def f(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return -x + a[:, :2]

    def g(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return 0.1 + a[:, 2:].expand(-1, 2) ** 2


def test_euler_map_is_the_euler_step() -> None:
    grid, x, a = TimeGrid(2.0, 8), fixed(4, 2), fixed(4, 3, seed=1)
    step, system, t = euler_map(Driven(), grid), Driven(), torch.tensor(0.75, dtype=F64)
    torch.testing.assert_close(step.mean(3, x, a), x + 0.25 * system.f(t, x, a))
    torch.testing.assert_close(step.scale(3, x, a), 0.5 * system.g(t, x, a))
    assert (step.dim, step.noise_dim, step.action_dim) == (2, 2, 3)
    held = fixed(8, 3, seed=2)
    closed = euler_map(Driven(), grid, held)
    assert closed.action_dim == 0
    torch.testing.assert_close(closed.mean(3, x, None), step.mean(3, x, held[3].expand(4, -1)))


def test_hand_written_derivatives_of_a_stratonovich_system_are_not_used() -> None:
    from systems import NetworkByHand

    class Other(NetworkByHand):
        sde_type = "stratonovich"

    grid = TimeGrid(1.0, 4)
    assert euler_map(NetworkByHand(), grid).derivatives is not None
    assert euler_map(Other(), grid).derivatives is None


class OnlyBoth:
    noise_type, sde_type = "diagonal", "ito"

    def f_and_g(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return -x, 0.5 * x


def test_f_and_g_only() -> None:
    x, t = fixed(3, 2), torch.tensor(0.0, dtype=F64)
    checked = check_system(OnlyBoth(), x)
    assert torch.equal(checked.drift(t, x, None), -x)
    assert torch.equal(checked.diffusion(t, x, None), 0.5 * x)


def test_errors_inside_f_keep_their_cause() -> None:
    class Broken(Geometric):
        def f(self, t: Tensor, x: Tensor) -> Tensor:
            return x @ torch.ones(7, 7, dtype=F64)

    with pytest.raises(InvalidArgument, match=r"Broken\.f failed on a state of shape \(2, 1\)") as caught:
        check_system(Broken(), fixed(2, 1))
    assert isinstance(caught.value.__cause__, RuntimeError)
