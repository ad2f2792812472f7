"""Every example runs as a user would run it, and makes its picture."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_makes_a_picture(example: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    done = subprocess.run(
        [sys.executable, str(example), "--out", str(picture)], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert picture.stat().st_size > 5000
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 60


def test_there_are_examples() -> None:
    assert EXAMPLES
