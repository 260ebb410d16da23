"""How far a masked autoencoder's patches are from the true ones."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def normalised_patches(
    patches: Float[Array, "batch patches pixels"],
) -> Float[Array, "batch patches pixels"]:
    """Each patch less its mean, over its deviation: (p - mean) / sqrt(var + 1e-6), var of ddof 1.

    Source: He et al. 2022 (arXiv 2111.06377), section 3, "reconstruction target"; the unbiased
      variance is the reference code's.
    """
    patches = patches.astype(jnp.float32)
    mean = patches.mean(axis=-1, keepdims=True)
    return (patches - mean) / jnp.sqrt(patches.var(axis=-1, ddof=1, keepdims=True) + 1e-6)


def masked_patch_error(
    predictions: Float[Array, "batch patches pixels"],
    targets: Float[Array, "batch patches pixels"],
    mask: Float[Array, "batch patches"],
) -> Float[Array, " batch"]:
    """Squared error, averaged over the pixels of the removed patches of each image.

    Args:
      predictions: Pixels drawn for every patch; those of kept patches do not count.
      targets: The true patches, normalised or not.
      mask: 1 is removed, 0 is kept; at least one patch of each image is removed.
    """
    error = jnp.square(predictions.astype(jnp.float32) - targets).mean(axis=-1)
    return (error * mask).sum(axis=1) / mask.sum(axis=1)
