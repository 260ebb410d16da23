"""Cosines between embeddings and class weights."""

import jax
from jaxtyping import Array, Float

Embeddings = Float[Array, "batch dim"]
Weights = Float[Array, "classes dim"]
Cosines = Float[Array, "batch classes"]


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
