"""How the documentation is built: `make docs`."""

import re
import sys
from importlib.metadata import version as _version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
project, author, version = "sdewm", "the developers of sdewm", _version("sdewm")
copyright = author
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "mathml",
]
myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme, html_title = "furo", "sdewm"
html_static_path, html_css_files = ["_static"], ["own.css"]
default_role = "code"
autodoc_member_order, autodoc_typehints = "bysource", "description"
# What a signature says is not said again below it.
autodoc_typehints_description_target = "documented"
napoleon_use_rtype = False
# "(episodes, 2)" is a shape, whatever else is called so.
suppress_warnings = ["ref.python"]
math_number_all, math_eqref_format = False, "({number})"
# Docstrings are written for a terminal: bars are norms there, and stars and underscores are themselves.
_QUOTED = re.compile(r"(`+[^`]*`+)")


def _plain(app, what, name, obj, options, lines):  # type: ignore[no-untyped-def]
    shown = False
    for number, line in enumerate(lines):
        shown = line.lstrip().startswith((">>>", "...")) or (shown and bool(line.strip()))
        if not shown:
            parts = _QUOTED.split(line)
            parts[::2] = [re.sub(r"([|*])|(?<=\w)_(?!\w)", lambda m: "\\" + m.group(0), part) for part in parts[::2]]
            lines[number] = "".join(parts)


def setup(app):  # type: ignore[no-untyped-def]
    """Before napoleon, which makes markup of its own."""
    app.connect("autodoc-process-docstring", _plain, priority=100)
