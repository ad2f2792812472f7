"""Arrays and lists of numbers are taken wherever a tensor is, and give the same numbers to the bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sdewm
from sdewm import InvalidArgument, LatentSDE, RepresentationError, TimeGrid, jacobian_penalty
from sdewm.drifts import Linear, TanhNetwork
from sdewm.dynamics import StepMap, euler_map, perturb, tame
from sdewm.jacobian import GRUMap, hutchinson, jacobians, krylov_log_norm, krylov_spectral_norm, spectral_norm
from sdewm.theory.bounds import LogNorm, alekseev_groebner, linear_noise, variational
from sdewm.theory.bounds.rollout import draw_normals
from sdewm.validation import tensor
from sdewm.worldmodel import Episodes

GRID = TimeGrid(1.0, 4)
STARTS = np.linspace(-1.0, 1.0, 12).reshape(6, 2)
NETWORK = TanhNetwork(dim=2, gain=0.4, seed=3)
UNIT = RepresentationError(diffusion=lambda t, x: torch.ones_like(x))
APART = RepresentationError(diffusion=lambda t, x: torch.ones_like(x), correlation="independent")


class Driven(LatentSDE):
    dim, action_dim = 2, 2

    def f(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return a - x

    def g(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return 0.3 * torch.ones_like(x)


class Nameless:
    """Without a dim of its own."""

    noise_type, sde_type = "diagonal", "ito"

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return -x

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.ones_like(x)


def square(x: Tensor) -> Tensor:
    return (x**2).sum(-1)


ACTIONS = np.arange(8).reshape(4, 2)
DRIVEN: dict[str, Any] = {"assume": (), "extrapolate": False}
IN: dict[str, Callable[[Any, Any], Any]] = {
    "simulate": lambda x, a: sdewm.simulate(Driven(), x, GRID, actions=a).states,
    "simulate_coupled": lambda x, a: sdewm.simulate_coupled([Driven()], x, GRID, actions=a)[0].states,
    "expand": lambda x, a: sdewm.expand(Driven(), UNIT, square, x, GRID, actions=a).to_dict(),
    "expand to a tolerance": lambda x, a: sdewm.expand(NETWORK, UNIT, square, x[0], GRID, tolerance=0.2).to_dict(),
    "check": lambda x, a: sdewm.check(LogNorm(), NETWORK, UNIT, 0.05, x, GRID).to_dict(),
    "order_test": lambda x, a: sdewm.order_test(Driven(), UNIT, square, x, GRID, actions=a).to_dict(),
    "weak_identity": lambda x, a: sdewm.weak_identity(NETWORK, UNIT, square, x, GRID, eps=0.1).to_dict(),
    "rollout_penalty": lambda x, a: sdewm.rollout_penalty(Driven(), APART, x, GRID, actions=a).to_dict(),
    "check_hypotheses": lambda x, a: str(sdewm.check_hypotheses(Driven(), UNIT, square, x, GRID, actions=a)),
    "perturb": lambda x, a: sdewm.simulate(perturb(Nameless(), UNIT, 0.1, x0=x), x, GRID).states,
    "tame": lambda x, a: sdewm.simulate_coupled([tame(Nameless(), GRID, x0=x)], x, GRID)[0].states,
    "euler_map": lambda x, a: sdewm.simulate_coupled([euler_map(Driven(), GRID, a)], x, GRID)[0].states,
    "initial error": lambda x, a: (
        sdewm.simulate(perturb(NETWORK, RepresentationError(initial=x), 0.1), [0.1, 0.2], GRID, 6).states
    ),
    "correlation": lambda x, a: (
        sdewm.simulate(
            perturb(NETWORK, RepresentationError(diffusion=UNIT.diffusion, correlation=x[2:4]), 0.1), x, GRID
        ).states
    ),
    "jacobian_penalty": lambda x, a: jacobian_penalty(torch.sin, x),
    "whitened": lambda x, a: jacobian_penalty(torch.sin, x, kind="whitened", scales=a[1]),
    "step_and_penalty": lambda x, a: sdewm.jacobian.step_and_penalty(torch.sin, x, share=0.5)[0],
    "jacobians": lambda x, a: jacobians(torch.sin, x),
    "hutchinson": lambda x, a: hutchinson(torch.sin, x),
    "spectral": lambda x, a: krylov_spectral_norm(torch.sin, x),
    "log-norm": lambda x, a: krylov_log_norm(torch.sin, x),
    "matrices": lambda x, a: spectral_norm(x[None] if not isinstance(x, list) else [x]),
    "divergence": lambda x, a: sdewm.divergence(lambda s, u: s + 0.1 * u, x, a, errors="initial").to_dict(),
    "variational": lambda x, a: variational(NETWORK, RepresentationError(initial=1.0), x, GRID, 6, 0, eps=0.1).value,
    "linear noise": lambda x, a: linear_noise(Linear(), UNIT, x[0][:1], GRID, eps=0.1).covariances,
    "Alekseev-Groebner": lambda x, a: (
        alekseev_groebner(
            MAP, sdewm.perturb(MAP, UNIT, 0.1), x, NORMALS.tolist() if isinstance(x, list) else NORMALS
        ).residual
    ),
}
MAP = euler_map(NETWORK, GRID)
NORMALS = draw_normals(MAP, GRID, 6, 0)
FORMS: dict[str, Callable[[Any], Any]] = {
    "float64": lambda v: v,
    "list": lambda v: v.tolist(),
    "read-only": lambda v: np.broadcast_to(v, v.shape),
    "backwards": lambda v: v[::-1].copy()[::-1],
    "big-endian": lambda v: v.astype(v.dtype.newbyteorder(">")),
    "Fortran": np.asfortranarray,
}


def same(a: Any, b: Any) -> bool:
    return torch.equal(a, b) if isinstance(a, Tensor) else bool(np.all(np.asarray(a == b)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", IN)
def test_arrays_and_lists_give_the_same_as_tensors(name: str, form: str) -> None:
    act, given = IN[name], FORMS[form]
    expected = act(torch.from_numpy(STARTS), torch.from_numpy(ACTIONS).double())
    assert same(act(given(STARTS), given(ACTIONS)), expected)


def test_what_is_given_is_not_changed() -> None:
    class InPlace(LatentSDE):
        dim = 2

        def f(self, t: Tensor, x: Tensor) -> Tensor:
            return x.zero_()

        def g(self, t: Tensor, x: Tensor) -> Tensor:
            return torch.zeros_like(x)

    before = STARTS.copy()
    sdewm.simulate(InPlace(), STARTS, GRID)
    np.testing.assert_array_equal(STARTS, before)


def test_an_array_takes_the_dtype_of_the_model() -> None:
    layer = nn.Linear(2, 2)
    assert jacobian_penalty(layer, STARTS, exact=True).dtype == torch.float32
    assert jacobian_penalty(torch.sin, STARTS.astype(np.float32)).dtype == torch.float64
    assert jacobian_penalty(GRUMap(nn.GRUCell(1, 1)), STARTS).dtype == torch.float32
    assert sdewm.simulate(Linear(), np.ones((2, 1), np.float32), GRID).states.dtype == torch.float64
    assert sdewm.divergence(layer, STARTS, horizon=2, errors="initial", jacobians=False).dtype == "float32"


def test_times_and_sizes_may_be_arrays() -> None:
    kept = sdewm.simulate(NETWORK, STARTS, GRID, save=np.array([0.5, 1.0]))
    assert kept.times == (0.5, 1.0)
    found = sdewm.divergence(torch.sin, STARTS, horizon=2, errors="initial", sizes=np.array([0.1, 0.01]))
    assert {c.size for c in found.curves} == {0.1, 0.01}
    tested = sdewm.order_test(NETWORK, UNIT, square, STARTS, GRID, sizes=np.array([0.01, 0.02, 0.04]))
    assert tested.remainders.sizes == (0.01, 0.02, 0.04)


def test_episodes_of_arrays() -> None:
    o, a = np.random.default_rng(0).normal(size=(2, 8, 3)), np.zeros((2, 7, 1), dtype=int)
    made = Episodes(o, a, rewards=np.ones((2, 7)), continues=np.ones((2, 7), bool))  # type: ignore[arg-type]
    assert {part.dtype for part in (made.observations, made.actions, made.rewards, made.continues)} == {torch.float32}
    np.testing.assert_allclose(made.observations.numpy(), o, rtol=1e-6)
    images = Episodes(np.zeros((2, 8, 3, 16, 16), np.uint8), a)  # type: ignore[arg-type]
    assert images.images


@pytest.mark.parametrize("value", ["here", None, [[1.0], [1.0, 2.0]], np.array([1, "a"], dtype=object), {"a": 1}])
def test_what_is_no_number_is_refused_in_one_sentence(value: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"^x0 must hold numbers, as a tensor, an array or a list .*\.$"):
        tensor("x0", value)
    with pytest.raises(InvalidArgument, match=r"^x0 must hold numbers"):
        sdewm.expand(NETWORK, UNIT, square, value, GRID, tolerance=0.1)


def test_a_long_array_is_not_printed_whole() -> None:
    with pytest.raises(InvalidArgument) as caught:
        tensor("x0", np.full((300, 2), None))
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


def test_hypotheses_are_checked_for_as_many_paths_as_there_are_actions() -> None:
    each = np.zeros((4, 6, 2))
    found = sdewm.check_hypotheses(Driven(), UNIT, square, [0.1, 0.2], GRID, actions=each)
    assert str(found) == str(
        sdewm.check_hypotheses(Driven(), UNIT, square, [0.1, 0.2], GRID, actions=tensor("a", each))
    )


def test_a_step_map_takes_arrays() -> None:
    step = StepMap(lambda n, x, a: 0.5 * x, lambda n, x, a: torch.ones_like(x), 2, 2)
    assert sdewm.simulate_coupled([step], STARTS, GRID)[0].final.shape == (6, 2)
