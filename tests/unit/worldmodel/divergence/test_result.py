"""The table, the sentences, the plain values and the picture."""

import json
import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

import sdewm
from sdewm import Divergence, InvalidArgument, divergence
from sdewm.worldmodel.divergence.table import _against

F64 = torch.float64


@pytest.fixture(scope="module")
def found() -> Divergence:
    w = torch.randn(5, 5, generator=torch.Generator().manual_seed(0), dtype=F64) * 0.7
    x = torch.randn(20, 5, generator=torch.Generator().manual_seed(1), dtype=F64)
    return divergence(lambda x: torch.tanh(x @ w) * torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0], dtype=F64), x, horizon=10)


def test_the_table_has_all_curves(found) -> None:
    text = str(found)
    assert "errors in 5 of 5 columns over 10 steps, 20 states, float64, 95% intervals" in text
    lines = text.splitlines()
    assert sum(line.startswith(("initial", "zero drift", "drift")) for line in lines) == len(found.curves) == 12
    assert "Lyapunov exponents a step" in text
    assert "are −∞" in text
    c = found.curve("drift", "raw", 0.1)
    assert f"{c.growth.value[-1]:.3g} [{c.growth.low[-1]:.3g}, {c.growth.high[-1]:.3g}]" in text


def test_the_sentences_say_what_the_numbers_are(found) -> None:
    text = found.explain()
    c = found.curve("drift", "whitened", 0.01)
    grows = "grows to" if c.growth.low[-1] > 1.01 else "shrinks to" if c.growth.high[-1] < 0.99 else "stays near"
    assert f"A drift error {grows} {c.growth.value[-1]:.3g} [" in text
    against = "slower than" if c.growth.high[-1] < 9.9 else "faster than" if c.growth.low[-1] > 10.1 else "like"
    assert f"{against} N = 10" in text
    assert "nothing here is certified" in text


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(11, 12, "faster than"), (3, 9, "slower than"), (9, 11, "like"), (2, 15, "not to be told from")],
)
def test_laws_are_compared_with_intervals(low, high, words) -> None:
    assert _against(low, high, 10.0) == words


def test_the_read_out_is_told() -> None:
    x = torch.randn(8, 2, generator=torch.Generator().manual_seed(0), dtype=F64)
    d = divergence(torch.sin, x, horizon=3, sizes=0.1, measure=lambda x: 2.0 * x, units="raw", errors="drift")
    c = d.curves[0]
    np.testing.assert_allclose(c.read.value, 2.0 * c.error.value)
    np.testing.assert_allclose(c.read_predicted.value, 2.0 * c.predicted.value)
    assert "read-out" in str(d).splitlines()[1]
    assert f"the read-out is then off by {c.read.value[-1]:.3g} [" in d.explain()


def test_a_curve_is_found_by_its_name(found) -> None:
    assert found.curve("drift").unit == "whitened"
    assert found.curve("drift").size == 0.01
    assert found.curve("drift", "raw", 0.1).size == 0.1
    with pytest.raises(InvalidArgument, match="there is no curve of 'bias', None, None; there are"):
        found.curve("bias")
    with pytest.raises(InvalidArgument, match="there is no curve of 'drift', 'whitened', 7"):
        found.curve("drift", size=7)


def test_plain_values_are_json(found) -> None:
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["horizon"] == 10
    assert plain["jacobians"]["lyapunov"]["value"][-1] == "-inf"
    assert plain["curves"][0]["ratio"]["value"][0] == pytest.approx(1.0)
    assert float(plain["curves"][-1]["ratio"]["value"][0]) != float(plain["curves"][-1]["ratio"]["value"][0])  # nan
    np.testing.assert_allclose(plain["curves"][3]["growth"]["value"], found.curves[3].growth.value)


def test_it_can_be_kept(found) -> None:
    assert str(pickle.loads(pickle.dumps(found))) == str(found)


