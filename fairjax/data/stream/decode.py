"""Decoding of JPEG, PNG and GIF files by TensorFlow, and what it says of a corrupt image."""

import os
from functools import cache
from typing import Any

import numpy as np

from fairjax.data.dataset import DataError, Examples

# The accurate transform gives Pillow's pixels exactly.
DECODING = {"channels": 3, "dct_method": "INTEGER_ACCURATE"}


def decode(encoded: Any, image_size: int) -> Any:
    """One encoded JPEG, PNG or GIF file to uint8 [image_size, image_size, 3]."""
    tf = import_tensorflow()
    # The op reads all three formats.
    image = tf.io.decode_jpeg(encoded, **DECODING)
    return resize(image, image_size)


def resize(images: Any, image_size: int) -> Any:
    """Uint8 [..., height, width, 3] resized with a triangle filter, wider when shrinking."""
    tf = import_tensorflow()
    height, width = tf.unstack(tf.shape(images)[-3:-1])

    def resized(antialias: bool) -> Any:
        size = (image_size, image_size)
        return tf.image.resize(images, size, method="bilinear", antialias=antialias)

    # Enlarging, antialias only changes the speed: without it TensorFlow is three times as fast.
    shrinks = tf.maximum(height, width) > image_size
    if_needed = tf.cond(shrinks, lambda: resized(True), lambda: resized(False))
    same = (height == image_size) & (width == image_size)
    return tf.cond(same, lambda: images, lambda: tf.cast(tf.round(if_needed), tf.uint8))


def corrupt_image(examples: Examples, rows: np.ndarray) -> DataError | None:
    """The error for the first corrupt image among the rows; None if all can be decoded."""
    for row in rows:
        if reason := why_undecodable(examples.read(np.array([row]))[0]):
            return DataError(
                f"{examples.ids[row]}: this image can't be decoded ({reason}); "
                "repair it or take it out of the data."
            )
    return None


def why_undecodable(encoded: bytes) -> str:
    """Why training cannot decode an image; "" where it can.

    Args:
      encoded: A JPEG, PNG or GIF file.
    """
    tf = import_tensorflow()
    try:
        tf.io.decode_jpeg(encoded, **DECODING)
    except tf.errors.OpError as error:
        return str(error.message).rsplit("} ", 1)[-1].split("\n")[0]
    return ""


@cache
def import_tensorflow() -> Any:
    """TensorFlow, imported when it is needed and kept off the GPUs, which are JAX's."""
    # Errors reach us as exceptions; what is left are warnings of queues that end as they should.
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1":  # JAX sets 1, where nobody sets another
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # or it greets on stderr
    keras = os.environ.get("TF_USE_LEGACY_KERAS")
    os.environ["TF_USE_LEGACY_KERAS"] = "1"  # else TensorFlow loads Keras at once: 1 to 2 seconds
    try:
        import tensorflow
    finally:
        if keras is None:
            del os.environ["TF_USE_LEGACY_KERAS"]
        else:
            os.environ["TF_USE_LEGACY_KERAS"] = keras
    tensorflow.config.set_visible_devices([], "GPU")
    return tensorflow
