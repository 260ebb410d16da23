"""The gradient of a convolution's kernel, as XLA's CPU backend computes it fastest."""

import jax.numpy as jnp
from jax import Array, lax

from fairjax.models.layers.once import once


def kernel_gradient(x: Array, dy: Array, size: int, strides: int, padding: int) -> Array:
    """The gradient of a kernel, as one convolution with wide rows, which XLA's CPU library likes.

    A row of the result are the pixels of a row of the kernel times the channels. `dy` is what is
    convolved with, its columns `channels` apart; the images of the batch are the channels of both.
    """
    batch, height, width, channels = x.shape
    _, rows, columns, features = dy.shape
    after = [(n - 1) * strides + size - padding for n in (rows, columns)]
    wide = lax.conv_general_dilated(
        _images_last(x).reshape(1, height, width * channels, batch),
        dy,
        (1, 1),
        ((padding, after[0] - height), (padding * channels, (after[1] - width) * channels)),
        rhs_dilation=(strides, strides * channels),
        dimension_numbers=lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 0, 1, 2), (0, 3, 1, 2)),
    )
    return wide.reshape(size, size, channels, features)


def _images_last(x: Array) -> Array:
    """Pixels and channels, flat, times images.

    Where images are whole pages (4 KiB) apart, what belongs together in the result comes from the
    same few places of the cache. There it is read from a copy in which they are not.
    """
    flat = x.reshape(len(x), -1)
    floats = flat.shape[1]
    if floats % 1024 == 0:
        flat = once(jnp.pad(flat, ((0, 0), (0, 16))))
    return flat.T[:floats]
