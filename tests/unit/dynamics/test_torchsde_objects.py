"""Objects written for torchsde, in every form that it allows: they work as they are, or are refused in one sentence."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchsde
from torch import Tensor, nn
from torchsde._core.base_sde import ForwardSDE, RenameMethodsSDE

import sdewm
from sdewm import InvalidArgument, Refused, RepresentationError, TimeGrid
from sdewm.theory.bounds import LogNorm

GRID = TimeGrid(1.0, 8)
X0 = torch.linspace(0.1, 1.0, 12).double().reshape(4, 3)
UNIT = RepresentationError(diffusion=lambda t, x: torch.ones_like(x))


def drift(self: Any, t: Tensor, y: Tensor) -> Tensor:
    return torch.sin(t) - y


def diffusion(self: Any, t: Tensor, y: Tensor) -> Tensor:
    return 0.3 * torch.cos(y)


def columns(self: Any, t: Tensor, y: Tensor) -> Tensor:
    return torch.stack((0.3 * torch.cos(y), 0.2 * y), dim=2)


def together(self: Any, t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return drift(self, t, y), diffusion(self, t, y)


def product(self: Any, t: Tensor, y: Tensor, v: Tensor) -> Tensor:
    return diffusion(self, t, y) * v


def both_product(self: Any, t: Tensor, y: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    return drift(self, t, y), product(self, t, y, v)


def made(**members: Any) -> Any:
    """An `nn.Module` with these members, diagonal and Itô unless they say otherwise."""
    return type("Theirs", (nn.Module,), {"noise_type": "diagonal", "sde_type": "ito", **members})()


class Stratonovich(torchsde.SDEStratonovich):
    f, g = drift, diffusion

    def __init__(self) -> None:
        super().__init__(noise_type="diagonal")


PLAIN = made(f=drift, g=diffusion)
# The same equation in each form, and another one.
SAME: dict[str, Any] = {
    "f_and_g": made(f_and_g=together),
    "f_and_g beside f": made(f=drift, f_and_g=together),
    "g_prod beside g": made(f=drift, g=diffusion, g_prod=product),
    "f_and_g_prod beside f_and_g": made(f_and_g=together, f_and_g_prod=both_product),
    "a prior drift h": made(f=drift, g=diffusion, h=drift),
    "names, renamed by torchsde": RenameMethodsSDE(made(h=drift, g=diffusion), drift="h"),
    "names of both": RenameMethodsSDE(made(mu=drift, sigma=diffusion), drift="mu", diffusion="sigma"),
    "torchsde's own wrapper": ForwardSDE(PLAIN),
    "no module": type("Plain", (), {"noise_type": "diagonal", "sde_type": "ito", "f": drift, "g": diffusion})(),
    "a list": made(f_and_g=lambda self, t, y: list(together(self, t, y))),
}
TAKEN: dict[str, Callable[[Any], Any]] = {
    "simulate": lambda s: sdewm.simulate(s, X0, GRID).states,
    "simulate_coupled": lambda s: sdewm.simulate_coupled([s], X0, GRID)[0].states,
    "expand": lambda s: sdewm.expand(s, UNIT, lambda x: (x**2).sum(-1), X0, GRID).P.value,
    "check": lambda s: sdewm.check(LogNorm(), s, UNIT, 0.1, X0.repeat(16, 1), GRID).outcome,
    "perturb": lambda s: sdewm.simulate(sdewm.perturb(s, UNIT, 0.1, x0=X0), X0, GRID).states,
}


@pytest.mark.parametrize("act", TAKEN)
@pytest.mark.parametrize("form", SAME)
def test_each_form_gives_the_same_numbers(form: str, act: str) -> None:
    found, expected = TAKEN[act](SAME[form]), TAKEN[act](PLAIN)
    assert torch.equal(found, expected) if isinstance(found, Tensor) else found == expected


@pytest.mark.parametrize("form", ["f_and_g", "names, renamed by torchsde", "a prior drift h"])
def test_torchsde_and_we_agree_on_them(form: str) -> None:
    """By the weak mean over many paths of torchsde's own noise."""
    x0 = torch.full((20_000, 1), 0.5, dtype=torch.float64)
    grid = TimeGrid(1.0, 16)
    noise = torchsde.BrownianInterval(0.0, 1.0, x0.shape, dtype=torch.float64, entropy=0)
    theirs = torchsde.sdeint(SAME[form], x0, torch.tensor([0.0, 1.0]), bm=noise, dt=grid.h, method="euler")[-1]
    ours = sdewm.simulate(SAME[form], x0, grid, save="final").final
    assert abs(float(theirs.mean() - ours.mean())) < 4.0 * (2.0 * float(ours.var()) / len(x0)) ** 0.5


