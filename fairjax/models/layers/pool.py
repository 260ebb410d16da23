"""The max-pool behind a ResNet's stem; its lowering follows the backend, its result does not.

XLA's CPU backend is a hundred times slower at the backward pass of a max-pool than at elementwise
arithmetic, so there it is that.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array, lax

from fairjax.models.layers.conv import Images, Lowering, Maps
from fairjax.models.layers.once import once


def max_pool(x: Images, *, lowering: Lowering = "auto") -> Maps:
    """The 3x3 max-pool of stride 2 and padding 1 that follows a ResNet's first convolution.

    Where several pixels of a window share its maximum, the first in reading order receives the
    gradient, by either lowering.

    Args:
      x: Maps, channels last, at least one pixel in size.
      lowering: "lax" is `lax.reduce_window`; "patches" compares shifted slices, in both passes;
        "auto" is "patches" on CPU, where XLA's backward pass sorts on one core.

    Returns:
      Maps of `ceil(height / 2)` rows and `ceil(width / 2)` columns.
    """
    if lowering == "auto":
        lowering = "patches" if jax.default_backend() == "cpu" else "lax"
    if lowering == "patches":
        return _max_pool_slices(x)
    return nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))


@jax.custom_vjp
def _max_pool_slices(x: Array) -> Array:
    return _max_and_winner(x)[0]


def _max_pool_slices_forward(x: Array) -> tuple[Array, tuple[Array, Array]]:
    y, winner = _max_and_winner(x)
    return y, (once(winner), x[:0])  # no image, but their size


def _max_pool_slices_backward(saved: tuple[Array, Array], dy: Array) -> tuple[Array]:
    winner, no_image = saved
    nobody, nowhere = -1, 9
    # An even row is the middle (1) of its window. An odd one is the last (2) of its window and the
    # first (0) of the one below. Columns likewise: a pixel is in up to four windows.
    own, following = np.array([1, 2]), np.array([nowhere, 0])
    total = jnp.zeros((), dy.dtype)
    for down, rows in enumerate((own, following)):
        for right, columns in enumerate((own, following)):
            inside = (rows[:, None] != nowhere) & (columns != nowhere)
            at = np.where(inside, 3 * rows[:, None] + columns, nowhere).astype(np.float32)
            there, gradient = (
                _moved(_moved(a, down, 1, fill), right, 2, fill)[:, :, None, :, None]
                for a, fill in ((winner, float(nobody)), (dy, 0.0))
            )
            total += jnp.where(there == at[None, None, :, None, :, None], gradient, 0)
    _, height, width, channels = no_image.shape
    grid = total.reshape(len(dy), 2 * dy.shape[1], 2 * dy.shape[2], channels)
    return (grid[:, :height, :width],)


_max_pool_slices.defvjp(_max_pool_slices_forward, _max_pool_slices_backward)


def _max_and_winner(x: Array) -> tuple[Array, Array]:
    """What the max-pool says, and whom each window has it from: 0 to 8, in reading order."""
    _, height, width, _ = x.shape
    x = jnp.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), constant_values=-jnp.inf)
    row_max, column = _max_of_three(*_three(x, 2, -jnp.inf))
    rows, columns = _three(row_max, 1, -jnp.inf), _three(column, 1, 0.0)
    y, row = _max_of_three(*rows)
    winner = jnp.where(row == 0, columns[0], jnp.where(row == 1, columns[1], columns[2]))
    return y, 3 * row + winner


def _three(x: Array, axis: int, fill: float) -> tuple[Array, Array, Array]:
    """Along an axis of even length, every second entry between its neighbours; the first has none.

    Returns:
      Three arrays of half the length: the entries before, the entries themselves, those after.
    """
    pairs = x.reshape(*x.shape[:axis], -1, 2, *x.shape[axis + 1 :])
    even, odd = (lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in (0, 1))
    return _moved(odd, -1, axis, fill), even, odd


def _max_of_three(*three: Array) -> tuple[Array, Array]:
    """The largest, and which it is as a float32 0, 1 or 2; of equals the first."""
    largest = jnp.maximum(jnp.maximum(three[0], three[1]), three[2])
    one, two = jnp.float32(1), jnp.float32(2)
    which = jnp.where(three[0] == largest, 0, jnp.where(three[1] == largest, one, two))
    return largest, which


def _moved(x: Array, by: int, axis: int, fill: float) -> Array:
    """Each entry is the one `by` (-1, 0 or 1) further along the axis; past the end, `fill`."""
    if by == 0:
        return x
    n = x.shape[axis]
    kept = lax.slice_in_dim(x, max(by, 0), n + min(by, 0), axis=axis)
    edge = jnp.full_like(lax.slice_in_dim(x, 0, 1, axis=axis), fill)
    return jnp.concatenate([kept, edge] if by > 0 else [edge, kept], axis)
