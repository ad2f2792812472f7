"""Every refusal of ground and dynamics: one sentence that names the argument and what was given.

The last test counts: a `raise InvalidArgument` or `raise Refused` that no case of `tests/refused` reaches fails it.
"""

import ast
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from refused import CASES

import sdewm


@pytest.mark.parametrize(("act", "kind", "says"), CASES, ids=[f"{i}: {' '.join(c[2])}" for i, c in enumerate(CASES)])
def test_the_sentence_names_the_argument_and_the_value(
    act: Callable[[], Any], kind: type[Exception], says: list[str]
) -> None:
    with pytest.raises(kind) as caught:
        act()
    assert type(caught.value) is kind
    message = str(caught.value)
    for part in says:
        assert part in message
    assert re.search(r"[.…]$", message)
    assert "\n" not in message


def raises() -> dict[tuple[str, int], range]:
    """Every `raise InvalidArgument(...)` and `raise Refused(...)` of the ground and of dynamics, by file and line."""
    root = Path(str(sdewm.__file__)).parent
    found = {}
    for path in [*root.glob("*.py"), *(root / "dynamics").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            call = node.exc if isinstance(node, ast.Raise) else None
            name = call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else None
            if name in ("InvalidArgument", "Refused"):
                found[str(path), node.lineno] = range(node.lineno, int(node.end_lineno or node.lineno) + 1)
    return found


def test_no_refusal_is_left_out() -> None:
    places = []
    for act, kind, _ in CASES:
        try:
            act()
        except kind as caught:
            frame = traceback.extract_tb(caught.__traceback__)[-1]
            places.append((frame.filename, frame.lineno))
    unreached = [where for where, lines in raises().items() if not any(f == where[0] and n in lines for f, n in places)]
    assert len(raises()) > 50
    assert not unreached, unreached
