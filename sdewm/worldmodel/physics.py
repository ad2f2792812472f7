"""A dm_control environment whose physics is changed by factors."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..exceptions import InvalidArgument, Refused
from ..validation import not_negative, positive

# What a factor multiplies. Inertia goes with mass: the density of every body changes, and its shape does not.
FACTORS: dict[str, tuple[str, ...]] = {
    "mass": ("body_mass", "body_inertia"),
    "damping": ("dof_damping",),
    "gravity": ("opt.gravity",),
    "friction": ("geom_friction", "pair_friction"),
    "gear": ("actuator_gear",),
}


def checked_factors(factors: Mapping[str, float] | None) -> dict[str, float]:
    """`factors` as floats.

    Raises:
        InvalidArgument: a name is unknown, a factor is negative, or that of the mass is zero.
    """
    if factors is None:
        return {}
    if not isinstance(factors, Mapping) or not set(factors) <= set(FACTORS):
        raise InvalidArgument(f"physics must map some of {', '.join(map(repr, FACTORS))} to factors, got {factors!r}.")
    result = {}
    for name, value in factors.items():
        result[name] = (positive if name == "mass" else not_negative)(f"physics[{name!r}]", value)
    return result


def scale_physics(physics: Any, factors: Mapping[str, float]) -> None:
    """Multiply arrays of a dm_control physics' model in place; call `reset` afterwards.

    Args:
        physics: of one environment; others do not share its model.
        factors: from `checked_factors`: "mass" (with inertia), "damping" of the joints, "gravity", sliding, torsional
            and rolling "friction" of contacts, "gear" of the actuators, so the strength of motors.

    Raises:
        Refused: a factor would change nothing, for the model has no such force.

    Warning:
        Whether a contact ever happens, so that friction matters, is not checked.
    """
    import mujoco

    model, data = physics.model.ptr, physics.data.ptr
    for name in factors:
        if not _matters(mujoco, model, name):
            raise Refused(f"physics[{name!r}] would change nothing: this task has no {name} that acts on its joints.")
    for name, factor in factors.items():
        for path in FACTORS[name]:
            array = _array(model, path)
            array[:] = array * factor
    # Inertias at rest, and what the solver of contacts derives from them, are constants of the model.
    mujoco.mj_setConst(model, data)


def _array(model: Any, path: str) -> Any:
    for part in path.split("."):
        model = getattr(model, part)
    return model


def _matters(mujoco: Any, model: Any, name: str) -> bool:
    if name == "friction" and model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_CONTACT:
        return False
    if name == "gravity":
        # At rest the bias force is gravity's alone.
        data, random = mujoco.MjData(model), np.random.RandomState(0)
        data.qpos[:] = data.qpos + random.uniform(-1.0, 1.0, model.nq)
        mujoco.mj_forward(model, data)
        return bool(np.abs(data.qfrc_bias).max() > 1e-12)
    return any(bool(np.any(_array(model, path))) for path in FACTORS[name])
