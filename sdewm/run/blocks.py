"""Processes to work in: one intra-op thread each."""

import os
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from ..validation import integer
from .processes import RETRIES, Processes
from .processes import single_thread as single_thread


@contextmanager
def workers(count: int, timeout: float | None = None, retries: int = RETRIES) -> Iterator[Executor | None]:
    """An executor of `count` fresh processes, or None for one without a time limit: then work is done in this process.

    Each keeps to one intra-op thread: on shared cores two threads wait for each other. One that is lost is replaced,
    see `sdewm.run.processes.Processes`. An exception in the block, such as an interrupt, ends them at once.

    Args:
        count: number of processes.
        timeout: seconds that one piece of work may take, None for no limit.
        retries: how often a piece of work is tried again that took its process down, or was not done in time.

    Raises:
        InvalidArgument: count is not a whole number >= 1, or another argument is out of range.
    """
    if integer("workers", count, least=1) == 1 and timeout is None:
        yield None
        return
    executor = Processes(count, timeout, retries)
    with _environment(dict.fromkeys(_THREADS, "1")):
        try:
            yield executor
        except BaseException:
            executor.kill()
            raise
        executor.shutdown()


# What the numerical libraries read when they are loaded: too early for a worker to say it itself.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables, for the processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def default_workers() -> int:
    """As many workers as this process has cores, at most 8."""
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8)
