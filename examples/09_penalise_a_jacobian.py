"""What does a Jacobian penalty in a training loop do to a model, and what does it cost on new data?

python examples/09_penalise_a_jacobian.py --weights 0 0.001 0.01 0.1 --seeds 4 --out penalty.png
"""

import argparse

import torch

from sdewm.jacobian import GRUMap, jacobian_penalty
from sdewm.stats import student_interval
from sdewm.style import COLOURS, MARKERS, new_figure, style

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--weights", type=float, nargs="+", default=[0.0, 0.01, 0.1])
parser.add_argument("--seeds", type=int, default=4)
parser.add_argument("--out", default="penalty.png")
given = parser.parse_args()


def foresee(cell, read, source, batch=32):  # the loss of predicting a rotation under noise, and visited (input, state)
    turn, h = 0.4 * torch.arange(17) + 6.28 * torch.rand(batch, 1, generator=source), [torch.zeros(batch, 32)]
    seen = torch.stack((turn.cos(), turn.sin()), -1) + 0.1 * torch.randn(batch, 17, 2, generator=source)
    for o in seen[:, :16].unbind(1):
        h.append(cell(o, h[-1]))
    x = torch.cat((seen[:, 4:16], torch.stack(h[4:16], 1)), -1).flatten(0, 1).detach()
    return (read(torch.stack(h[1:], 1)) - seen[:, 1:]).square().mean(), x


def train(weight, seed):  # the norm of the Jacobian after each step, and at the end the RMS error on new data
    with torch.random.fork_rng():  # first weights are drawn from the global random state, which is then put back
        torch.manual_seed(seed)
        cell, read = torch.nn.GRUCell(2, 32), torch.nn.Linear(32, 2)
    optimiser = torch.optim.Adam([*cell.parameters(), *read.parameters()], lr=3e-3)
    norms, source = [], torch.Generator().manual_seed(seed)
    for n in range(100):
        loss, x = foresee(cell, read, source)
        optimiser.zero_grad()
        (loss + weight * jacobian_penalty(lambda x: cell(x[:, :2], x[:, 2:]), x, draw=n)).backward()  # this line is all
        optimiser.step()
        norms.append(jacobian_penalty(GRUMap(cell), x).item() ** 0.5)  # of a GRU cell it is known exactly
    return [*norms, foresee(cell, read, source.manual_seed(99), 4096)[0].item() ** 0.5]


found = torch.tensor([[train(weight, seed) for seed in range(given.seeds)] for weight in given.weights])
found[:, :, -1] = 100 * (found[:, :, -1] / found[0, :, -1] - 1)  # against the first weight, seed by seed, in %
with style():
    figure, (left, right) = new_figure(7.6, 3.4, columns=2)
    for weight, own, colour, marker in zip(given.weights, found, COLOURS, MARKERS, strict=False):
        mean, (low, high) = own.mean(0), torch.tensor([student_interval(each) for each in own.T.tolist()]).T
        left.fill_between(range(100), low[:-1], high[:-1], color=colour, alpha=0.25, lw=0)
        left.plot(mean[:-1], color=colour, marker=marker, markevery=20, label=f"weight {weight:g}")
        right.errorbar(*mean[-2:], *(mean - low)[-2:].flip(0), color=colour, marker=marker)
        said = torch.stack((mean, low, high), 1)[-2:].flatten().tolist()
        print("weight {:g}: norm {:.2f} [{:.2f}, {:.2f}], error {:+.1f} % [{:.1f}, {:.1f}]".format(weight, *said))
    left.legend(loc="lower left")
    left.set(xlabel="training step", ylabel="Frobenius norm of the Jacobian", ylim=(0, None), title="95 % over seeds")
    right.set(xlabel="norm after training", ylabel="change of the RMS error in %", title="what it costs on new data")
    figure.savefig(given.out)
print("picture:", given.out)
