"""A read-out is looked at as the step is, and what it shows is told."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sdewm import InvalidArgument, NumericalFailure, Refused, divergence

F64 = torch.float64


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


X, W = normal(12, 3), normal(3, 3, seed=1) / 3**0.5


def run(measure, states: Tensor = X, **more):
    return divergence(lambda x: torch.tanh(x @ W.to(x)), states, horizon=3, sizes=0.1, measure=measure, **more)


WRONG = [
    (lambda x: x.mul_(2.0), InvalidArgument, "measure changes the states in place"),
    (lambda x: x.tolist(), InvalidArgument, "measure must map states .* got list"),
    (lambda x: x / 0.0, NumericalFailure, "measure is not finite in 12 of 12 states, first in state 0"),
    (lambda x: x + torch.randn_like(x), Refused, "measure draws random numbers of its own"),
    (nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)).double(), Refused, "measure draws random numbers of its own"),
    (lambda x: x - x.mean(0), Refused, "measure mixes its rows: row 11"),
    (lambda x: x.detach(), Refused, "the derivative of measure is not that of its values in 3 of 3 outputs"),
    (lambda x: torch.round(x) + x - x.detach(), Refused, "the derivative of measure is not that of its values"),
]


@pytest.mark.parametrize(("measure", "error", "message"), WRONG, ids=[str(k) for k in range(len(WRONG))])
def test_readouts_that_are_no_maps(measure, error, message: str) -> None:
    x = X.clone()
    with pytest.raises(error, match=message):
        run(measure, x)
    assert torch.equal(x, X)


def test_what_is_not_differentiable_is_measured_without_jacobians() -> None:
    d = run(lambda x: x.detach(), jacobians=False)
    assert all(c.read_predicted is None for c in d.curves)
    np.testing.assert_allclose(d.curve("drift", "raw").read.value, d.curve("drift", "raw").error.value)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_the_readout_is_told(dtype: torch.dtype) -> None:
    images = nn.Unflatten(1, (1, 3))
    d = run(lambda x: 2.0 * images(x), X.to(dtype))
    for c in d.curves:
        if c.unit == "raw":
            np.testing.assert_allclose(c.read.value, 2.0 * c.error.value, rtol=1e-5)
    c = d.curve("drift")
    end = f"{c.read.value[-1]:.3g} [{c.read.low[-1]:.3g}, {c.read.high[-1]:.3g}]"
    assert f"read-out, drift, whitened, 0.1: {c.read.value[1]:.3g} after 1 step, {end} after 3, to first order" in str(
        d
    )
    sentence = next(line for line in d.explain().splitlines() if line.startswith("A drift error"))
    # Each size once, with its own number.
    off = ", ".join(
        f"{c.read.value[-1]:.3g} [{c.read.low[-1]:.3g}, {c.read.high[-1]:.3g}] at size {c.size:g}"
        for c in d.curves
        if c.kind == "drift" and c.unit == "whitened"
    )
    assert sentence.endswith(f"; the read-out is then off by {off}.")
    assert sentence.count("read-out") == 1
    assert "read-out" not in str(run(None)) + run(None).explain()
