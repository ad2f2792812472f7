"""Dask distributed on loopback: a real scheduler and real workers, each a process; records equal to the local ones."""

import gc
import io
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from soak.kills import kill_dask_worker, kill_scheduler, undisturbed
from soak.tools import Dask, contents, dask
from soak.work import CATALOGUE, CELLS, resident, square

from analysis.__main__ import main
from sdewm import InvalidArgument, TimeGrid, simulate_coupled
from sdewm.claims import run
from sdewm.drifts import Linear
from sdewm.exceptions import MissingExtra
from sdewm.run import Store
from sdewm.run import cluster as cluster_module
from sdewm.run.cluster import cluster

SYSTEM = {"x": Linear(a=-1.0, diffusion_offset=1.0)}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return undisturbed(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    """A cluster of one worker, to which others are added."""
    with dask(tmp_path_factory.mktemp("dask"), 1) as found:
        yield found


def blocks(paths: int, executor: Any = None) -> list[list[float]]:
    """Moments of blocks of paths, merged in their order."""
    found = simulate_coupled(SYSTEM, 0.0, TimeGrid(1.0, 8), paths, 0, observe=square, executor=executor)
    return [[float(v) for v in (m.n, *m.mean, *m.scatter.ravel(), *m.low, *m.high)] for m in found.moments]


@pytest.mark.slow
def test_one_two_and_five_workers_give_the_records_of_a_local_run(
    expected: dict[str, Any], machines: Dask, tmp_path: Path
) -> None:
    for workers in (1, 2, 5):
        machines.add(workers - len(machines.workers))
        with cluster(machines.address, timeout=900.0) as (executor, _):
            client: Any = executor._client  # type: ignore[attr-defined]
            client.wait_for_workers(workers, timeout=900.0)
            place = tmp_path / str(workers)
            assert run(CATALOGUE, Store(place), executor, stream=io.StringIO()) == CELLS
            assert contents(place) == expected
            # Blocks of one run, eleven of them and a part, wherever they are done.
            assert blocks(11 * 16_384 + 100, executor) == blocks(11 * 16_384 + 100)
    # Four times as many paths need no more memory on any worker.
    with cluster(machines.address) as (executor, _):
        client = executor._client  # type: ignore[attr-defined]
        blocks(20 * 16_384, executor)
        before = client.run(resident)
        blocks(80 * 16_384, executor)
        after = client.run(resident)
        assert all(after[worker] < before[worker] + (32 << 20) for worker in before), (before, after)


@pytest.mark.slow
def test_the_command_works_on_a_cluster(expected: dict[str, Any], machines: Dask, tmp_path: Path) -> None:
    options = ["run", "--module", "soak.work", "--results", str(tmp_path)]
    assert main([*options, "--dask", machines.address]) == 0
    assert contents(tmp_path / "records") == expected


@pytest.mark.slow
def test_a_worker_is_killed(expected: dict[str, Any], tmp_path: Path) -> None:
    assert kill_dask_worker(tmp_path, expected, random.Random(0))["kills"] == 1


@pytest.mark.slow
def test_the_scheduler_is_killed(expected: dict[str, Any], tmp_path: Path) -> None:
    assert kill_scheduler(tmp_path, expected, random.Random(0))["finished cells computed again"] == 0


@pytest.mark.slow
def test_workers_of_other_versions_are_refused(machines: Dask, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {**cluster_module.provenance(), "torch": "1.0"}
    monkeypatch.setattr(cluster_module, "_own", lambda: own)
    refused = pytest.raises(InvalidArgument, match=r"has torch .* and not 1.0: .* agree to rounding only")
    with refused, cluster(machines.address, timeout=900.0):
        pass
    with cluster(machines.address, timeout=900.0, mixed=True) as (_, threads):
        assert threads >= 1


@pytest.mark.slow
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x", "tcp://", "", "tcp://127.0.0.1:port"])
def test_a_scheduler_that_does_not_answer_is_named(address: str) -> None:
    refused = pytest.raises(InvalidArgument, match="address must be that of a Dask scheduler")
    with refused, cluster(address, timeout=0.5):
        pass


@pytest.mark.slow
def test_a_client_that_could_not_start_is_gone_before_the_next_one_starts() -> None:
    """Collected while another one starts, it would wait for a lock that the same thread holds."""
    from distributed import Client

    def left() -> int:
        return sum(type(thing) is Client for thing in gc.get_objects())

    before, enabled = left(), gc.isenabled()
    for _ in range(3):
        with pytest.raises(InvalidArgument) as caught, cluster("tcp://127.0.0.1:1", timeout=0.2):
            pass
        assert caught.value.__context__ is None
        assert left() <= before
    assert gc.isenabled() is enabled


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtra, match=r"pip install 'sdewm\[cluster\]'"), cluster("tcp://127.0.0.1:1"):
        pass
