"""How fast do errors of the latent grow in a rollout of torchrl's RSSM? Its noise is zero on the belief.

pip install "sdewm[torchrl]"; python examples/16_errors_in_a_torchrl_rssm.py --out rssm.png
"""

import argparse
import sys

import torch

from sdewm import divergence

try:
    from torchrl.data import Unbounded
    from torchrl.modules import RSSMPrior
except ImportError as error:
    print(f'this example needs torchrl, from the extra "torchrl" of sdewm: {error}', file=sys.stderr)
    sys.exit(2)

STATE, BELIEF, ACTION = 16, 64, 2


def step(x, a, noise):  # x = (belief, state); the noise is handed in, so that two rollouts can share it
    belief, state = x.split((BELIEF, STATE), 1)
    _, _, state, belief = prior(state, belief, a, noise=noise)
    return torch.cat((belief, state), 1)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--horizon", type=int, default=50)
parser.add_argument("--gain", type=float, default=2.0, help="of the recurrent weights, in place of training")
parser.add_argument("--out", default="rssm.png")
given = parser.parse_args()

with torch.random.fork_rng():  # first weights are drawn from the global random state, which is then put back
    torch.manual_seed(0)
    prior = RSSMPrior(Unbounded(ACTION), hidden_dim=64, rnn_hidden_dim=BELIEF, state_dim=STATE, action_dim=ACTION)
with torch.no_grad():  # load your own weights here
    for weight in prior.rnn.parameters():
        weight.mul_(given.gain)
source = torch.Generator().manual_seed(1)
actions = torch.randn(20 + given.horizon, 128, ACTION, generator=source)
x = torch.zeros(128, BELIEF + STATE)
for a in actions[:20]:  # to states that the rollouts visit
    x = step(x, a, torch.randn(128, STATE, generator=source)).detach()

d = divergence(step, x, actions[20:], noise_dim=STATE, of=slice(BELIEF, BELIEF + STATE))
print(d)
print(d.explain())
d.plot(given.out)
print("picture:", given.out)
