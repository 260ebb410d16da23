"""GAC's losses: attention that differs between groups, and equal spread within identities.

Source: Gong, Liu, Jain 2021 (CVPR, arXiv 2006.07576), section 3, and the authors' code.
"""

from collections.abc import Sequence
from itertools import combinations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def attention_loss(
    attention: Sequence[Float[Array, "groups _"]],
) -> Float[Array, ""]:
    r"""How alike the groups' attentions are: $\sum_{i<j} \mathrm{mean}((s_i s_j^T - I)^2)$.

    Args:
      attention: For each site of the network the groups' channel gains, after the sigmoid, in
        (0, 1).

    Returns:
      The sum over sites and unordered pairs of groups, 0 or more.
    """
    total = jnp.zeros((), attention[0].dtype)
    for gains in attention:
        identity = jnp.eye(gains.shape[1], dtype=gains.dtype)
        for first, second in combinations(range(len(gains)), 2):
            total += jnp.square(jnp.outer(gains[first], gains[second]) - identity).mean()
    return total


def spread_gap(
    features: Float[Array, "batch dim"],
    identity: Int[Array, " batch"],
    group: Int[Array, " batch"],
    mask: Bool[Array, " batch"],
    *,
    groups: int,
) -> Float[Array, ""]:
    """How unequal the groups' spread within identities is: their mean absolute deviation.

    An identity's spread is the mean squared distance of its images from their mean; a group's is
    the mean over its identities. Groups without an image in the batch are left out.

    Args:
      features: Features of the images, not normalised.
      identity: Number of the person on each image.
      group: Group of each image, the same for all images of a person; negative is unknown.
      mask: False on padding.
      groups: How many groups there are.

    Returns:
      0 or more, in squared units of the features; 0 where fewer than two groups are present.
    """
    known = mask & (group >= 0)
    same = ((identity[:, None] == identity[None]) & known[:, None] & known[None]).astype(
        features.dtype
    )
    images = jnp.maximum(same.sum(axis=1), 1)
    centre = (same @ features) / images[:, None]
    distance = jnp.square(features - centre).sum(axis=1)
    member = ((group[:, None] == jnp.arange(groups)[None]) & known[:, None]).astype(features.dtype)
    weight = member / images[:, None]  # the images of an identity weigh 1 together
    identities = weight.sum(axis=0)
    present = identities > 0
    spread = (weight * distance[:, None]).sum(axis=0) / jnp.where(present, identities, 1)
    count = jnp.maximum(present.sum(), 1)
    mean = jnp.where(present, spread, 0).sum() / count
    return jnp.where(present, jnp.abs(spread - mean), 0).sum() / count


def mask_distance(masks: Float[Array, " groups *kernel"]) -> Float[Array, ""]:
    """How far apart the groups' kernel masks are: minus the mean cosine over pairs of groups.

    Args:
      masks: One kernel mask a group.

    Returns:
      In [-1, 1]; -1 where all masks have one direction, as at the start. A mask of zeros has no
      direction: its cosines and its gradient are 0.
    """
    flat = masks.reshape(len(masks), -1)
    squared = jnp.square(flat).sum(axis=1, keepdims=True)
    known = squared > 0
    unit = jnp.where(known, flat / jnp.sqrt(jnp.where(known, squared, 1.0)), 0.0)
    first, second = jnp.triu_indices(len(flat), k=1)
    return -(unit[first] * unit[second]).sum(axis=1).mean()
