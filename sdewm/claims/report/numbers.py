"""Tables of the numbers that a figure draws."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from .parts import Table

ESTIMATE = ("value", "low", "high")
# Deeper nesting is no figure's.
DEEPEST = 20


def tables_of(data: Mapping[str, Any], title: str = "") -> list[Table]:
    """Nested numbers as tables: what lies side by side and is equally long becomes columns of one table.

    Args:
        data: mappings of numbers, of estimates, of lists of either, or of such mappings. An estimate is a tuple (value,
            low, high), or a mapping of these three names as `marked` makes it.
        title: of the first table; those of mappings inside it go on from there.

    Returns:
        Tables whose cells are text.

    Example:
        >>> tables_of({"size": [0.1, 0.2], "error": [(1.0, 0.9, 1.1), (2.0, 1.9, 2.1)]})[0].rows
        [('0.1', '1 [0.9, 1.1]'), ('0.2', '2 [1.9, 2.1]')]
    """
    return [table for table in _walk(data, title, 0) if table.rows]


def marked(data: Any) -> Any:
    """The same data for JSON, which has no tuples: estimates become mappings of value, low and high.

    Example:
        >>> marked({"P": (1.0, 0.9, 1.1), "sizes": [1, 2, 3]})
        {'P': {'value': 1.0, 'low': 0.9, 'high': 1.1}, 'sizes': [1, 2, 3]}
    """
    if isinstance(data, Mapping):
        return {str(key): marked(value) for key, value in data.items()}
    if _is_estimate(data):
        return dict(zip(ESTIMATE, data, strict=True))
    return [marked(each) for each in data] if _is_list(data) else data


def _walk(data: Mapping[str, Any], title: str, depth: int) -> Iterator[Table]:
    if depth > DEEPEST:
        return
    inner = {str(k): v for k, v in data.items() if isinstance(v, Mapping) and not _is_estimate(v)}
    lists = {str(k): v for k, v in data.items() if _is_list(v)}
    single = [(str(k), text_of(v)) for k, v in data.items() if str(k) not in inner and str(k) not in lists]
    yield Table(title, ("", "value"), single)
    for _, group in groupby(sorted(lists, key=lambda name: len(lists[name])), key=lambda name: len(lists[name])):
        names = sorted(group, key=list(lists).index)
        yield Table(title, names, list(zip(*(map(text_of, lists[name]) for name in names), strict=True)))
    if inner and not lists and not single and (table := _aligned(inner, title)) is not None:
        yield table
        return
    for name, value in inner.items():
        yield from _walk(value, f"{title}: {name}" if title else name, depth + 1)


def _aligned(inner: Mapping[str, Mapping[str, Any]], title: str) -> Table | None:
    """Mappings with the same names of numbers, as rows of one table."""
    names = list(next(iter(inner.values())))
    for value in inner.values():
        plain = all(_is_estimate(v) or not (isinstance(v, Mapping) or _is_list(v)) for v in value.values())
        if list(value) != names or not plain:
            return None
    rows = [(name, *(text_of(value[key]) for key in names)) for name, value in inner.items()]
    return Table(title, ("", *map(str, names)), rows)


def text_of(value: Any) -> str:
    """A number to six digits, an estimate with its interval, other values as they are written."""
    if _is_estimate(value):
        middle, low, high = map(text_of, value.values() if isinstance(value, Mapping) else value)
        return middle if low == middle == high else f"{middle} [{low}, {high}]"
    if _is_list(value):
        return ", ".join(map(text_of, value))
    if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 53):
        return f"{value:.6g}".replace("-", "−")
    return "" if value is None else str(value)[:200]


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and not _is_estimate(value)


def _is_estimate(value: Any) -> bool:
    if isinstance(value, Mapping):
        return tuple(value) == ESTIMATE
    return isinstance(value, tuple) and len(value) == 3 and all(isinstance(v, int | float) for v in value)
