"""Pixels to network input, on the device."""

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

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
