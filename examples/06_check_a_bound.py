"""Is the log-norm bound true on somebody else's SDE, how tight is it, and what would change the verdict?

python examples/06_check_a_bound.py --eps 0.05 --out bound.png
"""

import argparse

import torch

from sdewm import RepresentationError, TimeGrid, check
from sdewm.theory.bounds import LogNorm


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
x0 = torch.tensor([-1.0, 0.5], dtype=torch.float64)
verdict = check(LogNorm(), FitzHughNagumo(), error, given.eps, x0, TimeGrid(2.0, 64), paths=given.paths)
print(verdict)
print(verdict.explain())
verdict.plot(given.out)
print("picture:", given.out)
