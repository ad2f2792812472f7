"""Is the Jacobian that will be used that of the step's values? By finite differences."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from ...dynamics.brownian import generator
from ...exceptions import NumericalFailure, Refused
from .derivative import WITHOUT, Matrices, pushed
from .driven import DrivenMap
from .units import column_sizes

# Derivatives that differ by this part of their size count as different.
_TOLERANCE = 0.05
# A kink may lie in the way of a few rows; a derivative is wrong where it is so in this part of them.
_SHARE = 0.25
_LENGTHS = (1.0, 0.1, 0.01)
_ROWS = 32


def check_derivative(step: Any, driven: DrivenMap, states: Tensor, matrices: Matrices, seed: int) -> None:
    """Compare J v with central differences along one random direction, at visited states; in float64 if that can be.

    A length of the difference is too long for one step and drowns in rounding for another: an entry is wrong where it
    is so at three lengths, and where the gap does not go away with the length, as the error of a difference does.

    Args:
        step: the user's own.
        driven: the same on its actions and noise.
        states: (steps, paths, dim), the states before each step.
        matrices: the Jacobians that will be used; they must map v to J v.
        seed: of the direction.

    Raises:
        Refused: an output's derivative is not that of its values.
        NumericalFailure: it is not finite.
    """
    steps = sorted({0, len(states) // 2, len(states) - 1})
    rows = torch.linspace(0, len(states[0]) - 1, min(len(states[0]), _ROWS)).long()
    index = rows.to(states[0].device)
    some, points = driven.rows(rows), [states[n][index] for n in steps]
    scale = column_sizes(states)
    if states[0].dtype == torch.float32:
        some, points = in_double(step, some, points)
    scale = scale.to(points[0])
    source = generator(seed, "divergence: probe")
    wrong, used, seen = [], [], []
    for n, x in zip(steps, points, strict=True):
        v = torch.randn(x.shape, generator=source, dtype=torch.float64).to(x) * scale
        automatic = pushed(lambda y, n=n: some(n, y), x, [v])[0]  # type: ignore[misc]
        if not bool(automatic.isfinite().all()):
            row = int((~automatic.isfinite().all(1)).nonzero()[0])
            raise NumericalFailure(
                f"the derivative of step {n} is not finite at a visited state (state {int(rows[row])}): keep away from "
                f"roots and quotients at zero, or {WITHOUT}",
                path=int(rows[row]),
                time=float(n),
            )
        bad, measured = _mismatch(lambda y, n=n: some(n, y), x, v, automatic)  # type: ignore[misc]
        wrong.append(bad)
        used.append(automatic)
        seen.append(measured)
    _complain(torch.cat(wrong), torch.cat(used), torch.cat(seen))
    _check_matrices(some, steps[0], points[0], scale, matrices)


def in_double(step: Any, driven: DrivenMap, points: list[Tensor]) -> tuple[DrivenMap, list[Tensor]]:
    """The map and the states in float64, if the step computes in it, or is a module of which a copy does."""
    for candidate in (lambda: step, lambda: deepcopy(step).double() if isinstance(step, nn.Module) else step):
        try:
            raised = [x.double() for x in points]
            other = driven.double(candidate())
            with torch.no_grad():
                y = other(0, raised[0])
            if isinstance(y, Tensor) and y.dtype == torch.float64:
                return other, raised
        except Exception:  # whatever it is, float32 goes on
            continue
    return driven, points


def _mismatch(function: Callable[[Tensor], Tensor], x: Tensor, v: Tensor, automatic: Tensor) -> tuple[Tensor, Tensor]:
    """Which entries are wrong at every length, and the difference quotient of the middle one."""
    digits = float(torch.finfo(x.dtype).eps)
    here = function(x).detach()
    wrong, kept = torch.ones_like(automatic, dtype=torch.bool), automatic
    gap = before = torch.zeros_like(automatic)
    with torch.no_grad():
        for k, length in enumerate(_LENGTHS):
            h = length * digits ** (1 / 3)
            ahead, behind = function(x + h * v), function(x - h * v)
            measured = (ahead - behind) / (2.0 * h)
            rounding = 20.0 * digits / h * (ahead.abs() + behind.abs() + 1e-3 * ahead.abs().amax(0))
            bound = _TOLERANCE * (measured.abs() + automatic.abs()) + rounding
            # At a kink, such as a unit at rest, any slope between those of its two sides is a derivative.
            left, right = (here - behind) / h, (ahead - here) / h
            gap = (torch.minimum(left, right) - automatic).clamp_min(0.0)
            gap = torch.maximum(gap, automatic - torch.maximum(left, right))
            wrong &= gap > bound
            if k == 1:
                kept, before = measured, gap
    return wrong & (gap > 0.2 * before), kept


def check_readout_derivative(read: Callable[[Tensor], Tensor], states: Tensor, seed: int) -> None:
    """The same for a read-out of states (steps, paths, dim).

    Raises:
        Refused: the derivative of an output is not that of its values.
    """
    index = torch.linspace(0, len(states[0]) - 1, min(len(states[0]), _ROWS)).long()
    x, source = states[len(states) // 2][index.to(states.device)], generator(seed, "divergence: read-out probe")
    v = torch.randn(x.shape, generator=source, dtype=torch.float64).to(x) * column_sizes(states).to(x)
    automatic = pushed(read, x, [v], "measure")[0]
    wrong, measured = _mismatch(read, x, v, automatic)
    _complain(wrong, automatic, measured, "measure")


def _complain(wrong: Tensor, used: Tensor, seen: Tensor, what: str = "step") -> None:
    share = wrong.double().mean(0)
    columns = (share > _SHARE).nonzero().flatten().tolist()
    if not columns:
        return
    column = columns[0]
    row = int(wrong[:, column].nonzero()[0])
    raise Refused(
        f"the derivative of {what} is not that of its values in {len(columns)} of {len(share)} outputs: output "
        f"{column} changes at the rate {float(seen[row, column]):.3g} along a probe where automatic "
        f"differentiation says {float(used[row, column]):.3g}. A straight-through sampler, a detach, "
        f"an argmax, a no_grad block or half precision inside does that: hand in the probability map in place of the "
        f"sampled one, or {WITHOUT}"
    )


def _check_matrices(driven: DrivenMap, n: int, x: Tensor, scale: Tensor, matrices: Matrices) -> None:
    """That the whole Jacobian, which may be taken row by row under vmap, agrees with the products."""
    few = x[:2]
    some = driven.rows(torch.arange(len(few)))
    v = torch.cos(torch.arange(few.numel(), dtype=few.dtype, device=few.device)).view_as(few) * scale
    product = pushed(lambda y: some(n, y), few, [v])[0].cpu().double()
    whole = matrices.of(some.of_joined(n), some.joined(n, few), driven.dim)
    whole = torch.einsum("pij,pj->pi", whole, v.cpu().double())
    gap, size = float((whole - product).abs().max()), float(product.abs().max())
    if gap > 1e-2 * size:
        raise Refused(
            f"the Jacobian of one row is not that of the batch (off by {gap:.3g} of {size:.3g}): let step do the same "
            f"for one row as for many, or {WITHOUT}"
        )
