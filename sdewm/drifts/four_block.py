"""The paper's latent world model: four blocks of one stochastic differential equation, from any torch modules."""

from collections.abc import Sequence
from typing import NamedTuple, cast, final

import torch
from torch import Tensor, nn

from ..dynamics.system import LatentSDE, system_dtype
from ..exceptions import InvalidArgument
from ..jacobian.stack import NetworkStack
from ..validation import integer, one_of, positive

FORMS = ("filtering", "rollout")
NOISES = ("diagonal", "general", "shared")


class Blocks(NamedTuple):
    """The blocks of a state, each (..., size); a block that was left out has size 0.

    Attributes:
        posterior: z, the encoder's posterior.
        hidden: h, the sequence model's state.
        predictor: z̃, the transition predictor.
        decoded: õ, the decoder.
    """

    posterior: Tensor
    hidden: Tensor
    predictor: Tensor
    decoded: Tensor


@final
class FourBlock(LatentSDE):
    """x = (z, h, z̃, õ) with

        dz = (q(h, o) − z/τ) dt + q̄(h, o) dB_z         encoder posterior
        dh =  f(h, u, a)      dt + f̄(h, u, a) dB_h      sequence model, u = z when filtering, u = z̃ in a rollout
        dz̃ = (p(h) − z̃/τ)    dt + p̄(h) dB_z̃           transition predictor
        dõ = (d(h, z̃) − õ/τ)  dt + d̄(h, z̃) dB_õ        decoder

    `leak=None` leaves out the terms −z/τ, −z̃/τ, −õ/τ: these blocks are then pure integrators, as in the source, and the
    logarithmic norm of the whole system cannot be negative. With a leak they forget, and with τ equal to the time step
    one Euler step is exactly the step of a Gaussian recurrent state-space model, which draws z anew.

    In a rollout z̃ replaces z in the equation of h. Nothing then depends on z: a representation error, which enters
    through z, reaches the rollout through its start alone. So a rollout needs no posterior, and no observations.

    Any block but h may be left out (`None`): z̃ and õ feed nothing back while filtering, õ and z nothing in a rollout.

    Args:
        latent, hidden, observation: sizes of z and z̃, of h, and of o and õ.
        action: size of a, may be 0.
        sequence: f(h, u, a) -> (paths, hidden).
        posterior: q(h, o) -> (paths, latent), or None for no z block.
        transition: p(h) -> (paths, latent), or None for no z̃ block.
        decoder: d(h, z̃) -> (paths, observation), or None for no õ block.
        posterior_scale, sequence_scale, transition_scale, decoder_scale: q̄, f̄, p̄, d̄ of the arguments and shapes of
            the drift of their block; None for no noise there. A recurrent state-space model has f̄ = 0.
        leak: τ, above zero, or None for the literal equations.
        form: "filtering" or "rollout".
        noise: "diagonal", one Brownian motion a coordinate; "general", the same noise with columns for those blocks
            only that have a scale; or "shared", likewise, but the predictor and the decoder move on one Brownian
            motion, B_õ = B_z̃, and d̄ has shape (paths, observation, latent). With any of these the noises of z and h
            are independent, and an error in z that shares B_z meets no f̄(z) noise: Σ ρ_kl Dḡ_k σ̄_l = 0.

    The inputs of the system are a, followed by o if there is a z block: `action_dim` is the sum of their sizes.
    A module is called with separate arguments, as written above; `Joined` lets a plain network take them side by side.

    Raises:
        InvalidArgument: a size is wrong, a block that the form needs is missing, a scale has no block, or a module
            returns another shape than stated.

    Warning:
        Not checked: that the modules map each path apart from the others (no batch normalisation), that they are
        deterministic (no dropout), that their derivatives up to the third exist and are bounded (no ReLU), and that the
        Euler step is well below 2 τ.

    Source: Fang, Du, Wang, Zhang, arXiv:2501.00195 (as reconstructed); the leak is an addition.

    Example:
        >>> net = lambda i, o: Joined(nn.Linear(i, o))
        >>> model = FourBlock(latent=2, hidden=3, observation=1, action=1, sequence=net(6, 3), posterior=net(4, 2),
        ...                   transition=net(3, 2), decoder=net(5, 1), leak=1.0)
        >>> model.dim, model.action_dim, model.rollout().action_dim
        (8, 2, 1)
    """

    def __init__(
        self,
        *,
        latent: int,
        hidden: int,
        observation: int,
        action: int,
        sequence: nn.Module,
        posterior: nn.Module | None = None,
        transition: nn.Module | None = None,
        decoder: nn.Module | None = None,
        posterior_scale: nn.Module | None = None,
        sequence_scale: nn.Module | None = None,
        transition_scale: nn.Module | None = None,
        decoder_scale: nn.Module | None = None,
        leak: float | None = None,
        form: str = "filtering",
        noise: str = "diagonal",
    ) -> None:
        super().__init__()
        self.latent = integer("latent", latent, least=1)
        self.hidden = integer("hidden", hidden, least=1)
        self.observation = integer("observation", observation, least=0)
        self.action = integer("action", action, least=0)
        self.leak = None if leak is None else positive("leak", leak)
        self.form = one_of("form", form, FORMS)
        self.noise = one_of("noise", noise, NOISES)
        self.sequence, self.sequence_scale = sequence, sequence_scale
        self.posterior, self.posterior_scale = posterior, posterior_scale
        self.transition, self.transition_scale = transition, transition_scale
        self.decoder, self.decoder_scale = decoder, decoder_scale
        self._check_blocks()
        self.sizes = (
            self.latent if posterior is not None else 0,
            self.hidden,
            self.latent if transition is not None else 0,
            self.observation if decoder is not None else 0,
        )
        self.dim = sum(self.sizes)
        self.action_dim = self.action + (self.observation if posterior is not None else 0)
        self._noisy = tuple(
            scale is not None for scale in (posterior_scale, sequence_scale, transition_scale, decoder_scale)
        )
        if self.noise == "diagonal":
            self.noise_dim = self.dim
        else:
            self.noise_type = "general"
            noisy = (*self._noisy[:3], self._noisy[3] and self.noise == "general")
            self.noise_dim = sum(size for size, on in zip(self.sizes, noisy, strict=True) if on)
            if self.noise_dim == 0:
                raise InvalidArgument(f"noise={noise!r} needs a scale: without one, take noise='diagonal'.")
        self._check_modules()

    def split(self, x: Tensor) -> Blocks:
        """The blocks of x (..., dim), as views.

        Raises:
            InvalidArgument: x has not `dim` columns.
        """
        if x.shape[-1] != self.dim:
            raise InvalidArgument(f"x must have {self.dim} columns {self.sizes}, got shape {tuple(x.shape)}.")
        return Blocks(*torch.split(x, list(self.sizes), dim=-1))

    def join(self, blocks: Sequence[Tensor]) -> Tensor:
        """The state of four blocks: the inverse of `split`."""
        return torch.cat(tuple(blocks), dim=-1)

    def rollout(self) -> "FourBlock":
        """The rollout form of the same modules, without the z block: its state is (h, z̃, õ), its input a."""
        return FourBlock(
            latent=self.latent,
            hidden=self.hidden,
            observation=self.observation,
            action=self.action,
            sequence=self.sequence,
            transition=self.transition,
            decoder=self.decoder,
            sequence_scale=self.sequence_scale,
            transition_scale=self.transition_scale,
            decoder_scale=self.decoder_scale,
            leak=self.leak,
            form="rollout",
            noise=self.noise,
        )

    def rollout_start(self, x: Tensor) -> Tensor:
        """Where a rollout without z block starts after filtering: h and õ as they are, z̃ := z.

        This is the only place where an error of the representation z enters a rollout.
        """
        z, h, _, decoded = self.split(x)
        return torch.cat((h, z, decoded), dim=-1)

    def f(self, t: Tensor, x: Tensor, a: Tensor | None = None) -> Tensor:
        """Drift (paths, dim) at states (paths, dim) and inputs (paths, action_dim)."""
        z, h, predictor, decoded = self.split(x)
        action, seen = self._inputs(x, a)
        parts = []
        if self.posterior is not None:
            parts.append(self._leaky(self.posterior(h, seen), z))
        parts.append(self.sequence(h, z if self.form == "filtering" else predictor, action))
        if self.transition is not None:
            parts.append(self._leaky(self.transition(h), predictor))
        if self.decoder is not None:
            parts.append(self._leaky(self.decoder(h, predictor), decoded))
        return torch.cat(parts, dim=-1)

    def g(self, t: Tensor, x: Tensor, a: Tensor | None = None) -> Tensor:
        """Diffusion: (paths, dim) for diagonal noise, else (paths, dim, noise_dim)."""
        z, h, predictor, decoded = self.split(x)
        action, seen = self._inputs(x, a)
        driver = z if self.form == "filtering" else predictor
        scales = (
            None if self.posterior_scale is None else self.posterior_scale(h, seen),
            None if self.sequence_scale is None else self.sequence_scale(h, driver, action),
            None if self.transition_scale is None else self.transition_scale(h),
            None if self.decoder_scale is None else self.decoder_scale(h, predictor),
        )
        if self.noise == "diagonal":
            pairs = zip(scales, (z, h, predictor, decoded), strict=True)
            return torch.cat([torch.zeros_like(b) if s is None else s for s, b in pairs], dim=-1)
        return self._columns(x, scales)

    def drift_networks(self) -> NetworkStack | None:
        """The drift as networks of parts of the state, where each module is a plain one, `Joined` or `OfHidden`."""
        rate = 0.0 if self.leak is None else -1.0 / self.leak
        modules = (self.posterior, self.sequence, self.transition, self.decoder)
        shift = [0.0 if k == 1 else rate for k, size in enumerate(self.sizes) for _ in range(size)]
        return self._stack(modules, tuple(shift))

    def diffusion_networks(self) -> NetworkStack | None:
        """The scales likewise; none for noise that is shared, where the decoder's scale is a matrix."""
        scales = (self.posterior_scale, self.sequence_scale, self.transition_scale, self.decoder_scale)
        return None if self.noise == "shared" else self._stack(scales, ())

    def _stack(self, modules: Sequence[nn.Module | None], shift: tuple[float, ...]) -> NetworkStack | None:
        z, h, predictor, _ = (tuple(range(sum(self.sizes[:k]), sum(self.sizes[: k + 1]))) for k in range(4))
        action, seen = (None,) * self.action, (None,) * self.observation
        driver = z if self.form == "filtering" else predictor
        parts: list[tuple[nn.Module, tuple[int | None, ...]]] = []
        for module, columns in zip(modules, ((*h, *seen), (*h, *driver, *action), h, (*h, *predictor)), strict=True):
            if module is not None and (module._forward_hooks or module._forward_pre_hooks):
                return None
            if isinstance(module, Joined):
                parts.append((module.network, columns))
            elif isinstance(module, OfHidden):
                parts.append((module.network, h))
            elif module is not None and columns == h:
                parts.append((module, h))
            elif module is not None:
                return None
        return NetworkStack(tuple(parts), shift)

    def _columns(self, x: Tensor, scales: Sequence[Tensor | None]) -> Tensor:
        # Built by padding, not by writing into a tensor, so that every kind of automatic differentiation goes through.
        rows, left, width = [], 0, cast(int, self.noise_dim)
        for k, (scale, size) in enumerate(zip(scales, self.sizes, strict=True)):
            if scale is None:
                rows.append(x.new_zeros(len(x), size, width))
                continue
            common = k == 3 and self.noise == "shared"
            # A decoder that shares its noise uses the columns of the predictor again, which are the last ones.
            first = width - self.latent if common else left
            matrix = scale if common else torch.diag_embed(scale)
            rows.append(nn.functional.pad(matrix, (first, width - first - matrix.shape[2])))
            left += 0 if common else size
        return torch.cat(rows, dim=1)

    def _leaky(self, drift: Tensor, block: Tensor) -> Tensor:
        return drift if self.leak is None else torch.sub(drift, block, alpha=1.0 / self.leak)

    def _inputs(self, x: Tensor, a: Tensor | None) -> tuple[Tensor, Tensor]:
        a = x.new_zeros(len(x), 0) if a is None else a
        return a[:, : self.action], a[:, self.action :]

    def _check_blocks(self) -> None:
        if self.form == "filtering" and self.posterior is None:
            raise InvalidArgument("filtering needs the posterior q(h, o): pass posterior, or form='rollout'.")
        if self.form == "rollout" and self.transition is None:
            raise InvalidArgument("a rollout needs the predictor p(h): pass transition.")
        if self.decoder is not None and self.transition is None:
            raise InvalidArgument("the decoder reads z̃: pass transition as well.")
        if (self.posterior is not None or self.decoder is not None) and self.observation == 0:
            raise InvalidArgument("observation must be at least 1 where there is a posterior or a decoder.")
        if self.noise == "shared" and (self.decoder_scale is None or self.transition_scale is None):
            raise InvalidArgument("noise='shared' needs transition_scale and decoder_scale, whose noise is shared.")
        for name in ("posterior", "transition", "decoder"):
            if getattr(self, f"{name}_scale") is not None and getattr(self, name) is None:
                raise InvalidArgument(f"{name}_scale is given without {name}: there is no block to put its noise in.")

    def _check_modules(self) -> None:
        parameter = next(self.parameters(), None)
        device = None if parameter is None else parameter.device
        paths, dtype = 2, system_dtype(self)

        def zeros(size: int) -> Tensor:
            return torch.zeros(paths, size, dtype=dtype, device=device)

        h, z, o, a = zeros(self.hidden), zeros(self.latent), zeros(self.observation), zeros(self.action)
        matrix = (self.observation, self.latent) if self.noise == "shared" else (self.observation,)
        for name, arguments, shape, scale in (
            ("posterior", (h, o), (self.latent,), (self.latent,)),
            ("sequence", (h, z, a), (self.hidden,), (self.hidden,)),
            ("transition", (h,), (self.latent,), (self.latent,)),
            ("decoder", (h, z), (self.observation,), matrix),
        ):
            for label, expected in ((name, shape), (f"{name}_scale", scale)):
                module = getattr(self, label)
                if module is not None:
                    _check_module(label, module, arguments, (paths, *expected))


