"""What a matplotlib figure shows, for tests: its numbers, and how its lines can be told apart."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

Array = Any


def numbers_of(ax: Axes) -> Array:
    """All coordinates that are drawn on these axes, sorted: of lines, bars, intervals, bands, points and images."""
    found = [np.zeros(1)]
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
    return np.unique(whole[np.isfinite(whole)])


def _numbers(values: Any) -> Array:
    array = np.asarray([] if values is None else values)
    return array.astype(float).ravel() if array.dtype.kind in "fiub" else np.zeros(0)


def leaves(data: Any, path: str = "", ends: bool = True) -> Iterator[tuple[str, list[tuple[float, ...]]]]:
    """The series of nested data by their path, as lists of estimates (value, low, high) and of single numbers.

    Args:
        data: of a drawing.
        ends: whether intervals are asked for, and not only values.
    """
    if isinstance(data, Mapping):
        for name, value in data.items():
            yield from leaves(value, f"{path} / {name}" if path else str(name), ends)
    elif isinstance(data, list):
        yield path, [_estimate(each, ends) for each in data]
    elif isinstance(data, tuple) or (isinstance(data, int | float) and not isinstance(data, bool)):
        yield path, [_estimate(data, ends)]


def _estimate(value: Any, ends: bool) -> tuple[float, ...]:
    if isinstance(value, tuple):
        return tuple(float(v) for v in value[: None if ends else 1])
    return (float(value),)


def missing(data: Any, figure: Figure, ends: bool = True) -> dict[str, float]:
    """By the path of a series, the share of its numbers that are not drawn on the axes that have most of them.

    Signs count, but on logarithmic axes, which show sizes; there the end of an interval that lies beyond zero has no
    place. That a series has its own label is not seen.
    """
    result = {}
    drawn = [(numbers_of(ax), "log" in (ax.get_xscale(), ax.get_yscale())) for ax in figure.axes]
    for path, series in leaves(data, ends=ends):
        shares = [_absent(series, *each) for each in drawn]
        if min(shares) > 0.0:
            result[path] = min(shares)
    return result


def _absent(series: list[tuple[float, ...]], drawn: Array, logarithmic: bool) -> float:
    numbers = []
    for each in series:
        value, *rest = each
        if logarithmic and len(rest) == 2 and rest[0] <= 0.0 <= rest[1]:
            rest = [max(each, key=abs)]
        numbers += [v for v in (value, *rest) if np.isfinite(v)]
    if not numbers:
        return 0.0
    known = np.unique(np.concatenate((drawn, np.abs(drawn)))) if logarithmic else drawn
    wanted = np.abs(numbers) if logarithmic else np.array(numbers)
    at = np.clip(np.searchsorted(known, wanted), 1, len(known) - 1)
    gap = np.minimum(np.abs(known[at] - wanted), np.abs(known[at - 1] - wanted))
    return float((gap > 1e-6 * np.abs(wanted) + 1e-14).mean())


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
