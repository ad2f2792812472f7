"""E7: the Wasserstein error of an encoder and decoder against capacity and intrinsic dimension."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from sdewm.claims import Cell, Claim, Result, Row
from sdewm.dynamics.brownian import generator
from sdewm.estimate import Estimate, Moments
from sdewm.run import Record
from sdewm.stats import paired_distances, wasserstein
from sdewm.stats.decide import decide
from sdewm.verdict import Verdict
from sdewm.worldmodel.autoencoder import Autoencoder, Fit, fit
from sdewm.worldmodel.rasterised import Blobs, flat
from sdewm.worldmodel.seeds import derived

from ..kit import PAPER, declared, unchecked

Array = NDArray[np.float64]

# All of it is fixed by analysis/protocol/e7.md.
DIMS = (1, 2, 4)
WIDTHS = (1, 3, 8)
SIZE = 16
FIT = Fit(steps=5000, batch=32, rate=0.02)
HELD_OUT = 512
SEEDS = 10
EFFECT = 0.1
LEVEL = 0.99
ENDPOINT = "W1, reconstructions of the same images"
FALLS: Mapping[str, int] = {f"d = {dim}: the error falls with capacity": dim for dim in DIMS}
STEEPER = f"the error falls faster at d = {DIMS[0]} than at d = {DIMS[-1]}"


def latent_size(dim: int) -> int:
    """Numbers that suffice for any manifold of this dimension (Whitney)."""
    return 2 * dim + 1


def weights_of(dim: int, width: int) -> int:
    """The number of weights of a network, trained or not."""
    return Autoencoder(SIZE, latent_size(dim), width).weights


def slopes(weights: Sequence[float], errors: Array) -> Array:
    """For each row of errors (seeds, capacities) the slope of its logarithm against that of the weights, (seeds,).

    Example:
        >>> slopes([1.0, 10.0, 100.0], np.array([[8.0, 4.0, 2.0]])).round(3).tolist()
        [-0.301]
    """
    x = np.log(np.asarray(weights, dtype=np.float64))
    x = x - x.mean()
    result: Array = np.log(errors) @ x / float(x @ x)
    return result


@final
@dataclass(frozen=True)
class Capacity(Claim):
    """Does the error fall with the number of weights, and faster on images of lower dimension?

    The control breaks the link, not the code. For the falls capacity is only a label: each seed's smallest network goes
    by the larger ones' numbers of weights too. For the contrast the two dimensions go by each other's names.
    """

    placebo: bool = False

    id = "E7"
    title = "Reconstruction improves with capacity, more so in low dimension"
    statement = (
        "The Wasserstein error W₁ of a trained convolutional encoder and decoder on rasterised images of intrinsic "
        "dimension d (a) falls with its number of weights n, d log W₁ / d log n < −0.1 for d = 1, 2, 4, and (b) falls "
        "faster for smaller d: the slope at d = 1 is below that at d = 4 by more than 0.1. 'Holds' means no more than "
        "consistent with the claim."
    )
    cases = (*FALLS, STEEPER)
    source = PAPER + ": the approximation of the data's law by a convolutional encoder and decoder"
    formula = r"\beta_d=\frac{d\log W_1}{d\log n},\quad\beta_1,\beta_2,\beta_4<-0.1,\quad\beta_1<\beta_4-0.1"
    assumes = (
        declared("protocol", "fixed before the run: analysis/protocol/e7.md"),
        unchecked("normal slopes", "Student's interval over the training seeds"),
    )
    note = (
        "The paper's claim is that good networks exist; what training finds can be consistent with that, and cannot "
        "violate it: 'violated' says that trained networks do not show it at this training budget. The endpoint, the "
        "exact W₁ of 512 held-out images to their own reconstructions, has no sampling floor, and its expectation "
        "bounds the laws' W₁ from above; between independent samples of images a floor of order n^(−1/d) would hide "
        "the errors. Same steps and images for all capacities: the larger networks still gain more from longer "
        "training than the smaller ones. Protocol, fixed before the run: analysis/protocol/e7.md."
    )

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        # Fewer seeds than the protocol's are for a quick look: they decide nothing.
        count = min(max(round(SEEDS * scale), 3), 2 * SEEDS)
        if case == STEEPER:
            dims: tuple[int, ...] = (DIMS[0], DIMS[-1])
            widths: tuple[int, ...] = WIDTHS
        else:
            dims = (FALLS[case],)
            widths = WIDTHS[:1] if self.placebo else WIDTHS
        return [
            Cell(
                self.id,
                {
                    "dim": dim,
                    "width": width,
                    "latent": latent_size(dim),
                    "size": SIZE,
                    "steps": FIT.steps,
                    "batch": FIT.batch,
                    "rate": FIT.rate,
                    "held out": HELD_OUT,
                    "replicate": replicate,
                },
                seed,
                cost=FIT.steps * (1.7e-3 + 4e-5 * width),
            )
            for dim in dims
            for width in widths
            for replicate in range(count)
        ]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        # All capacities of a replicate begin from one seed and see the same images.
        seed = derived(cell.seed, "E7", s["replicate"])
        blobs = Blobs(s["dim"], s["size"])
        model = Autoencoder(s["size"], s["latent"], s["width"], seed=seed)
        losses = fit(model, blobs, Fit(s["steps"], s["batch"], s["rate"]), seed=seed)
        theta, other = (
            blobs.parameters(s["held out"], generator(seed, f"E7: {name}")) for name in ("held out", "other")
        )
        with torch.no_grad():
            seen = model(blobs.images(theta))
            mine, own, others, theirs = (
                flat(images).numpy()
                for images in (blobs.images(theta), seen, blobs.images(other), model(blobs.images(other)))
            )
        values = {
            "weights": model.weights,
            ENDPOINT: wasserstein(mine, own),
            "mean distance": float(paired_distances(mine, own).mean()),
            "normal part": float(blobs.normal_part(theta.double(), seen.double()).mean()),
            "W1, reconstructions of other images": wasserstein(mine, theirs),
            "W1, other images": wasserstein(mine, others),
        }
        # Twenty means tell how the training went.
        return Result(values, {"loss": np.array([part.mean() for part in np.array_split(losses, 20)])})

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        if case == STEEPER:
            low, high = (DIMS[-1], DIMS[0]) if self.placebo else (DIMS[0], DIMS[-1])
            values, what = self.slopes(records, low) - self.slopes(records, high), "the difference of the slopes"
        else:
            values, what = self.slopes(records, FALLS[case]), "the slope of log W₁ against log weights"
        (estimate,) = Moments.of(values, keep=True).estimates()
        return below(estimate, -EFFECT, what)

    def slopes(self, records: Sequence[Record], dim: int) -> Array:
        """One slope for each seed."""
        errors = table(records, dim)
        if errors.shape[1] == 1:
            errors = np.repeat(errors, len(WIDTHS), 1)
        return slopes([weights_of(dim, width) for width in WIDTHS], errors)

    def control(self) -> "Capacity":
        """The same judgement where capacity, or dimension, is a label only."""
        return replace(self, placebo=not self.placebo)


def table(records: Sequence[Record], dim: int) -> Array:
    """The endpoint by replicate and width, in increasing order, (seeds, capacities)."""
    found = {
        (int(r.key["settings"]["replicate"]), int(r.key["settings"]["width"])): float(r.values[ENDPOINT])
        for r in records
        if r.key["settings"]["dim"] == dim
    }
    replicates, widths = (sorted({key[i] for key in found}) for i in (0, 1))
    return np.array([[found[r, w] for w in widths] for r in replicates], dtype=np.float64)


def below(estimate: Estimate, border: float, what: str) -> Verdict:
    """The protocol's rule: holds if the interval lies below the border, violated if above, inconclusive otherwise."""
    low, high = estimate.interval(LEVEL)
    return decide(
        f"{what} is {estimate.value:.3f} [{low:.3f}, {high:.3f}] over {estimate.n} seeds, consistent below {border:g}",
        border - high,
        low - border,
        interval=(low, high),
        allowed=(-math.inf, border),
        level=LEVEL,
        doubt=None if estimate.n >= SEEDS else f"the protocol asks for {SEEDS} seeds",
    )


# Nothing is expected of what training finds, and to repeat the controls would take as long as the run.
ROW = Row(Capacity(), dict.fromkeys(Capacity.cases), repetitions=0)
