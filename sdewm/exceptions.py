"""The errors and warnings of this package, one sentence each: what was given, what is allowed, what to do."""

from typing import final


class SdewmError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidArgument(SdewmError, ValueError):
    """An argument is outside what the function accepts; the message names it, its value and the remedy."""


class Refused(SdewmError, ValueError):
    """A request is well formed but mathematically not available; the message gives the reason."""


class HypothesisFails(Refused):
    """A theorem was applied to a problem for which one of its hypotheses is false.

    Attributes:
        hypothesis: name of the hypothesis.
        declared: whether it fails by declaration, or was found to fail by a probe.
    """

    def __init__(self, message: str, hypothesis: str, declared: bool = False) -> None:
        super().__init__(message)
        self.hypothesis, self.declared = hypothesis, declared

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions travel between worker processes by pickling their constructor's arguments.
        return type(self), (str(self), self.hypothesis, self.declared)


class MissingExtra(SdewmError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class StorageFailure(SdewmError, OSError):
    """A result could not be written: no room, no permission; what was written before is whole."""


class WorkerLost(SdewmError, RuntimeError):
    """A piece of work took its worker down, or did not end in time, as often as it was tried."""


class WorkFailed(SdewmError, RuntimeError):
    """Some pieces of work could not be done; all others were, and are on record.

    Attributes:
        failures: one line for each piece that failed, with the reason.
    """

    def __init__(self, message: str, failures: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.failures = failures

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions travel between worker processes by pickling their constructor's arguments.
        return type(self), (str(self), self.failures)


class NumericalFailure(SdewmError, ArithmeticError):
    """A simulation produced a state that is not finite.

    Attributes:
        path: index of the first path that failed, or `None` where it is not known.
        time: time of the first state that is not finite, or `None`.
        count: number of failed paths among those simulated so far.
    """

    def __init__(self, message: str, path: int | None = None, time: float | None = None, count: int = 0) -> None:
        super().__init__(message)
        self.path, self.time, self.count = path, time, count

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions travel between worker processes by pickling their constructor's arguments.
        return type(self), (str(self), self.path, self.time, self.count)


class SdewmWarning(UserWarning):
    """Base of every warning of this package; `warnings.filterwarnings("ignore", category=...)` takes any of them."""


@final
class BiasWarning(SdewmWarning):
    """A number has a bias that its interval does not cover, and another argument would remove it."""


@final
class ToleranceWarning(SdewmWarning):
    """What was asked for was not reached within the work that was allowed: intervals are wider."""


@final
class NotCompiledWarning(SdewmWarning):
    """Compilation was asked for and is not possible here; the eager engine gives the same numbers, to rounding."""


@final
class SlowFallbackWarning(SdewmWarning):
    """Torch's faster way does not go through the given function; a slower one gives the same numbers, to rounding."""
