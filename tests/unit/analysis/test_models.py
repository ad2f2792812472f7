"""Claims about trained models: judged on made-up records, where the answer is known; no judge sees what is expected."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from trainings import Content, made, outcomes

from analysis.growth import AT_MOST, MORE
from analysis.models import MODELS, RECORDS
from analysis.models.arms import PerturbedArms
from analysis.models.baselines import BeatsBaselines
from analysis.models.e1 import Regularises
from analysis.models.e1b import Robust
from analysis.models.e2 import ABOVE, Compounds
from analysis.models.e3 import Withstands
from analysis.models.e6 import LongHorizon
from analysis.models.quick import AGAIN, Reproduces
from analysis.models.reading import of_arm
from analysis.models.setting import ARMS, PILOT, SEEDS, TASKS, cell, seeds, small
from figures.models.table import learned_tables
from sdewm import Outcome
from sdewm.claims import Claim, judge
from sdewm.claims.tasks import Task
from sdewm.run import Record, Store

HOLDS, VIOLATED, INCONCLUSIVE = Outcome.HOLDS, Outcome.VIOLATED, Outcome.INCONCLUSIVE


HARMFUL = "drift in training"


def spread(seed: int, width: float) -> float:
    """Something that differs between seeds, with mean zero over ten of them."""
    return width * (seed - 4.5) / 4.5


@pytest.mark.parametrize(
    ("ratio", "width", "expected"),
    [(0.7, 0.02, HOLDS), (0.95, 0.02, VIOLATED), (1.4, 0.02, VIOLATED), (0.8, 0.9, INCONCLUSIVE)],
)
def test_a_jacobian_norm_that_falls_by_a_tenth(ratio: float, width: float, expected: Outcome) -> None:
    """Seeds differ by far more than the effect: what decides is the pair, also in the control, where it must fall."""

    def of_arm_that_falls(falling: str) -> Content:
        def content(arm: str, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
            wobble = ratio * np.exp(spread((seed * 7) % 10, width)) if arm == falling else 1.0
            return {"jacobian": {"frobenius, whitened": 10.0 * np.exp(spread(seed, 1.0)) * wobble}}, {}

        return content

    claim, case = Regularises(), TASKS[0]
    assert claim.judge(case, made(claim, case, of_arm_that_falls(claim.pair[1]))).outcome is expected
    control = claim.control()
    assert control.judge(case, made(control, case, of_arm_that_falls(claim.known[1]))).outcome is expected
    assert control.judge(case, made(control, case, of_arm_that_falls(claim.pair[1]))).outcome is VIOLATED
    assert control.control() == claim


@pytest.mark.parametrize(("ratio", "expected"), [(0.8, HOLDS), (1.0, VIOLATED), (1.5, VIOLATED)])
def test_an_error_that_falls_by_a_twentieth(ratio: float, expected: Outcome) -> None:
    def content(arm: str, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
        error = np.full(100, 0.3 * np.exp(spread(seed, 0.5)))
        # The horizon that is asked for is read, and no other.
        error[49] *= ratio * np.exp(spread((seed * 3) % 10, 0.02)) if arm == LongHorizon.pair[1] else 1.0
        error *= 1.5 * np.exp(spread((seed * 3) % 10, 0.02)) if arm == HARMFUL else 1.0
        return {}, {"horizon/RSSM": error**2}

    claim, control = LongHorizon(), LongHorizon().control()
    assert claim.judge("50 steps ahead", made(claim, "50 steps ahead", content)).outcome is expected
    assert claim.judge("25 steps ahead", made(claim, "25 steps ahead", content)).outcome is VIOLATED
    assert control.judge("50 steps ahead", made(control, "50 steps ahead", content)).outcome is HOLDS
    assert control.control() == claim


@pytest.mark.parametrize(
    ("zero_power", "drift_power", "expected"),
    [
        (0.3, 1.2, {AT_MOST: HOLDS, MORE: HOLDS, ABOVE: HOLDS}),
        (0.7, 0.8, {AT_MOST: VIOLATED, MORE: VIOLATED, ABOVE: HOLDS}),
        # Mere scaling, with the laws of plain addition up to a spread, decides nothing but (c).
        (0.5, 1.0, {AT_MOST: INCONCLUSIVE, MORE: INCONCLUSIVE, ABOVE: HOLDS}),
    ],
)
def test_growth_against_the_laws_of_addition(
    zero_power: float, drift_power: float, expected: dict[str, Outcome]
) -> None:
    steps = np.arange(1, 51)

    def content(arm: str, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
        wobble = 1.0 + 0.02 * spread(seed, 1.0) * np.log(steps)
        return {}, {
            "growth/zero drift/z/0.1": 0.1 * steps**zero_power * wobble,
            "growth/drift/z/0.1": 0.1 * steps**drift_power * wobble,
        }

    for case, outcome in expected.items():
        first, control = outcomes(Compounds(), case, content)
        assert first is outcome
        if outcome is HOLDS:
            assert control is VIOLATED


def test_a_model_has_to_beat_the_best_baseline_and_not_just_one() -> None:
    def with_error(error: float) -> Content:
        def content(arm: str, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
            squares = {"mean": 1.0, "persistence": 1.8, "ridge": 0.49}
            arrays = {f"horizon/{name}": np.full(100, value) for name, value in squares.items()}
            return {}, {**arrays, "horizon/RSSM": np.full(100, error**2 * np.exp(spread(seed, 0.1)))}

        return content

    case = f"RSSM, {TASKS[0]}"
    assert outcomes(BeatsBaselines(), case, with_error(0.4)) == (HOLDS, VIOLATED)
    assert outcomes(BeatsBaselines(), case, with_error(0.85)) == (VIOLATED, VIOLATED)
    assert outcomes(BeatsBaselines(), case, with_error(0.7))[0] is INCONCLUSIVE


@pytest.mark.parametrize("claim", [Regularises(), LongHorizon(), Compounds(), BeatsBaselines()], ids=lambda c: c.id)
def test_a_run_that_diverged_is_named_and_decides_nothing(claim: Claim) -> None:
    def content(arm: str, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
        return ({"diverged": "the loss is not finite"} if seed == 3 else {"jacobian": {}}), {}

    verdict = claim.judge(claim.cases[0], made(claim, claim.cases[0], content))
    assert verdict.outcome is INCONCLUSIVE
    assert "plain, seed 3" in verdict.reason
    missing = claim.judge(claim.cases[0], [])
    assert missing.outcome is INCONCLUSIVE


def test_a_shipped_model_is_held_against_its_own_record(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.models.quick.RECORDS", tmp_path)
    claim, store = Reproduces(), Store(tmp_path)

    def record(each: Any, error: float) -> Record:
        key = Task(claim, each, "standard").key
        return Record(key, {"diverged": None}, {"horizon/RSSM": np.full(100, error**2)})

    for seed in range(SEEDS):
        store.write(record(cell(TASKS[0], "RSSM", "plain", seed), 0.3 + 0.01 * seed))
        store.write(record(small(seed), 0.5 + 0.01 * seed))
    case = f"{TASKS[0]}, seed 0"

    def judged(error: float, which: str) -> tuple[Outcome, Outcome]:
        found = [record(small(0), error)]
        return claim.judge(which, found).outcome, claim.control().judge(which, found).outcome

    assert judged(0.3 * (1 + 1e-5), case) == (HOLDS, VIOLATED)
    assert judged(0.3 * 1.01, case)[0] is VIOLATED
    assert judged(0.55, AGAIN)[0] is HOLDS
    assert judged(0.9, AGAIN)[0] is VIOLATED
    assert judged(0.3, f"{TASKS[1]}, seed 0")[0] is INCONCLUSIVE


def test_arms_of_one_seed_differ_in_nothing_else_and_pilots_are_apart() -> None:
    plain = cell(TASKS[0], "RSSM", "plain", 3)
    for arm in ARMS:
        other = cell(TASKS[0], "RSSM", arm, 3)
        assert other.seed == plain.seed
        differing = {name for name in plain.settings if plain.settings[name] != other.settings[name]}
        longer = {"gradient steps"} if "longer" in ARMS[arm] else set()
        assert differing <= {"arm", "changes", "measured", *longer}
    assert max(seeds(1.0)) < PILOT
    assert len(seeds(1.0)) >= 10


@pytest.mark.parametrize("claim", [Robust(), Withstands()], ids=lambda claim: claim.id)
@pytest.mark.parametrize(
    ("ratio", "width", "expected"),
    [(0.9, 0.02, HOLDS), (0.98, 0.02, VIOLATED), (1.3, 0.1, VIOLATED), (0.95, 0.5, INCONCLUSIVE)],
)
def test_an_error_from_perturbed_observations_that_falls_by_a_twentieth(
    claim: PerturbedArms, ratio: float, width: float, expected: Outcome
) -> None:
    """Each kind is judged by its own numbers, at its middle strength."""
    for case, judged in PerturbedArms.strengths.items():

        def content(arm: str, seed: int, judged: str = judged) -> tuple[dict[str, Any], dict[str, Any]]:
            wobble = ratio * np.exp(spread((seed * 7) % 10, width)) if arm == claim.pair[1] else 1.0
            wobble = 0.6 * np.exp(spread((seed * 7) % 10, 0.02)) if arm == claim.known[1] else wobble
            error = np.exp(spread(seed, 1.0))
            others = [key for key in (*PerturbedArms.strengths.values(), "noise/1", "mass/2") if key != judged]
            return {"perturbed": {judged: {"25": error * wobble}, **{key: {"25": error} for key in others}}}, {}

        assert outcomes(claim, case, content) == (expected, HOLDS)


def test_small_models_are_not_taken_for_whole_ones() -> None:
    claim = BeatsBaselines()
    case = claim.cases[0]
    keys = [Task(claim, each, "standard").key for each in claim.cells(case, 1.0, 0, True)]
    records: Sequence[Record] = [Record(key, {"diverged": None}, {}) for key in keys]
    assert len(records) == 3 * SEEDS
    assert len(of_arm(records, TASKS[0], "RSSM", "plain")) == SEEDS


def test_categorical_models_are_in_the_tables_under_their_own_name() -> None:
    """Their arrays say "RSSM", since that is what the model calls itself."""
    sizes = {"whitened": {name: [1.0, 1.0, 1.0] for name in ("residual", "drift", "spread")}}
    sizes["whitened"]["transition"] = {n: [1.0, 1.0, 1.0] for n in ("1", "5", "10", "25", "50")}  # type: ignore[assignment]
    norms = ("frobenius, raw", "frobenius, whitened", "spectral, raw", "spectral, whitened")
    values = {
        "diverged": None,
        "jacobian": dict.fromkeys(norms, 1.0),
        "residuals": {"mean squares a coordinate, with intervals over episodes": sizes},
        "growth": {},
        "perturbed": {"noise/0.1": {"25": 0.75}},
    }
    errors = {"RSSM": 0.25, "mean": 1.0, "persistence": 4.0, "ridge": 0.81}
    arrays = {f"horizon/{name}": np.full(100, value) for name, value in errors.items()}
    arrays["lyapunov"] = np.zeros(3)
    keys = [Task(Regularises(), cell(TASKS[0], "categorical RSSM", "plain", seed), "standard").key for seed in range(3)]
    tables = learned_tables({"case": ({}, [Record(key, values, arrays) for key in keys])})
    for rows in tables.values():
        assert any("categorical RSSM" in row for row in rows) or len(rows) == 1
    first, perturbed, *_ = tables.values()
    assert ("pendulum-swingup", "categorical RSSM", "noise", "0.1", "1.50 [1.50 1.50]") in perturbed
    assert ("pendulum-swingup", "categorical RSSM", "observation", *("0.500 [0.500 0.500]",) * 5) in first


def test_what_is_open_is_said_to_be_open() -> None:
    expected = {row.claim.id: set(row.expected.values()) for row in MODELS}
    assert expected["L4"] == {HOLDS}
    for claim in ("E1a", "E1b", "E2", "E3", "E6"):
        assert expected[claim] == {None}


@pytest.mark.slow
def test_controls_on_record_come_out_the_other_way() -> None:
    """Where a claim is decided, its control decides against it; where it is not, the control is decided too."""
    opposite = {HOLDS.value: VIOLATED.value, VIOLATED.value: HOLDS.value}
    for line in judge(MODELS, Store(RECORDS)):
        found, control = line["verdict"]["outcome"], line["control"]["outcome"]
        assert control == opposite.get(found, control), line["claim"]
        assert control in opposite.values(), line["claim"]
