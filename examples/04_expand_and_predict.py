"""What does an error cost, and up to which size does the second-order expansion know it beforehand?

python examples/04_expand_and_predict.py --noise 0.3 --paths 20000 --out predict.png
"""

import argparse

import torch

from sdewm import RepresentationError, TimeGrid, expand
from sdewm.drifts import TanhNetwork
from sdewm.style import COLOURS, GREY, MARKERS, new_figure, style

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--noise", type=float, default=0.3, help="of the system")
parser.add_argument("--paths", type=int, default=20_000)
parser.add_argument("--out", default="predict.png")
given = parser.parse_args()


def loss(x):  # one number a path
    return torch.log(torch.cosh(x - 0.2)).sum(-1)


system = TanhNetwork(dim=8, gain=1.2, seed=3, noise=given.noise)  # dx = (−x + W tanh x) dt + (noise + 0.2 tanh x) dB
error = RepresentationError(diffusion=lambda t, x: 0.5 + 0.4 * torch.sin(2 * x))  # on the noise of the system
e = expand(system, error, loss, x0=0.6, grid=TimeGrid(T=1.0, steps=32), paths=given.paths)
print(f"E loss changes by ε P + ε² (Q + S/2): P = {e.P}, Q = {e.Q}, S = {e.S}")
sizes = torch.tensor([0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0])
found = [e.compare(eps.item()) for eps in sizes]  # measured and predicted on the same paths, and their difference
for eps, (measured, predicted, rest) in zip(sizes, found, strict=True):
    print(f"ε = {eps:.2g}: measured {measured}, predicted {predicted}, left over {rest}")


def draw(ax, estimates, i):  # |estimate| with its interval
    value, low, high = torch.tensor([(m.value, *m.interval()) for m in estimates]).T
    ax.errorbar(sizes, value.abs(), (value - low, high - value), fmt=MARKERS[i], color=COLOURS[i])
    return value.abs()


with style():
    figure, (left, right) = new_figure(7.6, 3.6, columns=2)
    at = torch.linspace(0.01, 1.0, 100)
    predicted = torch.tensor([e.predict(eps.item()).interval() for eps in at]).T
    left.fill_between(at, *predicted, color=COLOURS[1])
    left.plot(at, e.P.value * at, color=GREY, ls="--")
    effect = draw(left, [measured for measured, _, _ in found], 0)
    left.text(0.55, float(predicted[1, 64]), "predicted to\nsecond order", color=COLOURS[1], ha="right")
    left.text(0.83, float(effect[-2]), "measured", color=COLOURS[0])
    left.text(0.63, 0.5 * e.P.value, "first order", color=GREY)
    left.set(xlabel="size of the error ε", ylabel="change of E loss", title="what the error costs, 95 % intervals")
    draw(right, [measured for measured, _, _ in found], 0)
    rest = draw(right, [rest for _, _, rest in found], 1)
    right.plot(sizes, rest[0] * (sizes / sizes[0]) ** 3, color=GREY, ls=":")
    right.text(0.05, float(effect[0]) * 5, "the effect, measured", color=COLOURS[0])
    right.text(0.15, float(rest[0]), "left over,\nbeside ε³", color=COLOURS[1])
    right.loglog()
    right.set(xlabel="size of the error ε", ylabel="|change of E loss|", title="what the second order leaves over")
    figure.savefig(given.out)
print("picture:", given.out)
