"""Latent world models as stochastic differential equations, and their theory checked by number."""

from .dynamics import BrownianMotion as BrownianMotion
