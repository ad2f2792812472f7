"""Sums of matrix products and rows, written so that they are taken where they are used."""

import torch
from torch import fx

_aten = torch.ops.aten


def leave_biases_alone(traced: fx.GraphModule) -> None:
    """Write x W + b as x W − (−b), in place.

    torch's compiler makes of a product and a sum one call, which first copies b into each row; a difference it takes
    together with what follows, such as a network's tangent, where it costs nothing.
    """
    graph = traced.graph
    for node in list(graph.nodes):
        found = _product_and_row(node)
        if found is not None:
            product, row = found
            with graph.inserting_before(node):
                if not isinstance(product, fx.Node):
                    product = graph.call_function(_aten.mm.default, product)
                negative = graph.call_function(_aten.neg.default, (row,))
                new = graph.call_function(_aten.sub.Tensor, (product, negative))
            node.replace_all_uses_with(new)
            graph.erase_node(node)
    traced.recompile()


def _product_and_row(node: fx.Node) -> tuple[fx.Node | tuple[fx.Node, fx.Node], fx.Node] | None:
    """The product, or its factors, and the row that a node adds up; None if it does something else."""
    if node.kwargs or len(node.args) not in (2, 3):
        return None
    if node.target is _aten.addmm.default:
        row, left, right = node.args
        return (left, right), row  # type: ignore[return-value]
    if node.target is _aten.add.Tensor and len(node.args) == 2:
        for product, row in (node.args, node.args[::-1]):
            if isinstance(product, fx.Node) and product.target is _aten.mm.default and isinstance(row, fx.Node):
                return product, row
    return None
