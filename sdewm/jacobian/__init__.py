"""Norms of a step's Jacobian, and penalties on them: plain callables in, plain numbers out."""

from .gru import GRUMap as GRUMap
from .gru import gru_frobenius as gru_frobenius
from .krylov import krylov_log_norm as krylov_log_norm
from .krylov import krylov_spectral_norm as krylov_spectral_norm
from .norms import frobenius_squared as frobenius_squared
from .norms import jacobians as jacobians
from .norms import log_norm as log_norm
from .norms import spectral_norm as spectral_norm
from .penalty import jacobian_penalty as jacobian_penalty
from .penalty import step_and_penalty as step_and_penalty
from .trace import hutchinson as hutchinson
