"""Options that several commands have, and how they answer."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, TypeVar, final

import click

from ..exceptions import InvalidArgument
from ..output import plain
from .things import field, start, thing

Command = TypeVar("Command", bound=Callable[..., Any])
COLOURS = {"holds": "green", "violated": "red"}

as_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
PICTURES = (".png", ".pdf", ".svg")


def _picture(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Told before the work and not after it."""
    if value is not None and Path(value).suffix.lower() not in PICTURES:
        raise InvalidArgument(f"--plot must end in {', '.join(PICTURES)}, got {value!r}.")
    if value is not None and not Path(value).absolute().parent.is_dir():
        raise InvalidArgument(f"--plot must lie in a directory that is there, got {value!r}.")
    return value


results_option = click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Directory of records and verdicts.",
)
budget_option = click.option(
    "--budget",
    type=click.Choice(("quick", "standard", "full")),
    default="standard",
    show_default=True,
    help="How much work a claim may take.",
)
plot_option = click.option("--plot", callback=_picture, metavar="FILE", help="Draw it: PNG, PDF or SVG.")
workers_option = click.option("--workers", type=int, default=1, show_default=True, help="Processes to work in.")


def problem_options(command: Command) -> Command:
    """A system, its error, where and how long it runs."""
    for option in reversed(
        (
            click.option("--system", required=True, help='Such as "TanhNetwork(dim=8, gain=0.4)", or module:name.'),
            click.option("--drift-error", metavar="FIELD", help="σ: a number, or module:function of (t, x)."),
            click.option("--diffusion-error", metavar="FIELD", help="σ̄: a number, or module:function of (t, x)."),
            click.option("--initial-error", type=float, help="η: a number."),
            click.option(
                "--correlation", default="shared", show_default=True, help="shared, independent, or a number."
            ),
            click.option("--x0", default="0.6", show_default=True, help="A number, or one a coordinate: 0.1,0.2"),
            click.option("--horizon", "-T", type=float, default=1.0, show_default=True, help="End of time."),
            click.option("--steps", type=int, default=128, show_default=True, help="Steps of the time grid."),
            click.option("--paths", type=int, help="Number of paths."),
            click.option(
                "--seed", type=int, default=0, show_default=True, help="Of the noise; the same gives the same."
            ),
        )
    ):
        command = option(command)
    return command


def problem(given: dict[str, Any]) -> dict[str, Any]:
    """What the options of a problem stand for: system, error, x0, grid, paths, seed.

    Raises:
        InvalidArgument: one of them is wrong.
    """
    from .. import drifts
    from ..dynamics import RepresentationError
    from ..grid import TimeGrid

    parts = {name: field(given.pop(f"{name}_error"), f"--{name}-error") for name in ("drift", "diffusion")}
    initial, correlation = given.pop("initial_error"), given.pop("correlation")
    if initial is None and not any(part is not None for part in parts.values()):
        raise InvalidArgument("an error is needed: give --drift-error, --diffusion-error or --initial-error.")
    if correlation not in ("shared", "independent"):
        try:
            correlation = float(correlation)
        except ValueError as error:
            raise InvalidArgument(
                f"--correlation must be shared, independent or a number, got {correlation!r}."
            ) from error
    shipped = {name: value for name, value in vars(drifts).items() if isinstance(value, type) and name != "FourBlock"}
    return {
        "system": thing(given.pop("system"), "--system", shipped),
        "error": RepresentationError(**parts, initial=initial, correlation=correlation),
        "x0": start(given.pop("x0")),
        "grid": TimeGrid(given.pop("horizon"), given.pop("steps")),
        "paths": given.pop("paths"),
        "seed": given.pop("seed"),
    }


def answer(found: Any, text: str, as_json: bool) -> None:
    """Print plain values as JSON, or a text."""
    click.echo(json.dumps(plain(found), indent=1, ensure_ascii=False) if as_json else text)


def coloured(word: str) -> str:
    """An outcome in its colour, where there are colours."""
    return click.style(word, fg=COLOURS.get(word, "yellow"), bold=True)


def estimate(value: Any, level: float = 0.95) -> dict[str, Any]:
    """The plain values of an `Estimate`."""
    low, high = value.interval(level)
    return {"value": float(value.value), "interval": [float(low), float(high)], "level": level, "n": int(value.n)}


@final
class Told(Executor):
    """Work in this process, block by block, that tells how far it is."""

    def __init__(self) -> None:
        from ..claims.progress import Line

        self.line, self.sums = Line(sys.stderr), 0

    def map(self, fn: Callable[..., Any], *iterables: Iterable[Any], **options: Any) -> Iterator[Any]:
        """As `map` does, lazily: blocks that nobody asks for are not computed."""
        self.sums += 1
        blocks, begun, sums = iterables[0], self.line.elapsed, self.sums
        total = len(blocks) if isinstance(blocks, Sized) else 0
        for number, given in enumerate(zip(*iterables, strict=False), 1):
            yield fn(*given)
            left = (self.line.elapsed - begun) / number * max(total - number, 0)
            # Of what is done at once there is nothing to tell.
            if self.line.elapsed > 1.0:
                self.line.say(f"pass {sums}: block {number} of {total}, about {left:.0f} s left")

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """What is said next begins on a line of its own."""
        self.line.close()
