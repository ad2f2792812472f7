"""sdewm expand: what an error does to a loss."""

from typing import Any

import click

from .shared import Told, answer, as_json, estimate, problem, problem_options
from .things import thing

FORMS = ("ito", "uncorrected", "uncorrected-drift-hessian")


@click.command("expand")
@problem_options
@click.option("--loss", default="SquaredDistance", show_default=True, help="A shipped loss, or module:function of x.")
@click.option(
    "--form",
    type=click.Choice(FORMS),
    default="ito",
    show_default=True,
    help="The right formula, or one without Itô's correction.",
)
@click.option("--tolerance", type=float, help="Relative, in place of --paths: the method is chosen.")
@click.option("--eps", type=float, help="Measure the effect of an error of this size as well, and compare.")
@as_json
def command(loss: str, form: str, tolerance: float | None, eps: float | None, as_json: bool, **given: Any) -> None:
    """Expand E loss(x^ε) − E loss(x⁰) = εP + ε²(Q + S/2) + O(ε³), each coefficient with a 95 % interval.

    \b
    Example:
      sdewm expand --system "Cubic()" --diffusion-error 0.5 --paths 20000 \\
        --eps 0.1
    """
    from ..theory import expand, losses

    shipped = {name: value for name, value in vars(losses).items() if name.endswith(("Loss", "Distance"))}
    asked = problem(given)
    if tolerance is None and asked["paths"] is None:
        asked["paths"] = 20_000
    with Told() as executor:
        of = thing(loss, "--loss", shipped)
        found = expand(**asked, loss=of, form=form, tolerance=tolerance, executor=executor)
        parts = {"P": found.P, "Q": found.Q, "S": found.S, "Q + S/2": found.Q + 0.5 * found.S}
        if eps is not None:
            compared = found.compare(eps)
            parts |= {name: getattr(compared, name) for name in compared._fields}
    text = [f"{name:10s} {value}" for name, value in parts.items()]
    text += [f"method     {found.method}", *(f"mind: {flag}" for flag in found.flags)]
    values = {name: estimate(value) for name, value in parts.items()}
    answer({**values, "form": form, "method": str(found.method), "flags": list(found.flags)}, "\n".join(text), as_json)
