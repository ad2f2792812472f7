"""The system that a representation error perturbs."""

from dataclasses import replace
from typing import Any, final

import torch
from torch import Tensor

from ..exceptions import InvalidArgument, Refused
from ..grid import TimeGrid
from ..validation import TensorLike
from .categorical import CategoricalMap
from .error import RepresentationError, check_eps
from .step_error import StepError, noise_groups, step_error
from .step_map import StepMap, time_of
from .system import CheckedSystem, LatentSDE, check_system, probe_of, system_dtype


def perturb(system: Any, error: RepresentationError, eps: float, *, x0: TensorLike | None = None) -> Any:
    """The system with the error ε added: dx = (g + ε σ) dt + Σ ḡ_k dB^k + ε Σ σ̄_l dW^l, x(0) = x_0 + ε η.

    Independent or partly correlated noise adds columns, so that a diagonal system becomes a general one (then only
    the Euler method is available). The base's Brownian motion stays the first group of columns: with equal seeds the
    base and the perturbed system move on one and the same path.

    Args:
        system: a `LatentSDE`, any torchsde SDE, or a `StepMap` (then the error is per step); or a `CategoricalMap`,
            whose logits(n, h') the error's drift σ(n, h') is then added to.
        error: the representation error.
        eps: its size, above zero; mirror an error with `error.scaled(-1)`.
        x0: a state (paths, dim) at which shapes are probed, for systems that do not state their `dim`.

    Returns:
        A `PerturbedSDE`, or a `StepMap` for a `StepMap`.

    Raises:
        InvalidArgument: eps is not above zero, a shape is wrong, or ρ does not fit.
        Refused: the system is Stratonovich, where adding an Itô error has no agreed meaning.

    Example:
        >>> from sdewm.drifts import Linear
        >>> error = RepresentationError(diffusion=lambda t, x: torch.ones_like(x), correlation="independent")
        >>> perturb(Linear(a=-1.0, b=0.5), error, eps=0.1).noise_type
        'general'
    """
    eps = check_eps(eps)
    if not isinstance(error, RepresentationError):
        raise InvalidArgument(f"error must be a RepresentationError, got {type(error).__name__}.")
    if isinstance(system, StepMap):
        return _perturb_step(system, error, eps)
    if isinstance(system, CategoricalMap):
        return _perturb_logits(system, error, eps)
    return PerturbedSDE(system, error, eps, None if x0 is None else probe_of(system, x0))


def _perturb_step(step: StepMap, error: RepresentationError, eps: float) -> StepMap:
    probe = torch.zeros(2, step.dim, dtype=step.dtype or torch.float64)
    local = step_error(error, step, probe, None)

    def mean(n: int, x: Tensor, a: Tensor | None) -> Tensor:
        base = step.mean(n, x, a)
        return base if local.drift is None else base + eps * local.drift(n, x)

    def scale(n: int, x: Tensor, a: Tensor | None) -> Tensor:
        base = step.scale(n, x, a)
        return base if local.diffusion is None else _columns(base, eps * local.diffusion(n, x), local)

    def start(x: Tensor, first: int) -> Tensor:
        x = x if step.start is None else step.start(x, first)
        eta = local.start(x, first)
        return x if eta is None else x + eps * eta

    return replace(
        step,
        mean=mean,
        scale=scale,
        noise_dim=step.noise_dim + local.own_dim,
        derivatives=None,
        start=start,
        noise=noise_groups(step.noise_groups, local),
    )


def _perturb_logits(step: CategoricalMap, error: RepresentationError, eps: float) -> CategoricalMap:
    drift = error.drift
    if drift is None or error.diffusion is not None or error.initial is not None:
        raise Refused("an error of a CategoricalMap is a drift σ(n, h) of its logits; give that one alone.")

    def logits(n: int, h: Tensor) -> Tensor:
        base = step.logits(n, h)
        moved = drift(time_of(None, n, h), h)
        if not isinstance(moved, Tensor) or moved.shape != base.shape:
            got = tuple(moved.shape) if isinstance(moved, Tensor) else type(moved).__name__
            wanted = tuple(base.shape)
            raise InvalidArgument(f"the error's drift must return the shape of the logits, {wanted}, got {got}.")
        return base + eps * moved

    return replace(step, logits=logits)


