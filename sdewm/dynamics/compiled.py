"""Several steps of all members as one piece of compiled code."""

import gc
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import Tensor, fx

from .elementary import TABLE
from .member import Member, State
from .simplify import attribute, simplify

# A call costs some microseconds of Python, so that few paths of few columns take several steps at a time, up to so many
# numbers. More would be slower: the steps of one path wait for each other, those of different paths do not. Compile
# time grows with the operations.
_NUMBERS, _OPERATIONS, _MOST_STEPS = 1 << 13, 400, 10
# What compiled code costs and saves, measured on one core: seconds a piece and an operation, against nanoseconds an
# operation and number. The work must be worth the compilation and a half.
_COMPILE_SECONDS, _COMPILE_SECONDS_EACH = 5.0, 0.02
_SAVED_NANOSECONDS, _SAVED_MICROSECONDS, _TIMES = 0.1, 0.5, 1.5
# Below so many numbers even tracing is not worth it.
_WORTH_A_LOOK = 1 << 26
_KEPT = 64

Piece = Callable[..., Any]
_compiled: dict[tuple[Any, ...], Piece] = {}


@final
class NotCompiled(UserWarning):
    """Compilation was asked for, but is not available; the eager engine gives the same numbers, to rounding."""


@final
@dataclass(frozen=True)
class Compiled:
    """`steps` steps of all members, in place on their states.

    Attributes:
        steps, rows: number of steps a call makes, and of paths.
        piece: called with a list that it may empty: the constants, the index of the first step, the normals (steps,
            rows, width) of each group, the actions if there are any, and the parts of all states, which it changes.
        constants: the tensors that the functions of the members hold.
    """

    steps: int
    rows: int
    piece: Piece
    constants: tuple[Tensor, ...]

    def __call__(self, first: Tensor, driven: Sequence[Tensor], parts: Sequence[Tensor]) -> None:
        """Advance the states from step `first` on, driven by the normals of each group and the actions if any."""
        self.piece([*self.constants, first, *driven, *parts])


@final
@dataclass(frozen=True)
class Shape:
    """What a piece of code is compiled for.

    Attributes:
        members: the members by name.
        purposes: the groups of noise columns, with their widths.
        rows: number of paths.
        dtype, device: of the states.
        parts: an example of the parts of each member's state.
        action_dim: number of actions, 0 for none.
    """

    members: Mapping[Any, Member]
    purposes: Mapping[str, int]
    rows: int
    dtype: torch.dtype
    device: torch.device
    parts: Mapping[Any, State]
    action_dim: int

    def trace(self) -> fx.GraphModule:
        """The operations of one step, as a graph; the members' functions are run once, on shapes without numbers."""
        from torch.fx.experimental.proxy_tensor import make_fx  # here, so that importing the package stays quick

        def step(*tensors: Tensor) -> tuple[Tensor, ...]:
            given = iter(tensors)
            index: Any = next(given)
            noise = {purpose: next(given) for purpose in self.purposes}
            a = next(given) if self.action_dim else None
            states = {name: tuple(next(given) for _ in state) for name, state in self.parts.items()}
            moved = [
                member.advance(index, states[name], tuple(noise[p] for p, _ in member.noise), a)
                for name, member in self.members.items()
            ]
            return tuple(part for state in moved for part in state)

        with torch.no_grad():
            trace = make_fx(step, TABLE, tracing_mode="fake", _allow_non_fake_inputs=True)
            traced = trace(*self.example())
        simplify(traced)
        return traced

    def example(self, steps: int | None = None) -> tuple[Tensor, ...]:
        """Arguments of one step, or of a piece of several: these have the normals and actions of each."""
        several = () if steps is None else (steps,)

        def zeros(*size: int) -> Tensor:
            return torch.zeros(size, dtype=self.dtype, device=self.device)

        noise = [zeros(*several, self.rows, width) for width in self.purposes.values()]
        actions = [zeros(*several, self.rows, self.action_dim)] if self.action_dim else []
        parts = [zeros(self.rows, *part.shape[1:]) for state in self.parts.values() for part in state]
        return (torch.tensor(0), *noise, *actions, *parts)


