"""The documentation's code runs, what it links to is there, and it is built without a warning."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)


def blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


WITH_CODE = [path for path in PAGES if blocks(path.read_text())]


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_CODE, ids=[path.stem for path in WITH_CODE])
def test_code_runs(page: Path) -> None:
    """One page after the other, from its top, as a reader would type it."""
    code = "\n".join(blocks(page.read_text()))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout or "print" not in code


def test_what_is_named_is_there() -> None:
    """Files of tests, and links between pages."""
    for page in PAGES:
        text = page.read_text()
        for name in re.findall(r"`(tests/[\w/]+(?:\.py)?)`", text):
            assert (ROOT / name).exists(), (page.name, name)
        for name in re.findall(r"\]\(([\w/]+\.md)\)", text):
            assert (page.parent / name).exists(), (page.name, name)
        for name in re.findall(r"`(test_\w+\.py)`", text):
            assert list((ROOT / "tests").rglob(name)), (page.name, name)


def test_each_formula_that_is_cited_is_numbered() -> None:
    whole = "\n".join(path.read_text() for path in PAGES)
    numbered = re.findall(r"^:label: (\w+)$", whole, re.MULTILINE)
    assert len(numbered) == len(set(numbered)) >= 10
    assert set(re.findall(r"\{eq\}`(\w+)`", whole)) <= set(numbered)


@pytest.mark.slow
def test_it_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(DOCS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    page = (tmp_path / "api.html").read_text()
    for name in ("sdewm.expand", "sdewm.theory.bounds.LogNorm", "sdewm.worldmodel.train"):
        assert f'id="{name}"' in page
