"""An executor of spawned processes that outlives any of them."""

import atexit
import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, final

import torch

from ..exceptions import WorkerLost
from ..validation import integer, positive

RETRIES = 2
# Seconds that a process has to import what it needs, on however busy a machine, and to leave when it is asked to.
START, LEAVE = 300.0, 10.0

# Whoever starts a process also looks after all others, and two threads must not wait for the same one.
_starting = threading.Lock()


@final
class Processes(Executor):
    """`count` fresh processes, each of which does one piece of work at a time, on one intra-op thread.

    A process that is killed, runs out of memory or does not end in time is replaced, and what it was doing is tried
    again, at most `retries` times; then its future raises `WorkerLost`. What the others do is not touched, and an
    exception is not tried again: the work depends on its arguments alone. Processes are spawned, not forked (a fork of
    a process with running threads can hang), when they are first needed.

    Args:
        count: number of processes.
        timeout: seconds that one piece of work may take, None for no limit; the start of a process does not count.
        retries: how often a piece of work is tried again that took its process down.

    Raises:
        InvalidArgument: count or retries is not a whole number, or timeout not above zero.
    """

    def __init__(self, count: int, timeout: float | None = None, retries: int = RETRIES) -> None:
        self._timeout = None if timeout is None else positive("timeout", timeout)
        self._retries = integer("retries", retries, least=0)
        self._waiting: queue.SimpleQueue[_Piece | None] = queue.SimpleQueue()
        self._lock, self._closed, self._stopped = threading.Lock(), False, False
        self._workers = set[_Worker]()
        self._seats = [
            threading.Thread(target=self._serve, daemon=True) for _ in range(integer("count", count, least=1))
        ]
        for seat in self._seats:
            seat.start()
        atexit.register(self.kill)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand over fn(*args, **kwargs), all of which must be picklable."""
        piece = _Piece(fn, args, kwargs)
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._waiting.put(piece)
        return piece.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work; end the processes when what was handed over is done."""
        with self._lock:
            if cancel_futures:
                self._cancel()
            if not self._closed:
                self._closed = True
                for _ in self._seats:
                    self._waiting.put(None)
        if wait:
            for seat in self._seats:
                seat.join()
            atexit.unregister(self.kill)

    def kill(self) -> None:
        """End the processes at once, whatever they are doing."""
        with self._lock:
            self._stopped = True
            for worker in self._workers:
                worker.process.kill()
        self.shutdown(cancel_futures=True)

    def _cancel(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                piece = self._waiting.get_nowait()
                if piece is not None:
                    piece.future.cancel()
                    piece.future.set_running_or_notify_cancel()
        # A mark of the end that was among them is needed all the same.
        if self._closed:
            for _ in self._seats:
                self._waiting.put(None)

    def _serve(self) -> None:
        """One seat: a process at a time, and one piece of work after the other."""
        if hasattr(signal, "pthread_sigmask"):
            # Inherited by the processes: an interrupt of the terminal is for the main one, which ends them.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        worker: _Worker | None = None
        while (piece := self._waiting.get()) is not None:
            if piece.future.set_running_or_notify_cancel():
                try:
                    worker = self._do(piece, worker)
                except Exception as error:
                    # Whoever waits for the future would wait for ever.
                    worker = None
                    if not piece.future.done():
                        piece.future.set_exception(error)
        self._drop(worker)

    def _drop(self, worker: "_Worker | None") -> None:
        if worker is not None:
            with self._lock:
                self._workers.discard(worker)
            worker.end()

    def _do(self, piece: "_Piece", worker: "_Worker | None") -> "_Worker | None":
        """Try a piece of work until it is done or has failed for good; return the process if it is still there."""
        reasons: list[str] = []
        try:
            message = pickle.dumps((piece.function, piece.args, piece.kwargs))
        except Exception as error:
            piece.future.set_exception(error)
            return worker
        while len(reasons) <= self._retries and not self._stopped:
            try:
                worker = worker or self._begin()
                good, value = worker.ask(message, self._timeout)
            except WorkerLost as lost:
                reasons.append(str(lost))
                if worker is not None:
                    worker.process.kill()
                    self._drop(worker)
                    worker = None
                continue
            except Exception as error:
                # Such as a result of a class that is not known here, or no room for one process more.
                piece.future.set_exception(error)
                return worker
            if good:
                piece.future.set_result(value)
            else:
                piece.future.set_exception(value)
            return worker
        if self._stopped:
            piece.future.set_exception(WorkerLost("the processes were ended before the work was done"))
        else:
            times = f", tried {len(reasons)} times" if len(reasons) > 1 else ""
            piece.future.set_exception(WorkerLost(f"{'; '.join(dict.fromkeys(reasons))}{times}"))
        return None

    def _begin(self) -> "_Worker":
        worker = _Worker()
        with self._lock:
            self._workers.add(worker)
            if self._stopped:
                worker.process.kill()
        return worker


@final
@dataclass(frozen=True)
class _Piece:
    """A call and the future of its result."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    future: Future[Any] = field(default_factory=Future)


@final
class _Worker:
    """One process, and the pipe to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_work, args=(other,))
        with _starting:
            self.process.start()
        # Its end is the process's alone, so that the pipe breaks when the process ends.
        other.close()
        self.ready = False

    def ask(self, message: bytes, timeout: float | None) -> tuple[bool, Any]:
        """The answer: whether it is a result, and the result or the exception.

        Raises:
            WorkerLost: the process has ended, had to be ended, or has no memory left.
        """
        late = threading.Event()

        def too_late() -> None:
            late.set()
            with contextlib.suppress(ValueError):
                self.process.kill()

        timer = None if timeout is None else threading.Timer(timeout, too_late)
        try:
            if not self.ready:
                if not self.pipe.poll(START):
                    raise WorkerLost(f"its worker was not there after {START:g} s")
                self.pipe.recv_bytes()
                self.ready = True
            if timer is not None:
                timer.daemon = True
                timer.start()
            self.pipe.send_bytes(message)
            answer = self.pipe.recv_bytes()
        except (EOFError, OSError) as error:
            if late.is_set():
                raise WorkerLost(f"no result within {timeout:g} s") from error
            with _starting:
                self.process.join(5.0)
                code = self.process.exitcode
            raise WorkerLost(_ended(code)) from error
        finally:
            if timer is not None:
                timer.cancel()
        kind, value = pickle.loads(answer)
        if kind == "no memory":
            raise WorkerLost(f"its worker ran out of memory ({value})")
        return kind == "result", value

    def end(self) -> None:
        """Close the pipe, which ends the process, and wait for it, though not for one that does not leave."""
        self.pipe.close()
        with _starting:
            self.process.join(LEAVE)
            if self.process.is_alive():
                self.process.kill()
                self.process.join()
            self.process.close()


