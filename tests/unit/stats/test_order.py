"""Tests of the order of a remainder, on samples whose order, means and covariances are known."""

import math
import re
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from alarm import FALSE_ALARM, spend
from scipy.stats import binom, chi2, t

from sdewm import InvalidArgument, Outcome
from sdewm.estimate import Estimate, Moments
from sdewm.stats.order import (
    CURVED,
    check_sizes,
    curvature,
    local_slopes,
    log_slope,
    negligible,
    order_at_least,
    richardson_weights,
    size_floor,
)

HOLDS, VIOLATED, INCONCLUSIVE = Outcome.HOLDS, Outcome.VIOLATED, Outcome.INCONCLUSIVE
SIZES = (0.0125, 0.025, 0.05, 0.1)
F64, F32 = np.finfo(np.float64).eps, np.finfo(np.float32).eps


def pair(m: np.ndarray, s: np.ndarray) -> tuple[Estimate, Estimate]:
    """Estimates of two means from one run."""
    one, other = Moments.of(np.stack((m, s), 1)).estimates()
    return one, other


def apart(m: np.ndarray, s: np.ndarray) -> tuple[Estimate, Estimate]:
    """The same, taken for independent: their covariance is lost."""
    return Moments.of(m).estimates()[0], Moments.of(s).estimates()[0]


# --- Richardson ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sizes", [(0.1, 0.2), (1.0, 2.0, 4.0), SIZES, (0.05, 0.07, 0.11, 0.13, 0.4), (6e-5, 1.2e-4, 2.4e-4)]
)
def test_weights_extrapolate_polynomials(sizes: tuple[float, ...]) -> None:
    """They are Lagrange's Π ε_k / (ε_k − ε_j), exact for degrees below K, and not for degree K or other sizes."""
    weights = richardson_weights(sizes)
    exact = [
        math.prod(Fraction(other) / (Fraction(other) - Fraction(one)) for other in sizes if other != one)
        for one in sizes
    ]
    np.testing.assert_allclose(weights, [float(w) for w in exact], rtol=1e-11)
    rng, scale = np.random.default_rng(0), np.array(sizes) / max(sizes)
    polynomial = rng.standard_normal(len(sizes))
    values = sum(c * scale**k for k, c in enumerate(polynomial))
    assert weights @ values == pytest.approx(polynomial[0], rel=1e-9, abs=1e-9)
    assert abs(weights @ (values + scale ** len(sizes)) - polynomial[0]) > 1e-3
    other = richardson_weights([s * (1.0 + 0.1 * k) for k, s in enumerate(sizes)])
    assert abs(other @ values - polynomial[0]) > 1e-3


# --- T1: is a coefficient negligible? --------------------------------------------------------------------------------


@pytest.mark.parametrize("root", [False, True])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    ("relative", "outcome"), [(0.0, HOLDS), (0.03, HOLDS), (0.05, INCONCLUSIVE), (0.08, VIOLATED), (1.0, VIOLATED)]
)
def test_decisions_at_known_truths(root: bool, sign: float, relative: float, outcome: Outcome) -> None:
    """m is known in parts of the scale s = 2; the border is 5 %, on either side."""
    z = np.linspace(-1.0, 1.0, 4001)
    m = sign * relative * 2.0 + 0.05 * z
    s = (4.0 if root else 2.0) * (1.0 + 0.3 * np.cos(7 * z) - 0.3 * np.cos(7 * z).mean())
    verdict = negligible(*pair(m, s), root=root, what="the rest")
    assert verdict.outcome is outcome
    assert verdict.reason.startswith(f"the rest is {pair(m, s)[0].value:.4g} [")
    assert verdict.allowed == pytest.approx((-0.1, 0.1), rel=1e-9)
    assert verdict.interval is not None
    assert verdict.interval[0] < m.mean() < verdict.interval[1]
    assert verdict.level == 0.999