STRATONOVICH: dict[str, Any] = {
    "diagonal": made(f=drift, g=diffusion, sde_type="stratonovich"),
    "f_and_g": made(f_and_g=together, sde_type="stratonovich"),
    "general": made(f=drift, g=columns, sde_type="stratonovich", noise_type="general"),
    "torchsde's base class": Stratonovich(),
}


@pytest.mark.parametrize("form", STRATONOVICH)
def test_stratonovich_is_simulated_and_refused_where_an_error_is_added(form: str) -> None:
    system = STRATONOVICH[form]
    assert sdewm.simulate(system, X0, GRID).states.shape == (9, 4, 3)
    assert sdewm.simulate_coupled([system], X0, GRID)[0].final.shape == (4, 3)
    for act in ("expand", "check", "perturb"):
        with pytest.raises(Refused, match=r"is Stratonovich: .*; write the base in Itô form\.$"):
            TAKEN[act](system)


def broken(self: Any, t: Tensor, y: Tensor) -> Tensor:
    return y * self.nothing


def missing(self: Any, t: Tensor, y: Tensor) -> Tensor:
    return {}["rate"] * y  # type: ignore[no-any-return]


REFUSED: dict[str, tuple[Any, str]] = {
    "g_prod only": (made(f=drift, g_prod=product), "of a product g_prod the columns of the noise are not known"),
    "f_and_g_prod only": (
        made(f_and_g_prod=both_product),
        "of a product g_prod the columns of the noise are not known",
    ),
    "other names": (
        made(mu=drift, sigma=diffusion),
        r"\(torchsde's names=\), name them f and g as well",
    ),
    "one other name": (made(h=drift, g=diffusion), "called otherwise"),
    "f is no function": (made(f=3, g=diffusion), "must define f"),
    "one value": (made(f_and_g=drift), r"f_and_g must return the pair \(f, g\), got Tensor"),
    "three values": (made(f_and_g=lambda self, t, y: (y, y, y)), r"the pair \(f, g\), got 3 values"),
    "no value": (made(f_and_g=lambda self, t, y: None), r"the pair \(f, g\), got NoneType"),
    "wrong arguments": (made(f=lambda self, y: y, g=diffusion), "Theirs.f failed on a state .*positional arguments"),
    "an attribute that is not there": (made(f=broken, g=diffusion), "Theirs.f failed on .*no attribute 'nothing'"),
    "a key that is not there": (made(f=missing, g=diffusion), "Theirs.f failed on .*'rate'"),
    "no noise_type": (type("Theirs", (nn.Module,), {"f": drift, "g": diffusion})(), "noise_type must be one of"),
    "no sde_type": (
        made(f=drift, g=diffusion, sde_type="strat"),
        "sde_type must be .* got 'strat'",
    ),
    "diagonal shape, additive": (
        made(f=drift, g=diffusion, noise_type="additive"),
        "shape .* additive noise",
    ),
    "the wrapper of products": (ForwardSDE(made(f_and_g_prod=both_product)), "Method `f` has not been provided"),
}


@pytest.mark.parametrize("act", TAKEN)
@pytest.mark.parametrize("form", REFUSED)
def test_what_does_not_work_is_refused_in_one_sentence(form: str, act: str) -> None:
    system, says = REFUSED[form]
    with pytest.raises(InvalidArgument, match=says) as caught:
        TAKEN[act](system)
    message = str(caught.value)
    assert message.endswith(".")
    assert not message.endswith("..")
    assert "\n" not in message
