"""The k-th largest of many numbers, exactly, without sorting them."""

from jax import lax
from jaxtyping import Array, Float, Int


def kth_largest(
    values: Float[Array, "batch classes"], k: Int[Array, ""], *, largest_k: int
) -> Float[Array, ""]:
    """The k-th largest, ties counted as often as they stand.

    Args:
      values: float32; minus infinity marks what is not to be ranked.
      k: From 1 to `largest_k`.
      largest_k: Known at compile time.
    """
    best, _ = lax.top_k(values.reshape(-1), largest_k)
    return best[k - 1]
