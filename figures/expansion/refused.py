"""X12 and D1: why the expansion is refused."""

import numpy as np

from sdewm.style import COLOURS, new_figure, style

from ..kit import Cases, Drawing, reference_slope, size_axis


def draw_running_mean(cases: Cases) -> Drawing:
    """X12: running means of an exponential and of a polynomial loss."""
    record = next(records[0] for _, records in cases.values() if "counts" in records[0].arrays)
    counts = record.arrays["counts"]
    with style():
        figure, (ax,) = new_figure(5.4, 3.4)
        data = {"counts": counts.tolist()}
        for i, name in enumerate(("eˣ", "polynomial")):
            for k in range(3):
                means = record.arrays[f"{name} {k}"]
                label = {"eˣ": "exp(x): its mean is infinite", "polynomial": "its Taylor polynomial of degree 4"}[name]
                ax.plot(
                    counts,
                    means,
                    color=(COLOURS[1], "black")[i],
                    ls=("-", "--", ":")[k],
                    lw=1.2,
                    label=None if k else label,
                )
                data[f"{name} {k}"] = means.tolist()
        ax.set_xscale("log")
        ax.set_xlabel("number of paths")
        ax.set_ylabel("running mean of the loss")
        ax.set_title("Sample means look settled between jumps, where there is no mean")
        ax.legend(loc="upper left", title="line styles: three runs", title_fontsize=7.5)
    s = record.key["settings"]["running"]
    refused = "; ".join(f"{case}: {line['verdict']['reason'].split(':')[0]}" for case, (line, _) in cases.items())
    caption = (
        f"Running means, three runs each, for dx = {s['volatility']:g} x dB with the error ε x dB, ε = {s['eps']:g}: x "
        "is lognormal, so that E exp(x) = ∞, and every jump is one single path. Refused before anything is simulated: "
        f"{refused}."
    )
    return Drawing(figure, caption, data)


def draw_categorical(cases: Cases) -> Drawing:
    """D1: root mean square difference of the latents under common uniforms."""
    ((_, records),) = cases.values()
    arrays = records[0].arrays
    sizes = arrays["sizes"].tolist()
    with style():
        figure, (ax,) = new_figure(5.2, 3.6)
        data = {}
        for i, (name, when) in enumerate(
            (("categorical", "one step"), ("categorical", "end"), ("Gaussian", "one step"), ("Gaussian", "end"))
        ):
            key = f"{name}, {when}"
            mean, error = arrays[key], arrays[f"{key}, error"]
            values = np.sqrt(mean)
            label = f"{name}, {'after one step' if when == 'one step' else 'at the end'}"
            # Of few paths none may have jumped.
            bars = 1.96 * error / (2.0 * np.where(values > 0.0, values, 1.0))
            ax.errorbar(sizes, values, bars, fmt=("o-", "s--", "^-", "D--")[i], color=COLOURS[i], label=label)
            data[key] = values.tolist()
        reference_slope(ax, sizes, float(np.sqrt(arrays["categorical, one step"][-1])) * 0.55, 0.5)
        reference_slope(ax, sizes, float(np.sqrt(arrays["Gaussian, one step"][-1])) * 0.5, 1.0)
        ax.set_yscale("log")
        size_axis(ax, sizes)
        ax.set_ylabel("RMS difference of the latents")
        ax.set_title("Categorical latents have no path-wise derivative")
        ax.legend(loc="lower right", fontsize=7.5)
    caption = (
        "A recurrent step with eight groups of eight classes, whose logits have an error of size ε, against the same "
        "step with Gaussian latents; common random numbers, 95 % intervals. Categorical latents jump or stay: order ½ "
        "in ε, until the paths have separated."
    )
    return Drawing(figure, caption, data)
