"""Perturbed observations: closed forms, laws, and what may not change."""

import math

import pytest
import torch
from alarm import assert_normal

from sdewm.exceptions import InvalidArgument, Refused
from sdewm.worldmodel.episodes import Episodes
from sdewm.worldmodel.perturbations import KINDS, PATCHES, perturb_observations

PAIRS = [(0, 1)]


def episodes(observations):
    count, times = observations.shape[:2]
    steps = torch.arange(count * (times - 1), dtype=torch.float32).reshape(count, times - 1)
    return Episodes(observations, steps[..., None], rewards=2.0 * steps, continues=torch.ones(count, times - 1))


def states(count=6, times=9):
    source = torch.Generator().manual_seed(1)
    angle = 2.0 * math.pi * torch.rand(count, times, generator=source)
    other = 5.0 + 3.0 * torch.randn(count, times, generator=source)
    return episodes(torch.stack((angle.cos(), angle.sin(), other), dim=-1))


def images(height=32, width=32, count=3, times=4):
    shape = (count, times, 3, height, width)
    return episodes(torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(2), dtype=torch.uint8))


DATA = {"states": states, "images": images}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("kind", KINDS)
def test_only_observations_change_and_at_strength_zero_not_even_they(kind, data):
    data = DATA[data]()
    same = perturb_observations(data, kind, 0, seed=0, pairs=PAIRS)
    assert torch.equal(same.observations, data.observations)
    before = data.observations.clone()
    changed = perturb_observations(data, kind, 0.3, seed=0, pairs=PAIRS)
    assert torch.equal(data.observations, before)
    assert not torch.equal(changed.observations, before)
    assert changed.observations.dtype == before.dtype
    for name in ("actions", "rewards", "continues"):
        assert getattr(changed, name) is getattr(data, name)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("kind", KINDS)
def test_an_episode_is_perturbed_alike_among_any_others(kind, data):
    data = DATA[data]()
    fewer = Episodes(data.observations[:2], data.actions[:2])
    whole = perturb_observations(data, kind, 0.3, seed=4, pairs=PAIRS, units=data).observations
    assert torch.equal(perturb_observations(fewer, kind, 0.3, seed=4, pairs=PAIRS, units=data).observations, whole[:2])
    assert torch.equal(perturb_observations(data, kind, 0.3, seed=4, pairs=PAIRS).observations, whole)


@pytest.mark.parametrize("kind", ["noise", "masking"])
@pytest.mark.parametrize("grey", [True, False])
def test_episodes_and_seeds_have_noise_of_their_own(kind, grey):
    shape = (2, 3, 3, 16, 16) if grey else (2, 3, 8)
    flat = episodes(torch.full(shape, 128, dtype=torch.uint8) if grey else torch.zeros(shape))
    units = None if grey else episodes(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    first = perturb_observations(flat, kind, 0.5, seed=0, units=units).observations
    other = perturb_observations(flat, kind, 0.5, seed=1, units=units).observations
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0, 0], first[0, 1])
    assert not torch.equal(first, other)


def test_noise_has_the_deviation_that_is_asked_for():
    data = states(count=40, times=100)
    strength = 0.2
    for units in (data, states(count=3)):
        noisy = perturb_observations(data, "noise", strength, seed=0, units=units)
        z = (noisy.observations - data.observations) / (strength * units.deviation)
        n = z[..., 0].numel()
        for column in range(3):
            assert_normal(float(z[..., column].mean()), 0.0, 1.0 / math.sqrt(n))
            assert_normal(float(z[..., column].square().mean()), 1.0, math.sqrt(2.0 / n))
    # Negative control: the deviations of the two differ by more than the check allows.
    ratio = (states(count=3).deviation / data.deviation).square()
    assert float((ratio - 1.0).abs().max()) > 5.0 * math.sqrt(2.0 / n)


