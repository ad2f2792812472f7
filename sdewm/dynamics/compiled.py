"""Several steps of all members as one piece of compiled code."""

import gc
import os
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import Tensor, fx

from ..exceptions import NotCompiledWarning
from .bias import leave_biases_alone
from .elementary import TABLE
from .member import Member, State
from .recorded import NotRecorded, Recording, Slot, record
from .simplify import simplify

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


@final
@dataclass(frozen=True, eq=False)
class Code:
    """What equal steps have in common.

    Attributes:
        graph: one step; its arguments are the constants, the index, what drives it, and the states.
        constants: where a recording has the constants.
        pieces: what is compiled from it, by the number of steps and of threads.
    """

    graph: fx.GraphModule
    constants: tuple[Slot, ...]
    pieces: dict[tuple[int, int], Piece] = field(default_factory=dict)

    @property
    def operations(self) -> int:
        """Number of operations of a step."""
        return sum(node.op == "call_function" for node in self.graph.graph.nodes)


_known: dict[tuple[Any, ...], Code] = {}
_knowing, _compiling = threading.Lock(), threading.Lock()


@final
class Compiled:
    """`steps` steps of all members, in place on their states; compiled when they are first needed.

    Args:
        steps: number of steps a call makes; `rows` is the number of paths.
        code: the operations.
        constants: the tensors that the functions of the members hold.
        shape: what it is compiled for.
        wanted: True to say it if compilation fails.
    """

    def __init__(self, steps: int, code: Code, constants: tuple[Tensor, ...], shape: "Shape", wanted: bool) -> None:
        self.steps, self.rows, self.constants = steps, shape.rows, constants
        self._code, self._shape, self._wanted = code, shape, wanted
        self._piece: Piece | None = None
        self._failed = False

    def ready(self) -> bool:
        """Whether there is compiled code; asked for the first time, it is made unless equal code was made before.

        Warns:
            NotCompiledWarning: it was asked for and is not possible; the message says why.
        """
        with _compiling:
            if self._piece is None and not self._failed:
                try:
                    self._piece = _piece(self._code, self.constants, self._shape, self.steps)
                except Exception as error:  # somebody's compiler
                    self._failed = True
                    _say(error, self._wanted)
            return self._piece is not None

    def __call__(self, first: Tensor, driven: Sequence[Tensor], parts: Sequence[Tensor]) -> None:
        """Advance the states in place.

        Args:
            first: index of the first step.
            driven: the normals (steps, rows, width) of each group, and the actions (steps, rows, ·) if there are any.
            parts: the parts of all states, which are changed.
        """
        assert self._piece is not None
        self._piece([*self.constants, first, *driven, *parts])


