"""A drift of your own, and a bound of your own with its proof: is it true, and would a slip in it be found out?
python examples/08_a_drift_and_a_bound_of_your_own.py --coupling 0 --out own.png    # 0: attained; 0.6: too loose
"""

import argparse

import torch

from sdewm import Facts, LatentSDE, RepresentationError, TimeGrid, check
from sdewm.constant import Certified
from sdewm.style import COLOURS, new_figure, style
from sdewm.theory.bounds import Bound

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--coupling", type=float, default=0.2)
parser.add_argument("--out", default="own.png")
given = parser.parse_args()


class Ring(LatentSDE):  # dx_i = (−x_i + c sin x_{i+1}) dt + 0.3 dB^i, four leaky units in a ring
    dim, drift_facts, diffusion_facts = 4, Facts(), Facts()  # smooth, with bounded derivatives

    def f(self, t, x):
        return given.coupling * torch.sin(x.roll(-1, 1)) - x

    def g(self, t, x):
        return torch.full_like(x, 0.3)


class Plateau(Bound):
    # A step takes e to [e + h (f(x + e) − f(x))] + [(g(x + e) − g(x)) ΔB + εσ̄ ΔW]: the first at most K|e|, K² = 1 + 2hμ
    # + h²L², the second of mean zero given the past, and of mean square at most h (Λr + εs̄)² while E|e|² <= r². They
    # add up to K²r² + h (Λr + εs̄)², which is <= r² for r as stated or more: what holds at the start holds for ever.
    name, slip, constants = "plateau", 1.0, ("mu", "spectral", "diffusion", "diffusion_error", "drift_error")
    reference, statement = "derived here", "(E|e|²)^½ <= r = ε s̄ / (√(−2μ − hL²) − Λ), if no more at the start"
    hypotheses = implied = ("zero drift, and μ, L, Λ and s̄ bound what they stand for",)

    def discrete(self, c, setting):  # for the steps that are simulated; it is more than for the equation
        gap = max(-2 * c["mu"] - setting.grid.h * c["spectral"] ** 2, 0.0) ** 0.5 - c["diffusion"]
        r = self.slip * setting.eps * c["diffusion_error"] / gap if gap > 0.0 == c["drift_error"] else torch.inf
        return torch.full((setting.grid.steps + 1,), max(r, setting.initial), dtype=torch.float64).numpy()

    continuous = discrete


c, times, bound = abs(given.coupling), (0.25, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0), Plateau()
error = RepresentationError(diffusion=lambda t, x: torch.full_like(x, 0.5), correlation="independent")  # s̄² = 4 · ½²
# Df = −I + c D P with |D_ii| = |cos x_i| <= 1 and P a permutation, so that ‖D P‖ <= 1: μ, L, Λ, s̄ and s are at most
known = {k: Certified(v, "by hand") for k, v in zip(bound.constants, (c - 1, c + 1, 0.0, 1.0, 0.0), strict=True)}
with style():
    figure, (ax,) = new_figure()
    for bound.slip, colour, ls in ((0.5**0.5, COLOURS[1], "--"), (1.0, COLOURS[0], "-")):  # √½: Itô's, without the 2
        v = check(bound, Ring(), error, 0.1, 0.6, TimeGrid(8.0, 128), times=times, constants=known, sequential=False)
        print(f"{bound.slip:.3g} r: {v}")
        ax.axhline(most := v.evidence.most[-1], color=colour, ls=ls)
        ax.text(8, 1.01 * most, f"{bound.slip:.2g} r {v.outcome.value}", color=colour, ha="right", va="bottom")
    ax.vlines(times, *zip(*((e.lower**0.5, e.upper**0.5) for e in v.evidence.comparisons), strict=True), color="k")
    ax.set(xlabel="time t", ylabel="RMS error", ylim=(0, 1.2 * most), title="bars: what is simulated, 99 % intervals")
    figure.savefig(given.out)
print("picture:", given.out)
