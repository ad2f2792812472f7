"""What is cited: the entries are sound, everything that names a source has one, and the rest says that it is ours."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest

import sdewm
from sdewm import InvalidArgument, LatentSDE, citation
from sdewm.citation import PAPER, TITLE, _entries, known, source_of
from sdewm.theory.bounds import BOUNDS, LogNorm, Supremum, kreiss_constant

ROOT = Path(__file__).parents[2]
REQUIRED = {
    "article": {"author", "title", "journal", "year"},
    "book": {"author", "title", "publisher", "year"},
    "inproceedings": {"author", "title", "booktitle", "year"},
    "misc": {"author", "title", "year"},
    "software": {"author", "title", "version"},
}
DERIVED = "this package"


def keys(thing: Any = None) -> list[str]:
    return re.findall(r"^@\w+\{(\w+),$", citation(thing), re.MULTILINE)


def things() -> dict[str, Any]:
    """Every class and function of the package, by its full name."""
    found = {}
    for info in pkgutil.walk_packages(sdewm.__path__, "sdewm."):
        if not info.name.endswith("__main__"):
            module = importlib.import_module(info.name)
            for name, value in vars(module).items():
                if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == info.name:
                    found[f"{info.name}.{name}"] = value
    return found


def test_entries_are_sound_bibtex() -> None:
    assert len(_entries()) == (ROOT / "sdewm" / "references.bib").read_text(encoding="utf-8").count("\n@")
    for key, text in [(key, entry.text) for key, entry in _entries().items()] + [("sdewm", citation("sdewm"))]:
        kind = re.match(rf"@(\w+)\{{{key},\n", text)
        assert kind, key
        fields = dict(re.findall(r"^  (\w+) = (\{.*?\}),?$", text, re.MULTILINE | re.DOTALL))
        assert REQUIRED[kind[1]] <= set(fields), key
        assert text.count("{") == text.count("}"), key
        assert text.isascii(), key
        assert "mark" not in fields
        if key != "sdewm":
            assert str(fields["year"]).strip("{}") == key[-4:]
        assert ("archivePrefix" in fields) == ("eprint" in fields) == bool(re.search(r"\d{4}\.\d{5}", text)), key


def test_every_source_that_is_named_is_known_and_every_entry_is_used() -> None:
    used = set()
    for name, thing in things().items():
        source = source_of(thing)
        used |= set(known(source))
        ours = any(word in source for word in ("derived here", "formula for u", "variation of constants", "the caller"))
        assert not source or known(source) or ours, f"{name}: {source}"
    assert used == set(_entries())


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: type(bound).__name__)
def test_every_shipped_bound_has_a_reference_or_is_ours(bound: Any) -> None:
    found = keys(bound)
    assert found
    assert found == keys(type(bound)) == keys(type(bound).__name__) == keys(bound.name)
    assert found != ["sdewm"] or "derived here" in bound.reference
    assert keys(LogNorm) == ["soderlind2006", "sdewm"]
    assert keys(Supremum()) == ["revuz1999"]


README = {
    "simulate": ["li2020", "kidger2021"],
    "simulate_coupled": DERIVED,
    "Variations": DERIVED,
    "expand": ["fang2025", "lim2021"],
    "order_test": DERIVED,
    "check": ["waudbysmith2024", "wang2023", "sdewm"],
    "weak_identity": DERIVED,
    "rollout_penalty": ["fang2025"],
    "effect_gradient": DERIVED,
    "jacobian_penalty": ["hutchinson1990", "hoffman2019"],
    "check_hypotheses": DERIVED,
    "declare": DERIVED,
    "tame": ["hutzenthaler2012", "sdewm"],
    "StepMap": DERIVED,
    "sdewm.drifts.FourBlock": ["fang2025"],
    "divergence": ["alekseev1961", "groebner1960", "benettin1980"],
    "citation": DERIVED,
    "sdewm.worldmodel.train": DERIVED,
    "sdewm.worldmodel.Injection": ["fang2025"],
    "sdewm.worldmodel.Penalty": ["fang2025", "hoffman2019"],
    "sdewm.worldmodel.horizon_error": DERIVED,
    "sdewm.worldmodel.perturb_observations": DERIVED,
    "sdewm.worldmodel.train_agent": ["hafner2020", "hafner2023"],
    "sdewm.worldmodel.play": DERIVED,
}


def test_every_function_of_the_readmes_table_is_cited() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("## What you can do")[1].split("\n\n")[1]
    named: set[str] = set()
    for cell in (row.split("|")[2] for row in table.splitlines()[2:]):
        named |= set(re.findall(r"`([\w.]+)`", cell))
    callable_ones = set()
    for name in named:
        room, _, last = name.rpartition(".")
        value = getattr(importlib.import_module(room or "sdewm"), last, None)
        if inspect.isclass(value) or inspect.isfunction(value):
            callable_ones.add(name)
            assert keys(value) == keys(last) == (["sdewm"] if README[name] == DERIVED else README[name]), name
    assert callable_ones == set(README)


def test_the_package_is_cited_as_in_its_citation_file() -> None:
    cff = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    package, paper = citation().split("\n\n")
    assert f'title: "{TITLE}"' in cff
    assert f"title = {{{TITLE}}}" in package
    for name in re.findall(r"^  - name: (.*)$", cff, re.MULTILINE):
        assert f"{{{{{name}}}}}" in package
    stated = re.search(r"^version: (.*)$", cff, re.MULTILINE)
    assert stated
    assert f"version = {{{stated[1]}}}" in package
    title = re.search(r"^    title: (.*)$", cff, re.MULTILINE)
    assert title
    assert f"title = {{{title[1]}}}" in paper
    people = re.findall(r"family-names: ([A-Z][a-z]+), given-names: ([A-Z][a-z]+)", cff)
    assert f"author = {{{' and '.join(map(', '.join, people))}}}" in paper
    assert "arXiv:2501.00195" in cff
    assert "eprint = {2501.00195}" in paper
    assert keys() == ["sdewm", PAPER]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Kreiss", ["kreiss1962"]),
        ("kreiss1962", ["kreiss1962"]),
        ("Söderlind", ["soderlind2006"]),
        ("torchsde", ["li2020", "kidger2021"]),
        ("Hafner", ["hafner2019", "hafner2020", "hafner2021", "hafner2023"]),
        ("Cubic", ["sdewm"]),
        ("sdewm", ["sdewm"]),
        ("kreiss_constant", ["kreiss1962", "trefethen2005", "bruinsma1990"]),
    ],
)
def test_names_of_functions_entries_and_authors(name: str, expected: list[str]) -> None:
    assert keys(name) == expected


class Mine(LatentSDE):
    """A system of somebody else's.

    Source: Gronwall, of all people,
    and more.
    """

    def f(self, t: Any, x: Any) -> Any:
        return x

    g = f


def test_somebody_elses_things_are_asked_for_their_source() -> None:
    assert keys(Mine) == keys(Mine()) == ["gronwall1919"]
    assert keys(kreiss_constant) == ["kreiss1962", "trefethen2005", "bruinsma1990"]
    Mine.reference = "Smith 2031"  # type: ignore[attr-defined]
    assert keys(Mine) == ["gronwall1919"]

    class Other:
        source = "Smith 2031"

    with pytest.raises(InvalidArgument, match=r"its source 'Smith 2031' is not among them\.$"):
        citation(Other())
    with pytest.raises(InvalidArgument, match=r"got 'Kreis'; near it are kreiss"):
        citation("Kreis")


@pytest.mark.parametrize("name", ["", " ", "__loader__", "_load", "dict__", "nobody at all"])
def test_a_name_that_is_none_is_refused_and_only_names_are_near_it(name: str) -> None:
    with pytest.raises(InvalidArgument, match=f"got {name!r}") as caught:
        citation(name)
    _, _, near = str(caught.value).rstrip(".").partition("near it are ")
    for each in filter(None, near.split(", ")):
        assert not each.startswith("_")
        assert keys(each)


def test_near_a_name_are_others_however_they_are_written() -> None:
    with pytest.raises(InvalidArgument, match=r"got 'LOGNRM'; near it are LogNorm\b"):
        citation("LOGNRM")


def test_modules_are_cited() -> None:
    assert keys(sdewm) == keys(sdewm.drifts) == ["sdewm"]
    with pytest.raises(InvalidArgument, match=r"importlib names no source\.$"):
        citation(importlib)


def test_claims_are_cited() -> None:
    from analysis.bounds import ROWS

    cited = {row.claim.id: keys(row.claim) for row in ROWS}
    assert ["fang2025"] in cited.values()
    assert all(cited.values())
