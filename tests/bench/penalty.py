"""What a Jacobian penalty adds to a training step: `python tests/bench/penalty.py [--smoke] [--json FILE]`.

A training step is forward and backward of a map with a mean squared error; the unit is such a step without a penalty,
in the same run. CPU time of one thread, the least of several repetitions, all cases in turn within each repetition.

"products" counts multiplications in matrix products, in units of the map's forward pass: a plain step takes one forward
and one or two backward (two where x has a gradient), so that what a case costs beyond them is element-wise work.
"one probe" is the default: forward where x is plain, reverse where it has a gradient.
"noise" is the standard deviation of the penalty over draws, relative to its mean.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from torch.utils._python_dispatch import TorchDispatchMode

from sdewm.dynamics.brownian import generator
from sdewm.jacobian import GRUMap, jacobian_penalty, step_and_penalty

INPUTS = 30
WEIGHT = 0.1
Case = Callable[[Tensor], Tensor]
OPTIONS: dict[str, dict[str, Any]] = {
    "one probe": {},
    "one probe, half the batch": {"share": 0.5},
    "one probe, forward": {"mode": "forward"},
    "one probe, forward, independent": {"mode": "forward", "design": "independent"},
    "one probe, reverse": {"mode": "reverse"},
}


def penalised(step: Callable[[Tensor], Tensor], target: Tensor, **options: Any) -> Case:
    """A training loss with a penalty, both from one evaluation of the step."""

    def loss(x: Tensor) -> Tensor:
        y, penalty = step_and_penalty(step, x, **options)
        return mse_loss(y, target) + WEIGHT * penalty

    return loss


def cases(hidden: int, paths: int) -> dict[str, tuple[torch.nn.Module, Tensor, dict[str, Case], dict[str, Case]]]:
    """For each map: its parameters, the states, the losses (the first is the unit), and the bare penalties."""
    cell = torch.nn.GRUCell(INPUTS, hidden)
    layers = torch.nn.Sequential(torch.nn.Linear(INPUTS + hidden, 256), torch.nn.Tanh(), torch.nn.Linear(256, hidden))
    source = generator(0, "penalty benchmark")
    for parameter in (*cell.parameters(), *layers.parameters()):
        bound = parameter.shape[-1] ** -0.5
        torch.nn.init.uniform_(parameter, -bound, bound, generator=source)
    x = torch.randn(paths, INPUTS + hidden, generator=source)
    target = torch.randn(paths, hidden, generator=source)

    def plain(x: Tensor) -> Tensor:
        return cell(x[:, :INPUTS], x[:, INPUTS:])

    closed = GRUMap(cell)
    recurrent: dict[str, Case] = {
        "no penalty": lambda x: mse_loss(plain(x), target),
        "closed form (GRUMap)": penalised(closed, target),
        "closed form, half the batch": penalised(closed, target, share=0.5),
        "closed form, second forward": lambda x: mse_loss(plain(x), target) + WEIGHT * jacobian_penalty(closed, x),
    }
    general: dict[str, Case] = {"no penalty": lambda x: mse_loss(layers(x), target)}
    result = {}
    for name, module, step, losses in (("gru", cell, plain, recurrent), ("two layers", layers, layers, general)):
        losses |= {label: penalised(step, target, **options) for label, options in OPTIONS.items()}
        bare: dict[str, Case] = {
            label: lambda x, draw=0, step=step, options=options: jacobian_penalty(step, x, draw=draw, **options)  # type: ignore[misc]
            for label, options in OPTIONS.items()
        }
        result[name] = (module, x, losses, bare)
    return result


def seconds(module: torch.nn.Module, x: Tensor, losses: dict[str, Case], repeats: int) -> dict[str, float]:
    """Least CPU time of one training step, for each case."""
    best = dict.fromkeys(losses, float("inf"))
    for _ in range(repeats + 1):
        for label, loss in losses.items():
            module.zero_grad(set_to_none=True)
            x.grad = None
            start = time.process_time()
            loss(x).backward()
            best[label] = min(best[label], time.process_time() - start)
    return best


@final
class _Products(TorchDispatchMode):
    """Counts multiplications; torch's own counter follows modules, and stumbles over a gradient of a gradient."""

    count = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func._overloadpacket._qualified_op_name.split("::")[1] in ("mm", "addmm", "addmm_", "bmm", "baddbmm"):
            factors = [part for part in args if isinstance(part, Tensor)][-2:]
            self.count += factors[0].numel() * factors[1].shape[-1]
        return result


def products(x: Tensor, loss: Case, unit: float) -> float:
    """Multiplications in matrix products of one training step, in units of a forward pass."""
    with _Products() as counter:
        loss(x).backward()
    return counter.count / unit


def measure(hidden: int, paths: int, repeats: int, draws: int) -> dict[str, Any]:
    """All numbers, as plain data."""
    maps = {}
    for name, (module, x, losses, bare) in cases(hidden, paths).items():
        weights = sum(parameter.numel() for parameter in module.parameters() if parameter.ndim == 2)
        rows: dict[str, dict[str, float]] = {label: {} for label in losses}
        for column, with_gradient in (("x plain", False), ("x with gradient", True)):
            states = x.clone().requires_grad_(with_gradient)
            found = seconds(module, states, losses, repeats)
            for label, loss in losses.items():
                rows[label][f"ratio, {column}"] = found[label] / found["no penalty"]
                rows[label][f"products, {column}"] = products(states, loss, float(paths * weights))
                rows[label][f"milliseconds, {column}"] = 1e3 * found[label]
        for label, penalty in bare.items():
            with torch.no_grad():
                values = torch.stack([penalty(x, draw=draw) for draw in range(draws)]).double()  # type: ignore[call-arg]
            rows[label]["noise"] = float(values.std() / values.mean())
        maps[name] = rows
    setting = {
        "inputs": INPUTS,
        "hidden": hidden,
        "paths": paths,
        "repeats": repeats,
        "draws": draws,
        "dtype": "float32",
        "torch": torch.__version__,
    }
    return {"setting": setting, "maps": maps}


def table(numbers: dict[str, Any]) -> str:
    """The numbers as text."""
    lines = []
    for name, rows in numbers["maps"].items():
        lines.append(f"{name:<32}  x plain: ratio  products   with gradient: ratio  products      noise")
        for label, row in rows.items():
            noise = f"{100 * row['noise']:9.3f} %" if "noise" in row else f"{'none':>11}"
            lines.append(
                f"{label:<32} {row['ratio, x plain']:14.2f} {row['products, x plain']:9.2f}"
                f" {row['ratio, x with gradient']:22.2f} {row['products, x with gradient']:9.2f} {noise}"
            )
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a small problem, for a test of the script itself")
    parser.add_argument("--json", type=Path, help="write the JSON to this file as well")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    numbers = measure(20, 200, 1, 3) if arguments.smoke else measure(200, 2500, 15, 24)
    print(table(numbers))
    text = json.dumps(numbers)
    print(text)
    if arguments.json is not None:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
