"""An error of known size that is added to a block of the state after every step, while training or while testing."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ..dynamics.brownian import BrownianMotion, generator
from ..exceptions import InvalidArgument
from ..grid import TimeGrid
from ..validation import integer, not_negative, one_of
from .model import Pushed, WorldModel

BLOCKS = ("z", "h")
KINDS = ("zero drift", "drift")
UNITS = ("whitened", "raw")


@final
@dataclass(frozen=True)
class Injection:
    """x' ← x' + c T ω_n with fresh standard normals ω_n, or x' ← x' + c T v with one direction v, in one block of x.

    Both have the same one-step root mean square: c a coordinate, in the units of T, as |v|² is the size of the block.

    Attributes:
        block: "z", the latent, or "h", the hidden state.
        kind: "zero drift", the first of the two, or "drift", the second.
        unit: "whitened", where T is the symmetric root of the block's covariance under filtering, so that c = 1 is as
            large as the block itself; or "raw", T = I.
        size: c, at least 0.
        direction: number of the direction v; the growth of one direction may be far from that of another.

    Raises:
        InvalidArgument: a value is out of range.

    Source: Fang, Du, Wang, Zhang, arXiv:2501.00195, zero-drift and non-zero-drift errors (as reconstructed).

    Example:
        >>> Injection(kind="drift", size=0.1).unit
        'whitened'
    """

    block: str = "z"
    kind: str = "zero drift"
    unit: str = "whitened"
    size: float = 0.1
    direction: int = 0

    def __post_init__(self) -> None:
        one_of("block", self.block, BLOCKS)
        one_of("kind", self.kind, KINDS)
        one_of("unit", self.unit, UNITS)
        not_negative("size", self.size)
        integer("direction", self.direction, least=0)

    @property
    def whitened(self) -> bool:
        """Whether a covariance is needed."""
        return self.unit == "whitened"

    def pushed(self, model: WorldModel, covariance: Tensor | None = None, *, seed: int) -> Pushed:
        """This error for one model, on the device and in the dtype of its parameters.

        Args:
            model: gives the sizes of the blocks.
            covariance: (hidden + latent, hidden + latent), of the states under filtering; it may be singular. Raw units
                need none.
            seed: fixes v together with `direction`: under one seed it is the same in training and in a test.

        Raises:
            InvalidArgument: the covariance is missing, of another shape, or not finite.
        """
        columns = block_columns(model, self.block)
        size = columns.stop - columns.start
        like = next(model.parameters())
        if not self.whitened:
            root = torch.eye(size, dtype=torch.float64)
        elif covariance is None:
            raise InvalidArgument("covariance is needed in whitened units: pass that of the states under filtering.")
        else:
            root = symmetric_root(_checked(covariance, model.hidden + model.latent)[columns, columns])
        direction = None
        if self.kind == "drift":
            v = torch.randn(size, generator=generator(seed, "injection: direction", self.direction))
            direction = (v * (size**0.5 / v.norm())).to(like)
        return Pushed(columns, (self.size * root).to(like), direction)


def block_columns(model: WorldModel, block: str) -> slice:
    """The columns of x = (h, z) that are a block, "h" or "z".

    Raises:
        InvalidArgument: there is no such block.
    """
    split, end = model.hidden, model.hidden + model.latent
    return slice(0, split) if one_of("block", block, BLOCKS) == "h" else slice(split, end)


def push(x: Tensor, pushed: Pushed, normals: Tensor | None = None) -> Tensor:
    """x (..., hidden + latent) with the error added to its block.

    Args:
        x: states.
        pushed: the error.
        normals: ω, (..., block); a drift needs none.

    Raises:
        InvalidArgument: zero drift is given no normals.
    """
    if pushed.direction is not None:
        moved = pushed.root @ pushed.direction
    elif normals is not None:
        moved = normals @ pushed.root.mT
    else:
        raise InvalidArgument("normals are needed for an error of zero drift.")
    first, last = pushed.columns.start, pushed.columns.stop
    block = x[..., first:last] + moved
    return torch.cat((x[..., :first], block, x[..., last:]), dim=-1)


def push_normals(pushed: Pushed, steps: int, paths: int, *, seed: int) -> Tensor | None:
    """ω for a rollout, (steps, paths, block), drawn on the CPU: path i has noise of its own. None for a drift."""
    if pushed.direction is not None:
        return None
    motion = BrownianMotion(seed, TimeGrid(T=steps, steps=steps), len(pushed.root), "injection: rollout")
    return motion.normals(paths, torch.float32).to(pushed.root)


def state_covariance(states: Tensor) -> Tensor:
    """Covariance (dim, dim) of states (..., dim) over all rows, in float64 and without a graph.

    Raises:
        InvalidArgument: there are fewer than two rows.
    """
    rows = states.detach().flatten(0, -2).double()
    if len(rows) < 2:
        raise InvalidArgument(f"states must have at least two rows for a covariance, got {len(rows)}.")
    rows = rows - rows.mean(0)
    return rows.mT @ rows / (len(rows) - 1)


def without_push(covariance: Tensor, pushed: Pushed) -> Tensor:
    """The covariance of states before they were pushed: less that of the fresh normals, which are independent of them.

    Without it an error of zero drift that is measured in the states' own units would feed on itself: the units
    would grow by the factor 1 + c² at every look.
    """
    if pushed.direction is not None:
        return covariance
    result, root = covariance.clone(), pushed.root.detach().to(covariance)
    result[pushed.columns, pushed.columns] -= root @ root.mT
    return result


def symmetric_root(covariance: Tensor) -> Tensor:
    """The symmetric positive semidefinite root of a covariance, which may be singular.

    Eigenvalues below zero, which estimates may have, count as zero.
    """
    # On the CPU: small, and eigenvectors then agree between devices.
    matrix = covariance.detach().cpu().double()
    values, vectors = torch.linalg.eigh(0.5 * (matrix + matrix.mT))
    root: Tensor = (vectors * values.clamp(min=0.0).sqrt()) @ vectors.mT
    return root


def _checked(covariance: Tensor, dim: int) -> Tensor:
    if not isinstance(covariance, Tensor) or covariance.shape != (dim, dim):
        got = tuple(covariance.shape) if isinstance(covariance, Tensor) else type(covariance).__name__
        raise InvalidArgument(f"covariance must be that of the whole state, of shape {(dim, dim)}, got {got}.")
    if not bool(torch.isfinite(covariance).all()):
        raise InvalidArgument("covariance must be finite, but some entries are NaN or infinite.")
    return covariance
