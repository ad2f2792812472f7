"""Mutated inputs: each is answered by a clear error or a correct result, by no traceback and no hang."""

import contextlib
import io
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import analysis.__main__ as command
from sdewm import Outcome, Verdict
from sdewm.claims import Cell, Result, Row, judge, read_verdicts, run, write_verdicts
from sdewm.claims.report import write_report
from sdewm.exceptions import InvalidArgument, SdewmError
from sdewm.run import Record, Store
from sdewm.run.arrays import arrays_from_bytes, arrays_to_bytes
from sdewm.run.store import record_name
from sdewm.verdict import Grade
from sdewm.worldmodel.checkpoint import load, save
from sdewm.worldmodel.neural_sde import Architecture, NeuralSDE

from .work import CATALOGUE, Decay

SLOW = 5.0
WORDS = (
    b"\x00",
    b"\xff" * 8,
    b"[",
    b"{" * 50,
    b'"',
    b"1e999",
    b"-1",
    b"null",
    b"9" * 400,
    b"../../",
    b"PK\x03\x04",
    b"NaN",
)


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Some bytes changed, cut, doubled or put in."""
    out = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 5, 20))):
        at = draw.randrange(len(out) + 1)
        match draw.randrange(5):
            case 0:
                out[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                del out[at : at + draw.choice((1, 4, 100, len(out)))]
            case 2:
                out[at:at] = draw.choice(WORDS)
            case 3:
                out[at:at] = out[at : at + draw.randrange(1, 200)]
            case 4 if out:
                at = draw.randrange(len(out))
                out[at] ^= 1 << draw.randrange(8)
    return bytes(out)


def records(place: Path, count: int, draw: random.Random) -> dict[str, int]:
    """The reader of records: what it takes for a record is the one that was written."""
    key = {"work": "fuzz", "settings": {"paths": 10}}
    record = Record(key, {"P": 0.25}, {"mean": np.arange(30.0), "n": np.array([3])}, {"seconds": 1.0})
    store, name, taken = Store(place), record_name(key), 0
    store.write(record)
    paths = [place / f"{name}.json", place / f"{name}.npz"]
    whole = [path.read_bytes() for path in paths]
    for _ in _timed(count):
        i = draw.randrange(2)
        paths[i].write_bytes(mutated(whole[i], draw))
        found = store.inspect(name)
        paths[i].write_bytes(whole[i])
        if isinstance(found, Record):
            taken += 1
            # Only what is not hashed can differ: the note how it was made, and white space.
            assert found.values == record.values
            assert all(np.array_equal(found.arrays[a], record.arrays[a]) for a in ("mean", "n"))
    return {"inputs": count, "taken": taken}


def arrays(place: Path, count: int, draw: random.Random) -> dict[str, int]:
    """The reader of arrays alone, whose hash a hostile record can make right."""
    whole, taken = arrays_to_bytes({"mean": np.arange(30.0), "n": np.array([3]), "flag": np.array([[True]])}), 0
    for _ in _timed(count):
        with contextlib.suppress(ValueError):
            taken += bool(arrays_from_bytes(mutated(whole, draw)))
    return {"inputs": count, "taken": taken}


def checkpoints(place: Path, count: int, draw: random.Random) -> dict[str, int]:
    """The reader of models."""
    place.mkdir(parents=True, exist_ok=True)
    path, taken = place / "model.safetensors", 0
    save(NeuralSDE(Architecture(observation=2, action=1, hidden=3, width=4), seed=0), path)
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for _ in _timed(count):
        # Most of the numbers may be anything; what can do harm is in the header.
        path.write_bytes(
            mutated(whole[:header], draw) + whole[header:] if draw.random() < 0.8 else mutated(whole, draw)
        )
        with contextlib.suppress(InvalidArgument):
            model = load(path)
            taken += 1
            assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    return {"inputs": count, "taken": taken}


ARGUMENTS = (
    *("run", "judge", "all", "--claims", "F1", "X3", "--module", "soak.work", "--budget", "quick", "huge", "--seed"),
    *(
        "0",
        "-1",
        "1e3",
        "--workers",
        "1",
        "99999999999999999999",
        "nan",
        "--timeout",
        "inf",
        "--results",
        "",
        "/dev/null",
    ),
    *(
        "\x00",
        "a\nb",
        "..",
        "-",
        "--",
        "é" * 300,
        "-h",
        "--no-such",
        "os",
        "json.tool",
        ".",
        "a.b",
        "0",
        "=",
        "--seed=2",
    ),
)


def verdicts(place: Path, count: int, draw: random.Random) -> dict[str, int]:
    """The reader of verdicts, and the report of what it takes."""
    place.mkdir(parents=True, exist_ok=True)
    store, path, taken = Store(place / "records"), place / "verdicts.json", 0
    run(CATALOGUE, store, stream=io.StringIO())
    write_verdicts(judge(CATALOGUE, store)[:2], path, budget="standard", seed=0)
    whole = path.read_bytes()
    for _ in _timed(count):
        if draw.random() < 0.5:
            path.write_bytes(mutated(whole, draw))
        else:
            found = json.loads(whole)
            _replace(found, draw)
            path.write_text(json.dumps(found))
        with contextlib.suppress(InvalidArgument):
            page = write_report(place / "report", read_verdicts(path), {}, {}, command="{claim}")
            assert page.read_bytes().count(b"<script") == 1
            taken += 1
    return {"inputs": count, "taken": taken}


def _replace(found: Any, draw: random.Random) -> None:
    """Put something else in one place of nested JSON."""
    while True:
        keys = list(found) if isinstance(found, dict) else list(range(len(found)))
        key = draw.choice(keys)
        inner = found[key]
        if not isinstance(inner, dict | list) or not inner or draw.random() < 0.2:
            found[key] = draw.choice(JSON)
            return
        found = inner


JSON: tuple[Any, ...] = (
    *(None, 0, -1, 1.5, True, "", "x" * 400, [], {}, [None], {"a": 1}, [1, 2], [[]], 10**400, float("inf"), "../x"),
    *("</td><script>alert(1)</script>", "\ud800", "12", "-inf", [0, 1, 2], [True, False], [0, -(10**400)]),
)


def arguments(place: Path, count: int, draw: random.Random) -> dict[str, int]:
    """The command line, with the work itself and its results left out."""
    place.mkdir(parents=True, exist_ok=True)
    taken, real = 0, (command.run, command.judge, command.write_verdicts)

    def checked(rows: Any, store: Any, executor: Any = None, **options: Any) -> int:
        # Arguments are checked before the first cell, so an empty catalogue is enough.
        return run((), Store(place), executor, stream=io.StringIO(), **options)

    def nothing(*_: Any, **__: Any) -> list[Any]:
        return []

    command.run, command.judge, command.write_verdicts = checked, nothing, nothing  # type: ignore[assignment]
    try:
        for _ in _timed(count):
            given = [draw.choice(ARGUMENTS) for _ in range(draw.randrange(8))]
            said = io.StringIO()
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()), contextlib.chdir(place):
                try:
                    code = command.main(given)
                except SystemExit as stop:
                    code = int(stop.code or 0)
            assert code in (0, 1, 2, 3), (given, code)
            assert code != 2 or said.getvalue().strip(), given
            taken += code == 0
    finally:
        command.run, command.judge, command.write_verdicts = real
    return {"inputs": count, "taken": taken}


STRANGE: tuple[Any, ...] = (
    *(
        None,
        0,
        -1,
        1.5,
        float("nan"),
        float("inf"),
        True,
        "",
        "x",
        "x" * 400,
        "../x",
        b"x",
        (),
        [],
        {},
        [None],
        {"a": 1},
    ),
    *(
        {1: 2},
        {"a": object()},
        object(),
        print,
        ValueError,
        ("one", "one"),
        ("one", 2),
        [1],
        {"a": {"b": float("nan")}},
    ),
    *(10**400, 1j, {"a": 10**400}, {"a": "\ud800"}, range(3), np.float64(1.0), np.arange(3)),
)


class Odd(Decay):  # type: ignore[misc]
    """A claim, any part of which is something else."""

    def __init__(self, parts: dict[str, Any]) -> None:
        super().__init__(cells_a_case=1)
        self.__dict__.update(parts)

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Any:
        found = self.__dict__.get("returns cells")
        if isinstance(found, type):
            raise found
        return [self.__dict__["cell"]] if found is None else found

    def compute(self, cell: Cell) -> Any:
        return self.__dict__.get("returns result", Result({"paths": 1}))

    def judge(self, case: str, records: Any) -> Any:
        return self.__dict__.get("returns verdict", Verdict(Outcome.HOLDS, Grade.CERTIFIED, "made up"))

    def control(self) -> Any:
        return self.__dict__.get("returns control", self)


def declarations(place: Path, count: int, draw: random.Random) -> dict[str, int]:
    """What the module of a catalogue declares: rows, claims, cells, results."""
    store, taken = Store(place), 0
    names = ("id", "statement", "source", "note", "cases", "returns cells", "returns result", "returns verdict")
    for _ in _timed(count):
        cell = Cell("fuzz", {"number": draw.randrange(50)}, 0)
        if draw.random() < 0.5:
            cell = replace(
                cell, **{draw.choice(("work", "settings", "seed", "algorithm", "cost")): draw.choice(STRANGE)}
            )
        parts = {"cell": cell, draw.choice((*names, "returns control")): draw.choice(STRANGE)}
        if draw.random() < 0.3:
            parts["returns result"] = Result(draw.choice(STRANGE), draw.choice(STRANGE))
        options = {"repetitions": draw.choice(STRANGE)} if draw.random() < 0.2 else {"repetitions": 0}
        expected = draw.choice(STRANGE) if draw.random() < 0.2 else {"one": Outcome.HOLDS}
        with contextlib.suppress(SdewmError):
            # Ten million repetitions are what somebody asked for.
            if isinstance(options["repetitions"], int) and options["repetitions"] > 10:
                options = {"repetitions": 10}
            rows = [Row(Odd(parts), expected, **options)]
            run(rows, store, stream=io.StringIO())
            judge(rows, store)
            taken += 1
    return {"inputs": count, "taken": taken}


def _timed(count: int) -> Iterator[int]:
    """Numbers, as long as what is done with each does not take long."""
    for number in range(count):
        started = time.process_time()
        yield number
        assert time.process_time() - started < SLOW, f"input {number} took {time.process_time() - started:.1f} s"


FUZZED: dict[str, Callable[[Path, int, random.Random], dict[str, int]]] = {
    "record reader": records,
    "array reader": arrays,
    "checkpoint reader": checkpoints,
    "reader of verdicts, and the report": verdicts,
    "command-line arguments": arguments,
    "declarations of a catalogue": declarations,
}