@final
@dataclass(frozen=True)
class Shape:
    """What a piece of code is compiled for.

    Attributes:
        members: the members by name.
        purposes: the groups of noise columns, with their widths.
        rows: number of paths.
        dtype, device: of the states.
        parts: the parts of each member's state at the start, of two paths at least.
        action_dim: number of actions, 0 for none.
    """

    members: Mapping[Any, Member]
    purposes: Mapping[str, int]
    rows: int
    dtype: torch.dtype
    device: torch.device
    parts: Mapping[Any, State]
    action_dim: int

    def record(self) -> Recording:
        """The operations of one step; the members' functions are run once, at the start and without noise."""
        return record(self._step, self.example(), TABLE)

    def confirm(self, recording: Recording) -> None:
        """Compare the recorded operations with the functions themselves, a step later and with noise.

        Raises:
            NotRecorded: they differ.
        """
        source = torch.Generator().manual_seed(0)
        _, *rest = self.example()
        for given in rest[: len(self.purposes)]:
            given.copy_(torch.randn(given.shape, generator=source))
        driven = len(rest) - sum(map(len, self.parts.values()))
        with torch.no_grad():
            later = recording.replay(torch.tensor(0), *(given.clone() for given in rest))
            found = recording.replay(torch.tensor(1), *rest[:driven], *(part.clone() for part in later))
            expected = self._step(1, *rest[:driven], *later)
        if not all(torch.allclose(a, b, 1e-3, 1e-3, equal_nan=True) for a, b in zip(found, expected, strict=True)):
            raise NotRecorded("a step is not what torch's operations in it make of its arguments.")

    def _step(self, index: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        given = iter(tensors)
        noise = {purpose: next(given) for purpose in self.purposes}
        a = next(given) if self.action_dim else None
        states = {name: tuple(next(given) for _ in state) for name, state in self.parts.items()}
        moved = [
            member.advance(index, states[name], tuple(noise[p] for p, _ in member.noise), a)
            for name, member in self.members.items()
        ]
        return tuple(part for state in moved for part in state)

    def example(self, steps: int | None = None) -> tuple[Tensor, ...]:
        """Arguments of one step, or of a piece of several: these have the normals and actions of each."""
        several = () if steps is None else (steps,)

        def zeros(*size: int) -> Tensor:
            return torch.zeros(size, dtype=self.dtype, device=self.device)

        noise = [zeros(*several, self.rows, width) for width in self.purposes.values()]
        actions = [zeros(*several, self.rows, self.action_dim)] if self.action_dim else []
        # Not zeros, which need not be states: a function may divide by them.
        parts = [
            part[:1].expand(self.rows, *part.shape[1:]).clone(memory_format=torch.contiguous_format)
            for state in self.parts.values()
            for part in state
        ]
        return (torch.tensor(0), *noise, *actions, *parts)


def compile_steps(shape: Shape, paths: int, steps: int, wanted: bool | str) -> Compiled | None:
    """The steps of an ensemble as compiled code, or None where that is not wanted, not worth it, or not possible.

    Args:
        shape: the members and their shapes.
        paths, steps: size of the whole run.
        wanted: True, False, or "auto", which compiles where the work is worth it: a rule of counted operations, so that
            the same call always takes the same way.

    Warns:
        NotCompiledWarning: it was asked for and is not possible; the message says why.
    """
    numbers = paths * steps * sum(shape.purposes.values())
    if wanted is False or steps < 2 or (wanted == "auto" and numbers < _WORTH_A_LOOK):
        return None
    try:
        _check_possible(shape.device)
        recording = shape.record()
        code = _code(recording, shape)
        numbers = shape.rows * max(shape.purposes.values())
        length = max(1, min(_NUMBERS // numbers, _OPERATIONS // max(code.operations, 1), _MOST_STEPS, steps))
        if wanted == "auto" and not _worth_it(code.operations, length, shape, paths, steps):
            return None
        constants = tuple(recording.values[slot.number].detach() for slot in code.constants)
        return Compiled(length, code, constants, shape, wanted is True)
    except Exception as error:  # this runs somebody's functions
        _say(error, wanted is True)
        return None


def _say(error: Exception, wanted: bool) -> None:
    if wanted:
        first_line = str(error).strip().partition("\n")[0]
        warnings.warn(
            f"compile=True is not possible here, so the eager engine is used: {type(error).__name__}: {first_line}",
            NotCompiledWarning,
            stacklevel=5,
        )


def _check_possible(device: torch.device) -> None:
    """Look for what is surely needed, without loading a compiler: a process that only hands out work needs none.

    Raises:
        OSError: it is not there.
    """
    named = os.environ.get("SDEWM_COMPILE_CACHE")
    if named:
        _check_private(Path(named))
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if device.type == "cpu" and sys.platform != "win32" and shutil.which(compiler.split()[0]) is None:
        raise FileNotFoundError(f"there is no C++ compiler {compiler!r}; install one, or name yours in CXX.")


def _worth_it(operations: int, length: int, shape: Shape, paths: int, steps: int) -> bool:
    """Whether compilation saves clearly more than it costs."""
    width = max(part.shape[-1] for state in shape.parts.values() for part in state)
    calls = operations * steps * -(-paths // shape.rows)
    saved = calls * (shape.rows * width * _SAVED_NANOSECONDS * 1e-9 + _SAVED_MICROSECONDS * 1e-6)
    return saved > _TIMES * (_COMPILE_SECONDS + _COMPILE_SECONDS_EACH * operations * length)


def _code(recording: Recording, shape: Shape) -> Code:
    """The operations of a step, simplified; equal recordings share them."""
    key = recording.key
    with _knowing:
        found = _known.get(key)
        if found is None:
            # Seconds of compilation are ahead; what no recording sees (other libraries on the bare memory) shows here.
            shape.confirm(recording)
            graph = recording.graph()
            simplify(graph)
            leave_biases_alone(graph)
            found = Code(graph, _lift(graph))
            for node in graph.graph.nodes:
                node.meta = {}  # which holds the recorded tensors
            while len(_known) >= _KEPT:
                _known.pop(next(iter(_known)))
            _known[key] = found
    return found


def _lift(traced: fx.GraphModule) -> tuple[Slot, ...]:
    """Make the tensors that a graph holds its first arguments: equal code then serves other numbers as well."""
    constants: dict[str, tuple[fx.Node, Slot]] = {}
    graph = traced.graph
    first = next(iter(graph.nodes))
    for node in list(graph.nodes):
        if node.op == "get_attr":
            name = str(node.target)
            if name not in constants:
                with graph.inserting_before(first):
                    place = graph.placeholder(f"lifted_{len(constants)}")
                constants[name] = (place, node.meta["slot"])
            node.replace_all_uses_with(constants[name][0])
            graph.erase_node(node)
    traced.recompile()
    for name in constants:
        delattr(traced, name)
    return tuple(slot for _, slot in constants.values())


def _piece(code: Code, constants: tuple[Tensor, ...], shape: Shape, length: int) -> Piece:
    """Compiled code for `length` steps; equal steps share it."""
    key = (length, torch.get_num_threads())
    found = code.pieces.get(key)
    if found is None:
        example = shape.example(length)
        repeated = _repeated(code.graph, len(constants), len(shape.purposes) + bool(shape.action_dim), length)
        gc.collect()  # tracing leaves circles behind, which would add to the peak of memory
        with _own_cache(), torch.no_grad():
            found = code.pieces[key] = _build(repeated, constants, example)
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
