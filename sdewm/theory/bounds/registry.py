"""The bounds that are judged by constants: a new one is one file, and one line here."""

from .bound import Bound
from .fourth_moment import FourthMoment
from .gaussian import GaussianQuantile
from .gronwall import GronwallFrobenius, GronwallSpectral
from .log_norm import LogNorm
from .supremum import Supremum

# For equations and their Euler steps. `Weighted` is made for one weight, `LipschitzSteps` is for step maps, and
# `ExpectedSup` is no theorem: these are made by whoever uses them.
BOUNDS: tuple[Bound, ...] = (
    GronwallFrobenius(),
    GronwallSpectral(),
    LogNorm(),
    Supremum(),
    GaussianQuantile(),
    FourthMoment(),
)
