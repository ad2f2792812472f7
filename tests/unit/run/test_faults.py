"""Faults of a run, each injected: what can be done is done, the rest is listed; the short form of `make soak`."""

import io
import os
import random
import signal
import subprocess
import sys
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from soak.kills import kill_main, kill_workers, undisturbed
from soak.tools import begun, contents, environment, on_record, until
from soak.work import CATALOGUE, CELLS, LOG, PAUSE, rows

from analysis.__main__ import main
from sdewm.claims import judge, run
from sdewm.claims.tasks import distinct
from sdewm.exceptions import StorageFailure, WorkFailed
from sdewm.run import Store

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The records of a run that nobody disturbs."""
    found = undisturbed(tmp_path_factory.mktemp("undisturbed"))
    assert len(found) == CELLS
    return found


def quietly(catalogue: Any, place: Path, executor: Executor | None = None, **options: Any) -> tuple[int, str]:
    """A run, and what it said."""
    said = io.StringIO()
    return run(catalogue, Store(place), executor, stream=said, **options), said.getvalue()


def test_two_runs_give_identical_results(expected: dict[str, Any], tmp_path: Path) -> None:
    """To the bit, but for times and host, which are kept apart; in threads as well, and with cells in another order."""
    quietly(tuple(reversed(CATALOGUE)), tmp_path / "again")
    with ThreadPoolExecutor(3) as pool:
        quietly(CATALOGUE, tmp_path / "threads", pool, count=3)
    assert contents(tmp_path / "again") == contents(tmp_path / "threads") == expected


def test_an_altered_record_is_found_said_and_made_again(expected: dict[str, Any], tmp_path: Path) -> None:
    quietly(CATALOGUE, tmp_path)
    first, second, third, fourth = sorted(expected)[:4]
    paths = [tmp_path / f"{first}.json", tmp_path / f"{second}.npz", tmp_path / f"{third}.json"]
    paths[0].write_text(paths[0].read_text().replace("4096", "4095"))
    paths[1].write_bytes(paths[1].read_bytes()[:-9])
    paths[2].write_bytes(paths[2].read_bytes()[:200])
    (tmp_path / f"{fourth}.json").unlink()
    done, said = quietly(CATALOGUE, tmp_path)
    assert done == 4
    assert f"record {first} is not intact (its hash differs): it is computed again" in said
    assert f"record {second} is not intact (the hash of its arrays differs)" in said
    assert f"record {third} is not intact (it is no record" in said
    assert fourth not in said
    assert contents(tmp_path) == expected


def test_a_cell_that_raises_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WorkFailed, match=rf"1 of {CELLS} cells could not be computed") as caught:
        quietly(rows("raises"), tmp_path)
    assert 'KeyError: "a mistake of the claim\'s author"' in caught.value.failures[0].replace("'\"", '"')
    assert len(on_record(tmp_path)) == CELLS - 1
    # Tried again by the next run, and only that.
    with pytest.raises(WorkFailed, match="1 of 1 cells"):
        quietly(rows("raises"), tmp_path)


def test_a_cell_that_leaves_does_not_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(WorkFailed, match=r"1 of 3 cells .*\n.*SystemExit: 7"):
        quietly(rows("leaves", cells=3), tmp_path)
    assert len(on_record(tmp_path)) == 2


def test_a_cell_without_finite_numbers_is_a_numerical_failure_with_path_and_time(tmp_path: Path) -> None:
    quietly(rows("nan", cells=2), tmp_path)
    (line,) = judge(rows("nan", cells=2), Store(tmp_path))
    assert line["verdict"]["outcome"] == "numerical failure"
    assert "path 0" in line["verdict"]["reason"]
    assert "t = 0.625" in line["verdict"]["reason"]


def test_the_command_lists_what_failed_last_and_ends_with_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "failing.py").write_text("from soak.work import rows\nCATALOGUE = rows('raises', cells=3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    place = tmp_path / "results"
    assert main(["--module", "failing", "--workers", "1", "--results", str(place)]) == 3
    said = capsys.readouterr()
    assert "F1" in said.out
    assert "1 of 3 cells could not be computed" in said.err
    assert said.err.rstrip().splitlines()[-1].startswith("  claim F1, cell")
    commands = {Store(place / "records").read(name).made["command"] for name in on_record(place / "records")}  # type: ignore[union-attr]
    assert commands == {"python -m analysis run --claims F1 --budget standard --seed 0 --module failing"}


def test_two_runs_in_one_place_do_not_harm_each_other(
    expected: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one comes when the first is half done, and takes what is there."""
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    monkeypatch.setenv(PAUSE, "0.02")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(quietly, CATALOGUE, tmp_path / "records")
        until(lambda: len(begun(tmp_path / "log")) > CELLS // 2)
        second = pool.submit(quietly, CATALOGUE, tmp_path / "records")
        done = first.result()[0] + second.result()[0]
    assert contents(tmp_path / "records") == expected
    assert done == len(begun(tmp_path / "log"))
    assert not list((tmp_path / "records").glob(".*"))


def test_what_another_run_has_put_on_record_is_not_computed(expected: dict[str, Any], tmp_path: Path) -> None:
    """Seen when its turn comes, not only at the beginning."""
    place = tmp_path / "records"

    class Other(Executor):
        """Before it does the first cell, another run does all of them."""

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            quietly(CATALOGUE, place)
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(fn, *args, **kwargs)

    assert quietly(CATALOGUE, place, Other(), count=1)[0] <= 2
    assert contents(place) == expected


def test_a_cluster_that_is_gone_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    class Gone(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            with ThreadPoolExecutor(1) as pool:
                future = pool.submit(fn, *args, **kwargs)
                future.result()
            lost = type(future)()
            lost.cancel()
            lost.set_running_or_notify_cancel()
            return lost

    with pytest.raises(WorkFailed, match=r"the executor is gone .* the same command goes on from there"):
        quietly(CATALOGUE, tmp_path, Gone())


def test_a_place_that_cannot_be_written_is_said_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    place = Store(tmp_path / "records").place
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StorageFailure, match="cannot be written to: Read-only file system; make room there"):
        quietly(CATALOGUE, place)
    assert not begun(tmp_path / "log")


FULL = """
import resource, signal, sys
from pathlib import Path
from sdewm.run import Record, Store
from sdewm.exceptions import StorageFailure
import numpy as np
store = Store(Path(sys.argv[1]))
store.write(Record({"work": "small"}, {}, {"a": np.ones(3)}))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    store.write(Record({"work": "large"}, {}, {"a": np.random.default_rng(0).standard_normal(10_000)}))
except StorageFailure as error:
    print(error)
print(sorted(path.name[:5] for path in store.place.iterdir()))
"""


@pytest.mark.slow
def test_no_room_in_earnest(tmp_path: Path) -> None:
    """The system itself refuses to write more."""
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    said, left = done.stdout.splitlines()
    assert "cannot be written: File too large" in said
    assert left == "['small', 'small']"


@pytest.mark.slow
def test_an_interrupt_ends_with_one_line_and_130(expected: dict[str, Any], tmp_path: Path) -> None:
    """Ctrl-C goes to all processes of the terminal: none of the workers says a word."""
    log, command = tmp_path / "log", [sys.executable, "-m", "soak.main", str(tmp_path / "records"), "--workers", "2"]
    # A shell lets what it starts in the background ignore interrupts, and all that comes of it inherits that. It is set
    # here, not in the child before it begins, where threads of this process could have left a lock behind.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        process = subprocess.Popen(
            command, env=environment(log, 0.5), cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
    finally:
        signal.signal(signal.SIGINT, before)
    until(lambda: begun(log) or process.poll() is not None)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60.0)[1]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert said.rstrip().endswith("soak: interrupted")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("is killed", r"its worker was killed \(signal 9\).*, tried 2 times"),
        ("has no memory", r"its worker ran out of memory .*, tried 2 times"),
        ("hangs", r"no result within 8 s, tried 2 times"),
    ],
)
def test_a_cell_that_takes_its_worker_down_is_given_up(fault: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(WorkFailed, match=rf"1 of 4 cells could not be computed.*\n.*WorkerLost: {words}"):
        quietly(rows(fault, cells=4), tmp_path, timeout=8.0, retries=1)
    assert len(on_record(tmp_path)) == 3


@pytest.mark.slow
def test_kills_of_the_main_process(expected: dict[str, Any], tmp_path: Path) -> None:
    assert kill_main(tmp_path, expected, random.Random(0))["finished cells computed again"] == 0


@pytest.mark.slow
def test_kills_of_workers(expected: dict[str, Any], tmp_path: Path) -> None:
    assert kill_workers(tmp_path, expected, random.Random(0), kills=2)["cells"] == CELLS


def test_a_time_limit_on_somebody_elses_executor_gives_the_cell_up(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        block = pool.submit(until, lambda: (tmp_path / "go").exists())
        with pytest.raises(WorkFailed, match=r"TimeoutError: no result within 0.2 s"):
            quietly(rows(cells=1), tmp_path / "records", pool, count=1, timeout=0.2)
        (tmp_path / "go").write_text("")
        block.result()


def test_the_catalogue_of_the_soak_has_as_many_cells_as_it_says() -> None:
    assert len(distinct(CATALOGUE, "standard", 0)) == CELLS
