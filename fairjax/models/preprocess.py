"""Pixels to network input, on the device."""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from fairjax.models import masking

# Channel mean and deviation of ImageNet in units of 255, as torchvision's models expect.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalise(
    images: UInt8[Array, "batch height width 3"], *, kind: str
) -> Float[Array, "batch height width 3"]:
    """Scales RGB bytes for the network.

    Args:
      images: RGB, 0 to 255.
      kind: "imagenet": (x/255 - mean) / deviation by channel; "half": (x/255 - 0.5) / 0.5.

    Returns:
      float32; about [-2.2, 2.7] for "imagenet", [-1, 1] for "half".

    Raises:
      ValueError: On another kind.
    """
    if kind == "half":
        mean, deviation = jnp.full(3, 0.5), jnp.full(3, 0.5)
    elif kind == "imagenet":
        mean, deviation = jnp.array(IMAGENET_MEAN), jnp.array(IMAGENET_STD)
    else:
        raise ValueError(f"normalise={kind!r} is not known; known: imagenet, half.")
    scale, shift = 1 / (255 * deviation), mean / deviation
    return images.astype(jnp.float32) * scale[None, None, None] - shift[None, None, None]


def hide_patches(
    images: Float[Array, "batch height width 3"],
    hidden: Bool[np.ndarray, " patches"],
    *,
    kind: str,
    value: str,
) -> Float[Array, "batch height width 3"]:
    """Covers the same patches of every image.

    Args:
      images: Normalised, square.
      hidden: Which patches of a square grid, in raster order.
      kind: How the images were normalised.
      value: "mean": 0 after normalisation; "black": what black became.

    Raises:
      ValueError: If the grid does not divide the images.

    Source: the UTKFace study, section 3.6.1, which sets the pixels to 0 and does not say whether
      before or after normalisation.
    """
    side, height = round(len(hidden) ** 0.5), images.shape[1]
    if height % side:
        raise ValueError(
            f"a map of {side} x {side} patches does not fit images of {height} pixels; make it at "
            "this size."
        )
    cover = hidden.reshape(side, side).repeat(height // side, 0).repeat(height // side, 1)
    black = normalise(jnp.zeros((1, 1, 1, 3), jnp.uint8), kind=kind)
    fill = black if value == "black" else jnp.zeros_like(black)
    return jnp.where(cover[None, :, :, None], fill, images)


def most_sensitive(
    sensitivity: Float[np.ndarray, " patches"],
    *,
    ratio: float,
    direction: Literal["sensitive", "nonsensitive"],
) -> Bool[np.ndarray, " patches"]:
    """The share `ratio` of the patches that is the most, or the least, sensitive.

    Raises:
      ValueError: If no patch would be left, or none taken, or the map is not one.
    """
    scheme: masking.Scheme = "mask_sensitive" if direction == "sensitive" else "mask_nonsensitive"
    weights = masking.log_weights(sensitivity, scheme=scheme)
    ranked = np.argsort(-weights, kind="stable")
    hidden = np.zeros(len(weights), bool)
    hidden[ranked[: len(weights) - masking.kept_count(len(weights), ratio)]] = True
    return hidden
