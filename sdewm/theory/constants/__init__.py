"""Constants of bounds, each certified or sampled."""

from .branch_and_bound import branch_and_bound as branch_and_bound
from .certify import certify_network as certify_network
from .network import read_network as read_network
from .sampled import SampledConstants as SampledConstants
from .sampled import samplable as samplable
from .structural import KnowsConstants as KnowsConstants
from .structural import KnowsHull as KnowsHull
from .structural import KnowsNetworks as KnowsNetworks
from .structural import certified_constants as certified_constants
from .structural import certified_error as certified_error
from .structural import hull_of as hull_of
from .weight import Weight as Weight
from .weight import certify_weight as certify_weight
from .weight_search import search_weight as search_weight
