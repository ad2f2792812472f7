"""What a reader of a page would type: its files, its code, and its commands."""

import re
from dataclasses import dataclass
from pathlib import Path

_NAMED = re.compile(r"# (\w+\.py)\n")


@dataclass(frozen=True)
class Page:
    """The code of a page.

    Attributes:
        files: by name, blocks that begin with the name of a file.
        code: the others, in their order, as one script.
        commands: indented lines, each a command of a terminal.
    """

    files: dict[str, str]
    code: str
    commands: tuple[str, ...]


def page(path: Path) -> Page:
    """Read a page."""
    text = path.read_text(encoding="utf-8")
    files, code = {}, []
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if named := _NAMED.match(block):
            files[named.group(1)] = block
        else:
            code.append(block)
    plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    commands = [line.strip() for line in re.findall(r"^    \S.*$", plain, re.MULTILINE)]
    return Page(files, "\n".join(code), tuple(line.partition("  #")[0].strip() for line in commands))
