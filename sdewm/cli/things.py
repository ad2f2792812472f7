"""Things that are named on the command line: shipped ones with their arguments, or a module's own."""

import ast
import importlib
import inspect
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

from ..exceptions import InvalidArgument


def thing(text: str, option: str, shipped: Mapping[str, Callable[..., Any]] | None = None) -> Any:
    """What a text names: "TanhNetwork(dim=8, gain=0.4)" of what is shipped, or "my_module:my_system".

    Arguments are literals. A module is imported from where the command is run, since its user says so; a class, shipped
    or not, is called without arguments where none are given.

    Args:
        text: see there.
        option: what the user calls it.
        shipped: by name.

    Raises:
        InvalidArgument: there is no such thing, or its arguments do not fit.
    """
    known = {} if shipped is None else dict(shipped)
    module, colon, rest = text.partition(":")
    if colon and all(part.isidentifier() for part in module.split(".")):
        name, positional, named = _call(rest, option)
        found = _attribute(module, name, option)
    else:
        name, positional, named = _call(text, option)
        if name not in known:
            of = f"one of {', '.join(known)}, or " if known else ""
            raise InvalidArgument(f"{option} must be {of}module:name of your own, got {text!r}.")
        found = known[name]
    if positional is None:
        return found() if inspect.isclass(found) else found
    try:
        return found(*positional, **named)
    except InvalidArgument:
        raise
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"{option}: {text!r} cannot be made: {error}.") from error


def _call(text: str, option: str) -> tuple[str, tuple[Any, ...] | None, dict[str, Any]]:
    """A name, and the literals it is called with; None in their place where it is not called."""
    wrong = InvalidArgument(f"{option} must be a name, or a call with literals such as Name(dim=8), got {text!r}.")
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if isinstance(node, ast.Name):
            return node.id, None, {}
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            raise wrong
        named = {each.arg: ast.literal_eval(each.value) for each in node.keywords if each.arg is not None}
        if len(named) < len(node.keywords):
            raise wrong
        return node.func.id, tuple(map(ast.literal_eval, node.args)), named
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise wrong from error


def look_here() -> None:
    """Let modules be imported from where the command is run: the user names them."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def _attribute(module: str, name: str, option: str) -> Any:
    look_here()
    try:
        return getattr(importlib.import_module(module), name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # Whatever a module does when it is imported, such as to leave.
        reason = str(error) or type(error).__name__
        raise InvalidArgument(f"{option}: {module}:{name} cannot be imported ({reason}).") from error


def start(text: str) -> Any:
    """A start: one number, or numbers with commas, one a coordinate.

    Raises:
        InvalidArgument: it is something else.
    """
    import torch

    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InvalidArgument(f"--x0 must be a number, or numbers with commas between, got {text!r}.") from error
    return numbers[0] if len(numbers) == 1 else torch.tensor(numbers)


def field(text: str | None, option: str) -> Any:
    """σ(t, x) or σ̄(t, x) of a representation error: a number, or module:function.

    Raises:
        InvalidArgument: it is neither.
    """
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError as error:
        if ":" not in text:
            raise InvalidArgument(f"{option} must be a number, or module:function of (t, x), got {text!r}.") from error
        return thing(text, option)
    if not math.isfinite(number):
        raise InvalidArgument(f"{option} must be finite, got {text!r}.")
    return Constant(number)


@final
class Constant:
    """(t, x) to the same number in each coordinate."""

    def __init__(self, number: float) -> None:
        self.number = number

    def __call__(self, t: Any, x: Any) -> Any:
        return x.new_full(x.shape, self.number)
