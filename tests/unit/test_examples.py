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
    if done.returncode == 2 and "needs torchrl" in done.stderr:
        pytest.skip("torchrl is not installed: the extra torchrl brings it")
    assert done.returncode == 0, done.stderr
    assert picture.stat().st_size > 5000
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 60


def test_without_torchrl_one_sentence_says_so(tmp_path: Path) -> None:
    (tmp_path / "torchrl.py").write_text("raise ImportError('not here')")
    (example,) = (path for path in EXAMPLES if "torchrl" in path.stem)
    # The directory of a script comes first on its path, so that it is run from beside the missing package.
    copy = tmp_path / example.name
    copy.write_text(example.read_text(encoding="utf-8"), encoding="utf-8")
    done = subprocess.run([sys.executable, str(copy)], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.startswith("this example needs torchrl")
    assert "Traceback" not in done.stderr


def test_there_are_examples() -> None:
    assert EXAMPLES
