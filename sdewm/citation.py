"""What to cite, as BibTeX: the package, and what a function, bound, drift, claim or model rests on."""

import difflib
import inspect
import re
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, final

from .exceptions import InvalidArgument

TITLE = "sdewm: latent world models as stochastic differential equations, their theory checked by number"
PAPER = "fang2025"
# Where a name is looked for, in this order.
_ROOMS = ("", ".theory.bounds", ".drifts", ".jacobian", ".worldmodel", ".stats", ".dynamics", ".theory.constants")
# The claims of this project are in a package beside this one.
_OWN = ("sdewm", "analysis")
_DERIVED = re.compile(r"\bhere\b|\bour own\b|\bin sdewm\b")


@final
@dataclass(frozen=True)
class _Entry:
    """A BibTeX entry, and the words by which a source is known to mean it."""

    key: str
    marks: tuple[str, ...]
    text: str


def citation(thing: Any = None) -> str:
    """What to cite, as BibTeX.

    An object is asked for its `reference` or `source`, as bounds and claims have, and for the "Source:" of its
    docstring. What is found there is looked up in the package's `references.bib`; where something was derived here, or
    no source is named, the package itself is cited.

    Args:
        thing: by default the package and the paper whose claims it checks; else a function, a bound, a drift, a model,
            a claim, an object made by one of them, a module, or a name: of one of these ("LogNorm", "log-norm",
            "expand"), of an entry ("kreiss1962"), of an author ("Kreiss") or of "torchsde".

    Returns:
        One or more entries, with an empty line between two.

    Raises:
        InvalidArgument: the name is not known, or the object is not this package's and names no source that is known.

    Warning:
        Entries that are known from their titles alone have no page numbers and no DOI; see the publisher's.

    Example:
        >>> from sdewm.theory.bounds import LogNorm
        >>> [line for line in citation(LogNorm).splitlines() if line.startswith("@")]
        ['@article{soderlind2006,', '@software{sdewm,']
        >>> print(citation("Fang"))
        @misc{fang2025,
          author = {Fang, Qiaoyi and Du, Weiyu and Wang, Hang and Zhang, Junshan},
          title = {Towards Unraveling and Improving Generalization in World Models},
          year = {2025},
          eprint = {2501.00195},
          archivePrefix = {arXiv}
        }
    """
    if thing is None:
        return "\n\n".join((_package(), _entries()[PAPER].text))
    found = _named(thing) if isinstance(thing, str) else _of(thing)
    return "\n\n".join(found)


def source_of(thing: Any) -> str:
    """Where a thing says that it is from: its `reference`, its `source`, and the "Source:" of its docstring.

    Example:
        >>> source_of(citation)
        ''
    """
    stated = [value for name in ("reference", "source") if isinstance(value := getattr(thing, name, None), str)]
    owner = _owner(thing)
    lines = inspect.cleandoc(owner.__doc__ or "").splitlines()
    for k, line in enumerate(lines):
        if line.startswith("Source:"):
            end = next((j for j in range(k + 1, len(lines)) if not lines[j].strip()), len(lines))
            stated.append(" ".join(part.strip() for part in lines[k:end]).removeprefix("Source:").strip())
    return "; ".join(stated)


def known(source: str) -> tuple[str, ...]:
    """Keys of the entries that a source means.

    Example:
        >>> known("Söderlind, The logarithmic norm, BIT 2006")
        ('soderlind2006',)
    """
    return tuple(key for key, entry in _entries().items() if any(mark in source for mark in entry.marks))


def _owner(thing: Any) -> Any:
    """What has the docstring: a class, a function or a module itself, and of any other object its class."""
    named = isinstance(thing, type) or inspect.isroutine(thing) or inspect.ismodule(thing)
    return thing if named else type(thing)


def _of(thing: Any) -> tuple[str, ...]:
    source = source_of(thing)
    texts = [_entries()[key].text for key in known(source)]
    owner = _owner(thing)
    home = getattr(owner, "__name__" if inspect.ismodule(owner) else "__module__", "")
    own = str(home).partition(".")[0] in _OWN
    if own and (not texts or _DERIVED.search(source)):
        texts.append(_package())
    if not texts:
        called = getattr(owner, "__qualname__", owner.__name__)
        said = f"its source {source!r} is not among them" if source else f"{called} names no source"
        raise InvalidArgument(
            f"thing must be this package's, or name a source that is in {', '.join(_entries())}, but {said}."
        )
    return tuple(texts)


def _named(name: str) -> tuple[str, ...]:
    entries = _entries()
    wanted = name.casefold()
    for room in _ROOMS:
        module = import_module(f"sdewm{room}")
        if not name.startswith("_") and (inspect.isclass(value := getattr(module, name, None)) or callable(value)):
            return _of(value)
    bounds = {name: value for name, value in vars(import_module("sdewm.theory.bounds")).items() if callable(value)}
    for value in bounds.values():
        # What has no name of its own is not meant by an empty one.
        if wanted and isinstance(value, type) and str(getattr(value, "name", "")).casefold() == wanted:
            return _of(value)
    texts = [
        entry.text
        for key, entry in entries.items()
        if wanted in (key, key.rstrip("0123456789"), *(mark.casefold() for mark in entry.marks))
    ]
    if wanted == "sdewm":
        texts = [_package()]
    if not texts:
        names = {each.casefold(): each for each in (*entries, *bounds) if not each.startswith("_")}
        near = [names[each] for each in difflib.get_close_matches(wanted, list(names), 3, 0.5)]
        meant = f"; near it are {', '.join(near)}" if near else ""
        raise InvalidArgument(
            f"thing must be a name of this package, such as 'LogNorm', an author or an entry, such as 'kreiss1962', "
            f"got {name!r}{meant}."
        )
    return tuple(texts)


def _package() -> str:
    return (
        f"@software{{sdewm,\n  author = {{{{The sdewm developers}}}},\n  title = {{{TITLE}}},\n"
        f"  version = {{{version('sdewm')}}}\n}}"
    )


@cache
def _entries() -> dict[str, _Entry]:
    text = (Path(__file__).parent / "references.bib").read_text(encoding="utf-8")
    found = {}
    for whole in re.findall(r"^@\w+\{.*?^\}$", text, re.DOTALL | re.MULTILINE):
        head, _, rest = whole.partition("\n")
        kind, key, marks = re.fullmatch(r"(@\w+\{)(\w+), mark = \{(.*)\},", head).groups()  # type: ignore[union-attr]
        found[key] = _Entry(key, tuple(marks.split(" | ")), f"{kind}{key},\n{rest}")
    return found
