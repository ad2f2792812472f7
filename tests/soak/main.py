"""One run of the catalogue, to be killed: `python -m soak.main PLACE [--workers N | --dask ADDRESS]`."""

import argparse
import sys
from pathlib import Path

from sdewm.claims import run
from sdewm.exceptions import SdewmError
from sdewm.run import Store
from sdewm.run.cluster import cluster

from .work import CATALOGUE, CELLS, rows


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("place", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--cells", type=int, default=CELLS)
    parser.add_argument("--timeout", type=float)
    parser.add_argument("--dask")
    given = parser.parse_args()
    catalogue = CATALOGUE if given.cells == CELLS else rows(cells=given.cells)
    try:
        if given.dask is None:
            run(catalogue, Store(given.place), count=given.workers, timeout=given.timeout)
        else:
            with cluster(given.dask) as (executor, threads):
                run(catalogue, Store(given.place), executor, count=threads)
    except SdewmError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("soak: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
