"""Steps for drifts that grow faster than linearly, under which explicit Euler has no usable moments."""

from dataclasses import replace
from typing import Any, cast, final

import torch
from torch import Tensor

from ..exceptions import InvalidArgument, Refused
from ..grid import TimeGrid
from ..validation import TensorLike
from .step_map import StepMap
from .system import CheckedSystem, DifferentiableSDE, LatentSDE, check_system, probe_of


def tame(system: Any, grid: TimeGrid, *, x0: TensorLike | None = None) -> LatentSDE:
    """The system with its drift f replaced by the tamed one, f / √(1 + h²|f|²), for steps of size h.

    An explicit Euler step h f of a superlinear drift overshoots where h|f| is large; the scheme's moments are then
    astronomically large, or infinite in the limit, though no sample shows it. A tamed step moves by at most one,
    h f / √(1 + h²|f|²), is as smooth as f itself, and differs from the Euler step by ½ h³|f|²f: by less than the
    scheme's own error. The variations of the tamed system are the derivatives of the tamed step, so that an expansion
    of the simulated map stays exact.

    Args:
        system: a `LatentSDE` or any torchsde SDE, in Itô or Stratonovich form (its Itô drift is tamed). The diffusion
            stays as it is.
        grid: time grid; its step size is h, also where the result is then run on a coarser grid.
        x0: a state (paths, dim) at which shapes are probed; only needed for systems that do not state their `dim`.

    Returns:
        A `LatentSDE`; with hand-written derivatives if the system has them.

    Raises:
        InvalidArgument: a shape or an attribute of the system is wrong.

    Source: Hutzenthaler, Jentzen, Kloeden, Strong convergence of an explicit numerical method for SDEs with nonglobally
    Lipschitz continuous coefficients, Ann. Appl. Probab. 22 (2012); here with a smooth denominator.

    Warning:
        That taming makes the moments bounded is a theorem for drifts with x·f(x) <= C(1 + |x|²) and polynomial growth,
        which is not checked here.

    Example:
        >>> import torch
        >>> from sdewm.drifts import Cubic
        >>> tame(Cubic(), TimeGrid(1.0, 10)).f(torch.tensor(0.0), torch.full((1, 1), 100.0))
        tensor([[-10.]])
    """
    if not isinstance(grid, TimeGrid):
        raise InvalidArgument(f"grid must be a TimeGrid, got {type(grid).__name__}.")
    if isinstance(system, StepMap):
        raise Refused("system is a StepMap, a step already: taming is a way to discretise a differential equation.")
    if not (hasattr(system, "f") or hasattr(system, "f_and_g")):
        raise InvalidArgument(f"system must be an SDE with f and g, got {system!r}.")
    x0 = probe_of(system, x0)
    action_dim = int(getattr(system, "action_dim", 0))
    a = torch.zeros(len(x0), action_dim, dtype=x0.dtype) if action_dim else None
    checked = check_system(system, x0, a)
    if isinstance(checked.source, DifferentiableSDE) and checked.source.sde_type == "ito":
        return _TamedByHand(checked, grid, x0.dtype)
    return _Tamed(checked, grid, x0.dtype)


def _describe(tamed: LatentSDE, checked: CheckedSystem) -> None:
    tamed.dim, tamed.noise_dim, tamed.noise_type = checked.dim, checked.noise_dim, checked.noise_type
    tamed.action_dim = checked.action_dim
    facts = getattr(checked.source, "drift_facts", None)
    # A tamed drift is bounded; what explodes without taming is still said to.
    tamed.drift_facts = replace(facts, growth="linear") if facts is not None and facts.growth == "one-sided" else facts
    tamed.diffusion_facts = getattr(checked.source, "diffusion_facts", None)
    for name in ("noise_groups", "perturbed_start"):
        if hasattr(checked.source, name):
            setattr(tamed, name, getattr(checked.source, name))


def _bounded(f: Tensor, h: float) -> Tensor:
    """f / √(1 + h²|f|²), without overflow of the square: any constant may be taken out of f before and put back."""
    size = f.detach().abs().amax(-1, keepdim=True).clamp(min=1.0)
    scaled = f / size
    return scaled * torch.rsqrt(size**-2 + h**2 * (scaled * scaled).sum(-1, keepdim=True))


