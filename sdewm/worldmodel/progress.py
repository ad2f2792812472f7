"""The state of a training on disk: all that its next gradient step depends on, and what it belongs to."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from ..exceptions import InvalidArgument
from .checkpoint import differing, read_tensors, write_tensors
from .episodes import Episodes
from .injection import Injection
from .model import WorldModel
from .regularise import Penalty
from .settings import Settings

FORMAT = "sdewm training 1"
_HASH = hashlib.sha256().digest_size * 2


@final
@dataclass(frozen=True, eq=False)
class Progress:
    """A training after `step` gradient steps.

    Attributes:
        step: gradient steps that were taken.
        seconds: processor time that they took.
        weights: the model's `state_dict`.
        first, second: Adam's moments, by the names of the parameters.
        history: (step, parts).
        covariance: the running covariance of the states, or None.
    """

    step: int
    seconds: float
    weights: Mapping[str, Tensor]
    first: Mapping[str, Tensor]
    second: Mapping[str, Tensor]
    history: Tensor
    covariance: Tensor | None


def configuration(
    model: WorldModel,
    episodes: Episodes,
    settings: Settings,
    seed: int,
    injection: Injection | None,
    penalty: Penalty | None,
) -> dict[str, Any]:
    """What a training is a function of, as plain JSON values; the model has its first weights."""
    return {
        "model": type(model).__name__,
        "architecture": asdict(model.architecture),
        "settings": asdict(settings),
        "injection": None if injection is None else asdict(injection),
        "penalty": None if penalty is None else asdict(penalty),
        "seed": seed,
        "data": episodes_digest(episodes),
        "first weights": tensors_digest(model.state_dict()),
    }


def write_progress(path: Path, progress: Progress, made: Mapping[str, Any]) -> None:
    """Write a training to `path`, whole or not at all.

    Raises:
        InvalidArgument: the file cannot be written.
    """
    tensors = {f"weights/{name}": value for name, value in progress.weights.items()}
    tensors |= {f"first/{name}": value for name, value in progress.first.items()}
    tensors |= {f"second/{name}": value for name, value in progress.second.items()}
    tensors["history"] = progress.history
    if progress.covariance is not None:
        tensors["covariance"] = progress.covariance
    words = {"format": FORMAT, "step": str(progress.step), "seconds": repr(progress.seconds)}
    write_tensors(path, tensors, {**words, "configuration": json.dumps(made, sort_keys=True)})


def read_progress(path: Path, made: Mapping[str, Any]) -> Progress:
    """The training that `write_progress` wrote, if it is the one that is asked for.

    Raises:
        InvalidArgument: the file is damaged, or it holds another training; what differs is named.
    """
    what = "a readable checkpoint of a training"
    tensors, words = read_tensors(path, what)
    if words.get("format") != FORMAT:
        raise InvalidArgument(f"{path} is not {what}: its format is {words.get('format')!r} and not {FORMAT!r}.")
    try:
        written = json.loads(words["configuration"])
        step, seconds = int(words["step"]), float(words["seconds"])
        history = tensors["history"]
        if not isinstance(written, dict) or not math.isfinite(seconds):
            raise ValueError("they are of another kind")
    except (KeyError, ValueError, RecursionError) as error:
        raise InvalidArgument(f"{path} is not {what}: its words are damaged ({error}).") from error
    check_same(path, made, written)
    groups: dict[str, dict[str, Tensor]] = {"weights": {}, "first": {}, "second": {}}
    for name, value in tensors.items():
        group, _, rest = name.partition("/")
        if group in groups:
            groups[group][rest] = value
    if step < 1 or len(history) != step or groups["first"].keys() != groups["second"].keys():
        raise InvalidArgument(f"{path} is not {what}: its parts do not fit each other.")
    bad = [name for name, value in tensors.items() if not value.isfinite().all()]
    if bad:
        raise InvalidArgument(f"{path} is not {what}: numbers in {', '.join(bad[:4])} are not finite.")
    covariance = tensors.get("covariance")
    return Progress(step, seconds, groups["weights"], groups["first"], groups["second"], history, covariance)


def check_same(path: Path, made: Mapping[str, Any], written: Mapping[str, Any]) -> None:
    """Refuse a file whose configuration is not the one that is asked for.

    Raises:
        InvalidArgument: they differ; how is said.
    """
    asked = json.loads(json.dumps(made))
    if written != asked:
        raise InvalidArgument(
            f"{path} holds another training: {differing(*_side_by_side(asked, written))}; name another file, or "
            f"ask for the training that it holds."
        )


def episodes_digest(episodes: Episodes) -> str:
    """A hash of all numbers of some episodes, and of their shapes."""
    names = ("observations", "actions", "rewards", "continues")
    return tensors_digest({name: value for name in names if (value := getattr(episodes, name)) is not None})


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """A hash of some tensors, their names, kinds and shapes."""
    digest = hashlib.sha256()
    for name, value in tensors.items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
        flat = value.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _side_by_side(asked: Mapping[str, Any], written: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What differs of two configurations, flat, so that a sentence can name it."""
    flat: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for name in dict.fromkeys((*asked, *written)):
        both = all(isinstance(each.get(name), dict) for each in (asked, written))
        for result, each in zip(flat, (asked, written), strict=True):
            if both:
                result |= {f"{name}.{key}": value for key, value in each[name].items()}
            elif name in each:
                value = each[name]
                # Of a hash its beginning says enough.
                result[name] = f"{value[:12]}…" if isinstance(value, str) and len(value) == _HASH else value
    for name in flat[0].keys() & flat[1].keys():
        if flat[0][name] == flat[1][name]:
            del flat[0][name], flat[1][name]
    return flat
