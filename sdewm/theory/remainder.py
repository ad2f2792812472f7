"""The remainders of forms of the expansion, measured path by path."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor

from ..dynamics.derivatives import curve_derivatives
from ..dynamics.variation import Terms
from ..stats.order import richardson_weights
from ..stats.remainders import Remainders
from .effect import Effect, Loss, sides_of


def measure_remainders(
    problem: Effect,
    forms: Mapping[str, Terms],
    sizes: Sequence[float],
    *,
    antithetic: bool | None = False,
    without_s: Collection[str] = (),
) -> Remainders:
    """Simulate the base, its variations in each form, and the perturbed system at each size, on the same paths.

    Args:
        problem: what is expanded; its extrapolation in the step size is not used.
        forms: terms of each form.
        sizes: sizes of the error, in increasing order.
        antithetic: whether to average each path over the error's noise W and its mirror image −W, which is allowed for
            independent noise: odd powers of W then cancel.
        without_s: names of forms that leave out the quadratic term S/2.

    Raises:
        InvalidArgument: pairs were asked for where the error's noise is correlated with the base's.
    """
    errors = sides_of(problem.error, antithetic)
    members: dict[str, Any] = {}
    for side, error in errors.items():
        for form, terms in forms.items():
            members[f"{side}form {form}"] = problem.variations(terms, error)
        for eps in sizes:
            members[f"{side}{eps!r}"] = problem.perturbed(eps, error)
    observe = _Observed(problem, tuple(sizes), tuple(forms), tuple(errors), frozenset(without_s))
    moments = replace(problem, extrapolate=1).moments(members, observe)
    return Remainders(tuple(sizes), tuple(forms), float(torch.finfo(problem.x0.dtype).eps), moments)


@final
@dataclass(frozen=True)
class _Observed:
    """The columns of `Remainders`, in a form that travels to other processes."""

    problem: Effect
    sizes: tuple[float, ...]
    forms: tuple[str, ...]
    sides: tuple[str, ...]
    without_s: frozenset[str]

    def __call__(self, states: Mapping[str, Any]) -> list[Tensor]:
        weights = torch.from_numpy(richardson_weights(self.sizes))
        fewer = torch.cat((torch.from_numpy(richardson_weights(self.sizes[:-1])), weights.new_zeros(1)))
        scale = torch.tensor([eps**2 for eps in self.sizes], dtype=torch.float64)
        base = states[f"form {self.forms[0]}"].x
        here = self.problem.value(base)
        columns: list[Tensor] = []
        for form in self.forms:
            sides = [self._one_side(states, side, form, here) for side in self.sides]
            rest, p, c, sizes_of_c, squares_of_p = (
                sum(parts[1:], start=parts[0]) / len(parts) for parts in zip(*sides, strict=True)
            )
            size, slope = rest / scale, rest / scale.sqrt()
            missing = (slope @ weights, size @ weights, slope @ (weights - fewer), size @ (weights - fewer))
            columns += [*size.unbind(1), *size.square().unbind(1), *missing, p, c, sizes_of_c, squares_of_p]
        visited = (base, states[repr(self.sizes[-1])])
        conditions = [_condition(self.problem.loss, x, here) for x in visited]
        return [*columns, torch.stack(conditions).sum(0).square()]

    def _one_side(self, states: Mapping[str, Any], side: str, form: str, here: Tensor) -> tuple[Tensor, ...]:
        p, q, s = self.problem.coefficients(states[f"{side}form {form}"])
        c = q if form in self.without_s else q + 0.5 * s
        moved = [self.problem.value(states[f"{side}{eps!r}"]) - here for eps in self.sizes]
        rest = [m - eps * p - eps**2 * c for eps, m in zip(self.sizes, moved, strict=True)]
        # The scales are those of single paths, also where the odd parts of a pair cancel.
        return torch.stack(rest, 1).double(), p.double(), c.double(), c.abs().double(), p.square().double()


def _condition(loss: Loss, x: Tensor, like: Tensor) -> Tensor:
    """|ℓ| + |∇ℓ·x|: what relative rounding acts on, of the loss and of the states that it is a function of."""
    value, by_size, _ = curve_derivatives(lambda s: loss(x + s * x), like, order=1)
    return (value.abs() + by_size.abs()).double()
