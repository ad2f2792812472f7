"""The derivative of a simulated path in the parameters of its system."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn

from ..exceptions import InvalidArgument, Refused
from .derivatives import check_derivative, curve_derivatives
from .member import Member, State
from .perturbed import PerturbedSDE


class Sensitive(NamedTuple):
    """A state and its derivative in the parameters along the direction, each (paths, dim)."""

    x: Tensor
    slope: Tensor


@final
@dataclass(frozen=True)
class Sensitivity:
    """A member of a coupled simulation: x with dx/ds, where the parameters of the system are θ + s · direction.

    It is the derivative of the discrete step, path by path and with the noise held fixed: what differentiating through
    the simulation gives, without keeping a graph of it.

    Args:
        system: a `LatentSDE` or any torchsde SDE that is a `torch.nn.Module`, or `perturb` of one.
        direction: from the name of a parameter (as in `named_parameters` of the unperturbed system) to a tensor of its
            shape, or a number where it is a scalar.

    Raises:
        InvalidArgument: there is no such parameter, or a shape is wrong.

    Example:
        >>> from sdewm import TimeGrid, simulate_coupled
        >>> from sdewm.dynamics import LatentSDE
        >>> class Pull(LatentSDE):
        ...     dim = 1
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.a = nn.Parameter(torch.tensor(-1.0, dtype=torch.float64))
        ...     def f(self, t, x): return self.a * x
        ...     def g(self, t, x): return torch.zeros_like(x)
        >>> run = simulate_coupled([Sensitivity(Pull(), {"a": 1.0})], 1.0, TimeGrid(1.0, 1), paths=1)
        >>> float(run[0][1].final)  # of the Euler step 1 + a h
        1.0
    """

    system: Any
    direction: Mapping[str, Tensor | float]
    _module: nn.Module = field(init=False, repr=False)

    def __post_init__(self) -> None:
        module = self.system.base if isinstance(self.system, PerturbedSDE) else self.system
        if not isinstance(module, nn.Module):
            raise InvalidArgument(f"system must be a torch.nn.Module with parameters, got {type(module).__name__}.")
        parameters = dict(module.named_parameters())
        if not self.direction:
            raise InvalidArgument("direction is empty: name at least one parameter.")
        for name, along in self.direction.items():
            if name not in parameters:
                known = ", ".join(parameters) or "none"
                raise InvalidArgument(f"direction names {name!r}, which is no parameter of the system; it has {known}.")
            shape = tuple(torch.as_tensor(along).shape)
            if shape != tuple(parameters[name].shape):
                wanted = tuple(parameters[name].shape)
                raise InvalidArgument(f"direction of {name!r} must have shape {wanted}, got {shape}.")
        object.__setattr__(self, "_module", module)


Parameters = Mapping[str, Tensor]

_EXCHANGE = threading.RLock()


@final
class _Call(nn.Module):
    """A function that uses a module's parameters, in the form in which torch can exchange them."""

    def __init__(self, module: nn.Module, function: Callable[..., State]) -> None:
        super().__init__()
        self.module, self.function = module, function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def sensitivity_member(member: Sensitivity, inner: Member, probe: Tensor, a: Tensor | None) -> Member:
    """The member in the engine's form, from that of its system."""
    call = _Call(member._module, inner.advance)
    fixed = {name: member._module.get_parameter(name).detach() for name in member.direction}
    along = {name: torch.as_tensor(v, dtype=fixed[name].dtype) for name, v in member.direction.items()}

    def step(parameters: Parameters, n: int, x: Tensor, noise: tuple[Tensor, ...], a: Tensor | None) -> Tensor:
        exchanged = {f"module.{name}": value for name, value in parameters.items()}
        # The exchange is made in the module itself, which other threads use as well.
        with _EXCHANGE:
            result: State = torch.func.functional_call(call, exchanged, (n, (x,), noise, a))
        return result[0]

    def moved(s: Tensor) -> Parameters:
        return {name: fixed[name] + s.to(fixed[name].dtype) * along[name] for name in fixed}

    def advance(n: int, state: State, noise: tuple[Tensor, ...], a: Tensor | None) -> State:
        x, slope = state
        value, first, _ = curve_derivatives(lambda s: step(moved(s), n, x + s * slope, noise, a), x, order=1)
        return value, first

    # In the first step, with all normals one: a parameter that is detached inside would silently count for nothing.
    ones = tuple(probe.new_ones(len(probe), width) for _, width in inner.noise)
    (begin,) = inner.start(probe, 0)
    for name in fixed:
        _check_connected(name, fixed[name], lambda value, name=name: step({name: value}, 0, begin, ones, a))  # type: ignore[misc]
    check_derivative(
        "a step by the parameters", lambda s: step(moved(s[0, 0]), 0, begin, ones, a), probe.new_zeros(1, 1)
    )

    def start(x: Tensor, first: int) -> State:
        (begin,) = inner.start(x, first)
        return begin, torch.zeros_like(begin)

    return Member(inner.noise, start, advance, lambda state: Sensitive(*state))


def _check_connected(name: str, value: Tensor, step: Callable[[Tensor], Tensor]) -> None:
    """A parameter on which a step depends must be seen to: a finite difference of one step may be too small to tell."""
    with torch.enable_grad():
        leaf = value.clone().requires_grad_()
        result = step(leaf)
        if result.requires_grad and torch.autograd.grad(result.sum(), leaf, allow_unused=True)[0] is not None:
            return
    for factor in (1.01, 2.0):
        if not torch.equal(step(value), step(factor * value + (factor - 1.0))):
            raise Refused(
                f"a step depends on the parameter {name!r}, but is not differentiable in it; leave out no_grad, detach "
                f"and item() on the way."
            )
