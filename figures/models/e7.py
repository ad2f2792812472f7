"""The figure of E7: the Wasserstein error of an encoder and decoder against capacity and intrinsic dimension."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdewm.estimate import Moments
from sdewm.run import Record
from sdewm.style import COLOURS, GREY, MARKERS, new_figure, style

from ..kit import LEVEL, Cases, Drawing, estimates, legend_below

Array = NDArray[np.float64]
OWN = "W1, reconstructions of the same images"
OTHER = "W1, reconstructions of other images"
FLOOR = "W1, other images"
NORMAL = "normal part"


def by_seed(records: Sequence[Record], dim: int, name: str) -> tuple[Array, Array]:
    """Numbers of weights (capacities,) and one value for each (seeds, capacities)."""
    # A training that has failed has no numbers, and its seed is then left out.
    mine = [r for r in records if r.key["settings"]["dim"] == dim and name in r.values]
    weights = sorted({int(r.values["weights"]) for r in mine})
    found = {(int(r.key["settings"]["replicate"]), int(r.values["weights"])): float(r.values[name]) for r in mine}
    seeds = sorted(seed for seed in {s for s, _ in found} if all((seed, w) in found for w in weights))
    return np.array(weights, dtype=np.float64), np.array([[found[s, w] for w in weights] for s in seeds])


def middle(values: Array) -> tuple[Array, Array, Array]:
    """Geometric mean over seeds and its interval, for each column."""
    estimates = Moments.of(np.log(values), keep=True).estimates()
    rows = np.exp([(e.value, *e.interval(LEVEL)) for e in estimates])
    return rows[:, 0], rows[:, 1], rows[:, 2]


def draw_capacity(cases: Cases) -> Drawing:
    """E7: the error against the number of weights, of the same images and of other ones, with the floor of samples."""
    records = list({record.name: record for _, found in cases.values() for record in found}.values())
    dims = sorted({int(r.key["settings"]["dim"]) for r in records})
    data: dict[str, dict[str, list[float]]] = {}
    with style():
        figure, (left, right) = new_figure(7.2, 3.9, columns=2)
        for i, dim in enumerate(dims):
            colour, marker = COLOURS[i], MARKERS[i]
            weights, own = by_seed(records, dim, OWN)
            x = np.log(weights) - np.log(weights).mean()
            (slope,) = Moments.of(np.log(own) @ x / float(x @ x), keep=True).estimates()
            lines: dict[str, Any] = {
                "weights": weights.tolist(),
                "slope": (slope.value, *slope.interval(LEVEL)),
            }
            for ax, name, label in (
                (left, OWN, f"d = {dim}: slope {slope.value:.2f}".replace("-", "−")),
                (right, OTHER, None),
            ):
                values, low, high = middle(by_seed(records, dim, name)[1])
                ax.fill_between(weights, low, high, color=colour, alpha=0.2, lw=0)
                ax.plot(weights, values, marker=marker, color=colour, label=label)
                lines[name] = estimates(values, low, high)
            normal = middle(by_seed(records, dim, NORMAL)[1])[0]
            left.plot(weights, normal, color=colour, ls="--", lw=1.0)
            floor = middle(by_seed(records, dim, FLOOR)[1])[0]
            right.plot(weights, floor, color=colour, ls=":", lw=1.2)
            lines |= {NORMAL: normal.tolist(), FLOOR: floor.tolist()}
            data[f"d = {dim}"] = lines
        left.plot([], [], color=GREY, ls="--", lw=1.0, label="part normal to the images")
        left.plot([], [], color=GREY, ls=":", lw=1.2, label="floor: two samples of images")
        for ax, title in ((left, "to their own reconstructions"), (right, "to reconstructions of others")):
            ax.set_xscale("log")
            ax.set_yscale("log")
            ax.set_title(f"Images {title}")
            ax.set_xlabel("number of weights")
        ends = [float(value) for ax in (left, right) for value in ax.dataLim.intervaly]
        right.sharey(left)
        left.set_ylim(0.8 * min(ends), 1.25 * max(ends))
        left.set_ylabel("W₁, root mean square over pixels")
        legend_below(figure, left, 3)
    seeds = len({r.key["settings"]["replicate"] for r in records})
    settings = records[0].key["settings"]
    caption = (
        f"Exact Wasserstein distance W₁ of {settings['held out']} held-out rasterised images of intrinsic dimension d "
        f"to reconstructions by a convolutional encoder and decoder, after {settings['steps']} training steps; "
        f"geometric mean and {LEVEL:.0%} interval over {seeds} seeds. Left: to the reconstructions of the same images, "
        "an upper bound of the laws' W₁ in expectation; dashed: the part of the error that is normal to the set of "
        "images, to first order a lower bound. Right: to the reconstructions of other images, where W₁ ends at the "
        "floor that two samples of one law have (dotted), and what falls below it cannot be seen."
    )
    return Drawing(figure, caption, data)
