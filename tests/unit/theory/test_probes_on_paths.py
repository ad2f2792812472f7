"""What probes of hypotheses and of derivatives have missed, or have refused without need."""

import pytest
import torch
from torch import Tensor

from sdewm.dynamics import LatentSDE, RepresentationError
from sdewm.exceptions import HypothesisFails, InvalidArgument
from sdewm.grid import TimeGrid
from sdewm.hypothesis import Status
from sdewm.theory import check_hypotheses, expand, order_test
from sdewm.verdict import Outcome

ERROR = RepresentationError(diffusion=lambda t, x: torch.ones_like(x), correlation="independent")
GRID = TimeGrid(1.0, 64)


def total(x: Tensor) -> Tensor:
    """Σ x_i."""
    return x.sum(-1)


class Own(LatentSDE):
    """A drift and a diffusion that declare nothing."""

    def __init__(self, f: object, g: object, dim: int = 1) -> None:
        super().__init__()
        self.fields, self.dim = (f, g), dim

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return self.fields[0](x)  # type: ignore[operator, no-any-return]

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return self.fields[1](x)  # type: ignore[operator, no-any-return]


@pytest.mark.parametrize(("speed", "noise"), [(1.0, 0.0), (1.0, 0.05), (2.0, 0.1), (2.0, 0.3)])
def test_a_kink_that_is_crossed_on_the_way_is_found(speed: float, noise: float) -> None:
    """At no time do paths lie on both sides for long, yet each feels the kink: Q = 0 would be wrong by 1.2."""
    for bend, fails in ((torch.relu, True), (lambda x: 0.05 * torch.nn.functional.softplus(20 * x), False)):
        system = Own(lambda x, bend=bend: speed + 2.0 * bend(x - 0.3), lambda x: torch.full_like(x, noise))
        found = {h.name: h for h in check_hypotheses(system, ERROR, total, 0.0, GRID)}
        assert (found["drift smoothness"].status is Status.FAILS) is fails


@pytest.mark.parametrize(
    ("drift", "x0"),
    [
        (lambda x: x * (1 - x), [0.6]),
        (lambda x: torch.stack((x[:, 0] * (1 - x[:, 1]), x[:, 1] * (x[:, 0] - 1)), 1), [0.6, 0.7]),
    ],
    ids=["logistic", "Lotka and Volterra"],
)
def test_populations_do_not_explode_from_where_they_cannot_be(drift: object, x0: list[float]) -> None:
    """Zero is absorbing under multiplicative noise; under additive noise it is crossed, and the flow explodes."""
    system = Own(drift, lambda x: 0.3 * x, len(x0))
    found = {h.name: h for h in check_hypotheses(system, ERROR, total, x0, GRID)}
    assert found["drift growth"].status is Status.UNCHECKED
    additive = Own(drift, lambda x: torch.full_like(x, 0.3), len(x0))
    if len(x0) == 1:
        found = {h.name: h for h in check_hypotheses(additive, ERROR, total, x0, GRID)}
        assert found["drift growth"].status is Status.FAILS


@pytest.mark.parametrize(("dtype", "large"), [(torch.float32, 5e3), (torch.float64, 1e7)])
def test_coordinates_of_mixed_scale_are_probed_each_at_its_own(dtype: torch.dtype, large: float) -> None:
    """A step for the large one is many periods for the small one; its derivative is right all the same."""
    system = Own(lambda x: torch.stack((-torch.sin(x[:, 0]), torch.ones_like(x[:, 0])), 1), lambda x: 0 * x + 0.1, 2)
    e = expand(system, ERROR, lambda x: x[:, 0] ** 2, torch.tensor([0.5, large], dtype=dtype), TimeGrid(1.0, 4), 64)
    assert e.S.value > 0.0


def test_a_loss_with_another_derivative_is_refused() -> None:
    """x·x with one factor detached has half the derivative."""
    system = Own(lambda x: -0.5 * x, lambda x: 0.3 * x)
    with pytest.raises(
        HypothesisFails, match="loss smoothness fails: its automatic derivative is not that of its values"
    ):
        expand(system, ERROR, lambda x: (x.detach() * x).sum(-1), 1.0, GRID, 64)


@pytest.mark.parametrize(
    ("part", "name"),
    [("loss", "loss"), ("f", "f"), ("g", "g"), ("error", "the error's diffusion")],
)
def test_paths_are_mapped_apart(part: str, name: str) -> None:
    """A mean over paths inside a function would give an interval of no width."""
    mixed = lambda x: x.mean(0, keepdim=True).expand(len(x), -1)  # noqa: E731
    system = Own(mixed if part == "f" else (lambda x: -x), mixed if part == "g" else torch.ones_like)
    error = RepresentationError(diffusion=lambda t, x: mixed(x)) if part == "error" else ERROR
    loss = (lambda x: x.square().mean().expand(len(x))) if part == "loss" else total
    with pytest.raises(InvalidArgument, match=f"^{name} must map each path apart from the others"):
        expand(system, error, loss, 1.0, GRID, 64)


def test_what_is_missing_but_small_is_not_called_right() -> None:
    """A Hessian that contributes 1 % of E |c| is below what counts, but the order of the paths shows it."""
    system = Own(lambda x: torch.stack((-x[:, 0], -x[:, 1] - 0.02 * x[:, 1] ** 2), 1), lambda x: 0 * x + 0.2, 2)
    error = RepresentationError(diffusion=lambda t, x: torch.ones_like(x))

    def loss(x: Tensor) -> Tensor:
        return x.square().sum(-1) + x[:, 1]

    right = order_test(system, error, loss, 0.6, TimeGrid(1.0, 16), assume="drift growth")
    wrong = order_test(system, error, loss, 0.6, TimeGrid(1.0, 16), without="drift_hessian", assume="drift growth")
    assert right.verdict.outcome is Outcome.HOLDS
    assert wrong.second.outcome is Outcome.HOLDS
    assert wrong.verdict.outcome is Outcome.INCONCLUSIVE
    assert "it is not zero" in wrong.verdict.reason
