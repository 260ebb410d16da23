"""Losses between images of a batch whose people are known.

Under jit the batch is the global one: images on all devices are compared with each other.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

Rows = Float[Array, " batch"]
Square = Float[Array, "batch batch"]
Chosen = Bool[Array, "batch batch"]


def same_person(labels: Int[Array, " batch"], mask: Bool[Array, " batch"]) -> Chosen:
    """Whether two rows are images of one person; a row is of one person with itself.

    Args:
      labels: Person of each row.
      mask: False on padding, which is of nobody.
    """
    return (labels[:, None] == labels[None]) & mask[:, None] & mask[None]


class Partners(NamedTuple):
    """One pair of images for each person with two images or more in the batch.

    Attributes:
      second: For each row, the second image of its person; means nothing where `paired` is False.
      paired: True on the first image of each such person.
    """

    second: Int[Array, " batch"]
    paired: Bool[Array, " batch"]


def one_pair_a_person(same: Chosen) -> Partners:
    """The first two images of each person in the batch.

    Args:
      same: What `same_person` returns.
    """
    row = jnp.arange(len(same))
    later = same & (row[None] > row[:, None])
    earlier = same & (row[None] < row[:, None])
    return Partners(jnp.argmax(later, axis=1), later.any(axis=1) & ~earlier.any(axis=1))


def unified_threshold_loss(
    cosines: Float[Array, "batch partners"],
    own: Bool[Array, "batch partners"],
    counted: Bool[Array, "batch partners"],
    threshold: Float[Array, ""],
    *,
    scale: float,
    margin: float,
) -> Rows:
    r"""USS: one threshold for all pairs of images, learned.

    $\sum_{own} \ln(1 + e^{-(s (c - m) - b)}) + \sum_{others} \ln(1 + e^{s c - b})$ for each row.

    Args:
      cosines: c, cosines of each row with images of its own person and of others.
      own: Whether the partner is of the row's own person.
      counted: Pairs that count.
      threshold: b, the threshold's logit: a pair is accepted from the cosine b / s.
      scale: s, above 0.
      margin: m, taken off the cosines of own pairs.

    Returns:
      Nats, 0 or more; 0 for a row without a pair that counts.

    Source: Li et al. 2023 (UniTSFace, NeurIPS, arXiv 2311.02523). Differs from the authors' program
      in: logits are not clipped to [-s, s].
    """
    genuine = jax.nn.softplus(threshold - scale * (cosines - margin))
    impostor = jax.nn.softplus(scale * cosines - threshold)
    return jnp.where(counted, jnp.where(own, genuine, impostor), 0.0).sum(axis=1)


class TprPenalty(NamedTuple):
    """What missed pairs of one person cost.

    Attributes:
      penalty: For each row the mean of the squared distances of its missed pairs.
      tpr: For each row the share of pairs, itself included, that reach the threshold.
      centre: mu, the mean cosine of the batch's pairs that reach the threshold.
    """

    penalty: Rows
    tpr: Rows
    centre: Float[Array, ""]


def instance_tpr_penalty(cosines: Square, same: Chosen, threshold: Float[Array, ""]) -> TprPenalty:
    r"""How far each image's pairs with its own person lie below the accepted ones.

    $\frac1{K_a} \sum_b ([p_{ab} < T] (\mu - p_{ab}))^2$ over the $K_a$ images b of a's person in
    the batch, a itself included, with $\mu$ the mean of all $p_{ab} \ge T$.

    Args:
      cosines: p, cosines between the rows.
      same: What `same_person` returns.
      threshold: T; carries no gradient.

    Source: Xu et al. (IC-FFR, TPAMI 2025), and the authors' program. Differs from it in: people may
      have any number of images in the batch.
    """
    threshold = jax.lax.stop_gradient(threshold)
    reached, missed = same & (cosines >= threshold), same & (cosines < threshold)
    centre = jnp.where(reached, cosines, 0.0).sum() / jnp.maximum(reached.sum(), 1)
    images = jnp.maximum(same.sum(axis=1), 1)
    distance = jnp.where(missed, centre - cosines, 0.0)
    return TprPenalty((distance**2).sum(axis=1) / images, reached.sum(axis=1) / images, centre)


def hardest(cosines: Square, candidates: Chosen, *, count: int) -> Chosen:
    """The candidates of each row with the largest cosines, `count` of them or all there are.

    Args:
      cosines: Cosines between the rows.
      candidates: Pairs to choose from.
      count: How many are kept for each row, 1 or more; ties at the last place are kept too.
    """
    values = jnp.where(candidates, jax.lax.stop_gradient(cosines), -jnp.inf)
    least = jax.lax.top_k(values, min(count, len(values)))[0][:, -1:]
    return candidates & (values >= least)


def supervised_contrastive(
    cosines: Square, positives: Chosen, negatives: Chosen, *, temperature: float
) -> Rows:
    r"""Supervised contrastive loss with negatives that are chosen for each row.

    $-\frac{1}{|P|} \sum_{p \in P} \ln \frac{e^{c_p / \tau}}{\sum_{a \in P \cup N} e^{c_a / \tau}}$.

    Args:
      cosines: c, cosines between the rows.
      positives: P, other images of the row's person.
      negatives: N, images of other people.
      temperature: tau, above 0.

    Returns:
      Nats, 0 or more; 0 for a row without a positive.

    Source: Khosla et al. 2020 (arXiv 2004.11362), equation 2.
    """
    logits = cosines / temperature
    counted = positives | negatives
    has = positives.any(axis=1)
    # A row without any pair gets one finite logit, so that its gradient is 0 and not NaN.
    seen = counted | (~counted.any(axis=1))[:, None]
    total = jax.nn.logsumexp(jnp.where(seen, logits, -jnp.inf), axis=1)
    count = jnp.maximum(positives.sum(axis=1), 1)
    mean = jnp.where(positives, logits, 0.0).sum(axis=1) / count
    return jnp.where(has, total - mean, 0.0)


def balanced_weights(
    group: Int[Array, " batch"], anchors: Bool[Array, " batch"], *, groups: int
) -> Rows:
    """Weights of rows, N / (D N_g): each of the D groups present weighs the same in the mean.

    Args:
      group: Group of each row, in [0, groups) on anchors.
      anchors: The N rows that count.
      groups: How many groups there are.
    """
    member = (group[:, None] == jnp.arange(groups)[None]) & anchors[:, None]
    size = member.sum(axis=0)
    present = jnp.maximum((size > 0).sum(), 1)
    own = jnp.where(member, size[None], 0).sum(axis=1)
    return jnp.where(anchors, anchors.sum() / (present * jnp.maximum(own, 1)), 0.0)
