"""A 3x3 convolution with 4 multiplications where 9 are due, from matrix products alone.

A tile of 4x4 pixels, its neighbours two pixels away, gives 2x2 of the result. Sums and differences
of its pixels, times those of the kernel, are 16 products of channels; sums and differences of them
are the result. The gradient of the kernel needs 16 products a tile likewise.
"""

from collections.abc import Sequence
from functools import partial, reduce
from operator import add

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from fairjax.models.layers.kernel_gradient import kernel_gradient
from fairjax.models.layers.once import once

# Lavin and Gray's B transposed, G and A transposed, for F(2x2, 3x3).
_FROM_PIXELS = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
_FROM_KERNEL = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]], np.float32) / 2
_TO_RESULT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])

_Grid = Sequence[Sequence[Array]]


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv_winograd(x: Array, kernel: Array, padding: int) -> Array:
    """Cross-correlates float32 `x` with a 3x3 `kernel` at stride 1.

    Rounding errors are up to a few times a plain convolution's. Infinities become NaN.

    Args:
      x: `[batch, height, width, channels]`.
      kernel: `[3, 3, channels, features]`.
      padding: Zeros added on each of the four sides, 0 to 2.

    Returns:
      `[batch, height + 2 * padding - 2, width + 2 * padding - 2, features]`.

    Source: Lavin and Gray 2015 (arXiv 1509.09308), equations 7 and 8.
    """
    return once(_result(once(x), kernel, padding))


def _forward(x: Array, kernel: Array, padding: int) -> tuple[Array, tuple[Array, Array]]:
    x = once(x)
    return once(_result(x, kernel, padding)), (x, kernel)


def _backward(padding: int, saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    dy = once(dy)
    turned = once(kernel[::-1, ::-1].swapaxes(2, 3))
    return _result(dy, turned, 2 - padding), _kernel_gradient(x, dy, padding)


conv_winograd.defvjp(_forward, _backward)


def _result(x: Array, kernel: Array, padding: int) -> Array:
    factors = jnp.dot(np.kron(_FROM_KERNEL, _FROM_KERNEL), kernel.reshape(9, -1))
    grid, of_pixels = _of_pixels(x, padding)
    products = jnp.matmul(of_pixels, factors.reshape(16, *kernel.shape[2:]))
    blocks = _both_ways(_TO_RESULT, products.reshape(4, 4, *grid, -1))
    y = jnp.stack([jnp.stack(row, axis=3) for row in blocks], axis=2)
    batch, height, width = grid
    rows, columns = (n + 2 * padding - 2 for n in x.shape[1:3])
    return y.reshape(batch, 2 * height, 2 * width, -1)[:, :rows, :columns]


def _kernel_gradient(x: Array, dy: Array, padding: int) -> Array:
    channels, features = x.shape[-1], dy.shape[-1]
    if min(channels, features) < 128:  # the CPU is slow to turn a narrow factor of a product round
        return kernel_gradient(x, dy, 3, 1, padding)
    (batch, height, width), of_pixels = _of_pixels(x, padding)
    sides = [(0, n % 2) for n in dy.shape[1:3]]
    blocks = jnp.pad(dy, ((0, 0), *sides, (0, 0))).reshape(batch, height, 2, width, 2, features)
    of_result = _flat(
        _both_ways(_TO_RESULT.T, [[blocks[:, :, i, :, j] for j in range(2)] for i in range(2)])
    )
    over_tiles = (((1,), (1,)), ((0,), (0,)))
    products = lax.dot_general(of_pixels, of_result, over_tiles)
    gradient = jnp.dot(np.kron(_FROM_KERNEL, _FROM_KERNEL).T, products.reshape(16, -1))
    return gradient.reshape(3, 3, channels, features)


def _of_pixels(x: Array, padding: int) -> tuple[tuple[int, int, int], Array]:
    """The tiles of each image, as `(batch, height, width)`, and their factors.

    The factors are `[16, tiles, channels]`. A result of odd size has tiles that hang over the edge.
    """
    sides = [(padding, padding + n % 2) for n in x.shape[1:3]]
    x = jnp.pad(x, ((0, 0), *sides, (0, 0)))
    batch, rows, columns, channels = x.shape
    height, width = rows // 2 - 1, columns // 2 - 1
    pairs = x.reshape(batch, height + 1, 2, width + 1, 2, channels)

    def pixel(i: int, j: int) -> Array:
        down, right = i // 2, j // 2
        return pairs[:, down : down + height, i % 2, right : right + width, j % 2]

    pixels = [[pixel(i, j) for j in range(4)] for i in range(4)]
    return (batch, height, width), _flat(_both_ways(_FROM_PIXELS, pixels))


def _both_ways(signs: np.ndarray, grid: _Grid | Array) -> list[list[Array]]:
    """`signs @ grid @ signs.T`, for entries of 1, 0 and -1."""
    rows = [[_signed_sum(line, column) for column in zip(*grid, strict=True)] for line in signs]
    return [[_signed_sum(line, row) for line in signs] for row in rows]


def _signed_sum(signs: np.ndarray, arrays: Sequence[Array]) -> Array:
    terms = [a if sign > 0 else -a for sign, a in zip(signs, arrays, strict=True) if sign]
    return reduce(add, terms)


def _flat(grid: _Grid) -> Array:
    """A 4x4 grid of `[batch, height, width, channels]` as `[16, tiles, channels]`."""
    # Stacked row by row: so XLA's CPU backend writes all of it in one loop.
    stacked = jnp.stack([jnp.stack(row) for row in grid])
    return stacked.reshape(16, -1, stacked.shape[-1])
