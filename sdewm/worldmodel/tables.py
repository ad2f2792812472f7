"""Tables of open-loop errors over seeds, beside the best baseline."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import final

from ..estimate import Moments
from ..exceptions import InvalidArgument
from ..validation import instance, integer
from ..validation import level as check_level
from .horizon import BASELINES, HorizonError


@final
@dataclass(frozen=True)
class HorizonRow:
    """One model at one horizon, over seeds.

    Attributes:
        model: its name.
        what: "observation" or "reward".
        horizon: steps ahead.
        seeds: number of seeds.
        rms: mean over seeds of the root mean square error, in standard deviations of the training data.
        low, high: confidence interval of that mean for new seeds; infinite for one seed.
        baseline: the baseline with the smallest error there.
        baseline_rms: its error, the mean over seeds.
    """

    model: str
    what: str
    horizon: int
    seeds: int
    rms: float
    low: float
    high: float
    baseline: str
    baseline_rms: float


def horizon_table(
    errors: Mapping[int, HorizonError], *, horizons: Sequence[int] = (1, 10, 25, 50), level: float = 0.95
) -> list[HorizonRow]:
    """The errors of one model that was trained from several seeds.

    Args:
        errors: for each seed the errors of its model, all from the same windows.
        horizons: steps ahead.
        level: of the intervals, which are Student's over seeds.

    Returns:
        One row a horizon, and one more where rewards were predicted.

    Raises:
        InvalidArgument: there is no error, a horizon is longer than they are, or they are not of one model.

    Warning:
        The interval is that of the mean over training seeds. The test windows are the same for all: how the error would
        vary over other windows it does not say.
    """
    check_level(level)
    if not instance("errors", errors, Mapping):
        raise InvalidArgument("errors must hold at least one seed.")
    several = list(errors.values())
    names = {name for each in several for name in each.squared} - set(BASELINES)
    if len(names) != 1:
        raise InvalidArgument(f"errors must be those of one model, got {', '.join(sorted(names)) or 'none'}.")
    longest = min(len(value[0]) for each in several for value in each.squared.values())
    for horizon in horizons:
        if integer("horizon", horizon, least=1) > longest:
            raise InvalidArgument(f"horizons must be at most the {longest} steps that were predicted, got {horizon}.")
    (name,) = names
    rows = []
    for what in ("observation", "reward"):
        if what == "reward" and any(name not in each.reward for each in several):
            continue
        for horizon in horizons:
            values = {
                each: [float(error.rms(each, what)[horizon - 1]) for error in several]
                for each in _common(several, what)
            }
            mean = Moments.of(values[name]).estimates()[0]
            low, high = mean.interval(level) if len(several) > 1 else (-math.inf, math.inf)
            rivals = {each: sum(v) / len(v) for each, v in values.items() if each != name}
            best = min(rivals, key=lambda each: rivals[each]) if rivals else ""
            least = rivals.get(best, math.nan)
            rows.append(HorizonRow(name, what, horizon, len(several), mean.value, low, high, best, least))
    return rows


def as_text(rows: Sequence[HorizonRow]) -> str:
    """The rows for the eye, one a line."""
    lines = [f"{'model':<14}{'what':<13}{'steps':>5}{'seeds':>6}{'error':>9}   {'interval':<18}best baseline"]
    for row in rows:
        interval = f"[{row.low:.3f}, {row.high:.3f}]" if math.isfinite(row.low) else "one seed"
        lines.append(
            f"{row.model:<14}{row.what:<13}{row.horizon:>5}{row.seeds:>6}{row.rms:>9.3f}   {interval:<18}"
            f"{row.baseline} {row.baseline_rms:.3f}"
        )
    return "\n".join(lines) + "\n"


def as_csv(rows: Sequence[HorizonRow]) -> str:
    """The rows as comma-separated values, with a line of names and every digit."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(HorizonRow)])
    writer.writerows([[repr(v) if isinstance(v, float) else v for v in astuple(row)] for row in rows])
    return text.getvalue()


def _common(several: Sequence[HorizonError], what: str) -> list[str]:
    mappings = [error.squared if what == "observation" else error.reward for error in several]
    return [name for name in mappings[0] if all(name in mapping for mapping in mappings)]
