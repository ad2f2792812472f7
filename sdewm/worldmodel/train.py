"""Training any `WorldModel` on its evidence lower bound, to be stopped anywhere and resumed."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar, final

import torch
from torch import Tensor, nn

from ..dynamics.brownian import generator
from ..exceptions import InvalidArgument, NumericalFailure
from ..validation import instance, integer
from .checkpoint import file_path
from .episodes import Episodes
from .evidence import Evidence as Evidence
from .evidence import evidence as evidence
from .injection import Injection, state_covariance, without_push
from .model import Pushed, WorldModel
from .progress import Progress, configuration, read_progress, write_progress
from .regularise import Penalty, limit_spectral_norms
from .seeds import derived
from .settings import Settings as Settings
from .units import deviation_or_one

Model = TypeVar("Model", bound=WorldModel)
# How much of the running covariance a gradient step keeps, once there have been many.
_KEPT = 0.98


@final
@dataclass(frozen=True, eq=False)
class Trained(Generic[Model]):
    """A trained model and how it went.

    Attributes:
        model: the model.
        history: (steps, 5), the parts of its `Evidence` at every gradient step, in their order.
        covariance: running covariance of the states under filtering, (hidden + latent, hidden + latent), which the
            injected error was whitened by; None without a whitened injection.
        seconds: processor time of all gradient steps, those before a resumption included.
    """

    model: Model
    history: Tensor
    covariance: Tensor | None
    seconds: float


def train(
    model: Model,
    episodes: Episodes,
    settings: Settings,
    *,
    seed: int,
    injection: Injection | None = None,
    penalty: Penalty | None = None,
    checkpoint: str | Path | None = None,
    every: int = 200,
    device: str | torch.device | None = None,
    progress: Callable[[int, Evidence], None] | None = None,
) -> Trained[Model]:
    """Train an untrained model in place: windows and noise are functions of (seed, gradient step) alone.

    Random numbers are drawn on the CPU whatever the device, so that runs agree across devices to rounding (which
    training then amplifies). Subnormal numbers are flushed to zero while training, as they slow processors down; the
    setting is given back afterwards.

    With a `checkpoint` the state of the training is written there every so many steps, whole or not at all, and after
    the last. Where the file exists, training goes on from it: on one machine and number of threads, a run that was
    killed and resumed equals one that was not, to the bit.

    Args:
        model: an untrained model; its units are taken from the episodes.
        episodes: the data.
        settings: how to train.
        seed: whole number >= 0.
        injection: an error that is injected into the states while filtering. In whitened units its covariance is an
            average over past gradient steps, of the states before they were pushed; the first step filters once more,
            without the error, for its own.
        penalty: a Jacobian penalty that is added to the loss.
        checkpoint: a file, written as safetensors.
        every: gradient steps from one writing to the next.
        device: where to train; by default where the model is. The model stays there.
        progress: called after each gradient step with its number and its evidence.

    Raises:
        InvalidArgument: an argument is of another kind or out of range, the sizes do not fit the data, gradients are
            switched off, or the checkpoint is damaged, or that of another training; it is then left as it is.
        NumericalFailure: the loss or its gradient is not finite; the last checkpoint is kept.

    Warning:
        Equal to the bit on one kind of machine and number of threads only. That the model is untrained is not checked:
        a trained one is trained further, with units that may be new.

    Example:
        >>> from sdewm.worldmodel import Architecture, NeuralSDE
        >>> data = Episodes(torch.arange(8.0).reshape(1, 4, 2), torch.zeros(1, 3, 1))
        >>> few = Settings(steps=2, batch=2, length=3)
        >>> train(NeuralSDE(Architecture(observation=2, action=1)), data, few, seed=0).history.shape
        torch.Size([2, 5])
    """
    seed, every = integer("seed", seed, least=0), integer("every", every, least=1)
    instance("episodes", episodes, Episodes)
    instance("settings", settings, Settings)
    for name, value, kind in (("injection", injection, Injection), ("penalty", penalty, Penalty)):
        if value is not None:
            instance(name, value, kind)
    check_gradients(model)
    if settings.length > episodes.steps:
        raise InvalidArgument(
            f"length must be at most the {episodes.steps} steps of the episodes, got {settings.length}."
        )
    # The first state of a window has no reward and no end.
    asked = (model.rewards and episodes.rewards is not None, model.continues and episodes.continues is not None)
    if settings.length < 2 and any(asked):
        raise InvalidArgument("length must be at least 2 for a model that predicts rewards or ends, got 1.")
    path, made = None if checkpoint is None else file_path(checkpoint), {}
    model.to(_device(model, device))
    model.fit_units(episodes)
    run = _Run(model, episodes, settings, seed, injection, penalty)
    if path is not None:
        made = configuration(model, episodes, settings, seed, injection, penalty)
        if path.exists():
            run.resume(read_progress(path, made))
    with subnormals_flushed():
        while run.step < settings.steps:
            parts = run.advance()
            last = run.step == settings.steps
            if path is not None and (last or run.step % every == 0):
                run.check_weights()
                write_progress(path, run.progress(), made)
            if progress is not None:
                progress(run.step - 1, parts)
    run.check_weights()
    return Trained(model, run.history, run.covariance, run.seconds)


@final
class _Run:
    """The state of one training, and its next gradient step."""

    def __init__(
        self,
        model: WorldModel,
        episodes: Episodes,
        settings: Settings,
        seed: int,
        injection: Injection | None,
        penalty: Penalty | None,
    ) -> None:
        self.model, self.settings, self.seed = model, settings, seed
        self.injection, self.penalty = injection, penalty
        self.device = next(model.parameters()).device
        rewards = episodes.rewards if model.rewards else None
        continues = episodes.continues if model.continues else None
        parts = (episodes.observations, episodes.actions, rewards, continues)
        o, a, r, c = (None if part is None else part.to(self.device) for part in parts)
        assert o is not None
        assert a is not None
        self.data = Episodes(o, a, r, c)
        self.reward_unit = 1.0 if episodes.rewards is None else float(deviation_or_one(episodes.rewards.double()))
        # One fused kernel for all parameters; without weight decay it is Adam.
        self.optimiser = torch.optim.AdamW(
            model.parameters(), lr=settings.rate, weight_decay=settings.weight_decay, fused=True
        )
        self.history = torch.zeros(settings.steps, len(Evidence._fields))
        self.step, self.seconds = 0, 0.0
        self.covariance: Tensor | None = None

    def advance(self) -> Evidence:
        """Take a gradient step."""
        began, settings, step = time.process_time(), self.settings, self.step
        for group in self.optimiser.param_groups:
            group["lr"] = settings.rate_at(step)
        observations, actions, rewards, continues = self._batch()
        given = self._noisy(observations)
        noise = derived(self.seed, "training: noise", step)
        pushed = self._pushed(given, actions, noise)
        try:
            parts, seen = evidence(
                self.model,
                observations,
                actions,
                seed=noise,
                observation_scale=settings.observation_scale,
                rewards=rewards,
                continues=continues,
                reward_unit=self.reward_unit,
                given=given,
                pushed=pushed,
            )
        except NumericalFailure as error:
            raise NumericalFailure(
                f"the states are not finite at gradient step {step}; lower the learning rate ({error})",
                time=float(step),
            ) from error
        loss = parts.reconstruction + settings.divergence_weight * parts.divergence + parts.reward + parts.continuing
        if self.penalty is not None:
            value = self.penalty.value(
                self.model, seen, given, actions, seed=derived(self.seed, "training: penalty"), draw=step
            )
            parts = parts._replace(penalty=value)
            loss = loss + self.penalty.weight * value
        self.optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip)
        if not bool(torch.isfinite(loss.detach() + norm)):
            raise NumericalFailure(
                f"the loss or its gradient is not finite at gradient step {step}; lower the learning rate.",
                time=float(step),
            )
        self.optimiser.step()
        parts = Evidence(*(part.detach() for part in parts))
        self.step += 1
        if settings.spectral_limit is not None and (
            self.step % settings.spectral_every == 0 or self.step == settings.steps
        ):
            limit_spectral_norms(self.model, settings.spectral_limit)
        if pushed is not None and self.covariance is not None:
            self.covariance = averaged(self.covariance, without_push(state_covariance(seen.states), pushed), step)
        self.history[step] = torch.stack(parts)
        self.seconds += time.process_time() - began
        return parts

    def progress(self) -> Progress:
        """Everything that the next gradient step depends on."""
        named = list(self.model.named_parameters())
        state = self.optimiser.state
        return Progress(
            step=self.step,
            seconds=self.seconds,
            weights=dict(self.model.state_dict()),
            first={name: state[p]["exp_avg"] for name, p in named if p in state},
            second={name: state[p]["exp_avg_sq"] for name, p in named if p in state},
            history=self.history[: self.step],
            covariance=self.covariance,
        )

    def resume(self, saved: Progress) -> None:
        """Go on from there.

        Raises:
            InvalidArgument: the tensors are not those of the model; then it is left as it is.
        """
        own = dict(self.model.named_parameters())
        size = self.model.hidden + self.model.latent
        covariance = {} if saved.covariance is None else {"covariance": saved.covariance}
        fits = (
            alike(self.model.state_dict(), saved.weights)
            and all(moments.keys() <= own.keys() for moments in (saved.first, saved.second))
            and all(alike({name: own[name] for name in m}, m) for m in (saved.first, saved.second))
            and alike({"history": self.history[: saved.step]}, {"history": saved.history})
            and alike({name: torch.empty(size, size).double() for name in covariance}, covariance)
        )
        if not fits:
            raise InvalidArgument(
                "checkpoint must hold the model's own tensors, but its shapes, kinds or names differ."
            )
        self.model.load_state_dict(saved.weights)
        self.step, self.seconds = saved.step, saved.seconds
        self.history[: saved.step] = saved.history
        self.covariance = None if saved.covariance is None else saved.covariance.to(self.device)
        for name, p in self.model.named_parameters():
            if name in saved.first:
                # In the strides of the parameter, which may be channels-last: the fused kernel takes them for granted.
                first, second = (torch.empty_like(p).detach().copy_(m[name]) for m in (saved.first, saved.second))
                self.optimiser.state[p] = {
                    "step": torch.tensor(float(saved.step), device=p.device),
                    "exp_avg": first,
                    "exp_avg_sq": second,
                }

    def check_weights(self) -> None:
        """Refuse weights that are not finite, before somebody keeps them.

        Raises:
            NumericalFailure: a weight is not finite.
        """
        for name, p in self.model.named_parameters():
            if not bool(torch.isfinite(p).all()):
                raise NumericalFailure(
                    f"{name} is not finite after gradient step {self.step - 1}; lower the learning rate.",
                    time=float(self.step - 1),
                )

    def _batch(self) -> "_Batch":
        """Windows of this gradient step, chosen at random."""
        settings, data = self.settings, self.data
        draw = generator(self.seed, "training: windows", self.step)
        rows = torch.randint(len(data), (settings.batch,), generator=draw)
        first = torch.randint(data.steps - settings.length + 1, (settings.batch,), generator=draw)
        at = rows.to(self.device), (first + torch.arange(settings.length)[:, None]).to(self.device)
        parts = (data.observations, data.actions, data.rewards, data.continues)
        o, a, r, c = (None if part is None else part[at] for part in parts)
        assert o is not None
        observations = self.model.standardise(o)
        actions, rewards, continues = (None if part is None else part.to(observations) for part in (a, r, c))
        assert actions is not None
        return _Batch(observations, actions, rewards, continues)

    def _noisy(self, observations: Tensor) -> Tensor:
        if self.settings.observation_noise == 0.0:
            return observations
        draw = generator(self.seed, "training: observation noise", self.step)
        noise = torch.randn(observations.shape, generator=draw).to(observations)
        return observations + self.settings.observation_noise * noise

    def _pushed(self, observations: Tensor, actions: Tensor, noise: int) -> Pushed | None:
        if self.injection is None:
            return None
        if self.injection.whitened and self.covariance is None:
            with torch.no_grad():
                self.covariance = state_covariance(self.model.filtered(observations, actions, seed=noise).states)
        return self.injection.pushed(self.model, self.covariance, seed=self.seed)


class _Batch(NamedTuple):
    """Windows, time first: observations are standardised."""

    observations: Tensor
    actions: Tensor
    rewards: Tensor | None
    continues: Tensor | None


def alike(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> bool:
    """Whether both hold tensors of the same names, shapes and dtypes."""
    return wanted.keys() == found.keys() and all(
        (value.shape, value.dtype) == (found[name].shape, found[name].dtype) for name, value in wanted.items()
    )


def check_gradients(model: nn.Module) -> None:
    """Refuse to train where there are no gradients.

    Raises:
        InvalidArgument: they are switched off, or no weight requires one.
    """
    if not torch.is_grad_enabled():
        raise InvalidArgument("gradients are switched off: call train outside of torch.no_grad() and inference_mode().")
    if not any(p.requires_grad for p in model.parameters()):
        raise InvalidArgument("model has no weight that requires a gradient: call model.requires_grad_(True).")


def averaged(old: Tensor, new: Tensor, step: int) -> Tensor:
    """A running average after one more gradient step."""
    # The first steps weigh alike, and the window grows to its full length.
    kept = min(_KEPT, (step + 1.0) / (step + 2.0))
    return kept * old + (1.0 - kept) * new


def _device(model: WorldModel, asked: str | torch.device | None) -> torch.device:
    places = {p.device for p in model.parameters()}
    if asked is None and len(places) != 1:
        raise InvalidArgument(f"model must be on one device, got {len(places)}: pass device.")
    try:
        device = next(iter(places)) if asked is None else torch.device(asked)
        if device.type != "meta" and not any(place.type == "meta" for place in places):
            torch.zeros(1, device=device)
            return device
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InvalidArgument(f"device {asked!r} cannot be used: {str(error).splitlines()[0]}") from error
    raise InvalidArgument("device must hold numbers, but tensors on 'meta' have none: build the model on 'cpu'.")


@contextmanager
def subnormals_flushed() -> Iterator[None]:
    """Flush subnormal numbers to zero inside, and give the setting back outside.

    It holds for the calling thread. torch has no way to ask for the setting, so a subnormal number is looked at.
    """
    tiny = torch.full((1,), 1e-310, dtype=torch.float64)
    before = bool((tiny * 0.5 == 0.0).all())
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
