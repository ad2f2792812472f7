"""The exact Jacobian norm of a gated recurrent cell, without a Jacobian.

A `torch.nn.GRUCell` computes, with i = inputs and h = state,

    r = σ(W_ir i + W_hr h + b),  z = σ(W_iz i + W_hz h + b),  m = W_hn h + b_hn,
    n = tanh(W_in i + b_in + r m),  h' = n + z (h − n).

Row j of its Jacobian by (i, h) is a combination of five fixed vectors, with numbers that need no matrix product:

    J_j = z_j (0, e_j) + ρ_j (W_ir, W_hr)_j + ζ_j (W_iz, W_hz)_j + ν_j (0, W_hn)_j + κ_j (W_in, 0)_j,
    κ = (1 − z)(1 − n²),  ν = κ r,  ρ = ν m (1 − r),  ζ = (h − n) z (1 − z).

So |J_j|² = cᵀ G_j c with c = (z, ρ, ζ, ν, κ)_j and the 5 × 5 Gram matrix G_j of the vectors, which the whole batch
shares. Leaving out columns, or weighting them, changes the vectors only; the drift h' − h has z − 1 in place of z.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..exceptions import InvalidArgument

PARTS = 5
ROWS = 256


@final
@dataclass(frozen=True, eq=False)
class GRUMap:
    """A `torch.nn.GRUCell` as a step: rows (inputs, state) to the next state, or to the change of the state.

    `jacobian_penalty` knows it and takes its Frobenius norm exactly, at less cost than one probe.

    Args:
        cell: the cell; its parameters are used, not copied.
        drift: give h' − h in place of h'.

    Raises:
        InvalidArgument: `cell` is not a `torch.nn.GRUCell`.

    Example:
        >>> step = GRUMap(torch.nn.GRUCell(3, 5))
        >>> step(torch.zeros(2, 8)).shape
        torch.Size([2, 5])
    """

    cell: torch.nn.GRUCell
    drift: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.cell, torch.nn.GRUCell):
            raise InvalidArgument(f"cell must be a torch.nn.GRUCell, got {type(self.cell).__name__}.")

    def __call__(self, x: Tensor) -> Tensor:
        h = x[..., self.cell.input_size :]
        after = cast(Tensor, self.cell(x[..., : self.cell.input_size], h))
        return after - h if self.drift else after


def gru_frobenius(
    cell: torch.nn.GRUCell,
    x: Tensor,
    columns: Tensor | None = None,
    scales: tuple[Tensor, Tensor] | None = None,
    drift: bool = False,
) -> tuple[Tensor, Tensor]:
    """The next state h' and ‖∂h'/∂x‖_F² of each row, exactly; both differentiable once.

    Beside h' it takes element-wise work on (paths, hidden) and no matrix product with the batch. Measured for 30 + 200
    and 2500 rows: a training step with it takes 1.4 of the time of one without (tests/bench/penalty.py); in small
    problems the calls themselves dominate, and it takes several times as long.

    Args:
        cell: the cell.
        x: (paths, inputs + hidden), the inputs first.
        columns: whole numbers (selected,), the columns of x that the Jacobian is taken by; by default all.
        scales: (selected,) and (hidden,): the norm is that of D_out⁻¹ J D_in; they are not differentiated.
        drift: take h' − h in place of h'.

    Returns:
        h' of shape (paths, hidden), in the unit of h, and the squared norms (paths,).

    Raises:
        InvalidArgument: `x` does not have inputs + hidden columns, or not the cell's dtype.

    Source: Gram matrices of the rows, derived here, in the head of this file.

    Example:
        >>> y, square = gru_frobenius(torch.nn.GRUCell(3, 5), torch.zeros(2, 8))
        >>> y.shape, square.shape
        (torch.Size([2, 5]), torch.Size([2]))
    """
    inputs, hidden = cell.input_size, cell.hidden_size
    if x.ndim != 2 or x.shape[1] != inputs + hidden:
        raise InvalidArgument(
            f"x must have shape (paths, {inputs + hidden}), inputs first, got {tuple(x.shape)}; concatenate both."
        )
    if x.dtype != cell.weight_hh.dtype:
        raise InvalidArgument(
            f"x must have the cell's dtype {cell.weight_hh.dtype}, got {x.dtype}; convert one of them."
        )
    vectors = _vectors(cell, columns)
    if scales is not None:
        vectors = vectors * (scales[0] / scales[1][:, None])[:, None, :]
    # Twice the product with one factor held fixed has the value's gradient at half the cost; contiguous, since it is
    # added to whole blocks row by row.
    half = torch.bmm(vectors, vectors.detach().mT).permute(1, 2, 0).contiguous()
    gram = half + (half - half.detach())
    zero = torch.zeros(3 * hidden, dtype=x.dtype, device=x.device)
    biases = (cell.bias_ih, cell.bias_hh) if cell.bias else (zero, zero)
    apply = cast(Callable[..., tuple[Tensor, Tensor]], _Dual.apply)
    return apply(x, cell.weight_ih, cell.weight_hh, *biases, gram, drift, torch.is_grad_enabled())


def _vectors(cell: torch.nn.GRUCell, columns: Tensor | None) -> Tensor:
    """The five vectors of every output coordinate, (hidden, 5, selected)."""
    hidden = cell.hidden_size
    of_input, of_state = cell.weight_ih.unflatten(0, (3, hidden)), cell.weight_hh.unflatten(0, (3, hidden))
    none, nothing = torch.zeros_like(of_input[0]), torch.zeros_like(of_state[0])
    own = torch.eye(hidden, dtype=none.dtype, device=none.device)
    left = torch.stack((none, none, of_input[0], of_input[1], of_input[2]), 1)
    right = torch.stack((own, of_state[2], of_state[0], of_state[1], nothing), 1)
    vectors = torch.cat((left, right), 2)
    return vectors if columns is None else vectors[:, :, columns]


@final
class _Dual(torch.autograd.Function):
    """h' and the squared norms with one forward pass; by hand, since autograd's temporaries cost more than the work.

    Five numbers a coordinate are kept, in the order (h, m, r, z, n) of the places where a gradient enters: c holds the
    derivatives of h' by h (directly), m and the arguments of r, z, n, and p those of the squared norm. The gradient of
    any mixture is then a c + b p. Rows come in blocks that stay in the cache.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        w_input: Tensor,
        w_state: Tensor,
        b_input: Tensor,
        b_state: Tensor,
        gram: Tensor,
        drift: bool,
        keep: bool,
    ) -> tuple[Tensor, Tensor]:
        hidden, inputs, two = w_state.shape[1], w_input.shape[1], 2 * w_state.shape[1]
        paths = len(x)
        y = torch.empty(paths, hidden, dtype=x.dtype, device=x.device)
        square = torch.empty_like(y[:, 0])
        # Without gradients one block's room is enough.
        c = torch.empty(paths if keep else min(paths, ROWS), PARTS, hidden, dtype=x.dtype, device=x.device)
        p = torch.empty_like(c)
        b_gates = b_input[:two] + b_state[:two]
        for rows in _blocks(paths):
            i, h = x[rows, :inputs], x[rows, inputs:]
            gates = torch.addmm(b_gates, i, w_input[:two].T).addmm_(h, w_state[:two].T).sigmoid_()
            r, z = gates[:, :hidden], gates[:, hidden:]
            m = torch.addmm(b_state[two:], h, w_state[two:].T)
            n = torch.addmm(b_input[two:], i, w_input[two:].T).addcmul_(r, m).tanh_()
            d = h - n
            torch.addcmul(n, z, d, out=y[rows])
            r1, z1 = torch.addcmul(r, r, r, value=-1.0), torch.addcmul(z, z, z, value=-1.0)
            n1 = (n * n).neg_().add_(1.0)
            own = c[rows] if keep else c[: len(h)]
            own[:, 0] = z
            if drift:
                own[:, 0] -= 1.0
                y[rows] -= h
            k = torch.addcmul(n1, n1, z, value=-1.0, out=own[:, 4])
            torch.mul(k, r, out=own[:, 1])
            mr1 = m * r1
            torch.mul(k, mr1, out=own[:, 2])
            torch.mul(d, z1, out=own[:, 3])
            u = own[:, :1] * gram[0]
            for part in range(1, PARTS):
                u.addcmul_(own[:, part : part + 1], gram[part])
            square[rows] = (own * u).sum((1, 2))
            if not keep:
                continue
            u *= 2.0
            by_z0, by_v, by_r, by_z, by_k = u.unbind(1)
            out = p[rows]
            to_k = by_k.addcmul_(by_v, r).addcmul_(by_r, mr1)
            to_d = torch.mul(z1, by_z, out=out[:, 0])
            by_z0.addcmul_(by_z.mul_(d), 1.0 - 2.0 * z).addcmul_(to_k, n1, value=-1.0)
            torch.mul(by_z0, z1, out=out[:, 3])
            pre_n = torch.mul(to_d.neg().addcmul_(to_k.mul_(n), 1.0 - z, value=-2.0), n1, out=out[:, 4])
            by_v.addcmul_(by_r * m, 1.0 - 2.0 * r).mul_(k).addcmul_(pre_n, m)
            torch.mul(by_v, r1, out=out[:, 2])
            torch.mul(by_r.mul_(k), r1, out=out[:, 1]).addcmul_(pre_n, r)
        ctx.save_for_backward(x, w_input, w_state, c, p)
        return y, square

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, w_input, w_state, c, p = ctx.saved_tensors
        gy, gs = gradients
        hidden, inputs, two = w_state.shape[1], w_input.shape[1], 2 * w_state.shape[1]
        to_input, to_state = torch.zeros_like(w_input), torch.zeros_like(w_state)
        to_bias = torch.zeros(PARTS * hidden, dtype=x.dtype, device=x.device)
        to_gram = torch.zeros(PARTS, PARTS, hidden, dtype=x.dtype, device=x.device)
        to_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        # In the order of the parts: (m, r, z) are the places of w_state, (r, z, n) those of w_input.
        by_state = torch.cat((w_state[two:], w_state[:two]))
        for rows in _blocks(len(x)):
            i, h, own, weight = x[rows, :inputs], x[rows, inputs:], c[rows], gs[rows, None, None]
            weighted = own * weight
            for part in range(PARTS):
                to_gram[part, : part + 1] += (weighted[:, : part + 1] * own[:, part : part + 1]).sum(0)
            g = (p[rows] * weight).addcmul_(own, gy[rows, None]).flatten(1)
            on_state, on_input = g[:, hidden : 4 * hidden], g[:, two:]
            to_input.addmm_(on_input.T, i)
            to_state.addmm_(on_state.T, h)
            to_bias += g.sum(0)
            if to_x is not None:
                torch.mm(on_input, w_input, out=to_x[rows, :inputs])
                torch.addmm(g[:, :hidden], on_state, by_state, out=to_x[rows, inputs:])
        for part in range(PARTS):
            to_gram[:part, part] = to_gram[part, :part]
        swapped = torch.cat((to_state[hidden:], to_state[:hidden]))
        to_b_state = torch.cat((to_bias[two : 4 * hidden], to_bias[hidden:two]))
        return to_x, to_input, swapped, to_bias[two:], to_b_state, to_gram, None, None


def _blocks(paths: int) -> Iterator[slice]:
    for first in range(0, paths, ROWS):
        yield slice(first, min(first + ROWS, paths))
