"""When the uncorrected form is right, row by row: base without noise, shared, independent, Stratonovich."""

from collections.abc import Mapping
from typing import Any

import pytest
import sympy as sp
import torch
from alarm import assert_misses
from joint import assert_all_cover
from torch import Tensor

from sdewm import LatentSDE, RepresentationError, TimeGrid, Variations, simulate_coupled
from sdewm.dynamics import Terms
from sdewm.estimate import Estimate
from sdewm.hypothesis import Facts

GRID, PATHS = TimeGrid(1.0, 16), 512


class Base(LatentSDE):
    """A nonlinear drift in two dimensions under one of several diffusions."""

    dim = 2
    noise_type = "general"
    noise_dim = 2
    drift_facts, diffusion_facts = Facts(), Facts()

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.sin(x.flip(-1)) - x

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        first, second, zero = x[:, 0], x[:, 1], torch.zeros_like(x[:, 0])
        columns = {
            "none": [[zero, zero], [zero, zero]],
            # Noise depends on the second coordinate alone; an error in the first then meets none. With the second
            # coordinate noisy itself, y₁ gets there through the drift, and Σ G D²ḡ is not zero.
            "other coordinate": [[0.5 + 0.3 * torch.sin(second), 0.4 * torch.cos(second)], [zero, zero]],
            "other coordinate, noisy": [[0.5 + 0.3 * torch.sin(second), zero], [zero, 0.2 + 0.2 * torch.cos(second)]],
            "affine": [[0.4 * first + 0.1, 0.2 * second], [0.3 * second, 0.3 * first]],
            "nonlinear": [[0.5 + 0.4 * torch.sin(first), zero], [0.3 * torch.cos(second), 0.4 * torch.sin(first)]],
        }[self.kind]
        return torch.stack([torch.stack(row, 1) for row in columns], 1)


def in_first(t: Tensor, x: Tensor) -> Tensor:
    """A state-dependent error in the first coordinate, on both noises."""
    size = 0.6 + 0.6 * torch.sin(2.0 * x)
    return torch.stack((size, torch.zeros_like(size)), 1)


def everywhere(t: Tensor, x: Tensor) -> Tensor:
    """A state-dependent error in both coordinates."""
    return torch.diag_embed(0.6 + 0.3 * torch.sin(x))


def coefficients(kind: str, error: RepresentationError, paths: int, *forms: Terms) -> list[list[Estimate]]:
    """For each form the differences of P, Q and S to the correct ones on the same paths; ℓ = (x₁ + x₂²)²/2."""
    system = Base(kind)
    members = {"right": Variations(system, error, "formula")}
    members |= {str(k): Variations(system, error, "formula", terms) for k, terms in enumerate(forms)}

    def loss_terms(state: Any) -> Tensor:
        x, y1, y2 = state
        inner = x[:, 0] + x[:, 1] ** 2
        slope = torch.stack((inner, 2.0 * inner * x[:, 1]), 1)
        along = y1[:, 0] + 2.0 * x[:, 1] * y1[:, 1]
        curvature = along**2 + inner * 2.0 * y1[:, 1] ** 2
        return torch.stack(((slope * y1).sum(1), (slope * y2).sum(1), curvature), 1)

    def observe(states: Mapping[str, Any]) -> Tensor:
        right = loss_terms(states["right"])
        return torch.cat([loss_terms(states[str(k)]) - right for k in range(len(forms))], 1)

    run = simulate_coupled(members, torch.tensor([0.7, -0.4]).double(), GRID, paths, observe=observe)
    flat = run.moments[0].estimates()
    return [list(flat[3 * k : 3 * k + 3]) for k in range(len(forms))]


