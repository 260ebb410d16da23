"""A sample of a shard's classes: PartialFC."""

import jax
import jax.numpy as jnp
from jax import lax

from fairjax.heads.shard import Shard


def draw(shard: Shard, size: int, key: jax.Array) -> tuple[Shard, jax.Array]:
    """The batch's classes, and others uniformly without replacement up to `size`.

    Args:
      shard: All classes of the shard.
      size: Classes in the sample; more where the batch alone has more.
      key: This shard's own.

    Returns:
      The sample as a shard, and which of the classes [classes] are in it.

    Source: An et al. 2022 (arXiv 2203.15565), Algorithm 1.
    """
    classes, batch = len(shard.kernel), len(shard.place)
    score = jnp.where(shard.counted, jax.random.uniform(key, (classes,)), -1.0)
    score = score.at[shard.place].set(2.0, mode="drop")  # before all others
    width = min(classes, max(size, batch))  # room for a batch of different classes
    score, chosen = lax.top_k(score, width)
    counted = (score >= 0) & ((jnp.arange(width) < size) | (score > 1))
    slot = jnp.full(classes, width).at[chosen].set(jnp.arange(width), unique_indices=True)
    place = slot.at[shard.place].get(mode="fill", fill_value=width)
    inside = jnp.zeros(classes, bool).at[chosen].set(counted, unique_indices=True)
    return Shard(shard.kernel[chosen], place, counted), inside


def sampled_classes(classes: int, rows: int, size: int, shards: int) -> int:
    """Over all shards of so many rows, how many classes a sample of `size` a shard holds."""
    own = [min(max(classes - number * rows, 0), rows) for number in range(shards)]
    return sum(min(size, count) for count in own)
