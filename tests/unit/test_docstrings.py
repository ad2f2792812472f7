"""Every example in a docstring runs, and every public name has a docstring."""

import doctest
import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import sdewm

MODULES = [info.name for info in pkgutil.walk_packages(sdewm.__path__, "sdewm.") if not info.name.endswith("__main__")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).failed == 0


def test_there_are_examples_and_a_wrong_one_would_fail() -> None:
    assert sum(len(test.examples) for name in MODULES for test in _examples(name)) > 25
    wrong = ModuleType("wrong", ">>> 1 + 1\n3\n")
    assert doctest.testmod(wrong, report=False, verbose=False).failed == 1


def _examples(name: str) -> list[doctest.DocTest]:
    return doctest.DocTestFinder().find(importlib.import_module(name))


def test_public_names_are_documented() -> None:
    for name in dir(sdewm):
        value = getattr(sdewm, name)
        if not name.startswith("_") and (inspect.isclass(value) or inspect.isfunction(value)):
            assert inspect.getdoc(value), name
