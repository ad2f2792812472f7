"""sdewm check: a bound, a system, a verdict."""

from typing import Any

import click

from .codes import OK, OTHER
from .shared import Told, answer, as_json, coloured, plot_option, problem, problem_options
from .things import thing

EXPECTED = ("holds", "violated", "inconclusive", "hypothesis fails")


@click.command("check")
@click.argument("bound")
@problem_options
@click.option("--eps", type=float, default=0.05, show_default=True, help="Size of the error.")
@click.option("--level", type=float, default=0.99, show_default=True, help="Confidence level of the verdict.")
@click.option("--expect", type=click.Choice(EXPECTED), default="holds", show_default=True, help="Gives exit code 0.")
@plot_option
@as_json
def command(bound: str, eps: float, level: float, expect: str, plot: str | None, as_json: bool, **given: Any) -> int:
    """Check a BOUND on the error of a rollout, such as LogNorm (see sdewm list bounds).

    \b
    Example:
      sdewm check LogNorm --system "TanhNetwork(dim=8, gain=0.4, seed=3)" \\
        --diffusion-error 0.5 --eps 0.05
    """
    from ..theory import check
    from ..theory.bounds import BOUNDS

    found = thing(bound, "BOUND", {type(each).__name__: type(each) for each in BOUNDS})
    with Told() as executor:
        verdict = check(found, eps=eps, level=level, executor=executor, **problem(given))
    if plot is not None:
        verdict.plot(plot)
    outcome = verdict.outcome.value
    said = f"{coloured(outcome)}{str(verdict).removeprefix(outcome)}"
    answer(verdict.to_json(), said if verdict.evidence is None else f"{said}\n{verdict.explain()}", as_json)
    return OK if outcome == expect else OTHER
