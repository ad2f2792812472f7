"""Tables of the trained models: open-loop and perturbed errors, Jacobians, where first order ends."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from sdewm.run import Record
from sdewm.stats import student_interval

from ..kit import LEVEL, Cases, strengths_of
from .reading import BASELINES, MODELS, TASKS, Array, arm, predictor, records_of

HORIZONS = (1, 10, 25, 50, 100)
KINDS = ("noise", "rotation", "masking", "mass")
Row = tuple[str, ...]


def learned_tables(cases: Cases) -> dict[str, list[Row]]:
    """All tables, by title; the first row of each is its head.

    Args:
        cases: those of L4: plain models of all tasks.
    """
    records = records_of(cases)
    return {
        "Open-loop error in standard deviations, mean over seeds [95 % interval]": list(_horizons(records)),
        "Perturbed observations: error 25 steps ahead over that on clean ones": list(_perturbed(records)),
        "Norms of the prior map's Jacobian, and the largest Lyapunov exponent a step": list(_jacobians(records)),
        "Latent error of filtering, root mean squares a whitened coordinate": list(_residuals(records)),
        "Last step at which first order is a tenth off, and whitened growth after 25 steps": list(_breakdown(records)),
    }


def as_text(tables: dict[str, list[Row]]) -> str:
    """Tables in plain text."""
    parts = []
    for title, rows in tables.items():
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        parts.append("\n".join([title, *lines]))
    return "\n\n".join(parts)


def as_csv(rows: Sequence[Row]) -> str:
    """One table as CSV; its cells hold no commas."""
    return "".join(",".join(cell.replace(",", ";") for cell in row) + "\n" for row in rows)


def _cell(values: Array, digits: int = 3) -> str:
    low, high = student_interval(values, LEVEL)
    return f"{values.mean():.{digits}f} [{low:.{digits}f} {high:.{digits}f}]"


def _plain(records: Sequence[Record]) -> Iterator[tuple[str, str, list[Record]]]:
    for task in TASKS:
        for model in (*MODELS, "categorical RSSM"):
            found = arm(records, "plain", task, model)
            if len(found) > 1:
                yield task, model, found


def _root(found: Sequence[Record], name: str, steps: int) -> Array:
    return np.sqrt([float(record.arrays[name][steps - 1]) for record in found])


def _horizons(records: Sequence[Record]) -> Iterator[Row]:
    yield ("task", "predictor", "of", *(f"{n} steps" for n in HORIZONS))
    done = set()
    for task, model, found in _plain(records):
        for what in ("horizon", "reward"):
            own = f"{what}/{predictor(found[0])}"
            if own in found[0].arrays:
                cells = (_cell(_root(found, own, n)) for n in HORIZONS)
                yield (task, model, "observation" if what == "horizon" else "reward", *cells)
        if task not in done:
            done.add(task)
            for name in BASELINES:
                values = (f"{np.sqrt(found[0].arrays[f'horizon/{name}'][n - 1]):.3f}" for n in HORIZONS)
                yield (task, name, "observation", *values)


def _perturbed(records: Sequence[Record]) -> Iterator[Row]:
    yield ("task", "model", "perturbation", "strength", "ratio")
    for task, model, found in _plain(records):
        clean = _root(found, f"horizon/{predictor(found[0])}", 25)
        kept = found[0].values["perturbed"]
        for name in (name for kind in KINDS for name in strengths_of(kept, kind)):
            kind, strength = name.split("/")
            errors = _each(found, lambda r, n=name: r.values["perturbed"][n]["25"])  # type: ignore[misc]
            yield (task, model, kind, strength, _cell(errors / clean, 2))


def _jacobians(records: Sequence[Record]) -> Iterator[Row]:
    norms = ("frobenius, raw", "frobenius, whitened", "spectral, raw", "spectral, whitened")
    yield ("task", "model", *(name.replace(",", "") for name in norms), "Lyapunov")
    for task, model, found in _plain(records):
        cells = (_cell(_each(found, lambda r, n=name: r.values["jacobian"][n]), 2) for name in norms)  # type: ignore[misc]
        yield (task, model, *cells, _cell(_each(found, lambda r: r.arrays["lyapunov"][0]), 3))


def _residuals(records: Sequence[Record]) -> Iterator[Row]:
    """How large σ and σ̄ are, and the error of the transition beside the spread of the representation."""
    steps = ("1", "5", "10", "25", "50")
    yield ("task", "model", "residual", "drift σ", "sampling spread", *(f"transition after {n}" for n in steps))
    for task, model, found in _plain(records):
        sizes = [r.values["residuals"]["mean squares a coordinate, with intervals over episodes"] for r in found]
        of = [each["whitened"] for each in sizes]
        cells = [_cell(np.sqrt([max(each[name][0], 0.0) for each in of])) for name in ("residual", "drift", "spread")]
        cells += [_cell(np.sqrt([each["transition"][n][0] for each in of])) for n in steps]
        yield (task, model, *cells)


def _breakdown(records: Sequence[Record]) -> Iterator[Row]:
    yield ("task", "model", "error", "block", "size", "within a tenth up to (median; least; most)", "growth after 25")
    for task, model, found in _plain(records):
        for name, own in found[0].values["growth"].items():
            kind, block, size = name.split("/")
            upto = [r.values["growth"][name]["within a tenth up to"] or 0 for r in found]
            grown = np.array([float(r.arrays[f"growth/{name}"][24] / r.arrays[f"growth/{name}"][0]) for r in found])
            said = f"{np.median(upto):.0f}; {min(upto)}; {max(upto)}"
            yield (task, model, kind, block, size, said, _cell(grown, 1))
            del own


def _each(found: Sequence[Record], read: Callable[[Record], float]) -> Array:
    return np.array([float(read(record)) for record in found])
