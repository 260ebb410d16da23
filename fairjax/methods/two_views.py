"""Shared parts of the methods that compare two views of an image."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from fairjax.core.types import Batch
from fairjax.losses import alignment, feature_std, masked_sum, uniformity
from fairjax.losses.contrastive import unit

Scalars = dict[str, tuple[jax.Array, jax.Array]]
# By the name of a space, both views' vectors in it, [batch, dim].
Pairs = Mapping[str, tuple[jax.Array, jax.Array]]


def two_views(
    batch: Batch, preprocess: Callable[[jax.Array], jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """The network's input from both views of a batch.

    Raises:
      ValueError: If there is one view.
    """
    if "image_2" not in batch:
        raise ValueError("this method compares two views of an image; set config.input.views=2.")
    return preprocess(batch["image"]), preprocess(batch["image_2"])


def averaged(parts: Mapping[str, jax.Array], mask: jax.Array) -> Scalars:
    """Each loss, one value an image, as (sum, count) for the log."""
    return {f"{name}_loss": masked_sum(values, mask) for name, values in parts.items()}


def watched(pairs: Pairs, mask: jax.Array) -> Scalars:
    """Measures, during training, of whether a space collapses: alignment, spread, uniformity."""
    count, scalars = jnp.float32(1.0), Scalars()
    for name, (first, second) in pairs.items():
        scalars[f"{name}_alignment"] = masked_sum(alignment(first, second), mask)
        scalars[f"{name}_feature_std"] = (feature_std(first, mask), count)
        scalars[f"{name}_uniformity"] = (uniformity(first, mask), count)
    return scalars


def columns(pairs: Pairs) -> dict[str, jax.Array]:
    """The same for an evaluation: each image's alignment, and the first view's unit vector."""
    by_name = {}
    for name, (first, second) in pairs.items():
        by_name[f"alignment_{name}"] = alignment(first, second)
        by_name[f"embedding_{name}"] = unit(first)
    return by_name
