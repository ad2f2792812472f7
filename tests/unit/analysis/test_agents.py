"""Claims about agents: judged on made-up records, where the answer is known; no judge sees what is expected."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trainings import Content, made, outcomes

from analysis.agents import AGENTS, RECORDS
from analysis.agents.e1 import STRENGTHS, ZeroDriftHelps
from analysis.agents.e2 import ACTED, COSTS, Compounds
from analysis.agents.e3 import PenaltyHelps
from analysis.agents.e4 import ERROR, RETURN, PenaltyStabilises
from analysis.agents.e5 import PenaltySpeeds
from analysis.agents.e6 import HORIZONS, PenaltyPredicts
from analysis.agents.measure import compute, evaluations
from analysis.agents.quick import AGAIN, PLAYED, SHIPPED, PlaysAgain
from analysis.agents.reading import of_arm
from analysis.agents.setting import ARMS, ELSEWHERE, MORE_ARMS, PILOT, SEEDS, cell, seeds, small
from analysis.agents.solves import Solves
from analysis.arms import PairedArms
from analysis.growth import AT_MOST, MORE
from figures.agents import FIGURES
from figures.agents.table import agent_tables
from sdewm import Outcome
from sdewm.claims import Cell, judge
from sdewm.claims.tasks import Task
from sdewm.run import Record, Store

HOLDS, VIOLATED, INCONCLUSIVE = Outcome.HOLDS, Outcome.VIOLATED, Outcome.INCONCLUSIVE
GAINS = [(120.0, 5.0, HOLDS), (20.0, 5.0, VIOLATED), (-200.0, 5.0, VIOLATED), (60.0, 200.0, INCONCLUSIVE)]
RATIOS = [(0.8, 0.02, HOLDS), (0.99, 0.02, VIOLATED), (1.5, 0.02, VIOLATED), (0.9, 0.6, INCONCLUSIVE)]
# By how much the known pair differs: what does harm has to be found out in every claim.
HARM, WORSE = -300.0, 1.6


def wobble(seed: int, width: float) -> float:
    """Something that differs between seeds, with mean zero over five of them, and is not in their order."""
    return width * ((seed * 2) % 5 - 2.0) / 2.0


def returns(claim: PairedArms, key: str, gain: float, width: float) -> Content:
    """Seeds differ by far more than arms do: what decides is the pair."""

    def content(arm: str, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
        own = 500.0 + wobble(seed + 1, 300.0)
        tried = type(claim).pair[1]
        level = own + (HARM if arm == "large drift in training" else 0.0)
        level += gain + wobble(seed, width) if arm == tried else 0.0
        others = {name: [own, own] for name in evaluations()}
        return {"returns": {**others, key: [level - 1.0, level + 1.0]}}, {"curve": [level - 1.0, level + 1.0]}

    return content


def errors(claim: PairedArms, steps: int, ratio: float, width: float) -> Content:
    def content(arm: str, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
        own = np.full(100, np.exp(wobble(seed + 1, 1.0)))
        if arm == type(claim).pair[1]:
            own[steps - 1] *= (ratio * np.exp(wobble(seed, width))) ** 2
        if arm == "large drift in training":
            own[steps - 1] *= WORSE**2
        return {}, {"open loop/own": own}

    return content


@pytest.mark.parametrize("claim", [ZeroDriftHelps(), PenaltyHelps()], ids=lambda claim: claim.id)
@pytest.mark.parametrize(("gain", "width", "expected"), GAINS)
def test_returns_on_perturbed_observations(claim: PairedArms, gain: float, width: float, expected: Outcome) -> None:
    for case, key in STRENGTHS.items():
        assert outcomes(claim, case, returns(claim, key, gain, width)) == (expected, HOLDS)


@pytest.mark.parametrize(("gain", "width", "expected"), GAINS)
def test_returns_and_learning_curves(gain: float, width: float, expected: Outcome) -> None:
    under = PenaltyStabilises()
    assert outcomes(under, RETURN, returns(under, "clean", gain, width)) == (expected, HOLDS)
    speed = PenaltySpeeds()
    assert outcomes(speed, speed.cases[0], returns(speed, "clean", gain, width)) == (expected, HOLDS)


@pytest.mark.parametrize(("ratio", "width", "expected"), RATIOS)
def test_open_loop_errors(ratio: float, width: float, expected: Outcome) -> None:
    under = PenaltyStabilises()
    assert outcomes(under, ERROR, errors(under, 25, ratio, width)) == (expected, HOLDS)
    predicts = PenaltyPredicts()
    for steps, case in zip(HORIZONS, predicts.cases, strict=True):
        assert outcomes(predicts, case, errors(predicts, steps, ratio, width)) == (expected, HOLDS)


@pytest.mark.parametrize(
    ("powers", "cost", "expected"),
    [
        ((0.4, 1.2), 200.0, (HOLDS, HOLDS, HOLDS)),
        ((0.6, 0.9), -100.0, (VIOLATED, VIOLATED, VIOLATED)),
    ],
)
def test_growth_in_imagination_and_its_cost(
    powers: tuple[float, float], cost: float, expected: tuple[Outcome, ...]
) -> None:
    def content(arm: str, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
        n = np.arange(1, 51)
        slow, fast = (0.1 * n ** (power + wobble(seed, 0.01)) for power in powers)
        own = 700.0 + wobble(seed + 1, 100.0)
        kept = {f"zero drift/{ACTED:g}": [own], f"drift/{ACTED:g}": [own - cost + wobble(seed, 5.0)]}
        return {"returns": kept}, {"growth/zero drift": slow, "growth/drift": fast}

    claim = Compounds()
    for case, outcome in zip((AT_MOST, MORE, COSTS), expected, strict=True):
        found, control = outcomes(claim, case, content)
        assert found is outcome
        assert control is (VIOLATED if outcome is HOLDS else HOLDS)


@pytest.mark.parametrize(
    ("level", "width", "expected"), [(800, 50, HOLDS), (600, 50, VIOLATED), (720, 200, INCONCLUSIVE)]
)
def test_whether_the_task_is_learned(level: float, width: float, expected: Outcome) -> None:
    def content(arm: str, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
        own = level if arm == "plain" else 200.0
        return {"returns": {"clean": [own + wobble(seed, width)] * 2}}, {}

    claim = Solves()
    assert outcomes(claim, claim.cases[0], content) == (expected, VIOLATED)
    assert "over 5 agents" in claim.judge(claim.cases[0], made(claim, claim.cases[0], content)).reason


def test_a_run_that_diverged_is_named() -> None:
    claim = PenaltySpeeds()
    content = returns(claim, "clean", 100.0, 1.0)
    records = made(claim, claim.cases[0], content)
    lost = records[3]
    records[3] = Record(lost.key, {"diverged": "step 3"}, {})
    verdict = claim.judge(claim.cases[0], records)
    assert verdict.outcome is INCONCLUSIVE
    assert f"diverged: plain, seed {lost.key['seed']}" in verdict.reason


def test_arms_differ_in_what_their_names_say() -> None:
    plain = cell("plain", 3)
    for arm in (*ARMS, *MORE_ARMS):
        other = cell(arm, 3)
        assert other.seed == plain.seed
        differing = {name for name in plain.settings if plain.settings[name] != other.settings[name]}
        assert differing <= {"arm", "changes", *(("measured",) if "pixels" in arm else ())}
    assert max(seeds(8.0)) < PILOT
    assert len(seeds(1.0)) == SEEDS
    assert "returns" not in small(0).settings["measured"]


def test_the_full_budget_has_more_arms_images_and_another_task_which_no_claim_judges() -> None:
    claim = PenaltyHelps()
    standard, full = (claim.cells("noise", scale, 0, True) for scale in (1.0, 8.0))
    assert {each.settings["arm"] for each in standard} == set(ARMS)
    assert {each.settings["arm"] for each in full} == {*ARMS, *MORE_ARMS}
    assert {each.settings["task"] for each in full} == {"cartpole-swingup", *ELSEWHERE}
    (images,) = (each for each in full if each.settings["arm"] == "plain, pixels" and each.seed == 0)
    assert images.settings["changes"] == {"pixels": 32}
    records = [Record(Task(claim, each, "full").key, {"diverged": None}, {}) for each in full]
    judged = of_arm(records, "plain")
    assert sorted(judged) == list(seeds(8.0))
    assert all(record.key["settings"]["task"] == "cartpole-swingup" for record in judged.values())


@pytest.mark.slow
def test_another_task_is_trained_and_measured_by_the_same_code() -> None:
    pytest.importorskip("dm_control")
    hardly = {"training": {"prefill": 1, "train_ratio": 0.5}}
    whole = cell("plain", 0, task="walker-walk", changed=hardly, steps=2000)
    found = compute(replace(whole, settings={**whole.settings, "episodes": 1}))
    assert found.values["diverged"] is None
    assert set(found.values["returns"]) == set(evaluations())
    assert set(found.values["jacobian"]) >= {"frobenius, raw", "frobenius, whitened", "spectral, whitened"}
    lengths = {name: len(array) for name, array in found.arrays.items()}
    assert lengths["curve"] == 2
    assert lengths["open loop/own"] == lengths["open loop/random"] == 100
    assert lengths["growth/drift"] == 50


def test_what_is_open_is_said_to_be_open_and_every_claim_has_a_figure() -> None:
    assert {outcome for row in AGENTS for outcome in row.expected.values()} == {None}
    assert set(FIGURES) == {row.claim.id for row in AGENTS}


def test_figures_and_tables_show_what_is_on_record() -> None:
    def content(arm: str, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
        own = 600.0 + 10.0 * list(ARMS).index(arm) + wobble(seed, 50.0)
        n = np.arange(1, 51)
        arrays = {
            "curve": np.linspace(0.0, own, 60),
            "growth/zero drift": 0.1 * n**0.5 * np.exp(wobble(seed, 0.1)),
            "growth/drift": 0.1 * n * np.exp(wobble(seed, 0.1)),
            "open loop/own": np.linspace(0.01, 0.5, 100) * np.exp(wobble(seed, 0.1)),
            "open loop/random": np.linspace(0.01, 0.4, 100) * np.exp(wobble(seed, 0.1)),
        }
        norms = dict.fromkeys(("frobenius, raw", "frobenius, whitened", "spectral, whitened"), 3.0)
        return {"returns": {key: [own - 5.0, own + 5.0] for key in evaluations()}, "jacobian": norms}, arrays

    for row in AGENTS:
        claim = row.claim
        cases = {case: ({}, made(claim, case, content, drawn=True)) for case in claim.cases}
        drawing = FIGURES[claim.id](cases)
        assert drawing.caption
        assert drawing.data
    records = made(PenaltyHelps(), "noise", content, drawn=True)
    records[1] = Record(records[1].key, {"diverged": "step 3"}, {})
    tables = agent_tables({"case": ({}, records)})
    head, first, *_ = tables["cartpole-swingup: return, mean over seeds [95 % interval] (seeds)"]
    assert head == ("perturbation", "strength", *ARMS)
    assert first[:2] == ("clean", "0")
    assert first[2].startswith("600 [")
    assert first[2].endswith("(4)")
    *_, norms, lost = tables["cartpole-swingup: training, open-loop errors, Jacobian of the prior map"]
    assert norms == ("Jacobian, spectral, whitened", "1", *(f"3.00 [3.00 3.00] ({n})" for n in (4, *[5] * 6)))
    assert lost == ("runs that left the numbers", "", "1 of 5", *("0 of 5",) * 6)


# Five pairs are too few for these: agents that learned little differ widely under rotations of this strength, errors of
# seeds differ most 100 ahead, and the last mirrors a case that is inconclusive itself. Whatever these cases say, the
# report does not count it as decided.
WITHOUT_POWER = {
    ("E1-agent", "rotation"),
    ("E3-agent", "rotation"),
    ("E6-agent", "100 actions ahead"),
    ("E2-agent", COSTS),
}


def test_controls_on_record_come_out_the_other_way_but_for_those_that_are_known_to_have_no_power() -> None:
    opposite = {HOLDS.value: VIOLATED.value, VIOLATED.value: HOLDS.value}
    for line in judge(AGENTS, Store(RECORDS)):
        found, control = line["verdict"]["outcome"], line["control"]["outcome"]
        if (line["claim"], line["case"]) in WITHOUT_POWER:
            assert control == INCONCLUSIVE.value
        else:
            assert control == opposite.get(found, control), (line["claim"], line["case"])
            assert control in opposite.values(), (line["claim"], line["case"])


def test_a_shipped_agent_is_held_against_its_own_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.agents.quick.RECORDS", tmp_path)
    claim, store = PlaysAgain(), Store(tmp_path)

    def record(each: Cell, level: float, error: float = 0.1) -> Record:
        values = {"diverged": None, "returns": {key: [level, level] for key in PLAYED}}
        return Record(Task(claim, each, "standard").key, values, {"open loop/random": np.full(100, error**2)})

    for number, (arm, seed) in enumerate(SHIPPED.values()):
        store.write(record(cell(arm, seed), 700.0 + 60.0 * number))
    for seed in range(SEEDS):
        store.write(record(small(seed), 200.0, 0.1 * np.exp(wobble(seed, 0.2))))
    case = next(iter(SHIPPED))

    def judged(which: str, level: float, error: float = 0.1) -> tuple[Outcome, Outcome]:
        found = [record(small(0), level, error)]
        return claim.judge(which, found).outcome, claim.control().judge(which, found).outcome

    assert judged(case, 703.0) == (HOLDS, VIOLATED)
    assert judged(case, 730.0)[0] is VIOLATED
    assert judged(AGAIN, 0.0, 0.12)[0] is HOLDS
    assert judged(AGAIN, 0.0, 0.9)[0] is VIOLATED
    assert claim.control().cells(AGAIN, 1.0, 0, True)[0].settings["changes"]
    assert not claim.cells(AGAIN, 1.0, 0, True)[0].settings["changes"]
