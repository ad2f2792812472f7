"""An LSTM learns the chaotic Hénon map: how fast do errors of its state (h, c) grow when it goes on by itself?

python examples/15_errors_in_an_lstm.py --out lstm.png
"""

import argparse

import torch
from torch import nn

from sdewm import divergence


def henon(x):
    now, before = x.split(1, 1)
    return torch.cat((1.0 - 1.4 * now**2 + 0.3 * before, now), 1)


class Model(nn.Module):  # put your own model here
    def __init__(self, hidden=32):
        super().__init__()
        self.hidden, self.cell, self.out = hidden, nn.LSTMCell(1, hidden), nn.Linear(hidden, 1)

    def listen(self, x, seen):  # x = (h, c)
        return torch.cat(self.cell(seen, x.split(self.hidden, 1)), 1)

    def say(self, x):
        return self.out(x[:, : self.hidden])

    def forward(self, x):  # what it says is what it hears next
        return self.listen(x, self.say(x))


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", default="lstm.png")
given = parser.parse_args()

with torch.random.fork_rng():  # first weights are drawn from the global random state, which is then put back
    torch.manual_seed(0)
    model = Model()
true = 0.1 * torch.rand(64, 2, generator=torch.Generator().manual_seed(1))
optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
for _ in range(500):
    x, loss = torch.zeros(64, 64), 0.0
    for _ in range(16):
        x, true = model.listen(x, true[:, :1]), henon(true)
        loss = loss + (model.say(x) - true[:, :1]).square().mean() / 16
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
print(f"root mean square error of the next value: {loss.item() ** 0.5:.3f}")

d = divergence(model.double(), x.detach().double(), horizon=30, measure=model.say, sizes=(1e-4, 0.01))
print(d)
print(d.explain())
exact = divergence(henon, true.double(), horizon=30, errors="initial", sizes=1e-6, bound_states=0).jacobians.lyapunov
for value, low, high in zip(exact.value, exact.low, exact.high, strict=True):
    print(f"Lyapunov exponent of the map itself over as many steps: {value:.3f} [{low:.3f}, {high:.3f}]")
d.plot(given.out)
print("picture:", given.out)
