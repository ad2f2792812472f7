"""sdewm divergence: how fast errors grow in a model."""

from pathlib import Path
from typing import Any

import click

from ..exceptions import InvalidArgument
from .shared import answer, as_json, plot_option
from .things import thing

# Observations that a shipped model filters before a rollout.
WARM = 20


@click.command("divergence")
@click.argument("model")
@click.option("--states", help="module:name of where rollouts start, (paths, dim), for a step of your own.")
@click.option("--actions", help="module:name of actions, (steps, paths, action) or (steps, action).")
@click.option("--task", default="pendulum-swingup", show_default=True, help="Whose episodes a model file filters.")
@click.option("--episodes", type=int, default=16, show_default=True, help="Number of them.")
@click.option("--horizon", type=int, default=25, show_default=True, help="Steps of a rollout.")
@click.option("--noise-dim", type=int, default=0, help="Normals a row that your step takes as its third argument.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of episodes, noise and directions.")
@plot_option
@as_json
def command(model: str, horizon: int, seed: int, plot: str | None, as_json: bool, **given: Any) -> None:
    """Inject errors into rollouts of MODEL, a file of sdewm train or module:step, and measure how they grow.

    \b
    Example:
      sdewm divergence my_model:step --states my_model:states \\
        --horizon 25 --plot growth.png
    """
    from ..worldmodel import divergence

    file = Path(model)
    if file.suffix == ".safetensors":
        step, states, actions, noise_dim, of = _of_file(file, horizon, seed, given)
    else:
        step, of, noise_dim = thing(model, "MODEL"), None, given["noise_dim"]
        if given["states"] is None:
            raise InvalidArgument("--states is needed for a step of your own: module:name of a tensor (paths, dim).")
        states = thing(given["states"], "--states")
        actions = None if given["actions"] is None else thing(given["actions"], "--actions")
    ahead: dict[str, Any] = {} if actions is not None and file.suffix != ".safetensors" else {"horizon": horizon}
    found = divergence(step, states, actions, noise_dim=noise_dim, of=of, seed=seed, **ahead)
    if plot is not None:
        found.plot(plot)
    answer(found.to_dict(), f"{found}\n{found.explain()}", as_json)


def _of_file(file: Path, horizon: int, seed: int, given: dict[str, Any]) -> tuple[Any, Any, Any, int, Any]:
    """The prior map of a trained model, filtered states, actions, and the latent columns."""
    import torch

    from ..worldmodel import collect, load

    model = load(file).double().requires_grad_(False)
    data = collect(given["task"], episodes=given["episodes"], steps=WARM + horizon + 1, seed=seed)
    model.check(data)
    observations = model.standardise(data.observations[:, :WARM].double()).transpose(0, 1)
    actions = data.actions.double().transpose(0, 1)
    with torch.no_grad():
        states = model.filtered(observations, actions[:WARM], seed=seed).states[-1]
    step = model.prior_map()
    first = WARM - model.lag
    of = slice(model.hidden, None) if hasattr(model, "hidden") else None
    return step, states, actions[first : first + horizon], step.noise_dim, of
