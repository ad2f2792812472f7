"""Is the log-norm bound true on somebody else's SDE, how tight is it, and what would change the verdict?

python examples/06_check_a_bound.py --eps 0.05 --out bound.png
"""

import argparse

import torch

from sdewm import RepresentationError, TimeGrid, check
from sdewm.style import COLOURS, new_figure, style
from sdewm.theory.bounds import GronwallSpectral, LogNorm


class FitzHughNagumo(torch.nn.Module):  # a neuron, written for torchsde; knows nothing of this package
    noise_type, sde_type = "diagonal", "ito"

    def f(self, t, x):
        v, w = x[:, :1], x[:, 1:]
        return torch.cat((2.0 * torch.tanh(v) - v - w, 0.2 * (v + 0.7 - 0.8 * w)), dim=1)

    def g(self, t, x):
        return 0.1 + 0.05 * torch.tanh(x)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--eps", type=float, default=0.05)
parser.add_argument("--paths", type=int, default=4096)
parser.add_argument("--out", default="bound.png")
given = parser.parse_args()

error = RepresentationError(drift=lambda t, x: torch.cos(x), diffusion=lambda t, x: 0.5 * torch.ones_like(x))
x0, grid, times = torch.tensor([-1.0, 0.5], dtype=torch.float64), TimeGrid(2.0, 64), (0.25, 0.5, 1.0, 1.5, 2.0)
common = {"eps": given.eps, "x0": x0, "grid": grid, "paths": given.paths, "times": times, "sequential": False}
with style():
    figure, (ax,) = new_figure()
    for i, bound in enumerate((LogNorm(), GronwallSpectral())):
        verdict = check(bound, FitzHughNagumo(), error, **common)
        print(verdict)
        print(verdict.explain())
        e = verdict.evidence
        ax.plot(grid.times[1:], e.least[1:], color=COLOURS[i], ls=("-", "--")[i])
        place = {"xytext": ((0, 14), (-8, 6))[i], "textcoords": "offset points", "ha": ("left", "right")[i]}
        ax.annotate(f"{bound.name}: {verdict.outcome.value}", (1.5, e.least[48]), color=COLOURS[i], **place)
    value, low, high = torch.tensor([(c.estimate.value, c.lower, c.upper) for c in e.comparisons]).sqrt().T
    ax.errorbar(times, value, (value - low, high - value), fmt="o", color="black")
    ax.annotate("simulated, 99 % intervals", (1.0, value[2]), xytext=(8, -12), textcoords="offset points")
    ax.set(
        xlabel="time t", ylabel="RMS error of (v, w)", yscale="log", title=f"error of size {given.eps:g} in a neuron"
    )
    figure.savefig(given.out)
print("picture:", given.out)
