"""Claims about bounds on the error of a rollout: B1 to B10."""

from . import (
    expected_sup,
    frobenius,
    gaussian,
    identity,
    kreiss,
    linear_noise,
    log_norm,
    random_jacobian,
    value_gap,
    weighted,
)

ROWS = (
    expected_sup.ROW,
    random_jacobian.ROW,
    log_norm.ROW,
    weighted.ROW,
    identity.ROW,
    linear_noise.ROW,
    gaussian.ROW,
    value_gap.ROW,
    frobenius.ROW,
    kreiss.ROW,
)
