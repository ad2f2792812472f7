"""Records computed again, and compared; `sdewm verify-records` is its command."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from ..exceptions import InvalidArgument
from ..run.store import Record, Store, provenance
from ..validation import integer
from .claim import Row
from .tasks import Task, compute, distinct


@final
@dataclass(frozen=True)
class Verified:
    """One record that was computed again.

    Attributes:
        name: of the record.
        claim: the claim's id.
        difference: what differs, in words; empty if nothing does, to the bit.
        elsewhere: what differs between where it was made and here, in words: a reason to expect other rounding.
    """

    name: str
    claim: str
    difference: str
    elsewhere: str

    def __str__(self) -> str:
        where = f" (made with {self.elsewhere})" if self.elsewhere else ""
        return f"{self.claim} {self.name}: {self.difference or 'equal to the bit'}{where}"


def verify(
    catalogue: Sequence[Row],
    store: Store,
    *,
    sample: int = 5,
    draw: int = 0,
    budget: str = "standard",
    seed: int = 0,
    said: Callable[[Verified], None] = lambda verified: None,
) -> list[Verified]:
    """Compute a random sample of a catalogue's records again and compare values and arrays to the bit.

    Args:
        catalogue: rows.
        store: where the records are; nothing is written to it.
        sample: how many records, at most all that are there.
        draw: seed of the sample.
        budget: of the run that made them.
        seed: of the run that made them.
        said: called with each result as it comes.

    Raises:
        InvalidArgument: there are no records of this catalogue, budget and seed.
    """
    integer("sample", sample, least=1)
    integer("draw", draw, least=0)
    integer("seed", seed, least=0)
    found = [(task, store.inspect(task.name)) for task in distinct(catalogue, budget, seed)]
    there = [(task, record) for task, record in found if record is not None]
    if not there:
        raise InvalidArgument(
            f"results {store.place} must hold records of budget {budget!r} and seed {seed}, got none."
        )
    chosen = np.random.default_rng(draw).permutation(len(there))[:sample]
    results = []
    for i in chosen:
        results.append(_verified(*there[i]))
        said(results[-1])
    return results


def _verified(task: Task, record: Record | str) -> Verified:
    if isinstance(record, str):
        return Verified(task.name, task.claim.id, f"not intact: {record}", "")
    here = provenance()
    other = [f"{name} {record.made.get(name)}" for name in _MATTERS if record.made.get(name) != here[name]]
    return Verified(task.name, task.claim.id, difference(record, compute(task)), ", ".join(other))


_MATTERS = ("torch", "torchsde", "python", "machine", "instructions")


def difference(old: Record, new: Record) -> str:
    """How the contents of two records differ, in words; empty if they are equal to the bit."""
    parts = [f"value {name!r}" for name in sorted(old.values.keys() | new.values.keys()) if _differ(old, new, name)]
    for name in sorted(old.arrays.keys() | new.arrays.keys()):
        a, b = old.arrays.get(name), None if name not in new.arrays else np.asarray(new.arrays[name])
        if a is None or b is None or a.shape != b.shape or a.dtype != b.dtype:
            parts.append(f"array {name!r} has another shape or kind")
        elif np.ascontiguousarray(a).tobytes() != np.ascontiguousarray(b).tobytes():
            with np.errstate(all="ignore"):
                gap = np.nanmax(np.abs(a - b)) if a.dtype.kind in "fc" else np.inf
            parts.append(f"array {name!r} by at most {gap:.3g}")
    return f"differs in {', '.join(parts)}" if parts else ""


def _differ(old: Record, new: Record, name: str) -> bool:
    # As JSON has it: a tuple is a list there, and NaN is equal to itself.
    return name not in old.values or name not in new.values or _plain(old.values[name]) != _plain(new.values[name])


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_plain, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_plain(value[key])}' for key in sorted(value))}}}"
    return repr(value)
