"""Formulas as MathML, which browsers draw themselves: without a network there is mathematics all the same."""

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

_LOG = logging.getLogger(__name__)
_LETTERS = {"C": "ℂ", "E": "𝔼", "N": "ℕ", "P": "ℙ", "Q": "ℚ", "R": "ℝ", "Z": "ℤ"}
# What the converter gives a bar that stands alone: a sign between two things, with room on both sides.
_BAR = re.compile(r'<mo(?: fence="false")? stretchy="false">(&#x0007C;|&#x02016;)</mo>')
# A prime is raised already: as an exponent it would be raised twice.
_PRIME = re.compile(r"<msup>(<mi>.</mi>)<mi>&#x02032;</mi></msup>")
_ESCAPED = re.compile(r">\\([|{}])<")
_DOUBLE = re.compile(r'<mi mathvariant="double-struck">(.)</mi>')


def to_mathml(latex: str, display: str = "inline") -> str:
    r"""A formula as an element <math>.

    Raises:
        ValueError: something of it is not understood.

    Example:
        >>> to_mathml(r"\\mathbb E")
        '<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline"><mrow><mi>𝔼</mi></mrow></math>'
    """
    # The converter leaves \| and \{ as they are behind \bigl; browsers draw double letters by their own names only.
    found = convert(latex.strip(), display=display)
    found = _ESCAPED.sub(lambda m: f">{m.group(1).replace('|', '‖')}<", found)
    found = _DOUBLE.sub(lambda m: f"<mi>{_LETTERS[m.group(1)]}</mi>", found)
    found = _BAR.sub(r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>', found)
    found = _PRIME.sub(r'<mrow>\1<mo lspace="0" rspace="0">&#x02032;</mo></mrow>', found)
    if left := re.search(r"\\\w*|<mi>&</mi>|mathvariant=\"(?!normal)[^\"]+\"", found):
        raise ValueError(f"{left.group(0)} is not turned into MathML")
    return found


def _mathml(node: Any, display: str) -> str:
    try:
        return to_mathml(node.astext(), display)
    except Exception as error:
        _LOG.warning("formula %r: %s", node.astext(), error or type(error).__name__, location=node)
        return ""


def _inline(self: Any, node: Any) -> None:
    self.body.append(f'<span class="math">{_mathml(node, "inline")}</span>')
    raise nodes.SkipNode


def _displayed(self: Any, node: Any) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(_mathml(node, "block"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_html_math_renderer("mathml", (_inline, None), (_displayed, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
