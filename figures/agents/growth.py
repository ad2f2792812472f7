"""E2: errors in imagined rollouts under the policy, and what injected errors cost."""

import numpy as np

from sdewm.claims.style import COLOURS, GREY, new_figure, style

from ..kit import Cases, Drawing, strengths_of
from .reading import arms_of, line, mean_returns, records_of

KINDS = ("zero drift", "drift")


def draw_compounding(cases: Cases) -> Drawing:
    """Growth against the laws of addition, and return against the size of the error."""
    found = arms_of(records_of(cases), ("plain",))["plain"]
    data: dict[str, list[float]] = {}
    with style():
        figure, (left, right) = new_figure(7.4, 3.4, columns=2)
        for i, kind in enumerate(KINDS):
            rows = np.array([r.arrays[f"growth/{kind}"] for r in found], dtype=float)
            logs = np.log(rows / rows[:, :1])
            steps = np.arange(1, rows.shape[1] + 1)
            middle, half = logs.mean(0), logs.std(0, ddof=1) * _quantile(len(found)) / len(found) ** 0.5
            left.fill_between(steps, np.exp(middle - half), np.exp(middle + half), color=COLOURS[i], alpha=0.2, lw=0)
            left.plot(
                steps, np.exp(middle), color=COLOURS[i], ls=("-", "--")[i], label=f"{kind.replace(' ', '-')} error"
            )
            data[kind] = np.exp(middle).tolist()
            keys = ["clean", *strengths_of(found[0].values["returns"], kind)]
            sizes = np.array([0.0, *(float(key.split("/")[1]) for key in keys[1:])])
            returns = np.stack([mean_returns(found, key) for key in keys], 1)
            data[f"return, {kind}"] = line(right, sizes, returns, i, f"{kind.replace(' ', '-')} error")
        for power, name in ((0.5, "√N"), (1.0, "N")):
            left.plot(steps, steps**power, color=GREY, ls=":", lw=1.1)
            at = len(steps) - 1
            left.annotate(name, (steps[at], steps[at] ** power), xytext=(3, -3), textcoords="offset points", color=GREY)
        left.set_xscale("log")
        left.set_yscale("log")
        marks = [1, 2, 5, 10, 20, 50]
        left.set_xticks(marks, [str(m) for m in marks])
        left.set_yticks(marks, [str(m) for m in marks])
        left.minorticks_off()
        left.set_xlabel("steps N, imagined under the policy")
        left.set_ylabel("growth of the error in z")
        left.legend(loc="upper left")
        right.set_xlabel("whitened one-step size of the error, in play")
        right.set_ylabel("return")
        right.set_xticks(sizes)
        right.set_ylim(0.0, 1000.0)
        right.legend(loc="lower left")
    caption = (
        "Left: growth, relative to the first step, of errors in z of equal whitened one-step root mean square 0.1 "
        "over rollouts that are imagined under the policy, which sees them and answers; grey: the laws of plain "
        "addition. Right: return where such an error is injected into the filter at every step of play. Means (left "
        f"geometric) over {len(found)} agents and 95 % intervals."
    )
    return Drawing(figure, caption, data)


def _quantile(n: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, 0.975))
