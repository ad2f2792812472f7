"""E2: growth of drift and zero-drift errors over a rollout of trained models."""

from typing import Any

import numpy as np

from sdewm.style import COLOURS, new_figure, style

from ..kit import Cases, Drawing, growth_laws
from .reading import MODELS, TASKS, arm, band, records_of

KINDS = ("zero drift", "drift")
SIZE = 0.1


def draw_compounding(cases: Cases) -> Drawing:
    """Growth of whitened errors of both kinds, injected into z, for both models and tasks."""
    records = records_of(cases)
    data: dict[str, Any] = {}
    with style():
        figure, axes = new_figure(7.2, 5.4, columns=2, rows=2)
        for ax, (task, model) in zip(axes, [(t, m) for t in TASKS for m in MODELS], strict=True):
            found = arm(records, "plain", task, model)
            for i, kind in enumerate(KINDS):
                rows = np.array([r.arrays[f"growth/{kind}/z/{SIZE:g}"] for r in found])
                steps = np.arange(1, rows.shape[1] + 1)
                name = f"{task}, {model}, {kind}"
                data[name] = band(
                    ax,
                    steps,
                    rows / rows[:, :1],
                    COLOURS[i],
                    ls=("-", "--")[i],
                    label=f"{kind.replace(' ', '-')} error",
                )
                predicted = np.array([r.arrays[f"growth/{kind}/z/first order"] for r in found])
                middle = np.exp(np.log(predicted / predicted[:, :1]).mean(0))
                ax.plot(steps, middle, color="black", lw=0.9, ls=(0, (1, 1)))
                data[f"{name}, first order"] = middle.tolist()
            growth_laws(ax, steps)
            ax.set_title(f"{model}, {task}")
        axes[0].legend(loc="upper left")
        for ax in axes[2:]:
            ax.set_xlabel("steps N of the rollout")
        for ax in axes[::2]:
            ax.set_ylabel("growth of the error in z")
    caption = (
        "Growth over a rollout of errors in z of equal whitened one-step root mean square 0.1, relative to the first "
        "step, beside the laws of plain addition √N and N (grey). Dotted black: first order, from the model's own "
        f"Jacobians. Lines and bands: geometric mean over {len(arm(records, 'plain'))} training seeds and its 95 % "
        "interval. Judged is the first panel; the others are shown. A recurrent state-space model draws z anew at "
        "every step, so that what lasts of an error in z is what h has taken up: for errors in h see the table."
    )
    return Drawing(figure, caption, data)
