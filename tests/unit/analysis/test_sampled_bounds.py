"""The claims about bounds whose sides are estimated: their limits against exact numbers, and judges that can change."""

import math
from dataclasses import replace

import numpy as np
import pytest
from alarm import FALSE_ALARM, spend
from scipy.integrate import quad
from scipy.special import i0e, i1e
from scipy.stats import binomtest, norm

from analysis.bounds.expected_sup import FORMS, GAIN, GAINS, MULTIPLE, NOISE, ConstantRescues
from analysis.bounds.gaussian import DISTANCES, NETWORK, NOISY, PLANE, SCALAR, Quantiles, limits
from analysis.bounds.limits import mean_limits
from analysis.bounds.random_jacobian import BOUND, LINEAR, WELL, WRONG, RandomJacobian
from analysis.bounds.random_jacobian import NETWORK as TANH
from sdewm import Outcome
from sdewm.claims import Claim
from sdewm.run import Record
from sdewm.verdict import Grade


def record_of(claim: Claim, case: str, drawn: bool = False, level: float = 0.999) -> Record:
    """The one record of a case, computed here; all its limits hold together at the level."""
    (cell,) = claim.cells(case, 0.25, 0, drawn)
    cell = replace(cell, settings={**cell.settings, "level": level})
    result = claim.compute(cell)
    return Record({"settings": dict(cell.settings)}, dict(result.values), dict(result.arrays))


def changed(record: Record, **arrays: np.ndarray) -> Record:
    return Record(record.key, record.values, {**record.arrays, **{k.replace("_", " "): v for k, v in arrays.items()}})


def rice(s: float) -> float:
    """E |(1 + sξ, sη)|, Rice's mean."""
    a = 0.25 / s**2
    return s * math.sqrt(0.5 * math.pi) * ((1.0 + 2.0 * a) * i0e(a) + 2.0 * a * i1e(a))


def test_rices_mean_is_the_integral() -> None:
    # Averaged over its angle about a point at distance one, by the density of the radius.
    for s in (0.1, 0.5, 1.0):
        end = 1.0 + 12.0 * s
        found = quad(_weighted_density, 0.0, end, args=(s,), points=[1.0], limit=200)[0]
        assert found == pytest.approx(rice(s), rel=1e-9)


def _weighted_density(r: float, s: float) -> float:
    return float(r**2 / s**2 * math.exp(-((r - 1.0) ** 2) / (2.0 * s**2)) * i0e(r / s**2))


@pytest.mark.slow
def test_the_frozen_gain_and_its_closed_form() -> None:
    record = record_of(ConstantRescues(), GAIN, drawn=True, level=1.0 - FALSE_ALARM)
    ratio = (record.arrays["closed truth"] - record.arrays[f"closed {FORMS[0]}"])[:, 0]
    np.testing.assert_allclose(ratio, [0.12, 1.35, 4.61, 11.9, 27.2], rtol=0.01, atol=0.005)
    # In Euler's steps a path of gain M grows by 1 + hM. One share of the level for each of 10 limits, and here are 15.
    spend(1.5 * FALSE_ALARM)
    for k, m in enumerate(GAINS):
        grown = (1.0 + m / 32.0) ** 32
        exact = {
            "truth": math.log1p((grown - 1.0) / m),
            FORMS[0]: math.log(math.e + 1.0),
            FORMS[1]: 0.5 * math.log1p((grown**2 - 1.0) / m),
        }
        for name, value in exact.items():
            low, high = record.arrays[name][k]
            assert low < value < high, (name, m)
            # Not so wide that the next member would pass: of the truth it is off by a unit and more.
            assert high - low < 0.25 * m if name == "truth" else high - low < 3.0, (name, m)


def test_rotational_noise_and_its_closed_form() -> None:
    record = record_of(ConstantRescues(), NOISE, level=1.0 - FALSE_ALARM)
    b, n = record.arrays["member"], record.key["settings"]["steps"]
    np.testing.assert_allclose(record.arrays["closed truth"][:, 0], 0.5 * b**2)
    np.testing.assert_allclose(record.arrays[FORMS[0]][:, 0], np.log1p(np.exp(2.0 * b)))
    np.testing.assert_allclose(record.arrays[FORMS[1]][:, 1], 0.5 * n * np.log1p(2.0 * b**2 / n))
    np.testing.assert_allclose(record.arrays[f"closed {FORMS[1]}"][:, 0], b**2)
    spend()
    for strength, (low, high) in zip(b, record.arrays["truth"], strict=True):
        assert low < n * math.log(rice(strength * n**-0.5)) < high
        assert high - low < 7.0


