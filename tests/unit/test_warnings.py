"""Warnings have classes of their own, by which each can be silenced or made an error."""

import ast
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import sdewm
from sdewm import BiasWarning, NotCompiledWarning, SdewmWarning, SlowFallbackWarning, TimeGrid, ToleranceWarning
from sdewm.drifts import Linear
from sdewm.jacobian import jacobians

UNIT = sdewm.RepresentationError(diffusion=lambda t, x: torch.ones_like(x))


def square(x: Tensor) -> Tensor:
    return (x**2).sum(-1)


def looks(x: Tensor) -> Tensor:
    return x * float(x.detach().sum() > -1e9)


def expanded(steps: int, **options: Any) -> Any:
    return sdewm.expand(Linear(), UNIT, square, 1.0, TimeGrid(1.0, steps), **options)


def without_a_compiler() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXX", "no-such-compiler")
        return sdewm.simulate_coupled([Linear()], 1.0, TimeGrid(1.0, 4), 10, compile=True)


def many_rows() -> Any:
    return sdewm.jacobian_penalty(looks, torch.ones(11, 3))


CASES: list[tuple[type[SdewmWarning], Callable[[], Any]]] = [
    (BiasWarning, lambda: expanded(7, paths=64)),
    (ToleranceWarning, lambda: expanded(4, tolerance=1e-6, work=30_000, method="plain")),
    (NotCompiledWarning, without_a_compiler),
    (SlowFallbackWarning, lambda: jacobians(looks, torch.ones(2, 3))),
    (SlowFallbackWarning, many_rows),
    (SlowFallbackWarning, lambda: sdewm.divergence(looks, torch.randn(8, 2), horizon=2, errors="initial")),
]
NAMES = ["bias", "tolerance", "not compiled", "vmap", "forward mode", "divergence"]


@pytest.mark.parametrize(("kind", "act"), CASES, ids=NAMES)
def test_each_warning_has_its_class(kind: type[SdewmWarning], act: Callable[[], Any]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        act()
    assert [each.category for each in caught if issubclass(each.category, UserWarning)] == [kind]


@pytest.mark.parametrize("silenced", ["its own class", "the base class"])
@pytest.mark.parametrize(("kind", "act"), CASES, ids=NAMES)
def test_each_can_be_silenced_or_made_an_error(kind: type[SdewmWarning], act: Callable[[], Any], silenced: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", SdewmWarning)
        with pytest.raises(kind):
            act()
        warnings.simplefilter("ignore", kind if silenced == "its own class" else SdewmWarning)
        act()


def test_no_warning_is_without_a_class() -> None:
    """Every call of `warnings.warn` in the package names one of the classes here."""
    kinds = {kind.__name__ for kind in SdewmWarning.__subclasses__()}
    seen = set()
    for path in Path(str(sdewm.__file__)).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "warnings.warn":
                given = ast.unparse(node.args[1]) if len(node.args) > 1 else ""
                assert given in kinds, f"{path.name}:{node.lineno}"
                seen.add(given)
    assert seen == kinds == {kind.__name__ for kind, _ in CASES}
    assert all(getattr(sdewm, name).__doc__ for name in kinds)
