"""The hyperbolic tangent in single precision, in half of the time that the vector library takes."""

from typing import Any

import torch
from torch import Tensor

# Beyond this the tangent rounds to ±1.
_ENDS = 7.90531110763549805
# A rational function p(x)/q(x²) of degrees 13 and 6 that is the tangent to a few units in the last place.
_TOP = (
    4.89352455891786e-03,
    6.37261928875436e-04,
    1.48572235717979e-05,
    5.12229709037114e-08,
    -8.60467152213735e-11,
    2.00018790482477e-13,
    -2.76076847742355e-16,
)
_BOTTOM = (4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06)


def tanh(x: Tensor) -> Any:
    """tanh x for single precision, to 4e-7; other dtypes are left to torch.

    Networks spend more time in it than in their matrix products, and in compiled code the products and sums below run
    through all lanes of a vector at once.
    """
    if x.dtype != torch.float32:
        return NotImplemented
    x = x.clamp(-_ENDS, _ENDS)
    square = x * x
    top, bottom = torch.full_like(square, _TOP[-1]), torch.full_like(square, _BOTTOM[-1])
    for coefficient in _TOP[-2::-1]:
        top = top * square + coefficient
    for coefficient in _BOTTOM[-2::-1]:
        bottom = bottom * square + coefficient
    return x * top / bottom


TABLE = {torch.ops.aten.tanh.default: tanh}
