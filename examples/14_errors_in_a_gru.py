"""How fast do errors grow in a GRU that has learned a driven pendulum, and up to when does first order say so?

python examples/14_errors_in_a_gru.py --horizon 50 --out gru.png
"""

import argparse

import torch
from torch import nn

from sdewm import divergence


def pendulums(count, steps, source):
    """Angle and velocity of damped pendulums under random torques: (steps + 1, count, 2) and the torques."""
    x = torch.randn(count, 2, generator=source)
    torques = 2.0 * torch.randn(steps, count, 1, generator=source)
    seen = [x]
    for torque in torques:
        angle, velocity = seen[-1].split(1, 1)
        velocity = velocity + 0.1 * (torque - torch.sin(angle) * 4.0 - 0.3 * velocity)
        seen.append(torch.cat((angle + 0.1 * velocity, velocity), 1))
    return torch.stack(seen), torques


class Model(nn.Module):  # put your own model here
    def __init__(self, hidden=48):
        super().__init__()
        self.encoder, self.cell, self.decoder = nn.Linear(2, hidden), nn.GRUCell(1, hidden), nn.Linear(hidden, 2)

    def forward(self, h, a):
        return self.cell(a, h)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--horizon", type=int, default=50)
parser.add_argument("--out", default="gru.png")
given = parser.parse_args()
with torch.random.fork_rng():  # first weights are drawn from the global random state, which is then put back
    torch.manual_seed(0)
    model = Model()
source = torch.Generator().manual_seed(1)
optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
for _ in range(500):
    seen, torques = pendulums(64, 30, source)
    h, loss = torch.tanh(model.encoder(seen[0])), 0.0
    for a, truth in zip(torques, seen[1:], strict=True):
        h = model(h, a)
        loss = loss + (model.decoder(h) - truth).square().mean() / len(torques)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
print(f"root mean square error of the prediction over 30 steps: {loss.item() ** 0.5:.3f}")

seen, torques = pendulums(128, given.horizon, source)
starts = torch.tanh(model.encoder(seen[0])).detach()
d = divergence(model, starts, torques, measure=model.decoder, sizes=(0.01, 0.3))
print(d, d.explain(), sep="\n")
d.plot(given.out)
print("picture:", given.out)
