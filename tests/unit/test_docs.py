"""The documentation's code runs, what it names is there, and its pages are built clean and read without a network."""

import ast
import html
import json
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from pages import page

import sdewm
import sdewm.claims
import sdewm.drifts
import sdewm.jacobian
import sdewm.theory.bounds
import sdewm.theory.constants
import sdewm.worldmodel

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
WITH_CODE = [path for path in PAGES if page(path).code]
PUBLIC = (
    sdewm,
    sdewm.claims,
    sdewm.drifts,
    sdewm.jacobian,
    sdewm.theory.bounds,
    sdewm.theory.constants,
    sdewm.worldmodel,
)


@pytest.mark.slow
@pytest.mark.parametrize("path", WITH_CODE, ids=[path.stem for path in WITH_CODE])
def test_code_runs(path: Path, tmp_path: Path) -> None:
    """One page after the other, from its top, as a reader would type it."""
    read = page(path)
    for name, text in read.files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))}
    command = [sys.executable, "-c", read.code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=found)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout or "print" not in read.code
    if path.stem == "bound":
        said = [line.partition(" ")[0] for line in done.stdout.splitlines()]
        assert said == ["holds", "violated"]


@pytest.mark.slow
def test_the_claim_is_run_reported_and_verified(tmp_path: Path) -> None:
    read = page(DOCS / "howto" / "claim.md")
    for name, text in read.files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))}
    assert [command.split()[1] for command in read.commands] == ["claims", "report", "verify-records"]
    for command in read.commands:
        words = [sys.executable, "-m", "sdewm.cli", *command.split()[1:]]
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, env=found)
        assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    lines = json.loads((tmp_path / "results" / "verdicts.json").read_text())["verdicts"]
    assert {(line["verdict"]["outcome"], line["control"]["outcome"]) for line in lines} == {("holds", "violated")}
    assert (tmp_path / "report" / "index.html").is_file()


def test_what_is_named_is_there() -> None:
    """Files of tests, tests in them, and links between pages."""
    for path in PAGES:
        text = path.read_text()
        for name in re.findall(r"`(tests/[\w/]+(?:\.py)?)(?:::\w+)?`", text):
            assert (ROOT / name).exists(), (path.name, name)
        for name in re.findall(r"\]\(([\w/]+\.md)\)", text):
            assert (path.parent / name).exists(), (path.name, name)


def test_each_formula_is_numbered_and_names_tests_that_are_there() -> None:
    whole = "\n".join(path.read_text() for path in PAGES)
    numbered = re.findall(r"^:label: (\w+)$", whole, re.MULTILINE)
    assert len(numbered) == len(set(numbered)) >= 18
    assert set(re.findall(r"\{eq\}`(\w+)`", whole)) <= set(numbered)
    theory = (DOCS / "theory.md").read_text()
    rows = [row for row in theory.splitlines() if row.startswith("|") and "`tests/" in row]
    checked = set()
    for row in rows:
        formulas, claims, tests = row.strip("|").split("|")
        checked |= set(re.findall(r"\{eq\}`(\w+)`", formulas))
        assert all(re.fullmatch(r"—|[XSBDE]\d+", name.strip()) for name in claims.split(",")), row
        file = None
        for found in re.findall(r"`([^`]+)`", tests):
            path, _, name = found.rpartition("::")
            file = path or file
            assert file is not None
            functions = {each.name for each in ast.parse((ROOT / file).read_text()).body if hasattr(each, "name")}
            assert name in functions, row
    assert checked == set(re.findall(r"^:label: (\w+)$", theory, re.MULTILINE))


def _names(module: Any) -> set[str]:
    """What a package exports: the names that its __init__ imports, whether now or when they are asked for."""
    names = {name for name in dir(module) if not name.startswith("_")}
    return {name for name in names if type(getattr(module, name)).__name__ != "module"}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sphinx")
    place = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(DOCS), str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return place


@pytest.mark.slow
def test_every_public_name_is_in_the_reference(built: Path) -> None:
    head, _, packed = (built / "objects.inv").read_bytes().partition(b"using zlib.\n")
    assert b"sdewm" in head
    documented = {line.split(" ")[0] for line in zlib.decompress(packed).decode().splitlines() if " py:" in line}
    missing = [
        f"{module.__name__}.{name}"
        for module in PUBLIC
        for name in sorted(_names(module))
        if not {f"{module.__name__}.{name}", f"sdewm.{name}"} & documented
    ]
    assert missing == []


@pytest.mark.slow
def test_no_page_asks_a_network(built: Path) -> None:
    """Scripts, styles, pictures and fonts; links that a reader may follow are no requests."""
    pages = sorted(built.rglob("*.html"))
    assert len(pages) > 20
    asked = r"""<(?:script|img|iframe|source|video|object)\b[^>]*\b(?:src|data)=["']?(?:https?:)?//|<link\b[^>]*//"""
    for path in pages:
        assert not re.search(asked, path.read_text()), path.name
    asked = r"""url\(["']?(?:https?:)?//|@import\s+["'](?:https?:)?//|fetch\(["']https?://"""
    for path in [*built.rglob("*.css"), *built.rglob("*.js")]:
        assert not re.search(asked, path.read_text()), path.name


@pytest.mark.slow
def test_formulas_are_drawn_without_a_script(built: Path) -> None:
    text = (built / "theory.html").read_text()
    shown = re.findall(r'<math [^>]*display="block">.*?</math><span class="eqno">\((\d+)\)', text)
    assert shown == [str(number) for number in range(1, len(shown) + 1)]
    assert len(shown) >= 18
    for path in sorted(built.rglob("*.html")):
        for formula in re.findall(r"<math .*?</math>", path.read_text()):
            assert "\\" not in html.unescape(formula), formula