def test_growth_is_asked_for_between_all_members() -> None:
    claim = ConstantRescues()
    record = record_of(claim, GAIN)
    assert claim.judge(GAIN, [record]).outcome is Outcome.VIOLATED
    assert claim.judge(GAIN, [record]).grade is Grade.CERTIFIED
    # A family that stops growing at its last member but one, or that is below C = 1 throughout.
    truth = record.arrays["truth"].copy()
    truth[-1] = truth[-2]
    assert claim.judge(GAIN, [changed(record, truth=truth)]).outcome is Outcome.INCONCLUSIVE
    low = record.arrays["truth"] - record.arrays["truth"][:, 1:] - 1.0
    assert claim.judge(GAIN, [changed(record, truth=low)]).outcome is Outcome.HOLDS
    # It grows, but nowhere above what C = 1 allows by more than its limits.
    wide = record.arrays["truth"] - np.array([40.0, 0.0])
    assert claim.judge(GAIN, [changed(record, truth=wide)]).outcome is Outcome.INCONCLUSIVE
    # e^{cb} with some c is not refuted by a truth of that kind, however large c is.
    b = np.array([2.0, 6.0, 10.0, 14.0])
    closed = {"member": b, f"closed {FORMS[0]}": np.stack(2 * [np.log1p(np.exp(2.0 * b))], 1)}
    for truth, outcome in ((9.0 * b, Outcome.INCONCLUSIVE), (0.5 * b**2, Outcome.VIOLATED)):
        line = Record({}, {}, {**closed, "closed truth": np.stack((truth, truth), 1)})
        assert claim.judge(MULTIPLE, [line]).outcome is outcome


@pytest.mark.slow
def test_both_sides_in_the_linear_system_are_exact() -> None:
    record = record_of(RandomJacobian(), LINEAR, drawn=True, level=1.0 - FALSE_ALARM)
    s = record.key["settings"]
    h, n = s["T"] / s["steps"], s["steps"]
    square, noise = (1.0 - 0.5 * h) ** 2, 2.0 * h * 0.35**2
    spend()
    # |e|² grows by this factor in each step, in the mean; |e| by Rice's, about a mean of length 1 − h/2.
    mean = 0.25 * (square + noise) ** n
    step = rice(0.35 * h**0.5 / (1.0 - 0.5 * h)) * (1.0 - 0.5 * h)
    for name, exact in (("error 2", mean), ("error 1", 0.5 * step**n)):
        low, high = record.arrays[name][-1]
        assert low < exact < high
        # Narrow enough to tell p = 2 from its bound, which is 2.7 times as large.
        assert low > 0.75 * exact
        assert high < 1.5 * exact
    smaller = {f"error_{p}": 0.5 * record.arrays[f"error {p}"] for p in (1, 2)}
    assert RandomJacobian().judge(LINEAR, [changed(record, **smaller)]).grade is Grade.CERTIFIED
    np.testing.assert_allclose(record.arrays[f"mean {BOUND} 1"][-1], math.sqrt(mean), rtol=1e-9)
    fourth = (square**2 + 6.0 * square * noise + 3.0 * noise**2) ** (0.5 * n)
    np.testing.assert_allclose(record.arrays[f"mean {BOUND} 2"][-1], 0.25 * fourth, rtol=1e-9)
    np.testing.assert_allclose(record.arrays[f"mean {WRONG} 1"][-1], 0.5 * square ** (0.5 * n), rtol=1e-9)


def test_a_bound_within_the_limits_of_the_error_is_inconclusive() -> None:
    claim = RandomJacobian()
    record = record_of(claim, WELL)
    assert claim.judge(WELL, [record]).outcome is Outcome.HOLDS
    assert claim.judge(WELL, [record]).grade is Grade.ASYMPTOTIC
    assert "tamed" in " ".join(claim.judge(WELL, [record]).flags)
    inside = {f"{BOUND}_{p}": record.arrays[f"error {p}"] for p in (1, 2)}
    assert claim.judge(WELL, [changed(record, **inside)]).outcome is Outcome.INCONCLUSIVE
    # One power is enough to be violated, and not enough to hold.
    below = {f"{BOUND}_2": 0.5 * record.arrays["error 2"]}
    assert claim.judge(WELL, [changed(record, **below)]).outcome is Outcome.VIOLATED
    far = {f"{BOUND}_{p}": 1e3 * record.arrays["error 2"] for p in (1, 2)}
    assert any("vacuous" in flag for flag in claim.judge(WELL, [changed(record, **far)]).flags)


