"""The discrete bounds on an error's growth, beside the error, on some of the states."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...jacobian import spectral_norm
from ...theory.bounds import mean_value_jacobian
from .derivative import Matrices, Rows
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
    injections: Sequence[Injection],
    size: float,
    of: Tensor,
    metric: tuple[Tensor, Tensor],
    marks: list[int],
    matrices: Matrices,
) -> list[PathBounds]:
    """|e_N| ≤ ‖J̃_{N−1} ⋯ J̃_0‖ |e_0| + Σ_n ‖J̃_{N−1} ⋯ J̃_{n+1}‖ |d_n|, and three looser bounds.

    J̃_n are mean-value Jacobians, which carry the error of each path over exactly, so that this holds path by path up to
    rounding, for the columns that the error is injected into. With ‖J̃‖ a product of the steps' own norms it is looser,
    with Frobenius norms looser still; and with the largest spectral norm of all that were seen in place of each it is
    the form with one constant, L = sup ‖J‖.

    Args:
        driven: the map, on the states that are looked at.
        base: its rollout.
        injections, size: the errors, d_n = size · T ω_n each.
        of: the columns it is injected into.
        metric: W and W⁻¹; norms are taken of W J W⁻¹ and W e.
        marks: the N, increasing.
        matrices: how Jacobians are taken.

    Warning:
        What is bounded is the error of these states only, and "largest" is a supremum over what was seen: not
        certified. `sdewm.theory.constants` certifies, for networks that it can read.
    """
    w, back = metric
    count, paths = len(injections), base.shape[1]
    # All errors side by side, as so many more paths.
    x = torch.cat([perturbed_states(driven, base[0], each, size, of) for each in injections], 1)
    base, driven = base.repeat(1, count, 1), driven.rows(torch.arange(paths).repeat(count))
    error = ((x - base).cpu().double() @ w.T)[..., of.cpu()].norm(dim=2)
    jacobians = []
    for n in range(driven.horizon):
        # In the metric's own coordinates: what makes good the error of the quadrature is then least in this metric.
        step, move = _in_metric(driven.of_joined(n), driven.dim, w.to(x), back.to(x))
        start, end = (move(driven.joined(n, states[n])) for states in (base, x))
        with matrices.watched(), torch.no_grad():
            whole = mean_value_jacobian(step, start, end, _NODES)
        jacobians.append(whole[:, :, : driven.dim].detach().cpu().double())
    result = []
    for each, rows in zip(injections, torch.arange(count * paths).split(paths), strict=True):
        own = [j[rows] for j in jacobians]
        result.append(PathBounds(error[marks][:, rows], _bounds_of(each, size, own, w, of.cpu(), marks)))
    return result


def _bounds_of(
    injection: Injection, size: float, jacobians: list[Tensor], w: Tensor, of: Tensor, marks: list[int]
) -> dict[str, Tensor]:
    paths, horizon = len(jacobians[0]), len(jacobians)
    block = w[of][:, of]
    initial = _norms(injection.start, size, block, paths)
    pushes = [_norms(injection.after(n), size, block, paths) for n in range(horizon)]
    norms = {
        "spectral": [spectral_norm(j) for j in jacobians],
        "Frobenius": [torch.linalg.matrix_norm(j) for j in jacobians],
    }
    largest = torch.stack(norms["spectral"]).max()
    norms["largest"] = [largest.expand_as(initial)] * horizon
    bounds = {"product": _products(jacobians, initial, pushes, of, marks)}
    for name, each in norms.items():
        bounds[name] = _recursion(each, initial, pushes, marks)
    return bounds


def _in_metric(function: Rows, dim: int, w: Tensor, back: Tensor) -> tuple[Rows, Rows]:
    """The function of rows (W x, a, ξ) to W y, and what makes such rows."""

    def moved(rows: Tensor) -> Tensor:
        return torch.cat((rows[:, :dim] @ w.T, rows[:, dim:]), 1)

    def step(rows: Tensor) -> Tensor:
        return function(torch.cat((rows[:, :dim] @ back.T, rows[:, dim:]), 1)) @ w.T

    return step, moved


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
