import numpy as np
import pytest
from scipy import stats

from sdewm.estimate import Estimate, Moments, student_bounds
from sdewm.exceptions import InvalidArgument

MIX = np.array([[1.0, 0.9, 0.0], [0.0, 0.4, -0.7], [0.0, 0.0, 1.3]])


def sample(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 3)) @ MIX + [1.0, -2.0, 1e3]


def test_linear_combinations_have_the_standard_error_of_the_combined_sample() -> None:
    x = sample(400)
    p, q, s = Moments.of(x).estimates()
    eps = 0.3
    combined = eps * p + eps**2 * (q + s / 2) - 1.0
    per_path = eps * x[:, 0] + eps**2 * (x[:, 1] + x[:, 2] / 2) - 1.0
    assert combined.value == pytest.approx(per_path.mean(), rel=1e-12)
    assert combined.standard_error == pytest.approx(per_path.std(ddof=1) / 20, rel=1e-10)
    assert combined.n == 400
    apart = np.sqrt((eps * p).standard_error ** 2 + (eps**2 * (q + s / 2)).standard_error ** 2)
    assert abs(apart / combined.standard_error - 1) > 0.05  # without the covariance it would be another number


def test_every_arithmetic_operation() -> None:
    x = sample(50)
    a, b, _ = Moments.of(x).estimates()
    u, v = x[:, 0], x[:, 1]
    for estimate, values in [
        (a + b, u + v), (a - b, u - v), (-a, -u), (2 * a, 2 * u), (a * 2, 2 * u), (a / 4, u / 4), (a + 1, u + 1),
        (1 + a, u + 1), (a - 1, u - 1), (1 - a, 1 - u), (np.float64(2) * a, 2 * u), (np.float64(1) - a, 1 - u),
        (a + np.float32(1), u + 1),
    ]:  # fmt: skip
        assert isinstance(estimate, Estimate)
        assert estimate.value == pytest.approx(values.mean(), rel=1e-12)
        assert estimate.standard_error == pytest.approx(values.std(ddof=1) / 50**0.5, rel=1e-10)
    assert (a - a).standard_error == 0.0
    assert (a - a).interval() == (0.0, 0.0)
    assert float(a) == a.value


def test_a_product_of_estimates_is_no_estimate() -> None:
    a, b, _ = Moments.of(sample(5)).estimates()
    for operation in (lambda: a * b, lambda: a / b, lambda: 1 / b):
        with pytest.raises(TypeError):
            operation()


def test_interval_is_students() -> None:
    x = sample(12)[:, 0]
    (a,) = Moments.of(x).estimates()
    for level in (0.5, 0.95, 0.999):
        expected = stats.t.interval(level, 11, loc=x.mean(), scale=x.std(ddof=1) / 12**0.5)
        assert a.interval(level) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(InvalidArgument, match="level must lie strictly between 0 and 1, got 1"):
        a.interval(1)


def test_independent_runs_add_their_variances() -> None:
    a, b = Moments.of(sample(30)).estimates()[0], Moments.of(sample(40, 1)).estimates()[0]
    assert (a - b).standard_error == pytest.approx(np.hypot(a.standard_error, b.standard_error), rel=1e-12)
    assert (a - b).n == 30


def test_two_runs_on_the_same_noise_are_refused_and_one_run_is_not() -> None:
    first, again = Moments.of(sample(30), "seed 0"), Moments.of(sample(30), "seed 0")
    other, unnamed = Moments.of(sample(30, 1), "seed 1"), Moments.of(sample(30, 2))
    a = first.estimates()[0]
    for fine in (first.estimates()[1], other.estimates()[0], unnamed.estimates()[0]):
        assert (a + fine).standard_error > 0
    with pytest.raises(InvalidArgument, match="same noise cannot be combined"):
        a + again.estimates()[0]
    with pytest.raises(InvalidArgument, match="same noise"):
        (a + other.estimates()[0]) - (unnamed.estimates()[0] + again.estimates()[1])


@pytest.mark.parametrize("cuts", [[1], [100], [1, 2, 3, 500], list(range(1, 1000, 7))])
def test_merging_blocks_equals_all_at_once(cuts: list[int]) -> None:
    x = sample(1000)
    whole = Moments.of(x)
    first, *rest = (Moments.of(part) for part in np.split(x, cuts))
    merged = first
    for part in rest:
        merged = merged.merge(part)
    assert merged.n == 1000
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-13)
    np.testing.assert_allclose(merged.scatter, whole.scatter, rtol=1e-10, atol=1e-9)
    np.testing.assert_array_equal([merged.low, merged.high], [whole.low, whole.high])
    np.testing.assert_allclose(whole.covariance, np.cov(x.T) / 1000, rtol=1e-10, atol=1e-15)