def test_which_intervals_decide() -> None:
    """With a scale of its own: the two-sided interval of m − .05 s; with a root, one each at half of the error."""
    rng = np.random.default_rng(11)
    m, s = 0.02 + 0.01 * rng.standard_normal(100), 1.0 + 0.2 * rng.standard_normal(100)
    verdict = negligible(*pair(m, s), level=0.95)
    rest = m - 0.05 * s
    upper = rest.mean() + t.ppf(0.975, 99) * rest.std(ddof=1) / 10
    assert verdict.margin == pytest.approx(-upper, rel=1e-9)
    m_high = m.mean() + t.ppf(0.9875, 99) * m.std(ddof=1) / 10
    s_low = s.mean() - t.ppf(0.9875, 99) * s.std(ddof=1) / 10
    verdict = negligible(*pair(m, s), level=0.95, root=True, floor=0.003)
    assert verdict.margin == pytest.approx(0.05 * math.sqrt(s_low) + 0.003 - m_high, rel=1e-9)
    m_low, s_high = (9 * m).mean() - t.ppf(0.9875, 99) * (9 * m).std(ddof=1) / 10, 2 * s.mean() - s_low
    verdict = negligible(*pair(9 * m, s), level=0.95, root=True, floor=0.003)
    assert verdict.outcome is VIOLATED
    assert verdict.margin == pytest.approx(m_low - 0.05 * math.sqrt(s_high) - 0.003, rel=1e-9)


@pytest.mark.parametrize("root", [False, True])
def test_fraction_and_floor_move_the_border(root: bool) -> None:
    """|m| = .3, s = 2: allowed from 15 % on, or from a floor of .2 on where the fraction is 5 %."""
    z = np.linspace(-1.0, 1.0, 4001)
    m, s = pair(0.3 + 0.001 * z, (4.0 if root else 2.0) + 0.001 * z)
    for fraction, outcome in ((0.14, VIOLATED), (0.16, HOLDS)):
        assert negligible(m, s, fraction, root=root).outcome is outcome
    for floor, outcome in ((0.19, VIOLATED), (0.21, HOLDS)):
        assert negligible(m, s, root=root, floor=floor).outcome is outcome


def test_nothing_at_all_holds() -> None:
    """m = s = 0 on every path, as where an error has no effect."""
    zero = np.zeros(50)
    for root in (False, True):
        assert negligible(*pair(zero, zero), root=root).outcome is HOLDS
        assert negligible(*pair(zero + 1e-9, zero), root=root).outcome is VIOLATED
        assert negligible(*pair(zero + 1e-9, zero), root=root, floor=1e-8).outcome is HOLDS


def answers(correlation: float, make: Callable[..., tuple[Estimate, Estimate]], **options: float) -> list[Outcome]:
    """At the border: m and s = 1 are normal with a known correlation, and E m = 5 % of s."""
    rng = np.random.default_rng(int(10 * correlation) + 20)
    result = []
    for _ in range(2000):
        u, v = rng.standard_normal((2, 60))
        m = 0.05 * (1.0 + 0.3 * u)
        s = 1.0 + 0.3 * (correlation * u + math.sqrt(1 - correlation**2) * v)
        result.append(negligible(*make(m, s), level=0.9, **options).outcome)
    return result


@pytest.mark.slow
def test_false_rates_count_the_covariance() -> None:
    """At the border each answer has probability 5 % at level 90 %, exactly, for m − .05 s is normal.

    Without the covariance the rates leave the region on either side: none for ρ = .9, too many for ρ = −.9.
    """
    spend()
    low, high = (binom.ppf(p, 2000, 0.05) for p in (FALSE_ALARM / 8, 1 - FALSE_ALARM / 8))
    for correlation in (0.9, -0.9):
        outcomes = answers(correlation, pair)
        for answer in (HOLDS, VIOLATED):
            assert low <= outcomes.count(answer) <= high
        blind = answers(correlation, apart).count(VIOLATED)
        assert blind < low if correlation > 0 else blind > high