@pytest.mark.parametrize("unit", [None, "raw"])
def test_the_picture(found, unit, tmp_path: Path) -> None:
    figure = found.plot(tmp_path / "growth.png", unit)
    assert (tmp_path / "growth.png").stat().st_size > 20_000
    top, below = figure.subfigs
    assert [axes.get_title(loc="left").partition(",")[0] for axes in top.axes] == ["initial", "zero drift", "drift"]
    assert len(below.axes) == 3
    # What is drawn is what was found.
    c = found.curve("drift", unit or "whitened", 0.1)
    drawn = next(line for line in top.axes[2].get_lines() if line.get_label() == "error, size 0.1")
    np.testing.assert_allclose(drawn.get_ydata(), c.growth.value[1:])
    with pytest.raises(InvalidArgument, match="unit must be one of 'raw', 'whitened', got 'metres'"):
        found.plot(unit="metres")


def test_names_in_the_picture_do_not_overlap(found) -> None:
    figure = found.plot()
    figure.canvas.draw()
    for axes in figure.subfigs[1].axes[:2]:
        boxes = sorted((text.get_window_extent() for text in axes.texts), key=lambda box: box.y0)
        assert all(one.y1 <= other.y0 + 1.0 for one, other in pairwise(boxes))


def test_the_picture_of_a_measurement_alone(tmp_path: Path) -> None:
    x = torch.randn(8, 2, generator=torch.Generator().manual_seed(0), dtype=F64)
    d = divergence(torch.sin, x, horizon=5, errors=("drift", "initial"), sizes=0.1, jacobians=False)
    figure = d.plot(tmp_path / "growth.pdf")
    assert (tmp_path / "growth.pdf").read_bytes().startswith(b"%PDF")
    assert len(figure.subfigs) == 1
    assert [c.kind for c in d.curves if c.unit == "raw"] == ["initial", "drift"]


def test_it_is_public() -> None:
    assert sdewm.divergence is divergence
    assert sdewm.Divergence is Divergence


def test_what_has_no_interval_is_dotted_and_said() -> None:
    """In chaos a few states carry the first order, and Fieller's interval of the ratio has no end."""
    x = torch.rand(6, 1, generator=torch.Generator().manual_seed(1), dtype=F64) * 0.8 + 0.1
    d = divergence(lambda x: 3.9 * x * (1.0 - x), x, horizon=20, errors="initial", units="raw", sizes=(1e-4, 1e-2))
    c = d.curve("initial", size=1e-2)
    assert np.isinf(c.ratio.high).any()
    ratios = d.plot().subfigs[1].axes[0]
    dotted, solid = (line for line in ratios.get_lines() if len(line.get_xdata()) == 20)
    assert (dotted.get_linestyle(), solid.get_linestyle()) == (":", "-")
    np.testing.assert_array_equal(np.isnan(solid.get_ydata()), np.isinf(c.ratio.high[1:]))
    # The shade has no part where there is no interval.
    (shade,) = (each for each in ratios.collections)
    reached = np.unique(np.concatenate([p.vertices[:, 0] for p in shade.get_paths()]))
    assert set(reached) <= set(np.flatnonzero(np.isfinite(c.ratio.high)).astype(float))


def test_a_bound_is_labelled_by_the_size_it_bounds(found) -> None:
    labels = found.plot().subfigs[0].axes[0].get_legend_handles_labels()[1]
    assert "product bound, size 0.1" in labels


@pytest.mark.parametrize(
    ("factor", "said"), [(0.3, "shrinks to"), (1.0, "grows to"), (1.3, "grows to"), (0.0, "stays near")]
)
def test_a_drift_is_said_to_do_what_it_does(factor: float, said: str) -> None:
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=F64)
    # Turned by a half, so that injections of two steps take from each other.
    d = divergence(lambda x: -factor * x if factor < 1.0 else factor * x, x, horizon=8, errors="drift", sizes=0.1)
    assert f"A drift error {said}" in d.explain()


def test_too_few_states_are_said_to_be_too_few() -> None:
    x = torch.randn(3, 2, generator=torch.Generator().manual_seed(0), dtype=F64)
    d = divergence(lambda x: torch.sin(2.0 * x), x, horizon=6, errors="zero drift", units="raw", sizes=0.5)
    c = d.curve("zero drift")
    assert c.off is None
    assert c.within < 6
    assert f"first order within 10% up to step {c.within}, too few states to say more" in str(d)
