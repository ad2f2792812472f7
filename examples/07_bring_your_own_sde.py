"""An SDE written for torchsde, without a line changed: simulate it, perturb it, and expand a loss.

python examples/07_bring_your_own_sde.py --out own.png
"""

import argparse

import torch

from sdewm import RepresentationError, TimeGrid, expand, simulate_coupled
from sdewm.claims.style import COLOURS, new_figure, style
from sdewm.dynamics import Variations, perturb


class Pendulum:  # knows nothing of this package
    noise_type, sde_type = "general", "ito"

    def f(self, t, x):
        return torch.stack((x[:, 1], -torch.sin(x[:, 0]) - 0.2 * x[:, 1]), dim=1)

    def g(self, t, x):
        return torch.stack((torch.zeros_like(x[:, 0]), 0.3 + 0.1 * torch.cos(x[:, 0])), dim=1)[:, :, None]


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--eps", type=float, default=0.3)
parser.add_argument("--out", default="own.png")
given = parser.parse_args()

system, grid, x0 = Pendulum(), TimeGrid(T=6.0, steps=120), torch.tensor([[2.0, 0.0]]).double().expand(2048, 2)
error = RepresentationError(drift=lambda t, x: torch.stack((0 * x[:, 0], torch.cos(x[:, 0])), 1))
members = {
    "base": system,
    "perturbed": perturb(system, error, given.eps, x0=x0),
    "first order": Variations(system, error, order=1),
}
run = simulate_coupled(members, x0, grid, save="all")
base, moved, y1 = run["base"].states, run["perturbed"].states, run["first order"][1].states
e = expand(system, error, lambda x: 1 - torch.cos(x[:, 0]), x0, grid)
print(f"E loss changes by {e.measure(given.eps)}, predicted {e.predict(given.eps)}")

with style():
    figure, (ax,) = new_figure()
    ax.plot(grid.times, (moved - base).norm(dim=2).square().mean(1).sqrt(), color=COLOURS[0], label="measured")
    first = given.eps * y1.norm(dim=2).square().mean(1).sqrt()
    ax.plot(grid.times, first, color=COLOURS[1], ls="--", label="first order, ε y₁")
    ax.set_xlabel("time")
    ax.set_ylabel("RMS error of the state")
    ax.set_title(f"A drift error of size {given.eps:g} in a noisy pendulum")
    ax.legend()
    figure.savefig(given.out)
print("picture:", given.out)
