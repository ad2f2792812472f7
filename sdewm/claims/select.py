"""Choosing records by their settings."""

from collections.abc import Sequence
from typing import Any

from ..run.store import Record


def by_seed(records: Sequence[Record], **settings: Any) -> dict[int, Record]:
    """The records whose settings have these values, by seed and in its order.

    Args:
        records: records of a claim.
        settings: names and values that must be equal; an underscore in a name stands for a space.
    """
    wanted = {name.replace("_", " "): value for name, value in settings.items()}
    found = {
        int(record.key["seed"]): record
        for record in records
        if all(record.key["settings"].get(name) == value for name, value in wanted.items())
    }
    return dict(sorted(found.items()))
