"""sdewm list: what there is."""

from collections.abc import Callable

import click

from ..exceptions import InvalidArgument
from .shared import answer, as_json
from .things import look_here

Rows = list[dict[str, str]]


def _first_line(thing: object) -> str:
    return (thing.__doc__ or "").strip().partition("\n")[0]


def _bounds(module: str | None) -> Rows:
    from ..theory.bounds import BOUNDS

    return [{"name": type(b).__name__, "said": b.statement, "source": b.reference} for b in BOUNDS]


def _drifts(module: str | None) -> Rows:
    from .. import drifts

    found = [value for value in vars(drifts).values() if isinstance(value, type)]
    return [{"name": each.__name__, "said": _first_line(each)} for each in found]


def _losses(module: str | None) -> Rows:
    from ..theory import losses

    found = [value for name, value in vars(losses).items() if name.endswith(("Loss", "Distance"))]
    return [{"name": each.__name__, "said": _first_line(each)} for each in found]


def _penalties(module: str | None) -> Rows:
    from ..jacobian.penalty import KINDS
    from ..worldmodel.regularise import MAPS

    return [
        {"name": f"{of} {kind}", "said": f"{kind} norm of the Jacobian of the {of} map's mean"}
        for of in MAPS
        for kind in KINDS
    ]


def _tasks(module: str | None) -> Rows:
    from ..worldmodel import TASKS

    return [{"name": task, "said": "dm_control; tested here"} for task in TASKS]


def _claims(module: str | None) -> Rows:
    from ..claims.module import catalogue_of

    if module is None:
        raise InvalidArgument("--module is needed: the module whose CATALOGUE is to be listed; it is imported.")
    look_here()
    rows = catalogue_of(module, "--module")
    return [{"name": row.claim.id, "said": row.claim.statement, "source": row.claim.source} for row in rows]


WHAT: dict[str, Callable[[str | None], Rows]] = {
    "bounds": _bounds,
    "drifts": _drifts,
    "losses": _losses,
    "penalties": _penalties,
    "tasks": _tasks,
    "claims": _claims,
}


@click.command("list")
@click.argument("what", type=click.Choice(tuple(WHAT)))
@click.option("--module", help="Whose claims: it is imported from here.")
@as_json
def command(what: str, module: str | None, as_json: bool) -> None:
    """List WHAT there is.

    \b
    Example:
      sdewm list bounds
    """
    rows = WHAT[what](module)
    width = max(len(row["name"]) for row in rows)
    text = [f"{row['name']:{width}s}  {row['said']}" for row in rows]
    answer(rows, "\n".join(text), as_json)
