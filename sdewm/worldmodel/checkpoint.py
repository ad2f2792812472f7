"""Saving and loading a `NeuralSDE`, as safetensors: plain numbers, no code."""

import json
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..exceptions import InvalidArgument
from .neural_sde import Architecture, NeuralSDE

FORMAT = "sdewm neural sde 1"


def save(model: NeuralSDE, path: str | Path) -> None:
    """Write the weights, the units and the architecture to `path`."""
    metadata = {"format": FORMAT, "architecture": json.dumps(asdict(model.architecture))}
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, str(path), metadata)


def load(path: str | Path) -> NeuralSDE:
    """The model that `save` wrote to `path`.

    Raises:
        InvalidArgument: there is no such file, or it is not a model of this format.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise InvalidArgument(f"{path} must hold a model of format {FORMAT!r}, got {metadata.get('format')!r}.")
            model = NeuralSDE(Architecture(**json.loads(metadata["architecture"])))
            model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, RuntimeError) as error:
        raise InvalidArgument(f"{path} is not a readable model: {error}") from error
    return model
