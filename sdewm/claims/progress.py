"""How far a run has come, and how long it will take."""

import math
import time
from collections.abc import Callable
from typing import TextIO, final

# The time left is told once this part of the work is done.
_TOLD = 0.1


@final
class Progress:
    """A counter with the time left: one moving line on a terminal, a few plain lines in a log."""

    def __init__(self, total: int, cost: float, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.cost, self.stream, self.clock = total, cost, stream, clock
        self.done, self.paid, self.started, self.terminal = 0, 0.0, clock(), stream.isatty()
        self.taken = 0
        self.next_line = 10.0

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.started

    @property
    def left(self) -> float:
        """Seconds that are likely to be needed for the rest."""
        return self.elapsed / self.paid * max(self.cost - self.paid, 0.0) if self.paid else math.nan

    def ends(self, cost: float) -> float:
        """When a cell of this cost that began now would be likely to end, in seconds since the start."""
        return self.elapsed + cost

    def line(self, text: str) -> None:
        print(text, file=self.stream, flush=True)

    def step(self, work: str, cost: float, taken: bool = False) -> None:
        """One cell more is on record; `taken` if another run has put it there."""
        self.taken += taken
        self.done, self.paid = self.done + 1, self.paid + cost
        elapsed = self.elapsed
        text = f"{self.done}/{self.total} cells, {elapsed:.0f} s"
        # By cost, not by number: the long cells come first, and until some are done there is nothing to go by.
        if self.paid > _TOLD * self.cost:
            text += f", about {self.left:.0f} s left"
        text += f": {work}"
        if self.terminal:
            print(f"\r\x1b[K{text}"[:100], end="", file=self.stream, flush=True)
        elif elapsed >= self.next_line or self.done == self.total:
            self.line(text)
            self.next_line = elapsed + 10.0

    def close(self) -> None:
        if self.terminal and self.total:
            print(file=self.stream)
