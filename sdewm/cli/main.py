"""The command `sdewm`, whose parts are imported when they are used: its help takes no second."""

import os
import sys
from importlib import import_module
from typing import Any, final

import click

from ..exceptions import SdewmError, WorkFailed
from .codes import INTERRUPTED, OK, UNFINISHED, USAGE

# Each command is in a file of its own: its name, the file, and what it does in one line.
COMMANDS = {
    "list": ("lists", "What there is: bounds, drifts, losses, penalties, tasks, claims of a module."),
    "check": ("check", "Is a bound on a rollout's error true on this system, and how tight is it?"),
    "expand": ("expand", "What an error does to a loss, to second order."),
    "divergence": ("divergence", "How fast errors grow in a model."),
    "claims": ("claims", "Run and judge a module of claims."),
    "train": ("train", "Train a world model on a control task."),
    "report": ("report", "Write the report of verdicts that are there."),
    "verify-records": ("verify", "Compute a random sample of records again, and compare to the bit."),
}


@final
class _Lazy(click.Group):
    """Commands by name, imported when one of them is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = import_module(f"{__package__}.{COMMANDS[cmd_name][0]}").command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, said) for name, (_, said) in COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="sdewm")
def sdewm() -> None:
    """Latent world models as stochastic differential equations, and their theory checked by number.

    Exit codes: 0 as expected, 1 another verdict, 2 a wrong argument, 3 unfinished, 130 interrupted.

    \b
    Example:
      sdewm check LogNorm --system "TanhNetwork(dim=8, gain=0.4, seed=3)" \\
        --diffusion-error 0.5 --eps 0.05
    """


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns its exit code.

    Args:
        arguments: by default those of the process.
    """
    # https://no-color.org; a pipe has no colours anyway.
    options: dict[str, Any] = {"color": False} if os.environ.get("NO_COLOR") else {}
    try:
        code = sdewm.main(arguments, prog_name="sdewm", standalone_mode=False, **options)
    except click.exceptions.Abort:
        click.echo("\ninterrupted; what is finished is kept", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return USAGE
    except WorkFailed as error:
        click.echo(f"sdewm: {error}", err=True)
        return UNFINISHED
    except SdewmError as error:
        click.echo(f"sdewm: {error}", err=True)
        return USAGE
    except BrokenPipeError:
        # Whoever reads has seen enough, as `head` has; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:
        # A file or a directory that the user named, or a full disk.
        click.echo(f"sdewm: {error.filename or 'a file'}: {error.strerror or error}", err=True)
        return USAGE
    return code if isinstance(code, int) else OK
