"""E2: errors in imagined rollouts under the policy, and what injected errors cost."""

from typing import Any

import numpy as np

from sdewm.style import COLOURS, new_figure, style

from ..kit import Cases, Drawing, growth_laws, strengths_of
from ..models.reading import band
from .reading import arms_of, line, mean_returns, records_of

KINDS = ("zero drift", "drift")


def draw_compounding(cases: Cases) -> Drawing:
    """Growth against the laws of addition, and return against the size of the error."""
    found = arms_of(records_of(cases), ("plain",))["plain"]
    data: dict[str, Any] = {}
    with style():
        figure, (left, right) = new_figure(7.4, 3.4, columns=2)
        for i, kind in enumerate(KINDS):
            rows = np.array([r.arrays[f"growth/{kind}"] for r in found], dtype=float)
            steps = np.arange(1, rows.shape[1] + 1)
            name = f"{kind.replace(' ', '-')} error"
            data[kind] = band(left, steps, rows / rows[:, :1], COLOURS[i], ls=("-", "--")[i], label=name)
            keys = ["clean", *strengths_of(found[0].values["returns"], kind)]
            sizes = np.array([0.0, *(float(key.split("/")[1]) for key in keys[1:])])
            returns = np.stack([mean_returns(found, key) for key in keys], 1)
            data[f"return, {kind}"] = line(right, sizes, returns, i, name)
        growth_laws(left, steps)
        left.set_xlabel("steps N, imagined under the policy")
        left.set_ylabel("growth of the error in z")
        left.legend(loc="upper left")
        right.set_xlabel("whitened one-step size of the error, in play")
        right.set_ylabel("return")
        right.set_xticks(sizes, [f"{each:g}" for each in sizes])
        right.set_ylim(0.0, 1000.0)
        right.legend(loc="lower left")
    caption = (
        "Left: growth, relative to the first step, of errors in z of equal whitened one-step root mean square 0.1 "
        "over rollouts that are imagined under the policy, which sees them and answers; grey: the laws of plain "
        "addition. Right: return where such an error is injected into the filter at every step of play. Means (left "
        f"geometric) over {len(found)} agents and 95 % intervals."
    )
    return Drawing(figure, caption, data)