def test_moments_survive_the_way_through_a_file() -> None:
    moments = Moments.of(sample(7), "seed 3")
    back = Moments.from_arrays(moments.to_arrays(), "seed 3")
    for one, other in zip(moments.estimates(), back.estimates(), strict=True):
        assert one.interval() == other.interval()
        assert one.largest_share == other.largest_share
    with pytest.raises(InvalidArgument, match="same noise"):
        moments.estimates()[0] + back.estimates()[0]


def test_merging_needs_the_distance_of_the_means() -> None:
    x = np.array([0.0, 0.0, 10.0, 10.0])
    merged = Moments.of(x[:2]).merge(Moments.of(x[2:]))
    assert merged.scatter[0, 0] == 100.0  # the scatter inside both blocks is zero


def test_a_single_path_has_no_interval() -> None:
    a, b = Moments.of(np.array([[1.0, 3.0]])).estimates()
    for estimate in (a, b - a, a - a + b):
        assert estimate.interval() == (-np.inf, np.inf)
    assert (a - a).interval() == (0.0, 0.0)


def test_what_is_not_finite_is_never_a_point() -> None:
    for bad in (np.nan, np.inf):
        broken, sound = Moments.of(np.array([[1.0, 1.0], [bad, 2.0]])).estimates()
        assert np.isnan(broken.interval()).all()
        assert np.isfinite(sound.interval()).all()  # the bad column does not spoil its neighbour
        assert np.isnan((broken + sound).standard_error)


def test_a_dominating_path_is_noticed() -> None:
    x = np.ones(1000)
    x[::2] = -1
    assert Moments.of(x).estimates()[0].largest_share == pytest.approx(1e-3, rel=1e-6)
    x[0] = 1e3
    assert Moments.of(x).estimates()[0].largest_share > 0.99


@pytest.mark.parametrize("values", [np.zeros((0, 2)), np.zeros(0), np.zeros((2, 2, 2))])
def test_shapes_without_a_meaning(values: np.ndarray) -> None:
    with pytest.raises(InvalidArgument, match="values must have shape"):
        Moments.of(values)


def test_text() -> None:
    (a,) = Moments.of(np.array([1.0, 2.0, 3.0])).estimates()
    assert str(a) == repr(a) == "2 [-0.48414, 4.4841]"


def test_covariance_is_that_of_the_combined_samples() -> None:
    """Of combinations of one run: that of the per-path values over n, bilinear and symmetric."""
    x = sample(400)
    p, q, s = Moments.of(x).estimates()
    one, other = 2 * p - q + 5.0, 0.3 * s - p
    first, second = 2 * x[:, 0] - x[:, 1], 0.3 * x[:, 2] - x[:, 0]
    want = np.cov(first, second)[0, 1] / 400
    assert one.covariance(other) == pytest.approx(want, rel=1e-10)
    assert other.covariance(one) == pytest.approx(want, rel=1e-10)
    assert one.covariance(one) == pytest.approx(one.standard_error**2, rel=1e-12)
    assert (-one).covariance(other) == pytest.approx(-want, rel=1e-10)
    both = (one + other).standard_error ** 2
    assert both == pytest.approx(one.standard_error**2 + other.standard_error**2 + 2 * one.covariance(other), rel=1e-12)
    # Without the covariance the sum would have another error.
    assert abs(both / (one.standard_error**2 + other.standard_error**2) - 1) > 0.05


def test_covariance_of_runs_that_partly_coincide() -> None:
    """a − b and a + c with b, c from other runs: only a's variance is common; independent runs have none."""
    a, b, c = (Moments.of(sample(n, seed), f"seed {seed}").estimates()[0] for n, seed in ((30, 0), (40, 1), (50, 2)))
    assert (a - b).covariance(a + c) == pytest.approx(a.standard_error**2, rel=1e-12)
    assert (a - b).covariance(b + c) == pytest.approx(-(b.standard_error**2), rel=1e-12)
    assert a.covariance(b) == 0.0
    assert (a - b).covariance(c) == 0.0
    assert (a - a).covariance(a) == 0.0


def test_covariance_on_the_same_noise_is_refused() -> None:
    """Two samples of one noise are dependent in an unknown way, also where only a part of a sum is concerned."""
    first, again = (Moments.of(sample(30), "seed 0").estimates()[0] for _ in range(2))
    other = Moments.of(sample(30, 1), "seed 1").estimates()[0]
    with pytest.raises(InvalidArgument, match="same noise cannot be combined"):
        first.covariance(again)
    with pytest.raises(InvalidArgument, match="same noise"):
        (first + other).covariance(again)


def test_covariance_without_spread_or_number() -> None:
    """One path says nothing; a column that is not finite spoils its own covariances only."""
    a, b = Moments.of(np.array([[1.0, 3.0]])).estimates()
    assert a.covariance(b) == np.inf
    assert (a - a).covariance(b) == 0.0
    broken, sound, other = Moments.of(np.array([[1.0, 1.0, 0.0], [np.nan, 2.0, 3.0], [0.0, 4.0, 1.0]])).estimates()
    assert np.isnan(broken.covariance(sound))
    assert sound.covariance(other) == pytest.approx(np.cov([1, 2, 4], [0, 3, 1])[0, 1] / 3, rel=1e-12)
    assert (0.0 * broken + sound).covariance(other) == sound.covariance(other)


