"""Systems, noise, errors, variations and the two engines that simulate them."""

from .brownian import NOISE_FORMAT as NOISE_FORMAT
from .brownian import BrownianMotion as BrownianMotion
from .categorical import CategoricalMap as CategoricalMap
from .coupled import simulate_coupled as simulate_coupled
from .covariance import ErrorCovariance as ErrorCovariance
from .error import RepresentationError as RepresentationError
from .perturbed import PerturbedSDE as PerturbedSDE
from .perturbed import perturb as perturb
from .reference import simulate as simulate
from .sensitivity import Sensitivity as Sensitivity
from .step_map import StepMap as StepMap
from .step_map import euler_map as euler_map
from .system import DifferentiableSDE as DifferentiableSDE
from .system import LatentSDE as LatentSDE
from .tamed import tame as tame
from .trajectory import Trajectory as Trajectory
from .variation import Terms as Terms
from .variation import Variations as Variations
