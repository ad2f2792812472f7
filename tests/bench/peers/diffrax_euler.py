"""diffrax: Euler (which is Itô's) on an UnsafeBrownianPath, the members as one state."""

from typing import Any

from ..harness import Absent, Job, missing
from ..problems import X0, Problem, T

# Tried, in ns a normal on the cubic pair: one solve a path under vmap 28 to 30 (ForwardMode, DirectAdjoint; blocks of
# 1000 or 20 000), one solve a block of paths 26 (blocks of 1000) and 27 (20 000): the last form is taken, with
# ForwardMode. RecursiveCheckpointAdjoint refuses UnsafeBrownianPath. The solver's count of steps is checked, because a
# sliver of a step at the end would be one more.
ROWS = 1024


def euler(problem: Problem) -> Job:
    """The best form that was found."""
    if problem.kind == "variations":
        raise Absent("not written for the variations")
    try:
        import diffrax
        import jax
        import jax.numpy as jnp
        import lineax
    except ImportError as error:
        raise missing(error) from error

    c = {k: jnp.asarray(v) for k, v in problem.constants.items()}
    rows, dim = min(ROWS, problem.paths), problem.dim
    blocks = -(-problem.paths // rows)
    shape = (problem.members, rows, dim)

    def drift(t: Any, y: Any, _: Any) -> Any:
        return problem.drift(jnp, c, y.reshape(-1, dim)).reshape(shape)

    def diffusion(t: Any, y: Any, _: Any) -> Any:
        g = problem.diffusion(jnp, c, y.reshape(-1, dim)).reshape(*shape, *([dim] if problem.general else []))
        extra = problem.eps * problem.error(jnp, c, y[1:].reshape(-1, dim)).reshape(-1, rows, dim)

        def times(w: Any) -> Any:
            xi, zeta = w[:, :dim], w[:, -dim:]
            base = (g * xi[:, None, :]).sum(-1) if problem.general else g * xi
            signs = jnp.array([1.0, -1.0], dtype=y.dtype)[: len(extra), None, None]
            return jnp.concatenate([base[:1], base[1:] + signs * extra * zeta])

        return lineax.FunctionLinearOperator(times, jax.ShapeDtypeStruct((rows, problem.columns), jnp.float32))

    def block(key: Any) -> Any:
        motion = diffrax.UnsafeBrownianPath(shape=(rows, problem.columns), key=key)
        done = diffrax.diffeqsolve(
            diffrax.MultiTerm(diffrax.ODETerm(drift), diffrax.ControlTerm(diffusion, motion)),
            diffrax.Euler(),
            0.0,
            T,
            T / problem.steps,
            jnp.full(shape, X0, dtype=jnp.float32),
            saveat=diffrax.SaveAt(t1=True),
            adjoint=diffrax.ForwardMode(),
            max_steps=None,
        )
        return jnp.stack(problem.observed(tuple(done.ys[0])), axis=1), done.stats["num_steps"]

    solve = jax.jit(lambda key: jax.lax.map(block, jax.random.split(key, blocks)))

    def run(seed: int) -> Any:
        values, _ = jax.block_until_ready(solve(jax.random.key(seed)))
        return values.reshape(-1, 2)

    counts = solve(jax.random.key(0))[1]
    if int(counts.min()) != problem.steps or int(counts.max()) != problem.steps:
        raise Absent(f"takes {int(counts.max())} steps in place of {problem.steps}")
    drawn = blocks * rows * problem.steps * problem.columns
    return Job(run, drawn, f"UnsafeBrownianPath, one solve a block of {rows}, ForwardMode")


PEERS = {"diffrax": euler}
