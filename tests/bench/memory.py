"""Peak memory of a run that observes: python -m tests.bench.memory PATHS STEPS, in a process of its own."""

import json
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# Each the same number of path-steps, so that only the number of paths differs; the first is the floor.
SIZES = ((4096, 100), (1_000_000, 100), (10_000_000, 10))


def peak(paths: int, steps: int) -> dict[str, float]:
    """Peak of one run in this process."""
    import torch

    torch.set_num_threads(1)
    from .peers.own import Observe, members, simulate
    from .problems import CUBIC

    problem = replace(CUBIC, paths=paths, steps=steps)
    begin = time.process_time()
    simulate(members(problem), problem, 0, Observe(problem))
    used = time.process_time() - begin
    return {
        "paths": paths,
        "steps": steps,
        "mib": high_water() / 2**20,
        "cpu_seconds": used,
        "ns": 1e9 * used / problem.normals,
    }


def high_water() -> int:
    """Most bytes that this process has held in memory."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss: on Linux a new process inherits it from the one that started it, here one full of peers.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    # macOS gives bytes, the others kibibytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure(sizes: tuple[tuple[int, int], ...] = SIZES) -> dict[str, Any]:
    """A fresh process for each size."""
    runs: list[dict[str, Any]] = []
    for paths, steps in sizes:
        command = [sys.executable, "-m", f"{__package__}.memory", str(paths), str(steps)]
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if answer.returncode:
            runs.append({"paths": paths, "steps": steps, "failed": answer.stderr.strip().splitlines()[-1:]})
        else:
            runs.append(json.loads(answer.stdout))
    peaks = [run["mib"] for run in runs if "mib" in run]
    # Stored states would be paths · d · 4 bytes a member: far beyond a tenth.
    flat = len(peaks) == len(sizes) and peaks[-1] <= 1.1 * peaks[1 if len(peaks) > 2 else 0]
    return {"runs": runs, "flat": flat}


if __name__ == "__main__":
    print(json.dumps(peak(int(sys.argv[1]), int(sys.argv[2]))))
