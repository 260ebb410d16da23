"""Mutual likelihood of probabilistic face embeddings (PFE): a mean and a variance a dimension.

Source: Shi and Jain 2019 (ICCV, arXiv 1904.09658), equations 3 and 4, and the authors' code.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def mutual_likelihood(
    first_mean: Float[Array, "pairs dim"],
    first_variance: Float[Array, "pairs dim"],
    second_mean: Float[Array, "pairs dim"],
    second_variance: Float[Array, "pairs dim"],
) -> Float[Array, " pairs"]:
    r"""Log-likelihood that two embeddings share a latent face, up to a constant.

    $-\sum_d \frac{(\mu_d - \mu'_d)^2}{\sigma_d^2 + \sigma'^2_d} + \log(\sigma_d^2 + \sigma'^2_d)$

    Args:
      first_mean: Unit vectors.
      first_variance: Variances of the first embeddings, above 0.
      second_mean: Unit vectors.
      second_variance: Variances of the second embeddings, above 0.

    Returns:
      Larger is more alike; unbounded on both sides.
    """
    variance = first_variance + second_variance
    return -(jnp.square(first_mean - second_mean) / variance + jnp.log(variance)).sum(axis=-1)


def genuine_pairs_loss(
    mean: Float[Array, "batch dim"],
    log_variance: Float[Array, "batch dim"],
    identity: Int[Array, " batch"],
    mask: Bool[Array, " batch"],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Minus the mutual likelihood of every ordered pair of images of one person.

    Args:
      mean: Unit vectors.
      log_variance: Logarithm of the variances.
      identity: Number of the person on each image.
      mask: False on padding.

    Returns:
      Sum and count over ordered pairs; both 0 where no person has two images. As in the authors'
      code 1e-10 is added to the denominator, in training only.
    """
    variance = jnp.exp(log_variance)
    total = variance[:, None] + variance[None]
    distance = jnp.square(mean[:, None] - mean[None])
    negative = (distance / (total + 1e-10) + jnp.log(total)).sum(axis=-1)
    genuine = (identity[:, None] == identity[None]) & mask[:, None] & mask[None]
    genuine &= ~jnp.eye(len(mask), dtype=bool)
    return jnp.where(genuine, negative, 0).sum(), genuine.sum().astype(mean.dtype)


def fused(
    mean: Float[Array, "images *batch dim"], variance: Float[Array, "images *batch dim"]
) -> tuple[Float[Array, "*batch dim"], Float[Array, "*batch dim"]]:
    """One embedding out of several images of a face.

    Args:
      mean: Unit vectors, an image along the first axis.
      variance: Variances of the vectors, above 0.

    Returns:
      The mean weighted by precision, scaled to length 1, and the least variance of each dimension.
    """
    weighed = (mean / variance).sum(axis=0) / (1 / variance).sum(axis=0)
    length = jnp.linalg.norm(weighed, axis=-1, keepdims=True)
    return weighed / (length + 1e-8), variance.min(axis=0)  # the authors' 1e-8