def test_false_rates_of_a_root() -> None:
    """m = 5 % of √E p² exactly: with an interval each, either answer has at most the probability 10 % at level 90 %.

    A rule that looks at the values alone gives one of both answers every time.
    """
    spend()
    high = binom.ppf(1 - FALSE_ALARM / 4, 2000, 0.1)
    for correlation in (0.9, -0.9):
        rng, outcomes, naive = np.random.default_rng(int(10 * correlation) + 20), [], 0
        for _ in range(2000):
            u, v = rng.standard_normal((2, 100))
            p = 1.0 + 0.3 * (correlation * u + math.sqrt(1 - correlation**2) * v)
            m = 0.05 * math.sqrt(1.09) + 0.05 * u
            outcomes.append(negligible(*pair(m, p**2), level=0.9, root=True).outcome)
            naive += abs(m.mean()) > 0.05 * math.sqrt((p**2).mean())
        assert outcomes.count(HOLDS) <= high
        assert outcomes.count(VIOLATED) <= high
        assert naive > high


@pytest.mark.parametrize("root", [False, True])
def test_power(root: bool) -> None:
    """Ten standard errors of the mean away from the border, at level 99.9 %: nearly always decided, never wrongly."""
    rng = np.random.default_rng(5)
    for relative, answer in ((0.02, HOLDS), (-0.02, HOLDS), (0.08, VIOLATED), (-0.08, VIOLATED)):
        outcomes = []
        for _ in range(250):
            u, v = rng.standard_normal((2, 400))
            p = 1.0 + 0.2 * v
            scale = p**2 if root else p
            outcomes.append(negligible(*pair(relative + 0.06 * u, scale), root=root).outcome)
        assert outcomes.count(answer) >= 240
        assert set(outcomes) <= {answer, INCONCLUSIVE}


def wrong_answers(sigma: float, heavy: str) -> tuple[int, int]:
    """Wrong answers of 400, with lognormal tails and 1000 paths: by the verdict, and by the same bare intervals.

    The truth lies just beside the border; the tail is that of the coefficient, on either side, or of the scale.
    """
    rng, judged, bare = np.random.default_rng(3), 0, 0
    wrong = HOLDS if heavy == "coefficient" else VIOLATED
    for _ in range(400):
        tail = np.exp(sigma * rng.standard_normal(1000) - sigma**2 / 2)  # its mean is 1
        light = 1.0 + 0.1 * rng.standard_normal(1000)
        if heavy == "coefficient":
            m, s = pair(0.0501 * tail, light)
        elif heavy == "opposite":
            m, s = pair(0.0998 - 0.0499 * tail, light)
        else:
            m, s = pair(0.0499 * light, tail)
        judged += negligible(m, s, root=heavy == "scale under a root").outcome is wrong
        low, high = (m - 0.05 * s).interval(0.999)
        bare += high < 0.0 if wrong is HOLDS else low > 0.0
    return judged, bare


@pytest.mark.parametrize("heavy", ["coefficient", "opposite", "scale", "scale under a root"])
@pytest.mark.parametrize("sigma", [2.0, 2.5])
def test_heavy_tails_do_not_fool_it(heavy: str, sigma: float) -> None:
    """A tail of the coefficient, or of the scale, makes bare intervals wrong far more often than 1 in 1000.

    At level 99.9 % more than 5 wrong answers of 400 have a probability below 1e-5 where the level is kept.
    """
    judged, bare = wrong_answers(sigma, heavy)
    assert binom.ppf(1 - FALSE_ALARM, 400, 0.001) == 5
    assert bare > 5
    assert judged <= 5


def test_tails_that_matter_little_do_not_stop_it() -> None:
    """One large path among a thousand, far from the border."""
    z = np.linspace(-1.0, 1.0, 1000)
    m = 1e-4 * z
    m[3] = 0.1
    assert negligible(*pair(m, 1.0 + 0.1 * z)).outcome is HOLDS
    assert "one path" in negligible(*pair(500.0 * m, 1.0 + 0.1 * z)).reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fraction": 0.0}, "fraction must be above zero"),
        ({"fraction": 1.0}, r"fraction must lie in \(0, 1\) and floor be >= 0, got 1.0 and 0.0"),
        ({"floor": -1.0}, "floor be >= 0, got 0.05 and -1.0"),
        ({"floor": math.nan}, "floor must be a finite number"),
        ({"level": 1.0}, "level must lie strictly between 0 and 1"),
    ],
)
def test_bad_arguments(options: dict[str, float], message: str) -> None:
    """Each named with its value."""
    with pytest.raises(InvalidArgument, match=message):
        negligible(*pair(np.arange(4.0), np.arange(4.0)), **options)


