"""B1: the logarithm of truth over form, along both families."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdewm.run import Record
from sdewm.style import COLOURS, MARKERS, new_figure, style

from ..kit import Cases, Drawing, estimates

_FORMS = {
    "expected supremum": "expected supremum",
    "random Jacobian, repaired": "repaired",
}


def draw_expected_sup(cases: Cases) -> Drawing:
    """B1: one panel a family; bars of the steps' limits, curves of the equation's closed form."""
    families = {"M": _first(cases, "frozen"), "b": _first(cases, "rotational")}
    data: dict[str, dict[str, list[Any]]] = {}
    with style():
        figure, axes = new_figure(7.2, 3.7, columns=2)
        for ax, (letter, record) in zip(axes, families.items(), strict=True):
            x = record.arrays["member"]
            ax.axhline(0.0, color="black", ls="--", lw=1.0)
            data[letter] = {"member": x.tolist()}
            for i, (form, label) in enumerate(_FORMS.items()):
                low, high = _ratio(record, "", form)
                middle = 0.5 * (low + high)
                exact = _ratio(record, "closed ", form)[0]
                ax.plot(x, exact, MARKERS[i], ls=":", color=COLOURS[i], mfc="white", label=f"{label}, closed form")
                ax.errorbar(
                    x, middle, high - middle, fmt=MARKERS[i], ms=2.5, color=COLOURS[i], label=f"{label}, Euler's steps"
                )
                data[letter][form] = estimates(middle, low, high)
                data[letter][f"{form}, closed form"] = exact.tolist()
            ax.set_xlabel({"M": "largest gain M", "b": "strength of the noise b"}[letter])
            # Few members, each with its own tick.
            ax.set_xticks(x)
        axes[0].set_xscale("log", base=2)
        axes[0].set_xticks(families["M"].arrays["member"], [f"{v:g}" for v in families["M"].arrays["member"]])
        axes[0].minorticks_off()
        axes[1].set_yscale("symlog", linthresh=10.0)
        axes[1].set_yticks([-100, -10, 0, 10, 100], ["−100", "−10", "0", "10", "100"])
        axes[1].set_ylim(-200.0, 200.0)
        axes[0].set_ylabel("ln (E|e| / form), C = 1")
        axes[0].set_title("Frozen gain: dx = z tanh x dt, P(z = M) = 1/M")
        axes[1].set_title("Rotational noise: dx = b x dB¹ + b x$^\\perp$ dB²")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8)
    caption = (
        "Logarithm of the true error over what the form allows, t = 1, for a vanishing initial error. A constant C "
        "moves a curve down by ln C: what grows without bound is rescued by none. Blue: e^{EX}, and ‖Dḡ‖ in the "
        "exponent; orange: (E e^{2X})^½, and ‖Dḡ‖² (B2). Bars: certified limits in which truth and form are those of "
        "Euler's steps, on which errors grow less than in the equation where hM or hb² is not small. Right: linear "
        "between −10 and 10, logarithmic beyond."
    )
    return Drawing(figure, caption, data)


def _first(cases: Cases, start: str) -> Record:
    return next(records[0] for case, (_, records) in cases.items() if case.startswith(start))


def _ratio(record: Record, prefix: str, form: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    truth, right = record.arrays[f"{prefix}truth"], record.arrays[f"{prefix}{form}"]
    return truth[:, 0] - right[:, 1], truth[:, 1] - right[:, 0]
