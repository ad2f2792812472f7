"""Norms of Jacobians, against closed forms, against each other, and on the side of the truth that they promise."""

from collections.abc import Callable

import pytest
import torch
from systems import fixed
from torch import Tensor

from sdewm import InvalidArgument, NumericalFailure
from sdewm.jacobian import (
    frobenius_squared,
    hutchinson,
    jacobians,
    krylov_log_norm,
    krylov_spectral_norm,
    log_norm,
    spectral_norm,
)

W = fixed(4, 4, seed=1)


def smooth(x: Tensor) -> Tensor:
    return torch.tanh(x @ W.to(x)) * torch.exp(-0.3 * x)


def looks_at_its_data(x: Tensor) -> Tensor:
    return smooth(x) if bool((x > -1e9).all()) else x


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_exact_norms_of_a_linear_map(dtype: torch.dtype) -> None:
    x = fixed(3, 4, seed=2).to(dtype)
    found = jacobians(lambda y: y @ W.to(dtype), x)
    torch.testing.assert_close(found, W.to(dtype).T.expand(3, 4, 4))
    torch.testing.assert_close(frobenius_squared(found), W.to(dtype).square().sum().expand(3))
    torch.testing.assert_close(spectral_norm(found), torch.linalg.svdvals(W.to(dtype))[0].expand(3))
    top = torch.linalg.eigvalsh(0.5 * (W + W.T)).to(dtype)[-1]
    torch.testing.assert_close(log_norm(found), top.expand(3))


def test_the_loop_gives_the_same_jacobians_and_says_that_it_loops() -> None:
    x = fixed(5, 4, seed=2)
    with pytest.warns(UserWarning, match="looping over its outputs"):
        looped = jacobians(looks_at_its_data, x)
    torch.testing.assert_close(looped, jacobians(smooth, x), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("step", [smooth, looks_at_its_data])
@pytest.mark.filterwarnings("ignore:no vmap through the step")
def test_jacobians_are_differentiable(step: Callable[[Tensor], Tensor]) -> None:
    x = fixed(2, 4, seed=3).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: jacobians(step, y).square().sum(), (x,))
    with torch.no_grad():
        jacobians(step, x)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("of", [2, slice(1, 3), [3, 0], torch.tensor([1]), -1])
def test_columns(of: int | slice | list[int] | Tensor) -> None:
    x = fixed(3, 4, seed=2)
    index = [of] if isinstance(of, int) else of
    torch.testing.assert_close(jacobians(smooth, x, of), jacobians(smooth, x)[:, :, index])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("of", [None, slice(1, 3)])
def test_krylov_values_lie_below_and_are_the_norm_after_dim_steps(dtype: torch.dtype, of: slice | None) -> None:
    x = fixed(6, 4, seed=4).to(dtype)
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-12}[dtype]

    def step(y: Tensor) -> Tensor:
        return smooth(y) if of is None else smooth(y)[:, of]

    matrices = jacobians(step, x, of)
    for krylov, exact in ((krylov_spectral_norm, spectral_norm), (krylov_log_norm, log_norm)):
        truth = exact(matrices)
        for iterations in (1, 2, 3):
            assert (krylov(step, x, iterations=iterations, of=of) <= truth + tolerance).all()
        torch.testing.assert_close(krylov(step, x, iterations=9, of=of), truth, rtol=tolerance, atol=tolerance)
    assert (krylov_spectral_norm(smooth, x, iterations=1) < 0.99 * spectral_norm(jacobians(smooth, x))).any()


@pytest.mark.parametrize("matrix", [[[0.0, 1.0], [1.0, 0.0]], [[-3.0, 0.0], [0.0, -3.0]], [[0.0, 0.0], [0.0, 0.0]]])
def test_krylov_where_the_space_is_exhausted_early(matrix: list[list[float]]) -> None:
    a, x = torch.tensor(matrix, dtype=torch.float64), torch.zeros(5, 2, dtype=torch.float64)
    exact = jacobians(lambda y: y @ a.T, x)
    torch.testing.assert_close(krylov_log_norm(lambda y: y @ a.T, x), log_norm(exact))
    torch.testing.assert_close(krylov_spectral_norm(lambda y: y @ a.T, x), spectral_norm(exact))


def test_a_map_that_does_not_depend_on_its_argument() -> None:
    x = fixed(3, 4)
    for step in (torch.ones_like, lambda y: torch.ones(len(y), 4, dtype=y.dtype)):
        assert not jacobians(step, x).any()
        assert not krylov_spectral_norm(step, x).any()
        for mode in ("forward", "reverse"):
            assert not hutchinson(step, x, mode=mode).any()


def test_what_is_not_finite_is_named() -> None:
    x = fixed(3, 4)
    x[1, 2] = float("nan")
    for norm in (
        lambda: krylov_spectral_norm(smooth, x),
        lambda: krylov_log_norm(smooth, x),
        lambda: spectral_norm(jacobians(smooth, x)),
        lambda: log_norm(jacobians(smooth, x)),
    ):
        with pytest.raises(NumericalFailure, match="first in row 1") as caught:
            norm()
        assert (caught.value.path, caught.value.count) == (1, 1)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: jacobians(smooth, torch.zeros(4)), "add a row dimension"),
        (lambda: jacobians(smooth, torch.zeros(2, 4, dtype=torch.int64)), "float32 or float64"),
        (lambda: jacobians(smooth, torch.zeros(2, 4), of=[]), "at least one"),
        (lambda: jacobians(smooth, torch.zeros(2, 4), of=[1, -3]), "none twice"),
        (lambda: jacobians(smooth, torch.zeros(2, 4), of=4), "4 columns"),
        (lambda: jacobians(smooth, torch.zeros(2, 4), of=-5), "of must be"),
        (lambda: jacobians(smooth, torch.zeros(2, 4), of=torch.ones(4, dtype=torch.bool)), "mask"),
        (lambda: jacobians(lambda x: x.sum(1), torch.zeros(2, 4)), "step must map"),
        (lambda: frobenius_squared(torch.zeros(2, 2)), "matrices must have shape"),
        (lambda: log_norm(torch.zeros(1, 2, 3)), "as many outputs as columns"),
        (lambda: krylov_log_norm(smooth, torch.zeros(2, 4), of=1), "as many outputs as columns"),
        (lambda: krylov_spectral_norm(smooth, torch.zeros(2, 4), iterations=0), "iterations"),
        (lambda: hutchinson(smooth, torch.zeros(2, 4), mode="sideways"), "mode"),
        (lambda: hutchinson(smooth, torch.zeros(2, 4), design="latin"), "design"),
        (lambda: hutchinson(smooth, torch.zeros(2, 4), probes=0), "probes"),
        (lambda: hutchinson(smooth, torch.zeros(2, 4), seed=-1), "seed"),
    ],
)
def test_bad_input(call: Callable[[], object], word: str) -> None:
    with pytest.raises(InvalidArgument, match=word):
        call()
