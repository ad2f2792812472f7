"""Tables of the trained agents in the paper's layout: a row a perturbation and strength, a column an arm."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from sdewm.run import Record
from sdewm.stats import student_interval

from ..kit import LEVEL, Cases, strengths_of
from .reading import Array, arms_of, mean_returns, records_of

HORIZONS = (1, 10, 25, 50, 100)
KINDS = ("noise", "rotation", "masking", "zero drift", "drift")
Row = tuple[str, ...]
Arms = Mapping[str, Sequence[Record]]


def agent_tables(cases: Cases) -> dict[str, list[Row]]:
    """All tables, by title; the first row of each is its head.

    Args:
        cases: those of E3, which has all arms.
    """
    whole = records_of(cases)
    tables: dict[str, list[Row]] = {}
    for task in dict.fromkeys(str(record.key["settings"]["task"]) for record in whole):
        records = [record for record in whole if record.key["settings"]["task"] == task]
        arms = arms_of(records, task=task)
        tables[f"{task}: return, mean over seeds [95 % interval] (seeds)"] = list(_returns(arms))
        tables[f"{task}: training, open-loop errors, Jacobian of the prior map"] = [
            *_training(arms),
            *_jacobian(arms),
            _lost(arms, records),
        ]
    return tables


def _returns(arms: Arms) -> Iterator[Row]:
    yield ("perturbation", "strength", *arms)
    first = next(iter(arms.values()), [])
    kept = first[0].values["returns"] if first else {}
    for key in (*(["clean"] if kept else []), *(key for kind in KINDS for key in strengths_of(kept, kind))):
        kind, _, strength = key.partition("/")
        yield (kind, strength or "0", *(_cell(mean_returns(found, key), 0) for found in arms.values()))


def _training(arms: Arms) -> Iterator[Row]:
    yield ("what", "actions ahead", *arms)
    yield ("mean return while training", "", *(_cell(_curves(found), 0) for found in arms.values()))
    for where in ("own", "random"):
        for steps in HORIZONS:
            name = f"open loop/{where}"
            errors = (_errors(found, name, steps) for found in arms.values())
            yield (f"error, episodes of {where} actions", str(steps), *(_cell(each, 3) for each in errors))


def _jacobian(arms: Arms) -> Iterator[Row]:
    for norm in ("frobenius, raw", "frobenius, whitened", "spectral, whitened"):
        norms = (
            np.array([float(r.values["jacobian"][norm]) for r in found if "jacobian" in r.values])
            for found in arms.values()
        )
        yield (f"Jacobian, {norm}", "1", *(_cell(each, 2) for each in norms))


def _lost(arms: Arms, records: Sequence[Record]) -> Row:
    """How many runs left the numbers; an arm of which fewer than two are left has no column."""
    lost = [record.key["settings"]["arm"] for record in records if record.values["diverged"]]
    return (
        "runs that left the numbers",
        "",
        *(f"{lost.count(name)} of {len(arms[name]) + lost.count(name)}" for name in arms),
    )


def _errors(found: Sequence[Record], name: str, steps: int) -> Array:
    squares = [float(record.arrays[name][steps - 1]) for record in found if name in record.arrays]
    result: Array = np.sqrt(np.array(squares, dtype=float))
    return result


def _curves(found: Sequence[Record]) -> Array:
    return np.array([record.arrays["curve"].mean() for record in found], dtype=float)


def _cell(values: Array, digits: int) -> str:
    if len(values) < 2:
        return "not measured"
    low, high = student_interval(values, LEVEL)
    return f"{values.mean():.{digits}f} [{low:.{digits}f} {high:.{digits}f}] ({len(values)})"
