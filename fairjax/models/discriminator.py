"""Discriminators: small networks that an adversarial method trains against its backbone."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from fairjax.models.iresnet import PReLU
from fairjax.models.layers.norm import BatchNorm


class IndependenceDiscriminator(nn.Module):
    """DebFace's: do the blocks of an embedding come from one image (class 1) or not (class 0)?

    Two linear layers of the embedding's width with batch norm and PReLU around a sum, a linear
    layer to two logits, and batch norm on the logits.

    Source: Gong, Liu, Jain 2020 (ECCV, arXiv 1911.08080), and the authors' code.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "rows dim"], *, train: bool) -> Float[Array, "rows 2"]:
        """Maps embeddings `[rows, dim]` to logits `[rows, 2]`."""
        xavier = nn.initializers.xavier_normal()
        y = nn.Dense(x.shape[1], kernel_init=xavier, name="dense_1")(x)
        y = PReLU(name="prelu_1")(BatchNorm(name="norm_1")(y, train=train))
        y = nn.Dense(x.shape[1], kernel_init=xavier, name="dense_2")(y)
        y = BatchNorm(name="norm_2")(y, train=train) + x
        y = nn.Dense(2, kernel_init=xavier, name="out")(PReLU(name="prelu_2")(y))
        return BatchNorm(name="norm_out")(y, train=train)


class MapDiscriminator(nn.Module):
    """GABN-style: which group does an attention map belong to?

    Attributes:
      groups: How many groups there are.
    """

    groups: int

    @nn.compact
    def __call__(self, maps: Float[Array, "batch height width"]) -> Float[Array, "batch groups"]:
        """Maps attention maps that sum to 1 to float32 logits `[batch, groups]`."""
        x = maps.reshape(len(maps), -1).astype(jnp.float32)
        x = x * x.shape[1]  # a uniform map becomes ones, whatever its size
        x = nn.leaky_relu(nn.Dense(128, name="hidden_1")(x), 0.2)
        x = nn.leaky_relu(nn.Dense(64, name="hidden_2")(x), 0.2)
        return nn.Dense(self.groups, name="out")(x)
