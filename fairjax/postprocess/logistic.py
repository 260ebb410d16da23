"""Logistic regression of few variables, weighted and with an L2 penalty, by Newton's method."""

import numpy as np
from jaxtyping import Bool, Float
from scipy import special

_STEPS, _SMALL = 200, 1e-13


def fit_logistic(
    variables: Float[np.ndarray, "rows variables"],
    label: Bool[np.ndarray, " rows"],
    *,
    weight: Float[np.ndarray, " rows"] | None = None,
    penalty: float = 0.0,
) -> tuple[Float[np.ndarray, " variables"], float]:
    """Coefficients and intercept of a logistic regression: where this is smallest.

        penalty |coefficients|^2 / 2 + sum_i weight_i log(1 + exp(-+ (coefficients x_i + b)))

    Args:
      variables: The rows' variables.
      label: Whether each row is of the class that large values speak for.
      weight: Weight of each row; None weighs all alike.
      penalty: Strength of the L2 penalty, 1 / C of scikit-learn; above 0 where the classes may be
        told apart without an error.

    Raises:
      ValueError: If a class is missing.
    """
    if label.all() or not label.any():
        raise ValueError("a logistic regression needs both kinds of pairs; one is missing.")
    x = np.column_stack([variables, np.ones(len(label))]).astype(np.float64)
    w = np.ones(len(label)) if weight is None else weight
    strength = np.append(np.full(variables.shape[1], penalty), 0.0)

    def loss(beta: np.ndarray) -> float:
        margin = np.where(label, 1.0, -1.0) * (x @ beta)
        return float(strength @ beta**2 / 2 + w @ np.logaddexp(0, -margin))

    beta = np.zeros(x.shape[1])
    before = loss(beta)
    for _ in range(_STEPS):
        p = special.expit(x @ beta)
        gradient = strength * beta + x.T @ (w * (p - label))
        curved = (x * (w * p * (1 - p))[:, None]).T @ x + np.diag(strength + 1e-12 * w.sum())
        step = np.linalg.solve(curved, gradient)
        if gradient @ step <= _SMALL * max(before, 1.0):  # Newton's decrement: nothing to gain
            beta = beta - step
            break
        size = 1.0
        while (after := loss(beta - size * step)) > before and size > _SMALL:
            size /= 2
        beta, before = beta - size * step, after
    return beta[:-1], float(beta[-1])
