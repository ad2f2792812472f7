"""jax, by hand: lax.scan over the steps with jax.random.normal inside, lax.map over blocks of paths, jit around all."""

from typing import Any

from ..harness import Job, missing
from ..problems import X0, Problem, T

# Tried, in ns a normal on the cubic pair: threefry 19, rbg and unsafe_rbg 25; blocks of 1000 paths 19, 4000 and 20 000
# 20; unroll=5 20, normals of ten steps at once 31; Box–Muller by hand 26; normals from torch by dlpack 18;
# --xla_cpu_enable_fast_math and 512-bit vectors change nothing. The three sines cost most of it: XLA does not
# vectorise them here, so look at the geometric pair for the rest of the loop.
ROWS = 1024


def scan(problem: Problem) -> Job:
    """The scan."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError as error:
        raise missing(error) from error

    c = {k: jnp.asarray(v) for k, v in problem.constants.items()}
    rows = min(ROWS, problem.paths)
    blocks = -(-problem.paths // rows)
    step = _varied(jax, problem) if problem.kind == "variations" else problem.step

    def block(key: Any) -> Any:
        def body(states: Any, key: Any) -> Any:
            normals = jax.random.normal(key, (rows, problem.columns), dtype=jnp.float32)
            return step(jnp, c, states, normals), None

        start = tuple(jnp.full((rows, problem.dim), X0, dtype=jnp.float32) for _ in range(problem.members))
        if problem.kind == "variations":
            start = (*start[:2], jnp.zeros_like(start[0]), jnp.zeros_like(start[0]))
        states, _ = jax.lax.scan(body, start, jax.random.split(key, problem.steps))
        return jnp.stack(problem.observed(states), axis=1)

    solve = jax.jit(lambda key: jax.lax.map(block, jax.random.split(key, blocks)).reshape(-1, 2))

    def run(seed: int) -> Any:
        return solve(jax.random.key(seed)).block_until_ready()

    run(0)
    drawn = blocks * rows * problem.steps * problem.columns
    return Job(run, drawn, f"threefry, blocks of {rows}, one jit")


def _varied(jax: Any, problem: Problem) -> Any:
    """The step of (x⁰, x^ε, y₁, y₂), the last two by a jvp of a jvp of the perturbed step."""
    h, root = T / problem.steps, (T / problem.steps) ** 0.5

    def step(xp: Any, c: Any, states: Any, normals: Any) -> Any:
        x, xe, y1, y2 = states
        xi = root * normals

        def perturbed(eps: Any, x: Any) -> Any:
            g = problem.diffusion(xp, c, x) + eps * problem.error(xp, c, x)
            return x + h * problem.drift(xp, c, x) + g * xi

        def curve(eps: Any) -> Any:
            return perturbed(eps, x + eps * (y1 + eps * y2))

        def slope(eps: Any) -> Any:
            return jax.jvp(curve, (eps,), (xp.ones_like(eps),))

        zero = xp.zeros((), dtype=x.dtype)
        (value, first), (_, second) = jax.jvp(slope, (zero,), (xp.ones_like(zero),))
        return value, perturbed(problem.eps, xe), first, 0.5 * second

    return step


PEERS = {"jax scan by hand": scan}
