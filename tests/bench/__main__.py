"""Benchmarks of the simulation engine against its peers: python -m tests.bench [--smoke] [--rows NAME ...]."""

import os

# Before any numerical library is loaded: all peers keep to one thread.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "NPROC"):
    os.environ[_name] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"

import argparse  # noqa: E402
import json  # noqa: E402
import math  # noqa: E402
import platform  # noqa: E402
import sys  # noqa: E402
from importlib.metadata import PackageNotFoundError, version  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

SCHEMA = 1
PARTS = ("rows", "memory", "workers", "scale", "curves", "penalty", "import")
PACKAGES = ("sdewm", "torch", "torchsde", "numpy", "jax", "jaxlib", "diffrax", "lineax", "equinox", "numba")


def main(arguments: list[str] | None = None) -> int:
    """Measure, write the JSON, print the table; 1 if a peer is wrong."""
    import torch

    from sdewm.run.store import provenance, write_whole

    from .goals import goals
    from .problems import PROBLEMS
    from .table import table

    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, in seconds: whether it runs, no times")
    parser.add_argument("--rows", nargs="*", choices=[p.name for p in PROBLEMS], help="only these problems")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, help="only these parts")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds")
    parser.add_argument("--out", type=Path, default=Path("results/bench.json"), help="the JSON file")
    options = parser.parse_args(arguments)

    torch.set_num_threads(1)
    rounds = 2 if options.smoke else options.rounds
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "smoke": options.smoke,
        "rounds": rounds,
        "made": {**provenance(), "cpu": _cpu(), "packages": _versions(), "load_before": os.getloadavg()},
        "rows": [],
        "memory": {},
        "workers": {},
        "workers, compiled": {},
        "scale": {},
        "penalty": {},
        "curves": [],
        "import": {},
    }
    if "rows" in options.parts:
        from .rows import row

        for problem in PROBLEMS:
            if options.rows is not None and problem.name not in options.rows:
                continue
            print(f"{problem.name} ...", file=sys.stderr, flush=True)
            sized = problem.sized(512, 2) if options.smoke else problem
            result["rows"].append(row(sized, rounds, math.inf if options.smoke else 40.0))
    _rest(result, options.parts, options.smoke)
    result["made"]["load_after"] = os.getloadavg()
    result["goals"] = goals(result)
    result["table"] = table(result)
    write_whole(options.out, (json.dumps(result, indent=1) + "\n").encode())
    print(result["table"])
    return int(any(peer["status"] == "wrong" for one in result["rows"] for peer in one["peers"]))


def _rest(result: dict[str, Any], parts: list[str], smoke: bool) -> None:
    from dataclasses import replace

    from . import imports, memory, penalty, scale, scaling

    small = replace(scaling.LONG, paths=8192, steps=4)
    if "memory" in parts:
        print("memory ...", file=sys.stderr, flush=True)
        result["memory"] = memory.measure(((4096, 4),) if smoke else memory.SIZES)
    if "curves" in parts:
        print("curves ...", file=sys.stderr, flush=True)
        result["curves"] = scaling.curves(1 if smoke else 5, smoke)
    if "workers" in parts:
        print("workers ...", file=sys.stderr, flush=True)
        most = 1 if smoke else min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, 4)
        result["workers"] = scaling.throughput(small if smoke else scaling.LONG, tuple(range(1, most + 1)))
        result["curves"].append(scaling.worker_curve(result["workers"]))
        if not smoke:
            longer = replace(scaling.LONG, paths=2 * scaling.LONG.paths)
            result["workers, compiled"] = scaling.throughput(longer, tuple(range(1, most + 1)), compiled=True)
    if "scale" in parts:
        print("scale ...", file=sys.stderr, flush=True)
        result["scale"] = scale.measure(8192, 2, 1, 4, tuple(scale.KINDS)[:2]) if smoke else scale.measure()
    if "penalty" in parts:
        print("penalty ...", file=sys.stderr, flush=True)
        result["penalty"] = penalty.measure(20, 200, 1, 3) if smoke else penalty.measure(200, 2500, 9, 24)
    if "import" in parts:
        print("import ...", file=sys.stderr, flush=True)
        result["import"] = imports.measure(1 if smoke else 7)


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.machine()


if __name__ == "__main__":
    sys.exit(main())