def _columns(base: Tensor, extra: Tensor, error: StepError) -> Tensor:
    """Columns [ḡ + ε σ̄ ρᵀ | ε σ̄ (I − ρᵀρ)^½] over the noises (ξ, ζ)."""
    if base.ndim == 2 and extra.ndim == 2 and not error.own_dim:
        assert isinstance(error.shared, float)
        return base + error.shared * extra
    base = torch.diag_embed(base) if base.ndim == 2 else base
    extra = torch.diag_embed(extra) if extra.ndim == 2 else extra
    if isinstance(error.shared, Tensor):
        base = base + extra @ error.shared.to(extra).T
    elif error.shared != 0.0:
        base = base + error.shared * extra
    if not error.own_dim:
        return base
    own = extra @ error.own.to(extra) if isinstance(error.own, Tensor) else error.own * extra
    return torch.cat((base, own), dim=2)


@final
class PerturbedSDE(LatentSDE):
    """A system together with an error of size ε; made by `perturb`.

    Attributes:
        base, error, eps: what it was made from.
        noise_groups: (purpose, width) of its noise columns, the base's first.
    """

    def __init__(self, base: Any, error: RepresentationError, eps: float, x0: Tensor | None = None) -> None:
        super().__init__()
        if getattr(base, "sde_type", "ito") == "stratonovich":
            raise Refused(
                f"{type(base).__name__} is Stratonovich: whether the error is to be read in the Itô or the "
                f"Stratonovich sense is not determined; write the base in Itô form."
            )
        dim = getattr(base, "dim", None)
        if x0 is None and not isinstance(dim, int):
            raise InvalidArgument(f"x0 is needed: {type(base).__name__} has no attribute dim; pass a state to perturb.")
        probe = torch.zeros(2, int(dim or 0), dtype=system_dtype(base)) if x0 is None else x0
        self.action_dim = int(getattr(base, "action_dim", 0))
        checked = check_system(base, probe, probe.new_zeros(len(probe), self.action_dim) if self.action_dim else None)
        self.base, self.error, self.eps, self._probe = base, error, eps, x0
        self.dim, self._checked = checked.dim, checked
        step = StepMap(_no_field, _no_field, checked.dim, checked.noise_dim, noise=getattr(base, "noise_groups", ()))
        # A unit step makes the step's units those of time.
        self._local = step_error(error, step, probe, TimeGrid(1.0, 1))
        self.noise_groups = noise_groups(step.noise_groups, self._local)
        self.noise_dim = checked.noise_dim + self._local.own_dim
        self.noise_type = self._noise_type(checked, probe)

    def __reduce__(self) -> tuple[Any, ...]:
        # What was checked holds closures over the base: a copy, in this process or another, is made anew.
        return PerturbedSDE, (self.base, self.error, self.eps, self._probe)

    def _noise_type(self, checked: CheckedSystem, probe: Tensor) -> str:
        if self.error.diffusion is None:
            return checked.noise_type
        elementwise = self.error.diffusion(torch.zeros((), dtype=probe.dtype), probe).ndim == 2
        if checked.diagonal and elementwise and not self._local.own_dim:
            return "diagonal"
        return "scalar" if self.noise_dim == 1 else "general"

    def f(self, t: Tensor, x: Tensor, a: Tensor | None = None) -> Tensor:
        """g + ε σ."""
        drift = self._checked.drift(t, x, a)
        return drift if self._local.drift is None else drift + self.eps * self._local.drift(float(t), x)

    def g(self, t: Tensor, x: Tensor, a: Tensor | None = None) -> Tensor:
        """Columns of the base and the error over (B, error's own noise)."""
        base = self._checked.diffusion(t, x, a)
        if self._local.diffusion is None:
            return base
        return _columns(base, self.eps * self._local.diffusion(float(t), x), self._local)

    def perturbed_start(self, x: Tensor, first: int = 0) -> Tensor:
        """x_0 + ε η, for rows that begin at path number `first`."""
        inner = getattr(self.base, "perturbed_start", None)
        x = x if inner is None else inner(x, first)
        eta = self._local.start(x, first)
        return x if eta is None else x + self.eps * eta


def _no_field(n: int, x: Tensor, a: Tensor | None) -> Tensor:
    raise NotImplementedError("this step only carries dimensions")
