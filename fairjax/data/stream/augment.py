"""What training does to an image: one affine resampling and one colour matrix.

The random numbers are drawn elsewhere (`order.uniforms`) and turned into matrices here with numpy;
the pixels are then a deterministic function of image and matrices, in integer arithmetic only, so
they are the same on every machine. Flip, rotation, crop and shift are multiplied into one matrix:
an image is interpolated once, or not at all where the matrix is a flip.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float64, Int32

from fairjax.core.settings import Augment

# The columns of the uniforms that `affine_matrices` and `colour_matrices` take. Append only: a new
# kind of augmentation then leaves the images of the old ones as they are.
DRAWS = (
    *("flip", "rotation", "crop_area", "crop_ratio", "crop_x", "crop_y", "shift_x", "shift_y"),
    *("brightness", "contrast", "saturation", "grey"),
)
ONE = 1 << 16  # matrices reach the pixels as fixed-point integers with 16 fractional bits
GREY = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601 luma, as Pillow and torchvision use


def affine_matrices(
    augment: Augment, draws: Float64[np.ndarray, "batch draws"], size: int
) -> Int32[np.ndarray, "batch 2 3"]:
    """Where each output pixel comes from.

    Args:
      augment: What may happen.
      draws: Uniform numbers in [0, 1), one column for each of DRAWS.
      size: Height and width of the images in pixels.

    Returns:
      M in units of 2**-16 pixels: output pixel (column, row, 1) shows the input at M times it, as
      (column, row). Pixel centres have whole coordinates.
    """
    u = dict(zip(DRAWS, draws.T, strict=True))
    area = _between(augment.crop_scale, u["crop_area"])
    ratio = np.exp(_between(tuple(np.log(augment.crop_ratio)), u["crop_ratio"]))
    width, height = np.minimum(np.sqrt(area * ratio), 1), np.minimum(np.sqrt(area / ratio), 1)
    mirror = np.where(u["flip"] < augment.flip, -1.0, 1.0)
    angle = np.deg2rad(augment.rotation_degrees) * (2 * u["rotation"] - 1)
    cos, sin = np.cos(angle), np.sin(angle)

    # From the output's centre: turn, scale to the crop, mirror; then go to the crop's centre.
    matrix = np.empty((len(draws), 2, 3))
    matrix[:, 0, 0], matrix[:, 0, 1] = mirror * width * cos, -mirror * width * sin
    matrix[:, 1, 0], matrix[:, 1, 1] = height * sin, height * cos
    centre = (size - 1) / 2
    crop_x = (1 - width) * (u["crop_x"] - 0.5) + augment.shift * (2 * u["shift_x"] - 1)
    crop_y = (1 - height) * (u["crop_y"] - 0.5) + augment.shift * (2 * u["shift_y"] - 1)
    matrix[:, 0, 2] = centre + size * crop_x - matrix[:, 0, :2].sum(1) * centre
    matrix[:, 1, 2] = centre + size * crop_y - matrix[:, 1, :2].sum(1) * centre
    return np.rint(matrix * ONE).astype(np.int32)


def colour_matrices(
    augment: Augment, draws: Float64[np.ndarray, "batch draws"]
) -> Int32[np.ndarray, "batch 3 4"]:
    """What happens to the colours of each image.

    Brightness b, contrast c and saturation s in this order are one linear map. With 1 the vector of
    ones, g the grey weights and m the image's mean grey,
    `b (c (s I + (1 - s) 1 g') rgb + (1 - c) m 1)`.

    Args:
      augment: What may happen.
      draws: Uniform numbers in [0, 1), one column for each of DRAWS.

    Returns:
      M in units of 2**-16: a pixel (red, green, blue, m) becomes M times it.
    """
    u = dict(zip(DRAWS, draws.T, strict=True))
    brightness = 1 + augment.brightness * (2 * u["brightness"] - 1)
    contrast = 1 + augment.contrast * (2 * u["contrast"] - 1)
    saturation = 1 + augment.saturation * (2 * u["saturation"] - 1)
    saturation = np.where(u["grey"] < augment.grey, 0, saturation)[:, None, None]
    matrix = np.empty((len(draws), 3, 4))
    matrix[:, :, :3] = saturation * np.eye(3) + (1 - saturation) * GREY
    matrix[:, :, :3] *= (brightness * contrast)[:, None, None]
    matrix[:, :, 3] = (brightness * (1 - contrast))[:, None]
    return np.rint(matrix * ONE).astype(np.int32)


def _between(bounds: tuple[float, ...], uniform: np.ndarray) -> np.ndarray:
    low, high = bounds
    return low + (high - low) * uniform


@cache
def pixel_function(size: int, *, moves: bool, colours: bool) -> Callable[..., Any]:
    """Builds `(images, affine, colour) -> images`, a TensorFlow function compiled by XLA.

    Args:
      size: Height and width in pixels, an even number.
      moves: Apply `affine`, int32 [batch, 2, 3] from `affine_matrices`, by bilinear interpolation
        between the four nearest pixels; a pixel outside the image is black.
      colours: Then apply `colour`, int32 [batch, 3, 4] from `colour_matrices`.

    Returns:
      A function of uint8 tensors [batch, size, size, 3], within 1 of exact arithmetic for a smooth
      image. It may be called eagerly and inside `tf.data.Dataset.map`.

    On one core this is about five times as fast as Pillow's `Image.transform` and as
    ImageProjectiveTransformV3, for two reasons: the three channels ride in one 64-bit word,
    and bytes are only ever touched as whole 32-bit words, which LLVM vectorises.
    """
    import tensorflow as tf

    # Loops over images keep the working set in the cache. They are several because XLA would fuse
    # their bodies, and compute each pixel anew for every byte that asks for it.
    def each(function: Callable[..., Any], *arguments: Any) -> Any:
        return tf.map_fn(lambda one: function(*one), arguments, fn_output_signature=tf.uint32)

    @tf.function(jit_compile=True, autograph=False)
    def change_words(words: Any, affine: Any, colour: Any) -> Any:
        def moved(words: Any, affine: Any) -> Any:
            pixels = _spread_pixels(words, size)
            return _interpolate(pixels, affine, size) if moves else _pack(pixels)

        packed = each(moved, words, affine)
        if colours:
            packed = each(_recolour, packed, colour)
        return each(_bytes_of_pixels, packed)

    def apply(images: Any, affine: Any, colour: Any) -> Any:
        # The bitcasts are free outside the compiled function, and loops over bytes inside it.
        words = tf.bitcast(tf.reshape(images, (images.shape[0], -1, 4)), tf.uint32)
        words = change_words(words, affine, colour)
        return tf.reshape(tf.bitcast(words, tf.uint8), images.shape)

    return apply


# A pixel in one uint64: red, green and blue in fields of 21 bits, room for 8 bits of colour and 13
# of weight, so that one multiplication weights all three.
FIELD = 21
WEIGHT = 13
HALF = sum(1 << (WEIGHT - 1 + FIELD * channel) for channel in range(3))


def _spread_pixels(words: Any, size: int) -> Any:
    """RGB bytes as little-endian uint32 [size * size * 3 / 4] to uint64 pixels [size * size]."""
    import tensorflow as tf

    def quarter(start: Any) -> Any:
        byte = (start + tf.range(size * size // 4)) * 3
        low, high = (_u64(tf.gather(words, _right(byte, 2) + k)) for k in (0, 1))
        rgb = _right(low + _left(high, 32), _u64(byte & 3) * 8)
        return (rgb & 0xFF) + _left(rgb & 0xFF00, FIELD - 8) + _left(rgb & 0xFF0000, 2 * FIELD - 16)

    # The loop, again, is there to make XLA store the pixels rather than fuse them into each tap.
    starts = tf.range(4) * (size * size // 4)
    return tf.reshape(tf.map_fn(quarter, starts, fn_output_signature=tf.uint64), (-1,))


def _pack(fields: Any) -> Any:
    """Three fields of 8 bits to the bytes of a uint32."""
    import tensorflow as tf

    channels = (_right(fields, FIELD * channel - 8 * channel) for channel in range(3))
    return tf.cast(sum(c & (0xFF << 8 * channel) for channel, c in enumerate(channels)), tf.uint32)


def _interpolate(pixels: Any, affine: Any, size: int) -> Any:
    """Samples uint64 pixels [size * size] at the affine coordinates; uint32 [size, size]."""
    import tensorflow as tf

    column, row = tf.range(size)[None, :], tf.range(size)[:, None]
    # Beyond one pixel outside all is black; staying there keeps the indices small. Half of the 8
    # bits that are dropped below is added, to round.
    x, y = (
        tf.clip_by_value(m[0] * column + m[1] * row + m[2] + 128, -ONE, size * ONE)
        for m in (affine[0], affine[1])
    )
    left, top = _right(x, 16), _right(y, 16)
    dx, dy = _right(x, 8) & 0xFF, _right(y, 8) & 0xFF

    both = _right(dx * dy, 16 - WEIGHT)
    across, down = _left(dx, WEIGHT - 8), _left(dy, WEIGHT - 8)
    total = tf.zeros((size, size), tf.uint64) + HALF
    for i, j, weight in (
        (0, 0, (1 << WEIGHT) - across - down + both),
        (0, 1, across - both),
        (1, 0, down - both),
        (1, 1, both),
    ):
        inside = (left >= -j) & (left < size - j) & (top >= -i) & (top < size - i)
        tap = tf.gather(pixels, (top + i) * size + left + j)
        total += tap * _u64(tf.where(inside, weight, 0))
    # Flat, the loop over it would divide to find row and column again, at twice the time.
    return _pack(_right(total, WEIGHT))


def _recolour(packed: Any, colour: Any) -> Any:
    """Applies one image's colour matrix to its packed pixels."""
    import tensorflow as tf

    rgb = [tf.cast(_right(packed, 8 * channel) & 0xFF, tf.int32) for channel in range(3)]
    luma = [int(weight) for weight in np.rint(GREY * ONE)]
    total = sum(tf.cast(tf.reduce_sum(c), tf.int64) * w for c, w in zip(rgb, luma, strict=True))
    mean = total // packed.shape.num_elements()  # in 2**-16, as the matrix
    out = tf.zeros_like(packed)
    for channel in range(3):
        row = colour[channel]
        offset = tf.cast(_right(tf.cast(row[3], tf.int64) * mean, 16), tf.int32) + ONE // 2
        value = rgb[0] * row[0] + rgb[1] * row[1] + rgb[2] * row[2] + offset
        value = tf.clip_by_value(_right(value, 16), 0, 255)
        out += _left(tf.cast(value, tf.uint32), 8 * channel)
    return out


def _bytes_of_pixels(packed: Any) -> Any:
    """Packed uint32 pixels of an image to their RGB bytes, as uint32 [size * size * 3 / 4]."""
    import tensorflow as tf

    packed = tf.reshape(packed, (-1,))
    byte = tf.range(packed.shape[0] * 3 // 4) * 4
    pixel = byte // 3
    bits = tf.cast(byte - pixel * 3, tf.uint32) * 8
    return _right(tf.gather(packed, pixel), bits) + _left(tf.gather(packed, pixel + 1), 24 - bits)


def _right(value: Any, bits: Any) -> Any:
    import tensorflow as tf

    return tf.bitwise.right_shift(value, tf.cast(bits, value.dtype))


def _left(value: Any, bits: Any) -> Any:
    import tensorflow as tf

    return tf.bitwise.left_shift(value, tf.cast(bits, value.dtype))


def _u64(value: Any) -> Any:
    import tensorflow as tf

    return tf.cast(value, tf.uint64)
