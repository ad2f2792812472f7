"""The Jacobian penalty: unbiased, with the right gradient, the same for the same draw, and caught where it is wrong."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from alarm import assert_normal
from systems import fixed
from torch import Tensor

from sdewm import InvalidArgument, jacobian_penalty
from sdewm.jacobian import GRUMap, jacobians, log_norm, spectral_norm
from sdewm.jacobian.penalty import step_and_penalty
from sdewm.jacobian.probes import orthogonal, signs, source

DIM, PATHS, DRAWS = 4, 6, 400
WEIGHT = fixed(DIM, DIM, seed=1)
X = fixed(PATHS, DIM, seed=2)
STATE = slice(1, None)
Step = Callable[[Tensor], Tensor]


def smooth(x: Tensor) -> Tensor:
    return torch.tanh(x @ WEIGHT.to(x)) * torch.sigmoid(2.0 * x)


def looks_at_its_data(x: Tensor) -> Tensor:
    return smooth(x) if bool((x > -1e9).all()) else x


def hadamard(size: int) -> Tensor:
    rows = torch.arange(size)
    common = rows[:, None] & rows
    return 1.0 - 2.0 * (sum((common >> bit) & 1 for bit in range(8)) % 2).to(torch.float64)


def exact_variance(products: Tensor, design: str) -> float:
    """Variance of the mean over the batch of vᵀ A_i v, with one probe a row, for products A (paths, count, count)."""
    count = products.shape[-1]
    off = products * (1.0 - torch.eye(count, dtype=products.dtype))
    if design == "independent":
        return float(2.0 * off.square().sum() / len(products) ** 2)
    table = hadamard(1 << (count - 1).bit_length())[:, :count]
    turns = [table.roll(start, 0).repeat(len(products), 1)[: len(products)] for start in range(len(table))]
    means = torch.stack([(off * h[:, :, None] * h[:, None, :]).mean(0) for h in turns])
    return float(2.0 * means.square().sum((1, 2)).mean())


def assert_unbiased(
    step: Step, truth_of: Step, *, design: str, mode: str, of: slice | None, share: float = 1.0
) -> None:
    """The mean over draws against the exact norm, in units of the exact standard deviation of the estimate."""
    matrices = jacobians(truth_of, X, of)
    products = matrices.mT @ matrices if mode == "forward" else matrices @ matrices.mT
    variance = exact_variance(products, design)
    options: dict[str, Any] = {"of": of, "mode": mode, "design": design, "share": share}
    with torch.no_grad():
        draws = [float(jacobian_penalty(step, X, draw=n, **options)) for n in range(DRAWS)]
    if share < 1.0:
        # Of count rows without replacement; a chosen row's noise has the variance of one probe.
        count, rows = round(share * PATHS), matrices.square().sum((1, 2))
        one = exact_variance(products, "independent") * PATHS
        variance = one / count + float(rows.var()) * (1.0 / count - 1.0 / PATHS)
    # The bound is neither wide nor narrow: the scatter of the draws is what it says.
    assert 0.5 < float(torch.tensor(draws).var()) / variance < 2.0
    assert_normal(sum(draws) / DRAWS, float(matrices.square().sum((1, 2)).mean()), (variance / DRAWS) ** 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("design", ["orthogonal", "independent"])
@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("of", [None, STATE])
def test_unbiased(design: str, mode: str, of: slice | None) -> None:
    assert_unbiased(smooth, smooth, design=design, mode=mode, of=of)


def test_unbiased_on_a_share_of_the_batch() -> None:
    assert_unbiased(smooth, smooth, design="independent", mode="forward", of=None, share=0.5)


def test_a_step_with_a_frozen_gate_is_caught() -> None:
    def frozen(x: Tensor) -> Tensor:
        return torch.tanh(x @ WEIGHT) * torch.sigmoid(2.0 * x).detach()

    torch.testing.assert_close(frozen(X), smooth(X))
    with pytest.raises(AssertionError, match="standard errors"):
        assert_unbiased(frozen, smooth, design="independent", mode="reverse", of=None)


def test_signs_are_signs_and_fair() -> None:
    drawn = signs(999, 7, source(0, 0), X)
    assert drawn.shape == (999, 7)
    assert (drawn.abs() == 1.0).all()
    assert_normal(float(drawn.sum()), 0.0, drawn.numel() ** 0.5)
    assert_normal(float((drawn[:, 0] * drawn[:, 1]).sum()), 0.0, 999**0.5)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_a_full_turn_of_orthogonal_probes_is_exact_for_a_linear_map(mode: str) -> None:
    weight = WEIGHT.clone().requires_grad_()
    penalty = jacobian_penalty(lambda x: x @ weight, fixed(8, DIM), mode=mode)
    torch.testing.assert_close(penalty, WEIGHT.square().sum(), rtol=1e-14, atol=0)
    torch.testing.assert_close(torch.autograd.grad(penalty, weight)[0], 2.0 * WEIGHT, rtol=1e-13, atol=1e-13)
    alone = jacobian_penalty(lambda x: x @ weight, fixed(8, DIM), mode=mode, design="independent")
    assert (alone - penalty).abs() > 1e-3


def test_the_gradient_is_unbiased_too() -> None:
    weight = WEIGHT.clone().requires_grad_()
    found = torch.stack(
        [
            torch.autograd.grad(jacobian_penalty(lambda x: x @ weight, X, design="independent", draw=n), weight)[0]
            for n in range(DRAWS)
        ]
    )
    # The gradient is 2 v vᵀ W averaged over rows: entry (i, k) has the variance 4 Σ_{j≠i} W_jk² a row.
    squares = WEIGHT.square()
    error = (4.0 * (squares.sum(0) - squares) / PATHS / DRAWS).sqrt()
    for i in range(DIM):
        assert_normal(float(found[:, i, 0].mean()), float(2.0 * WEIGHT[i, 0]), float(error[i, 0]))


CASES: dict[str, dict[str, Any]] = {
    "auto": {},
    "forward": {"mode": "forward"},
    "reverse": {"mode": "reverse", "design": "independent"},
    "two probes": {"probes": 2, "of": STATE, "mode": "forward"},
    "whitened": {"kind": "whitened", "scales": fixed(DIM, seed=4).abs() + 0.5, "mode": "forward"},
    "whitened reverse": {"kind": "whitened", "scales": fixed(DIM, seed=4).abs() + 0.5, "mode": "reverse"},
    "spectral": {"kind": "spectral", "iterations": DIM},
    "log-norm": {"kind": "log_norm", "iterations": DIM},
    "exact": {"exact": True, "of": STATE},
    "exact spectral": {"kind": "spectral", "exact": True},
    "exact log-norm": {"kind": "log_norm", "exact": True},
    "share": {"share": 0.5},
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_by_state_and_parameter_are_those_of_the_values(name: str) -> None:
    weight, x = WEIGHT.clone().requires_grad_(), X.clone().requires_grad_()

    def penalty(x: Tensor, weight: Tensor) -> Tensor:
        return jacobian_penalty(lambda y: torch.tanh(y @ weight) * torch.exp(-0.3 * y), x, **CASES[name])

    assert torch.autograd.gradcheck(penalty, (x, weight))


@pytest.mark.parametrize("name", CASES)
def test_value_and_penalty_from_one_evaluation(name: str) -> None:
    weight = WEIGHT.clone().requires_grad_()

    def step(x: Tensor) -> Tensor:
        return torch.tanh(x @ weight)

    y, penalty = step_and_penalty(step, X, **CASES[name])
    torch.testing.assert_close(y, step(X))
    torch.testing.assert_close(penalty, jacobian_penalty(step, X, **CASES[name]))
    found = torch.autograd.grad((y * X).sum(), weight, retain_graph=True)
    torch.testing.assert_close(found, torch.autograd.grad((step(X) * X).sum(), weight))
    with torch.no_grad():
        assert not any(part.requires_grad for part in step_and_penalty(step, X, **CASES[name]))


@pytest.mark.parametrize("name", CASES)
def test_both_dtypes_and_the_same_draw_gives_the_same_number(name: str) -> None:
    before = torch.random.get_rng_state()
    long, short = (jacobian_penalty(smooth, X.to(dtype), **CASES[name]) for dtype in (torch.float64, torch.float32))
    assert torch.equal(before, torch.random.get_rng_state())
    assert short.dtype == torch.float32
    if "spectral" not in name and "log" not in name:  # these start from normals of the dtype
        torch.testing.assert_close(short.double(), long, rtol=1e-5, atol=1e-5)
    assert torch.equal(long, jacobian_penalty(smooth, X, **CASES[name]))


@pytest.mark.parametrize("columns", [1, 2, 5, 64])
def test_orthogonal_probes_are_orthogonal(columns: int) -> None:
    size = len(orthogonal(999, columns, source(0, 0), X))
    assert size == 1 << (columns - 1).bit_length()
    for rows in (1, size // 2 + 1, size):
        table = orthogonal(rows, columns, source(3, 1), X)
        assert table.shape == (min(rows, size), columns)
        assert (table.abs() == 1.0).all()
    assert torch.equal(table.T @ table, size * torch.eye(columns, dtype=X.dtype))


def test_draws_and_seeds_differ() -> None:
    values = {float(jacobian_penalty(smooth, X, seed=seed, draw=draw)) for seed in (0, 1) for draw in range(3)}
    assert len(values) == 6


def test_exact_kinds() -> None:
    matrices = jacobians(smooth, X)
    for kind, expected in (
        ("frobenius", matrices.square().sum((1, 2))),
        ("spectral", spectral_norm(matrices)),
        ("log_norm", log_norm(matrices)),
    ):
        torch.testing.assert_close(jacobian_penalty(smooth, X, kind, exact=True), expected.mean())


@pytest.mark.parametrize("exact", [True, False])
def test_a_rescaling_of_the_latent_does_not_change_the_whitened_norm(exact: bool) -> None:
    scale = torch.tensor([10.0, 0.1, 3.0, 1.0], dtype=torch.float64)

    def rescaled(x: Tensor) -> Tensor:
        return scale * smooth(x / scale)

    assert jacobian_penalty(rescaled, scale * X, exact=True) > 2.0 * jacobian_penalty(smooth, X, exact=True)
    found, expected = (
        jacobian_penalty(step, x, "whitened", exact=exact) for step, x in ((rescaled, scale * X), (smooth, X))
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_a_pair_of_scales_where_the_map_is_not_square() -> None:
    pair = (torch.tensor([2.0, 3.0]).double(), torch.tensor([1.0, 2.0, 4.0, 8.0]).double())
    expected = (jacobians(smooth, X, [0, 2]) * pair[0] / pair[1][:, None]).square().sum((1, 2)).mean()
    found = jacobian_penalty(smooth, X, "whitened", of=[0, 2], scales=pair, exact=True)
    torch.testing.assert_close(found, expected)


def test_a_recurrent_cell_is_taken_exactly() -> None:
    step, x = GRUMap(torch.nn.GRUCell(2, 3, dtype=torch.float64)), fixed(9, 5, seed=3)
    drift = GRUMap(step.cell, drift=True)
    torch.testing.assert_close(drift(x), step(x) - x[:, 2:])
    torch.testing.assert_close(jacobian_penalty(drift, x), jacobian_penalty(lambda y: drift(y), x, exact=True))
    for options in ({}, {"of": slice(2, None), "kind": "whitened"}, {"of": [1, 4]}):
        plain = jacobian_penalty(lambda y: step(y), x, exact=True, **options)  # type: ignore[arg-type]
        torch.testing.assert_close(jacobian_penalty(step, x, **options), plain)  # type: ignore[arg-type]
    y, _ = step_and_penalty(step, x, share=0.4)
    torch.testing.assert_close(y, step(x))


def test_many_rows_share_probes_and_the_way_back_gives_the_same_number() -> None:
    x = fixed(11, DIM, seed=5)
    expected = jacobian_penalty(smooth, x)
    with pytest.warns(UserWarning, match="no forward mode"):
        found = jacobian_penalty(looks_at_its_data, x)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)


def test_auto_goes_backwards_where_the_state_has_a_gradient() -> None:
    for x, mode in ((X, "forward"), (X.clone().requires_grad_(), "reverse")):
        assert torch.equal(jacobian_penalty(smooth, x), jacobian_penalty(smooth, x, mode=mode))
    assert jacobian_penalty(smooth, X, mode="forward") != jacobian_penalty(smooth, X, mode="reverse")


class OnlyBackwards(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0] * ctx.saved_tensors[0].cos()


def test_a_step_without_forward_mode() -> None:
    with pytest.warns(UserWarning, match="no forward mode"):
        found = jacobian_penalty(OnlyBackwards.apply, X)
    torch.testing.assert_close(found, jacobian_penalty(torch.sin, X))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"kind": "nuclear"}, "kind"),
        ({"probes": 0}, "probes"),
        ({"probes": True}, "probes"),
        ({"mode": "both"}, "mode"),
        ({"design": "sobol"}, "design"),
        ({"share": 0.0}, "share"),
        ({"share": float("nan")}, "share"),
        ({"iterations": 0}, "iterations"),
        ({"seed": -1}, "seed"),
        ({"draw": 0.5}, "draw"),
        ({"of": []}, "at least one"),
        ({"scales": torch.ones(DIM)}, "kind='whitened'"),
        ({"kind": "whitened", "scales": torch.zeros(DIM)}, "above zero"),
        ({"kind": "whitened", "scales": torch.ones(DIM - 1)}, "each of 4 columns"),
        ({"kind": "whitened", "scales": 2.0}, "one vector or a pair"),
        ({"kind": "whitened", "of": STATE}, "pass a pair"),
        ({"kind": "whitened", "of": STATE, "mode": "reverse"}, "pass a pair"),
        ({"kind": "whitened", "of": STATE, "exact": True}, "pass a pair"),
        ({"kind": "log_norm", "of": STATE}, "as many outputs"),
        ({"kind": "log_norm", "of": STATE, "exact": True}, "as many outputs"),
    ],
)
def test_bad_options(options: dict[str, Any], word: str) -> None:
    with pytest.raises(InvalidArgument, match=word):
        jacobian_penalty(smooth, X, **options)


@pytest.mark.parametrize(
    ("x", "word"),
    [
        (torch.zeros(DIM), "add a row dimension"),
        (torch.zeros(2, DIM, dtype=torch.float16), "float32 or float64"),
        ([["a"]], "x must hold numbers"),
        ([0.0], "add a row dimension"),
    ],
)
def test_bad_states(x: Any, word: str) -> None:
    with pytest.raises(InvalidArgument, match=word):
        jacobian_penalty(smooth, x)


def test_scales_need_a_batch_that_varies() -> None:
    with pytest.raises(InvalidArgument, match="one row"):
        jacobian_penalty(smooth, X[:1], "whitened")
    with pytest.raises(InvalidArgument, match="constant over the batch"):
        jacobian_penalty(smooth, torch.zeros_like(X), "whitened")
