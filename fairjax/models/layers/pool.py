"""The max-pool behind a ResNet's stem; its lowering follows the backend, its result does not."""

import jax.numpy as jnp
from jax import Array, lax

from fairjax.models.layers.backend import Images, Lowering, Maps, takes_cpu_form


def max_pool(x: Images, *, lowering: Lowering = "auto") -> Maps:
    """The 3x3 max-pool of stride 2 and padding 1 that follows a ResNet's first convolution.

    Where several pixels of a window share its maximum, the first in reading order receives the
    gradient, by either lowering.

    Args:
      x: Maps, channels last, at least one pixel in size.
      lowering: "lax" is `lax.reduce_window`; "patches" compares shifted slices; "auto" is
        "patches" on a CPU, where XLA's own backward pass sorts on one core, and "lax" elsewhere.

    Returns:
      Maps of `ceil(height / 2)` rows and `ceil(width / 2)` columns.
    """
    if not takes_cpu_form("max_pool", lowering):
        padding = ((0, 0), (1, 1), (1, 1), (0, 0))
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), padding)
    for axis in (2, 1):  # columns first, so that the first of equals is that of reading order
        x = _max_of_three(x, axis)
    return x


def _max_of_three(x: Array, axis: int) -> Array:
    """The largest of every second entry and its two neighbours, of equals the first."""
    count = x.shape[axis]
    sides = [(1, 1 + count % 2) if n == axis else (0, 0) for n in range(x.ndim)]
    x = jnp.pad(x, sides, constant_values=-jnp.inf)
    end = 2 * (-(-count // 2))
    before, middle, after = (
        lax.slice_in_dim(x, start, start + end, stride=2, axis=axis) for start in range(3)
    )
    largest = jnp.where(before >= middle, before, middle)
    return jnp.where(largest >= after, largest, after)
