"""The variation equations of a scalar-coefficient system as one SDE for torchsde, in integer time."""

import math
from typing import Any

import torch
from torch import Tensor

from ..problems import Problem, T


class Augmented(torch.nn.Module):
    """(x⁰, x^ε, y₁, y₂) with g a (paths, 4 d, d) matrix: the form that torchsde's interface suggests."""

    sde_type = "ito"
    noise_type = "general"

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem, self.h, self.root = problem, T / problem.steps, math.sqrt(T / problem.steps)

    def f(self, t: Tensor, state: Tensor) -> Tensor:
        """h times the drift."""
        p = self.problem
        x, xe, y1, y2 = state.split(p.dim, dim=1)
        slope, second = p.by_hand[0](torch, {}, x), p.by_hand[1](torch, {}, x)
        parts = (p.drift(torch, {}, x), p.drift(torch, {}, xe), slope * y1, slope * y2 + 0.5 * second * y1 * y1)
        return self.h * torch.cat(parts, dim=1)

    def columns(self, state: Tensor) -> tuple[Any, ...]:
        """The diagonals of the four blocks of g."""
        p = self.problem
        x, xe, y1, y2 = state.split(p.dim, dim=1)
        slope, second = p.by_hand[2](torch, {}, x), p.by_hand[3](torch, {}, x)
        return (
            p.diffusion(torch, {}, x),
            p.diffusion(torch, {}, xe) + p.eps * p.error(torch, {}, xe),
            slope * y1 + p.error(torch, {}, x),
            slope * y2 + 0.5 * second * y1 * y1 + p.by_hand[4](torch, {}, x) * y1,
        )

    def g(self, t: Tensor, state: Tensor) -> Tensor:
        """√h times the diffusion."""
        return self.root * torch.cat([torch.diag_embed(block) for block in self.columns(state)], dim=1)


class AugmentedByHand(Augmented):
    """The same without building the matrix."""

    def f_and_g_prod(self, t: Tensor, state: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """h f and √h g v."""
        v = self.root * v
        return self.f(t, state), torch.cat([block * v for block in self.columns(state)], dim=1)
