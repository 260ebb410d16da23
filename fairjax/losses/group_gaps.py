"""Penalties on gaps between groups, and weights that look after the worst group."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def group_means(
    values: Float[Array, " batch"],
    group: Int[Array, " batch"],
    mask: Bool[Array, " batch"],
    *,
    groups: int,
) -> tuple[Float[Array, " groups"], Bool[Array, " groups"]]:
    """Mean of each group, and whether it has a row in the batch; 0 where it has none.

    Args:
      values: One value a row.
      group: Group of each row; negative is unknown.
      mask: False on padding.
      groups: How many groups there are.
    """
    member = (group[:, None] == jnp.arange(groups)[None]) & mask[:, None]
    count = member.sum(axis=0)
    mean = jnp.where(member, values[:, None], 0).sum(axis=0) / jnp.maximum(count, 1)
    return mean, count > 0


def gap_between_groups(
    values: Float[Array, " batch"],
    group: Int[Array, " batch"],
    mask: Bool[Array, " batch"],
    *,
    groups: int,
) -> Float[Array, ""]:
    """Mean absolute deviation of the groups' means from the mean over all rows.

    With the probability of the positive class as `values`, this penalises a gap in demographic
    parity; with `mask` restricted to positives, one in equal opportunity. Groups without a row are
    left out.

    Args:
      values: One value a row, such as a probability.
      group: Group of each row; negative is unknown.
      mask: Rows that count.
      groups: How many groups there are.
    """
    known = mask & (group >= 0)
    mean, present = group_means(values, group, known, groups=groups)
    overall = jnp.where(known, values, 0).sum() / jnp.maximum(known.sum(), 1)
    deviation = jnp.where(present, jnp.abs(mean - overall), 0)
    return deviation.sum() / jnp.maximum(present.sum(), 1)


def robust_weights(
    weights: Float[Array, " groups"],
    losses: Float[Array, " groups"],
    present: Bool[Array, " groups"],
    *,
    step: float,
) -> Float[Array, " groups"]:
    r"""Group weights after one exponentiated-gradient step: $q_g e^{\eta L_g}$, normalised.

    Args:
      weights: Before the step; they sum to 1.
      losses: Mean loss of each group in the batch.
      present: Whether the group has a row in the batch; the loss of an absent one counts as 0.
      step: eta, 0 or more.

    Returns:
      Weights that sum to 1; they carry no gradient.

    Source: Sagawa et al. 2020 (arXiv 1911.08731), algorithm 1.
    """
    exponent = jnp.where(present, step * losses, 0)
    return jax.lax.stop_gradient(jax.nn.softmax(jnp.log(weights) + exponent))
