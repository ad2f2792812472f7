"""The discrete bounds on an error's growth, beside the error, on some of the states."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...jacobian import spectral_norm
from ...theory.bounds import mean_value_jacobian
from .derivative import Matrices
from .driven import DrivenMap
from .injection import Injection
from .measure import perturbed_states

BOUNDS = ("product", "spectral", "Frobenius", "largest")
_NODES = 2


@final
@dataclass(frozen=True, eq=False)
class PathBounds:
    """|W e_N| and what bounds it, for each state, at some N.

    Attributes:
        error: (marks, paths).
        bounds: for each of `BOUNDS`, (marks, paths).
    """

    error: Tensor
    bounds: dict[str, Tensor]


def path_bounds(
    driven: DrivenMap,
    base: Tensor,
    injection: Injection,
    size: float,
    of: Tensor,
    metric: tuple[Tensor, Tensor],
    marks: list[int],
    matrices: Matrices,
) -> PathBounds:
    """|e_N| ≤ ‖J̃_{N−1} ⋯ J̃_0‖ |e_0| + Σ_n ‖J̃_{N−1} ⋯ J̃_{n+1}‖ |d_n|, and three looser bounds.

    J̃_n are mean-value Jacobians, which carry the error of each path over exactly, so that this holds path by path up to
    rounding, for the columns that the error is injected into. With ‖J̃‖ a product of the steps' own norms it is looser,
    with Frobenius norms looser still; and with the largest spectral norm of all that were seen in place of each it is
    the form with one constant, L = sup ‖J‖.

    Args:
        driven: the map, on the states that are looked at.
        base: its rollout.
        injection, size: the error, d_n = size · T ω_n.
        of: the columns it is injected into.
        metric: W and W⁻¹; norms are taken of W J W⁻¹ and W e.
        marks: the N, increasing.
        matrices: how Jacobians are taken.

    Warning:
        What is bounded is the error of these states only, and "largest" is a supremum over what was seen: not
        certified. `sdewm.theory.constants` certifies, for networks that it can read.
    """
    w, back = metric
    x = perturbed_states(driven, base[0], injection, size, of)
    error = ((x - base).cpu().double() @ w.T)[..., of.cpu()]
    jacobians = []
    for n in range(driven.horizon):
        with matrices.watched(), torch.no_grad():
            whole = mean_value_jacobian(driven.of_joined(n), driven.joined(n, base[n]), driven.joined(n, x[n]), _NODES)
        jacobians.append(w @ whole[:, :, : driven.dim].detach().cpu().double() @ back)
    block = w[of.cpu()][:, of.cpu()]
    initial = _norms(injection.start, size, block, x.shape[1])
    pushes = [_norms(injection.after(n), size, block, x.shape[1]) for n in range(driven.horizon)]
    norms = {
        "spectral": [spectral_norm(j) for j in jacobians],
        "Frobenius": [torch.linalg.matrix_norm(j) for j in jacobians],
    }
    largest = torch.stack(norms["spectral"]).max()
    norms["largest"] = [largest.expand_as(initial)] * driven.horizon
    bounds = {"product": _products(jacobians, initial, pushes, of.cpu(), marks)}
    for name, each in norms.items():
        bounds[name] = _recursion(each, initial, pushes, marks)
    return PathBounds(error[marks].norm(dim=2), bounds)


def _norms(pushes: Tensor | None, size: float, block: Tensor, paths: int) -> Tensor:
    if pushes is None:
        return torch.zeros(paths, dtype=torch.float64)
    norms: Tensor = (size * pushes @ block.T).norm(dim=-1).expand(paths)
    return norms


def _recursion(norms: list[Tensor], initial: Tensor, pushes: list[Tensor], marks: list[int]) -> Tensor:
    rows = [initial]
    for norm, push in zip(norms, pushes, strict=True):
        rows.append(norm * rows[-1] + push)
    return torch.stack(rows)[marks]


def _products(jacobians: list[Tensor], initial: Tensor, pushes: list[Tensor], of: Tensor, marks: list[int]) -> Tensor:
    """Backwards from each N, so that every product is formed once."""
    rows = []
    dim = jacobians[0].shape[-1]
    for mark in marks:
        # The rows of the product in which the error is measured; its columns in which it was injected.
        p = torch.eye(dim, dtype=torch.float64)[of].expand(len(initial), -1, -1)
        total = torch.zeros_like(initial)
        for n in reversed(range(mark)):
            if bool((pushes[n] > 0.0).any()):
                total = total + spectral_norm(p[:, :, of]) * pushes[n]
            p = p @ jacobians[n]
        if bool((initial > 0.0).any()):
            total = total + spectral_norm(p[:, :, of]) * initial
        rows.append(total)
    return torch.stack(rows)
