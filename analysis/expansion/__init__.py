"""Claims about the expansion: X1 to X15, and D1 on categorical latents."""

from . import (
    drift_error,
    four_block,
    kink,
    missing_terms,
    order,
    penalty,
    refused,
    symmetric,
    uncorrected,
    variations,
    weak,
    zero_drift,
)

ROWS = (
    variations.ROW,
    order.ROW,
    *uncorrected.ROWS,
    *missing_terms.ROWS,
    *zero_drift.ROWS,
    symmetric.ROW,
    weak.ROW,
    kink.ROW,
    refused.ROWS[0],
    four_block.ROW,
    drift_error.ROW,
    penalty.ROW,
    refused.ROWS[1],
)
