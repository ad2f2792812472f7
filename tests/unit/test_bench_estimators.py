"""The benchmark of the estimators still runs, and says what it promises to say."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_benchmark_of_the_estimators_runs(tmp_path: Path) -> None:
    """In its smoke mode: a table, and every method of both problems in the JSON."""
    out = tmp_path / "found.json"
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "bench" / "estimators.py"), "--smoke", "--out", str(out)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    assert len(found["problems"]) == 2
    assert found["table"] == done.stdout.rstrip("\n")
    for case in found["problems"].values():
        found_methods = [row["method"].partition(":")[0] for row in case["methods"]]
        assert found_methods[:5] == ["auto", "plain", "antithetic", "controls", "sobol"]
        assert set(found_methods[5:]) <= {"martingale", "multilevel"}
        assert len(case["curve"]) == 2
        assert all(row["gain"] > 0.0 for row in case["methods"])
    assert "gain in seconds" in done.stdout
