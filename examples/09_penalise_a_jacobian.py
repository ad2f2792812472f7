"""What a Jacobian penalty in a training loop costs, how exact it is, and what it does.

python examples/09_penalise_a_jacobian.py --weight 0.01 --out penalty.png
"""

import argparse
import time

import matplotlib.pyplot as plt
import torch

from sdewm import jacobian_penalty
from sdewm.jacobian import GRUMap

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--weight", type=float, default=0.01)
parser.add_argument("--out", default="penalty.png")
given = parser.parse_args()
STATE = slice(2, None)  # a log-norm, and a whitening by the batch, want a square Jacobian
KINDS = {"none": None, "GRU, exact": {}, "1 probe": {}, "4 probes": {"probes": 4}, "spectral": {"kind": "spectral"},
         "log-norm": {"kind": "log_norm", "of": STATE}, "whitened": {"kind": "whitened", "of": STATE}}  # fmt: skip


def train(name):
    """A cell that learns to predict a noisy rotation; the cell, visited (input, state), norms on the way, seconds."""
    torch.manual_seed(0)
    cell, read = torch.nn.GRUCell(2, 32), torch.nn.Linear(32, 2)
    gru, optimiser = GRUMap(cell), torch.optim.Adam([*cell.parameters(), *read.parameters()], lr=3e-3)
    step, seconds, norms = gru if "GRU" in name else lambda x: gru(x), 0.0, []  # a lambda: nothing is known about it
    for n in range(120):
        began, turn = time.process_time(), torch.arange(17) * 0.4 + 6.28 * torch.rand(64, 1)
        seen = torch.stack((turn.cos(), turn.sin()), -1) + 0.1 * torch.randn(64, 17, 2)
        states = [torch.zeros(64, 32)]
        for k in range(16):
            states.append(cell(seen[:, k], states[-1]))
        loss = (read(torch.stack(states[1:], 1)) - seen[:, 1:]).square().mean()
        x = torch.cat((seen[:, 4:16], torch.stack(states[4:16], 1)), -1).flatten(0, 1).detach()
        if KINDS[name] is not None:
            loss = loss + given.weight * jacobian_penalty(step, x, draw=n, **KINDS[name])  # this line is all
        optimiser.zero_grad(), loss.backward(), optimiser.step()
        seconds, norms = seconds + time.process_time() - began, [*norms, jacobian_penalty(gru, x).detach().sqrt()]
    return gru, x[:16], norms, seconds


figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
runs = {name: train(name) for name in KINDS}
for i, (name, (gru, x, norms, seconds)) in enumerate(runs.items()):
    print(f"{name}: {seconds / runs['none'][3]:.2f} x the time without, Frobenius norm ends at {norms[-1]:.2f}")
    middle.plot(norms, label=name, ls=("-", "--", "-.", ":")[i % 4])
    right.barh(name, seconds / runs["none"][3], color=f"C{i}")
    if "probe" in name:  # on 16 rows, against the exact norm
        draws = torch.stack([jacobian_penalty(lambda y, g=gru: g(y), x, draw=n, **KINDS[name]) for n in range(400)])
        ratio = (draws / jacobian_penalty(gru, x)).detach()
        left.hist(ratio.numpy(), 30, alpha=0.6, color=f"C{i}", label=f"{name}: mean {ratio.mean():.3f}")
        print(f"  estimate / exact: {ratio.mean():.4f} +- {1.96 * ratio.std() / 20:.4f}")
left.set(xlabel="estimate / exact norm, 16 rows", ylabel="draws", ylim=(0, 55))
middle.set(xlabel="training step", ylabel="Frobenius norm of the cell's Jacobian")
right.set(xlabel="training time, ratio to none")
left.legend(fontsize=7), middle.legend(fontsize=7)
figure.savefig(given.out, dpi=150), print("picture:", given.out)
