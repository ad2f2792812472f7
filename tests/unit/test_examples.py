"""Every example runs as a user would run it, and makes its picture."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
COURSE = (
    "01_simulate_a_latent_sde",
    "02_perturb_it",
    "03_zero_drift_against_drift",
    "04_expand_and_predict",
    "05_refute_a_formula",
    "06_check_a_bound",
    "07_bring_your_own_sde",
    "08_a_drift_and_a_bound_of_your_own",
    "09_penalise_a_jacobian",
    "10_errors_in_my_rssm",
)


def run(example: Path, *options: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(example), *options]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_makes_a_picture(example: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    done = run(example, "--out", str(picture), cwd=tmp_path)
    if done.returncode == 2 and "needs torchrl" in done.stderr:
        pytest.skip("torchrl is not installed: the extra torchrl brings it")
    assert done.returncode == 0, done.stderr
    assert picture.stat().st_size > 5000


@pytest.mark.slow
def test_without_torchrl_one_sentence_says_so(tmp_path: Path) -> None:
    (tmp_path / "torchrl.py").write_text("raise ImportError('not here')")
    (example,) = (path for path in EXAMPLES if "torchrl" in path.stem)
    # The directory of a script comes first on its path, so that it is run from beside the missing package.
    copy = tmp_path / example.name
    copy.write_text(example.read_text(encoding="utf-8"), encoding="utf-8")
    done = run(copy, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("this example needs torchrl")
    assert "Traceback" not in done.stderr


def test_the_first_ten_are_a_course_and_further_ones_follow() -> None:
    names = [path.stem for path in EXAMPLES]
    assert tuple(names[:10]) == COURSE
    assert [int(name[:2]) for name in names] == list(range(1, len(names) + 1))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_says_how_to_run_it(example: Path) -> None:
    lines = example.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 60
    assert any(f"python examples/{example.name} " in line and "--out " in line for line in lines[1:4])


@pytest.mark.slow
def test_a_bound_with_a_slip_is_found_out(tmp_path: Path) -> None:
    (example,) = (path for path in EXAMPLES if path.stem.startswith("08"))
    done = run(example, "--out", str(tmp_path / "picture.png"), cwd=tmp_path)
    slip, right = (line for line in done.stdout.splitlines() if "plateau" in line)
    assert slip.startswith("0.707 r: violated (certified)")
    assert right.startswith("1 r: holds (certified)")


@pytest.mark.slow
def test_a_wrong_value_is_named_in_the_last_line_and_draws_nothing(tmp_path: Path) -> None:
    """The errors are the library's own: an example does not hide where they come from."""
    (example,) = (path for path in EXAMPLES if path.stem.startswith("04"))
    done = run(example, "--paths", "-1", "--out", str(tmp_path / "picture.png"), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("InvalidArgument: paths must be a whole number >= 1, got -1.")
    assert not (tmp_path / "picture.png").exists()


@pytest.mark.slow
def test_an_unreadable_value_is_refused_by_the_command_line(tmp_path: Path) -> None:
    (example,) = (path for path in EXAMPLES if path.stem.startswith("04"))
    done = run(example, "--paths", "many", cwd=tmp_path)
    assert done.returncode == 2
    assert "argument --paths: invalid int value: 'many'" in done.stderr
    assert "Traceback" not in done.stderr
