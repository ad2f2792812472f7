"""Workers are fresh processes with one intra-op thread."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from sdewm import InvalidArgument
from sdewm.run import workers
from sdewm.run.blocks import default_workers


def test_one_worker_is_this_process() -> None:
    with workers(1) as executor:
        assert executor is None
    assert default_workers() >= 1


@pytest.mark.slow
def test_workers_keep_to_one_thread() -> None:
    before = os.environ.get("OPENBLAS_NUM_THREADS")
    with workers(2) as executor:
        assert executor is not None
        assert executor.submit(torch.get_num_threads).result() == 1
        # numpy's library reads it when it is loaded.
        assert executor.submit(os.getenv, "OPENBLAS_NUM_THREADS").result() == "1"
    assert os.environ.get("OPENBLAS_NUM_THREADS") == before


def test_no_worker_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="workers must be a whole number >= 1, got 0"), workers(0):
        pass


_PARENT = """
import os, sys, time
from sdewm.run import workers

if __name__ == "__main__":
    with workers(2) as executor:
        print(*{f.result() for f in [executor.submit(os.getpid) for _ in range(20)]}, flush=True)
        time.sleep(60)
"""


@pytest.mark.slow
def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert pids
    assert all(alive(pid) for pid in pids)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30.0
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(alive(pid) for pid in pids)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        try:
            os.kill(pid, 0)
        except OSError:
            return False
        return not Path("/proc").exists() or Path(f"/proc/{pid}").exists()
    return state != "Z"
