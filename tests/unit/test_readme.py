"""The README's code runs, and what it says of the commands is so."""

import contextlib
import io
import re
from pathlib import Path

import pytest
import torch

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.control
def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twenty lines, and what goes on where they end."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    first, _, _, check = blocks
    assert len([line for line in first.splitlines() if line.strip()]) <= 20
    names: dict[str, object] = {"__name__": "readme"}
    printed = []
    with torch.random.fork_rng():
        for code in blocks:
            with contextlib.redirect_stdout(io.StringIO()) as text:
                exec(compile(code, "README.md", "exec"), names)
            printed.append(text.getvalue())
    assert printed[0].count("[") >= 8
    assert "Lyapunov" in printed[1]
    assert (tmp_path / "growth.png").stat().st_size > 5000
    assert printed[2].startswith("tensor([")
    (said,) = re.findall(r"# (holds .*?); mu \.\.\.", check)
    # On another kind of processor the normals, and with them the last digits, are others.
    wanted, got = (re.split(r"(\d+\.\d+)", text) for text in (said, printed[3]))
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
