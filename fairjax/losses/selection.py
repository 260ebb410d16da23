"""The k-th largest of many numbers, exactly, in about one pass and without sorting them."""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from fairjax.losses.shards import Axis, total


class Candidates(NamedTuple):
    """A few of many numbers: every number above a bound that the k-th largest reaches.

    Attributes:
      bound: The bound L.
      values: [candidates], with each number that exceeds L as often as it occurs.
    """

    bound: Array
    values: Array


def kth_largest(
    values: Float[Array, "batch classes"],
    k: Int[Array, ""],
    *,
    at_most: Float[Array, " batch"],
    largest_k: int,
    axis: Axis = None,
) -> Float[Array, ""]:
    """The k-th largest of what is at most its row's limit, ties counted as often as they stand.

    Args:
      values: float32, without NaN; minus infinity marks what is not to be ranked.
      k: From 1 to `largest_k`, and to the number of values ranked; beyond, it is minus infinity.
      at_most: Each row's limit; plus infinity is none, minus infinity leaves the row out.
      largest_k: Upper limit of k, known at compile time.
      axis: The classes lie in shards over this mesh axis, and k counts through all of them. The
        shards exchange 64 counts.
    """
    few = candidates(values, k, at_most=at_most, largest_k=largest_k, axis=axis)
    return jnp.maximum(few.bound, kth_by_bisection(few.values, k, axis=axis))


def candidates(
    values: Float[Array, "batch classes"],
    k: Int[Array, ""] | int,
    *,
    at_most: Float[Array, " batch"],
    largest_k: int,
    axis: Axis = None,
) -> Candidates:
    """What can be the k-th largest; see `kth_largest` for the arguments.

    Each row is cut into groups, and L is the k-th largest of the groups' maxima. At least k numbers
    are L or more, so the k-th largest is; and what exceeds L lies in the fewer than k groups whose
    maximum does. So it is the k-th largest of those groups' members, or L if that is more.
    """
    rows, classes = values.shape
    # All maxima are searched, then the members of up to k groups: balance the two.
    size = min(classes, max(1, math.isqrt(values.size // largest_k)))
    size = next((s for s in range(size, size // 2, -1) if classes % s == 0), size)  # spares a copy
    groups = classes // size
    whole = groups * size
    limit = at_most[:, None]
    ranked = jnp.where(values <= limit, values, -jnp.inf)
    maxima = jnp.max(ranked[:, :whole].reshape(rows * groups, size), axis=1)
    low = kth_by_bisection(maxima, k, axis=axis)
    (chosen,) = jnp.nonzero(maxima > low, size=min(largest_k, maxima.size), fill_value=-1)
    row, start = chosen // groups, chosen % groups * size
    members = values[row[:, None], start[:, None] + jnp.arange(size)[None]]
    members = jnp.where(
        (chosen[:, None] >= 0) & (members <= at_most[row][:, None]), members, -jnp.inf
    )
    rest = ranked[:, whole:]
    return Candidates(low, jnp.concatenate([members.reshape(-1), rest.reshape(-1)]))


def kth_by_bisection(
    values: Float[Array, " values"], k: Int[Array, ""] | int, *, axis: Axis = None
) -> Float[Array, ""]:
    """The k-th largest, bit by bit from the highest; a pass over the values for each of 32.

    Args:
      values: float32, without NaN.
      k: From 1 to the number of values.
      axis: Mesh axis of the classes' shards, over all of which k counts; None for one array.
    """
    bits = lax.bitcast_convert_type(values, jnp.int32)
    # Order-preserving: a negative float's other bits count downwards.
    ordered = lax.bitcast_convert_type(
        jnp.where(bits < 0, ~bits, bits ^ jnp.int32(-(2**31))), jnp.uint32
    )

    def set_bit(i: Array, bits: Array) -> Array:
        trial = bits | (jnp.uint32(1) << (31 - i).astype(jnp.uint32))
        return jnp.where(total(jnp.sum(ordered >= trial), axis) >= k, trial, bits)

    none = total(jnp.zeros_like(ordered[0]), axis)  # of the type that the shards' counts have
    kth = lax.bitcast_convert_type(lax.fori_loop(0, 32, set_bit, none), jnp.int32)
    bits = jnp.where(kth < 0, kth ^ jnp.int32(-(2**31)), ~kth)
    return lax.bitcast_convert_type(bits, jnp.float32)