def test_noise_of_images_is_in_grey_levels_and_stays_in_range():
    grey = episodes(torch.full((2, 3, 3, 32, 32), 128, dtype=torch.uint8))
    strength = 0.05
    noise = perturb_observations(grey, "noise", strength, seed=0).observations.double() - 128.0
    n = noise.numel()
    variance = (255.0 * strength) ** 2 + 1.0 / 12.0  # of the noise and of the rounding
    assert_normal(float(noise.mean()), 0.0, math.sqrt(variance / n))
    assert_normal(float(noise.square().mean()), variance, variance * math.sqrt(2.0 / n))
    dark = perturb_observations(episodes(torch.zeros(1, 2, 3, 8, 8, dtype=torch.uint8)), "noise", 9.0, seed=0)
    # Without the clip, numbers would wrap around.
    values = dark.observations.flatten()
    assert set(values.tolist()) <= {0, *range(1, 256)}
    assert float(((values == 0) | (values == 255)).float().mean()) > 0.9


@pytest.mark.parametrize("kind", ["noise", "masking"])
def test_a_sweep_shares_its_random_numbers(kind):
    data = states()
    weak = perturb_observations(data, kind, 0.2, seed=0).observations - data.observations
    strong = perturb_observations(data, kind, 0.4, seed=0).observations - data.observations
    if kind == "noise":
        torch.testing.assert_close(strong, 2.0 * weak, rtol=1e-3, atol=1e-5)
    else:
        assert bool((strong != 0)[weak != 0].all())
        assert int((strong != 0).sum()) > int((weak != 0).sum()) > 0


def test_masked_numbers_are_means_and_have_the_share_that_is_asked_for():
    data = states(count=40, times=100)
    strength = 0.3
    masked = perturb_observations(data, "masking", strength, seed=0).observations
    changed = masked != data.observations
    assert torch.equal(masked[changed], data.mean.expand_as(masked)[changed])
    n = changed.numel()
    assert_normal(float(changed.double().mean()), strength, math.sqrt(strength * (1.0 - strength) / n))
    # Numbers of one time are masked apart, and times of one number too.
    numbers, times = changed[..., 0] & changed[..., 1], changed[:, 1:] & changed[:, :-1]
    p = strength**2
    assert_normal(float(numbers.double().mean()), p, math.sqrt(p * (1.0 - p) / numbers.numel()))
    # Pairs of neighbouring times overlap, which correlates them.
    variance = p * (1.0 - p) + 2.0 * (strength**3 - strength**4)
    assert_normal(float(times.double().mean()), p, math.sqrt(variance / times.numel()))
    whole = perturb_observations(data, "masking", 1, seed=0).observations
    assert torch.equal(whole, data.mean.expand_as(whole))


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (24, 40), (33, 50)])
def test_masked_patches_are_black_in_all_channels(size):
    height, width = size
    white = episodes(torch.full((4, 30, 3, height, width), 255, dtype=torch.uint8))
    strength = 0.2
    masked = perturb_observations(white, "masking", strength, seed=0).observations
    assert set(masked.unique().tolist()) == {0, 255}
    assert bool((masked == masked[:, :, :1]).all())
    edges = [[math.ceil(k * side / PATCHES) for k in range(PATCHES + 1)] for side in size]
    share = 0.0
    for top, bottom in zip(edges[0], edges[0][1:], strict=False):
        for left, right in zip(edges[1], edges[1][1:], strict=False):
            patch = masked[..., top:bottom, left:right]
            assert bool((patch == patch[..., :1, :1]).all())
            share += float((patch[:, :, 0, 0, 0] == 0).double().mean()) / PATCHES**2
    n = 4 * 30 * PATCHES**2
    assert_normal(share, strength, math.sqrt(strength * (1.0 - strength) / n))
    black = perturb_observations(white, "masking", 1, seed=0).observations
    assert int(black.max()) == 0


@pytest.mark.parametrize("quarters", [-2, -1, 1, 2, 3, 4])
def test_quarters_of_a_turn_of_images_move_pixels(quarters):
    data = images()
    turned = perturb_observations(data, "rotation", 90 * quarters, seed=0).observations
    expected = torch.rot90(data.observations, quarters, (-2, -1))
    assert int((turned.int() - expected.int()).abs().max()) <= 1
    if quarters % 2:
        # Negative control: the other way.
        wrong = torch.rot90(data.observations, -quarters, (-2, -1))
        assert int((turned.int() - wrong.int()).abs().max()) > 100