@final
class Joined(nn.Module):
    """A network of one tensor as a module of several: its arguments are put side by side, in their order.

    Args:
        network: takes (paths, sum of the arguments' sizes).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *blocks: Tensor) -> Tensor:
        """network([blocks]), (paths, anything)."""
        return cast(Tensor, self.network(torch.cat(blocks, dim=-1)))


@final
class OfHidden(nn.Module):
    """A network of h alone where a module of (h, …) is asked for.

    With it the posterior can have the very diffusion of the predictor, q̄(h, o) = p̄(h), without which the relative
    entropy of their laws is infinite.

    Args:
        network: takes h (paths, hidden).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, hidden: Tensor, *ignored: Tensor) -> Tensor:
        """network(h)."""
        return cast(Tensor, self.network(hidden))


def _check_module(name: str, module: nn.Module, arguments: tuple[Tensor, ...], expected: tuple[int, ...]) -> None:
    shapes = " and ".join(str(tuple(x.shape)) for x in arguments)
    try:
        with torch.no_grad():
            value = module(*arguments)
    except (RuntimeError, TypeError) as error:
        raise InvalidArgument(f"{name} failed on arguments of shape {shapes}: {error}") from error
    if not isinstance(value, Tensor) or tuple(value.shape) != expected:
        got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise InvalidArgument(f"{name} must map {shapes} to shape {expected}, got {got}.")
