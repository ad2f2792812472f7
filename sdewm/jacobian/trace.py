"""Unbiased estimates of ‖J‖_F² from products with random signs. Such a value lies on neither side of the norm."""

import warnings
from typing import cast

import torch
from torch import Tensor
from torch.func import jvp, vmap

from ..exceptions import InvalidArgument, SlowFallbackWarning
from ..validation import integer, one_of
from .linear import Linearised, Step, checked_state, checked_value, state_of
from .probes import DESIGNS, Columns, embedded, orthogonal, restricted, selected, signs, source

MODES = ("auto", "forward", "reverse")
Scales = tuple[Tensor, Tensor] | None


def hutchinson(
    step: Step,
    x: Tensor,
    *,
    probes: int = 1,
    of: Columns = None,
    mode: str = "auto",
    design: str = "orthogonal",
    seed: int = 0,
    draw: int = 0,
) -> Tensor:
    """Unbiased estimates of ‖J‖_F², one for each row: the mean of |J v|² (or of |Jᵀu|²) over random signs.

    One probe has the variance 2 Σ_{i≠j} (JᵀJ)²_ij; it lies above or below the norm alike.

    Args:
        step: (paths, dim) to (paths, dim_out), each row apart from the others.
        x: (paths, dim), float32 or float64.
        probes: number of probes a row.
        of: columns of x to differentiate by; by default all.
        mode: "forward" takes |J v|² by forward differentiation, "reverse" |Jᵀu|² by backpropagation; "auto" is
            "reverse" where x has a gradient and "forward" where it has none.
        design: "independent" signs for every row, or "orthogonal": signs that a batch shares so that most of its mean's
            noise cancels. The rows' estimates are then dependent.
        seed, draw: the signs are a function of both.

    Returns:
        (paths,), differentiable where gradients are enabled.

    Raises:
        InvalidArgument: an argument is not of the kind above.

    Warning:
        That rows do not mix is not checked.

    Source: Hutchinson, Communications in Statistics 19 (1990).

    Example:
        >>> hutchinson(lambda x: 2.0 * x, torch.zeros(1, 3))
        tensor([12.])
    """
    x = state_of(step, x)
    columns = selected(of, checked_state(x).shape[1])
    return value_and_squares(step, x, columns, None, probes, mode, design, seed, draw)[1]


def check_scales(scales: Scales, outputs: int) -> None:
    """Complain about scales of the output that do not fit it.

    Raises:
        InvalidArgument: there is not one for each of `outputs` coordinates.
    """
    if scales is not None and len(scales[1]) != outputs:
        raise InvalidArgument(
            f"scales of the step's value must have {outputs} entries, got {len(scales[1])}; pass a pair (D_in, D_out)."
        )


def value_and_squares(
    step: Step,
    x: Tensor,
    columns: Tensor | None,
    scales: Scales,
    probes: int,
    mode: str,
    design: str,
    seed: int,
    draw: int,
) -> tuple[Tensor, Tensor]:
    """step(x) and Hutchinson's ‖D_out⁻¹ J D_in‖_F² of each row, from one evaluation of the step a probe."""
    probes, noise = integer("probes", probes, least=1), source(seed, draw)
    # Measured (tests/bench/penalty.py): a gradient by x is dear in forward mode, and comes with the reverse one anyway.
    reverse = one_of("mode", mode, MODES) == "reverse" or (mode == "auto" and x.requires_grad)
    turn = one_of("design", design, DESIGNS) == "orthogonal"
    paths, dim = x.shape
    line = Linearised(step, x) if reverse else None
    value, total = None if line is None else line.value, None
    for _ in range(probes):
        if line is not None:
            size = line.y.shape[1]
            check_scales(scales, size)
            table = orthogonal(paths, size, noise, x) if turn else signs(paths, size, noise, x)
            u = _in_turn(table, paths)
            u = u if scales is None else u / scales[1]
            t = restricted(line.pull(u, line.keep), columns)
            t = t if scales is None else t * scales[0]
        else:
            # The probes of a later pass are new signs: passes are independent.
            size = dim if columns is None else len(columns)
            table = orthogonal(paths, size, noise, x) if turn else signs(paths, size, noise, x)
            table = embedded(table if scales is None else table * scales[0], columns, dim)
            value, t = _forward(step, x, table)
            check_scales(scales, value.shape[1])
            t = t if scales is None else t / scales[1]
        square = t.square().sum(1)
        total = square if total is None else total + square
    assert value is not None
    assert total is not None
    return value, total if probes == 1 else total / probes


def _forward(step: Step, x: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """step(x) and J v, the probes of the table in turn.

    Where a batch goes round the table several times, each probe goes through the step's first linear map only once:
    under `vmap` a tangent that the turns share stays shared until it meets a state.
    """
    paths, (size, dim) = len(x), table.shape
    turns = paths // size
    try:
        if turns < 2:
            return _pushed(step, x, _in_turn(table, paths))
        full = turns * size
        y, t = vmap(lambda rows, v: _pushed(step, rows, v), in_dims=(0, None))(x[:full].view(turns, size, dim), table)
        y, t = y.flatten(0, 1), t.flatten(0, 1)
        if full == paths:
            return y, t
        rest_y, rest_t = _pushed(step, x[full:], table[: paths - full])
        return torch.cat((y, rest_y)), torch.cat((t, rest_t))
    except (RuntimeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:120]
        said = f"no forward mode through the step, backpropagating twice instead ({reason})"
        warnings.warn(said, SlowFallbackWarning, stacklevel=2)
    line = Linearised(step, x)
    return line.value, line.push(_in_turn(table, paths), line.keep)


def _pushed(step: Step, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    y, t = cast(tuple[Tensor, Tensor], jvp(step, (x,), (v,)))
    return checked_value(y, x), t


def _in_turn(table: Tensor, paths: int) -> Tensor:
    return table if len(table) == paths else table.repeat(-(-paths // len(table)), 1)[:paths]
