"""What is refused of noise, starts, actions, systems and their errors."""

import numpy as np
import torch
from systems import ETA, RHO, Contracting, fixed, sigma_bar

from sdewm.dynamics import (
    BrownianMotion,
    RepresentationError,
    euler_map,
    perturb,
)
from sdewm.dynamics.brownian import generator
from sdewm.dynamics.ensemble import prepare
from sdewm.dynamics.noise import LARGEST, Antithetic
from sdewm.dynamics.sobol import Sobol, SobolMotion
from sdewm.dynamics.system import check_system
from sdewm.exceptions import InvalidArgument, Refused

from .things import (
    DIAGONAL,
    GRID,
    NAN,
    NOISE,
    SHARED,
    TRIPLE,
    Case,
    Driven,
    Foreign,
    Undifferentiable,
    coupled,
    error,
    foreign,
    single,
)

CASES: list[Case] = [
    # noise
    (lambda: generator(-1, "paths"), InvalidArgument, ["seed", "-1"]),
    (lambda: BrownianMotion(1.5, GRID, 1), InvalidArgument, ["seed", "1.5"]),  # type: ignore[arg-type]
    (lambda: BrownianMotion(0, GRID, 0), InvalidArgument, ["dim", "got 0"]),
    (lambda: BrownianMotion(0, 1.0, 1), InvalidArgument, ["grid must be a TimeGrid", "float"]),  # type: ignore[arg-type]
    (lambda: BrownianMotion(0, GRID, 1).normals(0), InvalidArgument, ["paths", "got 0"]),
    (lambda: SobolMotion(0, 1.0, 1), InvalidArgument, ["grid must be a TimeGrid", "float"]),  # type: ignore[arg-type]
    (lambda: SobolMotion(0, GRID, 2, groups=(("paths", 3),)), InvalidArgument, ["groups", "('paths', 2)", "3"]),
    (lambda: SobolMotion(0, GRID, 5301), InvalidArgument, ["grid and dim", "4 steps x 5301", "21204", "21201"]),
    (lambda: SobolMotion(0, GRID, 0), InvalidArgument, ["dim", "got 0"]),
    (lambda: Sobol(48), InvalidArgument, ["points must be a power of two", "got 48"]),
    (lambda: Sobol(2 * LARGEST), InvalidArgument, ["points must be a power of two up to 262144", "got 524288"]),
    (lambda: Antithetic(Sobol(LARGEST)), InvalidArgument, ["of must have clusters", "131072", "262144"]),
    (lambda: prepare([DIAGONAL], 0.5, GRID, 5, motion=Antithetic()), InvalidArgument, ["paths", "multiple", "2", "5"]),
    (
        lambda: prepare([DIAGONAL], fixed(4, 3), GRID, 4, motion=Antithetic()),
        InvalidArgument,
        ["x0 differs from path to path", "(4, 3)"],
    ),
    (
        lambda: prepare([Driven()], 0.5, GRID, 4, actions=fixed(4, 4, 2), motion=Antithetic()),
        InvalidArgument,
        ["actions differs from path to path", "(4, 4, 2)"],
    ),
    (lambda: NOISE(0), Refused, ["interval of whole steps"]),
    (lambda: NOISE(0.5, 1.0), Refused, ["between grid points", "0.5 to 1"]),
    (lambda: NOISE(0, 1, return_U=True), Refused, ["space-time", "srk"]),
    # starts, paths, actions
    (lambda: single(x0="here"), InvalidArgument, ["x0", "'here'"]),
    (lambda: single(x0=[1.0, 2.0]), InvalidArgument, ["x0", "(3,)", "(2,)"]),
    (lambda: single(x0=torch.zeros(1, 1, 3)), InvalidArgument, ["x0", "(1, 1, 3)"]),
    (lambda: single(x0=NAN), InvalidArgument, ["x0 must be finite", "NaN"]),
    (lambda: foreign(x0=1.0), InvalidArgument, ["x0 must be a vector", "Foreign", "dim"]),
    (lambda: single(paths=None), InvalidArgument, ["paths is needed"]),
    (lambda: single(paths=2.0), InvalidArgument, ["paths", "2.0"]),
    (lambda: single(x0=fixed(4, 3)), InvalidArgument, ["x0 has 4 rows", "paths is 5"]),
    (lambda: single(seed=-3), InvalidArgument, ["seed", "-3"]),
    (lambda: coupled(DIAGONAL, seed=None), InvalidArgument, ["seed", "None"]),
    (lambda: single(Driven(), actions=fixed(3, 2)), InvalidArgument, ["actions", "steps = 4", "(3, 2)"]),
    (lambda: single(Driven(), actions=fixed(4, 7, 2)), InvalidArgument, ["actions", "paths = 5", "(4, 7, 2)"]),
    (lambda: single(Driven(), actions=[0.0] * 4), InvalidArgument, ["actions", "(4,)"]),
    (lambda: single(Driven(), actions=[[0.0], [0.0, 1.0]]), InvalidArgument, ["actions", "[[0.0], [0.0, 1.0]]"]),
    (lambda: single(x0=np.array(["a", None])), InvalidArgument, ["x0 must hold numbers", "array(['a', None]"]),
    (lambda: single(x0=np.array([1.0, 2.0, 3.0j])), InvalidArgument, ["x0 and dtype must be real"]),
    (lambda: single(x0=np.array([1.0, NAN, 3.0])), InvalidArgument, ["x0 must be finite"]),
    (lambda: single(Driven(), actions=torch.full((4, 2), NAN)), InvalidArgument, ["actions must be finite", "NaN"]),
    (lambda: single(Driven()), InvalidArgument, ["Driven takes actions of dimension 2", "pass actions=(steps, 2)"]),
    (
        lambda: single(Driven(), actions=fixed(4, 3)),
        InvalidArgument,
        ["actions must have 2 columns", "Driven", "got 3"],
    ),
    (lambda: single(actions=fixed(4, 3)), InvalidArgument, ["actions must have 0 columns", "Contracting", "got 3"]),
    (lambda: euler_map(Driven(), GRID, fixed(4, 3)), InvalidArgument, ["actions", "(4, 2)", "(4, 3)"]),
    (lambda: euler_map(Foreign(), GRID), InvalidArgument, ["x0 is needed", "Foreign", "dim"]),
    # systems
    (lambda: foreign(noise_type="white"), InvalidArgument, ["Foreign.noise_type", "'diagonal'", "'white'"]),
    (lambda: foreign(noise_type=None), InvalidArgument, ["Foreign.noise_type", "None"]),
    (lambda: foreign(sde_type="backward"), InvalidArgument, ["Foreign.sde_type", "'backward'"]),
    (lambda: foreign(action_dim=-1), InvalidArgument, ["Foreign.action_dim", "-1"]),
    (lambda: check_system(DIAGONAL, fixed(2, 4)), InvalidArgument, ["x0 must have 3 columns", "Contracting", "(2, 4)"]),
    (lambda: foreign(g=None), InvalidArgument, ["Foreign must define f(t, x) and g(t, x)"]),
    (lambda: foreign(f=lambda t, x: x @ fixed(9, 9)), InvalidArgument, ["Foreign.f failed", "(5, 3)", "float64"]),
    (lambda: foreign(f=lambda t: t), InvalidArgument, ["Foreign.f failed", "positional argument"]),
    (lambda: foreign(g=lambda t, x: 0.5), InvalidArgument, ["Foreign.g must return a tensor", "float"]),
    (lambda: foreign(f=lambda t, x: x[:, :2]), InvalidArgument, ["Foreign.f", "(5, 3)", "(5, 2)"]),
    (lambda: foreign(g=lambda t, x: x[0]), InvalidArgument, ["Foreign.g", "diagonal", "(5, 3)", "got (3,)"]),
    (lambda: foreign(noise_type="general"), InvalidArgument, ["Foreign.g", "general", "(5, 3, m)", "got (5, 3)"]),
    (
        lambda: foreign(noise_type="scalar", g=lambda t, x: torch.stack((x, x), 2)),
        InvalidArgument,
        ["Foreign.g", "one column", "2"],
    ),
    (lambda: foreign(noise_dim=7), InvalidArgument, ["Foreign.noise_dim is 7", "3 columns"]),
    (lambda: foreign(f=lambda t, x: x.float()), InvalidArgument, ["Foreign.f returned torch.float32", "torch.float64"]),
    (lambda: single(x0=torch.ones(3)), InvalidArgument, ["Contracting.f failed", "(5, 3)", "torch.float32"]),
    (
        lambda: foreign(sde_type="stratonovich", g=lambda t, x: Undifferentiable.apply(x)),
        Refused,
        ["Foreign is Stratonovich", "no derivative here", "sde_type = 'ito'"],
    ),
    # errors
    (lambda: RepresentationError(), InvalidArgument, ["error is empty", "drift, diffusion, initial"]),
    (lambda: RepresentationError(drift=0.5), InvalidArgument, ["drift must be a function", "0.5"]),  # type: ignore[arg-type]
    (lambda: error(diffusion=sigma_bar, correlation="both"), InvalidArgument, ["correlation", "'both'"]),
    (lambda: error(diffusion=sigma_bar, correlation=1.5), InvalidArgument, ["correlation", "[-1, 1]", "1.5"]),
    (lambda: error(diffusion=sigma_bar, correlation=NAN), InvalidArgument, ["correlation", "nan"]),
    (lambda: error(diffusion=sigma_bar, correlation=None), InvalidArgument, ["correlation", "a matrix", "NoneType"]),
    (
        lambda: error(diffusion=sigma_bar, correlation=["a"]),
        InvalidArgument,
        ["correlation must hold numbers", "['a']"],
    ),
    (lambda: error(diffusion=sigma_bar, correlation=2 * np.eye(2)), InvalidArgument, ["spectral norm at most 1", "2"]),
    (
        lambda: error(diffusion=sigma_bar, correlation=3 * RHO),
        InvalidArgument,
        ["correlation", "spectral norm", TRIPLE],
    ),
    (
        lambda: error(diffusion=sigma_bar, correlation=NAN * RHO),
        InvalidArgument,
        ["correlation", "spectral norm", "nan"],
    ),
    (lambda: error(diffusion=sigma_bar, correlation=ETA), InvalidArgument, ["correlation", "matrix", "(3,)"]),
    (lambda: error(diffusion=sigma_bar, correlation=RHO), InvalidArgument, ["correlation", "(3, 2)", "(2, 2)"]),
    (lambda: error(diffusion=sigma_bar), InvalidArgument, ["correlation 'shared'", "2 and 3", "independent"]),
    (lambda: error(diffusion=sigma_bar, correlation=0.5), InvalidArgument, ["correlation 0.5", "2 and 3"]),
    (lambda: error(drift=lambda t, x: 0.5), InvalidArgument, ["error's drift", "(2, 3)", "float", "full_like"]),
    (lambda: error(drift=lambda t, x: x[0]), InvalidArgument, ["error's drift", "(2, 3)", "(3,)"]),
    (lambda: error(drift=lambda t, x: x.float()), InvalidArgument, ["error's drift", "float32", "float64"]),
    (lambda: error(diffusion=lambda t, x: x[:, :2]), InvalidArgument, ["error's diffusion", "(2, 3)", "(2, 2)"]),
    (lambda: error(diffusion=lambda t, x: 1.0), InvalidArgument, ["error's diffusion", "float"]),
    (lambda: error(diffusion=lambda t, x: x.float()), InvalidArgument, ["error's diffusion", "float32", "float64"]),
    (lambda: single(error(initial=ETA[:2])), InvalidArgument, ["initial", "dim = 3", "(2,)"]),
    (lambda: single(error(initial=fixed(5, 2))), InvalidArgument, ["initial", "dim = 3", "(5, 2)"]),
    (lambda: single(error(initial=fixed(4, 3))), InvalidArgument, ["initial has 4 rows", "paths is 5"]),
    (lambda: SHARED.scaled(NAN), InvalidArgument, ["factor", "nan"]),
    *[(lambda e=e: perturb(DIAGONAL, SHARED, e), InvalidArgument, ["eps", repr(e)]) for e in (0, -0.1, NAN, "1", None)],
    (
        lambda: single(perturb(Contracting("diagonal", torch.float32), SHARED, 1e-5)),
        InvalidArgument,
        ["eps = 1e-05", "float32"],
    ),
    (lambda: perturb(Foreign(), SHARED, 0.1), InvalidArgument, ["x0 is needed", "Foreign", "dim"]),
    (
        lambda: perturb(Contracting("diagonal", sde_type="stratonovich"), SHARED, 0.1),
        Refused,
        ["Contracting is Stratonovich"],
    ),
]
