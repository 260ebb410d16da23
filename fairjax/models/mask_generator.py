"""AutoMAE's mask generator: where to mask is learned beside the masked autoencoder.

Source: Chen et al. 2023 (arXiv 2303.06583), and the authors' program.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Key


class MaskGenerator(nn.Module):
    """From a frozen ViT's attention to the logarithm of a probability a patch.

    Attributes:
      hidden: Channels between the two 3x3 convolutions.
    """

    hidden: int = 6

    @nn.compact
    def __call__(
        self, attention: Float[Array, "batch rows columns heads"]
    ) -> Float[Array, "batch patches"]:
        """Maps attention of CLS over the patches, a channel a head, to `[batch, patches]`."""
        x = nn.relu(_conv(self.hidden, attention.shape[-1], "conv_1")(attention))
        x = _conv(1, self.hidden, "conv_2")(x)
        return jax.nn.log_softmax(x.reshape(len(x), -1))


def _conv(features: int, channels: int, name: str) -> nn.Conv:
    """A 3x3 convolution that starts as PyTorch's: all numbers uniform on +-1 / sqrt(inputs)."""
    bound = (9 * channels) ** -0.5

    def start(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return nn.Conv(features, (3, 3), kernel_init=start, bias_init=start, name=name)


def soft_probability(
    key: Key[Array, ""], log_probability: Float[Array, "batch patches"]
) -> Float[Array, "batch patches"]:
    """A soft Gumbel-softmax draw at temperature 1.

    Args:
      key: A fresh one for each draw.
      log_probability: Log-probabilities of the patches, as `MaskGenerator` returns them.
    """
    noise = jax.random.gumbel(key, log_probability.shape, log_probability.dtype)
    return jax.nn.softmax(log_probability + noise)


def learned_noise(
    probability: Float[Array, "batch patches"],
    uniform: Float[Array, "batch patches"],
    *,
    kept: int,
    offset: float,
    straight_through: bool = True,
) -> Float[Array, "batch patches"]:
    """Scores for `masking.select`, which keeps the patches of least noise.

    The likeliest patches have `offset` more noise. Visible tokens are multiplied by their noise in
    the backward pass (`vit.with_weight`), which is how the reconstruction loss reaches the
    generator; its gradient is 0 for selected patches wherever they are all masked.

    Args:
      probability: A soft draw; its `kept` largest are the selected patches.
      uniform: Noise, uniform on [0, 1).
      kept: How many patches stay visible.
      offset: Added to the noise of selected patches; 0.5 in the authors' program.
      straight_through: Whether the reconstruction loss reaches the generator.
    """
    hard = selected_patches(probability, kept=kept).astype(probability.dtype)
    noise = uniform + offset * (hard + probability - jax.lax.stop_gradient(probability))
    return noise if straight_through else jax.lax.stop_gradient(noise)


def selected_patches(
    probability: Float[Array, "batch patches"], *, kept: int
) -> Bool[Array, "batch patches"]:
    """The `kept` likeliest patches of each image, and those as likely as the last of them."""
    return probability >= jax.lax.top_k(probability, kept)[0][:, -1:]


def block_masks(key: Key[Array, ""], rows: int, side: int) -> Float[Array, "{rows} {side}*{side}"]:
    """What the discriminator takes for real: a rectangle of the image, as a soft distribution.

    On 14 x 14 patches the rectangle has an area of 40 to 160 patches and one side of 4 to 10, both
    ends included; the other side is their ratio, at most the image. Other grids scale both. Inside
    the rectangle stands 0.5, noise uniform on [0, 1) is added everywhere, and a softmax is taken.

    Args:
      key: A fresh one for each draw.
      rows: How many masks.
      side: Patches along a side.
    """
    scale = side / 14
    areas = [max(1, round(area * scale**2)) for area in (40, 160)]
    sides = [max(1, round(length * scale)) for length in (4, 10)]
    area_key, side_key, place_key, noise_key = jax.random.split(key, 4)
    area = jax.random.randint(area_key, (rows,), areas[0], areas[1] + 1)
    height = jax.random.randint(side_key, (rows,), sides[0], sides[1] + 1)
    width = jnp.minimum(side, -(-area // height))
    corner = jax.random.uniform(place_key, (2, rows))
    top, left = (jnp.floor(corner * (side - jnp.stack([height, width]) + 1))).astype(jnp.int32)
    cells = jnp.arange(side)[None]

    def within(first: Array, length: Array) -> Array:
        return (cells >= first[:, None]) & (cells < (first + length)[:, None])

    inside = within(top, height)[:, :, None] & within(left, width)[:, None, :]
    noise = jax.random.uniform(noise_key, (rows, side * side))
    return jax.nn.softmax(0.5 * inside.reshape(rows, -1) + noise)
