"""The README's code runs, and what it says of the commands is so."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest
import torch

from analysis import CATALOGUE, agents, models
from figures.readme import RECORD, condensed, replaced, verdict_table
from figures.readme import main as make
from sdewm import InvalidArgument
from sdewm.claims.runner import judge
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


def test_every_name_in_the_table_exists() -> None:
    import sdewm
    import sdewm.claims
    import sdewm.drifts
    import sdewm.theory.symbolic
    import sdewm.worldmodel

    for name in re.findall(r"\| `([A-Za-z_.]+)`", README):
        owner: object = sdewm
        for part in name.removeprefix("sdewm.").split("."):
            owner = getattr(owner, part)
        assert owner is not None


def test_both_commands_are_targets() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8")
    for command in re.findall(r"`?make (reproduce|test|quick)", README):
        assert f"\n{command}:" in makefile
    assert "make test" in (Path(__file__).parents[2] / ".ci" / "run").read_text(encoding="utf-8")