UNCORRECTED = Terms.without("ito_correction")
SHARED = RepresentationError(diffusion=in_first)
APART = RepresentationError(diffusion=everywhere, correlation="independent")
# Base, error, and whether P' and S' are right, and Q' with all its other terms.
ROWS = {
    "no base noise": ("none", RepresentationError(diffusion=everywhere), True, True),
    "shared, Σ ρ Dḡ σ̄ = 0": ("other coordinate", SHARED, True, True),
    "shared, Σ ρ Dḡ σ̄ = 0 but Σ G D²ḡ ≠ 0": ("other coordinate, noisy", SHARED, True, False),
    "independent, affine base": ("affine", APART, True, True),
    "independent, Σ G D²ḡ ≠ 0": ("nonlinear", APART, True, False),
    "shared, Σ ρ Dḡ σ̄ ≠ 0": ("nonlinear", SHARED, False, False),
}


@pytest.mark.parametrize("name", ROWS)
def test_without_the_ito_correction(name: str) -> None:
    """P', S' and Q' are right to rounding, path by path, in the rows that say so, and off in the others.

    With shared noise and Σ ρ Dḡ σ̄ = 0 this is not enough for Q': its own correction Σ G ½D²ḡ[y₁, y₁] has to vanish too.
    """
    kind, error, first, second = ROWS[name]
    ((p, q, s),) = coefficients(kind, error, PATHS, UNCORRECTED)
    for difference, right in ((p, first), (s, first), (q, second)):
        if right:
            assert max(abs(difference.value), difference.standard_error) < 1e-12
        else:
            assert difference.standard_error > 1e-6


@pytest.mark.slow
def test_what_else_q_needs() -> None:
    """Without base noise the mean Q' needs the drift Hessian with its ½ but no mixed terms; with shared noise it
    needs Dσ̄ y₁ dB as well, even where P' and S' are right."""
    forms = [Terms.without("mixed"), Terms.without("drift_hessian"), Terms.without("half")]
    still = coefficients("none", ROWS["no base noise"][1], 20_000, *forms)
    assert_all_cover([(still[0][1], 0.0)])
    for k in (1, 2):
        assert_misses(still[k][1], 0.0)
    shared = coefficients("other coordinate", SHARED, 20_000, forms[0])
    assert_misses(shared[0][1], 0.0)
    for row in (still, shared):
        for p, _, s in row:
            assert max(abs(p.value), abs(s.value), p.standard_error, s.standard_error) < 1e-12


def test_everything_read_as_stratonovich() -> None:
    """The uncorrected equations, read as Stratonovich, are the Itô variations of the Stratonovich model: in symbols.

    For scalar g, b and s and dx = g dt + (b + εs)∘dB: the joint equation of (x, y₁, y₂) with Stratonovich integrals and
    no correction, brought to Itô form, is the ε-derivative of the Itô form of the perturbed equation.
    """
    x, y1, y2, eps = sp.symbols("x y1 y2 epsilon")
    g, b, s = (sp.Function(name)(x) for name in "gbs")

    def along(f: sp.Expr, order: int) -> sp.Expr:
        """Coefficient of ε^order of f(x + ε y₁ + ε² y₂)."""
        slope, curvature = sp.diff(f, x), sp.diff(f, x, 2)
        return [f, slope * y1, slope * y2 + curvature * y1**2 / 2][order]

    columns = [b, along(b, 1) + s, along(b, 2) + sp.diff(s, x) * y1]
    state = (x, y1, y2)
    # ½ Σ_j ∂_j c_i c_j, the correction from Stratonovich to Itô of each component.
    stratonovich = [
        along(g, k) + sum(sp.diff(columns[k], v) * c for v, c in zip(state, columns, strict=True)) / 2 for k in range(3)
    ]
    perturbed = g + (b + eps * s) * (sp.diff(b, x) + eps * sp.diff(s, x)) / 2
    moved = perturbed.subs(x, x + eps * y1 + eps**2 * y2)
    for k in range(3):
        ito = (sp.diff(moved, eps, k) / sp.factorial(k)).doit().subs(eps, 0).doit()
        assert sp.simplify(ito - stratonovich[k]) == 0
    # The control: without the ½ of the Hessian the two differ.
    wrong = stratonovich[2] + sp.diff(g, x, 2) * y1**2 / 2
    ito = (sp.diff(moved, eps, 2) / 2).doit().subs(eps, 0).doit()
    assert sp.simplify(ito - wrong) != 0
