"""What a matplotlib figure shows, for tests: its numbers, and how its lines can be told apart."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

Array = Any


def numbers_of(figure: Figure) -> Array:
    """Sizes of all coordinates that are drawn, sorted: of lines, bars, intervals, bands, points and images."""
    found = [np.zeros(1)]
    for ax in figure.axes:
        for line in ax.get_lines():
            found += [_numbers(line.get_xdata(orig=True)), _numbers(line.get_ydata(orig=True))]
        for patch in ax.patches:
            if hasattr(patch, "get_height"):
                x, y, width, height = patch.get_x(), patch.get_y(), patch.get_width(), patch.get_height()
                found.append(np.array([x, y, width, height, x + width, y + height], dtype=float))
        for collection in ax.collections:
            found += [_numbers(collection.get_offsets()), _numbers(collection.get_array())]
            found += [path.vertices.ravel() for path in collection.get_paths()]
        found += [_numbers(image.get_array()) for image in ax.images]
    whole = np.concatenate(found)
    return np.unique(np.abs(whole[np.isfinite(whole)]))


def _numbers(values: Any) -> Array:
    array = np.asarray([] if values is None else values)
    return array.astype(float).ravel() if array.dtype.kind in "fiub" else np.zeros(0)


def leaves(data: Any, path: str = "") -> Iterator[tuple[str, Array]]:
    """The series of nested data by their path.

    Of (value, low, high) that hold zero, which has no place on a logarithmic axis, the value and the farther end.
    """
    if isinstance(data, Mapping):
        for name, value in data.items():
            yield from leaves(value, f"{path} / {name}" if path else str(name))
    elif isinstance(data, list | tuple) and data and isinstance(data[0], list | tuple):
        yield path, np.concatenate([_row(row) for row in data])
    elif isinstance(data, list | tuple):
        yield path, _row(data)
    elif isinstance(data, int | float) and not isinstance(data, bool):
        yield path, np.array([float(data)])


def _row(row: Any) -> Array:
    values = np.array([float(v) for v in row])
    before, ends = values[:-3], values[-3:]
    if len(values) in (3, 4) and ends[1] <= ends[0] <= ends[2] and ends[1] <= 0.0 <= ends[2]:
        return np.array([ends[0], ends[np.argmax(np.abs(ends))]])
    return np.concatenate((before, ends))


def missing(data: Any, figure: Figure) -> dict[str, float]:
    """By the path of a series, the share of its numbers that are not drawn, where there are any."""
    drawn, result = numbers_of(figure), {}
    for path, values in leaves(data):
        size = np.abs(values[np.isfinite(values)])
        if not len(size):
            continue
        at = np.clip(np.searchsorted(drawn, size), 1, len(drawn) - 1)
        gap = np.minimum(np.abs(drawn[at] - size), np.abs(drawn[at - 1] - size))
        absent = gap > 1e-6 * size + 1e-14
        if absent.any():
            result[path] = float(absent.mean())
    return result


def luminance(colour: Any) -> float:
    """How light a colour is in greyscale, from 0 to 1."""
    red, green, blue = to_rgb(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def alike_in_grey(figure: Figure, least: float = 0.12) -> list[tuple[str, str]]:
    """Pairs of labelled lines or bars of one axes that nothing but their hue tells apart."""
    pairs = []
    for ax in figure.axes:
        looks: dict[str, tuple[float, tuple[Any, ...]]] = {}
        handles, labels = ax.get_legend_handles_labels()
        for handle, label in zip(handles, labels, strict=True):
            looks[label] = _look(handle)
        names = list(looks)
        for i, one in enumerate(names):
            for other in names[i + 1 :]:
                (a, form), (b, other_form) = looks[one], looks[other]
                if form == other_form and abs(a - b) < least:
                    pairs.append((one, other))
    return pairs


def _look(handle: Any) -> tuple[float, tuple[Any, ...]]:
    """Lightness, and what else tells it apart."""
    first = handle
    kind = type(handle).__name__
    if isinstance(handle, tuple):  # containers of bars and of error bars
        first = handle[0] if handle[0] is not None else handle[2][0]
    if hasattr(first, "get_marker"):
        hollow = luminance(first.get_markerfacecolor()) > 0.95 if first.get_marker() not in ("None", None, "") else None
        return luminance(first.get_color()), (kind, str(first.get_linestyle()), str(first.get_marker()), hollow)
    if hasattr(first, "get_hatch"):
        faces = np.atleast_2d(first.get_facecolor())
        face = faces[0] if faces.size else np.atleast_2d(first.get_edgecolor())[0]
        return luminance(face[:3]), (kind, str(first.get_hatch()), len(face) > 3 and round(float(face[3]), 1))
    colour = np.atleast_2d(first.get_color())[0][:3]
    return luminance(colour), (kind, str(first.get_linestyle()))
