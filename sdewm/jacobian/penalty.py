"""A Jacobian penalty for any training loss, in one line."""

from typing import final

import torch
from torch import Tensor

from ..exceptions import InvalidArgument
from ..validation import TensorLike, integer, one_of, real, tensor
from .gru import GRUMap, gru_frobenius
from .krylov import leading_vector
from .linear import Linearised, Step, checked_state, checked_value, state_of
from .norms import frobenius_squared, jacobians, log_norm, spectral_norm
from .probes import DESIGNS, Columns, restricted, selected, source
from .trace import MODES, Scales, check_scales, value_and_squares

KINDS = ("frobenius", "spectral", "log_norm", "whitened")


def jacobian_penalty(
    step: Step,
    x: TensorLike,
    kind: str = "frobenius",
    *,
    probes: int = 1,
    of: Columns = None,
    scales: TensorLike | tuple[TensorLike, TensorLike] | None = None,
    exact: bool = False,
    mode: str = "auto",
    design: str = "orthogonal",
    share: float = 1.0,
    iterations: int = 5,
    seed: int = 0,
    draw: int = 0,
) -> Tensor:
    """The mean over a batch of a norm of J = ∂step(x)/∂x, as a term of a training loss.

        loss + weight * jacobian_penalty(step, x, draw=n)      at training step n

    - "frobenius": ‖J‖_F², by Hutchinson's unbiased estimate with random signs; exact for a `GRUMap`.
    - "whitened": ‖D_out⁻¹ J D_in‖_F² with diagonal scales: what a rescaling of the latent cannot lower.
    - "spectral": ‖J‖₂, and "log_norm": λ_max((J + Jᵀ)/2); both at a Ritz vector, so from below, with the gradient that
      belongs to this vector.

    Where the step is evaluated for the loss as well, `step_and_penalty` gives both from one evaluation.

    Args:
        step: (paths, dim) to (paths, dim_out), each row apart from the others. State which map it is: penalising the
            prior map, the filter map or the drift means different things.
        x: (paths, dim), float32 or float64; where it has a gradient, the penalty's flows into it. An array or a list is
            taken in the dtype of the step's weights, or in float64 where it is no module.
        kind: the norm.
        probes: random probes a row, for "frobenius" and "whitened".
        of: columns of x to differentiate by: a number, a slice, or whole numbers; by default all.
        scales: for "whitened", D as (selected,), or the pair of D_in (selected,) and D_out (dim_out,), in the units of
            x and of the step's value; by default the standard deviations of the columns of x over the batch, for a
            square J. They are not differentiated.
        exact: take the norm of the whole Jacobian: dim_out backward passes; for small steps and for checks.
        mode: "forward" takes |J v|² by forward differentiation, "reverse" |Jᵀu|² by backpropagating twice; "auto" takes
            what was cheaper when measured: "reverse" where x has a gradient, else "forward".
        design: "orthogonal" signs share their noise so that most of it cancels in the mean; "independent" ones do not.
        share: part of the batch, chosen at random, that the penalty is taken on; unbiased for any.
        iterations: Lanczos steps of "spectral" and "log_norm".
        seed: whole number; all noise comes from a private generator.
        draw: number of the training step. Pass another at each step.

    Returns:
        A scalar.

    Raises:
        InvalidArgument: an argument is not of the kind above.
        NumericalFailure: a product with J is not finite, for "spectral" and "log_norm".

    Warning:
        Not checked: that rows do not mix (no batch normalisation), that `draw` changes (with one and the same draw a
        training run learns to be flat along its fixed probes only), and that the step's derivative is that of its
        values (a straight-through sample has the Jacobian of its surrogate).

    Source: Hutchinson, Communications in Statistics 19 (1990); Hoffman, Roberts, Yaida, arXiv:1908.02729.

    Example:
        >>> layer = torch.nn.Linear(3, 3, bias=False)
        >>> penalty = jacobian_penalty(layer, torch.zeros(8, 3), exact=True)
        >>> torch.allclose(penalty, layer.weight.square().sum())
        True
    """
    x = state_of(step, x)
    norms = _Norms(step, x, kind, probes, of, scales, exact, mode, design, iterations, seed, draw)
    rows = _rows(len(x), share, seed, draw)
    return norms.on(x if rows is None else x[rows])[1].mean()