def bilinear(image, degrees):
    """One channel turned anticlockwise, pixel by pixel."""
    height, width = image.shape
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned = torch.zeros(height, width)
    for i in range(height):
        for j in range(width):
            # x to the right and y upwards, turned back by the angle.
            x, y = j - middle_x, middle_y - i
            source_x, source_y = cosine * x + sine * y, cosine * y - sine * x
            column, row = source_x + middle_x, middle_y - source_y
            left, top = math.floor(column), math.floor(row)
            for r in (top, top + 1):
                for c in (left, left + 1):
                    if 0 <= r < height and 0 <= c < width:
                        turned[i, j] += (1 - abs(row - r)) * (1 - abs(column - c)) * float(image[r, c])
    return turned


@pytest.mark.parametrize(("height", "width"), [(16, 16), (12, 20)])
@pytest.mark.parametrize("degrees", [10.0, -37.0])
def test_rotation_of_images_is_bilinear(height, width, degrees):
    data = images(height, width, count=1, times=2)
    turned = perturb_observations(data, "rotation", degrees, seed=0).observations[0, 0, 1].float()
    expected = bilinear(data.observations[0, 0, 1], degrees)
    assert float((turned - expected).abs().max()) <= 0.51
    assert float((turned - bilinear(data.observations[0, 0, 1], -degrees)).abs().max()) > 50.0


def test_rotation_of_states_adds_to_angles():
    data = states()
    turned = perturb_observations(data, "rotation", 30, seed=0, pairs=PAIRS).observations
    angle = torch.atan2(data.observations[..., 1], data.observations[..., 0]) + math.pi / 6
    torch.testing.assert_close(turned[..., 0], angle.cos(), rtol=0.0, atol=1e-6)
    torch.testing.assert_close(turned[..., 1], angle.sin(), rtol=0.0, atol=1e-6)
    assert torch.equal(turned[..., 2], data.observations[..., 2])


def test_rotation_there_and_back():
    data = states()
    there = perturb_observations(data, "rotation", 70, seed=0, pairs=PAIRS)
    back = perturb_observations(there, "rotation", -70, seed=0, pairs=PAIRS).observations
    torch.testing.assert_close(back, data.observations, rtol=0.0, atol=1e-6)
    # Negative control: the pair the other way round.
    wrong = perturb_observations(there, "rotation", -70, seed=0, pairs=[(1, 0)]).observations
    assert float((wrong - data.observations).abs().max()) > 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "blur"}, "kind must be one of 'noise', 'rotation', 'masking', got 'blur'"),
        ({"strength": -0.1}, "at least 0 for noise"),
        ({"strength": math.inf}, "strength must be a finite number"),
        ({"kind": "masking", "strength": -0.1}, "from 0 to 1 for masking, got -0.1"),
        ({"kind": "masking", "strength": 1.1}, "from 0 to 1 for masking, got 1.1"),
        ({"seed": -1}, "seed must be"),
        ({"seed": -1, "strength": 0.0}, "seed must be"),
        ({"units": images()}, r"units must have observations of the same shape \(3,\), got \(3, 32, 32\)"),
        ({"kind": "rotation", "pairs": [(0, 3)]}, "columns from 0 to 2"),
        ({"kind": "rotation", "pairs": [(0, 1), (1, 2)]}, "different columns"),
        ({"kind": "rotation", "pairs": [(0, 1, 2)]}, "pairs must be pairs"),
        ({"kind": "rotation", "pairs": [0, 1]}, "pairs must be pairs"),
        ({"kind": "rotation", "pairs": 5}, "pairs must be a sequence of .* got int"),
        ({"kind": "rotation", "pairs": [(0.0, 1)]}, "pairs must be pairs"),
    ],
)
def test_arguments_are_checked(changes, message):
    with pytest.raises(InvalidArgument, match=message):
        perturb_observations(states(), **{"kind": "noise", "strength": 0.1, "seed": 0, **changes})


def test_what_cannot_be_done_afterwards_is_refused():
    with pytest.raises(Refused, match=r"collect episodes with physics="):
        perturb_observations(states(), "physics", 0.1, seed=0)
    for pairs in (None, []):
        with pytest.raises(Refused, match=r"pairs=angle_pairs\(task\)"):
            perturb_observations(states(), "rotation", 5, seed=0, pairs=pairs)
