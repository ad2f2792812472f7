"""Many machines by Dask distributed, which schedules, moves and repeats the work; the extra "cluster" brings it."""

import gc
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from ..exceptions import InvalidArgument, MissingExtra
from .store import provenance

# What decides the bits of a result.
_SAME = ("sdewm", "torch", "torchsde", "python", "machine", "instructions")


@contextmanager
def cluster(address: str, timeout: float = 30.0, mixed: bool = False) -> Iterator[tuple[Executor, int]]:
    """An executor on a Dask cluster that is running already, and the number of threads that it has now.

    Start the scheduler with `dask scheduler`, and on each machine `dask worker ADDRESS --nthreads 1 --nworkers N` from
    a directory where the claims can be imported. A worker that is killed is Dask's to replace; what it was doing is
    done by another one. Where a Dask client exists already, `client.get_executor()` is such an executor.

    Args:
        address: the scheduler's, such as tcp://192.168.0.1:8786.
        timeout: seconds to wait for its answer and for a first worker.
        mixed: take workers whose versions or kind of machine differ from this one's: results agree to rounding only.

    Raises:
        MissingExtra: Dask distributed is not installed.
        InvalidArgument: nobody answers, there is no worker, or one has other versions.

    Warning:
        Whoever reaches the scheduler can run code on all machines: Dask's own warning. Keep it on a private network, or
        use its TLS.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingExtra(
            "Dask distributed is not installed; install the extra: pip install 'sdewm[cluster]'."
        ) from error
    refused = ""
    with _no_collection():
        try:
            client = Client(address, timeout=timeout, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            asked = f"address must be that of a Dask scheduler that answers within {timeout:g} s, got {address!r}"
            refused = f"{asked}: {reason}."
    if refused:
        # Here and now, where no lock of Dask's is held; the error, whose frames hold the client, is gone.
        gc.collect()
        raise InvalidArgument(refused)
    with client:
        try:
            client.wait_for_workers(1, timeout=timeout)
        except TimeoutError as error:
            raise InvalidArgument(f"the cluster at {address} has no workers; start some with dask worker.") from error
        if not mixed:
            _check_versions(client)
        yield client.get_executor(pure=False), sum(client.nthreads().values())


@contextmanager
def _no_collection() -> Iterator[None]:
    """A client that could not be started closes itself when it is collected, and waits for a lock of Dask's to do so.

    While the next one starts, the same thread holds that lock: it would wait for ever.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _own() -> dict[str, Any]:
    return provenance()


def _check_versions(client: Any) -> None:
    own = _own()
    for worker, other in client.run(provenance).items():
        differing = [f"{name} {other[name]} and not {own[name]}" for name in _SAME if other[name] != own[name]]
        if differing:
            raise InvalidArgument(
                f"worker {worker} has {', '.join(differing)}: its results would agree to rounding only; use mixed=True "
                "if that will do."
            )
