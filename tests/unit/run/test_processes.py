"""Processes that are killed, hang or run out of memory are replaced; what they did is tried again, not for ever."""

import os
import signal
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

from sdewm import InvalidArgument
from sdewm.exceptions import NumericalFailure, WorkerLost
from sdewm.run import processes
from sdewm.run.processes import Processes, _answer, _ended

pytestmark = pytest.mark.slow


def killed_at_first(mark: Path) -> str:
    """Kills its process unless a file says that it has done so before."""
    if not mark.exists():
        mark.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def fails(error: Exception) -> None:
    raise error


def unknown() -> Any:
    return threading.Lock()


def test_a_pool_survives_all_that_happens_to_its_processes(tmp_path: Path) -> None:
    """One pool for all, since each process takes seconds to start."""
    with Processes(2, timeout=60.0, retries=1) as pool:
        lost = pool.submit(killed_at_first, tmp_path / "mark")
        gone = pool.submit(os._exit, 7)
        others = [pool.submit(pow, 2, n) for n in range(20)]
        failure = pool.submit(fails, NumericalFailure("path 3 is not finite at t = 0.5", 3, 0.5, 1))
        leaves, strange = pool.submit(exit, 3), pool.submit(unknown)
        # An exception is the work's own answer, with what it carries.
        found = failure.exception()
        assert isinstance(found, NumericalFailure)
        assert (found.path, found.time) == (3, 0.5)
        assert isinstance(leaves.exception(), SystemExit)
        assert "pickle" in str(strange.exception())
        assert [other.result() for other in others] == [2**n for n in range(20)]
        assert lost.result() == "done"
        with pytest.raises(WorkerLost, match=r"its worker ended by itself \(exit code 7\), tried 2 times"):
            gone.result()
        assert "pickle" in str(pool.submit(lambda: 1).exception())
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(pow, 2, 3)


def test_a_hang_is_ended_and_the_process_replaced() -> None:
    with Processes(1, timeout=0.3, retries=1) as pool:
        hang, after = pool.submit(time.sleep, 600.0), pool.submit(pow, 2, 3)
        with pytest.raises(WorkerLost, match=r"no result within 0.3 s, tried 2 times"):
            hang.result()
        assert after.result() == 8


def test_kill_ends_the_processes_at_once() -> None:
    pool = Processes(1)
    ready, hang, waiting = pool.submit(pow, 2, 3), pool.submit(time.sleep, 600.0), pool.submit(pow, 2, 3)
    assert ready.result() == 8
    pool.kill()
    with pytest.raises(WorkerLost, match="were ended before"):
        hang.result()
    with pytest.raises(CancelledError):
        waiting.result()


def stays() -> int:
    """Leaves a thread behind that a process waits for before it ends."""
    threading.Thread(target=time.sleep, args=(600.0,)).start()
    return os.getpid()


def test_a_process_that_does_not_leave_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LEAVE", 0.2)
    with Processes(1) as pool:
        pid = pool.submit(stays).result()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_process_that_does_not_begin_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "START", 0.0)
    with Processes(1, retries=1) as pool, pytest.raises(WorkerLost, match="not there after 0 s, tried 2 times"):
        pool.submit(pow, 2, 3).result()


def test_a_mistake_of_its_own_is_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a future without end."""

    def broken(*_: Any) -> None:
        raise ValueError("broken")

    with Processes(1) as pool:
        monkeypatch.setattr(Processes, "_do", broken)
        assert str(pool.submit(pow, 2, 3).exception(timeout=60.0)) == "broken"


def test_an_allocator_without_memory_is_a_lost_worker() -> None:
    import pickle

    for error in (MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes")):
        kind, _ = pickle.loads(_answer(pickle.dumps((fails, (error,), {}))))
        assert kind == "no memory"
    kind, error = pickle.loads(_answer(pickle.dumps((fails, (KeyError("a"),), {}))))
    assert kind == "exception"
    assert "in a worker: Traceback" in error.__notes__[0]


def test_an_end_is_put_in_words() -> None:
    assert "killed (signal 9)" in _ended(-9)
    assert _ended(-11) == "its worker was ended by signal 11"
    assert _ended(1) == "its worker ended by itself (exit code 1)"


@pytest.mark.parametrize(
    ("options", "words"),
    [((0,), "count must be"), ((1, 0.0), "timeout must be above zero"), ((1, None, -1), "retries must be")],
)
def test_bad_arguments(options: tuple[Any, ...], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        Processes(*options)
