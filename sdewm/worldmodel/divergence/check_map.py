"""Is a callable a map of rows to rows, the same each time? Asked before anything is measured."""

from typing import Any

import torch
from torch import Tensor

from ...exceptions import InvalidArgument, NumericalFailure, Refused, SdewmError
from .driven import DrivenMap, spelled

# Two evaluations in other batches may differ by so many roundings of the largest output.
_ROUNDINGS = 1000.0


def check_map(driven: DrivenMap, x: Tensor) -> None:
    """Shapes, dtype, numbers, determinism, and rows that do not mix, at the first step.

    Raises:
        InvalidArgument: the step does not map (paths, dim) to (paths, dim) for any number of paths, in the dtype of x.
        NumericalFailure: an output is not finite.
        Refused: the step draws random numbers of its own, or mixes its rows.
    """
    given = {"x": x, "a": driven.actions, "noise": driven.noise}
    kept = {name: value.clone() for name, value in given.items() if value is not None}
    y = evaluated(driven, x)
    for name, value in kept.items():
        if not torch.equal(given[name], value):  # type: ignore[arg-type]
            raise _in_place(name)
    check_value(driven, y, x)
    allowed = allowed_gap(x, y)
    _check_again(evaluated(driven, x), y, 0)
    for row in sorted({0, len(x) // 2, len(x) - 1}):
        _check_alone(driven, x, y, row, allowed)


def check_repeats(driven: DrivenMap, base: Tensor) -> None:
    """The same at every step of a rollout: that its states come out again.

    Dropout with a small rate, or a module that counts its calls, may show itself only here.

    Raises:
        InvalidArgument, Refused: as for `check_map`.
    """
    for n in range(driven.horizon):
        x = base[n].clone()
        with torch.no_grad():
            y = driven(n, x)
        if not torch.equal(x, base[n]):
            raise _in_place("x")
        _check_again(y, base[n + 1], n)


def _check_again(y: Tensor, before: Tensor, n: int) -> None:
    gap = float((y - before).abs().max())
    if not gap <= allowed_gap(before, before):
        raise Refused(
            f"step draws random numbers of its own, or keeps something from call to call: two calls with the same "
            f"arguments, at step {n}, differ by {gap:.3g}; hand the noise in, as step(x, a, noise) with noise_dim= "
            f"standard normals a row, put layers such as dropout in eval mode, and keep memory in x."
        )


def allowed_gap(x: Tensor, y: Tensor) -> float:
    """By how much two evaluations may differ for their rounding."""
    return _ROUNDINGS * float(torch.finfo(x.dtype).eps) * max(float(y.abs().max()), float(x.abs().max()))


def _in_place(name: str) -> InvalidArgument:
    return InvalidArgument(f"step changes its argument {name} in place: let it work on {name}.clone().")


def _check_alone(driven: DrivenMap, x: Tensor, y: Tensor, row: int, allowed: float) -> None:
    index = torch.tensor([row])
    try:
        with torch.no_grad():
            alone = driven.rows(index)(0, x[row : row + 1])
    except SdewmError:
        raise
    except Exception as error:
        raise InvalidArgument(
            f"step must take any number of rows, but with row {row} alone it fails ({first_line(error)}): what belongs "
            f"to a row goes into x or a, and batch normalisation into eval mode."
        ) from error
    if not isinstance(alone, Tensor) or alone.shape != (1, y.shape[1]):
        got = tuple(alone.shape) if isinstance(alone, Tensor) else type(alone).__name__
        raise InvalidArgument(f"step must map any number of rows to as many, but one row gives {got}.")
    gap = float((alone[0] - y[row]).abs().max())
    # Written so that numbers that are not finite are caught as well.
    if not gap <= allowed:
        raise Refused(
            f"step mixes its rows: row {row} alone gives another value than in the batch, by {gap:.3g}; put batch "
            f"normalisation in eval mode, and let no row depend on the others."
        )


def evaluated(driven: DrivenMap, x: Tensor) -> Any:
    """The first step, with the reason where it fails.

    Raises:
        InvalidArgument: it fails.
    """
    try:
        with torch.no_grad():
            return driven(0, x)
    except SdewmError:
        raise
    except Exception as error:
        raise InvalidArgument(
            f"step cannot be called as {spelled(driven)} with {described(driven, x)}: {first_line(error)}; pass "
            f"states, actions and noise_dim in the model's shapes and dtype."
        ) from error


def described(driven: DrivenMap, x: Tensor) -> str:
    """The arguments of a call, for messages."""
    parts = [f"x {tuple(x.shape)}"]
    if driven.actions is not None:
        parts.append(f"a {tuple(driven.actions.shape[1:])}")
    if driven.noise is not None:
        parts.append(f"noise {tuple(driven.noise.shape[1:])}")
    return f"{', '.join(parts)} in {str(x.dtype).removeprefix('torch.')} on {x.device}"


def check_value(driven: DrivenMap, y: Any, x: Tensor) -> None:
    """That an output has the shape and dtype of the states, and is finite.

    Raises:
        InvalidArgument, NumericalFailure: as for `check_map`.
    """
    if not isinstance(y, Tensor):
        got = type(y).__module__.partition(".")[0] + "." + type(y).__name__
        raise InvalidArgument(
            f"step must return a tensor of shape {tuple(x.shape)}, got {got}; join several states by torch.cat, and "
            f"compute in torch, not in numpy, so that it can be differentiated."
        )
    if y.shape != x.shape or y.dtype != x.dtype or y.device != x.device:
        raise InvalidArgument(
            f"step must return {x.dtype} {tuple(x.shape)} on {x.device} like its states, got {y.dtype} "
            f"{tuple(y.shape)} on {y.device}."
        )
    bad = ~y.isfinite().all(1)
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        raise NumericalFailure(
            f"{spelled(driven)} is not finite in {int(bad.sum())} of {len(y)} rows, first in row {row}.",
            path=row,
            count=int(bad.sum()),
        )


def first_line(error: Exception) -> str:
    """What an error says, without its full stop."""
    return (str(error).splitlines() or [type(error).__name__])[0][:160].rstrip(".")
