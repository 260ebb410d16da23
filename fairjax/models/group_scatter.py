"""How tight and how far apart the people of each group lie: the measures of margins by group."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fairjax.core.types import PyTree
from fairjax.models.cosine_head import unit


class Scatter(NamedTuple):
    """Two numbers a group, both cosines.

    Attributes:
      intra: Mean over the group's people of their images' mean cosine with the person's centre.
      inter: Mean over the group's people of the largest cosine of the person's centre with that of
        another person of the group.
      known: Whether the group has two people or more, images among them.
    """

    intra: Float[Array, " groups"]
    inter: Float[Array, " groups"]
    known: Bool[Array, " groups"]


def group_scatter(
    centres: Float[Array, "classes dim"],
    cosines: Float[Array, " classes"],
    images: Float[Array, " classes"],
    group: Int[Array, " classes"],
    *,
    groups: int,
    chunk: int = 1024,
) -> Scatter:
    """How tight and how far apart the people of each group lie.

    Args:
      centres: Unit vector of each person.
      cosines: Sum over each person's images of their cosine with the centre.
      images: How many images that is; people without one are left out.
      group: Group of each person; negative is unknown.
      groups: How many groups there are.
      chunk: People whose cosines with all others are in memory at a time.
    """
    member = (group[:, None] == jnp.arange(groups)[None]) & (images > 0)[:, None]
    size = member.sum(axis=0)
    there = member.any(axis=1)

    def nearest(number: Array) -> Array:
        """Largest cosine of a person's centre with another's of the group, -2 without one."""
        rows = jnp.minimum(number, len(group) - 1)
        same = (group[rows][:, None] == group[None]) & there[None]
        same &= rows[:, None] != jnp.arange(len(group))[None]
        return jnp.max(jnp.where(same, centres[rows] @ centres.T, -2.0), axis=1)

    width = min(chunk, len(group))
    count = -(-len(group) // width)
    largest = jax.lax.map(nearest, jnp.arange(count * width).reshape(count, width))
    largest = largest.reshape(-1)[: len(group)]

    def mean(values: Array) -> Array:
        return jnp.where(member, values[:, None], 0.0).sum(axis=0) / jnp.maximum(size, 1)

    return Scatter(mean(cosines / jnp.maximum(images, 1.0)), mean(largest), size > 1)


def biases(kernel: jax.Array, state: PyTree, *, groups: int, anchor: int) -> Scatter:
    """Each group's distances from the reference group, 0 or more, within and between people.

    Args:
      kernel: Class weights [classes, dim], of any length: the people's centres.
      state: What the loss of `rl_rbn` collected: "cosines", "images" and "group" of each person.
      groups: How many groups there are.
      anchor: The reference's number.

    Returns:
      Absolute differences; `known` where both the group and the reference are.
    """
    scatter = group_scatter(
        unit(kernel).direction, state["cosines"], state["images"], state["group"], groups=groups
    )
    return Scatter(
        jnp.abs(scatter.intra - scatter.intra[anchor]),
        jnp.abs(scatter.inter - scatter.inter[anchor]),
        scatter.known & scatter.known[anchor],
    )


def without_counts(state: PyTree) -> PyTree:
    """The state of `rl_rbn` with nothing collected."""
    return {
        **state,
        "cosines": jnp.zeros_like(state["cosines"]),
        "images": jnp.zeros_like(state["images"]),
    }
