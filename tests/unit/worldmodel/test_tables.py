"""Tables over seeds."""

import csv
import io
import math

import pytest
import torch

from sdewm.exceptions import InvalidArgument
from sdewm.worldmodel.horizon import HorizonError
from sdewm.worldmodel.tables import HorizonRow, as_csv, as_text, horizon_table


def error(rms, reward=None, name="some model"):
    """Windows whose root mean square error is a constant at every horizon."""

    def constant(value):
        return torch.full((4, 3), float(value) ** 2, dtype=torch.float64)

    squared = {name: constant(rms), "mean": constant(1.0), "persistence": constant(0.8), "ridge": constant(0.9)}
    rewards = {} if reward is None else {name: constant(reward), "mean": constant(1.0), "persistence": constant(1.4)}
    return HorizonError(squared, torch.arange(4), rewards)


def test_the_interval_is_students_over_seeds():
    from scipy.stats import t

    values = [0.2, 0.3, 0.5, 0.4]
    rows = horizon_table({seed: error(v) for seed, v in enumerate(values)}, horizons=(1, 3), level=0.9)
    assert [(row.horizon, row.what, row.seeds, row.baseline) for row in rows] == [
        (1, "observation", 4, "persistence"),
        (3, "observation", 4, "persistence"),
    ]
    mean = sum(values) / 4
    half = t.ppf(0.95, 3) * math.sqrt(sum((v - mean) ** 2 for v in values) / 3 / 4)
    assert (rows[0].rms, rows[0].low, rows[0].high) == pytest.approx((mean, mean - half, mean + half), rel=1e-9)
    assert rows[0].baseline_rms == pytest.approx(0.8)
    # Negative control: the normal interval would be shorter.
    assert rows[0].high - rows[0].low > 1.3 * 2 * 1.645 * half / t.ppf(0.95, 3)


def test_one_seed_has_no_interval():
    (row,) = horizon_table({7: error(0.2)}, horizons=(2,))
    assert (row.low, row.high) == (-math.inf, math.inf)
    assert "one seed" in as_text([row])


def test_rewards_have_rows_of_their_own_and_their_own_baseline():
    rows = horizon_table({0: error(0.2, 0.6), 1: error(0.3, 0.7)}, horizons=(1,))
    assert [(row.what, row.baseline) for row in rows] == [("observation", "persistence"), ("reward", "mean")]
    assert rows[1].rms == pytest.approx(0.65)
    # Where one seed has none, there is no row.
    assert len(horizon_table({0: error(0.2, 0.6), 1: error(0.3)}, horizons=(1,))) == 1


def test_text_and_csv_say_the_same():
    rows = horizon_table({0: error(0.2), 1: error(0.3)}, horizons=(1, 2))
    read = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert [HorizonRow(**{k: type(getattr(rows[0], k))(v) for k, v in row.items()}) for row in read] == rows
    text = as_text(rows).splitlines()
    assert len(text) == 3
    assert "some model" in text[1]
    assert "0.250" in text[1]
    assert "persistence 0.800" in text[1]


def test_arguments_are_checked():
    with pytest.raises(InvalidArgument, match="at least one seed"):
        horizon_table({})
    with pytest.raises(InvalidArgument, match="errors must be a Mapping, got list"):
        horizon_table([error(0.1)])
    with pytest.raises(InvalidArgument, match="at most the 3 steps that were predicted, got 4"):
        horizon_table({0: error(0.1)}, horizons=(4,))
    with pytest.raises(InvalidArgument, match="horizon must be a whole number"):
        horizon_table({0: error(0.1)}, horizons=(0,))
    with pytest.raises(InvalidArgument, match="of one model, got other, some model"):
        horizon_table({0: error(0.1), 1: error(0.1, name="other")})
    with pytest.raises(InvalidArgument, match="level"):
        horizon_table({0: error(0.1)}, horizons=(1,), level=1.0)
