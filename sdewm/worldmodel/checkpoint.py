"""Saving and loading world models, as safetensors: plain numbers, no code."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..exceptions import InvalidArgument
from ..run.store import write_whole
from .model import WorldModel
from .neural_sde import Architecture, NeuralSDE
from .rssm import RSSM, RSSMArchitecture

FORMAT = "sdewm world model 1"
# A file may claim room that it does not take on the disk, but would take in memory.
LARGEST = 1 << 31
# What a file of this format holds is a NeuralSDE.
_FIRST_FORMAT = "sdewm neural sde 1"
# For each kind its architecture and its class; a kind is a word in files, and never changes.
KINDS: dict[str, tuple[type[Any], Callable[[Any], Any]]] = {
    "neural sde": (Architecture, NeuralSDE),
    "rssm": (RSSMArchitecture, RSSM),
}


def save(model: WorldModel, path: str | Path) -> None:
    """Write the weights, the units and the architecture to `path`, whole or not at all.

    Raises:
        InvalidArgument: the model is of no kind that `load` can make, or the file cannot be written.
    """
    write_tensors(path, model.state_dict(), {"format": FORMAT, **words_of(model)})


def words_of(model: WorldModel) -> dict[str, str]:
    """The words of a file from which, with the tensors, `built_from` makes the model again.

    Raises:
        InvalidArgument: the model is of no kind that it can make.
    """
    return {"kind": kind_of(model), "architecture": json.dumps(asdict(model.architecture))}


def load(path: str | Path) -> Any:
    """The model that `save` wrote to `path`, in its dtype, on the CPU.

    Nothing is allocated for sizes that the file claims and its tensors do not have.

    Raises:
        InvalidArgument: there is no such file, it is damaged, it is not a model of this format, or its tensors are not
            those of its architecture.
    """
    tensors, metadata = read_tensors(path, "a readable model")
    written = metadata.get("format")
    if written not in (FORMAT, _FIRST_FORMAT):
        raise InvalidArgument(f"{path} must hold a model of format {FORMAT!r}, got {written!r}.")
    return built_from(path, tensors, metadata)


def built_from(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Any:
    """The model that tensors and words of a file stand for; arguments as `read_tensors` gives them.

    Raises:
        InvalidArgument: the tensors are not those of the architecture, or not finite, or there is no such kind.
    """
    kind = metadata.get("kind", "neural sde")
    if kind not in KINDS:
        known = ", ".join(map(repr, KINDS))
        raise InvalidArgument(f"{path} must hold a model of a kind among {known}, got {kind!r}.")
    make, build = KINDS[kind]
    architecture = _architecture(path, make, metadata.get("architecture", ""), _numbers(tensors))
    try:
        with torch.device("meta"), _Shapes():
            wanted = {name: tuple(value.shape) for name, value in build(architecture).state_dict().items()}
    except (RuntimeError, ValueError, OverflowError, MemoryError) as error:
        raise InvalidArgument(f"{path} holds an architecture that cannot be built: {_line(error)}.") from error
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    if found != wanted:
        raise InvalidArgument(f"{path} holds tensors of another architecture than it says: {differing(wanted, found)}.")
    dtypes = {value.dtype for value in tensors.values()}
    if len(dtypes) != 1 or not all(dtype.is_floating_point for dtype in dtypes):
        raise InvalidArgument(f"{path} must hold floating-point numbers of one kind, got {sorted(map(str, dtypes))}.")
    bad = [name for name, value in tensors.items() if not value.isfinite().all()]
    if bad:
        raise InvalidArgument(f"{path} holds numbers that are not finite, in {', '.join(bad)}; train the model again.")
    model = build(architecture).to(*dtypes)
    model.load_state_dict(dict(tensors))
    return model


def kind_of(model: WorldModel) -> str:
    """The word for a model's class in files.

    Raises:
        InvalidArgument: it is not a class of this package.
    """
    for kind, (_, build) in KINDS.items():
        if type(model) is build:
            return kind
    known = ", ".join(build.__name__ for _, build in KINDS.values())
    raise InvalidArgument(f"model must be one of {known}, got {type(model).__name__}; save its state_dict yourself.")


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and words to `path`, whole or not at all.

    Raises:
        InvalidArgument: the file cannot be written.
    """
    from safetensors.torch import save as to_bytes  # here, so that importing the package stays quick

    data = to_bytes({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, dict(metadata))
    place = file_path(path)
    if place.is_dir():
        raise InvalidArgument(f"{path} must be a file, but it is a directory; name a file in it.")
    try:
        write_whole(place, data)
    except OSError as error:
        raise InvalidArgument(f"{path} cannot be written: {_line(error)}.") from error


def read_tensors(path: str | Path, what: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the words of a file, all on the CPU.

    Raises:
        InvalidArgument: there is no such file, it is not whole, or it is larger than `LARGEST` bytes.
    """
    from safetensors import SafetensorError, safe_open

    place = file_path(path)
    if not place.is_file():
        # A pipe, for instance, would never end.
        kinds = {place.is_dir(): "it is a directory", not place.exists(): "there is no such file"}
        raise InvalidArgument(f"{path} is not {what}: {kinds.get(True, 'it is no file')}.")
    if place.stat().st_size > LARGEST:
        raise InvalidArgument(f"{path} is not {what}: it has more than {LARGEST >> 20} MiB.")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = dict(file.metadata() or {})
            # A copy, which does not change when somebody writes into the file.
            return {name: file.get_tensor(name).clone() for name in file.keys()}, metadata  # noqa: SIM118
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise InvalidArgument(f"{path} is not {what}: {_line(error)}.") from error


def file_path(path: str | Path) -> Path:
    """`path` as a path that the file system can look for.

    Raises:
        InvalidArgument: it is not a path, or no file can be called so.
    """
    try:
        place = Path(path)
        # A name that is too long, or has a zero byte in it, is refused here.
        place.stat()
    except (FileNotFoundError, NotADirectoryError):
        return place
    except (OSError, TypeError, ValueError) as error:
        raise InvalidArgument(f"path must name a file, got {path!r}: {_line(error)}.") from error
    return place


def differing(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """What is missing, what is too much and what differs, in words."""
    missing = sorted(wanted.keys() - found.keys())
    extra = sorted(found.keys() - wanted.keys())
    other = [f"{k} is {found[k]} and not {wanted[k]}" for k in wanted if k in found and found[k] != wanted[k]]
    parts = [f"{', '.join(missing[:4])} missing"] if missing else []
    parts += [f"{', '.join(extra[:4])} too much"] if extra else []
    return "; ".join([*parts, *other[:4]])


def _architecture(path: str | Path, make: type[Any], text: str, numbers: int) -> Any:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{path} holds an architecture that is not JSON.") from error
    names = {field.name for field in fields(make)}
    if not isinstance(values, dict) or not values.keys() <= names:
        extra = sorted(values.keys() - names) if isinstance(values, dict) else [type(values).__name__]
        raise InvalidArgument(f"{path} holds an architecture with unknown entries: {', '.join(extra[:4])}.")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    for name, value in values.items():
        for each in value if isinstance(value, tuple) else (value,):
            # Whatever is counted has a number in the file; so no loop over layers is long either.
            if isinstance(each, int) and abs(each) > numbers:
                raise InvalidArgument(f"{path} holds {numbers} numbers, too few for an architecture of {name}={each}.")
    try:
        return make(**values)
    except (TypeError, InvalidArgument) as error:
        raise InvalidArgument(f"{path} holds an architecture that is none: {_line(error)}.") from error


def _numbers(tensors: Mapping[str, Tensor]) -> int:
    return sum(value.numel() for value in tensors.values())


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")


@final
class _Shapes(TorchFunctionMode):
    """Inside, every tensor has a shape and no memory, also those that ask for a device."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        changed = dict(kwargs or {})
        if changed.get("device") is not None:
            changed["device"] = "meta"
        # A generator of the CPU does not fill tensors without memory.
        changed.pop("generator", None)
        return cast(Any, func)(*args, **changed)
