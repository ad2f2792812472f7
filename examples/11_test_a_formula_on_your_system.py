"""Which form of the expansion is right on your system? Order tests at several sizes of the error, and their picture.

python examples/11_test_a_formula_on_your_system.py --paths 4096 --out order.png
"""

import argparse

import torch

from sdewm import HypothesisFails, LatentSDE, RepresentationError, TimeGrid, order_test
from sdewm.claims.style import COLOURS, GREY, MARKERS, new_figure, style


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
        rms = [e.value**0.5 for e in test.remainders.mean_square(form)]
        ax.loglog(sizes, rms, color=COLOURS[i], marker=MARKERS[i], label=name)
    ax.loglog(sizes, [rms[0] * 0.1 * (s / sizes[0]) ** 3 for s in sizes], color=GREY, ls=":", label="slope 3")
    ax.set_xticks(sizes, [f"{s:g}" for s in sizes])
    ax.minorticks_off()
    ax.set_xlabel("size of the error ε")
    ax.set_ylabel("RMS remainder")
    ax.set_title("What each form leaves over")
    ax.legend()
    figure.savefig(given.out)
print("picture:", given.out)
