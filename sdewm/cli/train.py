"""sdewm train: a world model of a control task."""

import sys
from pathlib import Path
from typing import Any, final

import click

from ..exceptions import InvalidArgument
from .shared import answer, as_json


@click.command("train")
@click.argument("task")
@click.option(
    "--model",
    type=click.Choice(("rssm", "neural-sde")),
    default="rssm",
    show_default=True,
    help="What to train: a recurrent state-space model, or a neural SDE.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="A .safetensors file.")
@click.option("--episodes", type=int, default=40, show_default=True, help="Episodes of random actions to learn from.")
@click.option("--episode-steps", type=int, default=125, show_default=True, help="Actions of each.")
@click.option("--steps", type=int, default=1000, show_default=True, help="Gradient steps.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of episodes, weights and batches.")
@click.option("--penalty", type=float, help="Weight of a Jacobian penalty.")
@click.option(
    "--penalty-of",
    type=click.Choice(("prior", "filter", "whole")),
    default="prior",
    show_default=True,
    help="Whose Jacobian --penalty weighs.",
)
@click.option("--checkpoint", type=click.Path(dir_okay=False, path_type=Path), help="Goes on from it where it exists.")
@as_json
def command(task: str, model: str, out: Path, steps: int, seed: int, as_json: bool, **given: Any) -> None:
    """Train a world model on TASK, a dm_control task such as pendulum-swingup, and test it on other episodes.

    \b
    Example:
      sdewm train pendulum-swingup --steps 200 \\
        --out pendulum.safetensors
    """
    from ..worldmodel import (
        RSSM,
        Architecture,
        NeuralSDE,
        Penalty,
        RSSMArchitecture,
        Settings,
        collect,
        horizon_error,
        save,
        train,
    )

    if out.suffix != ".safetensors":
        raise InvalidArgument(f"--out must end in .safetensors, got {str(out)!r}.")
    count, length = given["episodes"], given["episode_steps"]
    data = collect(task, episodes=count, steps=length, seed=seed)
    (width,), action = data.shape, data.actions.shape[2]
    made: Any = (
        RSSM(RSSMArchitecture(observation=width, action=action), seed=seed)
        if model == "rssm"
        else NeuralSDE(Architecture(observation=width, action=action), seed=seed)
    )
    weight = given["penalty"]
    penalty = None if weight is None else Penalty(of=given["penalty_of"], weight=weight)
    settings, said = Settings(steps=steps), _Said(steps)
    trained = train(
        made, data, settings, seed=seed, penalty=penalty, checkpoint=given["checkpoint"], progress=said.step
    ).model
    said.close()
    save(trained, out)
    held_out = collect(task, episodes=16, steps=length, seed=seed + 1)
    horizon = max(1, min(25, length - 21))
    error = horizon_error(trained, data, held_out, horizon=horizon)
    rms = {name: float(error.rms(name)[-1]) for name in error.squared}
    text = [f"{out}: {model} of {task}, {steps} gradient steps", f"open-loop error {horizon} steps ahead:"]
    text += [f"  {name:12s}{value:8.3f} standard deviations" for name, value in rms.items()]
    answer({"out": str(out), "horizon": horizon, "error": rms}, "\n".join(text), as_json)


@final
class _Said:
    """How far a training is."""

    def __init__(self, steps: int) -> None:
        from ..claims.progress import Line

        self.steps, self.line = steps, Line(sys.stderr)

    def step(self, number: int, evidence: Any) -> None:
        # Steps are counted from zero, and this one is done.
        done = number + 1
        left = self.line.elapsed / done * (self.steps - done)
        self.line.say(f"step {done} of {self.steps}, about {left:.0f} s left", last=done == self.steps)

    def close(self) -> None:
        self.line.close()
