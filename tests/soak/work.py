"""A small catalogue whose cells note when they begin, take a moment, and fail in ways that they are told."""

import os
import resource
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from sdewm import LatentSDE, Moments, Outcome, TimeGrid, Verdict, simulate_coupled
from sdewm.claims import Cell, Claim, Result, Row
from sdewm.claims.tasks import Task
from sdewm.drifts import Linear
from sdewm.run import Record
from sdewm.stats import equivalence

# Where begun cells are noted, and how long each sleeps: told by the environment, which every process inherits.
LOG, PAUSE = "SOAK_LOG", "SOAK_PAUSE"
CELLS = 12


@final
class Explodes(LatentSDE):
    """Its drift is not a number after time ½."""

    dim = 1

    def f(self, t: Any, x: Tensor) -> Tensor:
        return x * (torch.nan if float(t) > 0.5 else -1.0)

    def g(self, t: Any, x: Tensor) -> Tensor:
        return torch.ones_like(x)


@final
@dataclass(frozen=True)
class Decay(Claim):
    """E x_t² of a linear SDE, in many small cells; one of them has a fault."""

    fault: str = ""
    half: bool = True
    cells_a_case: int = CELLS
    id, source, cases = "F1", "variance of an Ornstein–Uhlenbeck process", ("one",)
    statement = "dx = −x dt + dB from 0 has E x_1² = ½ (1 − e^{−2}), to within 0.1."

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        return [
            Cell(self.id, {"paths": 4096, "fault": self.fault if number == 1 else ""}, seed + number)
            for number in range(self.cells_a_case)
        ]

    def compute(self, cell: Cell) -> Result:
        note(Task(self, cell, "standard").name)
        inject(cell.settings["fault"])
        time.sleep(float(os.environ.get(PAUSE, "0")))
        system = Explodes() if cell.settings["fault"] == "nan" else Linear(a=-1.0, diffusion_offset=1.0)
        run = simulate_coupled({"x": system}, 0.0, TimeGrid(1.0, 16), cell.settings["paths"], cell.seed)
        return Result({"paths": cell.settings["paths"]}, Moments.of(run["x"].final ** 2).to_arrays())

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        (square,) = Moments.from_arrays(records[0].arrays).estimates()
        return equivalence(square - (0.432 if self.half else 0.865), 0.1)

    def control(self) -> "Decay":
        return replace(self, half=not self.half)


def square(states: Any) -> Tensor:
    """What is observed; here, where all workers find it."""
    return states["x"] ** 2


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def rows(fault: str = "", cells: int = CELLS) -> tuple[Row, ...]:
    return (Row(Decay(fault, cells_a_case=cells), {"one": Outcome.HOLDS}, repetitions=0),)


CATALOGUE = rows()


def note(name: str) -> None:
    """One line a begun cell, by one system call."""
    if place := os.environ.get(LOG):
        file = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{name}\n".encode())
        os.close(file)


def inject(fault: str) -> None:
    """The fault of a cell."""
    match fault:
        case "raises":
            raise KeyError("a mistake of the claim's author")
        case "leaves":
            raise SystemExit(7)
        case "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "has no memory":
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 26), resource.RLIM_INFINITY))
            torch.zeros(1 << 28)
        case "hangs":
            time.sleep(3600.0)
