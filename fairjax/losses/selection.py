"""The k-th largest of many numbers, exactly, in about one pass and without sorting them."""

import math

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int


def kth_largest(
    values: Float[Array, "batch classes"],
    k: Int[Array, ""],
    *,
    at_most: Float[Array, " batch"],
    largest_k: int,
) -> Float[Array, ""]:
    """The k-th largest of what is at most its row's limit, ties counted as often as they stand.

    Each row is cut into groups, and L is the k-th largest of the groups' maxima. At least k numbers
    are L or more, so the answer is; and what exceeds L lies in the fewer than k groups whose
    maximum does. So the answer is the k-th largest of those groups' members, or L if that is more.

    Args:
      values: float32, without NaN; minus infinity marks what is not to be ranked.
      k: From 1 to `largest_k`, and to the number of values ranked; beyond, it is minus infinity.
      at_most: Each row's limit; plus infinity is none, minus infinity leaves the row out.
      largest_k: Known at compile time.
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
    low = _kth_by_bisection(maxima, k)
    (chosen,) = jnp.nonzero(maxima > low, size=min(largest_k, maxima.size), fill_value=-1)
    row, start = chosen // groups, chosen % groups * size
    members = values[row[:, None], start[:, None] + jnp.arange(size)[None]]
    members = jnp.where(
        (chosen[:, None] >= 0) & (members <= at_most[row][:, None]), members, -jnp.inf
    )
    rest = ranked[:, whole:]
    candidates = jnp.concatenate([members.reshape(-1), rest.reshape(-1)])
    return jnp.maximum(low, _kth_by_bisection(candidates, k))


def _kth_by_bisection(values: Float[Array, " values"], k: Int[Array, ""]) -> Float[Array, ""]:
    """The k-th largest, bit by bit from the highest; a pass over the values for each of 32."""
    bits = lax.bitcast_convert_type(values, jnp.int32)
    # Order-preserving: a negative float's other bits count downwards.
    ordered = lax.bitcast_convert_type(
        jnp.where(bits < 0, ~bits, bits ^ jnp.int32(-(2**31))), jnp.uint32
    )

    def place(i: Array, found: Array) -> Array:
        trial = found | (jnp.uint32(1) << (31 - i).astype(jnp.uint32))
        return jnp.where(jnp.sum(ordered >= trial) >= k, trial, found)

    found = lax.bitcast_convert_type(lax.fori_loop(0, 32, place, jnp.uint32(0)), jnp.int32)
    bits = jnp.where(found < 0, found ^ jnp.int32(-(2**31)), ~found)
    return lax.bitcast_convert_type(bits, jnp.float32)
