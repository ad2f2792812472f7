"""Trainings that are killed, and made-up records of trained models and agents, where the answer is known."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sdewm import Outcome
from sdewm.claims import Claim
from sdewm.claims.tasks import Task
from sdewm.run import Record

ROOT = str(Path(__file__).parents[1])
# From an arm and a seed to values and arrays.
Content = Callable[[str, int], tuple[dict[str, Any], dict[str, Any]]]


def killed(script: str, path: Path) -> None:
    """Run a training that writes a checkpoint every few moments, and kill it outright soon after the first."""
    tests = str(Path(__file__).parent)
    start = f"import sys; sys.path.insert(0, {tests!r})\nimport torch; torch.set_num_threads(1)\n"
    process = subprocess.Popen([sys.executable, "-c", start + script], env={**os.environ, "PYTHONPATH": ROOT})
    for _ in range(6000):
        if path.exists() or process.poll() is not None:
            break
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def made(claim: Claim, case: str, content: Content, *, drawn: bool = False) -> list[Record]:
    """Records of the cells of a case, with made-up content by arm and seed."""
    records = []
    for each in claim.cells(case, 1.0, 0, drawn):
        values, arrays = content(each.settings["arm"], each.seed)
        arrays = {name: np.asarray(value, dtype=float) for name, value in arrays.items()}
        records.append(Record(Task(claim, each, "standard").key, {"diverged": None, **values}, arrays))
    return records


def outcomes(claim: Claim, case: str, content: Content) -> tuple[Outcome, Outcome]:
    """What comes of a claim, and of its control."""
    first, second = (each.judge(case, made(each, case, content)).outcome for each in (claim, claim.control()))
    return first, second
