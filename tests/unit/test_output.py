"""Results for others: JSON that is JSON, rows for pandas, tables for notebooks with the numbers of `str`."""

import json
import sys
from datetime import date
from decimal import Decimal
from fractions import Fraction
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import sdewm
from sdewm import Estimate, InvalidArgument, MissingExtra, Moments, RepresentationError, TimeGrid, output
from sdewm.drifts import Linear, TanhNetwork
from sdewm.theory.bounds import LogNorm
from sdewm.verdict import Grade, Outcome, Verdict
from sdewm.worldmodel import HorizonError, Returns

GRID = TimeGrid(1.0, 8)
UNIT = RepresentationError(diffusion=lambda t, x: torch.ones_like(x))
APART = RepresentationError(diffusion=lambda t, x: torch.ones_like(x), correlation="independent")


def square(x: Tensor) -> Tensor:
    return (x**2).sum(-1)


def turned(x: Tensor) -> Tensor:
    return torch.tanh(x.flip(-1) + 0.1)


def made() -> dict[str, Any]:
    """One of each kind of result."""
    given: Any = (Linear(), UNIT, square, 1.0, GRID)
    expansion = sdewm.expand(*given, paths=256)
    starts = torch.randn(12, 2, generator=torch.Generator().manual_seed(0)).double()
    squared = {"mean": torch.rand(3, 5), "a <b>": torch.rand(3, 5)}
    return {
        "estimate": expansion.P,
        "expansion": expansion,
        "comparison": expansion.compare(0.1),
        "order test": sdewm.order_test(*given, paths=256),
        "weak identity": sdewm.weak_identity(*given, paths=256, eps=0.1),
        "penalty": sdewm.rollout_penalty(Linear(), APART, 1.0, GRID, paths=64),
        "verdict": sdewm.check(
            LogNorm(), TanhNetwork(dim=2, gain=0.4, seed=3), UNIT, eps=0.05, x0=0.6, grid=GRID, paths=256
        ),
        "divergence": sdewm.divergence(turned, starts, horizon=3, measure=lambda x: x.sum(-1, keepdim=True)),
        "trajectory": sdewm.simulate_coupled([Linear()], 1.0, GRID, 4, save="all")[0],
        "horizon error": HorizonError(squared, torch.tensor([0, 0, 1]), {"mean": torch.rand(3, 5)}, {"ridge": "no"}),
        "returns": Returns(torch.tensor([1.0, 2.0, 3.0]).double()),
    }


RESULTS = made()
NAMES = list(RESULTS)


@pytest.mark.parametrize("name", NAMES)
def test_to_dict_is_json(name: str) -> None:
    found = RESULTS[name].to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_to_dict_has_the_numbers() -> None:
    found, e = RESULTS["expansion"].to_dict(), RESULTS["expansion"]
    low, high = e.Q.interval()
    assert found["Q"] == {
        "value": e.Q.value, "standard_error": e.Q.standard_error, "low": low, "high": high, "level": 0.95, "n": e.Q.n
    }  # fmt: skip
    assert set(found) == {"P", "Q", "S", "form", "corrections", "flags", "hypotheses", "method"}
    assert found["hypotheses"][0]["status"] in ("declared", "probed")
    wide = e.Q.to_dict(level=0.999)
    assert (wide["low"], wide["high"]) == e.Q.interval(0.999)
    verdict = RESULTS["verdict"]
    assert verdict.to_dict() == verdict.to_json()
    order = RESULTS["order test"].to_dict()
    assert order["verdict"] == RESULTS["order test"].verdict.to_json()
    assert len(order["remainders"]["forms"]["ito"]["mean"]) == len(order["remainders"]["sizes"])
    weak = RESULTS["weak identity"]
    assert weak.to_dict()["terms"]["square"]["value"] == weak.terms["square"].value


def test_one_path_has_no_interval_and_is_json_all_the_same() -> None:
    found = Moments.of([1.0]).estimates()[0].to_dict()
    assert found["standard_error"] == found["high"] == "inf"
    assert json.dumps(found, allow_nan=False)


class Recorded:
    """What a DataFrame was made of."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows


@pytest.mark.parametrize("name", NAMES)
def test_to_frame_gives_pandas_rows_of_equal_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=Recorded))
    rows = RESULTS[name].to_frame().rows
    expected = {
        "estimate": 1, "expansion": 3, "comparison": 3, "order test": 5, "weak identity": 8, "penalty": 1,
        "verdict": 1, "divergence": 4 * len(RESULTS["divergence"].curves), "trajectory": 9 * 4,
        "horizon error": 15, "returns": 3,
    }  # fmt: skip
    assert len(rows) == expected[name]
    assert all(list(row) == list(rows[0]) for row in rows)


@pytest.mark.parametrize("name", NAMES)
def test_without_pandas_it_is_said_how_to_get_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"to_frame needs pandas, which is not installed: pip install pandas\.$"):
        RESULTS[name].to_frame()


def test_with_the_real_pandas() -> None:
    import pandas

    found = RESULTS["expansion"].to_frame()
    assert isinstance(found, pandas.DataFrame)
    assert found.set_index("coefficient").loc["P", "value"] == RESULTS["expansion"].P.value


class Cells(HTMLParser):
    """The text of all cells, and whether every tag is closed."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.texts, self.open = list[str](), list[str]()
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not attrs  # no colours, sizes or scripts of our own
        self.open.append(tag)
        self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts[-1] += data


