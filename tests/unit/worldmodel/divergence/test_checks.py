"""What is not a map of rows to rows, or has another derivative than its values, is found and explained."""

import re
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sdewm import InvalidArgument, NumericalFailure, Refused, StepMap, divergence
from sdewm.worldmodel.divergence.derivative import Matrices
from sdewm.worldmodel.divergence.driven import DrivenMap
from sdewm.worldmodel.divergence.spectrum import step_matrices

F64 = torch.float64


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


X = normal(12, 3)
W = normal(3, 3, seed=1) / 3**0.5


def good(x: Tensor) -> Tensor:
    return torch.tanh(x @ W)


def run(step=good, states=X, actions=None, **more):
    return divergence(step, states, actions, **{"horizon": 3, "sizes": 0.1, "bound_states": 2, **more})


class StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return (x > 0.0).to(x)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        pass

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient


def hard(x: Tensor) -> Tensor:
    """A sampled latent that passes its gradient straight through, as a categorical world model's does."""
    return torch.cat((torch.tanh(x[:, :2]), StraightThrough.apply(x[:, 2:])), 1)


def off(x: Tensor) -> Tensor:
    """The values of x, the derivative of 1.3 x."""
    return x + 0.3 * (x - x.detach())


def no_grad(x: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.tanh(x @ W)


def one_detached(x: Tensor) -> Tensor:
    y = torch.tanh(x @ W)
    return torch.cat((y[:, :2], y[:, 2:].detach()), 1)


def argmax(x: Tensor) -> Tensor:
    """A one-hot sample, straight through the probabilities."""
    p = torch.softmax(3.0 * x @ W, 1)
    return nn.functional.one_hot(p.argmax(1), 3).to(p) + p - p.detach()


@pytest.mark.parametrize("step", [hard, off, no_grad, one_detached, argmax], ids=lambda step: step.__name__)
@pytest.mark.parametrize("dtype", [F64, torch.float32])
def test_a_derivative_that_is_not_that_of_the_values_is_found(step, dtype) -> None:
    def cast(x: Tensor) -> Tensor:
        return step(x.double()).to(x)

    with pytest.raises(Refused, match=r"not that of its values in \d of 3 outputs.*probability map"):
        run(cast, X.to(dtype))
    # What is left is what was measured.
    d = run(cast, X.to(dtype), jacobians=False)
    assert d.jacobians is None
    assert d.bounds == ()
    assert all(c.predicted is None and c.ratio is None for c in d.curves)
    assert d.curve("drift").growth.value[1] == pytest.approx(1.0, rel=1e-5)
    assert "first order" not in str(d) + d.explain()


def test_the_right_derivative_passes() -> None:
    """Controls: the probability map, a kink, a steep and a flat map, and states of very different sizes."""
    scale = torch.tensor([1e6, 1.0, 1e-6], dtype=F64)
    found = [
        run(lambda x: torch.softmax(3.0 * x @ W, 1)),
        run(lambda x: torch.relu(x @ W) + 0.1 * x),
        run(lambda x: torch.sin(200.0 * x)),
        run(lambda x: 1.5 * x**3, 0.1 * X, units="raw", horizon=40),
        run(lambda x: 1e-9 * torch.sin(x) + 1.0, units="raw"),
        run(lambda x: scale * torch.tanh((x / scale) @ W), scale * X),
        run(lambda x: scale.float() * torch.tanh((x / scale.float()) @ W.float()), (scale * X).float()),
    ]
    # Where a derivative is refused, nothing is said of Jacobians or of first order.
    assert all(d.jacobians is not None and all(c.predicted is not None for c in d.curves) for d in found)


def test_one_wrong_output_among_many_is_named() -> None:
    w = normal(40, 40) / 40**0.5

    def step(x: Tensor) -> Tensor:
        y = torch.tanh(x @ w)
        return torch.cat((y[:, :17], y[:, 17:18].detach(), y[:, 18:]), 1)

    with pytest.raises(Refused, match="in 1 of 40 outputs: output 17"):
        run(step, normal(12, 40))


class NeverTwice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return 0.5 * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor) -> Tensor:
        return 0.5 * gradient


