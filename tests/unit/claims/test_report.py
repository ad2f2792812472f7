"""The report's page: what is in it, and what an author's text can do to it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from analysis import CATALOGUE, agents, models
from sdewm.claims.report import Picture, Section, Table, write_report
from sdewm.claims.report.mathematics import to_mathml, typeset
from sdewm.claims.report.numbers import marked, tables_of, text_of
from sdewm.claims.settled import settled

ROWS = (*CATALOGUE, *models.MODELS, *agents.AGENTS)


def line(claim: str, case: str, outcome: str = "holds", **other: Any) -> dict[str, Any]:
    verdict = {
        "outcome": outcome,
        "grade": "asymptotic",
        "reason": "error is 1 [0.9, 1.1]",
        "interval": [0.9, 1.1],
        "allowed": [0.0, "inf"],
        "margin": 0.9,
        "level": 0.999,
        "flags": [],
    }
    return {
        "claim": claim,
        "case": case,
        "statement": f"Statement of {claim}.",
        "source": "a book",
        "note": "",
        "verdict": verdict,
        "expected": "holds",
        "control": {**verdict, "outcome": "violated" if outcome == "holds" else "holds"},
        "power": [3, 4],
        "records": [],
        **other,
    }


def page(place: Path, lines: list[dict[str, Any]], **other: Any) -> str:
    found = write_report(place, {"verdicts": lines}, other.pop("figures", {}), {}, command="make {claim}", **other)
    return found.read_text(encoding="utf-8")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.claim.id)
def test_every_claim_has_mathematics_that_is_typeset_whole(row: Any) -> None:
    html = typeset(row.claim.formula)
    assert html.count("<math") == html.count("</math>") == len(row.claim.formula.split("\n"))
    # What the converter does not know it leaves as it was.
    assert "\\" not in html
    assert "<code>" not in html


@pytest.mark.parametrize(
    ("formula", "has"),
    [
        (r"\mathbb E\,\ell", "<mi>𝔼</mi>"),
        (r"\bigl\{a\bigr\}", ">{</mo>"),
        (r"|e|", 'lspace="0" rspace="0">&#x0007C;</mo><mi>e</mi>'),
        (r"P'", '<mo lspace="0" rspace="0">&#x02032;</mo>'),
        (r"\begin{split} a &= b \\ &= c \end{split}", "<mtable"),
        (r"\begin{aligned} a &= b \end{aligned}", None),
        (r"\unknown", None),
    ],
)
def test_a_formula_is_turned_into_mathml_or_refused(formula: str, has: str | None) -> None:
    if has is None:
        with pytest.raises(ValueError, match="is not turned into MathML"):
            to_mathml(formula)
    else:
        assert has in to_mathml(formula)


def test_what_is_no_latex_is_shown_as_it_was_written() -> None:
    assert typeset("\\left( <b>") == "<div class='formula'><code>\\left( &lt;b&gt;</code></div>"
    assert typeset("a < b") == typeset("a \\lt b")
    for bad in ("<script>alert(1)</script>", "<mi onclick='alert(1)'>x</mi>", "<img src='x'/>", "&lt", "]]>", "<mi>"):
        assert "<code>" in typeset(f"\\text{{{bad}}}"), bad
    assert typeset("") == ""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.claim.id)
def test_every_case_of_every_claim_says_what_it_assumes(row: Any) -> None:
    for case in row.claim.cases:
        found = row.claim.hypotheses(case)
        assert found
        assert all(h.name and h.detail for h in found)
        # What is refused for a hypothesis must have it failing here too, and nothing else may.
        expected = row.expected[case]
        if expected is not None and expected.value == "hypothesis fails":
            assert "fails" in {h.status.value for h in found}
        elif row.claim.id != "X11":  # its point is that the hypothesis fails
            assert "fails" not in {h.status.value for h in found}


def test_hypotheses_that_are_alike_are_said_once(tmp_path: Path) -> None:
    both = {"name": "growth", "status": "declared", "detail": "linear"}
    one = {"name": "kinks", "status": "probed", "detail": "none seen"}
    html = page(tmp_path, [line("A1", "first", hypotheses=[both, one]), line("A1", "second", hypotheses=[both])])
    assert "Hypotheses: 1 declared, 1 probed" in html
    assert "<td>growth</td><td>declared</td><td>linear</td><td>all</td>" in html
    assert "<td>kinks</td><td>probed</td><td>none seen</td><td>first</td>" in html
    assert "the claim names none" in page(tmp_path, [line("A1", "first")])


def test_a_section_has_statement_interval_control_power_and_command(tmp_path: Path) -> None:
    html = page(tmp_path, [line("A1", "first", formula="x^2")])
    for said in (
        "<msup><mi>x</mi><mn>2</mn></msup>",
        "Statement of A1.",
        "interval [0.9, 1.1] at level 0.999; allowed [0, ∞]",
        "Error is 1 [0.9, 1.1].",
        "power 3/4 [",
        "make A1",
        "a book",
    ):
        assert said in html
    assert "Make it mine" in page(tmp_path, [line("A1", "first", command="Make it mine")])


@pytest.mark.parametrize(
    ("said", "shown"),
    [("ν is −1", "ν is −1."), ("it is so.", "It is so."), ("P' is 1", "P' is 1."), ("a of b", "a of b.")],
)
def test_a_symbol_does_not_become_a_capital(said: str, shown: str, tmp_path: Path) -> None:
    own = line("A1", "first")
    own["verdict"]["reason"] = said
    assert f"<p>{shown.replace(chr(39), '&#x27;')}</p>" in page(tmp_path, [own])


def test_counts_and_unexpected_verdicts(tmp_path: Path) -> None:
    lines = [line("A1", "a"), line("A1", "b", "violated"), line("B1", "c", "inconclusive", expected=None)]
    html = page(tmp_path, lines)
    assert "3 cases of 2 claims: 1 × holds, 1 × violated, 1 × inconclusive;" in html
    assert "1 × as expected, 1 × not as expected, 1 × open question." in html
    assert html.count("class='unlike'") == 1
    assert "No verdicts." in page(tmp_path, [])


def test_it_escapes_what_it_shows(tmp_path: Path) -> None:
    bad = "<script>alert('x')</script>\"&"
    verdict = {"outcome": bad, "grade": bad, "reason": bad, "flags": [bad]}
    words = ("claim", "case", "expected", "statement", "note", "source", "command", "formula")
    hypothesis = {"name": bad, "status": bad, "detail": bad}
    own = {**dict.fromkeys(words, bad), "verdict": verdict, "control": verdict, "power": [1, 2]}
    (tmp_path / "x.png").write_bytes(b"")
    picture = Picture(tmp_path / "x.png", bad, {bad: {bad: [1.0, 2.0]}, "text": bad})
    html = write_report(
        tmp_path,
        json.loads(json.dumps({"budget": bad, "seed": bad, "verdicts": [{**own, "hypotheses": [hypothesis]}]})),
        {bad: picture},
        {bad: {bad: bad}},
        command="{claim}",
        title=bad,
        notation=bad,
        appendix=[Section(bad, f"{bad}\n- {bad}", [Table(bad, [bad], [[bad]])], picture, bad)],
    ).read_text(encoding="utf-8")
    # Only the page's own script.
    assert html.count("<script") == html.count("</script") == 1
    assert "'x'" not in html
    assert html.count("&lt;script&gt;") > 30


def test_nothing_in_it_asks_for_a_network(tmp_path: Path) -> None:
    (tmp_path / "x.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    html = page(tmp_path, [line("A1", "a", formula="x")], figures={"A1": Picture(tmp_path / "x.svg", "One.")})
    assert "http:" not in html
    assert "https:" not in html
    assert "data:image/svg+xml;base64," in html
    assert "default-src 'none'" in html


def test_numbers_side_by_side_become_columns() -> None:
    pairs = [(1.0, 0.9, 1.1), (2.0, 1.9, 2.1)]
    first, second, third = tables_of({"curve": {"t": [0.5, 1.0], "error": pairs, "more": [1.0, 2.0, 3.0]}, "one": 2})
    assert (first.head, first.rows) == (("", "value"), [("one", "2")])
    assert second.title == third.title == "curve"
    assert (list(second.head), second.rows) == (["t", "error"], [("0.5", "1 [0.9, 1.1]"), ("1", "2 [1.9, 2.1]")])
    assert (list(third.head), third.rows) == (["more"], [("1",), ("2",), ("3",)])


def test_an_estimate_is_no_column_beside_lists_that_are_as_long() -> None:
    """What it is is said by its type, and in JSON by its names: three numbers may as well be three sizes."""
    data = {"weights": [401, 2695, 17180], "slope": (-0.87, -0.92, -0.82), "sizes": [0.02, 0.01, 0.05]}
    for given in (data, json.loads(json.dumps(marked(data)))):
        single, columns = tables_of(given)
        assert single.rows == [("slope", "−0.87 [−0.92, −0.82]")]
        assert (list(columns.head), columns.rows[0]) == (["weights", "sizes"], ("401", "0.02"))


def test_estimates_of_several_things_become_rows() -> None:
    data = {"P": {"measured": (1.0, 0.9, 1.1), "form": (2.0, 2.0, 2.0)}, "S": {"measured": (0.0, -1.0, 1.0), "form": 3}}
    (table,) = tables_of(data)
    assert list(table.head) == ["", "measured", "form"]
    assert table.rows == [("P", "1 [0.9, 1.1]", "2"), ("S", "0 [−1, 1]", "3")]


def test_numbers_that_are_no_figures_do_no_harm() -> None:
    deep: Any = 1.0
    for _ in range(900):
        deep = {"x": deep}
    assert tables_of(deep) == []
    assert tables_of({"x": 10**400, "y": [], "z": {}, "": None})[0].rows[0][1].startswith("1000")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1 / 3, "0.333333"),
        (-1e-9, "−1e−09"),
        ([1.0, 2.0], "1, 2"),
        (None, ""),
        (True, "True"),
        ("word", "word"),
        ([0.02, 0.01, 0.05], "0.02, 0.01, 0.05"),
        ((0.02, 0.01, 0.05), "0.02 [0.01, 0.05]"),
        ((True, False, True), "True [False, True]"),
        (float("nan"), "nan"),
    ],
)
def test_numbers_as_text(value: Any, said: str) -> None:
    assert text_of(value) == said


def test_a_case_whose_control_has_no_power_is_not_counted_as_decided(tmp_path: Path) -> None:
    weak = line("A1", "a", "violated", expected=None)
    weak["control"] = {**weak["control"], "outcome": "inconclusive"}
    html = page(tmp_path, [weak, line("A1", "b")])
    assert (
        "2 cases of 1 claims: 1 × inconclusive (1 because the control did not come out the other way), 1 × holds;"
        in html
    )
    assert settled(weak) == "inconclusive"
    assert settled({"verdict": {"outcome": "violated"}}) == "violated"


def test_names_of_claims_and_sections_do_not_take_those_of_the_page(tmp_path: Path) -> None:
    names = ["verdicts", "search", "main", "theme", "50% off", "a b"]
    appendix = [Section("Numbers"), Section("Numbers"), Section("—")]
    html = page(tmp_path, [line(name, "a") for name in names], appendix=appendix)
    found = re.findall(r" id='([^']*)'", html)
    assert len(found) == len(set(found))
    for name in names:
        assert f"id='claim-{name}'" in html
    assert "make &#x27;a b&#x27;" in html


def test_intervals_are_sorted_also_where_an_end_is_infinite(tmp_path: Path) -> None:
    own = line("A1", "a")
    own["verdict"] = {**own["verdict"], "interval": ["-inf", 1.0], "allowed": ["nan", 1.0]}
    html = page(tmp_path, [own])
    assert "<td data-key='-Infinity'>[−∞, 1]</td><td data-key=''>" in html
    assert "inf'" not in html
