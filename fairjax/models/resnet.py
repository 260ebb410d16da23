"""Residual networks of the "v1.5" layout: in a bottleneck the stride sits on the 3x3."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from fairjax.models.attention_map import expose
from fairjax.models.layers.backend import Lowering
from fairjax.models.layers.conv import Conv
from fairjax.models.layers.norm import BatchNorm
from fairjax.models.remat import apply_block

STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class ResNet(nn.Module):
    """The trunk of a ResNet, up to and with the global average pool, or to the map before it.

    Batch statistics are over the whole batch that the jitted step sees, so over every device.

    Attributes:
      depth: 18 or 34 (blocks of two 3x3, out to 512), 50 or 101 (bottlenecks, out to 2048).
      dtype: Type of the computation; parameters, statistics and the result are float32.
      stem: "imagenet" is 7x7 of stride 2 and a 3x3 max-pool of stride 2; "small" is one 3x3.
      zero_init_residual: Whether the last norm of each block starts at scale 0, so that every
        block starts as its shortcut.
      width: Channels of the stem; 64 is the published network.
      stages: How many of the four there are; each after the first halves the map.
      pool: "mean" over the map; "none" gives the map itself, in the dtype of the computation.
      lowering: How the convolutions are computed; see `fairjax.models.layers.conv.conv`.
      remat: Whether blocks are computed again for the gradient: less memory, slower steps.

    Source: He et al. 2015 (arXiv 1512.03385), Table 1. Differs from it in: the stride of a
      bottleneck sits on its 3x3 (Goyal et al. 2017, arXiv 1706.02677, as in torchvision).
    """

    depth: int = 50
    dtype: Any = jnp.float32
    stem: Literal["imagenet", "small"] = "imagenet"
    zero_init_residual: bool = True
    width: int = 64
    stages: int = 4
    pool: Literal["mean", "none"] = "mean"
    lowering: Lowering = "auto"
    remat: bool = False

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width 3"], *, train: bool
    ) -> Float[Array, "batch *map dim"]:
        """Maps normalised images `[batch, height, width, 3]` to float32 features `[batch, dim]`.

        With `pool="none"` it maps them to `[batch, out_height, out_width, channels]`. `train=True`
        normalises with the batch's statistics and moves the running ones, so "batch_stats" must be
        mutable; `train=False` uses the running ones. The map after stage k,
        `[batch, height, width, channels]`, is sown as "stage_k" in "intermediates".
        """
        if self.depth not in STAGES:
            raise ValueError(f"depth={self.depth} is not a ResNet here; try one of {[*STAGES]}.")
        conv = partial(Conv, dtype=self.dtype, lowering=self.lowering)
        norm = partial(BatchNorm, dtype=self.dtype)
        last_scale = nn.initializers.zeros if self.zero_init_residual else nn.initializers.ones
        block = BottleneckBlock if self.depth >= 50 else BasicBlock

        if self.stem == "imagenet":
            x = conv(self.width, 7, strides=2, name="stem_conv")(images)
        else:
            x = conv(self.width, 3, name="stem_conv")(images)
        x = nn.relu(norm(name="stem_norm")(x, train=train))
        if self.stem == "imagenet":
            x = nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        for stage, blocks in enumerate(STAGES[self.depth][: self.stages], start=1):
            for i in range(blocks):
                unit = block(
                    width=self.width * 2 ** (stage - 1),
                    strides=2 if stage > 1 and i == 0 else 1,
                    conv=conv,
                    norm=norm,
                    last_scale=last_scale,
                    name=f"stage_{stage}_block_{i + 1}",
                )
                x = apply_block(unit, x, train=train, remat=self.remat)
            x = expose(self, f"stage_{stage}", x)
        return x if self.pool == "none" else x.astype(jnp.float32).mean(axis=(1, 2))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; the stride sits on the first."""

    width: int
    strides: int
    conv: Callable[..., Any]
    norm: Callable[..., Any]
    last_scale: Callable[..., Any]

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> Float[Array, "batch out_height out_width features"]:
        """Maps `[batch, height, width, channels]` to `width` channels."""
        y = self.conv(self.width, 3, strides=self.strides)(x)
        y = self.conv(self.width, 3)(nn.relu(self.norm()(y, train=train)))
        y = self.norm(scale_init=self.last_scale)(y, train=train)
        return nn.relu(_shortcut(self, x, y.shape, train=train) + y)


class BottleneckBlock(nn.Module):
    """1x1 to `width`, 3x3 with the stride, 1x1 to four times `width`, beside a shortcut."""

    width: int
    strides: int
    conv: Callable[..., Any]
    norm: Callable[..., Any]
    last_scale: Callable[..., Any]

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> Float[Array, "batch out_height out_width features"]:
        """Maps `[batch, height, width, channels]` to `4 * width` channels."""
        y = self.conv(self.width, 1)(x)
        y = self.conv(self.width, 3, strides=self.strides)(nn.relu(self.norm()(y, train=train)))
        y = self.conv(4 * self.width, 1)(nn.relu(self.norm()(y, train=train)))
        y = self.norm(scale_init=self.last_scale)(y, train=train)
        return nn.relu(_shortcut(self, x, y.shape, train=train) + y)


def _shortcut(
    block: BasicBlock | BottleneckBlock, x: Array, shape: tuple[Any, ...], *, train: bool
) -> Any:
    """`x` itself, or its 1x1 projection where the shapes differ."""
    if x.shape == shape:
        return x
    x = block.conv(shape[-1], 1, strides=block.strides, name="shortcut_conv")(x)
    return block.norm(name="shortcut_norm")(x, train=train)
