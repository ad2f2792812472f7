"""An SDE written for torchsde, without a line changed: simulate it, perturb it, and expand a loss.

python examples/07_bring_your_own_sde.py --out own.png
"""

import argparse

import torch

from sdewm import Moments, RepresentationError, TimeGrid, expand, simulate_coupled
from sdewm.dynamics import Variations, perturb
from sdewm.style import COLOURS, new_figure, style


class Pendulum:  # knows nothing of this package
    noise_type, sde_type = "general", "ito"

    def f(self, t, x):
        return torch.stack((x[:, 1], -torch.sin(x[:, 0]) - 0.2 * x[:, 1]), dim=1)

    def g(self, t, x):
        return torch.stack((torch.zeros_like(x[:, 0]), 0.3 + 0.1 * torch.cos(x[:, 0])), dim=1)[:, :, None]


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--eps", type=float, default=0.3)
parser.add_argument("--paths", type=int, default=8192)
parser.add_argument("--out", default="own.png")
given = parser.parse_args()

system, grid, x0 = Pendulum(), TimeGrid(T=6.0, steps=120), torch.tensor([2.0, 0.0]).double()
error = RepresentationError(drift=lambda t, x: torch.stack((0 * x[:, 0], torch.cos(x[:, 0])), 1))
members = {
    "base": system,
    "moved": perturb(system, error, given.eps, x0=x0[None]),
    "y": Variations(system, error, order=1),
}
run = simulate_coupled(members, x0, grid, given.paths, save="all")  # its states after every step, on one Brownian path
found = {"measured": run["moved"].states - run["base"].states, "first order, ε y₁": given.eps * run["y"][1].states}
e = expand(system, error, lambda x: 1 - torch.cos(x[:, 0]), x0, grid, given.paths)
print("E loss changes by {}, predicted {}, left over {}".format(*e.compare(given.eps)))

with style():
    figure, (ax,) = new_figure()
    for i, (name, gap) in enumerate(found.items()):
        square = Moments.of(gap.square().sum(2).T).estimates()
        rms, low, high = torch.tensor([(s.value, *s.interval()) for s in square]).clamp_min(0).sqrt().T
        ax.fill_between(grid.times, low, high, color=COLOURS[i], alpha=0.3, lw=0)
        ax.plot(grid.times, rms, color=COLOURS[i], ls=("-", "--")[i])
        place = {"ha": ("right", "left")[i], "va": ("bottom", "top")[i]}
        ax.text((3.9, 4.1)[i], rms[80].item(), name, color=COLOURS[i], **place)
        print(f"{name}: RMS error at t = {grid.T:g} {rms[-1]:.4g} [{low[-1]:.4g}, {high[-1]:.4g}]")
    ax.set(
        xlabel="time t",
        ylabel="RMS error of (angle, velocity)",
        title=f"a drift error of size {given.eps:g}, 95 % bands",
    )
    figure.savefig(given.out)
print("picture:", given.out)