def test_one_path_decides_nothing() -> None:
    """Neither with nor without root."""
    for root in (False, True):
        verdict = negligible(*pair(np.array([0.1]), np.array([1.0])), root=root)
        assert verdict.outcome is INCONCLUSIVE
        assert "one path has no interval" in verdict.reason


# --- T2 and T3: slopes -----------------------------------------------------------------------------------------------


def remainders(rng: np.random.Generator, n: int, order: int = 3, spread: float = 0.5) -> np.ndarray:
    """Remainders (n, sizes) with mean ε^order exactly; neighbouring sizes share most of their noise."""
    common, own = rng.standard_normal((n, 1)), rng.standard_normal((n, len(SIZES)))
    eps = np.array(SIZES)
    return eps**order * (1.0 + spread * (common + 0.5 * own + 0.3 * common * np.log(eps / SIZES[0])))


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_slope_and_its_standard_error(power: float) -> None:
    """Over 1000 repetitions the slope spreads as its delta-method standard error says, and is right on average.

    T2 on means (power 1), T3 on mean squares (power ½). Without the covariance of the means the error is another.
    """
    spend()
    rng, values, errors, blind = np.random.default_rng(7), [], [], []
    for _ in range(1000):
        r = remainders(rng, 400)
        columns = r if power == 1.0 else r**2
        slope = log_slope(Moments.of(columns).estimates(), SIZES, power)
        values.append(slope.value)
        errors.append(slope.standard_error)
        blind.append(log_slope([Moments.of(c).estimates()[0] for c in columns.T], SIZES, power).standard_error)
    # Relative to its mean a sample mean moves by 3 to 5 %, so that the linearisation is off by some per cent of that.
    ratio = 999 * np.var(values, ddof=1) / np.mean(np.square(errors))
    low, high = (chi2.ppf(p, 999) for p in (FALSE_ALARM / 4, 1 - FALSE_ALARM / 4))
    assert 0.98 * low < ratio < 1.02 * high
    assert not 0.98 * low < 999 * np.var(values, ddof=1) / np.mean(np.square(blind)) < 1.02 * high
    # E log of a mean square: the sizes with more spread have the larger mean square.
    eps, common = np.array(SIZES), 1.0 + 0.3 * np.log(np.array(SIZES) / SIZES[0])
    truth = np.polyfit(np.log(eps), 3 * np.log(eps) if power == 1.0 else 0.5 * np.log(
        eps**6 * (1.0 + 0.25 * (common**2 + 0.25))), 1)[0]  # fmt: skip
    assert abs(np.mean(values) - truth) < 5 * np.mean(errors) / math.sqrt(1000) + 0.002


def test_slope_of_exact_powers() -> None:
    """Least squares in log ε of powers without noise, and Student's interval around it."""
    z = np.linspace(-1.0, 1.0, 200)[:, None]
    eps = np.array(SIZES)
    means = Moments.of(-7.0 * eps**2.2 * (1.0 + 0.0 * z)).estimates()
    slope = log_slope(means, SIZES)
    assert slope.value == pytest.approx(2.2, rel=1e-12)
    assert slope.standard_error == pytest.approx(0.0, abs=1e-9)
    noisy = log_slope(Moments.of(eps**3 * (1.0 + z * np.array([0.5, 0.1, -0.2, 0.3]))).estimates(), SIZES)
    assert noisy.n == 200
    half = t.ppf(0.9995, 199) * noisy.standard_error
    assert noisy.interval(0.999) == pytest.approx((noisy.value - half, noisy.value + half), rel=1e-9)
    # By hand: the slope is Σ x_j log m_j / Σ x_j², so that path z contributes Σ x_j 10^.. z / Σ x_j².
    x = np.log(eps) - np.log(eps).mean()
    per_path = (z * np.array([0.5, 0.1, -0.2, 0.3])) @ x / (x @ x)
    assert noisy.standard_error == pytest.approx(per_path.std(ddof=1) / math.sqrt(200), rel=1e-9)
    with pytest.raises(InvalidArgument, match="means must not be zero"):
        log_slope(Moments.of(np.zeros((5, 3))).estimates(), SIZES[:3])


