"""The README's code runs, and what it says of the commands is so."""

import contextlib
import io
import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_code_runs() -> None:
    """The twenty lines, and the check of a bound, which goes on where they end."""
    first, second = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in first.splitlines() if line.strip()]) <= 20
    names: dict[str, object] = {"__name__": "readme"}
    printed = [io.StringIO(), io.StringIO()]
    for code, text in zip((first, second), printed, strict=True):
        with contextlib.redirect_stdout(text):
            exec(compile(code, "README.md", "exec"), names)
    assert printed[0].getvalue().count("[") >= 8
    (said,) = re.findall(r"# (holds .*?); mu \.\.\.", second)
    # On another kind of processor the normals, and with them the last digits, are others.
    wanted, got = (re.split(r"(\d+\.\d+)", text) for text in (said, printed[1].getvalue()))
    assert wanted[::2] == [*got[: len(wanted) : 2][:-1], wanted[-1]]
    assert [float(x) for x in got[1 : len(wanted) : 2]] == pytest.approx([float(x) for x in wanted[1::2]], rel=0.03)


def test_every_name_in_the_table_exists() -> None:
    import sdewm
    import sdewm.claims
    import sdewm.drifts
    import sdewm.theory.symbolic
    import sdewm.worldmodel

    for name in re.findall(r"\| `([A-Za-z_.]+)`", README):
        owner: object = sdewm
        for part in name.removeprefix("sdewm.").split("."):
            owner = getattr(owner, part)
        assert owner is not None


def test_both_commands_are_targets() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8")
    for command in re.findall(r"`?make (reproduce|test|quick)", README):
        assert f"\n{command}:" in makefile
    assert "make test" in (Path(__file__).parents[2] / ".ci" / "run").read_text(encoding="utf-8")
