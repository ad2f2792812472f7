"""What no engine can go below: the normals alone, and the normals with the products that cannot be avoided."""

import torch
from torch import Tensor

from ..harness import Absent, Job
from ..problems import Problem

# 4096 paths of dimension 8: with fewer numbers the calls themselves are felt; with more the network's hidden layer
# leaves the cache, and its products are 5 to 10 % slower.
NUMBERS, CHUNK = 1 << 15, 1 << 18


def normals_alone(problem: Problem) -> Job:
    """Drawing the normals into one buffer that stays in the cache."""
    buffer = torch.empty(CHUNK)
    source = torch.Generator()

    def run(seed: int) -> None:
        source.manual_seed(seed)
        left = problem.normals
        while left > 0:
            # torch fills multiples of 16 by its vectorised way
            (buffer if left >= CHUNK else buffer[: -(-left // 16) * 16]).normal_(generator=source)
            left -= CHUNK

    return Job(run, problem.normals, "normal_ into a buffer of 2^18 numbers")


def with_products(problem: Problem) -> Job:
    """Normals and matrix products."""
    if not problem.products:
        raise Absent("no matrix products in this problem")
    return _arithmetic(problem, elementary=False)


def with_elementary(problem: Problem) -> Job:
    """Normals, matrix products and elementary functions."""
    if not problem.sines:
        raise Absent("no elementary functions in this problem")
    return _arithmetic(problem, elementary=True)


def _arithmetic(problem: Problem, elementary: bool) -> Job:
    draw = normals_alone(problem).run
    rows = min(NUMBERS // problem.dim, problem.paths)
    blocks = problem.steps * problem.paths / rows
    pairs = [(torch.randn(rows * m, k), torch.randn(k, n), torch.empty(rows * m, n)) for m, k, n in problem.products]
    state, out = torch.randn(rows, problem.dim), torch.empty(rows, problem.dim)

    def functions(hidden: Tensor | None) -> None:
        # One pass over the state, as a fused step has it. The factors keep the sines apart.
        total = torch.sin(state)
        for k in range(2, problem.sines + 1):
            total = total + torch.sin(k * state)
        out.copy_(total)
        if hidden is not None:
            hidden.tanh_()

    # torch's own sin and tanh are slower than what its compiler makes of them: they would be no limit.
    fast = functions if problem.quick else torch.compile(functions, fullgraph=True, dynamic=False)

    @torch.no_grad()
    def run(seed: int) -> None:
        draw(seed)
        for _ in range(round(blocks)):
            for a, b, c in pairs:
                torch.mm(a, b, out=c)
            if elementary:
                fast(pairs[0][2] if pairs else None)

    run(0)
    how = "" if not elementary else (", not compiled" if problem.quick else ", compiled")
    return Job(run, problem.normals, f"in place, on blocks of {rows} paths{how}")


PEERS = {
    "limit: normals": normals_alone,
    "limit: normals + products": with_products,
    # No limit for others, whose functions may be faster: XLA's tanh is, its sine is not.
    "torch's floor: products and sin, tanh too": with_elementary,
}