@pytest.mark.slow
def test_only_jacobians_between_the_paths_know_of_both_states() -> None:
    record = record_of(RandomJacobian(), TANH, drawn=True)
    right, wrong = (record.arrays[f"mean {form} 1"] for form in (BOUND, WRONG))
    error = record.arrays["mean error 1"]
    # The base contracts at about −1 + 2 tanh'(1.9) = −0.83, and the difference of the states stays.
    assert (right > error).all()
    assert np.polyfit(record.key["settings"]["times"], np.log(wrong), 1)[0] == pytest.approx(-0.83, abs=0.1)
    assert error[-1] > 0.95 * error[0]


def test_binomial_limits_are_those_of_clopper_and_pearson() -> None:
    counts = np.array([[0, 0], [3, 1], [50, 50], [100, 97], [100, 100]])
    low, high = limits(counts, 100, 0.01)
    for (above, beyond), a, b in zip(counts, low, high, strict=True):
        assert b == pytest.approx(binomtest(int(above), 100).proportion_ci(0.99, "exact").high)
        assert a == pytest.approx(binomtest(int(beyond), 100).proportion_ci(0.99, "exact").low)


@pytest.mark.parametrize("case", [SCALAR, PLANE])
def test_probabilities_of_a_normal_error(case: str) -> None:
    record = record_of(Quantiles(), case, drawn=True, level=1.0 - FALSE_ALARM)
    s, arrays = record.key["settings"], record.arrays
    h, n = s["T"] / s["steps"], s["steps"]
    # ‖I + hA‖² = (1 + h)² in one dimension, and with the rotation (1 + h)² + (3h)²; the error's steps are as large.
    square = (1.0 + h) ** 2 + (0.0 if case == SCALAR else 9.0 * h**2)
    sd = s["eps"] * math.sqrt(h * (square**n - 1.0) / (square - 1.0))
    assert arrays["scale, right"][0] == pytest.approx(sd, rel=1e-6)
    assert arrays["scale, no growth"][0] == pytest.approx(s["eps"] * math.sqrt(s["T"]), rel=1e-9)
    mean = sd * math.sqrt(2.0 / math.pi if case == SCALAR else 0.5 * math.pi)
    spend()
    assert arrays["mean"][0] < mean < arrays["mean"][2]
    low, high = limits(arrays["counts, right"], record.values["counted"], FALSE_ALARM / 7)
    for k, a, b in zip(DISTANCES, low, high, strict=True):
        beyond = mean / sd + k
        exact = 2.0 * norm.sf(beyond) if case == SCALAR else math.exp(-0.5 * beyond**2)
        assert a < exact < b
        assert exact < math.exp(-0.5 * k**2)


def test_noise_in_the_base_is_refused_and_drawn_all_the_same() -> None:
    claim = Quantiles()
    drawn = record_of(claim, NOISY, drawn=True)
    verdict = claim.judge(NOISY, [drawn])
    assert verdict.outcome is Outcome.HYPOTHESIS_FAILS
    assert "the base has noise" in verdict.reason
    assert "quantile" in drawn.arrays
    assert not record_of(claim, NOISY).arrays
    # What the statement would say is wrong far out, so that the refusal is needed.
    at = np.sqrt(-2.0 * np.log(drawn.arrays["probability"]))
    quantile = (drawn.arrays["quantile"] - drawn.arrays["mean"][1]) / drawn.arrays["scale, right"][0]
    assert (quantile > at)[at > 3.5].all()
    assert claim.control().judge(NOISY, [record_of(claim.control(), NOISY)]).outcome is Outcome.HOLDS


def test_a_probability_that_meets_its_border_is_inconclusive() -> None:
    claim = Quantiles()
    record = record_of(claim, NETWORK)
    n = record.values["counted"]
    assert claim.judge(NETWORK, [record]).grade is Grade.CERTIFIED
    counts = record.arrays["counts, right"].copy()
    counts[2] = round(n * math.exp(-0.5 * DISTANCES[2] ** 2))
    met = Record(record.key, record.values, {**record.arrays, "counts, right": counts})
    assert claim.judge(NETWORK, [met]).outcome is Outcome.INCONCLUSIVE
    counts[2] = round(1.2 * n * math.exp(-0.5 * DISTANCES[2] ** 2))
    assert claim.judge(NETWORK, [met]).outcome is Outcome.VIOLATED


def test_limits_on_a_mean_say_how_far_they_may_be_believed() -> None:
    values = np.random.default_rng(0).random(4096)
    spend(3 * FALSE_ALARM)
    for known, grade in (({}, Grade.ASYMPTOTIC), ({"largest": 1.0}, Grade.CERTIFIED), ({"variance": 1 / 12}, None)):
        found = mean_limits(values, FALSE_ALARM, **known)
        assert found.lower < 0.5 < found.upper < 0.56
        assert found.grade is (grade or Grade.CERTIFIED)
