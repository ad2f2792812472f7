"""What is refused by coupled runs and by what is made from a system."""

import torch
from systems import ETA, Contracting, Hidden, elementwise, fixed, sigma

from sdewm.dynamics import (
    ErrorCovariance,
    RepresentationError,
    Sensitivity,
    Terms,
    Variations,
    euler_map,
    perturb,
    simulate_coupled,
    tame,
)
from sdewm.dynamics.ensemble import prepare
from sdewm.dynamics.martingale import Increments
from sdewm.dynamics.waves import Waves
from sdewm.exceptions import HypothesisFails, InvalidArgument, Refused

from .things import (
    DIAGONAL,
    GENERAL,
    GRID,
    NAN,
    SHARED,
    Case,
    Detached,
    Driven,
    Foreign,
    NoDiffusion,
    categorical,
    coupled,
    error,
    foreign,
    forking,
    late,
    martingales,
    single,
    step,
)

CASES: list[Case] = [
    # how it is run
    (lambda: coupled(DIAGONAL, compile="always"), InvalidArgument, ["compile", "'always'"]),
    (lambda: coupled(DIAGONAL, device="abacus"), InvalidArgument, ["device", "'abacus'"]),
    (lambda: coupled(DIAGONAL, executor=4), InvalidArgument, ["executor", "got 4"]),
    (lambda: coupled(DIAGONAL, executor=forking()), InvalidArgument, ["executor forks", "'spawn'"]),
    (lambda: coupled(NoDiffusion()), InvalidArgument, ["NoDiffusion has f and no g"]),
    (lambda: foreign(f=None, g=None, f_and_g=lambda t, x: -x), InvalidArgument, ["Foreign.f_and_g", "Tensor"]),
    (lambda: coupled(DIAGONAL, dtype="float32"), InvalidArgument, ["dtype", "'float32'"]),
    (lambda: coupled(DIAGONAL, dtype=torch.int32), InvalidArgument, ["dtype", "torch.int32"]),
    (lambda: tame(step(), GRID), Refused, ["system is a StepMap"]),
    (lambda: tame(None, GRID), InvalidArgument, ["system must be an SDE with f and g", "None"]),
    (lambda: coupled(Sensitivity(Detached(), {"a": 1.0})), Refused, ["the parameter 'a'", "detach"]),
    # step maps and coupled runs
    (lambda: coupled(), InvalidArgument, ["members is empty"]),
    (lambda: coupled(DIAGONAL, grid=1.0), InvalidArgument, ["grid must be a TimeGrid", "float"]),
    (lambda: coupled(DIAGONAL, GENERAL), InvalidArgument, ["member 1", "2 noise columns", "3", "noise_dim"]),
    (lambda: coupled(DIAGONAL, observe=lambda s: s[0].sum()), InvalidArgument, ["observe", "()"]),
    (lambda: coupled(DIAGONAL, observe=lambda s: 1.0), InvalidArgument, ["observe", "float"]),
    (lambda: coupled(step(), actions=fixed(4, 1)), InvalidArgument, ["actions must have 0 columns", "1"]),
    (lambda: coupled(step(action_dim=1)), InvalidArgument, ["actions must have 1 columns", "none"]),
    (lambda: coupled(step(lambda n, x, a: x[:, :1])), InvalidArgument, ["mean", "(2, 2)", "(2, 1)"]),
    (lambda: coupled(step(lambda n, x, a: x.float())), InvalidArgument, ["mean", "float32", "float64"]),
    (lambda: coupled(step(None, lambda n, x, a: x[:, :1])), InvalidArgument, ["scale", "(2, 2)", "(2, 1)"]),
    (lambda: coupled(step(noise_dim=3)), InvalidArgument, ["scale", "(2, 2, 3)", "(2, 2)"]),
    (
        lambda: prepare([Driven()], 0.5, GRID, 5, actions=fixed(4, 2), coarsen=2),
        InvalidArgument,
        ["actions", "coarsen=1"],
    ),
    (lambda: prepare([DIAGONAL], 0.5, GRID, 5, coarsen=3), InvalidArgument, ["k must divide", "3"]),
    (lambda: coupled(DIAGONAL, save=[0.3]), InvalidArgument, ["time 0.3", "0.25"]),
    # torchsde
    (lambda: single(grid=10), InvalidArgument, ["grid must be a TimeGrid", "int"]),
    (lambda: single(method="heun"), InvalidArgument, ["method", "'euler'", "'heun'"]),
    (lambda: single(step()), Refused, ["StepMap", "simulate_coupled"]),
    (lambda: single(GENERAL, method="milstein"), Refused, ["'milstein'", "general noise of Contracting", "'euler'"]),
    (lambda: single(Driven(), actions=fixed(4, 2), method="srk"), Refused, ["'srk'", "next action"]),
    (lambda: single(Driven(), actions=fixed(4, 2), adjoint=True), Refused, ["adjoint=True", "next action"]),
    (lambda: single(Foreign(dim=3), adjoint=True), Refused, ["adjoint=True", "Foreign"]),
    (lambda: single().at(0.3), InvalidArgument, ["time 0.3"]),
    (lambda: single(save="final").at(0.25), InvalidArgument, ["time 0.25 was not saved"]),
    # what only shows later, or in silence
    (lambda: foreign(f=late(lambda x: x[:, :1])), InvalidArgument, ["Foreign.f", "(5, 1)", "t = 0.5"]),
    (lambda: foreign(f=late(lambda x: x.float())), InvalidArgument, ["Foreign.f", "torch.float32", "t = 0.5"]),
    (lambda: foreign(g=late(lambda x: None)), InvalidArgument, ["Foreign.g", "NoneType", "t = 0.5"]),
    (
        lambda: foreign(noise_type="additive", g=lambda t, x: x[:, :, None]),
        InvalidArgument,
        ["Foreign.noise_type is 'additive'", "depends on the state"],
    ),
    (
        lambda: coupled(perturb(DIAGONAL, RepresentationError(late(lambda x: x[:, :1])), 0.1)),
        InvalidArgument,
        ["the error's drift", "1)", "t = 0.5"],
    ),
    (
        lambda: single(perturb(DIAGONAL, RepresentationError(late(lambda x: x[:, :1])), 0.1)),
        InvalidArgument,
        ["the error's drift", "(5, 1)", "t = 0.5"],
    ),
    (lambda: error(drift=lambda t, x: x @ fixed(7, 7)), InvalidArgument, ["the error's drift failed", "(2, 3)"]),
    (lambda: coupled(Variations(Hidden(), SHARED)), Refused, ["derivative of Hidden.f", "no_grad"]),
    (
        lambda: coupled(Variations(DIAGONAL, RepresentationError(sigma, drift_jvp=lambda t, x, v: v[:, :1]))),
        Refused,
        ["derivative of the error's drift has shape", "(2, 1)"],
    ),
    (lambda: coupled(perturb(DIAGONAL, RepresentationError(initial=NAN), 0.1)), InvalidArgument, ["initial", "NaN"]),
    (lambda: simulate_coupled(DIAGONAL, 0.5, GRID, 5), InvalidArgument, ["members", "Contracting", "[ ]"]),
    (lambda: single(Contracting), InvalidArgument, ["system", "the class Contracting"]),
    (lambda: single(None), InvalidArgument, ["system", "None"]),
    (lambda: single(x0=torch.ones(5, 3) * 1j), InvalidArgument, ["x0", "complex"]),
    (lambda: single(dtype=torch.complex64), InvalidArgument, ["dtype", "complex"]),
    (lambda: single(Driven(), actions=fixed(4, 2) * 1j), InvalidArgument, ["actions", "complex"]),
    (lambda: perturb(DIAGONAL, None, 0.1), InvalidArgument, ["error", "NoneType"]),  # type: ignore[arg-type]
    (lambda: Variations(DIAGONAL, "big"), InvalidArgument, ["error", "str"]),  # type: ignore[arg-type]
    (lambda: Variations(DIAGONAL, SHARED, terms="all"), InvalidArgument, ["terms", "str"]),  # type: ignore[arg-type]
    # what is made from a system
    (lambda: tame(DIAGONAL, 0.1), InvalidArgument, ["grid must be a TimeGrid", "float"]),  # type: ignore[arg-type]
    (lambda: tame(Foreign(), GRID), InvalidArgument, ["x0 is needed", "Foreign", "dim"]),
    (lambda: tame(DIAGONAL, GRID, x0=fixed(2, 4)), InvalidArgument, ["x0 must have 3 columns", "(2, 4)"]),
    (lambda: ErrorCovariance(DIAGONAL, None), InvalidArgument, ["error", "NoneType"]),  # type: ignore[arg-type]
    (lambda: ErrorCovariance(DIAGONAL, SHARED), Refused, ["covariance", "independent", "correlation 'shared'"]),
    (lambda: Sensitivity(step(), {"W": 1.0}), InvalidArgument, ["system", "torch.nn.Module", "StepMap"]),
    (lambda: Sensitivity(DIAGONAL, {}), InvalidArgument, ["direction is empty", "at least one parameter"]),
    (lambda: Sensitivity(DIAGONAL, {"V": 1.0}), InvalidArgument, ["direction names 'V'", "W, C, B"]),
    (lambda: Sensitivity(DIAGONAL, {"W": ETA}), InvalidArgument, ["direction of 'W'", "(3, 3)", "(3,)"]),
    # categorical latents
    (lambda: categorical(hidden=0), InvalidArgument, ["hidden", "got 0"]),
    (lambda: categorical(groups=1.5), InvalidArgument, ["groups", "1.5"]),
    (lambda: categorical(classes=1), InvalidArgument, ["classes", ">= 2", "got 1"]),
    (lambda: categorical(action_dim=-1), InvalidArgument, ["action_dim", "-1"]),
    (lambda: coupled(categorical(lambda n, h, z, a: z)), InvalidArgument, ["recurrent", "(2, 2)", "(2, 4)"]),
    (lambda: coupled(categorical(None, lambda n, h: h)), InvalidArgument, ["logits", "(2, 4)", "(2, 2)"]),
    (lambda: euler_map(categorical(), GRID), Refused, ["CategoricalMap", "no differential equation"]),
    (
        lambda: coupled(perturb(categorical(), RepresentationError(drift=lambda t, h: h[:, :1]), 0.1)),
        InvalidArgument,
        ["the error's drift", "(2, 4)", "(2, 1)"],
    ),
    (lambda: coupled(categorical(), actions=fixed(4, 1)), InvalidArgument, ["actions must have 0 columns", "1"]),
    (lambda: coupled(categorical(), x0=ETA), InvalidArgument, ["x0", "(6,)", "(3,)"]),
    (lambda: perturb(categorical(), SHARED, 0.1), Refused, ["CategoricalMap", "drift σ(n, h)", "alone"]),
    (lambda: coupled(Variations(categorical(), SHARED)), HypothesisFails, ["continuous latents", "StepMap"]),
    # variations
    (lambda: Variations(DIAGONAL, SHARED, "magic"), InvalidArgument, ["derivatives", "'magic'"]),
    (lambda: Variations(DIAGONAL, SHARED, order=3), InvalidArgument, ["order", "3"]),
    (
        lambda: Variations(DIAGONAL, SHARED, "autodiff", Terms(half=False)),
        InvalidArgument,
        ["derivatives='autodiff'", "formula"],
    ),
    (lambda: Terms.without("everything"), InvalidArgument, ["term", "'everything'"]),
    (lambda: Increments("x"), InvalidArgument, ["of must be Variations", "'x'"]),  # type: ignore[arg-type]
    (lambda: martingales(4, dim=3, rows=5), InvalidArgument, ["weights must be", "(5, 1)"]),
    (lambda: martingales(4, dim=7), InvalidArgument, ["basis is of 7 coordinates"]),
    (lambda: martingales(5, dim=3), InvalidArgument, ["weights are for [5] steps"]),
    (lambda: Waves(torch.zeros(1), torch.zeros(1), 1), InvalidArgument, ["low and high", "below its high"]),
    (
        lambda: coupled(Variations(DIAGONAL, RepresentationError(initial=fixed(2, 3)))),
        InvalidArgument,
        ["initial has 2 rows"],
    ),
    (
        lambda: coupled(Variations(GENERAL, RepresentationError(sigma, elementwise))),
        InvalidArgument,
        ["correlation", "3 and 2"],
    ),
]
