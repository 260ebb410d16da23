"""Logistic regression of few variables and many rows, by Newton's method.

Rows are passed over in blocks, so a fit needs little memory beside the variables. Many rows start
from the fit of every k-th one, and then need two or three passes.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy import special

from fairjax.core.blocks import blocks

_STEPS, _SMALL, _SHORTEST = 200, 1e-13, 1e-6
_ROUNDING = 1e-12  # of the loss: a smaller rise is no rise
_BLOCK = 1 << 13  # rows at a time: they stay in the cache, and products start no threads
_MANY = 100_000  # rows from which a fit starts on a part of them


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
    beta = np.zeros(variables.shape[1] + 1)
    if len(label) >= _MANY:
        part = slice(None, None, len(label) // (_MANY // 10))
        if 0 < label[part].sum() < len(label[part]):
            some = None if weight is None else weight[part]
            slope, intercept = fit_logistic(
                variables[part], label[part], weight=some, penalty=max(penalty, 1e-3)
            )
            beta = np.append(slope, intercept)
    strength = np.append(np.full(variables.shape[1], penalty), 0.0)
    sums = _Sums(variables, label, weight, strength)
    before, gradient, curved = sums.at(beta)
    for _ in range(_STEPS):
        step = np.linalg.solve(curved, gradient)
        size = 1.0
        after, gradient_after, curved_after = sums.at(beta - step)
        while after > before * (1 + _ROUNDING) and size > _SHORTEST:
            size /= 2
            after, gradient_after, curved_after = sums.at(beta - size * step)
        beta = beta - size * step
        gained = float(gradient @ step)  # Newton's decrement
        if gained <= _SMALL * max(before, 1.0):
            break
        before, gradient, curved = after, gradient_after, curved_after
    return beta[:-1], float(beta[-1])


class _Sums:
    """The loss, its gradient and its curvature, summed over blocks of rows."""

    def __init__(
        self,
        variables: np.ndarray,
        label: np.ndarray,
        weight: np.ndarray | None,
        strength: np.ndarray,
    ) -> None:
        self.variables, self.label, self.weight = variables, label, weight
        self.strength = strength

    def at(self, beta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        loss = float(self.strength @ beta**2) / 2
        gradient = self.strength * beta
        curved = np.diag(self.strength)
        total = 0.0
        for rows in blocks(len(self.label), _BLOCK):
            label = self.label[rows]
            x = np.column_stack([self.variables[rows], np.ones(len(label))]).astype(np.float64)
            w = np.ones(len(label)) if self.weight is None else self.weight[rows]
            eta = x @ beta
            p = special.expit(eta)
            # log(1 + exp(-|eta|)) + max(-eta, 0) of a positive row: exact, and finite anywhere
            wrong_way = np.where(label, -eta, eta)
            loss += float(w @ (np.log1p(np.exp(-np.abs(eta))) + np.maximum(wrong_way, 0.0)))
            gradient = gradient + x.T @ (w * (p - label))
            curved = curved + (x * (w * p * (1 - p))[:, None]).T @ x
            total += float(w.sum())
        return loss, gradient, curved + 1e-12 * total * np.eye(len(beta))