@pytest.mark.parametrize("name", [name for name in NAMES if name != "returns"])
def test_a_notebook_shows_the_numbers_of_str(name: str) -> None:
    result = RESULTS[name]
    parsed = Cells(result._repr_html_())
    assert parsed.open == []
    text = " ".join(parsed.texts)
    numbers = {
        "expansion": [str(result.P), str(result.S)] if name == "expansion" else [],
        "comparison": [str(each) for each in result] if name == "comparison" else [],
        "order test": [str(result.first.reason)] if name == "order test" else [],
        "weak identity": [str(result.gap), str(result.terms["cross"])] if name == "weak identity" else [],
        "verdict": [result.reason] if name == "verdict" else [],
        "estimate": str(result).split(" ", 1),
    }
    for number in numbers.get(name, []):
        assert number in text
    if name == "divergence":
        for word in str(result).replace("note: ", "").split():
            assert word in text
    if name in ("expansion", "weak identity"):
        assert str(result.P if name == "expansion" else result.left) in str(result)


def test_what_a_user_wrote_is_escaped() -> None:
    verdict = Verdict(Outcome.HOLDS, Grade.CERTIFIED, "<script>x</script> & y", flags=("<b>",))
    shown = verdict._repr_html_()
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "&lt;script&gt;x&lt;/script&gt; &amp; y" in shown
    assert "a &lt;b&gt;" in RESULTS["horizon error"]._repr_html_()


def test_numpy_where_it_has_one_meaning() -> None:
    run = RESULTS["trajectory"]
    assert isinstance(run.numpy(), np.ndarray)
    np.testing.assert_array_equal(np.asarray(run), run.states.numpy())
    assert np.asarray(run, dtype=np.float32).dtype == np.float32
    again = np.array(run)
    again[:] = 0.0
    assert bool(run.states.any())
    grown = sdewm.simulate(Linear(), torch.ones(1, 1, dtype=torch.float64, requires_grad=True), GRID)
    assert grown.states.requires_grad
    assert grown.numpy().shape == (9, 1, 1)
    assert float(RESULTS["estimate"]) == RESULTS["estimate"].value
    assert isinstance(RESULTS["penalty"], Estimate)


def test_plain_knows_the_kinds_of_values() -> None:
    given = {1: Outcome.HOLDS, "t": torch.tensor([1.0, torch.inf]), "n": np.int64(3), "none": None, "b": np.bool_(1)}
    assert output.plain(given) == {"1": "holds", "t": [1.0, "inf"], "n": 3, "none": None, "b": True}


def test_plain_knows_what_has_one_plain_form() -> None:
    given = [
        range(3),
        (1, 2),
        np.float32(1.5),
        np.longdouble(0.5),
        np.array([[1, 2]], dtype=np.longdouble),
        np.str_("a"),
    ]
    found = output.plain([*given, Grade.CERTIFIED, SimpleNamespace(to_dict=lambda: {"a": (Outcome.HOLDS, np.inf)})])
    assert found == [[0, 1, 2], [1, 2], 1.5, 0.5, [[1.0, 2.0]], "a", "certified", {"a": ["holds", "inf"]}]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize(
    "value",
    [
        *(1j, {1, 2}, frozenset(), b"bytes", bytearray(b"a"), Fraction(1, 3), Decimal("0.1"), date(2025, 1, 1)),
        *(np.complex64(1j), np.zeros(2, np.complex128), torch.ones(1) * 1j, np.datetime64("2025-01-01", "ns")),
        *(object(), Verdict, lambda x: x, iter([1]), np.zeros(1, dtype=[("a", "f8")])),
    ],
)
def test_what_has_no_plain_form_is_refused(value: Any) -> None:
    for given in (value, [value], {"a": value}):
        with pytest.raises(InvalidArgument, match="made of numbers, texts, lists and mappings, got ") as caught:
            output.plain(given)
        assert "\n" not in str(caught.value)


def test_a_verdict_of_numpys_numbers_is_json() -> None:
    low, high = np.float32(1.0), np.float64("inf")
    verdict = Verdict(Outcome.HOLDS, Grade.CERTIFIED, "a", (low, high), None, np.float32(0.5), np.float64(0.5), ("b",))
    found = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
    assert found == verdict.to_json()
    assert found["interval"] == [1.0, "inf"]
    assert Verdict.from_json(found) == verdict


def test_a_verdicts_row_has_the_ends_of_its_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=Recorded))
    full = Verdict(Outcome.HOLDS, Grade.CERTIFIED, "a", (0.0, 1.0), (-1.0, float("inf")), 1.0, 0.99, ("b", "c"))
    (row,) = full.to_frame().rows
    assert (row["low"], row["high"], row["allowed_low"], row["allowed_high"]) == (0.0, 1.0, -1.0, "inf")
    assert row["flags"] == "b; c"
    assert not any(isinstance(cell, list | dict) for cell in row.values())
    (bare,) = Verdict(Outcome.HOLDS, Grade.CERTIFIED, "a").to_frame().rows
    assert list(bare) == list(row)
    assert bare["low"] is bare["allowed_high"] is None
