"""Take the records of a whole run and the models of a few seeds into the project: `python -m analysis.models.ship`."""

import argparse
import sys
from pathlib import Path

from sdewm.claims.runner import judge, remaining
from sdewm.exceptions import SdewmError
from sdewm.run import Store
from sdewm.run.blocks import single_thread
from sdewm.worldmodel import save

from . import MODELS, RECORDS
from .measure import data, trained
from .quick import SHIPPED, file_of
from .setting import cell

# All records of long runs together, in megabytes.
LIMIT = 5.0


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 where the run is not whole or too large to keep."""
    parser = argparse.ArgumentParser(prog="python -m analysis.models.ship", description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results/models"))
    given = parser.parse_args(arguments)
    single_thread()
    try:
        store = Store(given.results / "records")
        if left := remaining(MODELS, store):
            print(f"{left} cells are missing in {given.results}: run `make reproduce-models` first", file=sys.stderr)
            return 2
        names = {name for line in judge(MODELS, store) for name in line["records"]}
        kept = [record for record in map(store.read, sorted(names)) if record is not None]
        place = Store(RECORDS)
        for record in kept:
            place.write(record)
        for task, seed in SHIPPED.values():
            plain = cell(task, "RSSM", "plain", seed)
            save(trained(plain, data(task, **plain.settings["data"])), file_of(task, seed))
    except SdewmError as error:
        print(f"analysis.models.ship: {error}", file=sys.stderr)
        return 2
    size = sum(path.stat().st_size for path in RECORDS.parent.rglob("*") if path.is_file()) / 1e6
    print(f"{len(kept)} records and {len(SHIPPED)} models in {RECORDS}; {size:.2f} MB of {LIMIT:g} in {RECORDS.parent}")
    return 0 if size <= LIMIT else 2


if __name__ == "__main__":
    sys.exit(main())
