"""What does an error of size ε do to a path? The same path with and without it, and how their distance grows with time.

python examples/02_perturb_it.py --eps 0.3 0.1 0.03 --out perturb.png
"""

import argparse

import torch

from sdewm import LatentSDE, Moments, RepresentationError, TimeGrid, perturb, simulate_coupled
from sdewm.style import COLOURS, GREY, MARKERS, new_figure, style


class Wave(LatentSDE):
    dim = 2

    def f(self, t, x):
        return torch.sin(x.flip(-1)) - x

    def g(self, t, x):
        return 0.3 + 0.2 * torch.cos(x)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--eps", type=float, nargs="+", default=[0.3, 0.1, 0.03])
parser.add_argument("--out", default="perturb.png")
given = parser.parse_args()
# An encoder that errs adds ε σ dt + ε σ̄ dW. Here σ = 0, a zero-drift error, and W is the noise that the system has.
error = RepresentationError(diffusion=lambda t, x: 0.5 + 0.4 * torch.sin(2 * x), correlation="shared")
system, grid = Wave(), TimeGrid(T=4.0, steps=200)
members = {"base": system, **{eps: perturb(system, error, eps) for eps in given.eps}}
run = simulate_coupled(members, 0.6, grid, 4096, seed=0, save="all")  # all of them on one Brownian path
other = simulate_coupled([system], 0.6, grid, 4096, seed=1, save="all")[0].states


def distance(x, y):
    """Root mean square of |x − y| over paths at every time, and both ends of its interval."""
    mean = Moments.of((x - y).square().sum(-1).T).estimates()
    return torch.tensor([(m.value, *m.interval()) for m in mean]).clamp_min(0).sqrt().T


x = run["base"].states
gaps = {f"error of size ε = {eps:g}": distance(run[eps].states, x) for eps in given.eps}
gaps["two paths on unlike noise"] = distance(other, x)

with style():
    figure, (left, right) = new_figure(7.6, 3.4, columns=2)
    left.plot(grid.times, x[:, 0, 0], color="black", label="without")
    left.plot(grid.times, run[given.eps[0]].states[:, 0, 0], color=COLOURS[0], ls="--", label=f"ε = {given.eps[0]:g}")
    left.set(xlabel="time t", ylabel="x₁", title="one path, with and without the error")
    left.legend()
    for i, (name, (rms, low, high)) in enumerate(gaps.items()):
        print(f"{name}: RMS distance at t = {grid.T:g} {rms[-1]:.4g} [{low[-1]:.4g}, {high[-1]:.4g}]")
        colour = COLOURS[i] if name.startswith("error") else GREY
        right.fill_between(grid.times[1:], low[1:], high[1:], color=colour, alpha=0.3, lw=0)
        right.plot(grid.times[1:], rms[1:], color=colour, marker=MARKERS[i], markevery=(39, 40))
        right.annotate(name, (4.0, rms[-1]), (-4, 4), textcoords="offset points", ha="right", fontsize=8, color=colour)
    right.set(xlabel="time t", ylabel="RMS distance", yscale="log", title="how far apart (95 % bands within the lines)")
    figure.savefig(given.out)
print("picture:", given.out)
