"""Discriminators: small networks that an adversarial method trains against its backbone."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from fairjax.models.iresnet import PReLU
from fairjax.models.layers.norm import BatchNorm


class IndependenceDiscriminator(nn.Module):
    """DebFace's: do the blocks of an embedding come from one image (class 1) or not (class 0)?

    Two linear layers of the embedding's width with batch norm and PReLU around a sum, a linear
    layer to two logits, and batch norm on the logits.

    Source: Gong, Liu, Jain 2020 (ECCV, arXiv 1911.08080), and the authors' code.
    """

    @nn.compact
    def __call__(
        self, x: Float[Array, "rows dim"], mask: Bool[Array, " rows"] | None = None, *, train: bool
    ) -> Float[Array, "rows 2"]:
        """Maps embeddings `[rows, dim]` to logits `[rows, 2]`.

        Args:
          x: Embeddings.
          mask: False on padding, which batch statistics leave out; None takes all rows.
          train: Whether batch statistics are those of `x`; else the running ones.
        """
        counted = None if mask is None else (mask | ~mask.any())[:, None]

        def norm(x: Array, name: str) -> Array:
            return BatchNorm(name=name)(x, train=train, mask=counted)

        xavier = nn.initializers.xavier_normal()
        y = nn.Dense(x.shape[1], kernel_init=xavier, name="dense_1")(x)
        y = PReLU(name="prelu_1")(norm(y, "norm_1"))
        y = nn.Dense(x.shape[1], kernel_init=xavier, name="dense_2")(y)
        y = norm(y, "norm_2") + x
        y = nn.Dense(2, kernel_init=xavier, name="out")(PReLU(name="prelu_2")(y))
        return norm(y, "norm_out")


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


class MaskDiscriminator(nn.Module):
    """AutoMAE's: is a map of probabilities a rectangle, or did the generator make it?

    Three convolutions without bias, each divided by its largest singular value (spectral norm),
    with leaky ReLU between them and no sigmoid. On 14 x 14 patches they leave one number; on
    another grid the mean of what they leave.

    Source: Chen et al. 2023 (arXiv 2303.06583), and the authors' program.
    """

    @nn.compact
    def __call__(
        self, probability: Float[Array, "batch patches"], *, train: bool
    ) -> Float[Array, " batch"]:
        """Maps `[batch, patches]` of a square grid to `[batch]`; 1 stands for a rectangle.

        Args:
          probability: Probability of each patch, raster order.
          train: Whether the singular vectors move by a step of the power method, so that
            "spectral" must be mutable.

        Raises:
          ValueError: If the grid has fewer than four patches a side.
        """
        side = round(probability.shape[1] ** 0.5)
        if side < 4:
            raise ValueError(
                f"images of {side}x{side} patches are too small for automae; 4x4 is the least. "
                "Lower config.backbone.patch or raise config.input.image_size."
            )
        x = probability.reshape(-1, side, side, 1)
        x = nn.leaky_relu(SpectralConv(16, 4, 2, 1, name="conv_1")(x, train=train), 0.2)
        x = nn.leaky_relu(SpectralConv(32, 4, 2, 1, name="conv_2")(x, train=train), 0.2)
        x = SpectralConv(1, min(3, x.shape[1]), 1, 0, name="conv_3")(x, train=train)
        return x.mean(axis=(1, 2, 3))


class SpectralConv(nn.Module):
    """A convolution without bias whose kernel is divided by its largest singular value.

    The value is u' W v, with W the kernel as a matrix from its inputs to its features, and u and v
    kept in the collection "spectral" and constant in the gradient.

    Attributes:
      features: Channels out.
      size: Side of the kernel.
      strides: Step in both directions.
      padding: Zeros on each of the four sides.

    Source: Miyato et al. 2018 (arXiv 1802.05957), algorithm 1.
    """

    features: int
    size: int
    strides: int
    padding: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> Float[Array, "batch out_height out_width {self.features}"]:
        """Maps `[batch, height, width, channels]` to `features` channels."""
        inputs = self.size**2 * x.shape[-1]
        shape = (self.size, self.size, x.shape[-1], self.features)
        bound = inputs**-0.5  # PyTorch's start
        kernel = self.param(
            "kernel",
            lambda key, shape: jax.random.uniform(key, shape, minval=-bound, maxval=bound),
            shape,
        )
        matrix = kernel.reshape(inputs, self.features)
        left, right = (
            self.variable("spectral", name, lambda size=size: jnp.full(size, size**-0.5))
            for name, size in (("v", inputs), ("u", self.features))
        )
        if train:
            fixed = jax.lax.stop_gradient(matrix)
            left.value = _unit(fixed @ right.value)
            right.value = _unit(left.value @ fixed)
        largest = left.value @ matrix @ right.value
        return jax.lax.conv_general_dilated(
            x,
            kernel / largest,
            (self.strides, self.strides),
            [(self.padding, self.padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )


def _unit(x: Array) -> Array:
    return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)
