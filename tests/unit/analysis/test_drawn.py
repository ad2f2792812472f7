"""Every figure draws the numbers that lie beside it, can be read in greyscale, and says what there is to see."""

import copy
import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import pytest
from drawn import alike_in_grey, leaves, missing
from matplotlib.figure import Figure

from analysis import CATALOGUE, agents, models
from figures import FIGURES
from figures.cost import draw_cost_curves, draw_tolerance
from figures.kit import Cases, Drawing
from figures.sections import RECORDS
from sdewm.claims.runner import judge
from sdewm.run import Record, Store

pytestmark = pytest.mark.slow

RECORDED = {"models": models.MODELS, "agents": agents.AGENTS}
OWN = {row.claim.id: row.claim for row in CATALOGUE}
# Claims about shipped models take half a minute each, whatever the scale; `make reproduce` draws them.
DEAR = {"L1", "L2", "L3"}
# The paths of numbers that are beside a figure and not in it, and why.
BESIDE: Mapping[str, tuple[str, str]] = {
    "X1": ("/ gaps /", "are at rounding, and said in the caption"),
    "X10": ("/ simulated effect$", "is the unit of what is drawn"),
    "B5": ("quantiles", "are drawn as densities"),
    "B7": ("probability$", "is the other name of k"),
    "E7": ("/ slope$", "is said in the legend, and seen in the lines"),
}
# Of these only values are drawn: the intervals are narrower than the markers.
VALUES_ONLY = {"B3", "B4"}


@cache
def small(claim: str) -> Cases:
    """A claim's cases with records of a few paths."""
    chosen, done, cases = OWN[claim], dict[str, Record](), {}
    for case in chosen.cases:
        records = []
        for cell in chosen.cells(case, 0.02, 0, True):
            key = repr((cell.work, cell.settings, cell.seed))
            if key not in done:
                found = chosen.compute(cell)
                made = {"work": cell.work, "settings": dict(cell.settings), "seed": cell.seed}
                done[key] = Record(made, found.values, found.arrays)
            records.append(done[key])
        refused = {"verdict": {"outcome": "hypothesis fails", "reason": "loss growth fails: too fast", "flags": []}}
        cases[case] = (refused, records)
    return cases


@cache
def kept(claim: str) -> Cases:
    """A claim's cases with the records that come with the project."""
    place = next(name for name, rows in RECORDED.items() if any(row.claim.id == claim for row in rows))
    rows = [row for row in RECORDED[place] if row.claim.id == claim]
    store = Store(RECORDS / place)
    cases = {}
    for line in judge(rows, store):
        read = [store.read(name) for name in line["records"]]
        cases[line["case"]] = (line, [record for record in read if record is not None])
    return cases


@cache
def drawing(claim: str) -> Drawing:
    return FIGURES[claim](small(claim) if claim in OWN else kept(claim))


@cache
def drawing_of(name: str) -> Drawing:
    read = json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))
    return {"bench": draw_cost_curves, "estimators": draw_tolerance}[name](read)


CLAIMS = [claim for claim in FIGURES if claim not in DEAR]
COSTS = ("bench", "estimators")


@pytest.mark.parametrize("claim", CLAIMS)
def test_it_draws_the_numbers_that_lie_beside_it(claim: str) -> None:
    found = drawing(claim)
    absent = missing(found.data, found.figure, ends=claim not in VALUES_ONLY)
    beside, _ = BESIDE.get(claim, ("$^", ""))
    assert {path: share for path, share in absent.items() if not re.search(beside, path)} == {}
    assert sum(1 for _ in leaves(found.data)) > len(absent)


@pytest.mark.parametrize("factor", [1.001, -1.0])
@pytest.mark.parametrize("claim", ["X3", "S1", "B10", "E3-agent"])
def test_another_number_or_sign_beside_it_is_noticed(claim: str, factor: float) -> None:
    found = drawing(claim)
    if factor < 0.0 and any("log" in (ax.get_xscale(), ax.get_yscale()) for ax in found.figure.axes):
        pytest.skip("logarithmic axes show sizes")
    path = next(path for path, series in leaves(found.data) if max(abs(each[0]) for each in series) > 1e-3)
    changed = copy.deepcopy(dict(found.data))
    *keys, last = path.split(" / ")
    inner = changed
    for key in keys:
        inner = inner[key]
    inner[last] = _scaled(inner[last], factor)
    assert path in missing(changed, found.figure)


def _scaled(value: Any, factor: float) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_scaled(each, factor) for each in value)
    return factor * value


@pytest.mark.parametrize("claim", [*CLAIMS, *COSTS])
def test_it_can_be_read_in_greyscale(claim: str) -> None:
    found = drawing_of(claim) if claim in COSTS else drawing(claim)
    assert alike_in_grey(found.figure) == []


def test_lines_that_differ_in_hue_alone_are_noticed() -> None:
    figure, ax = plt.subplots()
    ax.plot([0, 1], color="#d62728", label="red")
    ax.plot([1, 2], color="#8c564b", label="blue")
    ax.plot([1, 2], color="#8c564b", ls="--", label="dashed")
    ax.plot([1, 2], color="#f0e442", label="light")
    assert alike_in_grey(figure) == [("red", "blue")]
    plt.close(figure)


@pytest.mark.parametrize("claim", CLAIMS)
def test_it_names_its_axes_and_says_what_there_is_to_see(claim: str) -> None:
    found = drawing(claim)
    shown = [ax for ax in found.figure.axes if ax.get_visible()]
    assert any(ax.get_ylabel() or ax.get_yticklabels() for ax in shown)
    assert any(ax.get_xlabel() or _supported(found.figure) or ax.get_xticklabels() for ax in shown)
    assert 60 < len(found.caption) < 1200
    assert found.caption.endswith(".")
    # A level is said of something.
    assert "%" not in found.caption or re.search("interval|±|band|limits", found.caption)


def _supported(figure: Figure) -> bool:
    return figure.get_supxlabel() != ""
