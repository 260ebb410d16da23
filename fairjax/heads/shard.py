"""What one shard of the classes is, and what a row asks of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fairjax.losses import FprPenalty, Margin, Penalty, TwoSided, split_target
from fairjax.losses.margin import Mask, Rows, State
from fairjax.losses.shards import Axis
from fairjax.models.cosine_head import two_sided_cosines, unit


class Shard(NamedTuple):
    """Classes of which one device has the weights, or a sample or a chunk of them.

    Attributes:
      kernel: Weights of the classes, of any length.
      local_label: Index here of each row's own class; the number of classes where it is not here.
      counted: False on classes that are no class, or are met elsewhere.
    """

    kernel: Float[Array, "classes dim"]
    local_label: Int[Array, " batch"]
    counted: Bool[Array, " classes"]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The loss's parts, and over what they are summed.

    Attributes:
      margin: What becomes of the cosines.
      penalty: What false positives cost, if anything.
      classes: How many classes are counted, over all shards.
      axis: The mesh axis of the shards, if there are any.
    """

    margin: Margin
    penalty: FprPenalty | None
    classes: int
    axis: Axis


# `(margined, state, mask) -> (logsumexp, penalty)`: of all classes but a row's own.
Reduce = Callable[[Rows, State, Mask], tuple[Rows, Penalty | None]]


def split_cosines(shard: Shard, embedding: jax.Array) -> tuple[TwoSided, TwoSided]:
    """Cosines with the own class [batch] and the others [batch, classes].

    The own class's are 0 where it is not here; the others' are minus infinity in its place and on
    what does not count.
    """
    here = shard.local_label < len(shard.kernel)
    sides = [
        split_target(jnp.where(shard.counted[None], cosines, -jnp.inf), shard.local_label)
        for cosines in two_sided_cosines(embedding, unit(shard.kernel).direction)
    ]
    target, others = zip(*sides, strict=True)
    return TwoSided(*(jnp.where(here, cosine, 0.0) for cosine in target)), TwoSided(*others)
