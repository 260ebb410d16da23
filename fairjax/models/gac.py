"""The residual network of GAC and DebFace: stride on a unit's first convolution, PReLU at its end.

Source: Gong, Liu, Jain 2021 (CVPR, arXiv 2006.07576), and the authors' programs for GAC and
DebFace, which share the layout.
"""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from fairjax.models.attention_map import expose
from fairjax.models.group_adaptive import AdaptiveConv, ChannelAttention
from fairjax.models.iresnet import UNITS, PReLU
from fairjax.models.layers.conv import Conv
from fairjax.models.layers.norm import BatchNorm

Maps = Float[Array, "batch height width channels"]
Groups = Int[Array, " batch"] | None


class GacNet(nn.Module):
    """From face crops to embeddings, with layers that depend on the group of the face.

    Attributes:
      depth: Depth of the network: 10, 18, 34, 50 or 100, with the units of an IResNet.
      dtype: Type of the computation; parameters, statistics and the result are float32.
      groups: How many groups there are; 0 makes all layers ordinary ones (DebFace's encoder).
      dropout: Share of the last map dropped in training.
      width: Channels of the stem and of the first stage.
      dim: Length of the embedding.
    """

    depth: int = 50
    dtype: Any = jnp.float32
    groups: int = 0
    dropout: float = 0.4
    width: int = 64
    dim: int = 512

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width 3"], group: Groups = None, *, train: bool
    ) -> Float[Array, "batch dim"]:
        """Maps normalised images, and their groups in [0, groups), to float32 `[batch, dim]`.

        The map after stage k is exposed as "stage_k"; see `attention_map.expose`.
        """
        if self.depth not in UNITS:
            raise ValueError(f"depth={self.depth} is not known; try one of {[*UNITS]}.")
        if (group is None) != (self.groups == 0):
            raise ValueError("Groups of the images go with a network whose `groups` is above 0.")
        xavier = nn.initializers.xavier_normal()

        def attend(x: Array, name: str) -> Array:
            return x if group is None else ChannelAttention(self.groups, name=name)(x, group)

        x = attend(images.astype(self.dtype), "attention_input")
        x = Conv(self.width, 3, dtype=self.dtype, kernel_init=xavier, name="stem_conv")(x)
        x = BatchNorm(dtype=self.dtype, name="stem_norm")(x, train=train)
        x = nn.max_pool(PReLU(name="stem_prelu")(x), (2, 2), (2, 2))
        x = attend(x, "attention_stem")
        stages = UNITS[self.depth]
        for stage, units in enumerate(stages, start=1):
            for i in range(units):
                x = AdaptiveUnit(
                    width=self.width * 2 ** (stage - 1),
                    strides=2 if stage > 1 and i == 0 else 1,
                    groups=self.groups,
                    dtype=self.dtype,
                    name=f"stage_{stage}_unit_{i + 1}",
                )(x, group, train=train)
            if stage < len(stages):
                x = attend(x, f"attention_{stage}")
            x = expose(self, f"stage_{stage}", x)
        x = BatchNorm(dtype=self.dtype, name="map_norm")(x, train=train)
        x = attend(x, "attention_map")
        x = nn.Dropout(self.dropout)(x, deterministic=not train)
        x = nn.Dense(self.dim, dtype=self.dtype, kernel_init=xavier, name="embedding")(
            x.reshape(x.shape[0], -1)
        )
        return BatchNorm(dtype=jnp.float32, name="embedding_norm")(x, train=train)


class AdaptiveUnit(nn.Module):
    """Norm, 3x3 with the stride, norm, PReLU, 3x3, norm, beside a shortcut; PReLU of the sum.

    Attributes:
      width: Channels out.
      strides: Step of the first convolution.
      groups: How many groups there are; 0 is ordinary convolutions.
      dtype: Type of the computation.
    """

    width: int
    strides: int
    groups: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Maps, group: Groups, *, train: bool) -> Array:
        """Maps `[batch, height, width, channels]` to `width` channels."""
        xavier = nn.initializers.xavier_normal()

        def conv(x: Array, strides: int, name: str) -> Array:
            if group is not None:
                layer = AdaptiveConv(self.width, self.groups, strides, self.dtype, name=name)
                return layer(x, group)
            return Conv(
                self.width, 3, strides=strides, dtype=self.dtype, kernel_init=xavier, name=name
            )(x)

        def norm(x: Array, name: str) -> Array:
            return BatchNorm(dtype=self.dtype, name=name)(x, train=train)

        y = conv(norm(x, "norm_0"), self.strides, "conv_1")
        y = PReLU(name="prelu_1")(norm(y, "norm_1"))
        y = norm(conv(y, 1, "conv_2"), "norm_2")
        if x.shape != y.shape:
            x = Conv(
                self.width,
                1,
                strides=self.strides,
                dtype=self.dtype,
                kernel_init=xavier,
                name="shortcut_conv",
            )(x)
            x = norm(x, "shortcut_norm")
        return PReLU(name="prelu_2")(x + y)
