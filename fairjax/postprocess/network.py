"""A network of one hidden layer in numpy, its gradient, and Adam: small enough for any machine."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

Weights = dict[str, np.ndarray]


def new_network(dim: int, hidden: int, *, residual: bool, seed: int) -> Weights:
    """Weights of dim -> hidden (ReLU) -> dim: He's start, or one that changes nothing.

    Args:
      dim: Length of an embedding.
      hidden: Width of the hidden layer.
      residual: Whether the network adds to its input; its last layer then starts at 0.
      seed: Non-negative.
    """
    rng = np.random.default_rng([seed, 0])
    last = np.zeros((hidden, dim)) if residual else rng.normal(0, hidden**-0.5, (hidden, dim))
    return {
        "first": rng.normal(0, (2 / dim) ** 0.5, (dim, hidden)),
        "first_bias": np.zeros(hidden),
        "last": last,
        "last_bias": np.zeros(dim),
    }


def forward(
    weights: Weights, x: Float[np.ndarray, "batch dim"], *, residual: bool
) -> tuple[Float[np.ndarray, "batch dim"], Float[np.ndarray, "batch hidden"]]:
    """The network's output, of any length, and its hidden layer.

    Args:
      weights: From `new_network`.
      x: Embeddings of unit length.
      residual: Whether the input is added to the output.
    """
    hidden = np.maximum(x @ weights["first"] + weights["first_bias"], 0)
    out = hidden @ weights["last"] + weights["last_bias"]
    return (out + x if residual else out), hidden


def backward(
    weights: Weights,
    x: Float[np.ndarray, "batch dim"],
    hidden: Float[np.ndarray, "batch hidden"],
    slope: Float[np.ndarray, "batch dim"],
) -> Weights:
    """Gradients of the weights from the gradient of the output.

    Args:
      weights: From `new_network`.
      x: Input of `forward`.
      hidden: Hidden layer of `forward`.
      slope: Gradient of the loss to the output.
    """
    below = (slope @ weights["last"].T) * (hidden > 0)
    return {
        "first": x.T @ below,
        "first_bias": below.sum(axis=0),
        "last": hidden.T @ slope,
        "last_bias": slope.sum(axis=0),
    }


def unit_slope(
    out: Float[np.ndarray, "rows dim"], slope: Float[np.ndarray, "rows dim"]
) -> Float[np.ndarray, "rows dim"]:
    """Gradient to vectors from the gradient to these vectors divided by their length.

    Args:
      out: The vectors, none of them zero.
      slope: Gradient of the loss to the vectors of unit length.
    """
    length = np.linalg.norm(out, axis=1, keepdims=True)
    unit = out / length
    return (slope - unit * np.sum(unit * slope, axis=1, keepdims=True)) / length


class Adam:
    """Adam with its customary settings, in place.

    Args:
      weights: Arrays that are moved.
      rate: Learning rate.
    """

    def __init__(self, weights: Weights, *, rate: float) -> None:
        self.weights, self.rate, self.step = weights, rate, 0
        self.mean = {name: np.zeros_like(array) for name, array in weights.items()}
        self.square = {name: np.zeros_like(array) for name, array in weights.items()}

    def update(self, gradients: Weights) -> None:
        """One step.

        Args:
          gradients: One array for each weight, by its name.
        """
        self.step += 1
        for name, gradient in gradients.items():
            self.mean[name] += 0.1 * (gradient - self.mean[name])
            self.square[name] += 0.001 * (gradient**2 - self.square[name])
            mean = self.mean[name] / (1 - 0.9**self.step)
            square = self.square[name] / (1 - 0.999**self.step)
            self.weights[name] -= self.rate * mean / (np.sqrt(square) + 1e-8)


def batches(rows: int, *, size: int, epochs: int, seed: int) -> Iterator[Int[np.ndarray, " batch"]]:
    """Rows of every batch, shuffled anew each epoch.

    Args:
      rows: How many rows there are.
      size: Rows of a batch; the last one of an epoch may have fewer.
      epochs: How often each row is seen.
      seed: Non-negative.
    """
    rng = np.random.default_rng([seed, 1])
    for _ in range(epochs):
        order = rng.permutation(rows)
        for start in range(0, rows, size):
            yield order[start : start + size]
