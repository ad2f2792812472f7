"""The README's code runs, and what it says of the commands is so."""

import contextlib
import importlib.util
import inspect
import io
import json
import re
from pathlib import Path

import click
import pytest
import torch

import sdewm
from analysis import CATALOGUE, agents, models
from figures.readme import RECORD, condensed, replaced, verdict_table
from figures.readme import main as make
from sdewm import InvalidArgument
from sdewm.claims.runner import judge
from sdewm.cli.main import sdewm as commands
from sdewm.run import Store

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.control
def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ten lines, and what goes on where they end."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    first, _, _ = blocks
    assert len([line for line in first.splitlines() if line.strip() and not line.startswith("#")]) <= 10
    names: dict[str, object] = {"__name__": "readme"}
    printed = []
    with torch.random.fork_rng():
        for code in blocks:
            with contextlib.redirect_stdout(io.StringIO()) as text:
                exec(compile(code, "README.md", "exec"), names)
            printed.append(text.getvalue())
    assert "Lyapunov" in printed[1]
    assert (tmp_path / "growth.png").stat().st_size > 5000
    assert printed[2].startswith("tensor([")
    coefficients, compared, verdict = printed[0].splitlines()
    assert coefficients.count("[") == compared.count("[") == 3
    (said,) = re.findall(r"# (holds .*?); mu \.\.\.", first)
    # On another kind of processor the normals, and with them the last digits, are others.
    wanted, got = (re.split(r"(\d+\.\d+)", text) for text in (said, verdict))
    assert wanted[::2] == [*got[: len(wanted) : 2][:-1], wanted[-1]]
    assert [float(x) for x in got[1 : len(wanted) : 2]] == pytest.approx([float(x) for x in wanted[1::2]], rel=0.03)


RECORDED = json.loads(RECORD.read_text(encoding="utf-8"))["verdicts"]


def test_its_table_of_verdicts_is_that_of_the_record() -> None:
    assert replaced(README, verdict_table(RECORDED)) == README
    changed = [{**RECORDED[0], "outcome": "violated"}, *RECORDED[1:]]
    assert replaced(README, verdict_table(changed)) != README
    with pytest.raises(InvalidArgument, match="once each"):
        replaced("no marks", "")


def test_the_record_is_of_this_catalogue() -> None:
    """All claims and cases with their titles, and what is expected where something is."""
    rows = (*CATALOGUE, *models.MODELS, *agents.AGENTS)
    expected = {(row.claim.id, row.claim.title, case): row.expected[case] for row in rows for case in row.claim.cases}
    found = {(line["claim"], line["title"], line["case"]): line for line in RECORDED}
    assert set(found) == set(expected)
    for key, outcome in expected.items():
        assert outcome is None or found[key]["outcome"] == found[key]["expected"] == outcome.value, key


@pytest.mark.slow
def test_claims_that_are_judged_from_records_have_the_verdicts_of_the_record() -> None:
    lines = [
        *judge(models.MODELS, Store(models.RECORDS)),
        *judge(agents.AGENTS, Store(agents.RECORDS)),
    ]
    found = {(line["claim"], line["case"]): line for line in RECORDED}
    for line in condensed(lines):
        other = found[line["claim"], line["case"]]
        assert (line["outcome"], line["control"]) == (other["outcome"], other["control"])
        assert line["interval"] == pytest.approx(other["interval"], rel=1e-6)


def test_what_it_links_to_is_there() -> None:
    root = Path(__file__).parents[2]
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    for link in links:
        assert (root / link).is_file(), link
    for name in set(re.findall(r"`((?:docs|examples|analysis|tests)/[\w/.-]+)`", README)) - {"docs/_build"}:
        assert (root / name).exists(), name


def test_making_the_table_without_results_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(["--results", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("figures.readme: ")


def names_in_the_table(readme: str) -> list[str]:
    """What the second column of "What you can do" has in backticks, in all its rows."""
    rows = readme.partition("## What you can do")[2].partition("\n\n")[2].partition("\n\n")[0].splitlines()
    return [name for row in rows[2:] for name in re.findall(r"`([^`]+)`", row.strip("|").split("|")[-1])]


def absent(name: str) -> str:
    """What of a name does not exist: an object, a method that every result has, or a command."""
    if name.startswith("sdewm "):
        found: click.Command = commands
        for word in name.split()[1:]:
            if not isinstance(found, click.Group):
                return "" if word.isupper() else word
            inner = found.get_command(click.Context(found), word)
            if inner is None:
                return word
            found = inner
        return ""
    dotted = name.partition("(")[0]
    if dotted.startswith("."):
        results = (sdewm.Estimate, sdewm.Verdict, sdewm.Expansion, sdewm.Divergence, sdewm.Trajectory)
        return "" if all(callable(getattr(kind, dotted[1:], None)) for kind in results) else dotted
    owner: object = sdewm
    for part in dotted.removeprefix("sdewm.").split("."):
        if inspect.ismodule(owner) and importlib.util.find_spec(f"{owner.__name__}.{part}"):
            # What is a module and a function of the same name is meant as the function.
            owner = getattr(owner, part, None) or importlib.import_module(f"{owner.__name__}.{part}")
        elif not hasattr(owner, part):
            return part
        else:
            owner = getattr(owner, part)
    return ""


def test_every_name_in_the_table_exists() -> None:
    names = names_in_the_table(README)
    assert len(names) >= 30
    assert {"check", "sdewm.theory.bounds", "declare", ".to_frame()", "sdewm claims run NAME"} <= set(names)
    assert {name: absent(name) for name in names if absent(name)} == {}


@pytest.mark.parametrize(
    ("cell", "missing"),
    [
        ("`check`, `sdewm.theory.bound`", "bound"),
        ("`sdewm.worldmodel.train`, `worldmodel.tain`", "tain"),
        ("`expend(..., tolerance=0.01)`", "expend"),
        ("`.to_dict()`, `.to_frames()`", ".to_frames"),
        ("`sdewm claims judge NAME`", "judge"),
        ("`sdewm lists`", "lists"),
        ("`sdewm.simulate.nothing`", "nothing"),
    ],
)
def test_a_name_in_the_table_that_does_not_exist_is_found(cell: str, missing: str) -> None:
    table = f"## What you can do\n\n| you want | use |\n|---|---|\n| `x | y` | `simulate` |\n| more | {cell} |\n\nEnd"
    names = names_in_the_table(table)
    assert names[0] == "simulate"
    assert [absent(name) for name in names if absent(name)] == [missing]


def test_both_commands_are_targets() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8")
    for command in re.findall(r"`?make (reproduce|test|quick)", README):
        assert f"\n{command}:" in makefile
    assert "make test" in (Path(__file__).parents[2] / ".ci" / "run").read_text(encoding="utf-8")
