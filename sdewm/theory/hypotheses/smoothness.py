"""The hypotheses on derivatives, probed between the states that a pilot run has visited."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import cast

from torch import Tensor

from ...dynamics.derivatives import check_derivative
from ...exceptions import Refused
from ...hypothesis import Facts, Hypothesis, Status, facts_of, worse
from .kinks import Jump, find_jump, segments
from .problem import Problem, Rows, Timed, attempt

# So many paths are followed from look to look.
_ALONG = 8


def check_smoothness(problem: Problem, states: Sequence[tuple[float, Tensor]]) -> tuple[Hypothesis, ...]:
    """The hypotheses on derivatives, at states that a pilot run has visited.

    Drift, diffusion and loss need two derivatives and a third that is bounded, the error one less. A jump of the first
    derivative that is visited makes the second-order coefficients wrong: the mass that sits on a kink is not seen by
    derivatives taken beside it. A jump one order higher does no harm in the mean where the states have a density.

    Args:
        problem: the problem.
        states: visited states (paths, dim) with their times, from the start to the end.
    """
    end = states[-1:]
    # Between paths it is looked half-way and at the end, along the paths everywhere.
    looked = [states[len(states) // 2], states[-1]] if len(states) > 1 else states
    steps = [(t, x[:_ALONG], y[:_ALONG]) for (_, x), (t, y) in pairwise(states)]

    def timeless(_: float, x: Tensor) -> Tensor:
        return problem.loss(x)

    found = [
        _smoothness("drift smoothness", problem.drift, looked, steps, problem.facts("drift"), fatal=1),
        _smoothness("diffusion smoothness", problem.diffusion, looked, steps, problem.facts("diffusion"), fatal=1),
        _smoothness("loss smoothness", timeless, end, [], facts_of(problem.loss), fatal=1),
    ]
    error = Hypothesis("error smoothness", Status.DECLARED, "the error acts on the start only", declared=True)
    for _, function, facts in problem.parts_of_the_error():
        error = worse(error, _smoothness("error smoothness", function, looked, steps, facts, fatal=0))
    return (*found, error)


def _smoothness(
    name: str,
    function: Timed,
    states: Sequence[tuple[float, Tensor]],
    steps: Sequence[tuple[float, Tensor, Tensor]],
    facts: Facts | None,
    *,
    fatal: int,
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
            other = attempt(partial(_other_derivative, name, partial(function, t), x))
            if other is not None:
                return cast(Hypothesis, other)
            continue
        degenerate = len(x) < 2 or bool((x.std(0) <= 1e-9 * (1.0 + x.abs().amax(0))).all())
        if jump.order <= fatal or degenerate:
            return Hypothesis(name, Status.FAILS, _kink(jump, degenerate))
        remark = Hypothesis(name, Status.UNCHECKED, f"{jump}; harmless in the mean where states have a density")
    crossed = _crossed(function, steps, fatal)
    if crossed is not None:
        return Hypothesis(name, Status.FAILS, _kink(crossed, False))
    return remark or Hypothesis(name, Status.PROBED, "no kink between states that a pilot run visits, or on its paths")


def _crossed(function: Timed, steps: Sequence[tuple[float, Tensor, Tensor]], orders: int) -> Jump | None:
    """A jump that paths cross on their way. One of a higher order does no harm there: they do not stay."""
    for t, left, right in steps:
        moves = (right - left).norm(dim=1) > 1e-6 * (1.0 + left.norm(dim=1))
        if bool(moves.any()):
            found = attempt(partial(_looked, partial(function, t), left[moves], right[moves], orders))
            if found is not None and found[0] is not None:
                return cast(Jump, found[0])
    return None


def _other_derivative(name: str, function: Rows, x: Tensor) -> Hypothesis | None:
    """A function whose automatic derivative is not its own would be expanded into another one's coefficients."""
    try:
        check_derivative(name, function, x[:8])
    except Refused:
        detail = (
            "its automatic derivative is not that of its values: leave out detach, no_grad and straight-through tricks"
        )
        return Hypothesis(name, Status.FAILS, detail)
    return None


def _looked(function: Rows, left: Tensor, right: Tensor, orders: int) -> tuple[Jump | None]:
    """The answer of `find_jump`, wrapped, so that no answer is another thing than no jump."""
    return (find_jump(function, left, right, orders),)


def _kink(jump: Jump, degenerate: bool) -> str:
    if jump.order == 0:
        return f"{jump}, where paths go: quantised or categorical values have no derivative, so expand a smooth map"
    where = "where all paths are" if degenerate else "where paths go"
    return f"{jump}, {where}: derivatives taken beside a kink miss its effect, so use a smooth function"