@pytest.mark.parametrize(("order", "outcome"), [(3, HOLDS), (2, VIOLATED), (4, HOLDS), (1, VIOLATED)])
@pytest.mark.parametrize("power", [1.0, 0.5])
def test_orders_are_told_apart(order: int, outcome: Outcome, power: float) -> None:
    """At the threshold 2.5; and order 4 from order 3 at 3.5."""
    r = remainders(np.random.default_rng(0), 2000, order, 0.2)
    means = Moments.of(r if power == 1.0 else r**2).estimates()
    verdict = order_at_least(means, SIZES, 2.5, power=power, what="the slope")
    assert verdict.outcome is outcome
    assert verdict.reason.startswith("the slope is")
    assert verdict.allowed == (2.5, math.inf)
    assert order_at_least(means, SIZES, 3.5, power=power).outcome is (HOLDS if order == 4 else VIOLATED)
    assert order_at_least(means, SIZES, verdict.interval[0] + 1e-6 if verdict.interval else 0.0, power=power).outcome \
        is INCONCLUSIVE  # fmt: skip


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_four_standard_errors(power: float) -> None:
    """A mean at 3.9 standard errors makes the slope unclear, and is named; at 4.1 it does not."""
    noise = np.where(np.arange(400) % 2 == 0, 1.0, -1.0)[:, None]
    error = math.sqrt(1 / 399)  # of its mean
    for ratio, unclear in ((3.9, True), (4.1, False)):
        spread = np.array([0.0, 1.0 / (ratio * error), 0.0, 0.0])
        values = np.array(SIZES) ** (3 / power) * (1.0 + spread * noise)
        verdict = order_at_least(Moments.of(values).estimates(), SIZES, 2.0, power=power)
        assert (verdict.outcome is INCONCLUSIVE) == unclear
        assert ("cannot be read off: at ε = 0.025 the mean is within 4 standard errors" in verdict.reason) == unclear


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_rounding_holds(power: float) -> None:
    """Where no size exceeds it; one that does is judged as any other, here as noise around zero."""
    r = 1e-15 * np.random.default_rng(0).standard_normal((300, 4))
    values = r if power == 1.0 else r**2
    means = Moments.of(values).estimates()
    largest = max(abs(m.value) ** power for m in means)
    verdict = order_at_least(means, SIZES, 2.5, power=power, rounding=1.01 * largest)
    assert verdict.outcome is HOLDS
    assert "the remainder is rounding" in verdict.reason
    assert order_at_least(means, SIZES, 2.5, power=power, rounding=0.99 * largest).outcome is not HOLDS
    assert order_at_least(Moments.of(np.zeros((9, 4))).estimates(), SIZES, 2.5, power=power).outcome is HOLDS


def test_zero_beside_something_is_not_a_slope() -> None:
    """A mean of exactly zero has no logarithm: it is named among the unclear ones."""
    values = np.array(SIZES) ** 3 * np.ones((9, 1))
    values[:, 1] = 0.0
    verdict = order_at_least(Moments.of(values).estimates(), SIZES, 2.5)
    assert verdict.outcome is INCONCLUSIVE
    assert "ε = 0.025" in verdict.reason


# --- curvature -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("size", [1e-4, 0.1, 3.0])
@pytest.mark.parametrize(
    ("reach", "passes"),
    [(0.0, True), (0.05, True), (0.12, True), (0.2, False), (1.0, False), (-0.1, True), (-0.2, False)],
)
def test_curvature_of_known_remainders(order: int, size: float, reach: float, passes: bool) -> None:
    """RMS remainders C ε^order (1 + a ε) up to a ε = `reach`: the largest slope is off by about ¾ of the reach.

    By hand: between ε/2 and ε the slope is order + log₂((1 + aε) / (1 + aε/2)), and it tends to the order.
    """
    eps = size * np.array([0.125, 0.25, 0.5, 1.0])
    squares = (7.0 * eps**order * (1.0 + reach * eps / size)) ** 2
    off = abs(math.log2((1 + reach) / (1 + reach / 2)))
    found = curvature(squares, eps)
    assert found == pytest.approx(off, abs=0.02 * max(off, 1e-9) + 0.2 * off**2 + 1e-9)
    assert (found <= CURVED) == passes
    np.testing.assert_allclose(
        local_slopes(squares, eps), order + np.diff(np.log2(1.0 + reach * eps / size)), rtol=1e-9
    )


