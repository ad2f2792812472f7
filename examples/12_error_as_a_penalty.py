"""Does training under a latent error act as a Jacobian penalty on your drift? The penalty, and the gradient by a gain.

python examples/12_error_as_a_penalty.py --out penalty.png
"""

import argparse
from dataclasses import replace

import torch
from torch import nn

from sdewm import LatentSDE, RepresentationError, TimeGrid, effect_gradient, rollout_penalty
from sdewm.style import COLOURS, GREY, new_figure, style


class Recurrent(LatentSDE):  # put your own module here
    dim, W = 4, torch.linspace(-1.0, 1.0, 16, dtype=torch.float64).reshape(4, 4).roll(1, 0)

    def __init__(self, gain):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain, dtype=torch.float64))

    def f(self, t, x):
        return -x + self.gain * torch.tanh(x) @ self.W.T

    def g(self, t, x):
        return 0.3 + 0.2 * torch.tanh(x)


def loss(x):
    return 0.5 * ((x - 0.5) ** 2).sum(-1)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--eps", type=float, default=0.3)
parser.add_argument("--out", default="penalty.png")
given = parser.parse_args()
apart = RepresentationError(diffusion=lambda t, x: 0.5 + 0.4 * torch.sin(2 * x), correlation="independent")
grid, gains, slopes, penalties = TimeGrid(1.0, 16), [0.25, 0.5, 1.0, 1.5, 2.0], {}, []
for gain in gains:
    penalties.append(rollout_penalty(Recurrent(gain), apart, 0.6, grid, 4096))
    for name, error in (("independent noise", apart), ("shared noise", replace(apart, correlation="shared"))):
        slope = effect_gradient(Recurrent(gain), error, loss, 0.6, grid, 4096, eps=given.eps)["gain"]
        slopes.setdefault(name, []).append(slope)
    print(f"gain {gain:g}: penalty {penalties[-1]}, dR/dgain", {name: str(s[-1]) for name, s in slopes.items()})

with style():
    figure, (left, right) = new_figure(7.2, 3.4, columns=2)
    bars = [[p.value - p.interval()[0] for p in penalties], [p.interval()[1] - p.value for p in penalties]]
    left.errorbar(gains, [p.value for p in penalties], bars, fmt="o-", color=COLOURS[0])
    left.set_ylabel("½ E ∫‖Φσ̄‖², the penalty at interpolation")
    for i, (name, values) in enumerate(slopes.items()):
        bars = [[s.value - s.interval()[0] for s in values], [s.interval()[1] - s.value for s in values]]
        right.errorbar(gains, [s.value for s in values], bars, fmt="os"[i] + "-", color=COLOURS[i], label=name)
    right.axhline(0.0, color=GREY, lw=0.8)
    right.set_ylabel(f"dR/dgain at ε = {given.eps:g}")
    right.legend()
    figure.supxlabel("gain of the recurrent drift; 95 % intervals", fontsize=9)
    figure.savefig(given.out)
print("picture:", given.out)
