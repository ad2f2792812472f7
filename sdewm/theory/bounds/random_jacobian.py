"""The random-Jacobian bound, repaired: expectations of exponentials along the paths, for an initial error."""

import torch
from torch import Tensor

from ...exceptions import InvalidArgument, Refused
from ...jacobian import log_norm, spectral_norm
from ...validation import positive


def growth_rate(drift: Tensor, diffusion: Tensor, p: float) -> Tensor:
    """μ(A) + ½ Σ‖G_k‖² + (p − 1)⁺ Σ‖G_k‖² at one time of each path: what the exponent of the bound integrates.

    E|e|^p <= (E |e_0|^{2p} exp(2p ∫[μ(A) + ½ Σ‖G_k‖² + (p − 1)⁺ Σ‖G_k‖²]))^½ for an error in the start only. With
    u = e/|e|, |e|^p = |e_0|^p exp(p ∫(uᵀAu + ½ Σ|G_k u|² − Σ(uᵀG_k u)²) + p ∫ Σ uᵀG_k u dB^k); the square of
    exp(p ∫ Σ uᵀG_k u dB^k − p² ∫ Σ(uᵀG_k u)²) has mean at most 1, and by Cauchy and Schwarz the rest is what stands
    above, since (p − 1) Σ(uᵀG_k u)² <= (p − 1)⁺ Σ‖G_k‖².

    Args:
        drift: A, mean-value Jacobians of the drift between the two paths, (paths, dim, dim).
        diffusion: G_k, those of the diffusion's columns, (paths, m, dim, dim).
        p: power of |e|, above zero.

    Returns:
        (paths,); integrated over time it is the `integral` of `right_side`.

    Raises:
        InvalidArgument: p is not positive, or the shapes do not fit together.

    Source: the bound by expected exponentials of Jacobians of Fang, Du, Wang, Zhang, arXiv:2501.00195 (as
    reconstructed), repaired here.

    Warning:
        The matrices have to be mean-value Jacobians: A e = g(x⁰ + e) − g(x⁰), as `mean_value_jacobian` makes them.
        Jacobians along one of the paths give no bound. The error has to be in the start only.

    Example:
        >>> eye = torch.eye(2).double()[None]
        >>> growth_rate(-eye, 0.5 * eye[None], p=2.0)  # −1 + ½ · ¼ + ¼
        tensor([-0.6250], dtype=torch.float64)
    """
    positive("p", p)
    return log_norm(drift) + (0.5 + max(p - 1.0, 0.0)) * _noise(drift, diffusion)


def step_growth_rate(drift: Tensor, diffusion: Tensor, h: float, p: float) -> Tensor:
    """The same for Euler's steps: summed over the steps it is the `integral` of `right_side`.

    Given the state, E|e'|² <= κ²|e|² for κ² = ‖I + hA‖² + h Σ‖G_k‖², and E|e'|⁴ <= κ⁴|e|⁴ for κ⁴ = ‖I + hA‖⁴ +
    6h‖I + hA‖² Σ‖G_k‖² + 3h² (Σ‖G_k‖²)². With the first for p <= 1, the second for p = 2, |e_n|^{2p'} / Π κ^{2p'} is a
    supermartingale (p' = max(p, 1)), and Cauchy and Schwarz give E|e_N|^p <= (E |e_0|^{2p} Π κ^{2p})^½.

    Args:
        drift, diffusion: as for `growth_rate`, between the two Euler paths.
        h: the step.
        p: in (0, 1], or 2.

    Returns:
        ln κ, (paths,).

    Raises:
        InvalidArgument: h or p is not positive, or the shapes do not fit together.
        Refused: p is another number.

    Source: derived here.

    Warning:
        As for `growth_rate`.

    Example:
        >>> one = torch.ones(1, 1, 1).double()
        >>> step_growth_rate(-3.0 * one, 6**0.5 * one[None], h=0.1, p=1.0).exp() ** 2  # 1 + 9h²
        tensor([1.0900], dtype=torch.float64)
    """
    positive("h", h)
    if not positive("p", p) <= 1.0 and p != 2.0:
        raise Refused(
            f"for Euler's steps the bound is proved for p in (0, 1] and p = 2 only, got {p!r}; use one of those."
        )
    noise = h * _noise(drift, diffusion)
    eye = torch.eye(drift.shape[-1], dtype=drift.dtype, device=drift.device)
    square = spectral_norm(eye + h * drift) ** 2
    if p <= 1.0:
        return 0.5 * torch.log(square + noise)
    return 0.25 * torch.log(square**2 + 6.0 * square * noise + 3.0 * noise**2)


def right_side(initial: Tensor, integral: Tensor, p: float) -> Tensor:
    """|e_0|^{2p} exp(2p integral) of each path; the root of its mean over the paths bounds E|e|^p.

    Args:
        initial: |e_0|, (paths,).
        integral: of `growth_rate` over time, or the sum of `step_growth_rate` over the steps, (paths,).
        p: the power.

    Returns:
        (paths,).

    Raises:
        InvalidArgument: p is not positive, or the shapes differ.

    Warning:
        It is as heavy in its tail as the error itself: where it has no second moment its mean cannot be estimated by a
        normal interval.

    Example:
        >>> right_side(torch.ones(1), torch.zeros(1), p=1.0)
        tensor([1.])
    """
    if initial.shape != integral.shape:
        raise InvalidArgument(
            f"initial and integral must both be (paths,), got {tuple(initial.shape)} and {tuple(integral.shape)}."
        )
    power = 2.0 * positive("p", p)
    return initial**power * torch.exp(power * integral)


def _noise(drift: Tensor, diffusion: Tensor) -> Tensor:
    if drift.ndim != 3 or diffusion.ndim != 4 or (len(diffusion), *diffusion.shape[2:]) != tuple(drift.shape):
        raise InvalidArgument(
            f"drift and diffusion must have shapes (paths, dim, dim) and (paths, m, dim, dim), got "
            f"{tuple(drift.shape)} and {tuple(diffusion.shape)}."
        )
    squares: Tensor = spectral_norm(diffusion.flatten(0, 1)) ** 2
    return squares.reshape(diffusion.shape[:2]).sum(1)