def test_what_cannot_be_differentiated_says_so() -> None:
    with pytest.raises(Refused, match=r"cannot be differentiated, neither by double.*jacobians=False"):
        run(NeverTwice.apply)
    assert run(NeverTwice.apply, jacobians=False).curve("drift").growth.value[2] == pytest.approx(1.5)


def noisy(x: Tensor) -> Tensor:
    return good(x) + 0.1 * torch.randn_like(x)


def in_place(x: Tensor) -> Tensor:
    x *= 0.5
    return x.clone()


class Remembers(nn.Module):
    """Its state is in the module in place of x."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("h", torch.zeros(3, dtype=F64))

    def forward(self, x: Tensor) -> Tensor:
        self.h = 0.9 * self.h + 0.1
        return torch.tanh(x @ W + self.h)


REFUSED = [
    (noisy, "draws random numbers of its own, or keeps something from call to call: two calls .* noise_dim="),
    (nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)).double(), "random numbers of its own.*eval mode"),
    (Remembers(), "keeps something from call to call: two calls .* at step 0, differ"),
    (lambda x: x - x.mean(0), "mixes its rows: row 0 alone"),
    (lambda x: x / x.norm(), "mixes its rows"),
]


@pytest.mark.parametrize(("step", "message"), REFUSED, ids=[str(k) for k in range(len(REFUSED))])
def test_maps_that_are_refused(step, message: str) -> None:
    with pytest.raises(Refused, match=message):
        run(step)


WRONG_STEPS = [
    (3.0, "step must be a callable or a StepMap, got float"),
    (in_place, "changes its argument x in place: let it work on x.clone"),
    (lambda x: None, "got builtins.NoneType"),
    (lambda x: x.numpy(), r"return a tensor of shape \(12, 3\), got numpy.ndarray"),
    (lambda x: (x, x), "got builtins.tuple; join several states by torch.cat"),
    (lambda x: x[:, :2], r"must return torch.float64 \(12, 3\).* got torch.float64 \(12, 2\)"),
    (lambda x: x.sum(1), r"got torch.float64 \(12,\)"),
    (lambda x: x.float(), "got torch.float32"),
    (lambda x, a: x, r"cannot be called as step\(x\) with x \(12, 3\).*missing 1 required"),
    (lambda x: x @ W.float(), r"cannot be called as step\(x\).*float64 on cpu.*dtype"),
    (lambda x: x + X, "any number of rows, but with row 0 alone|one row gives"),
    (nn.BatchNorm1d(3).double(), "with row 0 alone it fails .*batch normalisation into eval mode"),
]


@pytest.mark.parametrize(("step", "message"), WRONG_STEPS, ids=[str(k) for k in range(len(WRONG_STEPS))])
def test_steps_that_are_no_maps(step, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message) as caught:
        run(step)
    # One sentence, which ends.
    assert re.search(r"[a-z0-9)\].]\.$", str(caught.value))


MAP = StepMap(lambda n, x, a: 0.5 * x, lambda n, x, a: torch.zeros_like(x), dim=3, noise_dim=3)
WITH_ACTIONS = StepMap(lambda n, x, a: 0.5 * x + a, lambda n, x, a: torch.zeros_like(x), 3, 3, action_dim=3)
WRONG = [
    ({"states": [1.0]}, r"states must be a tensor or an array .* got \(1,\)"),
    ({"states": X[0]}, r"states must .* got \(3,\); one row a start"),
    ({"states": X.long()}, "states must be float32 or float64, got torch.int64"),
    ({"states": X[:1]}, "states must have at least 2 rows, .* got 1"),
    ({"states": X[:0]}, "states must have at least 2 rows, .* got 0"),
    ({"states": X.half()}, "states must be float32 or float64, got torch.float16; pass states.float"),
    ({"states": X.to("meta")}, "states must be a dense tensor that holds numbers, got strided on meta"),
    ({"states": X.to_sparse()}, "states must be a dense tensor that holds numbers, got sparse_coo on cpu"),
    ({"states": np.array([["a", 1]], dtype=object)}, "states must hold numbers, .* got array"),
    ({"states": X / 0.0}, "states must be finite"),
    ({"step": MAP, "states": X[:, :2]}, "states must have the 3 columns of the step map, got 2"),
    ({"actions": normal(4, 5, 2)}, r"actions must have shape .* with 12 paths.* got \(4, 5, 2\)"),
    ({"actions": normal(4)}, r"actions must have shape .* got \(4,\)"),
    ({"actions": "push"}, "actions must hold numbers, .* got 'push'"),
    ({"actions": [[1.0], [1.0, 2.0]]}, "actions must hold numbers, .* equally long, got"),
    ({"actions": normal(4, 2) / 0.0}, "actions must be finite real numbers"),
    ({"actions": normal(2, 2), "horizon": 3}, "horizon must be at most the 2 steps of actions, got 3"),
    ({"step": WITH_ACTIONS}, "actions must be given if and only if"),
    ({"step": MAP, "actions": normal(4, 2)}, "actions must be given if and only if"),
    ({"step": WITH_ACTIONS, "actions": normal(4, 2)}, "actions must have the 3 columns of the step map, got 2"),
    ({"step": MAP, "noise_dim": 2}, "noise_dim belongs to plain callables: the step map has 3"),
    ({"noise_dim": -1}, "noise_dim must be a whole number >= 0"),
    ({"horizon": 0}, "horizon must be a whole number >= 1"),
    ({"errors": "bias"}, "errors must be one of 'initial', 'zero drift', 'drift', got 'bias'"),
    ({"errors": ()}, "errors must name at least one"),
    ({"units": "metres"}, "units must be one of 'raw', 'whitened'"),
    ({"sizes": 0.0}, "sizes must be above zero"),
    ({"sizes": ()}, "sizes must hold at least one"),
    ({"directions": 0}, "directions must be a whole number >= 1"),
    ({"of": 3}, "of must name"),
    ({"measure": 3.0}, "measure must be a callable"),
    ({"measure": lambda x: x[:, 7]}, "measure fails on states"),
    ({"measure": lambda x: x.sum()}, "measure must map states"),
    ({"groups": [1, 2]}, r"groups must have one label for each of 12 states, got shape \(2,\)"),
    ({"groups": [1] * 12}, "groups must name at least two groups"),
    ({"groups": [[1], [1, 2]] * 6}, "groups must have one label for each of 12 states, got lists of several lengths"),
    ({"groups": [1, "a", None] * 4}, "groups must be numbers or strings, all of one kind"),
    ({"groups": [1.0] * 11 + [float("nan")]}, "groups must name the group of each state, got NaN"),
    ({"jacobian_states": 1}, "jacobian_states must be a whole number >= 2"),
    ({"bound_states": -1}, "bound_states must be a whole number >= 0"),
    ({"tolerance": 0.0}, "tolerance must be above zero"),
    ({"level": 1.0}, "level must lie strictly between"),
    ({"seed": -1}, "seed must be a whole number >= 0"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[str(k) for k in range(len(WRONG))])
def test_wrong_arguments(arguments, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        run(**arguments)


def test_numbers_that_are_none() -> None:
    with pytest.raises(NumericalFailure, match=r"step\(x\) is not finite in 12 of 12 rows, first in row 0"):
        run(lambda x: x / 0.0)
    with pytest.raises(NumericalFailure, match=r"the base rollout reaches 1e150 after step 5 in 12 of 12.*: shorten"):
        run(lambda x: 1e30 * torch.sign(x) + 1e30 * x, horizon=9, errors="initial")
    with pytest.raises(NumericalFailure, match=r"the base rollout is not finite after step \d+ in"):
        run(lambda x: 1e100 * x**3, horizon=9)
    with pytest.raises(NumericalFailure, match=r"the rollout with drift of size 0.9 reaches 1e150 after step \d+ in"):
        run(lambda x: 1.5 * x**3, 0.1 * X, errors="drift", sizes=0.9, units="raw", horizon=40)
    with pytest.raises(NumericalFailure, match=r"the derivative of step 0 is not finite at a visited state"):
        run(lambda x: torch.sqrt(x.abs()), torch.cat((1.0 + X[:1] ** 2, 0.0 * X[:1])), units="raw")
    root = DrivenMap(lambda n, x, a, xi: torch.sqrt(x.abs()), 3, 2)
    with pytest.raises(NumericalFailure, match="the Jacobian of step 1 is not finite in state 0"):
        step_matrices(root, torch.stack((X, 0.0 * X)), Matrices())


def test_numpy_comes_in_the_dtype_of_the_model() -> None:
    model = nn.Linear(3, 3)
    d = run(model, X.numpy(), horizon=2)
    assert d.dtype == "float32"
    assert run(good, X.numpy().astype(np.float64)).dtype == "float64"


def test_actions_for_all_paths_alike() -> None:
    actions = normal(3, 3, seed=2)
    one = run(lambda x, a: good(x) + a, X, actions, horizon=None)
    each = run(lambda x, a: good(x) + a, X, actions[:, None].expand(3, 12, 3).numpy(), horizon=None)
    assert one.horizon == 3
    assert one.to_dict() == each.to_dict()
    assert run(good, horizon=None, jacobians=False).horizon == 25


def test_a_unit_at_rest_has_any_slope_between_its_sides() -> None:
    """Visited states lie on the kinks of a rectifier: its derivative there is 0, a central difference ½."""
    d = run(lambda x: torch.relu(0.9 * x), units="raw")
    assert d.jacobians is not None
    # Control: a slope outside of both sides is found there as anywhere.
    with pytest.raises(Refused, match="not that of its values in 3 of 3"):
        run(lambda x: off(torch.relu(0.9 * x)), units="raw")
    with pytest.raises(Refused, match="not that of its values in 3 of 3"):
        run(lambda x: torch.relu(0.9 * x).detach() - 0.1 * (x - x.detach()), units="raw")


def test_what_a_step_remembers_late_is_found() -> None:
    for calls in (8, 20, 60):
        count = [0]

        def late(x: Tensor, count=count, calls=calls) -> Tensor:
            count[0] += 1
            return good(x) + 0.3 * (count[0] > calls)

        with pytest.raises(Refused, match="keeps something from call to call"):
            run(late, jacobians=False)


def test_nothing_of_the_caller_is_changed() -> None:
    actions, module = torch.ones(3, 12, 3, dtype=F64), Remembers()
    with pytest.raises(InvalidArgument, match=r"changes its argument a in place: let it work on a.clone"):
        run(lambda x, a: good(x) + a.mul_(0.5), X, actions)
    with pytest.raises(InvalidArgument, match="changes its argument noise in place"):
        run(lambda x, a, noise: good(x) + noise.mul_(0.5), noise_dim=3)
    for step in (module, module.forward):
        with pytest.raises(Refused):
            run(step)
    norm = nn.BatchNorm1d(3).double()
    with pytest.raises(InvalidArgument):
        run(norm)
    assert bool((actions == 1.0).all())
    assert float(module.h.abs().max()) == 0.0
    assert float(norm.running_mean.abs().max()) == int(norm.num_batches_tracked) == 0
    read_only = X.numpy().copy()
    read_only.flags.writeable = False
    for states in (read_only, X.numpy().astype(">f8")):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert run(good, states).to_dict() == run().to_dict()


def test_a_step_that_writes_over_its_last_value() -> None:
    values = {count: torch.zeros(count, 3, dtype=F64) for count in (1, 12)}

    def reuses(x: Tensor) -> Tensor:
        return values[len(x)].copy_(good(x))

    one, other = (run(step, jacobians=False, errors="initial", horizon=4) for step in (reuses, good))
    assert one.to_dict() == other.to_dict()


def test_inference_mode_around_it() -> None:
    with torch.inference_mode():
        d = run(lambda x, a: good(x) + a, X.clone(), normal(3, 3, seed=2))
    assert d.to_dict() == run(lambda x, a: good(x) + a, X, normal(3, 3, seed=2)).to_dict()


def test_sizes_may_be_an_array() -> None:
    assert [c.size for c in run(sizes=np.array([0.1, 0.2]), errors="initial", units="raw").curves] == [0.1, 0.2]
