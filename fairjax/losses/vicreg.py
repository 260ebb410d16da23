"""VICReg: two views alike, every dimension spread, no two dimensions alike; no negatives."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Vectors = Float[Array, "batch dim"]
_EPSILON = 1e-4  # in the root of the variance, as the authors have it


class VicReg(NamedTuple):
    """The three terms, each of the whole batch and 0 or more.

    Attributes:
      invariance: Mean squared difference of the two views, over images and dimensions.
      variance: Mean over dimensions, and both views, of how far the deviation falls short of 1.
      covariance: Sum over both views of the squared covariances between different dimensions, over
        the number of dimensions.
    """

    invariance: Float[Array, ""]
    variance: Float[Array, ""]
    covariance: Float[Array, ""]


def vicreg(one: Vectors, other: Vectors, mask: Bool[Array, " batch"]) -> VicReg:
    r"""The terms of VICReg over the rows of the batch whose mask is True.

    With n rows of d dimensions, z the first view and z' the second,

        invariance = 1/(n d) sum |z - z'|^2
        variance   = 1/2 (v(z) + v(z')),  v(z) = 1/d sum_j max(0, 1 - sqrt(var z_j + 1e-4))
        covariance = c(z) + c(z'),        c(z) = 1/d sum_{j != k} cov(z_j, z_k)^2

    with variances and covariances of ddof 1.

    Args:
      one: Vector of each image's first view.
      other: Vector of each image's second view.
      mask: False on padding.

    Source: Bardes, Ponce and LeCun 2022 (arXiv 2105.04906), equations 1, 3 and 5, with the factors
      of the authors' code: invariance is a mean over dimensions too, and variance is halved.
    """
    rows = mask.sum().astype(jnp.float32)
    weight = mask.astype(jnp.float32)[:, None]
    dim = one.shape[1]

    def centred(z: Vectors) -> Vectors:
        z = z.astype(jnp.float32)
        mean = (z * weight).sum(axis=0, keepdims=True) / jnp.maximum(rows, 1.0)
        return (z - mean) * weight

    def shortfall(covariance: Float[Array, "dim dim"]) -> Float[Array, ""]:
        deviation = jnp.sqrt(jnp.diagonal(covariance) + _EPSILON)
        return jax.nn.relu(1.0 - deviation).mean()

    def between(covariance: Float[Array, "dim dim"]) -> Float[Array, ""]:
        off_diagonal = covariance * (1.0 - jnp.eye(dim))
        return jnp.square(off_diagonal).sum() / dim

    first, second = (
        view.T @ view / jnp.maximum(rows - 1.0, 1.0) for view in map(centred, (one, other))
    )
    difference = (one.astype(jnp.float32) - other.astype(jnp.float32)) * weight
    return VicReg(
        invariance=jnp.square(difference).sum() / (jnp.maximum(rows, 1.0) * dim),
        variance=(shortfall(first) + shortfall(second)) / 2,
        covariance=between(first) + between(second),
    )