def compile_steps(shape: Shape, paths: int, steps: int, wanted: bool | str) -> Compiled | None:
    """The steps of an ensemble as compiled code, or None where that is not wanted, not worth it, or not possible.

    Args:
        shape: the members and their shapes.
        paths, steps: size of the whole run.
        wanted: True, False, or "auto", which compiles where the work is worth it: a rule of counted operations, so that
            the same call always takes the same way.

    Warns:
        NotCompiled: it was asked for and is not possible; the message says why.
    """
    numbers = paths * steps * sum(shape.purposes.values())
    if wanted is False or steps < 2 or (wanted == "auto" and numbers < _WORTH_A_LOOK):
        return None
    try:
        step = shape.trace()
        operations = sum(node.op == "call_function" for node in step.graph.nodes)
        numbers = shape.rows * max(shape.purposes.values())
        length = max(1, min(_NUMBERS // numbers, _OPERATIONS // max(operations, 1), _MOST_STEPS, steps))
        if wanted == "auto" and not _worth_it(operations, length, shape, paths, steps):
            return None
        constants = _lift(step)
        return Compiled(length, shape.rows, _piece(step, constants, shape, length), constants)
    except Exception as error:  # tracing runs somebody's functions, compiling somebody's compiler
        if wanted is True:
            first_line = str(error).strip().partition("\n")[0]
            warnings.warn(
                f"compile=True is not possible here, so the eager engine is used: {type(error).__name__}: {first_line}",
                NotCompiled,
                stacklevel=4,
            )
        return None


def _worth_it(operations: int, length: int, shape: Shape, paths: int, steps: int) -> bool:
    """Whether compilation saves clearly more than it costs."""
    width = max(part.shape[-1] for state in shape.parts.values() for part in state)
    calls = operations * steps * -(-paths // shape.rows)
    saved = calls * (shape.rows * width * _SAVED_NANOSECONDS * 1e-9 + _SAVED_MICROSECONDS * 1e-6)
    return saved > _TIMES * (_COMPILE_SECONDS + _COMPILE_SECONDS_EACH * operations * length)


def _lift(traced: fx.GraphModule) -> tuple[Tensor, ...]:
    """Make the tensors that a graph holds its first arguments: equal code then serves other numbers as well."""
    constants: dict[str, tuple[fx.Node, Tensor]] = {}
    graph = traced.graph
    first = next(iter(graph.nodes))
    for node in list(graph.nodes):
        if node.op == "get_attr":
            name = str(node.target)
            if name not in constants:
                with graph.inserting_before(first):
                    place = graph.placeholder(f"constant_{len(constants)}")
                constants[name] = (place, attribute(traced, name))
            node.replace_all_uses_with(constants[name][0])
            graph.erase_node(node)
    traced.recompile()
    return tuple(value for _, value in constants.values())


def _piece(step: fx.GraphModule, constants: tuple[Tensor, ...], shape: Shape, length: int) -> Piece:
    """Compiled code for `length` steps; equal steps of equal shapes share it."""
    example = (*constants, *shape.example(length))
    shapes = tuple((tuple(t.shape), tuple(t.stride()), t.dtype, t.device) for t in example)
    key = (step.code, shapes, length, torch.get_num_threads())
    found = _compiled.get(key)
    if found is None:
        repeated = _repeated(step, len(constants), len(shape.purposes) + bool(shape.action_dim), length)
        gc.collect()  # tracing leaves circles behind, which would add to the peak of memory
        with _own_cache(), torch.no_grad():
            found = _build(repeated, constants, shape.example(length))
        while len(_compiled) >= _KEPT:
            _compiled.pop(next(iter(_compiled)))
        _compiled[key] = found
    return found


def _build(graph: fx.GraphModule, constants: Sequence[Tensor], example: Sequence[Tensor]) -> Piece:
    """Compiled code for a graph, called with the list of its arguments; it has run once, so that it is known to run."""
    from torch._inductor.compile_fx import compile_fx, compile_fx_inner  # here, since it takes long to import

    inner: list[Any] = []

    def remember(*given: Any, **options: Any) -> Any:
        inner.append(compile_fx_inner(*given, **options))
        return inner[-1]

    whole = cast(Callable[..., Any], compile_fx(graph, [*constants, *example], inner_compile=remember))
    # What torch wraps around the code, for gradients and views that there are none of here, takes longer than a short
    # step does. The code without it is used if it does the same.
    direct = getattr(inner[0], "current_callable", None) if len(inner) == 1 else None
    generator = torch.Generator().manual_seed(0)
    given = [v + torch.rand(v.shape, generator=generator).to(v) if v.is_floating_point() else v for v in example]
    copies = [value.clone() for value in given]
    whole(*constants, *given)
    if callable(direct):
        with suppress(Exception):
            direct([*constants, *copies])
            if all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(given, copies, strict=True)):
                return cast(Piece, direct)
    return lambda arguments: whole(*arguments)


def _repeated(step: fx.GraphModule, constants: int, driven: int, length: int) -> fx.GraphModule:
    """A graph of several steps from that of one, which ends by writing the new states over the old ones.

    Args:
        step: its arguments are the constants, the index, what drives it (normals and actions), and the states.
        constants, driven: how many of these there are.
        length: number of steps.
    """
    aten, graph = torch.ops.aten, fx.Graph()
    places = [node for node in step.graph.nodes if node.op == "placeholder"]
    given = [graph.placeholder(f"given_{k}") for k in range(len(places))]
    fixed, index, rest = given[:constants], given[constants], given[constants + 1 :]
    drive, old = rest[:driven], rest[driven:]
    states: Sequence[Any] = old
    for k in range(length):
        at = graph.call_function(aten.add.Tensor, (index, k)) if k else index
        now = [graph.call_function(aten.select.int, (each, 0, k)) for each in drive]
        states = cast(Any, graph.graph_copy(step.graph, dict(zip(places, [*fixed, at, *now, *states], strict=True))))
    # A part that takes another's old value, as a delay does, must not see what has been written there meanwhile.
    ends = [graph.call_function(aten.clone.default, (new,)) if new in old else new for new in states]
    for place, new in zip(old, ends, strict=True):
        graph.call_function(aten.copy_.default, (place, new))
    graph.output(())
    return fx.GraphModule(torch.nn.Module(), graph)


@contextmanager
def _own_cache() -> Iterator[None]:
    """Keep compiled files out of the shared directory that torch takes by default.

    Its caches are read with pickle: who can write there can run code here. They are therefore switched off, and the
    files go to a directory of this process's own, unless SDEWM_COMPILE_CACHE names a private one.
    """
    from torch._functorch import config as functorch_config
    from torch._inductor import config as inductor_config

    named = os.environ.get("SDEWM_COMPILE_CACHE")
    if named:
        _check_private(Path(named))
    keep = bool(named)
    before = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = named or _directory()
    try:
        with (
            inductor_config.patch(fx_graph_cache=keep, fx_graph_remote_cache=False, compile_threads=1),
            # Sizes are part of the key; looking at them again takes a tenth of a short step.
            inductor_config.patch(size_asserts=False, alignment_asserts=False),
            # A product and a sum in one rounding: faster, and if anything more exact.
            inductor_config.patch({"cpp.enable_floating_point_contract_flag": "fast"}),
            functorch_config.patch(enable_autograd_cache=False, enable_remote_autograd_cache=False),
        ):
            yield
    finally:
        if before is None:
            del os.environ["TORCHINDUCTOR_CACHE_DIR"]
        else:
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = before


_place: list[tempfile.TemporaryDirectory[str]] = []


def _directory() -> str:
    """A directory of this process's own, gone when it ends."""
    if not _place:
        _place.append(tempfile.TemporaryDirectory(prefix="sdewm-", ignore_cleanup_errors=True))
    return _place[0].name


def _check_private(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise PermissionError(
            f"SDEWM_COMPILE_CACHE names {path}, which others can write to: what is read from there is run; "
            f"use a directory of your own, and chmod 700."
        )
