"""Leave out of a graph what is known to be zero or one, what is there twice, and what depends on constants only."""

from collections.abc import Callable, Iterator
from typing import Any, final

import torch
from torch import Tensor, fx

_aten = torch.ops.aten

_MAKE_ZERO = {
    _aten.zeros.default,
    _aten.zeros_like.default,
    _aten.new_zeros.default,
    _aten._efficientzerotensor.default,
}
_MAKE_ONE = {_aten.ones.default, _aten.ones_like.default, _aten.new_ones.default}
# What gives zeros from zeros, in its first argument.
_KEEP_ZERO = {
    _aten.expand.default,
    _aten.view.default,
    _aten._unsafe_view.default,
    _aten.reshape.default,
    _aten.unsqueeze.default,
    _aten.squeeze.default,
    _aten.squeeze.dim,
    _aten.permute.default,
    _aten.transpose.int,
    _aten.t.default,
    _aten.slice.Tensor,
    _aten.select.int,
    _aten.clone.default,
    _aten._to_copy.default,
    _aten.neg.default,
    _aten.sum.default,
    _aten.sum.dim_IntList,
    _aten.sin.default,
    _aten.tanh.default,
    _aten.mul.Scalar,
    _aten.div.Scalar,
    _aten.div.Tensor,
    _aten.diag_embed.default,
}
_KEEP_ONE = {
    _aten.expand.default,
    _aten.view.default,
    _aten.reshape.default,
    _aten.unsqueeze.default,
    _aten.clone.default,
    _aten._to_copy.default,
    _aten.slice.Tensor,
    _aten.select.int,
}
_NOTHING = {_aten.detach.default, _aten.alias.default, _aten.lift_fresh.default}
_SAME_IF_EQUAL = {_aten.expand.default, _aten.view.default, _aten._to_copy.default, _aten.clone.default}
_PRODUCTS = {_aten.mul.Tensor, _aten.mul.Scalar, _aten.mm.default, _aten.bmm.default, _aten.mv.default}


def simplify(traced: fx.GraphModule) -> None:
    """Drop products with known zeros, sums with them, products with known ones, copies and repetitions, in place.

    Differentiating a curve twice at zero leaves many of them behind: most of the graph. What depends on the graph's own
    tensors only is computed now.

    A graph that changes tensors in place is left as it is: what is known of a tensor would not stay true.

    Warning:
        A tensor of zeros times x is taken for zeros where x is infinite or not a number as well.
    """
    if changes(traced):
        return
    pass_ = _Pass(traced)
    for node in list(traced.graph.nodes):
        if node.op == "call_function":
            pass_.visit(node)
    traced.graph.eliminate_dead_code()
    traced.recompile()


def changes(traced: fx.GraphModule) -> bool:
    """Whether some operation of a graph works in place."""
    targets: Iterator[Any] = (node.target for node in traced.graph.nodes if node.op == "call_function")
    return any(isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable for target in targets)


@final
class _Pass:
    """What is known of the nodes that were visited."""

    def __init__(self, traced: fx.GraphModule) -> None:
        self.traced, self.graph = traced, traced.graph
        self.seen: dict[Any, fx.Node] = {}
        self.instead: dict[fx.Node, fx.Node] = {}
        self.zeros: set[fx.Node] = set()
        self.ones: set[fx.Node] = set()

    def visit(self, node: fx.Node) -> None:
        """Learn what a node is, and put something simpler in its place where there is."""
        target: Any = node.target
        before = self.seen.setdefault((target, _frozen(node.args), _frozen(node.kwargs)), node)
        if before is not node:
            self._replace(node, self.instead.get(before, before))
            return
        first = node.args[0] if node.args else None
        if node.all_input_nodes and all(given.op == "get_attr" for given in node.all_input_nodes):
            self._fold(node)
        elif target in _MAKE_ZERO:
            self.zeros.add(node)
        elif target in _MAKE_ONE:
            self.ones.add(node)
        elif target in _NOTHING or (target in _SAME_IF_EQUAL and isinstance(first, fx.Node) and _alike(first, node)):
            self._replace(node, first)
        elif target in _KEEP_ZERO and first in self.zeros:
            self.zeros.add(node)
        elif target in _KEEP_ONE and first in self.ones:
            self.ones.add(node)
        elif target in _PRODUCTS:
            self._product(node)
        elif target is _aten.add.Tensor or target is _aten.sub.Tensor:
            self._sum(node)

    def _fold(self, node: fx.Node) -> None:
        """Compute what depends on constants only."""
        values = {given: attribute(self.traced, str(given.target)) for given in node.all_input_nodes}
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda given: values[given])
        with torch.no_grad():
            value = node.target(*args, **kwargs)  # type: ignore[operator]
        # A view that repeats numbers stays what it is: compiled code takes no such inputs.
        if not isinstance(value, Tensor) or value.clone().stride() != value.stride():
            return
        name = f"_folded_{len(self.seen)}"
        self.traced.register_buffer(name, value.detach())
        with self.graph.inserting_before(node):
            constant = self.graph.get_attr(name)
        constant.meta = dict(node.meta)
        self._replace(node, constant)

    def _product(self, node: fx.Node) -> None:
        a, b = node.args[0], node.args[1]
        # Not a zero that somebody wrote: they may mean what it makes of an infinite number.
        if a in self.zeros or b in self.zeros:
            self.zeros.add(node)
        elif node.target in (_aten.mul.Tensor, _aten.mul.Scalar):
            for one, other in ((a, b), (b, a)):
                if self._is(one, self.ones, 1.0) and isinstance(other, fx.Node):
                    if other in self.ones:
                        self.ones.add(node)
                    if _alike(other, node):
                        self._replace(node, other)
                    return

    def _sum(self, node: fx.Node) -> None:
        a, b = node.args[0], node.args[1]
        nothing, nothing_else = self._is(a, self.zeros, 0.0), self._is(b, self.zeros, 0.0)
        plain = node.target is _aten.add.Tensor and not node.kwargs.get("alpha")
        if nothing and nothing_else:
            self.zeros.add(node)
        elif nothing_else and isinstance(a, fx.Node) and _alike(a, node):
            self._replace(node, a)
        elif nothing and plain and isinstance(b, fx.Node) and _alike(b, node):
            self._replace(node, b)

    def _is(self, value: object, known: set[fx.Node], number: float) -> bool:
        return value in known if isinstance(value, fx.Node) else value == number

    def _replace(self, node: fx.Node, other: Any) -> None:
        if isinstance(other, fx.Node):
            self.instead[node] = other
            node.replace_all_uses_with(other)
            self.graph.erase_node(node)


def attribute(module: fx.GraphModule, name: str) -> Tensor:
    """A tensor that a graph holds."""
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part)
    assert isinstance(value, Tensor)
    return value.detach()


def _frozen(value: Any) -> Any:
    """Arguments in a form that can be compared."""
    if isinstance(value, dict):
        return tuple((key, _frozen(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in value)
    # 1, 1.0 and True are equal, but not the same argument.
    return (type(value), value)


def _alike(a: fx.Node, b: fx.Node) -> bool:
    """Whether two nodes have tensors of one shape, layout and dtype on one device."""
    x, y = a.meta.get("val"), b.meta.get("val")
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        return False
    look: Callable[[Tensor], tuple[Any, ...]] = lambda t: (tuple(t.shape), t.stride(), t.dtype, t.device)  # noqa: E731
    return look(x) == look(y)
