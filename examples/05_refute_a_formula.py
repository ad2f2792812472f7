"""Does the expansion without Itô corrections predict the loss? Try it on parameters of your own.

python examples/05_refute_a_formula.py --a -0.5 --b 0.6 --c 1 --out formula.png
"""

import argparse

import torch

from sdewm import RepresentationError, TimeGrid, expand
from sdewm.claims.style import COLOURS, new_figure, style
from sdewm.drifts import Linear

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
for name, default in (("a", -0.5), ("b", 0.6), ("c", 1.0), ("T", 1.0)):
    parser.add_argument(f"--{name}", type=float, default=default)
parser.add_argument("--paths", type=int, default=40_000)
parser.add_argument("--out", default="formula.png")
given = parser.parse_args()

system, grid = Linear(a=given.a, b=given.b), TimeGrid(T=given.T, steps=64)
error = RepresentationError(diffusion=lambda t, x: torch.full_like(x, given.c))  # dx = ax dt + (bx + εc) dB


def loss(x: torch.Tensor) -> torch.Tensor:
    return (x**2).sum(-1)


right = expand(system, error, loss, 1.0, grid, given.paths)
wrong = expand(system, error, loss, 1.0, grid, given.paths, form="uncorrected")
print("P  =", right.P, "  with Itô corrections")
print("P' =", wrong.P, "  without")

sizes = [0.05 * k for k in range(1, 9)]
with style():
    figure, (ax,) = new_figure()
    for i, (label, e) in enumerate((("with Itô corrections", right), ("without", wrong))):
        ax.plot(sizes, [e.predict(eps).value for eps in sizes], color=COLOURS[i], ls=("-", "--")[i], label=label)
    measured = [right.measure(eps) for eps in sizes]
    bars = [[m.value - m.interval()[0] for m in measured], [m.interval()[1] - m.value for m in measured]]
    ax.errorbar(sizes, [m.value for m in measured], bars, fmt="o", color="black", label="measured")
    ax.set_xlabel("size of the error ε")
    ax.set_ylabel("change of the loss")
    ax.set_title("Which expansion predicts the loss?")
    ax.legend()
    figure.savefig(given.out)
print("picture:", given.out)