def test_bounds_without_skewness_are_students() -> None:
    """And with it they are nested, mirrored with its sign, never without zero, and shifted against it."""
    for freedom, level in ((3, 0.5), (15, 0.95), (200, 1.0 - 1e-7)):
        want = stats.t.ppf(0.5 + level / 2, freedom)
        assert student_bounds(freedom, level) == pytest.approx((-want, want), rel=1e-9)
    before = (0.0, 0.0)
    for level in (0.01, 0.5, 0.9, 0.99, 0.9999, 1.0 - 1e-9):
        low, high = student_bounds(63, level, 0.9, -0.5)
        assert low < min(before[0], 0.0)
        assert high > max(before[1], 0.0) or level < 0.5
        assert student_bounds(63, level, -0.9, -0.5) == pytest.approx((-high, -low), rel=1e-12)
        before = low, high
    assert low + high < -1.0


def test_bounds_expand_students_statistic_of_a_gamma_law() -> None:
    """Both tails of 95 %, to the next order, for the law whose third-order terms are kept exactly; Student's miss."""
    rng, n, repetitions = np.random.default_rng(0), 40, 200_000
    x = rng.standard_exponential((repetitions, n)) - 1.0
    t = x.mean(1) / (x.std(1, ddof=1) / n**0.5)
    low, high = student_bounds(n - 1, 0.95, 2.0 / n**0.5, 6.0 / n)
    # The expansion's own bounds, from the true cumulants; o(1/n) is taken to be 0.3/n.
    below, above = float((t < low).mean()), float((t > high).mean())
    assert max(abs(below - 0.025), abs(above - 0.025)) < 0.3 / n
    student = stats.t.ppf(0.975, n - 1)
    assert float((t < -student).mean()) - 0.025 > 0.3 / n


def test_kept_observations_give_the_cumulants_of_any_combination() -> None:
    """Fisher's k-statistics of the combined observations, whatever the blocks; independent runs add them."""
    x = np.exp(sample(30) - [0.0, 0.0, 1e3])
    parts = [Moments.of(part, "a", keep=True) for part in np.split(x, [1, 7, 20])]
    whole = parts[0].merge(parts[1]).merge(parts[2]).merge(parts[3])
    weights = np.array([0.3, -2.0, 0.0])
    combined = x @ weights
    want = stats.kstat(combined, 3) / 30**2, stats.kstat(combined, 4) / 30**3
    assert whole.higher(weights) == pytest.approx(want, rel=1e-9)
    a, b, _ = whole.estimates()
    e = 0.3 * a - 2.0 * b
    se = combined.std(ddof=1) / 30**0.5
    bounds = student_bounds(29, 0.9, want[0] / se**3, want[1] / se**4)
    assert e.interval(0.9) == pytest.approx((e.value - bounds[1] * se, e.value - bounds[0] * se), rel=1e-9)
    low, high = e.interval(0.9)
    assert (-e).interval(0.9) == pytest.approx((-high, -low), rel=1e-12)
    other = Moments.of(np.exp(sample(40, 1) - [0.0, 0.0, 1e3]), "b", keep=True)
    assert (e - other.estimates()[0])._shape[0] == pytest.approx(
        (want[0] - other.higher(np.array([1.0, 0.0, 0.0]))[0]) / (e - other.estimates()[0]).standard_error ** 3
    )
    assert (e - Moments.of(x, "c").estimates()[0])._shape[0] != 0.0  # what is not kept counts as normal
    assert whole.merge(Moments.of(x, "a")).observations is None


def test_few_observations_or_none_have_no_shape() -> None:
    """Three do not tell the fourth cumulant, equal ones have no spread, and a file keeps what there is."""
    assert Moments.of(np.arange(3.0) ** 2, keep=True).estimates()[0]._shape == (0.0, 0.0)
    assert Moments.of(np.ones(9), keep=True).estimates()[0].interval() == (1.0, 1.0)
    one = Moments.of(np.arange(9.0) ** 2, "a", keep=True)
    back = Moments.from_arrays(one.to_arrays(), "a")
    assert back.estimates()[0].interval() == one.estimates()[0].interval()
    assert one.estimates()[0].interval() != Moments.of(np.arange(9.0) ** 2).estimates()[0].interval()
    assert not one.estimates()[0].skewed
    tiny = 1e-140 * one.estimates()[0]
    assert tiny._shape == pytest.approx(one.estimates()[0]._shape, rel=1e-9)
    assert Moments.of(np.eye(9)[0], keep=True).estimates()[0].skewed
