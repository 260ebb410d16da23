"""The improved residual networks of face recognition: norm first, PReLU, no pooling at the end."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from fairjax.models.attention_map import expose
from fairjax.models.layers.backend import Lowering
from fairjax.models.layers.conv import Conv, he_normal
from fairjax.models.layers.norm import BatchNorm
from fairjax.models.remat import apply_block

UNITS = {
    10: (1, 1, 1, 1),  # no paper's: for smoke tests
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    100: (3, 13, 30, 3),
    200: (6, 26, 60, 6),
}
BOTTLENECKS = {200: (3, 24, 36, 3)}  # TFace's own 200; insightface's has basic units
Maps = Float[Array, "batch height width channels"]
Embeddings = Float[Array, "batch dim"]


class IResNet(nn.Module):
    """From face crops to embeddings, not yet normalised to length 1.

    Every stage halves the map, rounding up: 112 pixels become 56, 28, 14 and 7. The last map is
    flattened, so the number of parameters grows with the picture's size.

    Attributes:
      depth: 18, 34, 50, 100 or 200; 10 for smoke tests. A 50 has basic units, 14 of them in its
        third stage: it is not the bottleneck ResNet-50. A 200 has bottlenecks in "tface", basic
        units in "insightface".
      dtype: Type of the computation; parameters, statistics and the result are float32.
      dialect: "tface" takes every second pixel as the shortcut where only the size changes, and its
        last norm has neither scale nor bias; He-normal kernels. "insightface" projects there too,
        and its last norm has a bias; convolutions start at N(0, 0.1). Its released last norm also
        has a scale, frozen at 1.
      dropout: Share of the last map dropped in training. The authors: 0.4 for "tface", 0 for
        "insightface".
      width: Channels of the stem and of a basic first stage; 64 is the published network. The
        stages of bottlenecks are four times as wide.
      dim: Width of the embedding.
      lowering: How the convolutions are computed; see `fairjax.models.layers.conv.conv`.
      flat_norm: Whether the last map is normalised position by position, after it is flattened, as
        in MixFairFace's program, and not channel by channel.
      remat: Whether units are computed again for the gradient: less memory, slower steps.

    Source: Deng et al. 2019 (arXiv 1801.07698), section 3.1; the dialects are the programs TFace
      and insightface. Differs from them in: the flattened map is height, width, channels, and
      batch statistics are those of the whole batch.
    """

    depth: int = 34
    dtype: Any = jnp.float32
    dialect: str = "tface"
    dropout: float = 0.4
    width: int = 64
    dim: int = 512
    lowering: Lowering = "auto"
    flat_norm: bool = False
    remat: bool = False

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "batch height width 3"],
        *,
        train: bool,
        partners: Int[Array, " batch"] | None = None,
    ) -> Embeddings | tuple[Embeddings, Embeddings]:
        """Maps normalised images `[batch, height, width, 3]` to float32 `[batch, dim]`.

        `train=True` normalises with the batch's statistics and moves the running ones, so
        "batch_stats" must be mutable, and draws from the "dropout" key; `train=False` does neither.
        The map after stage k, `[batch, height, width, channels]`, is sown as "stage_k" in
        "intermediates"; see `attention_map.expose`. With `partners`, a row for each row, it returns
        a second array as well: the embeddings of the mean of each row's and its partner's last map.
        """
        if self.depth not in UNITS:
            raise ValueError(f"depth={self.depth} is not an IResNet; try one of {[*UNITS]}.")
        if self.dialect not in ("tface", "insightface"):
            raise ValueError(f"dialect={self.dialect!r} is not known; known: tface, insightface.")
        tface = self.dialect == "tface"
        kernel_init = he_normal if tface else nn.initializers.normal(0.1)
        conv = partial(Conv, dtype=self.dtype, kernel_init=kernel_init, lowering=self.lowering)
        norm = partial(BatchNorm, dtype=self.dtype)

        x = conv(self.width, 3, name="stem_conv")(images)
        x = PReLU(name="stem_prelu")(norm(name="stem_norm")(x, train=train))
        bottleneck = tface and self.depth in BOTTLENECKS
        unit = BottleneckUnit if bottleneck else Unit
        stages = BOTTLENECKS[self.depth] if bottleneck else UNITS[self.depth]
        for stage, units in enumerate(stages, start=1):
            for i in range(units):
                block = unit(
                    width=self.width * 2 ** (stage - 1),
                    strides=2 if i == 0 else 1,
                    subsample=tface,
                    conv=conv,
                    norm=norm,
                    name=f"stage_{stage}_unit_{i + 1}",
                )
                x = apply_block(block, x, train=train, remat=self.remat)
            x = expose(self, f"stage_{stage}", x)
        map_norm, dropout = norm(name="map_norm"), nn.Dropout(self.dropout)
        linear = nn.Dense(
            self.dim,
            dtype=self.dtype,
            kernel_init=he_normal
            if tface
            else nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
            name="embedding",
        )
        last_norm = norm(
            dtype=jnp.float32, use_scale=False, use_bias=not tface, name="embedding_norm"
        )

        def embed(x: Maps) -> Embeddings:
            x = map_norm(x.reshape(x.shape[0], -1) if self.flat_norm else x, train=train)
            x = dropout(x, deterministic=not train)
            return last_norm(linear(x.reshape(x.shape[0], -1)), train=train)

        return embed(x) if partners is None else (embed(x), embed((x + x[partners]) / 2))


class Unit(nn.Module):
    """Norm, 3x3, norm, PReLU, 3x3 with the stride, norm, beside a shortcut; nothing after the sum.

    Attributes:
      width: Channels out.
      strides: Stride of the second convolution.
      subsample: Whether a shortcut that keeps its width keeps its pixels too, every `strides`-th,
        rather than project them.
      conv: Makes a convolution of so many channels and such a kernel.
      norm: Makes a batch norm.
    """

    width: int
    strides: int
    subsample: bool
    conv: Callable[..., Any]
    norm: Callable[..., Any]

    @nn.compact
    def __call__(
        self, x: Maps, *, train: bool
    ) -> Float[Array, "batch out_height out_width features"]:
        """Maps `[batch, height, width, channels]` to `width` channels."""
        y = self.conv(self.width, 3)(self.norm()(x, train=train))
        y = PReLU()(self.norm()(y, train=train))
        y = self.norm()(self.conv(self.width, 3, strides=self.strides)(y), train=train)
        return _shortcut(self, x, self.width, train=train) + y


class BottleneckUnit(nn.Module):
    """A `Unit` of three convolutions: 1x1 to `width`, 3x3, and 1x1 to four times `width`.

    The stride sits on the last convolution.

    Attributes:
      width: Channels of the 3x3 convolution.
      strides: Stride of the last convolution.
      subsample: Whether a shortcut that keeps its width is every `strides`-th pixel.
      conv: Makes a convolution of so many channels and such a kernel.
      norm: Makes a batch norm.
    """

    width: int
    strides: int
    subsample: bool
    conv: Callable[..., Any]
    norm: Callable[..., Any]

    @nn.compact
    def __call__(
        self, x: Maps, *, train: bool
    ) -> Float[Array, "batch out_height out_width features"]:
        """Maps `[batch, height, width, channels]` to `4 * width` channels."""
        features = 4 * self.width
        y = self.conv(self.width, 1)(self.norm()(x, train=train))
        y = self.conv(self.width, 3)(PReLU()(self.norm()(y, train=train)))
        y = PReLU()(self.norm()(y, train=train))
        y = self.norm()(self.conv(features, 1, strides=self.strides)(y), train=train)
        return _shortcut(self, x, features, train=train) + y


def _shortcut(block: Unit | BottleneckUnit, x: Maps, features: int, *, train: bool) -> Array:
    """`x`, subsampled where only its size changes, or projected by a 1x1 convolution."""
    if x.shape[-1] == features and (block.subsample or block.strides == 1):
        return x[:, :: block.strides, :: block.strides]
    x = block.conv(features, 1, strides=block.strides, name="shortcut_conv")(x)
    return block.norm(name="shortcut_norm")(x, train=train)


class PReLU(nn.Module):
    """x where it is positive, and elsewhere x times the channel's slope, which starts at 0.25."""

    @nn.compact
    def __call__(self, x: Float[Array, "*batch channels"]) -> Float[Array, "*batch channels"]:
        """Maps `[..., channels]` to the same shape."""
        slope = self.param("slope", nn.initializers.constant(0.25), x.shape[-1:], jnp.float32)
        slope = jnp.expand_dims(slope.astype(x.dtype), range(x.ndim - 1))
        return jnp.where(x > 0, x, slope * x)
