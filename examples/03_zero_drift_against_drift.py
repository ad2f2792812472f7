"""Zero-drift error against drift error: which grows faster over a rollout, and which costs more while it is small?

python examples/03_zero_drift_against_drift.py --correlation 1 --out drift.png    # on shared noise it costs ε, not ε²
"""

import argparse

import torch

from sdewm import RepresentationError, TimeGrid, perturb, simulate_coupled
from sdewm.drifts import Linear
from sdewm.style import COLOURS, GREY, MARKERS, new_figure, style

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--leak", type=float, default=0.1)
parser.add_argument("--correlation", type=float, default=0.0, help="of the zero-drift error's noise with the system's")
parser.add_argument("--out", default="drift.png")
given = parser.parse_args()

system = Linear(a=-given.leak, diffusion_offset=0.3, dim=2)  # it keeps what it holds, but for a leak
grid, steps, sizes = TimeGrid(T=4.0, steps=64), (1, 2, 4, 8, 16, 32, 64), (0.05, 0.1, 0.2, 0.4, 0.8)
errors = {
    "drift": RepresentationError(drift=lambda t, x: torch.ones_like(x)),
    "zero drift": RepresentationError(diffusion=lambda t, x: torch.ones_like(x), correlation=given.correlation),
}
cases = {(name, eps): perturb(system, error, eps) for name, error in errors.items() for eps in sizes}


def observe(states):  # of each case the squared error |x^ε − x|², and by how much the loss |x|² changes
    pairs = [(states[case], states["base"]) for case in cases]
    return torch.stack([v for y, x in pairs for v in ((y - x).square().sum(1), (y**2 - x**2).sum(1))], 1)


def draw(ax, at, each, power, law, i):  # values with their intervals, beside a power law through the first
    value, low, high = each.T
    ax.plot(at, [value[0] * (a / at[0]) ** power for a in at], color=GREY, ls=":", zorder=0)
    ax.errorbar(at, value, (value - low, high - value), color=COLOURS[i], marker=MARKERS[i])
    place = {"ha": "right", "va": "bottom"} if i == 0 else {"ha": "left", "va": "top"}
    ax.text(at[2], value[2] * (1.3, 0.75)[i], f"{list(errors)[i]}, beside {law}", color=COLOURS[i], **place)
    return f"{value[-1]:.4g} [{low[-1]:.4g}, {high[-1]:.4g}]"


members, times = {"base": system, **cases}, [grid.time(n) for n in steps]
run = simulate_coupled(members, 0.6, grid, 32768, observe=observe, save=times)
found = torch.tensor([[(e.value, *e.interval()) for e in moments.estimates()] for moments in run.moments])
found = found.unflatten(1, (2, len(sizes), 2))  # (times, errors, sizes, which of the two, value and interval)
with style():
    figure, (left, right) = new_figure(7.6, 3.6, columns=2)
    left.set(xlabel="steps N", ylabel="RMS error / that of one step", title="growth at ε = 0.1, 95 % intervals")
    right.set(xlabel="size of the error ε", ylabel=f"change of E |x|² at N = {steps[-1]}", title="cost, 95 % intervals")
    for i, name in enumerate(errors):
        one = 0.1 * 2**0.5 * (grid.h, grid.h**0.5)[i]  # the RMS error that a single step injects
        growth = draw(left, steps, found[:, i, 1, 0].sqrt() / one, (1, 0.5)[i], ("N", "√N")[i], i)
        cost = draw(right, sizes, found[-1, i, :, 1], (1, 2)[i], ("ε", "ε²")[i], i)
        print(f"{name}: {growth} times one step's error after {steps[-1]} steps; at ε = {sizes[-1]} it costs {cost}")
    for ax, at in ((left, steps), (right, sizes)):
        ax.set(xscale="log", yscale="log", xticks=at, xticklabels=at)
        ax.minorticks_off()
    figure.savefig(given.out)
print("picture:", given.out)
