"""The claims about bounds: their numbers against closed forms, and judges that change with the record."""

import math

import numpy as np
import pytest
from alarm import assert_covers, assert_misses

from analysis.bounds.frobenius import DRIFTS, MAPS, SmallerNormSmallerError
from analysis.bounds.identity import TelescopingSum
from analysis.bounds.kreiss import LOWER, UPPER, Bracket, random_matrix
from analysis.bounds.linear_noise import LinearNoiseRatio, square_at
from analysis.bounds.value_gap import Values
from sdewm import Outcome
from sdewm.claims import Claim
from sdewm.run import Record
from sdewm.verdict import Grade


def records_of(claim: Claim, case: str, drawn: bool = False) -> list[Record]:
    """The records of one case, computed here."""
    found = []
    for cell in claim.cells(case, 0.25, 0, drawn):
        result = claim.compute(cell)
        found.append(Record({"settings": dict(cell.settings)}, dict(result.values), dict(result.arrays)))
    return found


def test_the_linear_form_is_off_by_order_two_in_every_system() -> None:
    claim = TelescopingSum()
    for record in records_of(claim, "linearised form"):
        rms = np.sqrt((record.arrays["residual"] ** 2).mean(1))
        slope = np.polyfit(np.log(record.key["settings"]["sizes"]), np.log(rms), 1)[0]
        assert slope == pytest.approx(2.0, abs=0.1)
    records = records_of(claim, "the identity")
    assert claim.judge("the identity", records).outcome is Outcome.HOLDS
    # One path that is off in the last digits but three is enough.
    records[1].arrays["residual"][0, 0] = 1e-11 * records[1].arrays["error"][0]
    assert claim.judge("the identity", records).outcome is Outcome.VIOLATED


def test_the_ratio_of_an_initial_error_is_the_closed_form() -> None:
    claim = LinearNoiseRatio()
    (record,) = records_of(claim, "initial error, T = 8", drawn=True)
    t = np.array(record.key["settings"]["horizons"])
    closed = 1.0 / np.sqrt(1.0 + 0.05**2 * (np.exp(2.0 * t) - 1.0))
    np.testing.assert_allclose(np.sqrt(record.arrays["square"]) / record.arrays["approximation"], closed, rtol=1e-7)
    assert claim.judge("initial error, T = 8", [record]).grade is Grade.CERTIFIED
    (swapped,) = records_of(claim.control(), "initial error, T = 1")
    assert float(swapped.arrays["approximation"][0]) == pytest.approx(0.05 * math.exp(0.5), rel=1e-7)


def test_the_approximation_of_a_diffusion_error_is_that_of_its_steps() -> None:
    (record,) = records_of(LinearNoiseRatio(), "diffusion error, T = 1")
    h, c = 1.0 / 32.0, 0.0
    for _ in range(32):
        c = (1.0 + h) ** 2 * c + h * 0.05**2
    assert float(record.arrays["approximation"][0]) == pytest.approx(c**0.5, rel=1e-10)
    # By the moment equations with E x⁴ = 3 C² the bend takes off 5.64 ε² = 1.4 % of the mean square.
    assert_covers(square_at(record, 0), c, slack=0.03 * c)
    assert_misses(square_at(record, 0), 1.2 * c)


def test_values_of_the_affine_loop_and_of_one_that_expands() -> None:
    claim = Values()
    case = claim.cases[0]
    (record,) = records_of(claim, case)
    discount = np.array(record.key["settings"]["discounts"])
    rest = 1.0 - 0.8 * discount
    exact = 0.1 / (1.0 - discount) + 0.45 / rest + 0.3 * discount / ((1.0 - discount) * rest)
    np.testing.assert_allclose(record.arrays["gap"], exact, rtol=1e-10)
    np.testing.assert_allclose(record.arrays["bound"], exact, rtol=1e-12)
    # Below the bound by a millionth is not attained, above it is no bound.
    for factor in (1.0 - 1e-6, 1.0 + 1e-6):
        changed = Record(record.key, {}, {**record.arrays, "gap": record.arrays["gap"] * factor})
        assert claim.judge(case, [changed]).outcome is Outcome.VIOLATED
    refused = claim.judge(claim.cases[3], records_of(claim, claim.cases[3], drawn=True))
    assert refused.outcome is Outcome.HYPOTHESIS_FAILS
    assert refused.grade is Grade.CERTIFIED
    assert "1.008" in refused.reason


def test_chains_are_below_the_bound_but_not_far() -> None:
    claim = Values()
    for case in claim.cases[1:3]:
        (record,) = records_of(claim, case)
        ratio = record.arrays["gap"] / record.arrays["bound"]
        assert len(ratio) == 100
        assert ratio.max() <= 1.0
        assert np.median(ratio) > 0.5


def test_errors_of_the_two_pairs() -> None:
    claim = SmallerNormSmallerError()
    (drifts,), (maps,) = records_of(claim, DRIFTS), records_of(claim, MAPS)
    h = 4.0 / 128
    np.testing.assert_allclose(drifts.arrays["error"], [0.05 * (1.0 - (1.0 - 2.0 * h) ** 128) / 2.0, 0.05 * 4.0])
    np.testing.assert_allclose(maps.arrays["error"], [0.0, 0.05 * 0.9**8], atol=1e-15)
    np.testing.assert_allclose(maps.arrays["Frobenius norm"], [2.0, 0.9 * 2.0**0.5])
    # The control judges the very same cells.
    for case in claim.cases:
        assert claim.cells(case, 1.0, 0, False) == claim.control().cells(case, 1.0, 0, False)


def test_a_bracket_that_is_not_known_well_enough_is_inconclusive() -> None:
    claim = Bracket()
    rows = np.array([[2.0, 1.0, 3.0, 2.0, 4.0]])  # n, K from below and above, growth from below and above
    record = Record({"settings": {}}, {}, {"rows": rows})
    assert claim.judge(LOWER, [record]).outcome is Outcome.INCONCLUSIVE
    assert claim.judge(UPPER, [record]).outcome is Outcome.HOLDS
    assert claim.control().judge(LOWER, [record]).outcome is Outcome.VIOLATED
    one = Record({"settings": {}}, {}, {"rows": np.array([[2.0, 1.0, 1.1, 2.0, 2.1], [2.0, 3.0, 3.1, 2.0, 2.1]])})
    assert claim.judge(LOWER, [one]).outcome is Outcome.VIOLATED
    assert np.linalg.eigvals(random_matrix(np.random.default_rng(0), 6)).real.max() < 0.0
