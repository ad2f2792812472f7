"""L7, E4 and E5: learning curves."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sdewm.style import new_figure, style

from ..kit import Cases, Drawing
from .reading import arms_of, line, mean_returns, records_of

# Episodes that are averaged over: single ones are rough.
WINDOW = 5


def draw_solved(cases: Cases) -> Drawing:
    """As it is, and under an error of the encoder that is too large to learn anything."""
    return _draw(cases, ("plain", "large drift in training"))


def draw_stability(cases: Cases) -> Drawing:
    """Under an error of the encoder, without and with a penalty."""
    return _draw(cases, ("plain", "drift in training", "drift in training, penalty"))


def draw_speed(cases: Cases) -> Drawing:
    """Without and with a penalty."""
    return _draw(cases, ("plain", "penalty, prior map", "penalty, filter map"))


def _draw(cases: Cases, names: Sequence[str]) -> Drawing:
    records = records_of(cases)
    arms = arms_of(records, names)
    data: dict[str, Any] = {}
    with style():
        figure, (left, right) = new_figure(7.4, 3.4, columns=2)
        for i, (name, found) in enumerate(arms.items()):
            each = found[0].key["settings"]["environment steps"] / len(found[0].arrays["curve"])
            kernel = np.ones(WINDOW) / WINDOW
            rows = np.array([np.convolve(r.arrays["curve"], kernel, "valid") for r in found])
            steps = (np.arange(rows.shape[1]) + WINDOW) * each / 1000.0
            data[name] = line(left, steps, rows, i, name, marks=False)
            final = mean_returns(found, "clean")
            right.plot(np.full(len(final), i) + np.linspace(-0.12, 0.12, len(final)), final, ".", color="0.45")
            line(right, np.array([float(i)]), final[:, None], i, name)
            data[f"final return, {name}"] = final.tolist()
        left.set_xlabel("thousand environment steps")
        left.set_ylabel(f"return in training, mean of {WINDOW} episodes")
        left.set_ylim(bottom=0.0)
        left.legend(loc="upper left")
        right.set_xticks(range(len(arms)), [name.replace(", ", ",\n").replace(" in ", "\nin ") for name in arms])
        right.set_xlim(-0.5, len(arms) - 0.5)
        right.set_ylabel("final return, greedy")
        right.set_ylim(0.0, 1000.0)
    lost = dict.fromkeys(names, 0)
    for record in records:
        if record.values["diverged"] and record.key["settings"]["arm"] in lost:
            lost[record.key["settings"]["arm"]] += 1
    said = ", ".join(f"{name} {count}" for name, count in lost.items() if count) or "none"
    caption = (
        "Left: return of the episodes that are played while training, mean over seeds and 95 % interval. Right: return "
        f"of the trained agents, one point a seed, with mean and 95 % interval. Runs that left the numbers: {said}."
    )
    return Drawing(figure, caption, data)
