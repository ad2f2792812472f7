"""Claims about latent world models that were trained on real control data."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from sdewm.claims import Cell, Claim, Result, Row
from sdewm.estimate import Estimate, Moments
from sdewm.run import Record
from sdewm.stats import all_of, rms_ratio
from sdewm.verdict import Outcome, Verdict
from sdewm.worldmodel.control import collect
from sdewm.worldmodel.episodes import Episodes
from sdewm.worldmodel.growth import Growth, Rollouts, measure_growth, rollouts
from sdewm.worldmodel.horizon import horizon_error
from sdewm.worldmodel.neural_sde import NeuralSDE
from sdewm.worldmodel.recipe import HORIZON, STEPS, TASK, TEST_SEED, WARM, retrain, shipped, training_episodes

from .kit import BETTER, ENDS_LARGER, GROWTH_LAWS, PAPER, certified, declared, unchecked

FOLDER = Path(__file__).parent / "records" / "neural_sde"
SEEDS = (0, 1, 2)
SIZES = (0.01, 0.03, 0.1, 0.3, 1.0)
SIZE = 0.1
ZERO, DRIFT = "zero drift", "drift"
DIRECTIONS = 3
LEVEL = 0.99
# All three models have to be right at once.
MODEL_LEVEL = 1.0 - (1.0 - LEVEL) / len(SEEDS)
DATA = f"{TASK} of dm_control, state observations, held-out episodes; each episode counts once, however many its paths"


def digest(seed: int) -> str:
    """Hash of a shipped model: records of another model are other records."""
    return hashlib.sha256((FOLDER / f"seed{seed}.safetensors").read_bytes()).hexdigest()[:16]


@cache
def episodes(count: int, seed: int) -> Episodes:
    """Held-out episodes, collected once a process."""
    return collect(TASK, episodes=count, steps=STEPS, seed=seed)


@cache
def model(seed: int) -> NeuralSDE:
    """A shipped model, loaded once a process."""
    return shipped(seed, FOLDER)


@cache
def setup(model_seed: int, count: int, episode_seed: int, paths: int, steps: int, seed: int) -> Rollouts:
    """The filtered starts that all cells of a model share, made once a process."""
    return rollouts(model(model_seed), episodes(count, episode_seed), seed=seed, paths=paths, warm=WARM, steps=steps)


def growth_cells(kinds: Sequence[str], scale: float, seed: int, drawn: bool) -> list[Cell]:
    """How injected errors grow in the shipped models.

    A drift error has a direction, and one direction decides a lot: several are averaged. What is only judged needs no
    raw units and fewer sizes; a smaller scale means fewer episodes, and another seed other ones.
    """
    count = max(int(512 * min(scale, 1.0)), 128)
    result = []
    for model_seed in SEEDS:
        for kind in kinds:
            for unit in ("whitened", "raw") if drawn else ("whitened",):
                sizes = [SIZE] if unit == "raw" else list(SIZES if drawn else (SIZES[0], SIZE, SIZES[-1]))
                for direction in range(DIRECTIONS if drawn and kind == DRIFT and unit == "whitened" else 1):
                    settings = {
                        "model": model_seed,
                        "weights": digest(model_seed),
                        "kind": kind,
                        "unit": unit,
                        "direction": direction,
                        "sizes": sizes,
                        "episodes": count,
                        "episode seed": TEST_SEED + seed,
                        "paths": 1024,
                        "steps": HORIZON,
                    }
                    result.append(Cell("growth", settings, seed, cost=5.0 if drawn else 2.5))
    return result


def compute_growth(cell: Cell) -> Result:
    """Episode means of the squared errors and of their first-order prediction."""
    s = cell.settings
    ready = setup(s["model"], s["episodes"], s["episode seed"], s["paths"], s["steps"], cell.seed)
    grown: Growth = measure_growth(ready, kind=s["kind"], unit=s["unit"], sizes=s["sizes"], direction=s["direction"])
    arrays = {
        name: by_episode(getattr(grown, name), grown.episode)
        for name in ("latent", "observation", "latent_first", "observation_first")
    }
    return Result({}, arrays)


def by_episode(values: torch.Tensor, episode: torch.Tensor) -> NDArray[np.float64]:
    """Means over the paths of each episode, the last dimension becoming the first: (episodes, …)."""
    return np.stack([values[..., episode == e].mean(-1).numpy() for e in range(int(episode.max()) + 1)])


def growth_of(records: Sequence[Record], kind: str, unit: str = "whitened") -> dict[int, list[Record]]:
    """For each model its records of one kind of error, one a direction."""
    found: dict[int, list[Record]] = {}
    for record in records:
        if (record.key["settings"]["kind"], record.key["settings"]["unit"]) == (kind, unit):
            found.setdefault(int(record.key["settings"]["model"]), []).append(record)
    return found


def means(*columns: NDArray[np.float64]) -> tuple[Estimate, ...]:
    """Joint estimates of some quantities over episodes."""
    return Moments.of(np.stack(columns, axis=1)).estimates()


def over_models(judge: Callable[[int], Verdict]) -> Verdict:
    """The verdict that all models support, or the one that refutes it."""
    return all_of({f"model {seed}": judge(seed) for seed in SEEDS})


def column(records: Sequence[Record], name: str, size: float, step: int) -> NDArray[np.float64]:
    """A squared error after some steps for every episode, averaged over directions."""
    picked = [r.arrays[name][:, r.key["settings"]["sizes"].index(size), step - 1] for r in records]
    values: NDArray[np.float64] = np.mean(picked, axis=0)
    return values


def predicted(records: Sequence[Record], size: float, step: int) -> NDArray[np.float64]:
    """The first-order prediction of the latent column."""
    values: NDArray[np.float64] = np.mean([r.arrays["latent_first"][:, step - 1] for r in records], axis=0)
    return size**2 * values


@final
@dataclass(frozen=True)
class FirstOrder(Claim):
    """Is c y₁, from the trained model's own Jacobians, the error that an injected error of size c grows into?

    The control swaps what is compared, not the code: for the small error, in place of y₁ the scaling laws √N (zero
    drift) and N (drift); for the large one, y₁ where it must be good, a hundredth of the size after 10 steps.
    """

    swapped: bool = False

    id = "L1"
    title = "First order predicts the errors of a trained model to 10 %"
    statement = (
        "In a latent neural SDE trained on pendulum-swingup, the first variation y₁ of the model predicts the root "
        "mean square latent error, of an error of the given whitened size injected at every step, to within 10 %."
    )
    cases = (
        "zero drift, size 0.1, 10 steps",
        "drift, size 0.1, 10 steps",
        "zero drift, size 1, 25 steps",
        "drift, size 1, 25 steps",
    )
    source = "the expansion in the size of the error, applied to a trained model"
    formula = (
        r"0.9\le\frac{\left(\mathbb{E}\,|x^\varepsilon_N-x^0_N|^2\right)^{1/2}}{\varepsilon\left("
        r"\mathbb{E}\,|y_{1,N}|^2\right)^{1/2}}\le1.1"
    )
    assumes = (
        certified("held-out episodes", "collected with seeds of their own; each counts once"),
        unchecked("other models", "three training seeds of one architecture on one task"),
        unchecked("normal means", "the central limit theorem over episodes"),
        declared("horizons and sizes", "fixed after a first look at the same models"),
    )
    note = (
        f"{DATA}. The three models differ by their training seed only; the verdict is about these models, not about "
        "all that could be trained. Horizons and sizes were fixed after a first look at the same models."
    )

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        return growth_cells((case.split(",")[0],), scale, seed, drawn)

    def compute(self, cell: Cell) -> Result:
        return compute_growth(cell)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        kind, sized, horizon = (part.strip() for part in case.split(","))
        size, steps, found = float(sized.split()[1]), int(horizon.split()[0]), growth_of(records, kind)
        small = size == SIZE
        if self.swapped and not small:
            size, steps = SIZES[0], 10

        def judge(m: int) -> Verdict:
            measured, law, prediction = column(found[m], "latent", size, steps), "y₁", predicted(found[m], size, steps)
            if self.swapped and small:
                power, law = (1, "√N") if kind == ZERO else (2, "N")
                prediction = np.full_like(measured, size**2 * float(steps) ** power)
            a, b = means(measured, prediction)
            return rms_ratio(a, b, (0.9, 1.1), MODEL_LEVEL, what=f"measured / predicted by {law}")

        return over_models(judge)

    def control(self) -> "FirstOrder":
        """The same judgement of another prediction."""
        return replace(self, swapped=not self.swapped)


@final
@dataclass(frozen=True)
class Compounding(Claim):
    """Drift against zero drift of equal one-step size, beside the laws of plain addition.

    The control swaps the law: no growth at all in place of √N and N, and the two errors for each other.
    """

    swapped: bool = False

    id = "L2"
    title = "Drift errors compound, zero-drift errors do not: neural SDE"
    statement = (
        "In a latent neural SDE trained on pendulum-swingup, over 25 steps of a rollout, (a) a zero-drift error grows "
        "at most like √N, (b) a drift error of the same one-step size grows by more than N, so that it compounds, (c) "
        "the drift error ends larger than the zero-drift error. One-step size 0.1, whitened; latent error."
    )
    cases = ("zero drift: at most √N", "drift: more than N", "drift above zero drift")
    source = PAPER + ": drift errors accumulate over a rollout, zero-drift errors do not"
    formula = GROWTH_LAWS + "\n" + ENDS_LARGER
    assumes = (
        certified("held-out episodes", "collected with seeds of their own; each counts once"),
        unchecked("other models", "three training seeds of one architecture on one task"),
        unchecked("normal means", "the central limit theorem over episodes"),
        declared("horizons and sizes", "fixed after a first look at the same models"),
    )
    note = (
        f"{DATA}. Model level only: returns of agents are not judged here. The verdict is about the three shipped "
        "models. Horizon and size were fixed after a first look at the same models."
    )
    steps = 25

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        return growth_cells((ZERO, DRIFT), scale, seed, drawn)

    def compute(self, cell: Cell) -> Result:
        return compute_growth(cell)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        zero, drift, n = growth_of(records, ZERO), growth_of(records, DRIFT), self.steps

        def judge(m: int) -> Verdict:
            if case == "drift above zero drift":
                pair = column(drift[m], "latent", SIZE, n), column(zero[m], "latent", SIZE, n)
                a, b = means(*(reversed(pair) if self.swapped else pair))
                return rms_ratio(a, b, (1.0, np.inf), MODEL_LEVEL, what=f"drift / zero-drift error after {n} steps")
            at_most = case == "zero drift: at most √N"
            record = zero[m] if at_most else drift[m]
            a, b = means(column(record, "latent", SIZE, n), column(record, "latent", SIZE, 1))
            border = 1.0 if self.swapped else float(n) ** (0.5 if at_most else 1.0)
            allowed = (0.0, border) if at_most else (border, np.inf)
            return rms_ratio(a, b, allowed, MODEL_LEVEL, what=f"growth over {n} steps")

        return over_models(judge)

    def control(self) -> "Compounding":
        """The same judgement with another law."""
        return replace(self, swapped=not self.swapped)


@final
@dataclass(frozen=True)
class BetterThanBaselines(Claim):
    """Is there a model worth perturbing at all? The shipped ones, and the first of them trained again.

    The control holds the model's predictions against the future's mirror image about the data's mean.
    """

    mirrored: bool = False

    id = "L3"
    title = "A trained neural SDE beats its baselines"
    statement = (
        "25 steps ahead in open loop with known actions, the latent neural SDE, shipped and trained again, predicts "
        "the observations of pendulum-swingup with a smaller root mean square error than the baseline."
    )
    cases = ("mean", "persistence", "ridge")
    source = "a sanity check of the trained models"
    formula = BETTER
    assumes = (
        certified("held-out episodes", "collected with seeds of their own; each counts once"),
        unchecked("other models", "three training seeds of one architecture on one task"),
        unchecked("normal means", "the central limit theorem over episodes"),
    )
    note = (
        f"{DATA}. Ridge: one linear regression a horizon on the last ten observations and all actions. Fifty steps "
        "are drawn and not judged: there the mean square rests on few episodes."
    )
    steps = 25

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        count = max(int(512 * min(scale, 1.0)), 64)
        common = {"episodes": count, "episode seed": TEST_SEED + seed, "mirrored": self.mirrored}
        kept = [Cell("horizon", {"model": m, "weights": digest(m), **common}, seed, cost=3.0) for m in SEEDS]
        # Training is done once: repetitions and controls are about the shipped models.
        fresh = Cell("horizon", {"model": SEEDS[0], "weights": "trained again", **common}, seed, cost=70.0)
        return [*kept, fresh] if drawn else kept

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        tried = retrain(s["model"]) if s["weights"] == "trained again" else model(s["model"])
        starts = range(0, STEPS - WARM - HORIZON + 1, 11)
        windows = episodes(s["episodes"], s["episode seed"]).windows(list(starts), WARM + HORIZON)
        squared = dict(horizon_error(tried, training_data(), windows, warm=WARM, horizon=HORIZON).squared)
        if s["mirrored"]:
            past, future = windows.observations[:, :WARM], windows.observations[:, WARM:]
            other = Episodes(torch.cat((past, 2.0 * training_data().mean - future), 1), windows.actions)
            wrong = horizon_error(tried, training_data(), other, warm=WARM, horizon=HORIZON).squared
            squared["neural SDE"] = wrong["neural SDE"]
        episode = torch.arange(s["episodes"]).repeat(len(starts))
        return Result({}, {name: by_episode(value.T, episode) for name, value in squared.items()})

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        level = 1.0 - (1.0 - LEVEL) / len(records)

        def judge(record: Record) -> Verdict:
            a, b = means(record.arrays["neural SDE"][:, self.steps - 1], record.arrays[case][:, self.steps - 1])
            return rms_ratio(a, b, (0.0, 1.0), level, what=f"error of the model / error of {case}")

        return all_of({_name(record.key["settings"]): judge(record) for record in records})

    def control(self) -> "BetterThanBaselines":
        """The same judgement of a model that takes every deviation from the mean for its opposite."""
        return replace(self, mirrored=not self.mirrored)


def _name(settings: Mapping[str, Any]) -> str:
    again = " trained again" if settings["weights"] == "trained again" else ""
    return f"model {settings['model']}{again}"


@cache
def training_data() -> Episodes:
    """The episodes that the baselines are fitted to, collected once a process."""
    return training_episodes()


ROWS = (
    Row(
        FirstOrder(),
        {
            "zero drift, size 0.1, 10 steps": Outcome.HOLDS,
            "drift, size 0.1, 10 steps": Outcome.HOLDS,
            "zero drift, size 1, 25 steps": None,
            "drift, size 1, 25 steps": None,
        },
        repetitions=3,
    ),
    Row(Compounding(), dict.fromkeys(Compounding.cases, None), repetitions=3),
    Row(
        BetterThanBaselines(),
        dict.fromkeys(BetterThanBaselines.cases, Outcome.HOLDS),
        repetitions=3,
    ),
)
