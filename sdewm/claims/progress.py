"""How far a run has come, and how long it will take."""

import math
import shutil
import time
from collections.abc import Callable
from typing import TextIO, final

# The time left is told once this part of the work is done.
_TOLD = 0.1


# Seconds between two lines of a log.
_EVERY = 10.0


@final
class Line:
    """One moving line on a terminal, a plain line now and then in a log; escape sequences in neither."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream, self.clock, self.started, self.terminal = stream, clock, clock(), stream.isatty()
        self.next, self.length = _EVERY, 0

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.started

    def say(self, text: str, last: bool = False) -> None:
        """Show it on a terminal; write it to a log if it is the last, or the one before was long ago."""
        if self.terminal:
            # A line that is longer than the terminal is wide would not move but scroll.
            text = text[: max(shutil.get_terminal_size().columns - 1, 20)]
            print(f"\r{text:{self.length}s}", end="", file=self.stream, flush=True)
            self.length = len(text)
        elif last or self.elapsed >= self.next:
            print(text, file=self.stream, flush=True)
            self.next = self.elapsed + _EVERY

    def close(self) -> None:
        """What follows begins on a line of its own."""
        if self.terminal and self.length:
            print(file=self.stream, flush=True)
            self.length = 0


@final
class Progress:
    """A counter with the time left."""

    def __init__(self, total: int, cost: float, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.cost, self.stream, self.moving = total, cost, stream, Line(stream, clock)
        self.done, self.paid, self.taken = 0, 0.0, 0

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.moving.elapsed

    @property
    def left(self) -> float:
        """Seconds that are likely to be needed for the rest."""
        return self.elapsed / self.paid * max(self.cost - self.paid, 0.0) if self.paid else math.nan

    def ends(self, cost: float) -> float:
        """When a cell of this cost that began now would be likely to end, in seconds since the start."""
        return self.elapsed + cost

    def line(self, text: str) -> None:
        self.moving.close()
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
        self.moving.say(text, last=self.done == self.total)

    def close(self) -> None:
        self.moving.close()
