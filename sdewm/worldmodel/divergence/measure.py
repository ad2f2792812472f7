"""Base and perturbed rollouts on one noise, and the exact linear response to the same errors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...dynamics.brownian import BrownianMotion
from ...exceptions import NumericalFailure
from ...grid import TimeGrid
from .derivative import pushed
from .driven import DrivenMap
from .injection import Injection
from .units import Unit

# What is larger cannot be squared.
_LARGEST = 1e150

Measure = Callable[[Tensor], Tensor]


@final
@dataclass(frozen=True, eq=False)
class Squares:
    """Squared errors of one injection, per state, float64.

    Attributes:
        error: |T⁺ e_N|² / rank, (sizes, horizon + 1, paths).
        first: the same of the linear response to an injection of size 1, (horizon + 1, paths), or None.
        read: squared error of the read-out, mean over its columns, (sizes, horizon + 1, paths), or None.
        read_first: the same of its linear response, or None.
    """

    error: Tensor
    first: Tensor | None
    read: Tensor | None
    read_first: Tensor | None


def base_states(driven: DrivenMap, start: Tensor) -> Tensor:
    """All states of the unperturbed rollout, (horizon + 1, paths, dim).

    Raises:
        NumericalFailure: a state is not finite.
    """
    states = [start]
    with torch.no_grad():
        for n in range(driven.horizon):
            states.append(_finite(driven(n, states[-1]), n + 1, "the base rollout", "shorten the horizon"))
    return torch.stack(states)


def perturbed_states(driven: DrivenMap, start: Tensor, injection: Injection, size: float, of: Tensor) -> Tensor:
    """All states of a rollout with this error in the columns `of`, (horizon + 1, paths, dim).

    Raises:
        NumericalFailure: a state is not finite.
    """
    states = [_added(start, injection.start, size, of)]
    with torch.no_grad():
        for n in range(driven.horizon):
            x = _added(driven(n, states[-1]), injection.after(n), size, of)
            what = f"the rollout with {injection.kind} of size {size:g}"
            states.append(_finite(x, n + 1, what, "shorten the horizon, or lower sizes"))
    return torch.stack(states)


def rounding_floor(driven: DrivenMap, base: Tensor, unit: Unit, of: Tensor, seed: int) -> Tensor:
    """Root mean square error that rounding alone makes, (horizon + 1,): what lies near it says nothing of the model.

    By a rollout whose states are moved by one rounding of each number at every step.
    """
    digits, steps = float(torch.finfo(base.dtype).eps), driven.horizon
    motion = BrownianMotion(seed, TimeGrid(steps, steps), driven.dim, "divergence: rounding")
    noise = motion.normals(base.shape[1]).to(base)
    x, squares = base[0], [torch.zeros((), dtype=torch.float64)]
    with torch.no_grad():
        for n in range(steps):
            x = driven(n, x)
            x = x + digits * noise[n] * x
            squares.append(unit.squares(_plain((x - base[n + 1])[:, of])).mean())
    return torch.stack(squares).sqrt()


def measure_squares(
    driven: DrivenMap,
    base: Tensor,
    injections: Sequence[Injection],
    sizes: Sequence[float],
    of: Tensor,
    measure: Measure | None,
    tangents: bool,
) -> list[Squares]:
    """Squared errors of every injection at every size, and their first-order predictions.

    Args:
        driven: the map.
        base: its states, from `base_states`.
        injections: what is injected.
        sizes: c.
        of: the columns it is injected into.
        measure: a read-out of states that is measured as well.
        tangents: whether the linear response is followed.

    Raises:
        NumericalFailure: a rollout left the numbers.
        Refused: the step or the read-out cannot be differentiated.
    """
    with torch.no_grad():
        read = None if measure is None else [measure(x) for x in base]
    first = _responses(driven, base, injections, of, measure) if tangents else [(None, None)] * len(injections)
    result = []
    for injection, (response, read_response) in zip(injections, first, strict=True):
        errors, reads = [], []
        for size in sizes:
            x = perturbed_states(driven, base[0], injection, size, of)
            errors.append(injection.unit.squares(_plain((x - base)[..., of])))
            if measure is not None and read is not None:
                with torch.no_grad():
                    reads.append(torch.stack([_mean_square(measure(p) - r) for p, r in zip(x, read, strict=True)]))
        result.append(Squares(torch.stack(errors), response, torch.stack(reads) if reads else None, read_response))
    return result


def _responses(
    driven: DrivenMap, base: Tensor, injections: Sequence[Injection], of: Tensor, measure: Measure | None
) -> list[tuple[Tensor | None, Tensor | None]]:
    zero = torch.zeros_like(base[0])
    y = [_added(zero, injection.start, 1.0, of) for injection in injections]
    squares: list[list[Tensor]] = [[] for _ in injections]
    reads: list[list[Tensor]] = [[] for _ in injections]

    def note(x: Tensor) -> None:
        for kept, injection, each in zip(squares, injections, y, strict=True):
            kept.append(injection.unit.squares(_plain(each[:, of])))
        if measure is not None:
            for kept, seen in zip(reads, pushed(measure, x, y, "measure"), strict=True):
                kept.append(_mean_square(seen))

    note(base[0])
    for n in range(driven.horizon):
        moved = pushed(lambda x, n=n: driven(n, x), base[n], y)  # type: ignore[misc]
        y = [_added(each, injection.after(n), 1.0, of) for each, injection in zip(moved, injections, strict=True)]
        note(base[n + 1])
    stacked = [torch.stack(kept) for kept in squares]
    return [(s, torch.stack(r) if r else None) for s, r in zip(stacked, reads, strict=True)]


def _added(x: Tensor, pushes: Tensor | None, size: float, of: Tensor) -> Tensor:
    """x with size · pushes added to the columns `of`; the sum is rounded once, in the dtype of x."""
    if pushes is None:
        return x
    return x.index_add(1, of, (size * pushes).to(x).expand(len(x), -1))


def _plain(x: Tensor) -> Tensor:
    return x.cpu().double()


def _mean_square(x: Tensor) -> Tensor:
    return _plain(x).square().flatten(1).mean(1)


def _finite(x: Tensor, n: int, what: str, remedy: str) -> Tensor:
    bad = ~(x.abs() < _LARGEST).all(1)
    if bool(bad.any()):
        row, count = int(bad.nonzero()[0]), int(bad.sum())
        said = "reaches 1e150" if bool(x.isfinite().all()) else "is not finite"
        raise NumericalFailure(
            f"{what} {said} after step {n} in {count} of {len(x)} states, first in state {row}: {remedy}.",
            path=row,
            time=float(n),
            count=count,
        )
    return x
