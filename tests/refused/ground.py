"""What the ground refuses: grids, estimates, verdicts, citations, checks of plain arguments."""

import numpy as np
from systems import sigma

import sdewm
from sdewm import output, validation
from sdewm.constant import Certified
from sdewm.estimate import Moments
from sdewm.exceptions import InvalidArgument, Refused
from sdewm.grid import TimeGrid
from sdewm.hypothesis import Facts, declare, facts_of
from sdewm.verdict import Grade, Outcome, Verdict

from .things import GRID, NAN, Case, Foreign, NoDiffusion, combine_two_runs, covariance_of_two_runs

VERDICT = Verdict(Outcome.HOLDS, Grade.CERTIFIED, "a reason")
CASES: list[Case] = [
    # plain things
    (lambda: TimeGrid(1.0, 2.5), InvalidArgument, ["steps", "2.5"]),  # type: ignore[arg-type]
    (lambda: TimeGrid(1.0, 0), InvalidArgument, ["steps", "got 0"]),
    (lambda: TimeGrid(-1.0, 4), InvalidArgument, ["T must be above zero", "-1.0"]),
    (lambda: TimeGrid(float("inf"), 4), InvalidArgument, ["T must be a finite number", "inf"]),
    (lambda: Certified(NAN, "nowhere"), InvalidArgument, ["value", "nan"]),
    (lambda: Certified(1.0, "a proof", 2.0), InvalidArgument, ["attained", "1.0", "2.0"]),
    (lambda: VERDICT.plot(), Refused, ["no curves"]),
    (lambda: sdewm.citation("Nobody"), InvalidArgument, ["thing", "'Nobody'", "'LogNorm'"]),
    (lambda: sdewm.citation(NoDiffusion), InvalidArgument, ["thing", "NoDiffusion names no source", "kreiss1962"]),
    (lambda: validation.one_of("colour", "red", ("blue",)), InvalidArgument, ["colour", "'blue'", "'red'"]),
    (lambda: validation.not_negative("colour", -1.0), InvalidArgument, ["colour must be at least 0", "-1.0"]),
    (lambda: validation.instance("colour", 3, str), InvalidArgument, ["colour must be a str", "int"]),
    (lambda: validation.tensor("x0", np.ma.array([1.0], mask=[True])), InvalidArgument, ["x0 has masked values"]),
    (lambda: validation.tensor("x0", [2**63]), InvalidArgument, ["x0", "such as 9223372036854775808", "int64"]),
    (lambda: output.plain({"a": [1j]}), InvalidArgument, ["made of numbers, texts", "got complex 1j"]),
    (lambda: validation.strings("colour", 3), InvalidArgument, ["colour", "3"]),
    (lambda: Moments.of([1.0, 2.0]).estimates()[0].interval(2.0), InvalidArgument, ["level", "2.0"]),
    (lambda: GRID.index(0.3), InvalidArgument, ["time 0.3", "4 steps", "0.25"]),
    (lambda: GRID.index(NAN), InvalidArgument, ["time", "nan"]),
    (lambda: GRID.saved("some"), InvalidArgument, ["save", "'some'"]),
    (lambda: GRID.saved(0.5), InvalidArgument, ["save", "0.5"]),  # type: ignore[arg-type]
    (lambda: GRID.saved([0.5, 0.25]), InvalidArgument, ["save", "[0.5, 0.25]"]),
    (lambda: GRID.coarsen(3), InvalidArgument, ["k must divide", "4", "3"]),
    (lambda: Moments.of(np.zeros((2, 2, 2))), InvalidArgument, ["values", "(2, 2, 2)"]),
    (combine_two_runs, InvalidArgument, ["same noise", "another seed"]),
    (covariance_of_two_runs, InvalidArgument, ["same noise", "another seed"]),
    # what functions declare
    (lambda: Facts("cubic"), InvalidArgument, ["growth", "'explosive'", "'cubic'"]),
    (lambda: Facts(smoothness=-1), InvalidArgument, ["smoothness", "-1"]),
    (lambda: Facts(smoothness=NAN), InvalidArgument, ["smoothness", "nan"]),
    (lambda: declare(0.5), InvalidArgument, ["function must be callable", "0.5"]),  # type: ignore[arg-type]
    (lambda: declare(sigma, "fast"), InvalidArgument, ["growth", "'fast'"]),
    (lambda: facts_of(Foreign(facts="smooth")), InvalidArgument, ["facts of Foreign", "Facts(...)", "'smooth'"]),
]
