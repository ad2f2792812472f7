"""Learned world models: data from control tasks, a latent neural SDE, its training, and how its errors grow."""

from .checkpoint import load as load
from .checkpoint import save as save
from .control import collect as collect
from .divergence import Divergence as Divergence
from .divergence import divergence as divergence
from .episodes import Episodes as Episodes
from .growth import Growth as Growth
from .growth import Rollouts as Rollouts
from .growth import measure_growth as measure_growth
from .growth import rollouts as rollouts
from .horizon import HorizonError as HorizonError
from .horizon import horizon_error as horizon_error
from .neural_sde import Architecture as Architecture
from .neural_sde import NeuralSDE as NeuralSDE
from .train import Settings as Settings
from .train import train as train
