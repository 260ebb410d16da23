"""A sample of a shard's classes: PartialFC."""

import jax
import jax.numpy as jnp
from jax import lax

from fairjax.heads.shard import Shard


def draw(shard: Shard, size: int, key: jax.Array) -> Shard:
    """The batch's classes, and others uniformly without replacement up to `size`.

    Args:
      shard: All classes of the shard.
      size: Classes in the sample; more where the batch alone has more.
      key: This shard's own.

    Source: An et al. 2022 (arXiv 2203.15565), Algorithm 1.
    """
    classes, batch = shard.kernel.shape[0], shard.local_label.shape[0]
    score = jnp.where(shard.counted, jax.random.uniform(key, (classes,)), -1.0)
    score = score.at[shard.local_label].set(2.0, mode="drop")  # the batch's, before all others
    width = min(classes, max(size, batch))  # room for a batch of different classes
    score, chosen = lax.top_k(score, width)
    counted = (score >= 0) & ((jnp.arange(width) < size) | (score > 1))
    slot = jnp.full(classes, width).at[chosen].set(jnp.arange(width), unique_indices=True)
    local_label = slot.at[shard.local_label].get(mode="fill", fill_value=width)
    return Shard(shard.kernel[chosen], local_label, counted)
