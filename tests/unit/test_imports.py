"""Importing the package loads nothing that is heavy and seldom needed."""

import subprocess
import sys

import pytest

HEAVY = (
    "torchsde",
    "safetensors",
    "matplotlib",
    "scipy",
    "sympy",
    "dm_control",
    "mujoco",
    "torchrl",
    "tensordict",
    "distributed",
    "dask",
    "pandas",
    "click",
    "torch._inductor",
)
SAY = f"; import sys; print(*(name for name in {HEAVY} if name in sys.modules))"


def loaded(code: str) -> list[str]:
    """What of the heavy packages a fresh process has loaded after this code."""
    done = subprocess.run([sys.executable, "-c", code + SAY], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize(
    "modules",
    [
        "sdewm",
        "sdewm.drifts, sdewm.stats, sdewm.jacobian, sdewm.run, sdewm.claims, sdewm.worldmodel",
        "sdewm.theory.bounds, sdewm.theory.constants, sdewm.theory.hypotheses, sdewm.theory.losses",
    ],
)
def test_importing_loads_none_of_them(modules: str) -> None:
    assert loaded(f"import {modules}") == []


@pytest.mark.slow
def test_what_is_used_is_loaded_then() -> None:
    use = "import sdewm; from sdewm.drifts import Linear; sdewm.simulate(Linear(), 1.0, sdewm.TimeGrid(1.0, 2), 3)"
    assert "torchsde" in loaded(use)
