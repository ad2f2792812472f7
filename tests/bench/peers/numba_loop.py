"""numba: the loop over paths and steps written out for one problem, on normals that torch draws."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..harness import Absent, Job, missing
from ..problems import X0, Problem, T

# The wheels on PyPI come without Intel's vector functions (numba -s: "Using SVML Patched LLVM: False", also with
# intel-cmplr-lib-rt beside them), so that a sine is a scalar call and the cubic pair mostly waits for it; the geometric
# pair shows the loop itself.
ROWS, STEPS = 2048, 10


def loop(problem: Problem) -> Job:
    """The loop."""
    if problem.name not in ("pair, cubic", "pair, geometric", "wide"):
        raise Absent("no loop by hand for this problem")
    try:
        import numba
    except ImportError as error:
        raise missing(error) from error

    kernel = _kernel(numba, geometric=problem.name == "pair, geometric")
    rows = min(ROWS, problem.paths)
    blocks = -(-problem.paths // rows)
    count = next(k for k in range(min(STEPS, problem.steps), 0, -1) if problem.steps % k == 0)
    buffer = torch.empty(count, rows * problem.dim)
    source = torch.Generator()
    h = np.float32(T / problem.steps)
    root, eps = np.float32((T / problem.steps) ** 0.5), np.float32(problem.eps)

    def run(seed: int) -> Any:
        source.manual_seed(seed)
        values = []
        for _ in range(blocks):
            x, xe = (np.full(rows * problem.dim, X0, dtype=np.float32) for _ in range(2))
            for _ in range(problem.steps // count):
                kernel(x, xe, buffer.normal_(generator=source).numpy(), h, root, eps)
            ends = (x.reshape(rows, problem.dim), xe.reshape(rows, problem.dim))
            values.append(np.stack(problem.observed(ends), axis=1))
        return np.concatenate(values)

    run(0)
    drawn = blocks * rows * problem.steps * problem.dim
    return Job(run, drawn, f"fastmath, normals by torch, {count} steps a call, blocks of {rows}")


def _kernel(numba: Any, geometric: bool) -> Callable[..., None]:
    f = np.float32

    if geometric:

        @numba.njit(fastmath=True)
        def kernel(x: Any, xe: Any, normals: Any, h: Any, root: Any, eps: Any) -> None:
            for n in range(normals.shape[0]):
                for i in range(x.shape[0]):
                    xi = root * normals[n, i]
                    a, b = x[i], xe[i]
                    x[i] = a - f(0.5) * h * a + f(0.6) * a * xi
                    xe[i] = b - f(0.5) * h * b + (f(0.6) * b + eps) * xi
    else:

        @numba.njit(fastmath=True)
        def kernel(x: Any, xe: Any, normals: Any, h: Any, root: Any, eps: Any) -> None:
            for n in range(normals.shape[0]):
                for i in range(x.shape[0]):
                    xi = root * normals[n, i]
                    a, b = x[i], xe[i]
                    ga = f(0.5) + f(0.3) * np.sin(a)
                    gb = f(0.5) + f(0.3) * np.sin(b) + eps * (f(0.5) + f(0.4) * np.sin(f(2.0) * b))
                    x[i] = a + h * (a - a * a * a) + ga * xi
                    xe[i] = b + h * (b - b * b * b) + gb * xi

    compiled: Callable[..., None] = kernel
    return compiled


PEERS = {"numba loop by hand": loop}
