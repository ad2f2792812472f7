"""Does the expansion without Itô corrections predict the loss? Try it on parameters of your own.

python examples/05_refute_a_formula.py --a -0.5 --b 0.6 --c 1 --out formula.png
"""

import argparse

import torch

from sdewm import RepresentationError, TimeGrid, expand
from sdewm.drifts import Linear
from sdewm.style import COLOURS, new_figure, style

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
measured = [right.measure(eps, seed=1) for eps in sizes]  # without any formula, on paths of its own
for eps, m in zip(sizes, measured, strict=True):
    print(f"ε = {eps:.2f}: E loss changes by {m}, predicted {right.predict(eps)}, without {wrong.predict(eps)}")

with style():
    figure, (ax,) = new_figure()
    for i, (label, e) in enumerate((("with Itô corrections", right), ("without them", wrong))):
        predicted = [e.predict(eps) for eps in sizes]
        low, high = zip(*(p.interval() for p in predicted), strict=True)
        ax.fill_between(sizes, low, high, color=COLOURS[i], alpha=0.4, lw=0)
        ax.plot(sizes, [p.value for p in predicted], color=COLOURS[i], ls=("-", "--")[i])
        ax.text(
            (0.27, 0.24)[i],
            predicted[4].value,
            label,
            color=COLOURS[i],
            ha=("left", "right")[i],
            va=("top", "bottom")[i],
        )
    bars = [[m.value - m.interval()[0] for m in measured], [m.interval()[1] - m.value for m in measured]]
    ax.errorbar(sizes, [m.value for m in measured], bars, fmt="o", color="black")
    ax.set(xlabel="size of the error ε", ylabel="change of E x²")
    ax.set_title("Which expansion predicts the loss? Dots: measured; 95 % intervals")
    figure.savefig(given.out)
print("picture:", given.out)
