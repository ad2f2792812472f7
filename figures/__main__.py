"""Draw the figures and write the report: `python -m figures [CLAIM ...]`."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from sdewm.claims import read_verdicts
from sdewm.claims.report import Picture, write_report
from sdewm.exceptions import InvalidArgument, SdewmError
from sdewm.run import Record, Store

from . import FIGURES, sections
from .kit import Cases
from .saved import save
from .sections import RECORDS

NOTATION = (
    "Notation. Base dx⁰ = g dt + ḡ dB; with an error of size ε: dx^ε = (g + εσ) dt + ḡ dB + ε σ̄ dW, x^ε(0) = x₀ + "
    "εη; ρ is the correlation of B and W (shared: W = B). y₁ = dx^ε/dε and y₂ = ½ d²x^ε/dε² at ε = 0. R = E ℓ(x^ε) − "
    "E ℓ(x⁰) = εP + ε²(Q + S/2) + O(ε³), with p = ∇ℓᵀy₁ and c = ∇ℓᵀy₂ + ½ y₁ᵀ∇²ℓ y₁ for each path, P = E p and Q + S/2 "
    "= E c. P′, Q′, S′ are the paper's, as reconstructed. G_k = Dḡ_k; Φ(t, r) is the Jacobian of the rollout from r to "
    "t, and Φξ̃ the first-order response to the error. A missing coefficient is what a form leaves over, extrapolated "
    "to ε = 0. Of bounds: e = x^ε − x⁰; μ is the log-norm and L the spectral norm of Dg, Λ² the largest Σ ‖G_k‖², s "
    "and s̄ the largest |σ| and (Σ |σ̄_l|²)^½; K is the growth of a step of length h, κ_n that between two paths, F_n a "
    "step and X_{n,N} the base's rollout from n to N; δ is the size of an initial error, and J the exponents of B1. Of "
    "trained models: G_N is the growth of the root mean square error from the first step to the N-th, RMSE_N the "
    "open-loop error N steps ahead, ‖J‖_F the norm of the prior map's Jacobian, W₁ the Wasserstein distance."
)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 where there is nothing to draw from."""
    parser = argparse.ArgumentParser(prog="python -m figures", description=__doc__)
    parser.add_argument("claims", nargs="*", metavar="CLAIM", help="only these claims, e.g. X3")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--out", type=Path, default=Path("report"))
    given = parser.parse_args(arguments)
    try:
        verdicts = read_verdicts(given.results / "verdicts.json")
    except InvalidArgument as error:
        print(f"figures: {error} python -m analysis makes it.", file=sys.stderr)
        return 2
    lines = verdicts["verdicts"]
    known = list(dict.fromkeys(line["claim"] for line in lines))
    unknown = [claim for claim in given.claims if claim not in known]
    if unknown:
        print(f"figures: no verdict for {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    last = ""
    try:
        store = _Stores((Store(given.results / "records"), Store(RECORDS / "models"), Store(RECORDS / "agents")))
        drawn: dict[str, Picture] = {}
        made: dict[str, dict[str, Any]] = {}
        for claim in given.claims or known:
            cases = _cases(claim, lines, store)
            made[claim] = _made(cases)
            if claim in FIGURES and all(records for _, records in cases.values()):
                drawn[claim] = save(claim, FIGURES[claim](cases), given.out)
        if not given.claims:
            page = write_report(
                given.out,
                verdicts,
                drawn,
                made,
                command="python -m analysis --claims {claim} "
                f"--budget {verdicts.get('budget', 'standard')} --seed {verdicts.get('seed', 0)}",
                title="Theory of latent world models, checked by number",
                notation=NOTATION,
                appendix=[
                    *sections.found(lines),
                    *sections.tightness(_cases("B3", lines, store), given.out),
                    *sections.models(_cases("L4", lines, store), given.out),
                    *sections.agents(_cases("E3-agent", lines, store), given.out),
                    *sections.text_of(
                        "pilot-agents", "Agents: doses and weights, on seeds that are not judged", given.results
                    ),
                    *sections.costs(given.results, given.out),
                    *sections.faults(given.results),
                ],
            )
            last = f"report: {page.resolve()}"
    except SdewmError as error:
        print(f"figures: {error}", file=sys.stderr)
        return 2
    for claim, picture in drawn.items():
        print(f"figure {claim}: {picture.path}")
    if last:
        print(last)
    return 0


@final
@dataclass(frozen=True)
class _Stores:
    """The records of a run, and those that come with the project."""

    places: tuple[Store, ...]

    def read(self, name: str) -> Record | None:
        """The record of this name in the first place that has it."""
        return next((record for place in self.places if (record := place.read(name)) is not None), None)


def _cases(claim: str, lines: list[dict[str, Any]], store: _Stores) -> Cases:
    cases = {}
    for line in lines:
        if line["claim"] == claim:
            found = [store.read(name) for name in line["records"]]
            cases[line["case"]] = (line, [record for record in found if record is not None])
    return cases


def _made(cases: Cases) -> dict[str, Any]:
    records = [record for _, found in cases.values() for record in found]
    if not records:
        return {}
    facts = {key: value for key, value in records[0].made.items() if key not in ("seconds", "at")}
    settings = {case: dict(found[0].key["settings"]) for case, (_, found) in cases.items() if found}
    return {
        **facts,
        "settings": "; ".join(f"{case}: {values}" for case, values in settings.items()),
        "records": ", ".join(record.name for record in records),
        "computing time": f"{sum(float(r.made.get('seconds', 0.0)) for r in records):.1f} s",
    }


if __name__ == "__main__":
    sys.exit(main())
