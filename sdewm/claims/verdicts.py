"""The file of verdicts: written whole, and read as what anybody may have written."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from reprlib import repr as shorten
from typing import Any

from ..exceptions import InvalidArgument
from ..run.store import write_whole
from ..verdict import Verdict

# A verdict takes some kilobytes.
LARGEST = 1 << 26
# More repetitions than anybody waits for; a float still tells them apart.
_MANY = 10**9
_TEXTS = ("claim", "case", "statement", "source", "note")


def write_verdicts(lines: Sequence[Mapping[str, Any]], path: Path, **facts: Any) -> None:
    """Write verdicts.json, whole or not at all.

    Args:
        lines: what `judge` returns.
        path: the file.
        facts: what else is to be known of them, such as the budget and the seed.
    """
    write_whole(path, (json.dumps({**facts, "verdicts": list(lines)}, indent=1) + "\n").encode())


def read_verdicts(path: Path) -> dict[str, Any]:
    """What `write_verdicts` has written: `verdicts` and the facts beside them.

    No more than 64 MiB are read, and every verdict has what the report shows of one, of the right kind.

    Raises:
        InvalidArgument: the file is not there, cannot be read, or holds no verdicts.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise InvalidArgument(f"{path} cannot be read ({error.strerror or error}); judge first.") from error
    if len(data) > LARGEST:
        raise InvalidArgument(f"{path} has more than {LARGEST >> 20} MiB, and is no file of verdicts.")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{path} is not valid JSON ({type(error).__name__}); judge again.") from error
    lines = found.get("verdicts") if isinstance(found, dict) else None
    if not isinstance(lines, list):
        raise InvalidArgument(f"{path} has no list of verdicts; judge again.")
    try:
        check_values({key: value for key, value in found.items() if key != "verdicts"})
    except ValueError as error:
        raise InvalidArgument(f"{path}: {error}; judge again.") from error
    for number, line in enumerate(lines):
        try:
            check_values(line)
            _check(line)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            problem = f"{type(error).__name__}: {str(error)[:200]}"
            raise InvalidArgument(f"{path}: verdict {number} is none ({problem}); judge again.") from error
    return dict(found)


def check_values(value: Any, deepest: int | None = None) -> None:
    """Whether what JSON gave can be shown: texts have a UTF-8 form, and numbers fit into a float.

    Args:
        value: what `json.loads` has returned.
        deepest: how deep lists and mappings may lie in each other, by default as deep as they do.

    Raises:
        ValueError: it cannot be shown.
    """
    # By a list of what is left, since JSON may be nested deeper than calls may be.
    left = [(value, 0)]
    while left:
        each, depth = left.pop()
        if deepest is not None and depth > deepest:
            raise ValueError(f"lists and mappings lie more than {deepest} deep in each other")
        if isinstance(each, dict):
            left += [(inner, depth + 1) for pair in each.items() for inner in pair]
        elif isinstance(each, list):
            left += [(inner, depth + 1) for inner in each]
        elif isinstance(each, str):
            try:
                each.encode()
            except UnicodeEncodeError as error:
                raise ValueError(f"a text has half a character (a lone surrogate): {shorten(each)}") from error
        elif isinstance(each, int) and abs(each) > sys.float_info.max:
            raise ValueError(f"a number is larger than a float can hold: {shorten(each)}")


def _check(line: Any) -> None:
    if not all(isinstance(line[key], str) for key in _TEXTS) or not isinstance(line.get("command", ""), str):
        raise TypeError(f"{', '.join(_TEXTS)} must be text")
    if not all(isinstance(line.get(key, ""), str) for key in ("title", "formula")):
        raise TypeError("title and formula must be text")
    if not isinstance(hypotheses := line.get("hypotheses", []), list):
        raise TypeError(f"hypotheses must be a list, got {shorten(hypotheses)}")
    for each in hypotheses:
        if not all(isinstance(each[key], str) for key in ("name", "status", "detail")):
            raise TypeError("a hypothesis must have a name, a status and a detail")
    if not isinstance(line["expected"], str | None):
        raise TypeError("expected must be text or null")
    for key in ("verdict", "control"):
        try:
            Verdict.from_json(line[key])
        except (ValueError, TypeError) as error:
            raise ValueError(f"{key}: {error}") from error
    won, tried = line["power"]
    if type(won) is not int or type(tried) is not int or not 0 <= won <= tried <= _MANY:
        raise ValueError(f"power must be two whole numbers up to {_MANY:g}, got {shorten(line['power'])}")
    if not isinstance(line["records"], list) or not all(isinstance(name, str) for name in line["records"]):
        raise TypeError("records must be a list of names")
