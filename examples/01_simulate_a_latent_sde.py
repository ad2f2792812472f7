"""What does a latent SDE do? One bit of memory under noise: its paths, and its law beside the exact one.

python examples/01_simulate_a_latent_sde.py --noise 1.2 --horizon 20 --out simulate.png
"""

import argparse

import torch

from sdewm import LatentSDE, Moments, TimeGrid, simulate
from sdewm.style import COLOURS, GREY, new_figure, style


class Memory(LatentSDE):  # dx = (2 tanh 2x − x) dt + noise dB: it feeds back on itself, and so remembers its sign
    dim = 1

    def __init__(self, noise):
        super().__init__()
        self.noise = noise

    def f(self, t, x):  # the drift, (paths, dim) to (paths, dim), as torchsde has it
        return 2 * torch.tanh(2 * x) - x

    def g(self, t, x):  # the diffusion, one noise a coordinate
        return torch.full_like(x, self.noise)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--noise", type=float, default=1.5)
parser.add_argument("--horizon", type=float, default=30.0)
parser.add_argument("--paths", type=int, default=4096)
parser.add_argument("--out", default="simulate.png")
given = parser.parse_args()

grid = TimeGrid(T=given.horizon, steps=int(50 * given.horizon))
x = simulate(Memory(given.noise), 2.0, grid, given.paths, seed=0, save="all").states[..., 0]  # (steps + 1, paths)
# The drift is −V′ of V = x²/2 − log cosh 2x, so that the density tends to exp(−2V / noise²), up to a factor.
at = torch.linspace(-6.0, 6.0, 481, dtype=x.dtype)
density = torch.softmax((2 * torch.cosh(2 * at).log() - at**2) / given.noise**2, 0)  # sums to 1 over a grid of 0.025
square, forgot = Moments.of(torch.stack((x[-1] ** 2, (x[-1] < 0).to(x)), 1)).estimates()
print(f"E x² at t = {grid.T:g}: {square}, after long times {(density @ at**2).item():.5g}")
print(f"share of paths that have forgotten their sign: {forgot}, after long times 0.5")
bins = torch.linspace(-6.0, 6.0, 49, dtype=x.dtype)
shares = Moments.of(((x[-1, :, None] >= bins[:-1]) & (x[-1, :, None] < bins[1:])).to(x)).estimates()
intervals = zip(*((100 * share).interval() for share in shares), strict=True)

with style():
    figure, (left, right) = new_figure(7.2, 3.4, columns=2)
    left.get_gridspec().set_width_ratios((5, 2))
    left.plot(grid.times, x[:, 2:32], color=GREY, lw=0.3, alpha=0.4)
    left.plot(grid.times, x[:, 0], color=COLOURS[0], lw=0.9)
    left.plot(grid.times, x[:, 1], color="black", lw=0.9, ls=(0, (3, 1)))
    left.set(xlabel="time t", ylabel="latent state x", title=f"32 of {given.paths} paths from x = 2", ylim=(-6, 6))
    right.hlines((bins[:-1] + bins[1:]) / 2, *intervals, color="black", lw=2.2)
    right.plot(100 * 10 * density, at, color=COLOURS[0])
    right.set(xlabel="% of paths in each ¼ of x", title=f"law at t = {grid.T:g}", ylim=(-6, 6), xlim=(0, None))
    right.text(0.8, 5.4, "simulated, 95 % intervals", fontsize=7.5)
    right.text(0.8, 4.8, "exact, after long times", fontsize=7.5, color=COLOURS[0])
    figure.savefig(given.out)
print("picture:", given.out)
