"""Laws of latents against torch's distributions, and the balanced divergence against its definition."""

import pytest
import torch
from torch.distributions import Categorical, Normal, kl_divergence

from sdewm.worldmodel.latents import CategoricalLatents, GaussianLatents
from sdewm.worldmodel.rssm import RSSM, RSSMArchitecture


def numbers(*shape, seed=0):
    return 2.0 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_gaussian_relative_entropy():
    laws = GaussianLatents(3, 0.1)
    one, two = laws.law(numbers(5, 4, 6)), laws.law(numbers(5, 4, 6, seed=1))
    expected = kl_divergence(Normal(*one), Normal(*two)).sum(-1)
    torch.testing.assert_close(laws.relative_entropy(one, two), expected)
    assert not torch.allclose(laws.relative_entropy(two, one), expected, rtol=1e-2)
    assert float(one.scale.min()) > 0.1


def test_categorical_relative_entropy_and_probabilities():
    laws = CategoricalLatents(2, 3, 0.01)
    raw, other = numbers(5, 4, 6), numbers(5, 4, 6, seed=1)
    one, two = laws.law(raw), laws.law(other)
    mixed = [0.99 * r.unflatten(-1, (2, 3)).softmax(-1) + 0.01 / 3.0 for r in (raw, other)]
    torch.testing.assert_close(one.mean, mixed[0].flatten(-2))
    torch.testing.assert_close(one.mean.unflatten(-1, (2, 3)).sum(-1), torch.ones(5, 4, 2, dtype=torch.float64))
    expected = kl_divergence(*(Categorical(probs=p) for p in mixed)).sum(-1)
    torch.testing.assert_close(laws.relative_entropy(one, two), expected)
    assert not torch.allclose(laws.relative_entropy(two, one), expected, rtol=1e-2)
    # Even logits that leave nothing to chance keep every class possible.
    sure = laws.law(torch.tensor([1e4, 0.0, 0.0, 0.0, 1e4, 0.0]))
    assert float(sure.mean.min()) == pytest.approx(0.01 / 3.0)


def test_a_draw_is_that_of_the_inverse_distribution_function():
    laws = CategoricalLatents(1, 3, 0.01)
    law = laws.law(torch.tensor([[0.3, -0.4, 0.9]], dtype=torch.float64))
    ladder = law.mean[0].cumsum(0)[:2]
    edges = torch.special.ndtri(ladder)
    for k, xi in enumerate((edges[0] - 1e-6, edges[0] + 1e-6, edges[1] - 1e-6, edges[1] + 1e-6)):
        assert int(laws.draw(law, xi.reshape(1, 1)).argmax()) == (0, 1, 1, 2)[k]
    # Extreme normals, whose Φ is 0 or 1, are classes too.
    assert laws.draw(law, torch.tensor([[-40.0]]).double()).round().tolist() == [[1.0, 0.0, 0.0]]
    assert laws.draw(law, torch.tensor([[40.0]]).double()).round().tolist() == [[0.0, 0.0, 1.0]]


def gradients(weights, free_nats):
    """The divergence, and the norms of its gradients by the weights of the prior and of the posterior."""
    dynamics, representation = weights
    constants = {"dynamics_weight": dynamics, "representation_weight": representation, "free_nats": free_nats}
    model = RSSM(RSSMArchitecture(2, 1, hidden=6, width=8, latent=3, **constants), seed=1).double()
    o, a = numbers(1, 5, 2), numbers(1, 5, 1, seed=1)
    result = model.filtered(o, a, seed=0)
    result.divergence.sum().backward()
    # One step from a state of zeros: h is the same whatever the posterior, which is then reached by itself alone.
    sizes = [torch.cat([p.grad.flatten() for p in m.parameters()]) for m in (model.prior, model.posterior)]
    return result, sizes


def test_balance_weighs_the_two_gradients():
    whole, (prior, posterior) = gradients((1.0, 1.0), 0.0)
    balanced, (less, little) = gradients((0.8, 0.2), 0.0)
    torch.testing.assert_close(less, 0.8 * prior)
    torch.testing.assert_close(little, 0.2 * posterior)
    assert float(posterior.norm()) > 1e-3
    truth = kl_divergence(
        Normal(whole.posterior_mean, whole.posterior_scale), Normal(whole.prior_mean, whole.prior_scale)
    ).sum(-1)
    torch.testing.assert_close(balanced.divergence, truth)
    torch.testing.assert_close(whole.divergence, 2.0 * truth)


def test_free_nats_have_no_gradient():
    result, (prior, posterior) = gradients((0.8, 0.2), 1e6)
    assert result.divergence.tolist() == [[1e6] * 5]
    assert not bool(prior.any() or posterior.any())
    few, (prior, _) = gradients((0.8, 0.2), 1e-9)
    torch.testing.assert_close(few.divergence, gradients((0.8, 0.2), 0.0)[0].divergence)
    assert bool(prior.any())
