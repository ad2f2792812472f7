"""A claim of your own, with a control that must come out the other way: how large is the variance of a linear SDE?
python examples/13_a_claim_of_your_own.py --out variance.png
cd examples && python -m analysis --module 13_a_claim_of_your_own    # resumable, in parallel, with verdicts.json
"""

import argparse
from dataclasses import dataclass, replace
from math import exp
from pathlib import Path
from tempfile import TemporaryDirectory

from sdewm import Moments, Outcome, TimeGrid, simulate_coupled
from sdewm.claims import Cell, Claim, Result, Row, judge, run, table
from sdewm.drifts import Linear
from sdewm.run import Store
from sdewm.stats import equivalence
from sdewm.style import COLOURS, new_figure, style


@dataclass(frozen=True)
class Variance(Claim):
    half: bool = True  # the formula under test is a field
    id, source, cases = "M1", "variance of an Ornstein–Uhlenbeck process", ("t = 1", "t = 2")
    statement = "dx = −x dt + dB from 0 has E x_t² = ½ (1 − e^{−2t}), to within 0.02."

    def cells(self, case, scale, seed, drawn):  # what the records depend on
        return [Cell("M1", {"T": float(case[4:]), "paths": int(65_536 * scale)}, seed)]

    def compute(self, cell):  # the work, the same for claim and control
        T, ou = cell.settings["T"], {"x": Linear(a=-1.0, diffusion_offset=1.0)}
        final = simulate_coupled(ou, 0.0, TimeGrid(T, int(128 * T)), cell.settings["paths"], cell.seed)["x"].final
        return Result(arrays=Moments.of(final**2).to_arrays())

    def judge(self, case, records):  # it does not know what is expected
        (square,) = Moments.from_arrays(records[0].arrays).estimates()
        formula = (0.5 if self.half else 1.0) * (1 - exp(-2 * records[0].key["settings"]["T"]))
        return equivalence(square - formula, 0.02, what="E x² − formula")

    def control(self):
        return replace(self, half=not self.half)


CATALOGUE = (Row(Variance(), dict.fromkeys(Variance.cases, Outcome.HOLDS), repetitions=8),)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="variance.png")
    given = parser.parse_args()
    with TemporaryDirectory() as place:
        run(CATALOGUE, Store(Path(place)))
        lines = judge(CATALOGUE, Store(Path(place)))
    print(table(lines))
    with style():
        figure, (ax,) = new_figure(5.5, 2.6)
        bars = {f"{line['case']}, {name}": line[name]["interval"] for line in lines for name in ("verdict", "control")}
        ax.hlines(list(bars), *zip(*bars.values(), strict=True), lw=6, color=COLOURS[:2] * len(lines))
        ax.axvspan(-0.02, 0.02, alpha=0.2, color="grey")
        ax.set_xlabel("simulated E x² − formula: 99.9 % intervals; grey is what is allowed")
        figure.savefig(given.out)
    print("picture:", given.out)
