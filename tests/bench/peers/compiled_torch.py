"""A loop in torch written by hand for one problem, eager and compiled: what a patient user gets without a package."""

import torch
from torch import Tensor

from ..harness import Absent, Job
from ..problems import X0, Problem

# Tried for the compiled one on the cubic pair, in ns a normal: 5, 10 and 20 steps a graph 3.7, 3.8 and 3.7 (compiled in
# about 6, 11 and 25 s), blocks of 1024, 4096 and 8192 paths 3.8, 3.8 and 3.6: all the same but for noise. Normals are
# drawn outside the graph throughout.
STEPS, ROWS = 10, 4096


def _job(problem: Problem, compiled: bool) -> Job:
    if problem.kind == "variations":
        raise Absent("no loop by hand for this problem")
    if compiled and problem.quick:
        raise Absent("left out of a quick run")
    count = next(k for k in range(min(STEPS, problem.steps), 0, -1) if problem.steps % k == 0)
    c = {k: torch.from_numpy(v) for k, v in problem.constants.items()}

    def some_steps(states: tuple[Tensor, ...], normals: Tensor) -> tuple[Tensor, ...]:
        for n in range(count):
            states = problem.step(torch, c, states, normals[n])
        return states

    advance = torch.compile(some_steps, fullgraph=True, dynamic=False) if compiled else some_steps
    source = torch.Generator()
    rows = min(ROWS, problem.paths)
    blocks = -(-problem.paths // rows)
    buffer = torch.empty(count, rows, problem.columns)

    @torch.no_grad()
    def run(seed: int) -> Tensor:
        source.manual_seed(seed)
        values = []
        for _ in range(blocks):
            states = tuple(torch.full((rows, problem.dim), X0) for _ in range(problem.members))
            for _ in range(problem.steps // count):
                states = advance(states, buffer.normal_(generator=source))
            values.append(torch.stack(problem.observed(states), dim=1))
        return torch.cat(values)

    run(0)
    # The last block is a full one: all its normals are drawn, and all its paths count.
    drawn = blocks * rows * problem.steps * problem.columns
    return Job(run, drawn, f"{count} steps a graph, blocks of {rows}, normals outside" if compiled else "by hand")


def eager(problem: Problem) -> Job:
    """Operation by operation."""
    return _job(problem, compiled=False)


def compiled(problem: Problem) -> Job:
    """torch.compile of ten steps."""
    return _job(problem, compiled=True)


PEERS = {"torch by hand, eager": eager, "torch by hand, compiled": compiled}
