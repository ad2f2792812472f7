"""Numbers around norms, against arithmetic with fifty digits."""

from decimal import Decimal, localcontext
from typing import Any

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

from sdewm import InvalidArgument
from sdewm.jacobian.rounding import (
    UNIT,
    frobenius_bounds,
    gamma,
    largest_eigenvalue,
    log_norm_bounds,
    product,
    spectral_bounds,
)

Array = NDArray[np.float64]


def exact_two(a: float, b: float, d: float) -> Decimal:
    """λ_max of [[a, b], [b, d]]."""
    x, y, z = Decimal(a), Decimal(b), Decimal(d)
    return (x + z) / 2 + (((x - z) / 2) ** 2 + y * y).sqrt()


def wild(rng: np.random.Generator, count: int) -> Array:
    """Entries of very different sizes, and some matrices that nearly are multiples of I."""
    m = rng.normal(size=(count, 2, 2)) * 10.0 ** rng.integers(-8, 9, size=(count, 2, 2))
    m[::3] = np.eye(2) * m[::3, :1, :1] + 1e-9 * m[::3]
    return np.asarray(m + m.swapaxes(1, 2))


def test_two_by_two_lies_between_the_bounds_at_fifty_digits() -> None:
    matrices = wild(np.random.default_rng(0), 3000)
    low, high = largest_eigenvalue(matrices)
    bare = np.linalg.eigvalsh(matrices)[:, -1]
    beneath = 0
    with localcontext() as context:
        context.prec = 50
        for m, below, above, plain in zip(matrices, low, high, bare, strict=True):
            truth = exact_two(m[0, 0], m[0, 1], m[1, 1])
            assert Decimal(float(below)) <= truth <= Decimal(float(above))
            beneath += Decimal(float(plain)) < truth
    assert beneath > 300  # the eigenvalue routine alone is no bound: the check above can fail
    assert (high - low <= 100 * UNIT * np.abs(matrices).sum((1, 2))).all()


def test_larger_matrices_against_another_library() -> None:
    rng = np.random.default_rng(1)
    with mpmath.workdps(40):
        for n in (1, 3, 7, 12):
            m = rng.normal(size=(n, n))
            truth = mpmath.svd_r(mpmath.matrix(m.tolist()), compute_uv=False)[0]
            low, high = spectral_bounds(m)
            assert mpmath.mpf(float(low)) <= truth <= mpmath.mpf(float(high))
            s = mpmath.matrix(m.tolist())
            low, high = log_norm_bounds(m)
            top = max(mpmath.eigsy((s + s.T) / 2, eigvals_only=True))
            assert mpmath.mpf(float(low)) <= top <= mpmath.mpf(float(high))
            low, high = frobenius_bounds(m)
            size = mpmath.sqrt(sum(mpmath.mpf(x) ** 2 for x in m.ravel().tolist()))
            assert mpmath.mpf(float(low)) <= size <= mpmath.mpf(float(high))


def test_a_wrong_eigenvalue_routine_breaks_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    m = np.array([[[2.0, 1.0], [1.0, 2.0]]])
    right = np.linalg.eigh

    def wrong(matrices: Array) -> Any:
        values, vectors = right(matrices)
        return values - 0.5, vectors[..., ::-1]

    monkeypatch.setattr(np.linalg, "eigh", wrong)
    low, high = largest_eigenvalue(m)
    assert low[0] <= 3.0 <= high[0]


def test_a_semidefinite_matrix_does_not_pass_for_less() -> None:
    # I − vvᵀ has λ_max = 1 many times over; scaled copies have many ties.
    v = np.full(6, 6**-0.5)
    low, high = largest_eigenvalue(np.eye(6) - np.outer(v, v))
    assert low <= 1.0 + 1e-15
    assert 1.0 - 1e-15 <= high < 1.0 + 1e-13


@pytest.mark.parametrize("bounds", [log_norm_bounds, spectral_bounds, frobenius_bounds])
def test_a_radius_covers_every_matrix_within_it(bounds: Any) -> None:
    rng = np.random.default_rng(2)
    m, radius = rng.normal(size=(5, 5)), rng.uniform(size=(5, 5))
    high = bounds(m, radius)[1]
    signs = rng.choice([-1.0, 1.0], size=(500, 5, 5))
    inside = bounds(m + signs * radius)[0]
    assert inside.max() <= high
    assert inside.max() > bounds(m)[1]  # the radius is needed


def test_product_covers_its_rounding() -> None:
    rng = np.random.default_rng(3)
    left, right = rng.normal(size=(3, 40)), rng.normal(size=(40, 2)) * 1e8
    value, radius = product(left, right)
    with mpmath.workdps(40):
        exact = mpmath.matrix(left.tolist()) * mpmath.matrix(right.tolist())
        for i in range(3):
            for j in range(2):
                assert abs(exact[i, j] - mpmath.mpf(float(value[i, j]))) <= mpmath.mpf(float(radius[i, j]))


def test_gamma_is_above_its_definition() -> None:
    with mpmath.workdps(40):
        for n in (1, 10, 1000):
            u = mpmath.mpf(2) ** -53
            assert gamma(n) >= n * u / (1 - n * u)


def test_what_is_not_finite_is_bounded_by_infinity() -> None:
    low, high = largest_eigenvalue(np.array([[[np.nan]], [[2.0]]]))
    assert (low[0], high[0]) == (-np.inf, np.inf)
    assert abs(high[1] - 2.0) < 1e-14


def test_an_asymmetric_matrix_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="transpose"):
        largest_eigenvalue(np.array([[0.0, 1.0], [0.0, 0.0]]))
    with pytest.raises(InvalidArgument, match="shape"):
        largest_eigenvalue(np.zeros((2, 3)))
