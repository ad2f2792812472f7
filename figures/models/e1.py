"""E1(a): the Jacobian of models that were trained with and without latent error."""

from collections.abc import Callable

import numpy as np

from sdewm.run import Record
from sdewm.style import COLOURS, GREY, new_figure, style

from ..kit import Cases, Drawing
from .reading import arm, error_at, forest, paired_log_ratio, per_cent, records_of

NORMS = ("frobenius, whitened", "spectral, whitened", "frobenius, raw", "frobenius by z, raw", "spectral, raw")
NOISY = {
    "zero drift": "zero drift in training",
    "drift": "drift in training",
    "penalty": "whitened penalty, prior map",
}


def draw_regularises(cases: Cases) -> Drawing:
    """Norms seed by seed, and the changes of all endpoints."""
    records = records_of(cases)
    plain = arm(records, "plain")
    with style():
        figure, (left, right) = new_figure(7.4, 3.8, columns=2)
        pairs = [[_norm(NORMS[0])(r) for r in part] for part in (plain, arm(records, NOISY["zero drift"]))]
        left.plot([0, 1], np.array(pairs), color=GREY, lw=0.8, marker="o", ms=3.5)
        left.set_xticks([0, 1], ["plain", "zero-drift error\nin training"])
        left.set_xlim(-0.3, 1.3)
        left.set_ylabel("whitened Frobenius norm of the prior map")
        left.set_title("One line a training seed")
        rows, colours = [], []
        for i, (kind, name) in enumerate(NOISY.items()):
            found = arm(records, name)
            for norm in NORMS if found else ():
                rows.append((f"{kind}: {norm}", per_cent(paired_log_ratio(plain, found, _norm(norm)))))
                colours.append(COLOURS[i])
            for steps in (25, 50) if found else ():
                change = per_cent(paired_log_ratio(plain, found, error_at(steps)))
                rows.append((f"{kind}: error {steps} steps ahead", change))
                colours.append(COLOURS[i])
        forest(right, rows, colours)
        right.set_xlabel("change by the error in training (%)")
    caption = (
        "Left: root mean square whitened Frobenius norm of the prior map's Jacobian at filtered held-out states, for "
        "models trained without and with a zero-drift error in z. Right: changes of norms and of the open-loop error, "
        f"mean over {len(plain)} pairs and 95 % interval. Judged is the first line; the others are shown."
    )
    return Drawing(figure, caption, {"norm": dict(zip(("plain", "with"), pairs, strict=True)), "changes": dict(rows)})


def _norm(name: str) -> Callable[[Record], float]:
    def read(record: Record) -> float:
        return float(record.values["jacobian"][name])

    return read
