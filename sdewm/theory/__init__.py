"""The theory: what a representation error does to a loss."""

from .check import check as check
from .expansion import Expansion as Expansion
from .expansion import expand as expand
from .gradient import effect_gradient as effect_gradient
from .hypotheses import check_hypotheses as check_hypotheses
from .method import Method as Method
from .order import OrderTest as OrderTest
from .order import order_test as order_test
from .penalty import rollout_penalty as rollout_penalty
from .weak import WeakIdentity as WeakIdentity
from .weak import weak_identity as weak_identity
