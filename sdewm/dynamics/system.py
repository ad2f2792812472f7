"""Systems of stochastic differential equations, in torchsde's own convention."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor, nn

from ..exceptions import InvalidArgument, Refused, SdewmError
from ..hypothesis import Facts
from ..validation import TensorLike, integer, tensor
from .categorical import CategoricalMap
from .derivatives import directional

NOISE_TYPES = ("diagonal", "scalar", "additive", "general")
Field = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class LatentSDE(nn.Module, ABC):
    """dx = f(t, x) dt + g(t, x) dB, written exactly as torchsde wants it.

    A subclass sets `dim`, and where they differ from the defaults `noise_type`, `noise_dim` and `action_dim`, and
    defines `f` and `g`. It then works in torchsde, and every object written for torchsde works here.

    Attributes:
        dim: dimension of the state.
        noise_type: "diagonal" (g has shape (paths, dim)), or "scalar", "additive", "general" (g has shape
            (paths, dim, noise_dim)).
        sde_type: "ito" or "stratonovich".
        noise_dim: number of Brownian motions; for diagonal noise it is `dim`.
        action_dim: 0, or the number of inputs; then f and g take a third argument of shape (paths, action_dim).
        drift_facts, diffusion_facts: what the author declares of f and g (`Facts`), or None: then it is probed.

    Warning:
        That f and g treat every path (row) apart from the others is not checked.

    Example:
        >>> class Pull(LatentSDE):
        ...     dim = 1
        ...     def f(self, t, x): return -x
        ...     def g(self, t, x): return torch.ones_like(x)
        >>> Pull().f(torch.tensor(0.0), torch.ones(2, 1)).shape
        torch.Size([2, 1])
    """

    noise_type: str = "diagonal"
    sde_type: str = "ito"
    dim: int
    noise_dim: int | None = None
    action_dim: int = 0
    drift_facts: Facts | None = None
    diffusion_facts: Facts | None = None

    @abstractmethod
    def f(self, *args: Any, **kwargs: Any) -> Tensor:
        """Drift f(t, x), or f(t, x, a) with actions: (paths, dim)."""

    @abstractmethod
    def g(self, *args: Any, **kwargs: Any) -> Tensor:
        """Diffusion g(t, x), or g(t, x, a): (paths, dim) if diagonal, else (paths, dim, noise_dim)."""


class DifferentiableSDE(LatentSDE, ABC):
    """A system that brings hand-written first and second directional derivatives of f and g.

    They replace automatic differentiation in the variations. Shapes are those of f and g; v and w have shape
    (paths, dim). Here "diagonal" and "general" diffusions alike are differentiated entry by entry.
    """

    @abstractmethod
    def f_jvp(self, *args: Any, **kwargs: Any) -> Tensor:
        """Df(t, x) v, called as f_jvp(t, x, v)."""

    @abstractmethod
    def f_second(self, *args: Any, **kwargs: Any) -> Tensor:
        """D²f(t, x)[v, w], called as f_second(t, x, v, w)."""

    @abstractmethod
    def g_jvp(self, *args: Any, **kwargs: Any) -> Tensor:
        """Dg(t, x) v, called as g_jvp(t, x, v)."""

    @abstractmethod
    def g_second(self, *args: Any, **kwargs: Any) -> Tensor:
        """D²g(t, x)[v, w], called as g_second(t, x, v, w)."""


@final
@dataclass(frozen=True)
class CheckedSystem:
    """An Itô system whose shapes have been checked, with f and g always taking (t, x, a)."""

    drift: Field
    diffusion: Field
    dim: int
    noise_dim: int
    noise_type: str
    action_dim: int
    source: Any

    @property
    def diagonal(self) -> bool:
        """Whether g has shape (paths, dim)."""
        return self.noise_type == "diagonal"


def check_system(system: Any, x: Tensor, a: Tensor | None = None, time: float = 0.0) -> CheckedSystem:
    """Evaluate f and g once at (time, x, a) and return the system in one form, converted to Itô.

    A Stratonovich system dx = f dt + g ∘ dB becomes Itô by f + ½ Σ_k (Dg_k) g_k, with Dg_k by automatic
    differentiation; that costs `noise_dim` derivatives of g in each call.

    Args:
        system: a `LatentSDE`, or any object written for torchsde (f and g, or f_and_g, with noise_type and sde_type).
        x: states (paths, dim) at which the shapes are probed.
        a: actions (paths, action_dim), if the system takes them.
        time: time of the probe.

    Raises:
        InvalidArgument: an attribute or a shape is wrong.
        Refused: a Stratonovich diffusion that cannot be differentiated.
    """
    if isinstance(system, CategoricalMap):
        raise Refused("a CategoricalMap is no differential equation, and has no mean and scale; use simulate_coupled.")
    noise_type, sde_type = getattr(system, "noise_type", None), getattr(system, "sde_type", None)
    name = type(system).__name__
    if noise_type not in NOISE_TYPES:
        raise InvalidArgument(
            f"{name}.noise_type must be one of {', '.join(map(repr, NOISE_TYPES))}, got {noise_type!r}."
        )
    if sde_type not in ("ito", "stratonovich"):
        raise InvalidArgument(f"{name}.sde_type must be 'ito' or 'stratonovich', got {sde_type!r}.")
    action_dim = integer(f"{name}.action_dim", getattr(system, "action_dim", 0), least=0)
    _check_actions(name, action_dim, a)
    dim = getattr(system, "dim", None)
    dim = dim if isinstance(dim, int) else None
    if dim is not None and x.shape[-1] != dim:
        raise InvalidArgument(f"x0 must have {dim} columns, the dim of {name}, got shape {tuple(x.shape)}.")
    drift, diffusion = _fields(system, name, bool(action_dim))
    t = torch.tensor(time, dtype=x.dtype, device=x.device)
    f, g = _evaluate(name, "f", drift, t, x, a), _evaluate(name, "g", diffusion, t, x, a)
    paths, dim = x.shape
    if f.shape != x.shape:
        raise InvalidArgument(f"{name}.f must return shape (paths, dim) = {(paths, dim)}, got {tuple(f.shape)}.")
    if noise_type == "diagonal":
        if g.shape != x.shape:
            raise InvalidArgument(
                f"{name}.g must return shape (paths, dim) = {(paths, dim)} for diagonal noise, got {tuple(g.shape)}."
            )
        noise_dim = dim
    else:
        if g.ndim != 3 or g.shape[:2] != x.shape:
            raise InvalidArgument(
                f"{name}.g must return shape (paths, dim, noise_dim) = ({paths}, {dim}, m) for {noise_type} noise, "
                f"got {tuple(g.shape)}."
            )
        noise_dim = int(g.shape[2])
        if noise_type == "scalar" and noise_dim != 1:
            raise InvalidArgument(f"{name}.g must have one column for scalar noise, got {noise_dim}.")
    stated = getattr(system, "noise_dim", None)
    if isinstance(stated, int) and stated != noise_dim:
        raise InvalidArgument(f"{name}.noise_dim is {stated}, but g has {noise_dim} columns; make them equal.")
    for label, value in (("f", f), ("g", g)):
        if value.dtype != x.dtype:
            raise InvalidArgument(
                f"{name}.{label} returned {value.dtype} for a state of {x.dtype}; convert the system or pass x0 in its "
                f"dtype."
            )
    if noise_type == "additive":
        elsewhere = diffusion(t, x + 1.0, a)
        if bool(torch.isfinite(elsewhere).all()) and not torch.equal(g, elsewhere):
            raise InvalidArgument(
                f"{name}.noise_type is 'additive', but g depends on the state; make it 'general', or 'diagonal' "
                f"with g of shape (paths, dim)."
            )
    drift, diffusion = _guarded(name, "f", drift, f.shape[1:]), _guarded(name, "g", diffusion, g.shape[1:])
    checked = CheckedSystem(drift, diffusion, dim, noise_dim, str(noise_type), action_dim, system)
    return checked if sde_type == "ito" else _ito(checked, t, x, a)


def system_dtype(system: Any) -> torch.dtype:
    """The dtype a system computes in: that of its parameters or buffers, else float64."""
    if isinstance(system, nn.Module):
        for tensor in (*system.parameters(), *system.buffers()):
            if tensor.is_floating_point():
                return tensor.dtype
    return torch.float64


def probe_of(system: Any, x0: TensorLike | None) -> Tensor:
    """States at which shapes are probed: those that are given, or zeros where the system states its `dim`.

    Raises:
        InvalidArgument: neither is there.
    """
    if x0 is not None:
        return x0 if isinstance(x0, Tensor) else tensor("x0", x0).to(system_dtype(system))
    dim = getattr(system, "dim", None)
    if not isinstance(dim, int):
        raise InvalidArgument(f"x0 is needed: {type(system).__name__} has no attribute dim; pass a state.")
    tensors = (*system.parameters(), *system.buffers()) if isinstance(system, nn.Module) else ()
    place = tensors[0].device if tensors else None
    return torch.zeros(2, dim, dtype=system_dtype(system), device=place)


def _check_actions(name: str, action_dim: int, a: Tensor | None) -> None:
    if action_dim and a is None:
        raise InvalidArgument(f"{name} takes actions of dimension {action_dim}: pass actions=(steps, {action_dim}).")
    if a is not None and a.shape[-1] != action_dim:
        raise InvalidArgument(f"actions must have {action_dim} columns, the action_dim of {name}, got {a.shape[-1]}.")


def _fields(system: Any, name: str, actions: bool) -> tuple[Field, Field]:
    f, g, both = (getattr(system, key, None) for key in ("f", "g", "f_and_g"))
    if callable(both):
        f = f or (lambda *args: _pair(name, both(*args))[0])
        g = g or (lambda *args: _pair(name, both(*args))[1])
    if not callable(f) or not callable(g):
        raise InvalidArgument(
            f"{name} must define f(t, x) and g(t, x), or f_and_g(t, x), as torchsde asks{other_names(system)}."
        )
    if actions:
        return f, g
    return (lambda t, x, a: f(t, x)), (lambda t, x, a: g(t, x))


def other_names(system: Any) -> str:
    """What to do with an object that torchsde takes by other names, as a clause; empty for anything else."""
    if any(hasattr(system, name) for name in ("g_prod", "f_and_g_prod")):
        return "; of a product g_prod the columns of the noise are not known: write g itself"
    if hasattr(system, "noise_type"):
        return "; where they are called otherwise (torchsde's names=), name them f and g as well, as in f = h"
    return ""


def _pair(name: str, value: Any) -> Any:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        given = f"{len(value)} values" if isinstance(value, (tuple, list)) else type(value).__name__
        raise InvalidArgument(f"{name}.f_and_g must return the pair (f, g), got {given}.")
    return value


def _evaluate(name: str, label: str, field: Field, t: Tensor, x: Tensor, a: Tensor | None) -> Tensor:
    try:
        value = field(t, x, a)
    except SdewmError:
        raise
    except (RuntimeError, LookupError, TypeError, AttributeError, ValueError) as error:
        first_line = str(error).partition("\n")[0].rstrip(".")
        raise InvalidArgument(
            f"{name}.{label} failed on a state of shape {tuple(x.shape)} and {x.dtype}; check both: {first_line}."
        ) from error
    if not isinstance(value, Tensor):
        raise InvalidArgument(f"{name}.{label} must return a tensor, got {type(value).__name__}.")
    return value


def _guarded(name: str, label: str, field: Field, tail: torch.Size) -> Field:
    """The field with its shape and dtype checked at every call: a wrong shape would broadcast in silence."""

    def guarded(t: Tensor, x: Tensor, a: Tensor | None) -> Tensor:
        value = field(t, x, a)
        if not isinstance(value, Tensor) or value.shape != (len(x), *tail) or value.dtype != x.dtype:
            got = f"{tuple(value.shape)} and {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
            raise InvalidArgument(
                f"{name}.{label} must return shape {(len(x), *tail)} and {x.dtype} at all times, got {got} at "
                f"t = {float(t):g}."
            )
        return value

    return guarded


def _ito(system: CheckedSystem, t: Tensor, x: Tensor, a: Tensor | None) -> CheckedSystem:
    def correction(t: Tensor, x: Tensor, a: Tensor | None) -> Tensor:
        def g(y: Tensor) -> Tensor:
            return system.diffusion(t, y, a)

        value = g(x)
        if system.diagonal:
            unit = torch.eye(system.dim, dtype=x.dtype, device=x.device)
            slopes = [directional(g, x, value * unit[k])[:, k] for k in range(system.dim)]
            return 0.5 * torch.stack(slopes, dim=1)
        return 0.5 * sum(
            (directional(g, x, value[:, :, k])[:, :, k] for k in range(system.noise_dim)), torch.zeros_like(x)
        )

    if system.noise_type == "additive":
        # g does not depend on x, so both readings agree.
        return system
    try:
        correction(t, x, a)
    except (RuntimeError, NotImplementedError) as error:
        raise Refused(
            f"{type(system.source).__name__} is Stratonovich and its g cannot be differentiated ({error}); "
            f"write it in Itô form with sde_type = 'ito'."
        ) from error
    return replace(system, drift=lambda t, x, a: system.drift(t, x, a) + correction(t, x, a))