def _ended(code: int | None) -> str:
    """Why a process is gone, in words."""
    if code == -getattr(signal, "SIGKILL", 9):
        return "its worker was killed (signal 9), as the system does where memory runs out"
    if code is not None and code < 0:
        return f"its worker was ended by signal {-code}"
    return f"its worker ended by itself (exit code {code})"


def _work(pipe: Connection) -> None:
    """What a process does: one call after the other, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    single_thread()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        pipe.send_bytes(b"ready")
        while True:
            pipe.send_bytes(_answer(pipe.recv_bytes()))
    except (EOFError, OSError):
        return


def _answer(message: bytes) -> bytes:
    """The result of a call, or its exception, as bytes that can be read where they are wanted."""
    try:
        function, args, kwargs = pickle.loads(message)
        return pickle.dumps(("result", function(*args, **kwargs)))
    except BaseException as error:
        # What the allocator of torch says is no MemoryError.
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
            return pickle.dumps(("no memory", str(error).splitlines()[0][:200] if str(error) else "MemoryError"))
        error.add_note("in a worker: " + "".join(traceback.format_exception(error)))
        try:
            data = pickle.dumps(("exception", error))
            pickle.loads(data)
        except Exception:
            data = pickle.dumps(("exception", RuntimeError(f"{type(error).__name__}: {error}")))
        return data


def _end_with_parent() -> None:
    """Leave when the parent is gone: killed outright, it cannot tell its workers to stop."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def single_thread() -> None:
    """Keep torch in this process to one intra-op thread."""
    torch.set_num_threads(1)
