"""X11: the local order against the sharpness of a smoothed kink."""

import numpy as np

from sdewm.style import COLOURS, GREY, MARKERS, new_figure, style

from ..kit import Cases, Drawing, moments_of


def draw_kink(cases: Cases) -> Drawing:
    """X11: slopes between neighbouring sizes."""
    with style():
        figure, axes = new_figure(7.2, 3.4, columns=2)
        data: dict[str, dict[str, list[float]]] = {}
        for ax, (case, (_, records)) in zip(axes, cases.items(), strict=True):
            settings = records[0].key["settings"]
            sizes, sharp = settings["sizes"], settings["sharpness"]
            means = np.array([e.value for e in moments_of(records).estimates()]).reshape(len(sharp), len(sizes))
            slopes = np.diff(np.log(np.abs(means)), axis=1) / np.diff(np.log(sizes))
            smooth = [k for k, s in enumerate(sharp) if s is not None]
            kink = sharp.index(None)
            x = [sharp[k] for k in smooth]
            end = x[-1] * 6.0
            data[case] = {"sharpness": x}
            for j in range(slopes.shape[1]):
                label = f"ε = {sizes[j]:g} to {sizes[j + 1]:g}"
                ax.plot(x, slopes[smooth, j], color=COLOURS[j], marker=MARKERS[j], label=label)
                ax.plot(end, slopes[kink, j], MARKERS[j], color=COLOURS[j], mfc="white")
                data[case][label] = [*slopes[smooth, j].tolist(), float(slopes[kink, j])]
            ax.axhline(1.5, color=GREY, ls="--", lw=1.0)
            ax.set_xscale("log")
            ticks = [1.0, 10.0, 100.0, 1000.0]
            ax.set_xticks([*ticks, end], [*(f"{t:g}" for t in ticks), "kink"])
            ax.minorticks_off()
            ax.set_ylim(0.8, 2.2)
            ax.set_xlabel("sharpness of the softplus")
            ax.set_title(case)
        axes[0].set_ylabel("local order of R in ε")
        axes[1].legend(loc="upper right", fontsize=7.5)
    caption = (
        "Slope of log R in log ε between neighbouring sizes, for a base without noise that sits at the kink, which is "
        "smoothed over a width of one over the sharpness. Where the error is larger than that width the order is 1, as "
        "at the kink itself (open markers); dashed: the border that is judged."
    )
    return Drawing(figure, caption, data)
