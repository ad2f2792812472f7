"""A perturbed step as a polynomial in ε, its mean and each of its noise columns apart."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .derivatives import curve_derivatives
from .step_error import StepError
from .step_map import StepDerivatives, StepMap, multiply
from .variation import error_derivative

Columns = tuple[Sequence[Tensor | None], Tensor]


class Jets(NamedTuple):
    """Coefficients of 1, ε, ε² in the step from x^ε = x + ε y₁ + ε² y₂.

    Attributes:
        mean: of its mean, each (paths, dim).
        scale: of the base's scale, each (paths, dim) or (paths, dim, m).
        extra: of 1 and ε in the error's scale, each (paths, dim) or (paths, dim, m̄), or None.
    """

    mean: tuple[Tensor, Tensor, Tensor]
    scale: tuple[Tensor, Tensor, Tensor]
    extra: tuple[Tensor, Tensor] | None


JetsOf = Callable[[Any, Tensor, Tensor, Tensor, "Tensor | None"], Jets]


def jets_of(step: StepMap, error: StepError, automatic: bool) -> JetsOf:
    """The jets as a function of (n, x, y₁, y₂, a), by the step's hand-written derivatives if it has any.

    Args:
        step: the base.
        error: the error of a step.
        automatic: differentiate automatically all the same.
    """
    if automatic or step.derivatives is None:
        return _automatic(step, error)
    return _by_hand(step, error, step.derivatives)


def _by_hand(step: StepMap, error: StepError, of: StepDerivatives) -> JetsOf:
    def jets(n: Any, x: Tensor, y1: Tensor, y2: Tensor, a: Tensor | None) -> Jets:
        m1 = of.mean_jvp(n, x, a, y1)
        m2 = torch.add(of.mean_jvp(n, x, a, y2), of.mean_second(n, x, a, y1, y1), alpha=0.5)
        if error.drift is not None:
            m1 = m1 + error.drift(n, x)
            m2 = m2 + error_derivative(error.drift, error.drift_jvp, n, x, y1)
        s2 = torch.add(of.scale_jvp(n, x, a, y2), of.scale_second(n, x, a, y1, y1), alpha=0.5)
        extra = None
        if error.diffusion is not None:
            extra = error.diffusion(n, x), error_derivative(error.diffusion, error.diffusion_jvp, n, x, y1)
        scale = step.scale(n, x, a), of.scale_jvp(n, x, a, y1), s2
        return Jets((step.mean(n, x, a), m1, m2), scale, extra)

    return jets


def _automatic(step: StepMap, error: StepError) -> JetsOf:
    def jets(n: Any, x: Tensor, y1: Tensor, y2: Tensor, a: Tensor | None) -> Jets:
        shapes: list[torch.Size] = []

        def moved(eps: Tensor) -> Tensor:
            at = x + eps * (y1 + eps * y2)
            mean, parts = step.mean(n, at, a), [step.scale(n, at, a)]
            if error.drift is not None:
                mean = mean + eps * error.drift(n, at)
            if error.diffusion is not None:
                parts.append(error.diffusion(n, at))
            shapes[:] = [part.shape for part in (mean, *parts)]
            return torch.cat([part.reshape(len(x), -1) for part in (mean, *parts)], 1)

        with torch.no_grad():
            like = moved(x.new_zeros(()))
        c0, c1, c2 = curve_derivatives(moved, like)
        widths = [shape[1:].numel() for shape in shapes]
        split = [zip(c.split(widths, 1), shapes, strict=True) for c in (c0, c1, 0.5 * c2)]
        mean, scale, *extra = zip(*([part.reshape(shape) for part, shape in each] for each in split), strict=True)
        return Jets(mean, scale, extra[0][:2] if extra else None)

    return jets


Coefficients = tuple[Tensor, Tensor, Tensor]


def noise_parts(
    jets: Jets, error: StepError, xi: Tensor, zeta: Tensor | None
) -> tuple[Coefficients, Coefficients, Coefficients]:
    """Coefficients of 1, ε, ε² in S ξ, Σ_k S_k² (ξ_k² − 1)/2 and Σ_k S_k³ (ξ_k³ − 3ξ_k)/6, each (paths, dim).

    S_k are the columns of the scale, powers are those of their entries.
    """
    sums: list[list[list[Tensor]]] = [[[], [], []] for _ in range(3)]
    first, second, third = sums
    for (s0, s1, s2), normals in _columns(jets, error, xi, zeta):
        half = torch.addcmul(normals.new_full((), -0.5), normals, normals, value=0.5)
        assert s1 is not None
        assert s2 is not None
        first[1].append(multiply(s1, normals))
        first[2].append(multiply(s2, normals))
        if s0 is None:
            second[2].append(multiply(s1 * s1, half))
            continue
        square, mixed = s0 * s0, s0 * s1
        bend = torch.addcmul(s1 * s1, s0, s2, value=2.0)
        sixth = normals * (half - 1.0)  # (ξ³ − 3ξ)/2; a third of it is left to the scales
        first[0].append(multiply(s0, normals))
        second[0].append(multiply(square, half))
        second[1].append(multiply(2.0 * mixed, half))
        second[2].append(multiply(bend, half))
        third[0].append(multiply(s0 * square / 3.0, sixth))
        third[1].append(multiply(square * s1, sixth))
        third[2].append(multiply(torch.addcmul(square * s2, s1, mixed), sixth))
    n, q, r = ([sum(parts[1:], parts[0]) for parts in each] for each in sums)
    return (n[0], n[1], n[2]), (q[0], q[1], q[2]), (r[0], r[1], r[2])


def _columns(jets: Jets, error: StepError, xi: Tensor, zeta: Tensor | None) -> list[Columns]:
    """The coefficients of the columns over the base's noise, and over the error's own; None is zero."""
    s0, s1, s2 = jets.scale
    if jets.extra is None:
        return [((s0, s1, s2), xi)]
    e0, e1 = jets.extra
    shared, own = error.shared, error.own
    if isinstance(shared, Tensor):
        e0, e1 = (torch.diag_embed(e) if e.ndim == 2 else e for e in (e0, e1))
    if isinstance(shared, Tensor) or (shared != 0.0 and s0.ndim != e0.ndim):
        s0, s1, s2 = (torch.diag_embed(s) if s.ndim == 2 else s for s in (s0, s1, s2))
    if isinstance(shared, Tensor):
        of_base = e0 @ shared.to(e0).T, e1 @ shared.to(e1).T
        s1, s2 = s1 + of_base[0], s2 + of_base[1]
    elif shared != 0.0:
        f0, f1 = (torch.diag_embed(e) if e.ndim < s0.ndim else e for e in (e0, e1))
        s1, s2 = torch.add(s1, f0, alpha=shared), torch.add(s2, f1, alpha=shared)
    result: list[Columns] = [((s0, s1, s2), xi)]
    if zeta is not None:
        of_own = (e0 @ own.to(e0), e1 @ own.to(e1)) if isinstance(own, Tensor) else (own * e0, own * e1)
        result.append(((None, *of_own), zeta))
    return result