def test_curvature_looks_at_every_slope() -> None:
    """A bend between the smallest sizes counts as much as one at the largest."""
    straight = np.array(SIZES) ** 6
    for k in range(4):
        bent = straight.copy()
        bent[k] *= 2.0
        assert curvature(bent, SIZES) > CURVED
    assert curvature(straight, SIZES) < 1e-9


# --- sizes -----------------------------------------------------------------------------------------------------------


def test_floors() -> None:
    """10 times the cube root of the rounding: 6.1e-05 and .049."""
    assert size_floor(float(F64)) == pytest.approx(6.06e-5, rel=1e-2)
    assert size_floor(float(F32)) == pytest.approx(0.0492, rel=1e-2)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0.1, 0.2), r"sizes must hold at least 3 numbers, got \(0.1, 0.2\)"),
        (0.1, "sizes must hold at least 3 numbers, got 0.1"),
        ((), "at least 3 numbers"),
        ((0.1, 0.1, 0.2), "must differ by a factor of at least 1.2"),
        ((0.2, 0.1, 0.11), "must differ by a factor of at least 1.2"),
        ((0.1, 0.2, 0.0), "sizes must be above zero, got 0.0"),
        ((0.1, 0.2, -0.4), "sizes must be above zero, got -0.4"),
        ((0.1, 0.2, math.nan), "sizes must be a finite number, got nan"),
        ((0.1, 0.2, math.inf), "sizes must be a finite number, got inf"),
        ((0.1, 0.2, "a"), "sizes must be a finite number, got 'a'"),
        ((5e-5, 0.1, 0.2), r"sizes begin at 5e-05, where rounding in torch.float64 dominates .* at least 6\.\d+e-05\."),
    ],
)
def test_sizes_that_are_refused(sizes: object, message: str) -> None:
    """Too few, equal, not positive, not numbers, or below the floor; the reason says what would do."""
    with pytest.raises(InvalidArgument, match=message):
        check_sizes(sizes, size_floor(float(F64)), "torch.float64")  # type: ignore[arg-type]


def test_single_precision_is_refused_with_a_remedy() -> None:
    """.04 is too small for float32; the message names its floor and that of float64, where the same sizes do."""
    with pytest.raises(InvalidArgument, match=r"torch.float32 dominates .* at least 0.049\d*, or float64 .* 6.1e-05\."):
        check_sizes((0.04, 0.08, 0.16), size_floor(float(F32)), "torch.float32")
    assert check_sizes((0.16, 0.04, 0.08), size_floor(float(F64)), "torch.float64") == (0.04, 0.08, 0.16)
    assert check_sizes((0.05, 0.1, 0.2), size_floor(float(F32)), "torch.float32") == (0.05, 0.1, 0.2)


@pytest.mark.parametrize(("digits", "dtype"), [(F32, "torch.float32"), (F64, "torch.float64")])
def test_the_size_that_is_named_is_accepted(digits: float, dtype: str) -> None:
    """Who follows the message is not refused again."""
    floor = size_floor(float(digits))
    with pytest.raises(InvalidArgument) as caught:
        check_sizes((0.5 * floor, 0.2, 0.4), floor, dtype)
    found = re.search(r"at least ([0-9.e-]+[0-9])", str(caught.value))
    assert found is not None
    named = float(found.group(1))
    assert check_sizes((named, 0.2, 0.4), floor, dtype)[0] == named


def test_other_containers() -> None:
    """A list, an array, and whole numbers."""
    floor = size_floor(float(F64))
    assert check_sizes([4, 1, 2], floor, "torch.float64") == (1.0, 2.0, 4.0)
    assert check_sizes(np.array([0.4, 0.1, 0.2]), floor, "torch.float64") == (0.1, 0.2, 0.4)
