"""Is a read-out a map of rows to rows, the same each time? Asked before it is followed."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...exceptions import InvalidArgument, NumericalFailure, Refused, SdewmError
from .check_map import allowed_gap, first_line


def check_readout(measure: Any, x: Tensor) -> Callable[[Tensor], Tensor]:
    """The read-out as a map of (paths, dim) to (paths, anything), flattened, in memory of its own.

    Raises:
        InvalidArgument: it is no such map, or writes into the states.
        NumericalFailure: a value is not finite.
        Refused: it draws random numbers of its own, or mixes its rows.

    Example:
        >>> check_readout(lambda x: x[:, None, :1], torch.ones(2, 3))(torch.zeros(2, 3)).shape
        torch.Size([2, 1])
    """
    if not callable(measure):
        raise InvalidArgument(f"measure must be a callable of states, got {type(measure).__name__}.")
    given = x.clone()
    seen = _evaluated(measure, given)
    if not torch.equal(given, x):
        raise InvalidArgument("measure changes the states in place: let it work on x.clone().")
    if not isinstance(seen, Tensor) or seen.ndim < 2 or len(seen) != len(x) or seen.dtype != x.dtype:
        got = f"{seen.dtype} {tuple(seen.shape)}" if isinstance(seen, Tensor) else type(seen).__name__
        raise InvalidArgument(
            f"measure must map states {tuple(x.shape)} to a tensor ({len(x)}, anything) of {x.dtype}, got {got}."
        )
    seen = seen.flatten(1).clone()
    bad = ~seen.isfinite().all(1)
    if bool(bad.any()):
        row, count = int(bad.nonzero()[0]), int(bad.sum())
        raise NumericalFailure(
            f"measure is not finite in {count} of {len(x)} states, first in state {row}.", path=row, count=count
        )
    allowed = allowed_gap(x, seen)
    again = float((_evaluated(measure, given).flatten(1) - seen).abs().max())
    if not again <= allowed:
        raise Refused(
            f"measure draws random numbers of its own: two calls with the same states differ by {again:.3g}; let it "
            f"return a mean in place of a sample, and put layers such as dropout in eval mode."
        )
    row = len(x) - 1
    alone = _evaluated(measure, given[row:])
    gap = float((alone.flatten(1)[0] - seen[row]).abs().max()) if len(alone) == 1 else float("inf")
    if not gap <= allowed:
        raise Refused(
            f"measure mixes its rows: row {row} alone gives another value than in the batch, by {gap:.3g}; put batch "
            f"normalisation in eval mode, and let no row depend on the others."
        )
    return lambda y: measure(y).flatten(1).clone()


def _evaluated(measure: Any, x: Tensor) -> Any:
    try:
        with torch.no_grad():
            return measure(x)
    except SdewmError:
        raise
    except Exception as error:
        raise InvalidArgument(f"measure fails on states {tuple(x.shape)}: {first_line(error)}.") from error
