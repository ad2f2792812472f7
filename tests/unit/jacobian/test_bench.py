"""The benchmark of the penalty runs, and prints what it says it prints; times are not judged."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "tests" / "bench" / "penalty.py"


@pytest.mark.slow
def test_smoke(tmp_path: Path) -> None:
    target = tmp_path / "penalty.json"
    command = [sys.executable, str(SCRIPT), "--smoke", "--json", str(target)]
    # The checkout that is tested, whichever is installed.
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    numbers = json.loads(done.stdout.splitlines()[-1])
    assert numbers == json.loads(target.read_text(encoding="utf-8"))
    assert set(numbers) == {"setting", "maps"}
    assert numbers["setting"]["paths"] == 200
    assert set(numbers["maps"]) == {"gru", "two layers"}
    for rows in numbers["maps"].values():
        assert rows["no penalty"]["ratio, x plain"] == 1.0
        # A whole number of passes for the plain step: the count of products counts.
        assert math.isclose(rows["no penalty"]["products, x with gradient"], 3.0, rel_tol=1e-9)
        for row in rows.values():
            for column in ("x plain", "x with gradient"):
                assert row[f"ratio, {column}"] > 0.0
                assert row[f"products, {column}"] > 0.0
        assert rows["one probe"]["noise"] > 0.0
