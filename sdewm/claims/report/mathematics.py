"""LaTeX mathematics as MathML, which browsers typeset without a script or a font from elsewhere."""

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
    # Here, so that judging and drawing do not need it.
    from latex2mathml.converter import convert

    try:
        found = str(convert(line, display="block")).replace(NAMESPACE, "", 1)
        if _is_mathematics(found):
            return found
    except Exception:  # The author's mathematics, whatever is wrong with it, must not cost the report.
        pass
    return f"<code>{escape(line)}</code>"


def _is_mathematics(found: str) -> bool:
    """Whether it holds nothing but MathML: the converter hands on what stands in \\text as it is."""
    return all(
        each.tag in ELEMENTS and ATTRIBUTES.issuperset(each.attrib) for each in ElementTree.fromstring(found).iter()
    )
