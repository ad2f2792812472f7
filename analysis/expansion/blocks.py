"""The paper's four blocks with small modules, in the two situations that decide whether its form is right."""

from typing import final

import torch
from torch import Tensor, nn

from sdewm import RepresentationError
from sdewm.drifts import FourBlock
from sdewm.hypothesis import declare

STEPS = 16
# Noise columns: z, h, z̃, õ; without a scale for h there is none for it.
WITH_H = torch.tensor([[0.6], [0.8], [0.0], [0.0]], dtype=torch.float64)
WITHOUT_H = torch.tensor([[1.0], [0.0], [0.0]], dtype=torch.float64)


@final
class Affine(nn.Module):
    """weights · (arguments side by side) + offset, through tanh if wanted."""

    def __init__(self, weights: tuple[float, ...], offset: float = 0.0, smooth: bool = False) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor([weights], dtype=torch.float64))
        self.offset, self.smooth = offset, smooth

    weights: Tensor

    def forward(self, *blocks: Tensor) -> Tensor:
        """(paths, 1)."""
        value = torch.cat(blocks, dim=-1) @ self.weights.T + self.offset
        return torch.tanh(value) if self.smooth else value


def four_blocks(case: str, smooth: bool = False) -> tuple[FourBlock, RepresentationError, Tensor, Tensor]:
    """Model, error in z, start and observations.

    All blocks are affine and of size one, so that the second-order coefficient of a quadratic loss is S/2 alone; with
    `smooth` they go through tanh. The error's noise is partly that of h, as far as h has any.
    """
    scale_h = {
        "f̄ = 0": None,
        "f̄ independent of z": Affine((0.3, 0.0), 0.4),
        "f̄ depends on z": Affine((0.3, 0.5), 0.4),
    }[case]
    model = FourBlock(
        latent=1,
        hidden=1,
        observation=1,
        action=0,
        sequence=Affine((-0.6, 0.8), smooth=smooth),
        posterior=Affine((0.5, 0.7), smooth=smooth),
        transition=Affine((0.9,), smooth=smooth),
        decoder=Affine((0.8, 0.5), smooth=smooth),
        posterior_scale=Affine((0.2, 0.0), 0.3),
        sequence_scale=scale_h,
        transition_scale=Affine((0.2,), 0.3),
        decoder_scale=Affine((0.1, 0.1), 0.2),
        leak=1.0,
        noise="general",
    )

    def in_z(t: Tensor, x: Tensor) -> Tensor:
        columns = torch.cat((torch.ones_like(x[:, :1]), torch.zeros_like(x[:, 1:])), 1)
        return (columns * (1.0 + 0.5 * torch.sin(x[:, :1])) if smooth else columns)[:, :, None]

    rho = WITHOUT_H if scale_h is None else WITH_H
    error = RepresentationError(diffusion=declare(in_z), correlation=rho)
    observed = torch.sin(torch.arange(STEPS, dtype=torch.float64))[:, None]
    return model, error, torch.tensor([0.5, 0.3, 0.4, 0.2], dtype=torch.float64), observed
