"""Results for others: plain values for JSON, rows for pandas, a table for a notebook."""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from reprlib import repr as shorten
from typing import Any

import numpy as np
from torch import Tensor

from .exceptions import InvalidArgument, MissingExtra


def plain(value: Any) -> Any:
    """A value made of what JSON has; numbers that it does not have are the strings "nan", "inf" and "-inf".

    What has a `to_dict` is asked for it, a dataclass is a mapping of its public fields, an enumeration's member is its
    value, an array is nested lists, and so are tuples and ranges. Nothing else has one plain form: complex numbers,
    fractions, sets, bytes and dates are refused, and are for whoever has them to spell.

    Raises:
        InvalidArgument: it has no plain form.

    Example:
        >>> plain({"sizes": (1, np.float64("inf")), "states": np.zeros((1, 2))})
        {'sizes': [1, 'inf'], 'states': [[0.0, 0.0]]}
    """
    if value is None or (isinstance(value, (bool, int, float, str)) and not isinstance(value, (Enum, np.generic))):
        return str(value) if isinstance(value, float) and not math.isfinite(value) else value
    # A class has the methods of its objects, and not their values.
    if not isinstance(value, type) and callable(getattr(value, "to_dict", None)):
        return plain(value.to_dict())
    if not isinstance(value, type) and is_dataclass(value):
        return plain_fields(value)
    if isinstance(value, Tensor):
        return plain(value.detach().cpu().tolist())
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind not in "cmMV":
        # A list of what is wider than a float is one of numpy's own numbers.
        return plain((value.astype(np.float64) if value.dtype == np.longdouble else value).tolist())
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, (list, tuple, range)):
        return [plain(each) for each in value]
    given = " ".join(f"{type(value).__name__} {shorten(value)}".split())
    raise InvalidArgument(f"a result for JSON must be made of numbers, texts, lists and mappings, got {given}.")


def plain_fields(result: Any) -> dict[str, Any]:
    """The public fields of a dataclass, each made plain: what a `to_dict` without more to say returns."""
    return {each.name: plain(getattr(result, each.name)) for each in fields(result) if not each.name.startswith("_")}


def frame(rows: Iterable[Mapping[str, Any]]) -> Any:
    """Rows as a pandas DataFrame.

    Raises:
        MissingExtra: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise MissingExtra("to_frame needs pandas, which is not installed: pip install pandas.") from error
    return pandas.DataFrame(list(rows))


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]], notes: Iterable[str] = ()) -> str:
    """A table as HTML, escaped, in the notebook's own colours.

    Example:
        >>> table("a < b", ["x"], [["1"]])
        '<table><caption>a &lt; b</caption><thead><tr><th>x</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>'
    """

    def line(cells: Iterable[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"

    top = f"<thead>{line(head, 'th')}</thead>" if head else ""
    body = "".join(line(row, "td") for row in rows)
    made = f"<table><caption>{html.escape(title)}</caption>{top}<tbody>{body}</tbody></table>"
    listed = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    return f"<div>{made}<ul>{listed}</ul></div>" if listed else made
