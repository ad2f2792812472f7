"""Are the derivatives that will be used those of the functions? A check of a system and its error at the start."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from .derivatives import Derivative, check_derivative
from .step_error import StepError
from .step_map import StepMap
from .system import check_system


def check_derivatives(
    system: Any, step: StepMap, error: StepError, x: Tensor, a: Tensor | None, *, by_hand: bool
) -> None:
    """Refuse what would silently be taken for constant: a no_grad or detach inside, or a wrong hand-written derivative.

    Args:
        system: the system, and `step`, its step.
        error: the error in the units of the step.
        x: states (paths, dim); actions `a` there.
        by_hand: whether hand-written derivatives will be used where there are any.

    Raises:
        Refused: a derivative is not that of its function.
    """
    hand = step.derivatives if by_hand else None
    if isinstance(system, StepMap):
        mean = None if hand is None else (lambda y, v: hand.mean_jvp(0, y, a, v))
        scale = None if hand is None else (lambda y, v: hand.scale_jvp(0, y, a, v))
        check_derivative("mean", lambda y: step.mean(0, y, a), x, mean)
        check_derivative("scale", lambda y: step.scale(0, y, a), x, scale)
    else:
        # Not of the step: beside the state itself a drift times the step size may be too small to be missed.
        checked, name, t = check_system(system, x, a), type(system).__name__, torch.zeros((), dtype=x.dtype)
        args = () if a is None else (a,)
        drift: Derivative | None = None
        diffusion: Derivative | None = None
        if hand is not None:
            drift, diffusion = (lambda y, v: system.f_jvp(t, y, *args, v)), (lambda y, v: system.g_jvp(t, y, *args, v))
        check_derivative(f"{name}.f", lambda y: checked.drift(t, y, a), x, drift)
        check_derivative(f"{name}.g", lambda y: checked.diffusion(t, y, a), x, diffusion)
    for label, function, jvp in (
        ("the error's drift", error.drift, error.drift_jvp),
        ("the error's diffusion", error.diffusion, error.diffusion_jvp),
    ):
        if function is not None:
            check_derivative(label, partial(function, 0), x, None if jvp is None else partial(jvp, 0))
