"""Which form of the expansion is right on your system? Order tests at several sizes of the error, and their picture.

python examples/11_test_a_formula_on_your_system.py --paths 4096 --out order.png
"""

import argparse

import torch

from sdewm import HypothesisFails, LatentSDE, RepresentationError, TimeGrid, order_test
from sdewm.style import COLOURS, GREY, MARKERS, new_figure, style


class Latent(LatentSDE):  # put your own here
    dim = 2

    def f(self, t, x):
        return torch.tanh(x.flip(-1)) - x

    def g(self, t, x):
        return 0.3 + 0.2 * torch.cos(x)


def loss(x):
    return (x**2).sum(-1)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--paths", type=int, default=4096)
parser.add_argument("--out", default="order.png")
given = parser.parse_args()
error = RepresentationError(diffusion=lambda t, x: 0.5 + 0.4 * torch.sin(2 * x))  # zero drift, shared noise
sizes = (0.00625, 0.0125, 0.025, 0.05)  # or leave them out: they are then chosen for each form
common = {"system": Latent(), "error": error, "x0": 0.6, "grid": TimeGrid(1.0, 16), "sizes": sizes}
forms = {"correct": (), "no Itô correction": "ito_correction", "no mixed terms": "mixed", "no ½": "half"}
tests = {name: order_test(loss=loss, paths=given.paths, without=left_out, **common) for name, left_out in forms.items()}
for name, test in tests.items():
    print(f"{name}: {test.verdict}")
try:
    order_test(loss=lambda x: torch.exp(x**2).sum(-1), **common)
except HypothesisFails as refused:
    print("and a loss that must not be expanded:", refused)

with style():
    figure, (ax,) = new_figure()
    for i, (name, test) in enumerate(tests.items()):
        (form,) = test.remainders.forms
        found = test.remainders.mean_square(form)
        rms, low, high = torch.tensor([(e.value, *e.interval()) for e in found]).clamp_min(0).sqrt().T
        ax.errorbar(sizes, rms, (rms - low, high - rms), color=COLOURS[i], marker=MARKERS[i])
        place = {"ha": "left", "va": "top"} if name == "no ½" else {"ha": "right", "va": "bottom"}
        ax.text(sizes[1], 0.8 * rms[1] if name == "no ½" else 1.2 * rms[1], name, color=COLOURS[i], **place)
        ax.plot(sizes, rms[-1] * (torch.tensor(sizes) / sizes[-1]) ** (3, 1, 2, 2)[i], color=GREY, ls=":", zorder=0)
    ax.set(xscale="log", yscale="log", xticks=sizes, xticklabels=sizes)
    ax.minorticks_off()
    ax.set(
        xlabel="size of the error ε", ylabel="RMS remainder", title="What each form leaves over, beside ε, ε² and ε³"
    )
    figure.savefig(given.out)
print("picture:", given.out)