def step_and_penalty(
    step: Step,
    x: TensorLike,
    kind: str = "frobenius",
    *,
    probes: int = 1,
    of: Columns = None,
    scales: TensorLike | tuple[TensorLike, TensorLike] | None = None,
    exact: bool = False,
    mode: str = "auto",
    design: str = "orthogonal",
    share: float = 1.0,
    iterations: int = 5,
    seed: int = 0,
    draw: int = 0,
) -> tuple[Tensor, Tensor]:
    """step(x) and its Jacobian penalty, from one evaluation of the step (but for `exact=True`).

    Args:
        step, x, kind, probes, of, scales, exact, mode, design, share, iterations, seed, draw: as for
            `jacobian_penalty`.

    Returns:
        (paths, dim_out) and a scalar.

    Raises:
        InvalidArgument, NumericalFailure: as for `jacobian_penalty`.

    Warning:
        As for `jacobian_penalty`.

    Example:
        >>> y, penalty = step_and_penalty(torch.tanh, torch.zeros(4, 3))
        >>> y.shape, float(penalty)
        (torch.Size([4, 3]), 3.0)
    """
    x = state_of(step, x)
    norms = _Norms(step, x, kind, probes, of, scales, exact, mode, design, iterations, seed, draw)
    rows = _rows(len(x), share, seed, draw)
    if rows is None:
        y, values = norms.on(x)
        return y, values.mean()
    rest = torch.ones(len(x), dtype=torch.bool).index_fill_(0, rows, False).nonzero().flatten()
    y, values = norms.on(x[rows])
    order = torch.cat((rows, rest)).argsort().to(x.device)
    return torch.cat((y, checked_value(step(x[rest]), x[rest])))[order], values.mean()


@final
class _Norms:
    """Checked arguments, and the norm of every row that they ask for."""

    def __init__(
        self,
        step: Step,
        x: Tensor,
        kind: str,
        probes: int,
        of: Columns,
        scales: TensorLike | tuple[TensorLike, TensorLike] | None,
        exact: bool,
        mode: str,
        design: str,
        iterations: int,
        seed: int,
        draw: int,
    ) -> None:
        self.step, self.kind, self.exact = step, one_of("kind", kind, KINDS), exact
        self.columns = selected(of, checked_state(x).shape[1])
        self.of = None if self.columns is None else self.columns.tolist()
        if scales is not None and kind != "whitened":
            raise InvalidArgument(f"scales belong to kind='whitened', got kind={kind!r}; leave them out.")
        self.scales = _scales(scales, restricted(x, self.columns)) if kind == "whitened" else None
        self.probes = integer("probes", probes, least=1)
        self.mode, self.design = one_of("mode", mode, MODES), one_of("design", design, DESIGNS)
        self.iterations = integer("iterations", iterations, least=1)
        self.noise = integer("seed", seed, least=0), integer("draw", draw, least=0)

    def on(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The step's value (paths, dim_out) and the norms (paths,)."""
        summed = self.kind in ("frobenius", "whitened")
        if summed and isinstance(self.step, GRUMap):
            check_scales(self.scales, self.step.cell.hidden_size)
            return gru_frobenius(self.step.cell, x, self.columns, self.scales, self.step.drift)
        if self.exact:
            return self._exactly(x)
        if summed:
            return value_and_squares(
                self.step, x, self.columns, self.scales, self.probes, self.mode, self.design, *self.noise
            )
        line = Linearised(self.step, x)
        v = leading_vector(line, self.columns, self.kind, self.iterations, *self.noise)
        pushed = line.push(v, line.keep)
        if self.kind == "spectral":
            return line.value, torch.linalg.vector_norm(pushed, dim=1)
        return line.value, (restricted(v, self.columns) * pushed).sum(1)

    def _exactly(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, matrices = checked_value(self.step(x), x), jacobians(self.step, x, self.of)
        if self.kind == "spectral":
            return y, spectral_norm(matrices)
        if self.kind == "log_norm":
            return y, log_norm(matrices)
        if self.scales is not None:
            check_scales(self.scales, y.shape[1])
            matrices = matrices * (self.scales[0] / self.scales[1][:, None])
        return y, frobenius_squared(matrices)


def _scales(scales: TensorLike | tuple[TensorLike, TensorLike] | None, x: Tensor) -> Scales:
    """D_in and D_out as vectors; estimated from the batch where none are given."""
    if scales is None:
        if len(x) < 2:
            raise InvalidArgument("scales cannot be estimated from one row of x; pass them.")
        spread = x.detach().std(0)
        if not bool((spread > 0.0).all()):
            column = int((spread <= 0.0).nonzero()[0])
            raise InvalidArgument(f"scales: chosen column {column} of x is constant over the batch; pass the scales.")
        return spread, spread
    pair = [tensor("scales", part) for part in (scales if isinstance(scales, tuple) else (scales, scales))]
    if len(pair) != 2 or not all(part.ndim == 1 for part in pair):
        raise InvalidArgument("scales must be one vector or a pair of vectors (D_in, D_out), got another kind.")
    if not all(bool((part.isfinite() & (part > 0.0)).all()) for part in pair):
        raise InvalidArgument("scales must be finite and above zero, got one that is not; leave out constant columns.")
    if len(pair[0]) != x.shape[1]:
        raise InvalidArgument(f"scales must have one entry for each of {x.shape[1]} columns, got {len(pair[0])}.")
    return pair[0].detach().to(x), pair[1].detach().to(x)


def _rows(paths: int, share: float, seed: int, draw: int) -> Tensor | None:
    share = real("share", share)
    if not 0.0 < share <= 1.0:
        raise InvalidArgument(f"share must lie above 0 and be at most 1, got {share!r}.")
    count = max(1, round(share * paths))
    if count == paths:
        return None
    # A stream of its own, so that a row's probe does not depend on which rows were chosen.
    return torch.randperm(paths, generator=source(seed, draw, "rows"))[:count]
