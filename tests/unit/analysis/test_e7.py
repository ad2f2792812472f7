"""E7 judged on records that are made by hand: every verdict can come out, and the controls come out the other way."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.models.e7 import (
    DIMS,
    EFFECT,
    ENDPOINT,
    FALLS,
    FIT,
    HELD_OUT,
    LEVEL,
    ROW,
    SEEDS,
    STEEPER,
    WIDTHS,
    Capacity,
    slopes,
    weights_of,
)
from figures.models.e7 import FLOOR, NORMAL, OTHER, OWN, draw_capacity
from sdewm import Outcome
from sdewm.claims import Cell
from sdewm.run import Record

Array = NDArray[np.float64]
FALL = next(iter(FALLS))
PROTOCOL = Path(__file__).parents[3] / "analysis" / "protocol" / "e7.md"


def errors_of(cell: Cell, slope: Mapping[int, float], noise: float) -> float:
    """A power law with noise that belongs to the replicate and to the network."""
    s = cell.settings
    source = np.random.default_rng((s["dim"], s["width"], s["replicate"]))
    law = 0.01 * (weights_of(s["dim"], s["width"]) / 1000.0) ** slope[s["dim"]]
    return float(law * np.exp(noise * source.uniform(-1.0, 1.0)))


def records_for(
    claim: Capacity, case: str, slope: Mapping[int, float], noise: float = 0.1, scale: float = 1.0
) -> list[Record]:
    """Records as the runner would find them, in another order."""
    found = []
    for cell in claim.cells(case, scale, 0, True):
        error = errors_of(cell, slope, noise)
        values = {"weights": weights_of(cell.settings["dim"], cell.settings["width"]), ENDPOINT: error}
        key = {"work": cell.work, "settings": dict(cell.settings), "seed": cell.seed}
        found.append(Record(key, {**values, OTHER: error + 0.02, FLOOR: 0.02, NORMAL: 0.8 * error}))
    return found[::-1]


def outcome(case: str, slope: Mapping[int, float], noise: float = 0.1, scale: float = 1.0, *, placebo: bool) -> Outcome:
    claim = Capacity(placebo)
    return claim.judge(case, records_for(claim, case, slope, noise, scale)).outcome


def equal(slope: float) -> dict[int, float]:
    return dict.fromkeys(DIMS, slope)


@pytest.mark.slow
@pytest.mark.parametrize("case", FALLS)
def test_a_fall_holds_a_flat_line_is_violated_and_noise_is_inconclusive(case: str) -> None:
    assert outcome(case, equal(-0.5), placebo=False) is Outcome.HOLDS
    assert outcome(case, equal(0.0), placebo=False) is Outcome.VIOLATED
    assert outcome(case, equal(0.3), placebo=False) is Outcome.VIOLATED
    # A fall that is smaller than what is relevant is none, and beside the border little noise leaves it open.
    assert outcome(case, equal(-0.03), 0.05, placebo=False) is Outcome.VIOLATED
    assert outcome(case, equal(-0.1), placebo=False) is Outcome.INCONCLUSIVE
    assert outcome(case, equal(-0.2), 3.0, placebo=False) is Outcome.INCONCLUSIVE


@pytest.mark.slow
def test_the_rate_is_judged_by_the_difference() -> None:
    steeper, gentler = {1: -0.8, 2: -0.6, 4: -0.4}, {1: -0.4, 2: -0.6, 4: -0.8}
    assert outcome(STEEPER, steeper, placebo=False) is Outcome.HOLDS
    assert outcome(STEEPER, gentler, placebo=False) is Outcome.VIOLATED
    # Both fall, but alike.
    assert outcome(STEEPER, equal(-0.8), placebo=False) is Outcome.VIOLATED
    assert outcome(STEEPER, {**steeper, 1: -0.5}, placebo=False) is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("case", Capacity.cases)
def test_where_capacity_or_dimension_is_a_label_the_control_is_violated(case: str) -> None:
    slope = {1: -0.8, 2: -0.6, 4: -0.4}
    assert outcome(case, slope, placebo=False) is Outcome.HOLDS
    assert outcome(case, slope, placebo=True) is Outcome.VIOLATED


def test_a_steady_difference_between_seeds_is_paired_away() -> None:
    """Seeds whose errors all differ by a factor have one slope; unpaired, the factor would drown it."""
    claim = Capacity()
    records = records_for(claim, FALL, equal(-0.2), 0.0)
    scaled = [
        Record(r.key, {**r.values, ENDPOINT: r.values[ENDPOINT] * 10.0 ** r.key["settings"]["replicate"]})
        for r in records
    ]
    verdict = claim.judge(FALL, scaled)
    assert verdict.outcome is Outcome.HOLDS
    assert verdict.interval == pytest.approx((-0.2, -0.2), abs=1e-9)


def test_fewer_seeds_than_the_protocol_asks_for_decide_nothing() -> None:
    assert len(Capacity().cells(FALL, 1.0, 0, False)) == SEEDS * len(WIDTHS)
    claim = Capacity()
    verdict = claim.judge(FALL, records_for(claim, FALL, equal(-0.5), scale=0.25))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "asks for 10 seeds" in verdict.reason


def test_the_slope_is_that_of_least_squares() -> None:
    source = np.random.default_rng(0)
    weights, errors = source.uniform(100.0, 1e4, 6), source.uniform(0.1, 1.0, (3, 6))
    fitted = np.polyfit(np.log(weights), np.log(errors).T, 1)[0]
    assert slopes(weights.tolist(), errors) == pytest.approx(fitted, rel=1e-9)
    # The negative control: without logarithms of the weights it is another number.
    assert abs(slopes(np.exp(weights / 1e4).tolist(), errors) - fitted).max() > 0.1


def test_control_and_claim_share_their_work() -> None:
    """The control costs no training of its own."""
    for case in Capacity.cases:
        mine = [dict(cell.settings) for cell in Capacity().cells(case, 1.0, 0, True)]
        assert all(dict(cell.settings) in mine for cell in Capacity().control().cells(case, 1.0, 0, False))


def test_a_cell_is_plain_and_its_result_depends_on_it_alone() -> None:
    claim = pickle.loads(pickle.dumps(Capacity()))
    cell = claim.cells(FALL, 1.0, 3, True)[0]
    short = Cell(cell.work, {**cell.settings, "steps": 20, "held out": 64}, cell.seed)
    one, two = claim.compute(short), Capacity(placebo=True).compute(short)
    assert one.values == two.values
    assert np.array_equal(one.arrays["loss"], two.arrays["loss"])
    assert one.values["weights"] == weights_of(1, WIDTHS[0])
    # The coupling, the tangent and the floor, in the order that the theory puts them.
    assert 0.0 < one.values[ENDPOINT] <= one.values["mean distance"] * (1.0 + 1e-12)
    assert one.values["normal part"] <= one.values["mean distance"]
    other = claim.compute(Cell(short.work, {**short.settings, "replicate": 1}, short.seed))
    assert other.values[ENDPOINT] != one.values[ENDPOINT]


def test_nothing_is_expected_and_the_protocol_is_named() -> None:
    assert set(ROW.expected.values()) == {None}
    assert "consistent" in ROW.claim.statement
    assert "analysis/protocol/e7.md" in ROW.claim.note


def test_the_protocol_and_the_code_agree() -> None:
    text = PROTOCOL.read_text(encoding="utf-8")
    widths = ", ".join(map(str, WIDTHS))
    for words in (
        f"of width {widths}:",
        f"d = {', '.join(map(str, DIMS))} (",
        f"rate {FIT.rate:g}, cosine, {FIT.steps} steps of {FIT.batch} images",
        f"between {HELD_OUT} held-out images",
        f"is below −{EFFECT:g}",
        f"at level {100 * LEVEL:g} %",
        f"fewer than {SEEDS} seeds",
    ):
        assert words in text, words


@pytest.mark.slow
def test_the_figure_shows_what_is_recorded() -> None:
    claim = Capacity()
    slope = {1: -0.8, 2: -0.6, 4: -0.4}
    cases = {case: ({}, records_for(claim, case, slope, 0.0)) for case in claim.cases}
    drawing = draw_capacity(cases)
    for dim in DIMS:
        assert drawing.data[f"d = {dim}"]["slope"][0] == pytest.approx(slope[dim], abs=1e-9)
        assert drawing.data[f"d = {dim}"][OWN][0][0] == pytest.approx(
            0.01 * (weights_of(dim, WIDTHS[0]) / 1000.0) ** slope[dim]
        )
    assert "10 seeds" in drawing.caption
    # Every line lies inside its panel, and both panels have one scale.
    left, right = drawing.figure.axes
    assert left.get_ylim() == right.get_ylim()
    low, high = left.get_ylim()
    lines = [line for ax in (left, right) for line in ax.get_lines() if len(line.get_ydata())]
    assert len(lines) == 4 * len(DIMS)
    assert all(low < min(line.get_ydata()) and max(line.get_ydata()) < high for line in lines)


def test_a_training_that_failed_is_left_out_of_the_figure() -> None:
    claim = Capacity()
    records = records_for(claim, FALL, equal(-0.5), 0.0)
    broken = [Record(records[0].key, {"numerical failure": "no longer finite"}), *records[1:]]
    drawing = draw_capacity({FALL: ({}, broken)})
    assert drawing.data["d = 1"]["slope"][0] == pytest.approx(-0.5, abs=1e-9)
