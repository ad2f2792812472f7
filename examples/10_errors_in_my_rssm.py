"""How fast do errors grow in my RSSM? One in plain torch learns a driven rotor, and then goes on without observations.

python examples/10_errors_in_my_rssm.py --horizon 30 --out rssm.png
"""

import argparse

import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from sdewm import divergence

H, Z = 48, 8  # the state is x = (h, z), with noise on z alone


class RSSM(nn.Module):  # put your own here
    def __init__(self):
        super().__init__()
        self.cell, self.prior, self.post = nn.GRUCell(Z + 1, H), nn.Linear(H, 2 * Z), nn.Linear(H + 2, 2 * Z)
        self.decoder = nn.Sequential(nn.Linear(H + Z, 64), nn.ELU(), nn.Linear(64, 2))

    def laws(self, x, a, o=None):  # h, the law of z given h, and that given h and an observation
        h = self.cell(torch.cat((x[:, H:], a), 1), x[:, :H])
        heads = [self.prior(h)] if o is None else [self.prior(h), self.post(torch.cat((h, o), 1))]
        return h, *(Normal(mean, nn.functional.softplus(s) + 0.1) for mean, s in (head.chunk(2, 1) for head in heads))

    def forward(self, x, a, noise):  # a step of a rollout; the noise is handed in, so that two rollouts can share it
        h, z = self.laws(x, a)
        return torch.cat((h, z.mean + z.stddev * noise), 1)

    def listen(self, count, source, ahead=0):  # 20 observations of the cosine and sine of angles under random torques
        torques = torch.randn(20 + ahead, count, 1, generator=source)
        angle, x, loss = (0.1 * torques[:20].cumsum(0)).cumsum(0), torch.zeros(count, H + Z), 0.0
        for a, o in zip(torques, torch.cat((angle.cos(), angle.sin()), 2), strict=False):
            h, prior, z = self.laws(x, a, o)
            x = torch.cat((h, z.mean + z.stddev * torch.randn(count, Z, generator=source)), 1)
            loss = loss + ((self.decoder(x) - o) ** 2).sum() / (2 * 0.1**2) + kl_divergence(z, prior).sum()
        return x.detach(), torques[20:], loss / (20 * count)  # the evidence lower bound, negative and up to a constant


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--horizon", type=int, default=30)
parser.add_argument("--out", default="rssm.png")
given = parser.parse_args()

source = torch.Generator().manual_seed(0)
with torch.random.fork_rng():  # first weights are drawn from the global random state, which is then put back
    torch.manual_seed(0)
    model = RSSM()
optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
for _ in range(300):
    optimiser.zero_grad()
    model.listen(64, source)[2].backward()
    optimiser.step()
x, torques, _ = model.listen(96, source, given.horizon)
d = divergence(model, x, torques, noise_dim=Z, of=slice(H, H + Z), measure=model.decoder, sizes=(0.01, 0.3))
print(d, d.explain(), sep="\n")
d.plot(given.out)
print("picture:", given.out)
