"""How long importing this package takes beside importing torch, in fresh processes by turns."""

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MODULES = ("torch", "sdewm")


def seconds(module: str) -> float:
    """Wall time of a fresh process that imports the module, its start and its end included."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], cwd=ROOT, check=True)
    return time.perf_counter() - begin


def measure(rounds: int = 7) -> dict[str, Any]:
    """Seconds of each module in turns, and the ratio of the shortest and of the median times.

    The first process of each is not counted: it compiles what is not compiled, and reads what is not in memory.
    """
    for module in MODULES:
        seconds(module)
    taken: dict[str, list[float]] = {module: [] for module in MODULES}
    for _ in range(rounds):
        for module in MODULES:
            taken[module].append(seconds(module))
    ours, torchs = taken["sdewm"], taken["torch"]
    median = statistics.median(ours) / statistics.median(torchs)
    return {"seconds": taken, "ratio": min(ours) / min(torchs), "median_ratio": median}
