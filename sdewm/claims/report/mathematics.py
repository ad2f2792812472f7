"""LaTeX mathematics as MathML, which browsers typeset without a script or a font from elsewhere."""

import re
from html import escape
from xml.etree import ElementTree

# HTML knows the elements of MathML without it.
NAMESPACE = ' xmlns="http://www.w3.org/1998/Math/MathML"'
ELEMENTS = frozenset(
    "math mrow mi mo mn ms mtext mspace mfrac msqrt mroot msup msub msubsup mover munder munderover mmultiscripts none "
    "mprescripts mtable mtr mtd mstyle mpadded mphantom menclose".split()
)
ATTRIBUTES = frozenset(
    "accent accentunder columnalign columnlines columnspacing depth display displaystyle fence form height largeop "
    "linethickness lspace mathcolor mathsize mathvariant maxsize minsize movablelimits notation rowlines rowspacing "
    "rspace scriptlevel separator stretchy symmetric voffset width".split()
)
LETTERS = {"C": "ℂ", "E": "𝔼", "N": "ℕ", "P": "ℙ", "Q": "ℚ", "R": "ℝ", "Z": "ℤ"}
# What the converter gives a bar that stands alone: a sign between two things, with room on both sides.
_BAR = re.compile(r'<mo(?: fence="false")? stretchy="false">(&#x0007C;|&#x02016;)</mo>')
# A prime is raised already: as an exponent it would be raised twice.
_PRIME = re.compile(r"<msup>(<mi>.</mi>)<mi>&#x02032;</mi></msup>")
_ESCAPED = re.compile(r">\\([|{}])<")
_DOUBLE = re.compile(r'<mi mathvariant="double-struck">(.)</mi>')
_LEFT = re.compile(r"\\\w*|<mi>&</mi>|mathvariant=\"(?!normal)[^\"]+\"")


def to_mathml(latex: str, display: str = "inline") -> str:
    r"""A formula as an element <math>.

    Args:
        latex: LaTeX without dollar signs.
        display: "inline" or "block".

    Raises:
        ValueError: something of it is not understood, or it holds other elements than those of MathML.

    Example:
        >>> to_mathml(r"\mathbb E x")
        '<math display="inline"><mrow><mi>𝔼</mi><mi>x</mi></mrow></math>'
    """
    # Here, so that judging and drawing do not need it.
    from latex2mathml.converter import convert

    try:
        found = str(convert(latex.strip(), display=display)).replace(NAMESPACE, "", 1)
    except Exception as error:  # It has no class of errors of its own.
        raise ValueError(f"{latex!r} is not understood: {error or type(error).__name__}") from error
    # The converter leaves \| and \{ as they are behind \bigl; browsers draw double letters by their own names only.
    found = _ESCAPED.sub(lambda m: f">{m.group(1).replace('|', '‖')}<", found)
    found = _DOUBLE.sub(lambda m: f"<mi>{LETTERS.get(m.group(1), m.group(1))}</mi>", found)
    found = _BAR.sub(r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>', found)
    found = _PRIME.sub(r'<mrow>\1<mo lspace="0" rspace="0">&#x02032;</mo></mrow>', found)
    if left := _LEFT.search(found):
        raise ValueError(f"{left.group(0)} is not turned into MathML")
    # It hands on what stands in \text as it is.
    try:
        whole = list(ElementTree.fromstring(found).iter())
    except ElementTree.ParseError as error:
        raise ValueError(f"{latex!r} gives no MathML: {error}") from error
    if not all(each.tag in ELEMENTS and ATTRIBUTES.issuperset(each.attrib) for each in whole):
        raise ValueError(f"{latex!r} holds other elements than those of MathML")
    return found


def typeset(formula: str) -> str:
    """Displayed mathematics, one formula a line; what is no LaTeX is shown as it was written.

    Args:
        formula: LaTeX without dollar signs.

    Returns:
        HTML.

    Example:
        >>> typeset("P = 0")[:29]
        "<div class='formula'><math di"
    """
    return "".join(f"<div class='formula'>{_one(line)}</div>" for line in formula.split("\n") if line.strip())


def _one(line: str) -> str:
    # An author's mathematics, whatever is wrong with it, must not cost the report.
    try:
        return to_mathml(line, "block")
    except ValueError:
        return f"<code>{escape(line)}</code>"
