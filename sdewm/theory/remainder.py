"""The remainders of forms of the expansion, measured path by path."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..dynamics.derivatives import curve_derivatives
from ..dynamics.variation import Terms
from ..stats.order import richardson_weights
from ..stats.remainders import Remainders
from .effect import Effect, sides_of


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
    weights = torch.from_numpy(richardson_weights(sizes))
    scale = torch.tensor([eps**2 for eps in sizes], dtype=torch.float64)

    def one_side(states: Mapping[str, Any], side: str, form: str, here: Tensor) -> tuple[Tensor, ...]:
        p, q, s = problem.coefficients(states[f"{side}form {form}"])
        c = q if form in without_s else q + 0.5 * s
        moved = [problem.value(states[f"{side}{eps!r}"]) - here for eps in sizes]
        rest = [m - eps * p - eps**2 * c for eps, m in zip(sizes, moved, strict=True)]
        # The scales are those of single paths, also where the odd parts of a pair cancel.
        return torch.stack(rest, 1).double(), p.double(), c.double(), c.abs().double(), p.square().double()

    def observe(states: Mapping[str, Any]) -> list[Tensor]:
        here = problem.value(states[f"form {next(iter(forms))}"].x)
        columns: list[Tensor] = []
        for form in forms:
            sides = [one_side(states, side, form, here) for side in errors]
            rest, p, c, sizes_of_c, squares_of_p = (
                sum(parts[1:], start=parts[0]) / len(parts) for parts in zip(*sides, strict=True)
            )
            size = rest / scale
            missing = ((rest / scale.sqrt()) @ weights, size @ weights)
            columns += [*size.unbind(1), *size.square().unbind(1), *missing, p, c, sizes_of_c, squares_of_p]
        # Rounding of the loss, and of the states that it is a function of.
        x = states[f"form {next(iter(forms))}"].x
        _, by_size, _ = curve_derivatives(lambda s: problem.loss(x + s * x), here, order=1)
        return [*columns, (here.abs() + by_size.abs()).double().square()]

    moments = replace(problem, extrapolate=1).moments(members, observe)
    return Remainders(tuple(sizes), tuple(forms), float(torch.finfo(problem.x0.dtype).eps), moments)
