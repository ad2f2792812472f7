"""The README's code runs, and what it says of the commands is so."""

import contextlib
import io
import re
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_twenty_lines_run() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert printed.getvalue().count("[") >= 8


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
