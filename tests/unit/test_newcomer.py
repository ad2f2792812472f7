"""A newcomer's first minutes: from a copy of the checkout, by the pages' own words, to figures of their own drift."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pages import Page, page
from torch import Tensor

from sdewm import InvalidArgument, LatentSDE, RepresentationError, TimeGrid, check, expand, simulate, simulate_coupled
from sdewm.theory.bounds import LogNorm

ROOT = Path(__file__).parents[2]
TUTORIAL, README = page(ROOT / "docs" / "tutorial.md"), page(ROOT / "README.md")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git would give a newcomer: the tracked files, and nothing that lies about."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    place = tmp_path_factory.mktemp("newcomer") / "sdewm"
    for name in filter(None, listed.split("\0")):
        # Records are many, and a newcomer's own drift needs none of them.
        if (ROOT / name).is_file() and not name.startswith("analysis/records/"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, place / name)
    return place


def told(read: Page, start: str) -> list[str]:
    return [command for command in read.commands if command.startswith(start)]


def at_home(checkout: Path, home: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run it outside of the checkout, with the package from there."""
    found = {**os.environ, "PYTHONPATH": os.pathsep.join((str(checkout), os.environ.get("PYTHONPATH", "")))}
    done = subprocess.run(command, cwd=home, env=found, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.mark.slow
def test_the_tutorial_from_a_checkout_to_figures_of_ones_own_drift(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = time.monotonic()
    assert set(TUTORIAL.files) == {"wave.py"}
    for name, text in TUTORIAL.files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    for word in ("simulate(", "perturb(", "expand(", "order_test(", "check(", ".savefig(", ".plot("):
        assert word in TUTORIAL.code, word
    # What was drawn is looked at in the end: the lines of the one figure, and the verdict behind the other.
    looks = """
import sdewm
assert [len(line.get_xdata()) for line in axes.lines] == [grid.steps + 1] * 5
assert all((line.get_ydata()[1:] != line.get_ydata()[0]).any() for line in axes.lines)
print(sdewm.__file__, verdict.outcome.value, right.verdict.outcome.value, wrong.verdict.outcome.value)
"""
    (tmp_path / "first.py").write_text(TUTORIAL.code + looks, encoding="utf-8")
    said = at_home(checkout, tmp_path, [sys.executable, "first.py"]).stdout.splitlines()
    package, *outcomes = said[-1].split()
    assert Path(package).is_relative_to(checkout)
    assert outcomes == ["holds", "holds", "violated"]
    for name in ("paths.png", "bound.png"):
        assert (tmp_path / name).stat().st_size > 5000
    (command,) = told(TUTORIAL, "sdewm check")
    assert "wave:Wave" in command
    shown = at_home(checkout, tmp_path, [sys.executable, "-m", "sdewm.cli", *shlex.split(command)[1:]]).stdout
    assert shown.startswith("holds (")
    with capsys.disabled():
        print(f"\nfrom a checkout to figures of one's own drift: {time.monotonic() - begun:.0f} s, installing aside")


@pytest.mark.slow
def test_the_readmes_ten_lines_outside_of_the_checkout(checkout: Path, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    (tmp_path / "first.py").write_text(first, encoding="utf-8")
    assert at_home(checkout, tmp_path, [sys.executable, "first.py"]).stdout.count("[") >= 7


def test_the_commands_that_install_are_those_of_the_makefile(checkout: Path) -> None:
    """Nothing is installed here: make says what it would do."""
    if shutil.which("make") is None:
        pytest.skip("there is no make")
    assert {command.split()[1] for command in told(README, "make ")} == {"reproduce", "test"}
    environment, install = told(TUTORIAL, "python3.11 ") + told(TUTORIAL, "PIP_CONSTRAINT")
    for target in ("reproduce", "test"):
        # No other make's flags, and whatever index this machine takes torch from.
        found = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        command = ["make", "-n", target, "PYTHON=python3.11", "TORCH_INDEX="]
        done = subprocess.run(command, cwd=checkout, env=found, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert any(line.endswith(f"|| {environment}") for line in lines)
        assert any(line.startswith(install.removesuffix("-e .") + "-q -e ") for line in lines)


class Right(LatentSDE):
    dim = 2

    def f(self, t: Any, x: Tensor) -> Tensor:
        return -x

    def g(self, t: Any, x: Tensor) -> Tensor:
        return 0.3 * torch.ones_like(x)


class OneColumn(Right):
    def f(self, t: Any, x: Tensor) -> Tensor:
        return x[:, :1]


class OneNumber(Right):
    def f(self, t: Any, x: Tensor) -> Tensor:
        return 0.0  # type: ignore[return-value]


class NoNoiseType(Right):
    def g(self, t: Any, x: Tensor) -> Tensor:
        return x.new_ones(len(x), 2, 3)


class NoNoiseDim(Right):
    noise_type = "general"


class NoTime(Right):
    def f(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return -x


class SinglePrecision(Right):
    def f(self, t: Any, x: Tensor) -> Tensor:
        return x @ torch.eye(2, dtype=torch.float32)


GRID = TimeGrid(1.0, 8)
ERROR = RepresentationError(diffusion=lambda t, x: 0.5 * torch.ones_like(x))
USES: dict[str, Callable[[Any, Any], Any]] = {
    "simulate": lambda system, x0: simulate(system, x0, GRID, paths=4),
    "simulate_coupled": lambda system, x0: simulate_coupled({"x": system}, x0, GRID, 4),
    "expand": lambda system, x0: expand(system, ERROR, lambda x: x.square().sum(-1), x0, GRID, 64),
    "check": lambda system, x0: check(LogNorm(), system, ERROR, 0.05, x0, GRID, paths=64),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    ("system", "x0", "says"),
    [
        (OneColumn, 0.6, r"OneColumn\.f must return shape \(paths, dim\) = \(\d, 2\), got \(\d, 1\)\."),
        (OneNumber, 0.6, r"OneNumber\.f must return a tensor, got float\."),
        (NoNoiseType, 0.6, r"NoNoiseType\.g must return shape .* for diagonal noise, got \(\d, 2, 3\)\."),
        (NoNoiseDim, 0.6, r"NoNoiseDim\.g must return shape .* for general noise, got \(\d, 2\)\."),
        (NoTime, 0.6, r"NoTime\.f failed .* takes 2 positional arguments but 3 were given\."),
        (SinglePrecision, 0.6, r"SinglePrecision\.f failed on a state of .*float64; check both"),
        (
            Right,
            {"x": 0.6},
            r"x0 must hold numbers, as a tensor, an array or a list whose rows are equally long, got \{'x': 0\.6\}\.",
        ),
        (Right, torch.zeros(3), r"x0 must have shape \(2,\) or \(paths, 2\), got \(3,\)\."),
    ],
)
def test_a_mistake_is_one_clear_sentence(use: str, system: type[LatentSDE], x0: Any, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says) as caught:
        USES[use](system(), x0)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_single_precision_is_no_mistake() -> None:
    x0 = torch.tensor([0.6, 0.6], dtype=torch.float32)
    assert simulate(Right(), x0, GRID, paths=4).final.dtype == torch.float32
    for use in USES.values():
        use(Right(), x0)


@pytest.mark.parametrize(
    ("T", "steps", "says"),
    [
        (-1.0, 8, "T must be above zero, got -1.0."),
        ("1", 8, "T must be a finite number, got '1'."),
        (1.0, 0, "steps must be a whole number >= 1, got 0."),
    ],
)
def test_a_wrong_grid_is_one_clear_sentence(T: Any, steps: int, says: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        TimeGrid(T, steps)
    assert str(caught.value) == says
