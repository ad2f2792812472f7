"""Somebody's own module of claims, imported by its user's explicit word."""

import importlib
from collections.abc import Sequence

from ..exceptions import InvalidArgument
from .claim import Row


def catalogue_of(name: str, argument: str = "--module") -> tuple[Row, ...]:
    """The rows that a module names CATALOGUE. The module is imported, so its code is run.

    Args:
        name: the module's name, such as "my_claims" or "package.my_claims".
        argument: what the user calls it.

    Raises:
        InvalidArgument: it cannot be imported, or has no rows.
    """
    if not isinstance(name, str) or not all(_file(part) for part in name.split(".")):
        raise InvalidArgument(f"{argument}: a module's name such as package.my_claims is needed, got {name!r}.")
    try:
        found = getattr(importlib.import_module(name), "CATALOGUE", None)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # Whatever a module does when it is imported, such as to leave.
        reason = str(error) or type(error).__name__
        raise InvalidArgument(f"{argument}: {name!r} cannot be imported ({reason}); run from its directory.") from error
    rows = tuple(found) if isinstance(found, Sequence) else ()
    if not rows or not all(isinstance(row, Row) for row in rows):
        raise InvalidArgument(
            f"{argument}: {name!r} must have a CATALOGUE, a sequence of sdewm.claims.Row, got {found!r}."
        )
    return rows


def _file(part: str) -> bool:
    """Whether it can be the name of a file of code, such as 05_a_claim_of_your_own."""
    return part.replace("_", "a").isalnum()
