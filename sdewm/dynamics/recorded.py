"""The operations of a function of tensors, taken down while it runs."""

import operator
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, fx
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

Table = Mapping[Any, Callable[..., Any]]

_aten = torch.ops.aten
# These read the numbers of a tensor without an operation that would be seen.
_READS = {"numpy", "tolist", "data_ptr", "untyped_storage", "storage", "_typed_storage", "__array__", "__dlpack__"}


@final
class NotRecorded(Exception):
    """What the function does is not the same for all numbers, or not done by torch's operations alone."""


@final
@dataclass(frozen=True, slots=True)
class Slot:
    """The place of a tensor in a recording."""

    number: int


Call = tuple[Any, tuple[Any, ...], dict[str, Any], tuple["Slot | None", ...], bool]


@final
@dataclass(frozen=True)
class Recording:
    """A function of tensors as a list of operations.

    Attributes:
        given: number of arguments; they have the first slots.
        constants: slots of the tensors that the function took from elsewhere.
        calls: (operation, arguments, named arguments, slots of its results, whether it has one result).
        results: slots of what the function returned.
        values: the tensor in each slot, as this run had it.
    """

    given: int
    constants: tuple[Slot, ...]
    calls: tuple[Call, ...]
    results: tuple[Slot, ...]
    values: tuple[Tensor, ...]

    @property
    def in_place(self) -> bool:
        """Whether some operation changes a tensor."""
        return any(target._schema.is_mutable for target, *_ in self.calls)

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for recordings of equal operations on tensors of equal layout, whatever their numbers."""
        # Results need not be looked at: they follow from the rest.
        outer = (*(Slot(k) for k in range(self.given)), *self.constants)
        layouts = tuple((slot, _layout(self.values[slot.number])) for slot in outer)
        calls = tuple((target, _exact(args), _exact(kwargs), out) for target, args, kwargs, out, _ in self.calls)
        return (self.given, layouts, calls, self.results)

    def replay(self, *given: Tensor) -> tuple[Tensor, ...]:
        """The results for other arguments."""
        values = list(self.values)
        values[: self.given] = given
        look = lambda slot: values[slot.number]  # noqa: E731
        for target, args, kwargs, out, single in self.calls:
            found = target(*_mapped(args, look), **_mapped(kwargs, look))
            for slot, value in zip(out, (found,) if single else found, strict=True):
                if slot is not None:
                    values[slot.number] = value
        return tuple(values[slot.number] for slot in self.results)

    def graph(self) -> fx.GraphModule:
        """The operations as a graph, which holds the constants; each node knows its `slot`."""
        root, graph = torch.nn.Module(), fx.Graph()
        nodes: dict[Slot, fx.Node] = {}

        def learn(slot: Slot | None, node: fx.Node) -> None:
            if slot is not None:
                nodes[slot] = node
                node.meta = {"val": self.values[slot.number], "slot": slot}

        for k in range(self.given):
            learn(Slot(k), graph.placeholder(f"given_{k}"))
        for slot in self.constants:
            root.register_buffer(f"constant_{slot.number}", self.values[slot.number].detach())
            learn(slot, graph.get_attr(f"constant_{slot.number}"))
        for target, args, kwargs, out, single in self.calls:
            node = graph.call_function(target, _mapped(args, nodes.__getitem__), _mapped(kwargs, nodes.__getitem__))
            if single:
                learn(out[0], node)
            else:
                for k, each in enumerate(out):
                    learn(each, graph.call_function(operator.getitem, (node, k)))
        graph.output(tuple(nodes[slot] for slot in self.results))
        return fx.GraphModule(root, graph)


def record(function: Callable[..., tuple[Tensor, ...]], given: Sequence[Tensor], table: Table) -> Recording:
    """Run a function and take down its operations, those of `table` as what they are replaced by there.

    It runs on real tensors, which is many times quicker than on stand-ins without numbers. Whatever would make the
    operations depend on the numbers is therefore looked for and refused. Operations in place are turned into others.

    Raises:
        NotRecorded: the function looks at numbers, draws random ones, or changes a tensor that is not its own.
    """
    found = _once(function, given, table)
    if found.in_place:
        # Only now, on plain operations: under it nothing can be differentiated.
        found = _once(torch.func.functionalize(found.replay, remove="mutations"), given, {})
        if found.in_place:
            raise NotRecorded("a step changes its own state in place; return a new tensor.")
    return found


def _once(function: Callable[..., tuple[Tensor, ...]], given: Sequence[Tensor], table: Table) -> Recording:
    recorder = _Recorder(given, table)
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(recorder)
        stack.enter_context(_NoReading(recorder))
        results = function(*given)
    out = tuple(recorder.slot(result) for result in results)
    return Recording(len(given), tuple(recorder.constants), tuple(recorder.calls), out, tuple(recorder.values))


@final
class _Recorder(TorchDispatchMode):
    """Takes down every operation below automatic differentiation."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Else torch loads its own compiler, a second and 80 MiB, only to tell it to leave this class alone.
        return False

    def __init__(self, given: Sequence[Tensor], table: Table) -> None:
        super().__init__()
        self.table = table
        # The tensors are kept, so that no other takes the identity of one of them.
        self.values: list[Tensor] = []
        self.slots: dict[int, Slot] = {}
        self.constants: list[Slot] = []
        self.calls: list[Call] = []
        for value in given:
            self._new(value)

    def __torch_dispatch__(self, target: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        instead = self.table.get(target)
        if instead is not None:
            with self:
                found = instead(*args, **kwargs)
            if found is not NotImplemented:
                return found
        if target is _aten.lift_fresh.default:
            return args[0]
        self._check(target, args, kwargs)
        named = tuple(_slotted(arg, self.slot) for arg in args)
        options = {name: _slotted(arg, self.slot) for name, arg in kwargs.items()}
        found = target(*args, **kwargs)
        single = isinstance(found, Tensor)
        results = (found,) if single else found
        if not isinstance(results, tuple | list) or not all(r is None or isinstance(r, Tensor) for r in results):
            raise NotRecorded(f"a step depends on the numbers of a tensor, by {target}.")
        self.calls.append((target, named, options, tuple(None if r is None else self._new(r) for r in results), single))
        return found

    def slot(self, value: Tensor) -> Slot:
        """The slot of a tensor; one that no operation made is a constant."""
        found = self.slots.get(id(value))
        if found is not None:
            return found
        if self.own(value):
            raise NotRecorded("a step takes the numbers of a tensor past torch's operations.")
        found = self._new(value)
        self.constants.append(found)
        return found

    def own(self, value: Tensor) -> bool:
        """Whether a tensor has its numbers from an argument or an operation: it shares memory with one of these."""
        constants = (self.values[slot.number] for slot in self.constants)
        return any(_alias(value, each) for each in self.values) and not any(_alias(value, each) for each in constants)

    def _new(self, value: Tensor) -> Slot:
        found = self.slots.get(id(value))
        if found is None:
            found = self.slots[id(value)] = Slot(len(self.values))
            self.values.append(value)
        return found

    def _check(self, target: Any, args: Any, kwargs: Any) -> None:
        """Refuse what must not be run at all."""
        tags = target.tags
        if torch.Tag.nondeterministic_seeded in tags:
            raise NotRecorded(f"a step draws random numbers of its own, by {target}.")
        looks = torch.Tag.dynamic_output_shape in tags or torch.Tag.data_dependent_output in tags
        if target is _aten.index.Tensor:
            looks = any(k is not None and k.dtype in (torch.bool, torch.uint8) for k in args[1])
        if looks:
            raise NotRecorded(f"a step depends on the numbers of a tensor, by {target}.")
        if not target._schema.is_mutable:
            return
        for k, argument in enumerate(target._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                value = args[k] if k < len(args) else kwargs.get(argument.name)
                for each in value if isinstance(value, tuple | list) else (value,):
                    if isinstance(each, Tensor) and not self.own(each):
                        raise NotRecorded(f"a step changes a tensor that is not its own in place, by {target}.")


@final
class _NoReading(TorchFunctionMode):
    """Refuses to hand out the numbers of recorded tensors."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(function, "__name__", "") in _READS and isinstance(args[0], Tensor) and self.recorder.own(args[0]):
            raise NotRecorded(f"a step depends on the numbers of a tensor, by {function.__name__}().")
        return function(*args, **(kwargs or {}))


def _alias(a: Tensor, b: Tensor) -> bool:
    return bool(torch._C._is_alias_of(a, b))  # type: ignore[attr-defined]


def _layout(value: Tensor) -> tuple[Any, ...]:
    return (tuple(value.shape), value.stride(), value.dtype, value.device)


def _slotted(value: Any, slot: Callable[[Tensor], Slot]) -> Any:
    if isinstance(value, Tensor):
        return slot(value)
    if isinstance(value, list | tuple):
        return type(value)(_slotted(each, slot) for each in value)
    return value


def _mapped(value: Any, look: Callable[[Slot], Any]) -> Any:
    """Arguments with something in place of each slot."""
    if isinstance(value, Slot):
        return look(value)
    if isinstance(value, list | tuple):
        return type(value)(_mapped(each, look) for each in value)
    if isinstance(value, dict):
        return {name: _mapped(each, look) for name, each in value.items()}
    return value


def _exact(value: Any) -> Any:
    """Arguments in a form that is equal only for the same: 1, 1.0 and True are not, nor 0.0 and -0.0."""
    if isinstance(value, dict):
        return tuple((name, _exact(each)) for name, each in value.items())
    if isinstance(value, list | tuple):
        return tuple(_exact(each) for each in value)
    if isinstance(value, float | complex):
        return (type(value), repr(value))
    return value if isinstance(value, Slot) else (type(value), value)
