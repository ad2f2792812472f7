"""Bounds on the error of a rollout, one file each."""

from .alekseev_groebner import Telescope as Telescope
from .alekseev_groebner import alekseev_groebner as alekseev_groebner
from .bound import CONSTANTS as CONSTANTS
from .bound import Bound as Bound
from .bound import Setting as Setting
from .expected_sup import ExpectedSup as ExpectedSup
from .fourth_moment import FourthMoment as FourthMoment
from .gaussian import GaussianQuantile as GaussianQuantile
from .gronwall import GronwallFrobenius as GronwallFrobenius
from .gronwall import GronwallSpectral as GronwallSpectral
from .kreiss import kreiss_constant as kreiss_constant
from .kreiss import transient_growth as transient_growth
from .linear_noise import LinearNoise as LinearNoise
from .linear_noise import linear_noise as linear_noise
from .lipschitz_steps import LipschitzSteps as LipschitzSteps
from .lipschitz_steps import product_bound as product_bound
from .log_norm import LogNorm as LogNorm
from .mean_value import mean_value_jacobian as mean_value_jacobian
from .registry import BOUNDS as BOUNDS
from .supremum import Supremum as Supremum
from .value_gap import ValueGap as ValueGap
from .value_gap import one_step_distance as one_step_distance
from .value_gap import wasserstein_1 as wasserstein_1
from .variational import FirstOrderBound as FirstOrderBound
from .variational import variational as variational
from .weighted import Weighted as Weighted
