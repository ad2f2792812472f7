"""What is said about how an expansion was estimated."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

# Time of a path-step relative to that of a plain run, measured on long runs of small systems. Constants, not a clock:
# the same call takes the same way on every machine.
PRICES: Mapping[str, float] = {
    "plain": 1.0,
    "antithetic": 1.0,
    "controls": 1.0,
    "sobol": 1.4,
    "martingale": 2.0,
    "multilevel": 1.0,
}
METHODS = ("plain", "antithetic", "controls", "sobol", "martingale", "multilevel")


@final
@dataclass(frozen=True)
class Method:
    """How the coefficients of an expansion were estimated.

    Attributes:
        name: one of `METHODS`.
        reason: why this one.
        paths: number of paths of the run that gave the numbers.
        units: number of independent observations behind the intervals: paths, pairs, replicates of a point set, or
            those of the level with the fewest.
        steps: of the grid.
        path_steps: number of steps of single paths of that run, coarse twins included.
        spent: the same of everything, with pilots and runs that were too short.
        tolerance: what was asked for.
        reached: half-widths of the 95 % intervals of P and of Q + S/2, relative to their values, or to a tenth of their
            pathwise root mean square where that is more; None where no tolerance was asked for.
        bias: by how much the extrapolation in the step size has moved P and Q + S/2; None without it. What is left of
            the bias is usually a small part of that, and no interval covers it.
        predicted: path-steps that each method was predicted to need; empty where there was no choice.
        weighted: the same in path-steps of a plain run that take as long, by `PRICES`: by these the choice is made.
        short: whether the tolerance was not reached, because of the cap on work or after several runs.
    """

    name: str
    reason: str
    paths: int
    units: int
    steps: int
    path_steps: int
    spent: int
    tolerance: float | None = None
    reached: tuple[float, float] | None = None
    bias: tuple[float, float] | None = None
    predicted: Mapping[str, float] | None = None
    short: bool = False
    weighted: Mapping[str, float] | None = None

    def __str__(self) -> str:
        text = f"{self.name} ({self.reason}): {self.paths} paths, {self.units} independent observations, "
        text += f"{self.path_steps:.3g} path-steps of {self.spent:.3g}"
        if self.reached is not None:
            text += f"; intervals of P and Q + S/2 to {self.reached[0]:.2%} and {self.reached[1]:.2%}"
        return text
