"""How fast errors grow in a model that takes one step after another: measured, predicted to first order, bounded."""

from .divergence import divergence as divergence
from .result import Bounds as Bounds
from .result import Curve as Curve
from .result import Divergence as Divergence
from .result import Jacobians as Jacobians
from .spread import Band as Band
from .spread import Spread as Spread
