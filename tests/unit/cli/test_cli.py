"""The command line: answers, JSON, exit codes with meaning, and one clear sentence for what is wrong."""

import html
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from sdewm.cli import main
from sdewm.cli.main import COMMANDS, sdewm
from sdewm.cli.things import thing
from sdewm.exceptions import InvalidArgument

SYSTEM = ["--system", "Linear(a=-1.0, diffusion_offset=0.3)", "--diffusion-error", "0.5", "--steps", "16"]
CHECK = ["check", "LogNorm", "--system", "TanhNetwork(dim=8, gain=0.4, seed=3)", "--diffusion-error", "0.5"]
MINE = """
import torch

def step(x):
    return 0.5 * torch.tanh(x)

states = torch.linspace(-1.0, 1.0, 32).reshape(8, 4)

def fails(t, x):
    raise SystemExit(3)
"""

OPEN = """
from dataclasses import replace

from soak.work import CATALOGUE as BEFORE

CATALOGUE = tuple(replace(row, expected={"one": None}) for row in BEFORE)
"""


NAMED = """
from dataclasses import replace

from soak.work import CATALOGUE as BEFORE


class Named(type(BEFORE[0].claim)):
    id = "{name}"


CATALOGUE = (replace(BEFORE[0], claim=Named()),)
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the user's own, in the directory where the command is run; its name is new each time."""
    name = f"mine_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return name


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = sdewm.get_command(click.Context(sdewm), name)
    assert command is not None
    arguments = [name, "run", "--help"] if isinstance(command, click.Group) else [name, "--help"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "Example:\n    sdewm" in said
    assert COMMANDS[name][1].endswith((".", "?"))


def commands(group: click.Group = sdewm, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and group, by the words that are typed."""
    yield words
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from commands(found, (*words, name))
        else:
            yield (*words, name)


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_option_has_a_help_text_and_no_line_is_cut(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: click.Command = sdewm
    for word in words:
        assert isinstance(found, click.Group)
        inner = found.get_command(click.Context(found), word)
        assert inner is not None
        found = inner
    without = [each.name for each in found.params if isinstance(each, click.Option) and not (each.help or "").strip()]
    assert without == []
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*words, "--help"]) == 0
    # A command's line that is too long ends in dots.
    assert "...\n" not in capsys.readouterr().out.partition("Commands:")[2]


@pytest.mark.slow
def test_a_bound_is_checked_and_the_exit_code_says_whether_it_is_as_expected(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([*CHECK, "--plot", str(tmp_path / "bound.png")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("holds (")
    # No colours in a pipe.
    assert "\x1b" not in said
    assert (tmp_path / "bound.png").stat().st_size > 5000
    assert main([*CHECK, "--expect", "violated", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["outcome"] == "holds"
    assert found["interval"][0] < found["interval"][1]


def test_an_expansion_has_its_closed_form(capsys: pytest.CaptureFixture[str]) -> None:
    """dx = −x dt + ε dB from 1 has E x² = e^{−2} + ε² (1 − e^{−2})/2: no first order, and that second one."""
    system = ["--system", "Linear(a=-1.0)", "--diffusion-error", "1.0", "--x0", "1.0", "--paths", "20000", "--json"]
    assert main(["expand", *system, "--eps", "0.1"]) == 0
    found = json.loads(capsys.readouterr().out)
    low, high = found["Q + S/2"]["interval"]
    assert low - 0.01 < 0.43233 < high + 0.01
    assert abs(found["P"]["value"]) < 0.02
    assert found["measured"]["value"] == pytest.approx(found["predicted"]["value"], abs=1e-3)


def test_a_step_of_ones_own(mine: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["divergence", f"{mine}:step", "--states", f"{mine}:states", "--horizon", "5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {curve["kind"] for curve in found["curves"]} == {"initial", "zero drift", "drift"}


def test_a_module_of_claims_is_run_verified_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    own = ["soak.work", "--results", "results"]
    # So few paths decide nothing, which is not what is expected.
    assert main(["claims", "run", *own]) == 1
    assert "inconclusive" in capsys.readouterr().out
    assert main(["verify-records", *own, "--sample", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["equal"] == 1
    assert main(["list", "claims", "--module", "soak.work"]) == 0
    assert capsys.readouterr().out.startswith("F1  dx")
    assert main(["report"]) == 0
    assert (tmp_path / "report" / "index.html").stat().st_size > 1000
    assert str(tmp_path) in capsys.readouterr().out
    (tmp_path / "open_claims.py").write_text(OPEN)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(["claims", "run", "open_claims", "--claims", "F1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["verdict"]["outcome"] == "inconclusive"


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """Where F1 is judged and has a picture; how old each file is can be told apart."""
    monkeypatch.chdir(tmp_path)
    assert main(["claims", "run", "soak.work", "--claims", "F1"]) == 1
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "F1.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'></svg>")
    os.utime(tmp_path / "results" / "verdicts.json", (1e9, 1e9))
    capsys.readouterr()
    return tmp_path


@pytest.mark.parametrize(
    "numbers",
    [
        '{"a": ' + "9" * 400 + "}",
        '{"a": [1.5, -' + "9" * 400 + "]}",
        '{"a": ' * 900 + "1" + "}" * 900,
        '{"a": ' + "[" * 900 + "]" * 900 + "}",
        '{"a": ' * 60 + "1" + "}" * 60,
        '{"a": "\\ud800"}',
        '{"\\udfff": 1}',
        "[1, 2]",
        "{",
    ],
)
def test_numbers_that_cannot_be_shown_are_left_out(
    numbers: str, judged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, beside = judged / "report" / "index.html", judged / "report" / "F1.json"
    beside.write_text('{"size": [0.1, 0.2]}')
    assert main(["report"]) == 0
    assert "Numbers in this figure" in page.read_text()
    beside.write_text(numbers)
    assert main(["report"]) == 0
    assert "Numbers in this figure" not in page.read_text()
    assert "image/svg+xml" in page.read_text()
    assert capsys.readouterr().err == ""


def test_a_picture_older_than_its_verdicts_is_said(judged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report"]) == 0
    assert capsys.readouterr().err == ""
    os.utime(judged / "report" / "F1.svg", (1e9 - 1, 1e9 - 1))
    assert main(["report"]) == 0
    assert capsys.readouterr().err == "F1.svg is older than verdicts.json\n"


def test_a_picture_may_be_png(judged: Path) -> None:
    png, page = judged / "report" / "F1.png", judged / "report" / "index.html"
    png.write_bytes(b"\x89PNG")
    assert main(["report"]) == 0
    assert "data:image/svg+xml;base64," in page.read_text()
    (judged / "report" / "F1.svg").unlink()
    assert main(["report"]) == 0
    assert "data:image/png;base64," in page.read_text()


def test_each_verdict_has_the_command_that_makes_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    name = "it's F1; all"
    (tmp_path / "named_claims.py").write_text(NAMED.format(name=name))
    assert main(["claims", "run", "named_claims", "--seed", "3"]) == 1
    (line,) = json.loads((tmp_path / "results" / "verdicts.json").read_text())["verdicts"]
    words = ["sdewm", "claims", "run", "named_claims", "--claims", name, "--budget", "standard", "--seed", "3"]
    assert line["command"] == shlex.join(words)
    made = [json.loads(path.read_text())["made"] for path in (tmp_path / "results" / "records").glob("*.json")]
    assert {each["command"] for each in made} == {shlex.join(words)}
    capsys.readouterr()
    # Nothing is left to compute, and the verdict is the same.
    assert main([*shlex.split(line["command"])[1:], "--json"]) == 1
    told = capsys.readouterr()
    assert ", 0 to compute" in told.err
    assert json.loads(told.out) == [line]
    assert main(["report"]) == 0
    assert (
        f"<code class='again'>{html.escape(shlex.join(words))}</code>" in (tmp_path / "report/index.html").read_text()
    )


def test_an_interrupt_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*given: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sdewm.theory.check", interrupted)
    assert main(CHECK) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["bounds", "drifts", "losses", "penalties", "tasks"])
def test_lists(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", what, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) >= 5
    assert all(row["name"] and row["said"] for row in rows)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope"], "No such command 'nope'"),
        (["check", "LogNrm", *SYSTEM], "BOUND must be one of"),
        (["check", "LogNorm"], "Missing option '--system'"),
        (["check", "LogNorm", "--system", "Linear(a=-1.0)"], "an error is needed"),
        (["check", "LogNorm", "--system", "Linear(a=)", "--drift-error", "1"], "--system must be a name, or a call"),
        (
            ["check", "LogNorm", "--system", "Linear(b=print)", "--drift-error", "1"],
            "--system must be a name, or a call",
        ),
        (["check", "LogNorm", "--system", "Linear(no=1)", "--drift-error", "1"], "cannot be made"),
        (["check", "LogNorm", "--system", "TanhNetwork(dim=-1)", "--drift-error", "1"], "dim must be a whole number"),
        ([*CHECK, "--x0", "a,b"], "--x0 must be a number"),
        ([*CHECK, "--drift-error", "abc"], "--drift-error must be a number, or module:function of (t, x), got 'abc'"),
        ([*CHECK, "--correlation", "much"], "--correlation must be"),
        ([*CHECK, "--diffusion-error", "nan"], "--diffusion-error must be finite"),
        ([*CHECK, "--plot", "bound.xyz"], "--plot must end in .png, .pdf, .svg"),
        ([*CHECK, "--plot", "nowhere/bound.png"], "--plot must lie in a directory that is there"),
        ([*CHECK, "--paths", "many"], "'many' is not a valid integer"),
        ([*CHECK, "--eps", "-1"], "eps"),
        (["expand", *SYSTEM, "--loss", "Nothing"], "--loss must be one of SquaredDistance"),
        (["expand", *SYSTEM, "--form", "wrong"], "is not one of"),
        (["divergence", "math:nothing"], "math:nothing cannot be imported"),
        (["divergence", "math:sin"], "--states is needed"),
        (["divergence", "missing.safetensors", "--task", "pendulum-swingup"], "missing.safetensors"),
        (["claims", "run", "no_such_module"], "cannot be imported"),
        (["claims", "run", "soak.work", "--claims", "X99"], "unknown X99; known are F1"),
        (["list", "claims"], "--module is needed"),
        (["report", "--results", "nowhere"], "verdicts.json"),
        (["verify-records", "soak.work", "--results", "nowhere"], "there are no records"),
        (["train", "pendulum-swingup", "--out", "model.pt"], "--out must end in .safetensors"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert "Traceback" not in said.err
    assert not said.out


def test_whatever_a_module_does_is_said(mine: str) -> None:
    (Path(f"{mine}_leaves.py")).write_text("raise SystemExit(3)")
    with pytest.raises(InvalidArgument, match="cannot be imported"):
        thing(f"{mine}_leaves:step", "MODEL")


@pytest.mark.slow
def test_the_package_is_a_command() -> None:
    done = subprocess.run([sys.executable, "-m", "sdewm", "list", "tasks"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "pendulum-swingup" in done.stdout


@pytest.mark.slow
def test_the_command_is_installed_and_a_closed_pipe_is_no_mistake() -> None:
    command = f"{sys.executable} -m sdewm.cli list bounds | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("GronwallFrobenius")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_model_is_trained_and_its_errors_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("dm_control")
    file = tmp_path / "model.safetensors"
    few = ["--episodes", "4", "--episode-steps", "60", "--steps", "4"]
    assert main(["train", "pendulum-swingup", "--out", str(file), *few, "--penalty", "0.01", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["error"]) == {"RSSM", "mean", "persistence", "ridge"}
    assert main(["divergence", str(file), "--episodes", "8", "--horizon", "4"]) == 0
    assert capsys.readouterr().out.startswith("errors in 16 of 80 columns over 4 steps, 8 states")
