"""The interface of variations: which way is taken, and what the switches refuse."""

import pytest
import torch
from systems import F64, Network, NetworkByHand, fixed, full_error
from torch import Tensor

from sdewm.dynamics import LatentSDE, RepresentationError, StepMap, Terms, Variations, euler_map, simulate_coupled
from sdewm.dynamics.step_error import step_error
from sdewm.dynamics.variation import _autodiff_step, _Formula, variation_step
from sdewm.exceptions import InvalidArgument, Refused
from sdewm.grid import TimeGrid

GRID = TimeGrid(1.0, 4)


@pytest.mark.parametrize(
    ("system", "derivatives", "terms", "formula"),
    [
        (Network(), "auto", Terms(), False),
        (Network(), "auto", Terms.without("half"), True),
        (Network(), "formula", Terms(), True),
        (NetworkByHand(), "auto", Terms(), True),
        (NetworkByHand(), "autodiff", Terms(), False),
    ],
)
def test_which_way_is_taken(system: Network, derivatives: str, terms: Terms, formula: bool) -> None:
    step = euler_map(system, GRID)
    error = step_error(full_error(), step, fixed(2, 3), GRID)
    way = variation_step(step, error, derivatives, terms)
    assert isinstance(way, _Formula) == formula
    assert formula or way.__qualname__.startswith(_autodiff_step.__name__)  # type: ignore[union-attr]


def test_hand_written_derivatives_are_really_called_and_checked() -> None:
    class Lying(NetworkByHand):
        by = 1.03

        def g_jvp(self, t: Tensor, x: Tensor, v: Tensor) -> Tensor:
            return self.by * super().g_jvp(t, x, v)

    lie, true = Lying(), Network()
    run = simulate_coupled([Variations(lie, full_error()), Variations(true, full_error())], 0.5, GRID, 5)
    assert not torch.allclose(run[0][1].final, run[1][1].final, rtol=1e-6)
    lie.by = 2.0
    with pytest.raises(Refused, match=r"the derivative of Lying\.g is not that of its values: .* hand-written"):
        simulate_coupled([Variations(lie, full_error())], 0.5, GRID, 5)


@pytest.mark.parametrize("where", ["f", "g", "drift", "diffusion", "mean", "scale"])
def test_what_hides_its_derivative_is_refused(where: str) -> None:
    """A frozen network under no_grad would be taken for constant, and P would be wrong without a word."""

    def hide(label: str, x: Tensor) -> Tensor:
        return torch.tanh(x.detach() if label == where else x) + 2.0

    class Plain(LatentSDE):
        dim = 1

        def f(self, t: Tensor, x: Tensor) -> Tensor:
            return -hide("f", x)

        def g(self, t: Tensor, x: Tensor) -> Tensor:
            return hide("g", x)

    step = StepMap(lambda n, x, a: hide("mean", x), lambda n, x, a: hide("scale", x), 1, 1)
    error = RepresentationError(lambda t, x: hide("drift", x), lambda t, x: hide("diffusion", x))
    system = step if where in ("mean", "scale") else Plain()
    with pytest.raises(Refused, match=f"{where} is not that of its values.* no_grad, detach"):
        simulate_coupled([Variations(system, error)], 0.6, GRID, 3)
    # The same without hiding is fine, also at a kink.
    where = "nothing"
    simulate_coupled([Variations(Plain(), error), Variations(step, error)], 0.6, GRID, 3)
    steep = StepMap(lambda n, x, a: torch.tanh(200.0 * x), lambda n, x, a: torch.sin(40.0 * x), 1, 1)
    simulate_coupled([Variations(steep, RepresentationError(initial=1.0))], torch.full((3, 1), 0.004), GRID)
    kink = StepMap(lambda n, x, a: torch.relu(x), lambda n, x, a: torch.ones_like(x), 1, 1)
    simulate_coupled([Variations(kink, error)], 0.0, GRID, 3)


def test_terms() -> None:
    assert Terms.without() == Terms()
    assert Terms.without().complete
    assert Terms.without("half", "mixed") == Terms(mixed=False, half=False)
    assert not Terms.without("half").complete
    with pytest.raises(InvalidArgument, match=r"term must be one of 'ito_correction', .* got 'ito'"):
        Terms.without("ito")


def test_refusals() -> None:
    with pytest.raises(
        InvalidArgument, match="derivatives must be one of 'auto', 'formula', 'autodiff', got 'symbolic'"
    ):
        Variations(Network(), full_error(), "symbolic")
    with pytest.raises(InvalidArgument, match="always has all terms"):
        Variations(Network(), full_error(), "autodiff", Terms.without("mixed"))


def test_variations_of_a_linear_step_map_in_closed_form() -> None:
    """x' = ½x + ξ with initial error: y₁ halves every step, y₂ stays zero."""
    from sdewm.dynamics import RepresentationError

    step = StepMap(lambda n, x, a: x / 2, lambda n, x, a: torch.ones_like(x), dim=2, noise_dim=2)
    for derivatives in ("autodiff", "formula"):
        member = Variations(step, RepresentationError(initial=3.0), derivatives)
        run = simulate_coupled({"v": member}, 1.0, TimeGrid(5.0, 5), 4, save="all")["v"]
        torch.testing.assert_close(
            run[1].states, (3 * 0.5 ** torch.arange(6, dtype=F64))[:, None, None].expand(6, 4, 2)
        )
        assert not run[2].states.any()


@pytest.mark.parametrize("derivatives", ["formula", "autodiff"])
def test_order_one_is_the_first_variation_alone(derivatives: str) -> None:
    from sdewm.drifts import DoubleWell

    error = RepresentationError(diffusion=lambda t, x: torch.sin(x) + 2.0)
    members = [Variations(DoubleWell(), error, derivatives, order=order) for order in (1, 2)]
    run = simulate_coupled(members, 0.5, TimeGrid(1.0, 8), paths=4)
    torch.testing.assert_close(run[0][1].final, run[1][1].final, rtol=1e-14, atol=0)
    assert not run[0][2].final.any()
    assert run[1][2].final.any()
    with pytest.raises(InvalidArgument, match="order must be 1 or 2, got 3"):
        Variations(DoubleWell(), error, order=3)
