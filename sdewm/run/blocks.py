"""Processes to work in: one intra-op thread each."""

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait

import torch

from ..validation import integer


@contextmanager
def workers(count: int) -> Iterator[Executor | None]:
    """An executor of `count` fresh processes, or None for one: then the work is done in this process.

    Processes are spawned, not forked (a fork of a process with running threads can hang), and keep to one intra-op
    thread: on shared cores two threads wait for each other.

    Raises:
        InvalidArgument: count is not a whole number >= 1.
    """
    if integer("workers", count, least=1) == 1:
        yield None
        return
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(count, mp_context=context, initializer=_begin)
    with _environment(dict.fromkeys(_THREADS, "1")):
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
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


def _begin() -> None:
    """What a fresh worker does first."""
    single_thread()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave when the parent is gone: killed outright, it cannot tell its workers to stop."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def single_thread() -> None:
    """Keep torch in this process to one intra-op thread."""
    torch.set_num_threads(1)


def default_workers() -> int:
    """As many workers as this process has cores, at most 8."""
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8)
