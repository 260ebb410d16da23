"""Arrays that XLA's CPU backend may not compute twice."""

from jax import Array


def once(x: Array) -> Array:
    """The same numbers, which XLA's CPU backend computes once and keeps for all that read them.

    It repeats arithmetic inside each operation that reads its result, and turns a product's factor
    round inside the product, however slow either is. But it never repeats a division, and ignores
    `lax.optimization_barrier` when it decides so. Infinities become NaN.
    """
    return x / (1 + 0 * x)
