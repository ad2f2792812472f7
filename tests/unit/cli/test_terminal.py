"""The command in a terminal and in a log: examples of the help, progress, colours, and an interrupt."""

import contextlib
import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import pytest

from sdewm.claims.progress import Line, Progress
from sdewm.cli import main
from sdewm.cli.main import COMMANDS

ROOT = Path(__file__).parents[3]
MINE = """
import torch

def step(x):
    return 0.5 * torch.tanh(x)

states = torch.linspace(-1.0, 1.0, 32).reshape(8, 4)
"""
# What makes an example quick, and files that it needs; in this order, since a report needs verdicts.
SMALL = {
    "list": [],
    "check": ["--paths", "4096", "--steps", "16"],
    "expand": ["--paths", "512", "--steps", "16"],
    "divergence": ["--horizon", "5"],
    "claims run": ["--workers", "1"],
    "report": [],
    "verify-records": ["--sample", "1"],
    "train": ["--steps", "2", "--episodes", "2", "--episode-steps", "60"],
}
MAIN = [sys.executable, "-m", "sdewm.cli"]
CLAIMS = [*MAIN, "claims", "run", "my_claims", "--budget", "quick"]
CHECK = [*MAIN, *shlex.split("check LogNorm --system 'TanhNetwork(dim=4, gain=0.4)' --diffusion-error 0.5 --steps 16")]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a user has a model and claims of their own."""
    (tmp_path / "my_model.py").write_text(MINE)
    (tmp_path / "my_claims.py").write_text("from soak.work import CATALOGUE\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("my_model", "my_claims"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    places = (str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(places))
    return tmp_path


def example(command: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The example of a command's help, as a shell reads it when it is copied."""
    assert main([*command.split(), "--help"]) == 0
    (said,) = re.findall(r"Example:\n((?: {4}.*\n)+)", capsys.readouterr().out)
    (line,) = re.sub(r"\\\n\s*", "", said).strip().splitlines()
    words = shlex.split(line)
    assert words[0] == "sdewm"
    return words[1:]


def on_a_terminal(
    command: list[str], interrupt_after: str = "", extra: dict[str, str] | None = None
) -> tuple[int, str]:
    """Exit code and all that is shown, where output and errors are a terminal."""
    outer, inner = pty.openpty()
    found = {**os.environ, "COLUMNS": "100", **(extra or {})}
    # Background jobs of a shell ignore this signal, and so do their children; what somebody waits for does not.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=inner, stderr=inner, env=found)
    finally:
        signal.signal(signal.SIGINT, before)
    os.close(inner)
    shown, end = b"", time.monotonic() + 120.0
    while time.monotonic() < end:
        if not select.select([outer], [], [], 0.2)[0]:
            continue
        # Where the other side is closed, Linux says so with an error.
        data = b""
        with contextlib.suppress(OSError):
            data = os.read(outer, 65536)
        if not data:
            break
        shown += data
        if interrupt_after and interrupt_after.encode() in shown:
            process.send_signal(signal.SIGINT)
            interrupt_after = ""
    os.close(outer)
    return process.wait(timeout=60.0), shown.decode()


@pytest.mark.slow
def test_every_example_runs_and_answers_in_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {name.split()[0] for name in SMALL} == set(COMMANDS)
    for command, small in SMALL.items():
        words = example(command, capsys)
        if command == "train":
            pytest.importorskip("dm_control")
        # So few paths decide nothing, which is another verdict than expected.
        code = main([*words, *small, "--json"])
        said = capsys.readouterr().out
        assert code == (1 if command == "claims run" else 0), (command, said)
        assert json.loads(said)
    assert (here / "growth.png").stat().st_size > 5000
    assert (here / "report" / "index.html").is_file()
    assert (here / "pendulum.safetensors").is_file()
    assert main(["report", "--out", "my_model.py/report"]) == 2
    assert capsys.readouterr().err.startswith("sdewm: my_model.py/report: ")


@pytest.mark.slow
@pytest.mark.parametrize("no_color", ["", "1"])
def test_colours_and_progress_on_a_terminal(here: Path, no_color: str) -> None:
    colours = {"NO_COLOR": no_color, "SOAK_PAUSE": "0.05"}
    code, shown = on_a_terminal(CLAIMS, extra=colours)
    assert code == 1
    assert re.search(r"\r6/12 cells, \d+ s, about \d+ s left: F1", shown)
    assert "\x1b" not in shown
    code, shown = on_a_terminal([*CHECK, "--paths", "4096"], extra=colours)
    assert code == 0
    assert ("\x1b[32m" in shown) == (not no_color)
    assert ("\x1b" in shown) == (not no_color)


@pytest.mark.slow
def test_plain_lines_in_a_log(here: Path) -> None:
    done = subprocess.run(CLAIMS, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "0 of 12 cells are on record, 12 to compute"
    assert re.fullmatch(r"12/12 cells, \d+ s, about 0 s left: F1", done.stderr.splitlines()[-1])
    assert len(done.stderr.splitlines()) < 5
    assert "\r" not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.slow
def test_a_long_check_says_how_long_it_will_take(here: Path) -> None:
    many = ["--paths", "400000", "--expect", "violated"]
    code, shown = on_a_terminal(
        [*CHECK, "--diffusion-error", "0.5", *many, "--steps", "128"], interrupt_after="block 4"
    )
    assert re.search(r"\rpass 1: block \d+ of 98, about \d+ s left", shown)
    assert code == 130


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_keeps_what_is_finished(here: Path, workers: int) -> None:
    command = [*CLAIMS, "--workers", str(workers)]
    code, shown = on_a_terminal(command, interrupt_after="2/12", extra={"SOAK_PAUSE": "0.3"})
    assert code == 130
    assert "interrupted; what is finished is kept" in shown
    assert "Traceback" not in shown
    kept = len(list((here / "results" / "records").glob("*.json")))
    assert 2 <= kept < 12
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr.startswith(f"{kept} of 12 cells are on record")


class _Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_moves_on_a_terminal_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "31")
    stream = _Terminal()
    line = Line(stream, clock=lambda: 0.0)
    for text in ("a longer text", "short", "x" * 50):
        line.say(text)
    line.close()
    line.close()
    assert stream.getvalue() == "\ra longer text\rshort        \r" + "x" * 30 + "\n"


def test_a_log_has_a_line_every_ten_seconds_and_the_last() -> None:
    now = [0.0]
    stream = StringIO()
    progress = Progress(total=40, cost=40.0, stream=stream, clock=lambda: now[0])
    for _ in range(40):
        now[0] += 1.0
        progress.step("F1", 1.0)
    progress.close()
    assert stream.getvalue().splitlines() == [
        "10/40 cells, 10 s, about 30 s left: F1",
        "20/40 cells, 20 s, about 20 s left: F1",
        "30/40 cells, 30 s, about 10 s left: F1",
        "40/40 cells, 40 s, about 0 s left: F1",
    ]
