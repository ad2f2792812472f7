"""The hypotheses on derivatives, probed between the states that a pilot run has visited."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor

from ...dynamics.derivatives import check_derivative
from ...exceptions import Refused
from ...hypothesis import Facts, Hypothesis, Status, facts_of, worse
from .kinks import Jump, find_jump, segments
from .problem import Problem, Rows, Timed, attempt


def check_smoothness(problem: Problem, states: Sequence[tuple[float, Tensor]]) -> tuple[Hypothesis, ...]:
    """The hypotheses on derivatives, at states that a pilot run has visited.

    Drift, diffusion and loss need two derivatives and a third that is bounded, the error one less. A jump of the first
    derivative that is visited makes the second-order coefficients wrong: the mass that sits on a kink is not seen by
    derivatives taken beside it. A jump one order higher does no harm in the mean where the states have a density.

    Args:
        problem: the problem.
        states: visited states (paths, dim) with their times; the last at the end.
    """
    end = states[-1:]

    def timeless(_: float, x: Tensor) -> Tensor:
        return problem.loss(x)

    found = [
        _smoothness("drift smoothness", problem.drift, states, problem.facts("drift"), fatal=1),
        _smoothness("diffusion smoothness", problem.diffusion, states, problem.facts("diffusion"), fatal=1),
        _smoothness("loss smoothness", timeless, end, facts_of(problem.loss), fatal=1),
    ]
    error = Hypothesis("error smoothness", Status.DECLARED, "the error acts on the start only", declared=True)
    for _, function, facts in problem.parts_of_the_error():
        error = worse(error, _smoothness("error smoothness", function, states, facts, fatal=0))
    return (*found, error)


def _smoothness(
    name: str, function: Timed, states: Sequence[tuple[float, Tensor]], facts: Facts | None, *, fatal: int
) -> Hypothesis:
    if facts is not None and facts.smoothness >= fatal + 2:
        return Hypothesis(name, Status.DECLARED, "declared smooth", declared=True)
    remark: Hypothesis | None = None
    for t, x in states:
        left, right = segments(x)
        found = attempt(partial(_looked, partial(function, t), left, right, fatal + 1))
        if found is None:
            remark = Hypothesis(name, Status.UNCHECKED, "it could not be differentiated at visited states")
            continue
        (jump,) = found
        if jump is None:
            remark = remark or _other_derivative(name, partial(function, t), x)
            continue
        degenerate = len(x) < 2 or bool((x.std(0) <= 1e-9 * (1.0 + x.abs().amax(0))).all())
        if jump.order <= fatal or degenerate:
            return Hypothesis(name, Status.FAILS, _kink(jump, degenerate))
        remark = Hypothesis(name, Status.UNCHECKED, f"{jump}; harmless in the mean where states have a density")
    return remark or Hypothesis(name, Status.PROBED, "no kink between states that a pilot run visits")


def _other_derivative(name: str, function: Rows, x: Tensor) -> Hypothesis | None:
    """A function whose automatic derivative is not its own has not been looked at."""
    try:
        check_derivative(name, function, x[:8])
    except Refused:
        return Hypothesis(name, Status.UNCHECKED, "its automatic derivative is not that of its values")
    return None


def _looked(function: Rows, left: Tensor, right: Tensor, orders: int) -> tuple[Jump | None]:
    """The answer of `find_jump`, wrapped, so that no answer is another thing than no jump."""
    return (find_jump(function, left, right, orders),)


def _kink(jump: Jump, degenerate: bool) -> str:
    if jump.order == 0:
        return f"{jump}, where paths go: quantised or categorical values have no derivative, so expand a smooth map"
    where = "where all paths are" if degenerate else "where paths go"
    return f"{jump}, {where}: derivatives taken beside a kink miss its effect, so use a smooth function"
