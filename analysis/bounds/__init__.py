"""Claims about bounds on the error of a rollout: B1, B2 and B5 to B10."""

from . import expected_sup, frobenius, gaussian, identity, kreiss, linear_noise, random_jacobian, value_gap

ROWS = (
    expected_sup.ROW,
    random_jacobian.ROW,
    identity.ROW,
    linear_noise.ROW,
    gaussian.ROW,
    value_gap.ROW,
    frobenius.ROW,
    kreiss.ROW,
)
