"""Bounds for steps of any kind, an Euler scheme's or a recurrent latent model's."""

from typing import final

import torch
from torch import Tensor

from ...exceptions import InvalidArgument, Refused
from ...jacobian import spectral_norm
from .bound import Array, Bound, Numbers, Setting, numbers
from .steps import recursion


@final
class LipschitzSteps(Bound):
    """r²_{n+1} <= (K r_n + d)² + Λ² r_n² + 2‖ρ‖ Λ r_n d̄ + d̄², for x' = mean(n, x) + scale(n, x) ξ.

    K is a Lipschitz constant of the mean, Λ a joint one of the scale's columns; the errors d = ε|σ| and d̄ = ε‖σ̄‖_F
    are per step, as those of a `StepMap` are: no factor of a step size enters. The noise is independent of the state,
    so that its mean square adds; Minkowski's inequality bounds that of the mean's part. Attained by x' = K x + Λ x ξ
    for an error in the start, and by x' = K x for a constant d of the start's sign.

    Source: derived here; the discrete form of Gronwall's lemma.

    Warning:
        Suprema run over the segments between the two paths, and none is checked here.

    Example:
        >>> from sdewm import TimeGrid
        >>> numbers = {"step_mean": 2.0, "step_scale": 0.0, "drift_error": 1.0, "diffusion_error": 0.0}
        >>> LipschitzSteps().discrete(numbers, Setting(TimeGrid(2.0, 2), eps=1.0, initial=1.0))
        array([1., 3., 7.])
    """

    name = "Lipschitz steps"
    statement = "(E|e_n|²)^½ <= r_n, r²_{n+1} = (K r_n + d)² + Λ² r_n² + 2‖ρ‖ Λ r_n d̄ + d̄²"
    hypotheses = ("mean Lipschitz with K", "scale Lipschitz with Λ", "error of a step bounded by d and d̄")
    implied = hypotheses
    reference = "derived here"
    constants = ("step_mean", "step_scale", "drift_error", "diffusion_error")

    def continuous(self, constants: Numbers, setting: Setting) -> Array:
        """There is none.

        Raises:
            Refused: always.
        """
        raise Refused("a step map is not the step of an equation: there is no continuous bound; use discrete.")

    def discrete(self, constants: Numbers, setting: Setting) -> Array:
        """The recursion; only the number of steps of the grid matters."""
        growth, lam, s, s_bar = numbers(constants, *self.constants)
        d, d_bar = setting.eps * s, setting.eps * s_bar
        cross = 2.0 * setting.correlation * lam * d_bar
        return recursion(growth, d, lam**2, cross, d_bar**2, setting.initial, setting.grid.steps)


def product_bound(initial: Tensor, jacobians: Tensor, defects: Tensor) -> Tensor:
    """A bound on |e_N| path by path: ‖J_{N−1} … J_0‖ |e_0| + Σ_n ‖J_{N−1} … J_{n+1}‖ |d_n|.

    For maps F_n and F^ε_n with e_{n+1} = d_n + J_n e_n, where d_n = F^ε_n(x^ε_n) − F_n(x^ε_n) is the defect of a step
    and J_n with J_n e_n = F_n(x^ε_n) − F_n(x⁰_n) the mean-value Jacobian of the step between the two paths, on the same
    noise (`mean_value_jacobian`). The norms of products are at most the products of norms, and may be far less.

    Args:
        initial: |e_0|, (paths,).
        jacobians: J_n, (steps, paths, dim, dim).
        defects: |d_n|, (steps, paths).

    Returns:
        (paths,).

    Raises:
        InvalidArgument: the shapes do not fit together.

    Source: the discrete variation of constants, with mean-value Jacobians in place of derivatives.

    Warning:
        The Jacobians are taken as given; at other points, such as along one of the paths, there is no bound.

    Example:
        >>> import torch
        >>> nilpotent = torch.tensor([[0.0, 2.0], [0.0, 0.0]]).expand(2, 1, 2, 2)  # norm 2, square zero
        >>> product_bound(torch.ones(1), nilpotent, torch.zeros(2, 1))
        tensor([0.])
    """
    steps, paths = defects.shape if defects.ndim == 2 else (-1, -1)
    if jacobians.ndim != 4 or jacobians.shape[:2] != (steps, paths) or initial.shape != (paths,):
        raise InvalidArgument(
            f"initial, jacobians and defects must have shapes (paths,), (steps, paths, dim, dim) and (steps, paths), "
            f"got {tuple(initial.shape)}, {tuple(jacobians.shape)} and {tuple(defects.shape)}."
        )
    dim = jacobians.shape[-1]
    product = torch.eye(dim, dtype=jacobians.dtype, device=jacobians.device).expand(paths, dim, dim)
    total = torch.zeros_like(initial)
    for jacobian, defect in zip(jacobians.flip(0), defects.flip(0), strict=True):
        total = total + spectral_norm(product) * defect
        product = product @ jacobian
    return total + spectral_norm(product) * initial
