"""The catalogue of claims about latent world models: one claim a row, grouped by theme."""

from sdewm.claims import Row

from .expansion import ROWS as EXPANSION

CATALOGUE: tuple[Row, ...] = (*EXPANSION,)
