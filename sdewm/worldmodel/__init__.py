"""Learned world models: data from control tasks, two models, their training, and how their errors grow."""

from .checkpoint import load as load
from .checkpoint import save as save
from .control import collect as collect
from .episodes import Episodes as Episodes
from .evidence import Evidence as Evidence
from .growth import Growth as Growth
from .growth import Rollouts as Rollouts
from .growth import measure_growth as measure_growth
from .growth import rollouts as rollouts
from .horizon import HorizonError as HorizonError
from .horizon import horizon_error as horizon_error
from .horizon import open_loop as open_loop
from .injection import Injection as Injection
from .model import WorldModel as WorldModel
from .neural_sde import Architecture as Architecture
from .neural_sde import NeuralSDE as NeuralSDE
from .regularise import Penalty as Penalty
from .residuals import LatentResiduals as LatentResiduals
from .residuals import latent_residuals as latent_residuals
from .rssm import RSSM as RSSM
from .rssm import RSSMArchitecture as RSSMArchitecture
from .settings import Settings as Settings
from .tables import HorizonRow as HorizonRow
from .tables import horizon_table as horizon_table
from .train import Trained as Trained
from .train import train as train