def _factor(f: Tensor, h: float) -> Tensor:
    """(1 + h²|f|²)^−½, for each path."""
    return torch.rsqrt(1.0 + h**2 * (f * f).sum(-1, keepdim=True))


@final
class _Tamed(LatentSDE):
    """A tamed system without derivatives of its own."""

    def __init__(self, checked: CheckedSystem, grid: TimeGrid, dtype: torch.dtype) -> None:
        super().__init__()
        # Held as a submodule where it is one, so that its parameters are found.
        self.source, self._checked, self._grid, self._dtype = checked.source, checked, grid, dtype
        _describe(self, checked)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.source, self._grid, self.dim, self._dtype)

    def f(self, t: Tensor, x: Tensor, a: Tensor | None = None) -> Tensor:
        """f / √(1 + h²|f|²)."""
        return _bounded(self._checked.drift(t, x, a), self._grid.h)

    def g(self, t: Tensor, x: Tensor, a: Tensor | None = None) -> Tensor:
        """The diffusion, unchanged."""
        return self._checked.diffusion(t, x, a)


@final
class _TamedByHand(DifferentiableSDE):
    """A tamed system whose derivatives follow from hand-written ones by the chain rule."""

    def __init__(self, checked: CheckedSystem, grid: TimeGrid, dtype: torch.dtype) -> None:
        super().__init__()
        self.source, self._checked = cast(DifferentiableSDE, checked.source), checked
        self._grid, self._dtype = grid, dtype
        _describe(self, checked)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.source, self._grid, self.dim, self._dtype)

    def f(self, t: Tensor, x: Tensor, *a: Tensor) -> Tensor:
        """f / √(1 + h²|f|²)."""
        return _bounded(self.source.f(t, x, *a), self._grid.h)

    def g(self, t: Tensor, x: Tensor, *a: Tensor) -> Tensor:
        """The diffusion, unchanged."""
        return self.source.g(t, x, *a)

    def f_jvp(self, t: Tensor, x: Tensor, *rest: Tensor) -> Tensor:
        """s Df v + Ds[v] f with s = (1 + h²|f|²)^−½ and Ds[v] = −h² s³ f·Df v."""
        *a, v = rest
        f, df = self.source.f(t, x, *a), self.source.f_jvp(t, x, *a, v)
        s = _factor(f, self._grid.h)
        return s * df + self._slope(s, f, df) * f

    def f_second(self, t: Tensor, x: Tensor, *rest: Tensor) -> Tensor:
        """s D²f + Ds[v] Df w + Ds[w] Df v + D²s[v, w] f."""
        *a, v, w = rest
        f, second = self.source.f(t, x, *a), self.source.f_second(t, x, *a, v, w)
        dv, dw = self.source.f_jvp(t, x, *a, v), self.source.f_jvp(t, x, *a, w)
        s, square = _factor(f, self._grid.h), self._grid.h**2
        bend = -square * s**3 * ((dv * dw).sum(-1, keepdim=True) + (f * second).sum(-1, keepdim=True))
        bend = bend + 3.0 * square**2 * s**5 * (f * dv).sum(-1, keepdim=True) * (f * dw).sum(-1, keepdim=True)
        return s * second + self._slope(s, f, dv) * dw + self._slope(s, f, dw) * dv + bend * f

    def g_jvp(self, t: Tensor, x: Tensor, *rest: Tensor) -> Tensor:
        """That of the diffusion."""
        return self.source.g_jvp(t, x, *rest)

    def g_second(self, t: Tensor, x: Tensor, *rest: Tensor) -> Tensor:
        """That of the diffusion."""
        return self.source.g_second(t, x, *rest)

    def _slope(self, s: Tensor, f: Tensor, df: Tensor) -> Tensor:
        return -(self._grid.h**2) * s**3 * (f * df).sum(-1, keepdim=True)


def _again(source: Any, grid: TimeGrid, dim: int, dtype: torch.dtype) -> LatentSDE:
    """A copy in another process: what was checked holds closures, so it is made anew."""
    return tame(source, grid, x0=torch.zeros(2, dim, dtype=dtype))
