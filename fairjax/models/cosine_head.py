"""Class weights, and their cosines with embeddings, in float32."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

Embeddings = Float[Array, "batch dim"]
Weights = Float[Array, "classes dim"]
Cosines = Float[Array, "batch classes"]


class Unit(NamedTuple):
    """Vectors of length 1, and the length they had.

    Attributes:
      direction: float32 [rows, dim].
      length: float32 [rows].
    """

    direction: Array
    length: Array


def unit(vectors: Float[Array, "rows dim"]) -> Unit:
    """Scales each row to length 1.

    A row shorter than 1e-12 has no direction: its result and its gradient are 0, and its length
    counts as 1e-12.
    """
    vectors = vectors.astype(jnp.float32)
    squared = jnp.sum(vectors * vectors, axis=1)
    length = jnp.sqrt(jnp.maximum(squared, 1e-24))
    known = (squared > 1e-24)[:, None]
    return Unit(jnp.where(known, vectors / length[:, None], 0.0), length)


class CosineHead(nn.Module):
    """One weight vector a class, a row each, started at N(0, 0.01) and float32.

    A class is a row so that shards and samples of the classes are runs of rows. As an array of two
    axes it is decayed like any kernel.

    Attributes:
      classes: Number of classes.
      rows: Rows of the weights; those beyond the classes start at zero, and nothing moves them.
    """

    classes: int
    rows: int

    @nn.compact
    def __call__(
        self, embeddings: Float[Array, "batch dim"]
    ) -> tuple[Unit, Float[Array, "rows dim"]]:
        """Normalises embeddings `[batch, dim]`, and hands out the class weights as they are."""
        shape = (self.rows, embeddings.shape[1])
        return unit(embeddings), self.param("kernel", self._start, shape)

    def _start(self, key: Array, shape: tuple[int, int]) -> Array:
        kernel = nn.initializers.normal(0.01)(key, shape, jnp.float32)
        return jnp.where(jnp.arange(self.rows)[:, None] < self.classes, kernel, 0.0)


@jax.custom_vjp
def two_sided_cosines(embeddings: Embeddings, weights: Weights) -> tuple[Cosines, Cosines]:
    """The products of unit embeddings and unit weights, twice.

    Both are one array, and cost one multiplication forward and two back. The gradient of the first
    reaches embeddings and weights; that of the second stops short of the weights.
    """
    cosines = embeddings @ weights.T
    return cosines, cosines


def _forward(
    embeddings: Embeddings, weights: Weights
) -> tuple[tuple[Cosines, Cosines], tuple[Embeddings, Weights]]:
    return two_sided_cosines(embeddings, weights), (embeddings, weights)


def _backward(
    saved: tuple[Embeddings, Weights], grads: tuple[Cosines, Cosines]
) -> tuple[Embeddings, Weights]:
    embeddings, weights = saved
    through_both, through_embedding = grads
    return (through_both + through_embedding) @ weights, through_both.T @ embeddings


two_sided_cosines.defvjp(_forward, _backward)
