"""The benchmark runs, and a wrong peer does not count. Its times are not looked at."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.goals import goal_lines, goals
from bench.harness import Job, disagreement, interleaved, merged, summary
from bench.problems import CUBIC
from bench.rows import row
from bench.scaling import fit

from sdewm.estimate import Moments

ROOT = Path(__file__).parents[2]
ROWS = {"pair, cubic", "pair, geometric", "variations", "network", "general noise", "wide", "antithetic"}
CURVES = {"paths", "steps", "dimension", "noise columns", "number of eps", "workers"}


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a smoke run writes."""
    out = tmp_path_factory.mktemp("bench") / "bench.json"
    command = [sys.executable, "-m", "tests.bench", "--smoke", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "to own" in done.stdout
    result: dict[str, Any] = json.loads(out.read_text())
    return result


@pytest.mark.slow
def test_a_smoke_run_has_every_row_and_its_own_engine_in_each(smoke: dict[str, Any]) -> None:
    assert smoke["schema"] == 1
    assert smoke["smoke"] is True
    assert {r["row"] for r in smoke["rows"]} == ROWS
    for one in smoke["rows"]:
        peers = {p["peer"]: p for p in one["peers"]}
        assert peers["sdewm, eager"]["status"] == peers["limit: normals"]["status"] == "ok"
        for peer in peers.values():
            assert peer["status"] in ("ok", "not installed", "left out"), peer
            if peer["status"] != "ok":
                assert peer["reason"]
                continue
            assert set(peer["ns"]) == set(peer["ratio_to_own"]) == {"min", "low", "median", "high", "max"}
            assert len(peer["cpu_seconds"]) == len(peer["wall_seconds"]) == one["rounds"]
            assert (peer["mean"] is None) == peer["peer"].startswith(("limit", "torch's floor"))


@pytest.mark.slow
def test_a_smoke_run_has_memory_workers_and_curves(smoke: dict[str, Any]) -> None:
    assert smoke["memory"]["runs"][0]["mib"] > 0
    assert smoke["workers"]["counts"] == [1]
    assert smoke["workers"]["machine_ratio_by_cpu"] == 1.0
    assert smoke["scale"]["equal"] is True
    assert list(smoke["scale"]["rows"]) == ["this process alone", "threads"]
    assert {c["curve"] for c in smoke["curves"]} == CURVES
    assert all(len(c["sizes"]) == len(c.get("cpu_seconds", c.get("wall_seconds"))) for c in smoke["curves"])


@pytest.mark.slow
def test_a_smoke_run_has_the_penalty_and_sets_all_beside_its_goals(smoke: dict[str, Any]) -> None:
    assert smoke["penalty"]["maps"]["gru"]["one probe"]["ratio, x plain"] > 0.0
    said = smoke["table"].split("Goals, ")[1]
    rows = ("pair, cubic", "pair, geometric", "variations", "network")
    for what in (*rows, "peak memory", "one probe", "closed form", "import sdewm"):
        assert what in said


@pytest.mark.parametrize(("ns", "word"), [(2.6, "reached"), (2.7, "missed")])
def test_a_goal_is_reached_or_missed_beside_what_bounds_it(ns: float, word: str) -> None:
    times = {"limit: normals": 2.0, "sdewm, compiled": ns, "torch's floor: products and sin, tanh too": 2.5}
    peers = [{"peer": name, "ns": {"min": value}} for name, value in times.items()]
    workers = {"counts": [1, 2], "throughput_ratio": ns - 0.8, "throughput_ratio_by_cpu": 1.9}
    result = {
        "rows": [{"row": "pair, cubic", "peers": peers}, {"row": "wide", "peers": peers}],
        "memory": {},
        "workers": {**workers, "machine_ratio_by_cpu": 1.99},
    }
    first, second = goal_lines(result)[2:]
    assert goals(result)[0][3] == word
    assert word in first
    assert first.endswith("0.80")
    assert ("reached" if ns == 2.7 else "missed") in second
    assert second.endswith("by CPU time 1.90, drawing alone 1.99")
    assert goal_lines({"rows": [], "memory": {}, "workers": {}}) == []


@pytest.mark.parametrize(("ratio", "word"), [(1.49, "reached"), (1.51, "missed")])
def test_importing_has_a_goal(ratio: float, word: str) -> None:
    measured = {"seconds": {"torch": [2.0, 1.0], "sdewm": [ratio, 2.0]}, "ratio": ratio}
    (line,) = goal_lines({"rows": [], "memory": {}, "workers": {}, "import": measured})[2:]
    assert line.startswith("  import sdewm / import torch")
    assert word in line
    assert line.endswith("import torch takes 1.00 s")


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_a_wrong_peer_is_marked(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import rows
    from bench.peers import compiled_torch, limits, own

    def cheating(problem: Any) -> Job:
        honest = compiled_torch.eager(problem)
        return Job(lambda seed: factor * honest.run(seed), honest.normals)

    monkeypatch.setattr(
        rows, "PEERS", {"limit: normals": limits.normals_alone, own.OWN: own.eager, "cheating": cheating}
    )
    found = {p["peer"]: p for p in row(CUBIC.sized(2048, 5), rounds=2)["peers"]}
    assert found["cheating"]["status"] == ("ok" if factor == 1.0 else "wrong")


def test_what_is_not_finite_disagrees() -> None:
    good, bad = Moments.of([1.0, 2.0, 3.0]), Moments.of([1.0, math.nan, 3.0])
    assert disagreement(good, bad) == math.inf
    assert disagreement(good, good) == 0.0


def test_every_job_runs_once_a_round_on_seeds_of_its_own() -> None:
    seeds: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    order: list[str] = []

    def job(name: str) -> Job:
        def run(seed: int) -> list[float]:
            seeds[name].append(seed)
            order.append(name)
            return [float(seed), 0.0]

        return Job(run, 1)

    times, seen = interleaved({name: job(name) for name in seeds}, rounds=3)
    assert "".join(order) == "abcbcacab"
    assert sorted(s for each in seeds.values() for s in each) == list(range(1, 10))
    assert {len(t["cpu"]) for t in times.values()} == {3}
    assert merged(seen["a"]).n == 6


def test_the_slope_of_a_power_law_is_its_power() -> None:
    sizes = [1.0, 2.0, 4.0, 8.0]
    found = fit(sizes, [[3 * s**0.7, 9 * s] for s in sizes])
    assert found["slope"] == pytest.approx(0.7)
    assert found["interval"] == pytest.approx([0.7, 0.7], abs=1e-6)
    assert fit(sizes[:2], [[s] for s in sizes[:2]])["interval"] is None
    assert summary(np.array([1.0, 2.0, 3.0]))["median"] == 2.0
