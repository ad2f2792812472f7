"""Lower bounds of the spectral norm and of the log-norm from a few products with J and Jᵀ.

Each value is the norm's own quotient at one vector and so lies below the norm: it can refute a bound from above, never
confirm it.
"""

from typing import cast

import torch
from torch import Tensor

from ..exceptions import InvalidArgument
from ..validation import TensorLike, integer
from .linear import Linearised, Step, checked_finite, checked_state, state_of
from .probes import Columns, embedded, restricted, selected, source


def krylov_spectral_norm(
    step: Step, x: TensorLike, *, iterations: int = 10, of: Columns = None, seed: int = 0, draw: int = 0
) -> Tensor:
    """A lower bound |J v| of ‖J‖₂ for every row, v the Ritz vector of JᵀJ after some Lanczos steps.

    Args:
        step, x, of, seed, draw: as for `hutchinson`; the first vector is random.
        iterations: Lanczos steps, each one product with J and one with Jᵀ; `dim` steps give the norm up to rounding.

    Returns:
        (paths,), without gradient.

    Raises:
        InvalidArgument: an argument is not of the kind above.
        NumericalFailure: a product with J is not finite.

    Warning:
        The value under-estimates: right to refute a bound from above, wrong to confirm it.

    Source: Golub and Van Loan, Matrix Computations, 4th edition, section 10.1.

    Example:
        >>> krylov_spectral_norm(lambda x: x * torch.tensor([3.0, 1.0]), torch.zeros(1, 2))
        tensor([3.])
    """
    x = state_of(step, x)
    line, columns = Linearised(step, checked_state(x)), selected(of, x.shape[1])
    v = leading_vector(line, columns, "spectral", iterations, seed, draw)
    return _lengths(line.push(v))


def krylov_log_norm(
    step: Step, x: TensorLike, *, iterations: int = 10, of: Columns = None, seed: int = 0, draw: int = 0
) -> Tensor:
    """A lower bound vᵀJv of λ_max((J + Jᵀ)/2) for every row, v a Ritz vector after some Lanczos steps.

    Args:
        step, x, of, iterations, seed, draw: as for `krylov_spectral_norm`; J must be square.

    Returns:
        (paths,), without gradient.

    Raises:
        InvalidArgument: an argument is not of the kind above, or J is not square.
        NumericalFailure: a product with J is not finite.

    Warning:
        The value under-estimates: right to refute a bound from above, wrong to confirm it.

    Source: Golub and Van Loan, Matrix Computations, 4th edition, section 10.1.

    Example:
        >>> krylov_log_norm(lambda x: x * torch.tensor([-3.0, -1.0]), torch.zeros(1, 2))
        tensor([-1.])
    """
    x = state_of(step, x)
    line, columns = Linearised(step, checked_state(x)), selected(of, x.shape[1])
    v = leading_vector(line, columns, "log_norm", iterations, seed, draw)
    return (restricted(v, columns) * line.push(v)).sum(1)


def leading_vector(
    line: Linearised, columns: Tensor | None, kind: str, iterations: int, seed: int, draw: int
) -> Tensor:
    """Unit vectors (paths, dim), zero outside the columns, near the top of JᵀJ ("spectral") or sym J ("log_norm")."""
    iterations = integer("iterations", iterations, least=1)
    paths, dim = line.x.shape
    count = dim if columns is None else len(columns)
    if kind == "log_norm" and line.y.shape[1] != count:
        raise InvalidArgument(
            f"the log-norm needs as many outputs as columns, got {line.y.shape[1]} of {count}; choose columns by `of`."
        )

    def product(v: Tensor) -> Tensor:
        pushed = line.push(embedded(v, columns, dim))
        if kind == "spectral":
            return restricted(line.pull(pushed), columns)
        return 0.5 * (pushed + restricted(line.pull(v), columns))

    # Normal, not signs: these are the eigenvectors of many small matrices, and Lanczos would never leave them.
    start = torch.randn(paths, count, generator=source(seed, draw), dtype=line.x.dtype).to(line.x.device)
    start = start / _lengths(start)[:, None]
    return embedded(_ritz(product, start, min(iterations, count)), columns, dim)


def _ritz(product: Step, start: Tensor, iterations: int) -> Tensor:
    """Unit Ritz vectors of the largest Ritz value of a symmetric map, row by row: Lanczos, with every vector kept."""
    basis, diagonal = [start], list[Tensor]()
    beside = list[Tensor]()
    for _ in range(iterations):
        w = product(basis[-1])
        diagonal.append((w * basis[-1]).sum(1))
        # Twice: once is not enough where the space is nearly exhausted.
        for _ in range(2):
            for q in basis:
                w = w - (w * q).sum(1, keepdim=True) * q
        size = _lengths(w)
        scale = torch.stack([a.abs() for a in diagonal] + beside).amax(0)
        dead = size <= 100.0 * torch.finfo(w.dtype).eps * scale
        beside.append(torch.where(dead, 0.0, size))
        basis.append(torch.where(dead[:, None], 0.0, w / torch.where(dead, 1.0, size)[:, None]))
    basis.pop()
    off = beside[:-1]
    floor = 4.0 * torch.stack([a.abs() for a in diagonal] + beside).amax(0) + 1.0
    t = torch.zeros(len(start), iterations, iterations, dtype=start.dtype, device=start.device)
    for k in range(iterations):
        # A vector that is zero because the space was exhausted must not win with its quotient of zero.
        t[:, k, k] = torch.where(basis[k].any(1), diagonal[k], -floor)
    for k, beta in enumerate(off):
        t[:, k, k + 1] = t[:, k + 1, k] = beta
    weights = torch.linalg.eigh(checked_finite(t))[1][:, :, -1]
    v = torch.bmm(torch.stack(basis, 2), weights[:, :, None])[:, :, 0]
    return v / _lengths(v)[:, None]


def _lengths(v: Tensor) -> Tensor:
    return cast(Tensor, torch.linalg.vector_norm(v, dim=1))
