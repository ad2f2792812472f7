"""What a system knows of its own constants."""

from collections.abc import Mapping
from typing import Any, Protocol

from ...constant import Certified
from ...dynamics.error import RepresentationError
from ...exceptions import InvalidArgument, Refused
from ...jacobian.box import Box
from ...jacobian.hull import Hull
from ...jacobian.stack import NetworkStack
from ..bounds.bound import CONSTANTS
from .stacked import stack_constants


class KnowsConstants(Protocol):
    """A system that can prove bounds of its own coefficients."""

    def certified(self, box: Box | None = None) -> Mapping[str, Certified]:
        """Bounds by the names of `CONSTANTS`, over all states or over a box; a name it cannot prove is left out."""


class KnowsNetworks(Protocol):
    """A system that is made of networks."""

    dim: int

    def drift_networks(self) -> NetworkStack | None:
        """Its drift as a stack of networks, or None."""

    def diffusion_networks(self) -> NetworkStack | None:
        """The entries of its diffusion that are not zero, each once, as a stack of networks, or None."""


class KnowsHull(Protocol):
    """A system whose Jacobians lie in the convex hull of a few matrices."""

    def jacobian_hull(self, box: Box | None = None) -> Hull:
        """The vertices, over all states or over a box."""


def certified_constants(system: Any, box: Box | None = None) -> dict[str, Certified]:
    """Whatever can be certified of a system: what it says of itself, and nothing else.

    A system may prove constants itself by a method `certified(box)` (see `KnowsConstants`), or say of which networks it
    is made (see `KnowsNetworks`); the networks are then bounded for all states, which also holds on a box.

    Args:
        system: any system, also a drift of one's own.
        box: (lower, upper), each a number or (dim,), or None for all states.

    Returns:
        Bounds by the names of `CONSTANTS`; empty where nothing is known, and for Stratonovich systems, whose Itô drift
        is another function.

    Raises:
        InvalidArgument: the system's method returns something else.

    Warning:
        That states stay in the box is not checked. Nor is what a system says of itself: `joined` with sampled constants
        refuses it where it is contradicted.

    Example:
        >>> from sdewm.drifts import DoubleWell
        >>> {name: constant.value for name, constant in certified_constants(DoubleWell()).items()}
        {'mu': 1.0, 'spectral': inf, 'frobenius': inf, 'diffusion': 0.3}
    """
    method = getattr(system, "certified", None)
    if getattr(system, "sde_type", "ito") != "ito":
        return {}
    if not callable(method):
        return _of_networks(system)
    found = method(box)
    name = type(system).__name__
    if not isinstance(found, Mapping):
        raise InvalidArgument(f"{name}.certified must return a mapping of names to Certified, got {found!r}.")
    for key, value in found.items():
        if key not in CONSTANTS or not isinstance(value, Certified):
            raise InvalidArgument(
                f"{name}.certified must give Certified values for names among {', '.join(CONSTANTS)}, got "
                f"{key!r}: {value!r}."
            )
    return dict(found)


def _of_networks(system: Any) -> dict[str, Certified]:
    stacks = [getattr(system, name, None) for name in ("drift_networks", "diffusion_networks")]
    drift, diffusion = (stack() if callable(stack) else None for stack in stacks)
    for stack in (drift, diffusion):
        if stack is not None and not isinstance(stack, NetworkStack):
            raise InvalidArgument(f"the networks of {type(system).__name__} must be a NetworkStack, got {stack!r}.")
    return stack_constants(drift, diffusion, int(getattr(system, "dim", 0)))


def certified_error(error: RepresentationError) -> dict[str, Certified]:
    """The constants of the parts that an error does not have: exact zeros.

    Example:
        >>> import torch
        >>> list(certified_error(RepresentationError(diffusion=lambda t, x: torch.ones_like(x))))
        ['drift_error', 'weighted_drift_error']
    """
    drift = ("drift_error", "weighted_drift_error") if error.drift is None else ()
    diffusion = ("diffusion_error", "diffusion_error_operator", "weighted_diffusion_error")
    absent = (*drift, *(diffusion if error.diffusion is None else ()))
    return {name: Certified(0.0, "the error has no such part", 0.0) for name in absent}


def hull_of(system: Any, box: Box | None = None) -> Hull:
    """The hull of a system's Jacobians, by its method `jacobian_hull`.

    Raises:
        Refused: it has none, or is a Stratonovich system.
        InvalidArgument: it returns something else, or has too many vertices.

    Example:
        >>> from sdewm.drifts import TanhNetwork
        >>> hull_of(TanhNetwork(dim=3)).drift.shape
        (8, 3, 3)
    """
    method = getattr(system, "jacobian_hull", None)
    name = type(system).__name__
    if not callable(method) or getattr(system, "sde_type", "ito") != "ito":
        raise Refused(f"{name} knows no hull of its Jacobians: pass a Hull, or give it a method jacobian_hull(box).")
    found = method(box)
    if not isinstance(found, Hull):
        raise InvalidArgument(f"{name}.jacobian_hull must return a Hull, got {found!r}.")
    return found
