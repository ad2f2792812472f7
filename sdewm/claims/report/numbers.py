"""Tables of the numbers that a figure draws."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from .parts import Table


def tables_of(data: Mapping[str, Any], title: str = "") -> list[Table]:
    """Nested numbers as tables: what lies side by side and is equally long becomes columns of one table.

    Args:
        data: mappings of numbers, of lists of numbers, of lists of (value, low, high), or of such mappings.
        title: of the first table; those of mappings inside it go on from there.

    Returns:
        Tables whose cells are text.

    Example:
        >>> tables_of({"size": [0.1, 0.2], "error": [[1.0, 0.9, 1.1], [2.0, 1.9, 2.1]]})[0].rows
        [('0.1', '1 [0.9, 1.1]'), ('0.2', '2 [1.9, 2.1]')]
    """
    return [table for table in _walk(data, title) if table.rows]


def _walk(data: Mapping[str, Any], title: str) -> Iterator[Table]:
    inner = {str(k): v for k, v in data.items() if isinstance(v, Mapping)}
    lists = {str(k): v for k, v in data.items() if _is_list(v)}
    single = [(str(k), text_of(v)) for k, v in data.items() if not isinstance(v, Mapping) and not _is_list(v)]
    if lists and all(map(_is_interval, lists.values())):
        single += [(name, text_of(value)) for name, value in lists.items()]
        lists = {}
    yield Table(title, ("", "value"), single)
    for _, group in groupby(sorted(lists, key=lambda name: len(lists[name])), key=lambda name: len(lists[name])):
        names = sorted(group, key=list(lists).index)
        yield Table(title, names, list(zip(*(map(text_of, lists[name]) for name in names), strict=True)))
    if inner and not lists and not single and (table := _aligned(inner, title)) is not None:
        yield table
        return
    for name, value in inner.items():
        yield from _walk(value, f"{title}: {name}" if title else name)


def _aligned(inner: Mapping[str, Mapping[str, Any]], title: str) -> Table | None:
    """Mappings with the same names of numbers, as rows of one table."""
    names = list(next(iter(inner.values())))
    for value in inner.values():
        plain = all(not isinstance(v, Mapping) and (not _is_list(v) or _is_interval(v)) for v in value.values())
        if list(value) != names or not plain:
            return None
    rows = [(name, *(text_of(value[key]) for key in names)) for name, value in inner.items()]
    return Table(title, ("", *map(str, names)), rows)


def text_of(value: Any) -> str:
    """A number to six digits; three numbers of which the second and third enclose the first as value and interval."""
    if _is_interval(value):
        middle, low, high = map(text_of, value)
        return middle if low == middle == high else f"{middle} [{low}, {high}]"
    if _is_list(value):
        return ", ".join(map(text_of, value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    return f"{value:.6g}".replace("-", "−")


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_interval(value: Any) -> bool:
    """Whether it is written as the figures write an estimate: (value, low, high)."""
    if not _is_list(value) or len(value) != 3 or not all(isinstance(v, int | float) for v in value):
        return False
    middle, low, high = value
    # What is infinite or not a number is still an estimate.
    return bool(low <= middle <= high) or any(v != v for v in value)
