"""GAC's layers: convolutions and channel attention that depend on an image's group.

Source: Gong, Liu, Jain 2021 (CVPR, arXiv 2006.07576), section 3.2, and the authors' code.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

Maps = Float[Array, "batch height width channels"]
Groups = Int[Array, " batch"]


def adaptive_conv(
    x: Maps,
    base: Float[Array, "size size channels features"],
    masks: Float[Array, "groups size size channels"],
    group: Groups,
    *,
    strides: int,
    padding: int,
) -> Float[Array, "batch out_height out_width features"]:
    """Convolves each image with `base * masks[group]`.

    A mask weighs the input channels of each tap of the kernel, so the image may be weighed instead
    of the kernel: one matrix product a tap for the whole batch, and no kernel an image.

    Args:
      x: Maps, channels last.
      base: Kernel that the groups share, HWIO.
      masks: A weight for each group, tap and input channel.
      group: Group of each image, in [0, groups).
      strides: Step in both directions, 1 or more.
      padding: Zeros on each of the four sides.
    """
    size = len(base)
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows, columns = ((n - size) // strides + 1 for n in x.shape[1:3])
    weights = masks[group].astype(x.dtype)  # [batch, size, size, channels]
    total = jnp.zeros((), x.dtype)
    for i in range(size):
        for j in range(size):
            tap = x[
                :,
                i : i + (rows - 1) * strides + 1 : strides,
                j : j + (columns - 1) * strides + 1 : strides,
            ]
            total += (tap * weights[:, None, None, i, j]) @ base[i, j].astype(x.dtype)
    return total


def equal_masks(groups: int) -> Callable[..., Array]:
    """Initialiser of kernel masks: one draw, the same for every group.

    The draw is the mean of `groups` Xavier-normal draws, so that its standard deviation is
    sqrt(2 / (taps * (channels + groups))) / sqrt(groups).
    """

    def init(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        _, *kernel = shape
        taps, channels = math.prod(kernel[:-1]), kernel[-1]
        deviation = math.sqrt(2 / (taps * (channels + groups)) / groups)
        draw = deviation * jax.random.normal(key, kernel, dtype)
        return jnp.broadcast_to(draw, shape)

    return init


class AdaptiveConv(nn.Module):
    """A 3x3 convolution whose kernel is weighed by a mask of the image's group.

    Attributes:
      features: Channels out.
      groups: How many groups there are.
      strides: Step in both directions.
      dtype: Type of the computation; parameters are float32.
    """

    features: int
    groups: int
    strides: int = 1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Maps, group: Groups
    ) -> Float[Array, "batch out_height out_width features"]:
        """Maps `[batch, height, width, channels]` to `features` channels."""
        channels = x.shape[-1]
        base = self.param(
            "base", nn.initializers.xavier_normal(), (3, 3, channels, self.features), jnp.float32
        )
        masks = self.param(
            "masks", equal_masks(self.groups), (self.groups, 3, 3, channels), jnp.float32
        )
        shared = self.variable("fusion", "shared", jnp.zeros, (), jnp.bool_)
        chosen = jnp.where(shared.value, 0, group)
        return adaptive_conv(
            x.astype(self.dtype), base, masks, chosen, strides=self.strides, padding=1
        )


class ChannelAttention(nn.Module):
    """Multiplies each channel by a gain in (0, 1) of the image's group.

    The gains are sown as "attention" in "intermediates", `[groups, channels]`.

    Attributes:
      groups: How many groups there are.
    """

    groups: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch *place channels"], group: Groups
    ) -> Float[Array, "batch *place channels"]:
        """Maps `[batch, ..., channels]` to the same shape."""
        channels = x.shape[-1]
        bound = math.sqrt(3 / channels)

        def init(key: Array, shape: tuple[int, int]) -> Array:
            draw = jax.random.uniform(key, shape[1:], jnp.float32, -bound, bound)
            return jnp.broadcast_to(draw, shape)

        gains = nn.sigmoid(self.param("attention", init, (self.groups, channels)))
        self.sow("intermediates", "attention", gains)
        place = (1,) * (x.ndim - 2)
        return x * gains[group].reshape(len(x), *place, channels).astype(x.dtype)
