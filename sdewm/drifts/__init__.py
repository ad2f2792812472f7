"""Shipped systems, one file each."""

from .cubic import Cubic as Cubic
from .double_well import DoubleWell as DoubleWell
from .four_block import FourBlock as FourBlock
from .geometric import Geometric as Geometric
from .linear import Linear as Linear
from .tanh_network import TanhNetwork as TanhNetwork
