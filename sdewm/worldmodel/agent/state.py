"""The state of an agent's training on disk: all that its next episode depends on, and what it belongs to."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...exceptions import InvalidArgument
from ..checkpoint import read_tensors, write_tensors
from ..progress import check_same
from ..train import alike

FORMAT = "sdewm agent training 1"
_WHAT = "a readable checkpoint of an agent's training"


class State(NamedTuple):
    """A training after some episodes and the gradient steps that were due.

    Attributes:
        tensors: by name.
        step: gradient steps that were taken.
        seconds: processor time that it took.
    """

    tensors: Mapping[str, Tensor]
    step: int
    seconds: float


def write_state(path: Path, state: State, made: Mapping[str, Any]) -> None:
    """Write a training to `path`, whole or not at all.

    Raises:
        InvalidArgument: the file cannot be written.
    """
    words = {"format": FORMAT, "step": str(state.step), "seconds": repr(state.seconds)}
    write_tensors(path, state.tensors, {**words, "configuration": json.dumps(made, sort_keys=True)})


def read_state(path: Path, made: Mapping[str, Any]) -> State:
    """The training that `write_state` wrote, if it is the one that is asked for.

    Raises:
        InvalidArgument: the file is damaged, or it holds another training; what differs is named.
    """
    tensors, words = read_tensors(path, _WHAT)
    if words.get("format") != FORMAT:
        raise InvalidArgument(f"{path} is not {_WHAT}: its format is {words.get('format')!r} and not {FORMAT!r}.")
    try:
        written, step, seconds = json.loads(words["configuration"]), int(words["step"]), float(words["seconds"])
        if not isinstance(written, dict) or not math.isfinite(seconds) or step < 1:
            raise ValueError("they are of another kind")
    except (KeyError, ValueError, RecursionError) as error:
        raise InvalidArgument(f"{path} is not {_WHAT}: its words are damaged ({error}).") from error
    check_same(path, made, written)
    bad = [name for name, value in tensors.items() if not value.isfinite().all()]
    if bad:
        raise InvalidArgument(f"{path} is not {_WHAT}: numbers in {', '.join(bad[:4])} are not finite.")
    return State(tensors, step, seconds)


def check_alike(path: Path, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Refuse tensors of other names, shapes or kinds than those of the training.

    Raises:
        InvalidArgument: they differ.
    """
    if not alike(wanted, found):
        raise InvalidArgument(f"{path} is not {_WHAT}: its tensors are not those of the training that it says.")


def moments_of(optimiser: torch.optim.Optimizer, named: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Adam's moments and counts by the names of the parameters; zeros where no step was taken."""
    result = {}
    for name, p in named.items():
        state = optimiser.state.get(p, {})
        zero = torch.zeros_like(p).detach()
        result[f"{prefix}/first/{name}"] = state.get("exp_avg", zero)
        result[f"{prefix}/second/{name}"] = state.get("exp_avg_sq", zero)
        result[f"{prefix}/steps/{name}"] = torch.as_tensor(state.get("step", 0.0)).float().reshape(())
    return result


def take_moments(
    optimiser: torch.optim.Optimizer, named: Mapping[str, Tensor], prefix: str, tensors: Mapping[str, Tensor]
) -> None:
    """Give an optimiser the moments of `moments_of` back."""
    for name, p in named.items():
        # In the strides of the parameter, which may be channels-last: the fused kernel takes them for granted.
        first, second = (
            torch.empty_like(p).detach().copy_(tensors[f"{prefix}/{which}/{name}"]) for which in ("first", "second")
        )
        steps = tensors[f"{prefix}/steps/{name}"].to(p.device).clone()
        if float(steps) > 0.0:
            optimiser.state[p] = {"step": steps, "exp_avg": first, "exp_avg_sq": second}
