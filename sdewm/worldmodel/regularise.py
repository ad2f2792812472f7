"""Jacobian penalties on the maps of a world model, at the states that filtering visits."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ..dynamics.step_map import StepMap
from ..exceptions import InvalidArgument
from ..jacobian.penalty import KINDS, jacobian_penalty
from ..jacobian.trace import MODES
from ..validation import integer, not_negative, one_of, real
from .injection import block_columns
from .model import Filtered, WorldModel

MAPS = ("prior", "filter", "whole")
COLUMNS = ("all", "z", "h")
# Scales of dead coordinates are not zero, but this share of the root mean square of all.
_LEAST_SCALE = 1e-3


@final
@dataclass(frozen=True)
class Penalty:
    """weight · E ‖∂ mean(x, a)/∂x‖, a term of a training loss.

    Attributes:
        of: whose mean: "prior", a step of a rollout; "filter", a step of the filter; "whole", a step of the paper's
            four blocks. These are three different regularisers.
        kind: "frobenius" ‖J‖_F², "whitened" ‖D_out⁻¹ J D_in‖_F² with the standard deviations of the batch's states as
            D, "spectral" ‖J‖₂, or "log_norm" λ_max((J + Jᵀ)/2).
        weight: at least 0.
        probes: random probes a row, for the first two.
        share: part of the batch's states, chosen at random in every step, that the penalty is taken on.
        columns: the block of x to differentiate by: "all", "z" or "h"; "log_norm" needs a square matrix, and takes the
            same block of the value.
        exact: whether the norm is that of the whole Jacobian: slow, for checks.
        mode: as for `jacobian_penalty`; "reverse" was the cheaper one for a recurrent model, and needs no forward mode
            of its cell.

    Raises:
        InvalidArgument: a value is out of range.

    Source: Hoffman, Roberts, Yaida, arXiv:1908.02729; Fang, Du, Wang, Zhang, arXiv:2501.00195 (as reconstructed).

    Example:
        >>> Penalty(of="filter", weight=0.01).kind
        'frobenius'
    """

    of: str = "prior"
    kind: str = "frobenius"
    weight: float = 0.01
    probes: int = 1
    share: float = 0.25
    columns: str = "all"
    exact: bool = False
    mode: str = "reverse"

    def __post_init__(self) -> None:
        one_of("of", self.of, MAPS)
        one_of("kind", self.kind, KINDS)
        one_of("columns", self.columns, COLUMNS)
        one_of("mode", self.mode, MODES)
        integer("probes", self.probes, least=1)
        not_negative("weight", self.weight)
        if not 0.0 < real("share", self.share) <= 1.0:
            raise InvalidArgument(f"share must lie above 0 and be at most 1, got {self.share!r}.")
        if not isinstance(self.exact, bool):
            raise InvalidArgument(f"exact must be True or False, got {self.exact!r}.")

    def value(
        self,
        model: WorldModel,
        seen: Filtered,
        observations: Tensor,
        actions: Tensor,
        *,
        seed: int,
        draw: int = 0,
    ) -> Tensor:
        """The mean norm over the visited states, without the weight; its gradient is by the model's parameters.

        Args:
            model: the model.
            seen: what filtering gave for the next two.
            observations: (length, windows, *observation), standardised.
            actions: (length, windows, action).
            seed, draw: fix the probes and the states that are chosen; pass another draw at each training step.

        Returns:
            A scalar.

        Raises:
            InvalidArgument: a window has only one step.

        Warning:
            States are given, not functions of the parameters: the penalty flattens the map where the filter goes, and
            does not move the filter.
        """
        step, x, inputs = visited(model, self.of, seen, observations, actions)
        columns = self._columns(model, step.dim)
        square = self.kind == "log_norm"
        dim = step.dim

        # The inputs travel as more columns, so that each row keeps its own whichever rows are chosen.
        def mean(both: Tensor) -> Tensor:
            y = step.mean(0, both[:, :dim], both[:, dim:])
            return y[:, columns] if square else y

        return jacobian_penalty(
            mean,
            torch.cat((x, inputs), dim=1),
            self.kind,
            probes=self.probes,
            of=columns,
            scales=self._scales(x, columns) if self.kind == "whitened" else None,
            exact=self.exact,
            mode=self.mode,
            share=self.share,
            seed=seed,
            draw=draw,
        )

    def _columns(self, model: WorldModel, dim: int) -> slice:
        if self.columns == "all":
            return slice(0, dim)
        if self.of != "whole":
            return block_columns(model, self.columns)
        first = 0 if self.columns == "z" else model.latent
        return slice(first, first + (model.latent if self.columns == "z" else model.hidden))

    @staticmethod
    def _scales(x: Tensor, columns: slice) -> tuple[Tensor, Tensor]:
        spread = x.std(0)
        spread = spread.clamp(min=_LEAST_SCALE * float(spread.square().mean().sqrt()))
        if not bool((spread > 0.0).all()):
            raise InvalidArgument("kind='whitened' needs states that differ, but all of this batch are equal.")
        return spread[columns], spread


def visited(
    model: WorldModel, of: str, seen: Filtered, observations: Tensor, actions: Tensor
) -> tuple[StepMap, Tensor, Tensor]:
    """A map of the model, the states (rows, dim) from which filtering took steps, and their inputs (rows, action_dim).

    Nothing that is returned but the map has a gradient. Arguments as for `Penalty.value`; rows are in the order of
    (time, window). In the state of the four blocks z̃ is the mean of the prior, and õ what the state decodes to.
    """
    states = seen.states.detach()
    length = len(states)
    if length < max(2, model.lag + 1):
        raise InvalidArgument(f"windows must have at least {max(2, model.lag + 1)} steps for a penalty, got {length}.")
    # The step from x_n leads towards o_{n+1}; those whose action came before the window are left out.
    first = max(model.lag - 1, 0)
    before, used = states[first:-1], actions[first + 1 - model.lag : length - model.lag]
    if one_of("of", of, MAPS) == "prior":
        return model.prior_map(noise=False), before.flatten(0, 1), used.flatten(0, 1)
    with torch.no_grad():
        inputs = torch.cat((used, model.embed(observations[first + 1 :]).to(used)), dim=-1).flatten(0, 1)
        if of == "filter":
            return model.filter_map(noise=False), before.flatten(0, 1), inputs
        h, z = before.split([model.hidden, model.latent], dim=-1)
        whole = torch.cat((z, h, seen.prior_mean[first:-1].detach(), model.decode(before).flatten(2)), dim=-1)
    return model.whole_map(noise=False), whole.flatten(0, 1), inputs


def limit_spectral_norms(model: WorldModel, limit: float) -> int:
    """Project the weight matrices of the transition whose largest singular value exceeds `limit`; how many they were.

    W = U S Vᵀ becomes U min(S, limit) Vᵀ, the nearest matrix of spectral norm at most `limit`. The matrices are the
    parameters of two dimensions among `model.transition_parameters()`.

    Raises:
        InvalidArgument: the limit is not above zero.
    """
    if not real("limit", limit) > 0.0:
        raise InvalidArgument(f"limit must be above zero, got {limit!r}.")
    count = 0
    with torch.no_grad():
        for weight in model.transition_parameters():
            # No singular value exceeds the Frobenius norm: most matrices need no decomposition.
            if weight.ndim != 2 or float(weight.norm()) <= limit:
                continue
            left, values, right = torch.linalg.svd(weight.double(), full_matrices=False)
            if float(values[0]) > limit:
                weight.copy_((left * values.clamp(max=limit)) @ right)
                count += 1
    return count
