"""Latent world models as stochastic differential equations, and their theory checked by number."""

from importlib.metadata import version as _version

from .citation import citation as citation
from .dynamics import BrownianMotion as BrownianMotion
from .dynamics import DifferentiableSDE as DifferentiableSDE
from .dynamics import LatentSDE as LatentSDE
from .dynamics import RepresentationError as RepresentationError
from .dynamics import StepMap as StepMap
from .dynamics import Terms as Terms
from .dynamics import Trajectory as Trajectory
from .dynamics import Variations as Variations
from .dynamics import euler_map as euler_map
from .dynamics import perturb as perturb
from .dynamics import simulate as simulate
from .dynamics import simulate_coupled as simulate_coupled
from .dynamics import tame as tame
from .estimate import Estimate as Estimate
from .estimate import Moments as Moments
from .exceptions import BiasWarning as BiasWarning
from .exceptions import HypothesisFails as HypothesisFails
from .exceptions import InvalidArgument as InvalidArgument
from .exceptions import MissingExtra as MissingExtra
from .exceptions import NotCompiledWarning as NotCompiledWarning
from .exceptions import NumericalFailure as NumericalFailure
from .exceptions import Refused as Refused
from .exceptions import SdewmError as SdewmError
from .exceptions import SdewmWarning as SdewmWarning
from .exceptions import SlowFallbackWarning as SlowFallbackWarning
from .exceptions import ToleranceWarning as ToleranceWarning
from .grid import TimeGrid as TimeGrid
from .hypothesis import Facts as Facts
from .hypothesis import Hypothesis as Hypothesis
from .hypothesis import declare as declare
from .jacobian import jacobian_penalty as jacobian_penalty
from .theory import Expansion as Expansion
from .theory import OrderTest as OrderTest
from .theory import WeakIdentity as WeakIdentity
from .theory import check as check
from .theory import check_hypotheses as check_hypotheses
from .theory import effect_gradient as effect_gradient
from .theory import expand as expand
from .theory import order_test as order_test
from .theory import rollout_penalty as rollout_penalty
from .theory import weak_identity as weak_identity
from .verdict import Outcome as Outcome
from .verdict import Verdict as Verdict
from .worldmodel import Divergence as Divergence
from .worldmodel import divergence as divergence

__version__ = _version("sdewm")
