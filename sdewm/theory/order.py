"""Is a form of the expansion right, on this system? A test by the order of its remainder."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor

from ..dynamics.error import RepresentationError
from ..dynamics.start import Start, has_rows
from ..dynamics.variation import Terms
from ..grid import TimeGrid
from ..hypothesis import Hypothesis
from ..output import frame, plain_fields, table
from ..stats.order import CURVED, check_sizes, curvature, size_floor
from ..stats.remainders import Remainders
from ..validation import TensorLike
from ..validation import level as check_level
from ..verdict import Outcome, Verdict
from .effect import Effect, Loss, effect_problem, terms_of
from .remainder import measure_remainders

# Candidates for sizes: halvings of the largest, four neighbours of which are taken.
LARGEST = 0.4
TAKEN = 4
PATHS = 4096
_PILOT = 512
_SMALLER = 4


@final
@dataclass(frozen=True)
class OrderTest:
    """What an order test has found.

    Attributes:
        verdict: T1, which decides: whether the coefficients of ε and ε² are right, to 5 % of their path-wise size. What
            is missing but smaller is inconclusive, if it is surely not zero and T3 is violated.
        first, second: T1 at ε and at ε² alone.
        mean_order: T2, a flag: the order of the mean remainder is above 2.5.
        path_order: T3: the order of the root mean square remainder is above 2.5.
        remainders: the numbers they rest on.
        flags: what was not checked, and how the equation was discretised.
        hypotheses: what was assumed.
    """

    verdict: Verdict
    first: Verdict
    second: Verdict
    mean_order: Verdict
    path_order: Verdict
    remainders: Remainders
    flags: tuple[str, ...]
    hypotheses: tuple[Hypothesis, ...]

    def to_dict(self) -> dict[str, Any]:
        """All verdicts, and the remainders at each size, as plain values for JSON."""
        return plain_fields(self)

    def to_frame(self) -> Any:
        """A pandas DataFrame with a row for each verdict, the deciding one first.

        Raises:
            MissingExtra: pandas is not installed.
        """
        rows = {"T1": self.verdict, **self._tests}
        return frame({"test": name, **verdict.to_dict()} for name, verdict in rows.items())

    @property
    def _tests(self) -> dict[str, Verdict]:
        return {
            "T1 at ε": self.first,
            "T1 at ε²": self.second,
            "T2, mean": self.mean_order,
            "T3, paths": self.path_order,
        }

    def _repr_html_(self) -> str:
        rows = [(name, v.outcome.value, v.reason) for name, v in {"T1": self.verdict, **self._tests}.items()]
        return table("order test", ["test", "outcome", "reason"], rows, (*self.verdict.flags, *self.flags))

    def __str__(self) -> str:
        lines = [str(self.verdict), *(f"  {name}: {v}" for name, v in self._tests.items())]
        return "\n".join([*lines, *(f"  note: {flag}" for flag in self.flags)])


def order_test(
    system: Any,
    error: RepresentationError,
    loss: Loss,
    x0: Start,
    grid: TimeGrid,
    paths: int | None = None,
    seed: int = 0,
    *,
    sizes: Sequence[float] | None = None,
    form: str = "ito",
    without: Sequence[str] = (),
    level: float = 0.999,
    antithetic: bool | None = None,
    actions: TensorLike | None = None,
    dtype: torch.dtype | None = None,
    scheme: str = "auto",
    assume: Sequence[str] = (),
    executor: Executor | None = None,
) -> OrderTest:
    """Test whether εP + ε²(Q + S/2), in some form, is the effect of an error on a loss up to order ε³.

    The remainder ℓ(x^ε) − ℓ(x⁰) − εp_i − ε²c_i is taken path by path, on one Brownian path and with the derivatives of
    the simulated step, at several sizes ε. Extrapolated to ε = 0 it gives the coefficients that the form misses.

    Measured over 400 repetitions of 1024 paths on a double well with shared multiplicative noise, at level 99.9 %: the
    correct form is never called violated; the forms without Itô correction, mixed terms, drift Hessian or the factor ½
    are each caught in at least 99 %.

    Args:
        system, error, loss, x0, grid, seed, form, without, actions, dtype, scheme, assume, executor: as for `expand`.
        paths: number of paths, by default 4096 or one for each row of x0; because the noise is common, some thousands
            are enough for any size.
        sizes: at least three sizes ε; by default four halvings, as large as the order shows.
        level: confidence level.
        antithetic: whether to average over the error's noise and its mirror image; by default where the error's noise
            is independent.

    Returns:
        An `OrderTest`; where truncation dominates at the given sizes its verdict is inconclusive and says which to use.

    Raises:
        InvalidArgument: an argument is wrong, or rounding dominates at the given sizes: the message names the floor of
            the dtype, 6.1e-05 for float64 and 0.049 for float32.
        HypothesisFails, Refused, NumericalFailure: as for `expand`.

    Example:
        >>> from sdewm.drifts import DoubleWell
        >>> error = RepresentationError(diffusion=lambda t, x: 0.5 + 0.4 * torch.sin(2 * x))
        >>> def loss(x): return (x**2).sum(-1)
        >>> system, grid = DoubleWell(), TimeGrid(1.0, 16)
        >>> order_test(system, error, loss, 0.6, grid).verdict.outcome.value
        'holds'
        >>> order_test(system, error, loss, 0.6, grid, without="mixed").verdict.outcome.value
        'violated'
    """
    check_level(level)
    if paths is None and not has_rows(x0):
        paths = PATHS
    terms = terms_of(form, without)
    problem = effect_problem(
        system,
        error,
        loss,
        x0,
        grid,
        paths,
        seed,
        actions=actions,
        dtype=dtype,
        extrapolate=False,
        scheme=scheme,
        assume=assume,
        executor=executor,
    )
    name = str(problem.x0.dtype)
    if sizes is None:
        measured = _settled(problem, form, terms, antithetic)
        verdict = measured.verdict(form, level)
        if measured.curvature(form) > CURVED:
            verdict = replace(verdict, reason=f"{verdict.reason}: {_advice(measured, form, name)}")
    else:
        chosen = check_sizes(sizes, _floor(problem), name)
        measured = measure_remainders(problem, {form: terms}, chosen, antithetic=antithetic)
        verdict = _with_advice(measured.verdict(form, level), measured, problem, form, terms, antithetic)
    # The discrete map is expanded as it is: no bias of the step size enters.
    flags = tuple(flag for flag in problem.flags if "bias" not in flag)
    return OrderTest(
        verdict,
        measured.first(form, level),
        measured.second(form, level),
        measured.mean_order(form, level=level),
        measured.path_order(form, level=level),
        measured,
        flags,
        problem.hypotheses,
    )


def _floor(problem: Effect) -> float:
    return size_floor(float(torch.finfo(problem.x0.dtype).eps))


def _settled(problem: Effect, form: str, terms: Terms, antithetic: bool | None) -> Remainders:
    """Remainders at sizes that a pilot run suggests, halved until their order shows in the whole run as well."""
    chosen = choose_sizes(problem, terms, antithetic)
    measured = measure_remainders(problem, {form: terms}, chosen, antithetic=antithetic)
    for _ in range(_SMALLER):
        # The rare large paths that a pilot run misses bend the slope earlier.
        if measured.curvature(form) <= CURVED or chosen[0] / 2.0 < _floor(problem):
            break
        chosen = tuple(eps / 2.0 for eps in chosen)
        measured = measure_remainders(problem, {form: terms}, chosen, antithetic=antithetic)
    return measured


def _with_advice(
    verdict: Verdict, measured: Remainders, problem: Effect, form: str, terms: Terms, antithetic: bool | None
) -> Verdict:
    """The verdict at given sizes; inconclusive, with sizes that would do, where truncation dominates at them.

    Far beyond the range in which an order shows, a remainder may be as straight as within it: so a form is not called
    wrong at sizes that are more than twice as large as those that would be chosen.
    """
    curved = measured.curvature(form) > CURVED
    if not curved and verdict.outcome is Outcome.HOLDS:
        return verdict
    better = _settled(problem, form, terms, antithetic)
    if not curved and measured.sizes[-1] <= 2.0 * better.sizes[-1]:
        return verdict
    said = "" if "truncation dominates" in verdict.reason else "; truncation dominates at these sizes"
    reason = f"{verdict.reason}{said}: {_advice(better, form, str(problem.x0.dtype))}"
    return replace(verdict, outcome=Outcome.INCONCLUSIVE, margin=None, reason=reason)


def _advice(measured: Remainders, form: str, dtype: str) -> str:
    if measured.curvature(form) <= CURVED:
        return f"sizes from {measured.sizes[0]:.3g} to {measured.sizes[-1]:.3g} would do"
    elsewhere = "" if dtype == "torch.float64" else f", as rounding in {dtype} is near; take float64 states"
    return f"of the sizes that were tried none would do{elsewhere}"


def choose_sizes(problem: Effect, terms: Terms, antithetic: bool | None = None) -> tuple[float, ...]:
    """Four sizes, as large as possible without truncation dominating, by a pilot run of at most 512 paths."""
    floor = _floor(problem)
    # In float32 there are only three halvings between what is too large and what is rounding.
    ratio = 2.0 if floor < 1e-3 else 2.0**0.5
    candidates = [LARGEST]
    while candidates[-1] / ratio >= floor and len(candidates) < 12:
        candidates.append(candidates[-1] / ratio)
    ascending = candidates[::-1]
    count = min(problem.paths, _PILOT)
    start = problem.x0 if problem.x0.ndim == 1 else problem.x0[:count]
    steered = problem.actions
    if steered is not None and steered.ndim == 3:
        steered = steered[:, :count]
    initial = problem.error.initial
    if isinstance(initial, Tensor) and initial.ndim == 2 and len(initial) > 1:
        initial = initial[:count]
    pilot = replace(
        problem,
        x0=start,
        paths=count,
        actions=steered,
        error=replace(problem.error, initial=initial),
        executor=None,
    )
    seen = measure_remainders(pilot, {"": terms}, ascending, antithetic=antithetic)
    squares = [e.value for e in seen.mean_square("")]
    taken = min(TAKEN, len(ascending))
    best, smallest = None, ascending[:taken]
    for first in range(len(ascending) - taken, -1, -1):
        window = slice(first, first + taken)
        if min(squares[window]) ** 0.5 <= seen.rounding:
            continue
        best = best or ascending[window]
        if curvature(squares[window], ascending[window]) <= CURVED:
            return tuple(ascending[window])
        smallest = ascending[window]
    # Rounding everywhere: any size will do. Curved everywhere: the smallest sizes that stand clear of rounding.
    return tuple(ascending[-taken:] if best is None else smallest)
