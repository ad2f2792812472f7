"""Take the records of a whole long run, and some of what it has trained, into the project."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sdewm.claims import Row
from sdewm.claims.runner import judge, remaining
from sdewm.exceptions import SdewmError
from sdewm.run import Store
from sdewm.run.blocks import single_thread

# All records of long runs together, in megabytes.
LIMIT = 5.0


def ship(
    rows: Sequence[Row],
    place: Path,
    weights: Mapping[Path, Callable[[Path], None]],
    arguments: Sequence[str] | None,
    *,
    name: str,
    description: str,
    results: Path,
    made_by: str,
) -> int:
    """Copy records that are judged or drawn, and write what is trained once more.

    Args:
        rows: the claims of the run.
        place: where records are kept.
        weights: for each file what trains and writes it.
        arguments: of the command line.
        name, description: of the command.
        results: where the run is, by default.
        made_by: the command that makes the run.

    Returns:
        Exit code 0, or 2 where the run is not whole or too large to keep.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=description)
    parser.add_argument("--results", type=Path, default=results)
    given = parser.parse_args(arguments)
    single_thread()
    try:
        store, kept = Store(given.results / "records"), Store(place)
        if left := remaining(rows, store):
            print(f"{left} cells are missing in {given.results}: run `{made_by}` first", file=sys.stderr)
            return 2
        names = {record for line in judge(rows, store) for record in line["records"]}
        records = [record for record in map(store.read, sorted(names)) if record is not None]
        for record in records:
            kept.write(record)
        for path, write in weights.items():
            write(path)
    except SdewmError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    size = sum(path.stat().st_size for path in place.parent.rglob("*") if path.is_file()) / 1e6
    print(f"{len(records)} records and {len(weights)} files of weights in {place}; {size:.2f} MB of {LIMIT:g}")
    return 0 if size <= LIMIT else 2
