"""Vision Transformer: patches, positions, pre-norm blocks; attention maps on request."""

from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int

from fairjax.models.layers.attention import attention, attention_with_weights
from fairjax.models.remat import apply_block

# Width, depth and heads of the published encoders.
SIZES = {
    "tiny": {"dim": 192, "depth": 12, "heads": 3},
    "small": {"dim": 384, "depth": 12, "heads": 6},
    "base": {"dim": 768, "depth": 12, "heads": 12},
    "large": {"dim": 1024, "depth": 24, "heads": 16},
}


class ViT(nn.Module):
    """The encoder: from images, or from some of their patches, to one feature vector or to tokens.

    Attributes:
      dim: Width of a token; a multiple of `heads`, and of 4 for sine-cosine positions.
      depth: Blocks.
      heads: Attention heads a block.
      patch: Side of a patch in pixels; the image's side is a multiple of it.
      pool: What stands for the image. "cls" is the class token after the last norm (DeiT); "mean"
        is the norm of the mean of the patch tokens (MAE's fine-tuning); "tokens" gives every
        token, class token first, after the last norm.
      positions: "learned", or "sincos": fixed, see `sincos_positions`.
      grid: Patches along a side that learned positions were made for; 0 is that of the input.
        Another input has them interpolated.
      mlp_ratio: Hidden width of a block's perceptron over `dim`.
      drop_path: Share of images for which the last block is skipped in training; earlier blocks are
        skipped less, in proportion to their place (Huang et al. 2016).
      dropout: After the attention's and the perceptron's last layers.
      maps: Whether each block's attention, float32 [batch, heads, tokens, tokens] with queries on
        the third axis, is sown as "attention" in "intermediates"; see
        `fairjax.models.layers.attention`. The results are the same to rounding.
      dtype: Type of the computation; parameters and the result are float32.
      remat: Whether blocks are computed again for the gradient: less memory, slower steps.

    Source: Dosovitskiy et al. 2021 (arXiv 2010.11929), section 3.1; sizes of Touvron et al. 2021
      (DeiT) for "tiny" and "small". LayerNorm's epsilon is 1e-6 and GELU the exact one, as in both.
    """

    dim: int = 192
    depth: int = 12
    heads: int = 3
    patch: int = 16
    pool: Literal["cls", "mean", "tokens"] = "cls"
    positions: Literal["learned", "sincos"] = "learned"
    grid: int = 0
    mlp_ratio: float = 4.0
    drop_path: float = 0.0
    dropout: float = 0.0
    maps: bool = False
    dtype: Any = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "batch height width 3"],
        *,
        train: bool,
        keep_ids: Int[Array, "batch kept"] | None = None,
        weights: Float[Array, "batch kept"] | None = None,
    ) -> Float[Array, "..."]:
        """Maps normalised images to float32 `[batch, dim]`, or `[batch, 1 + kept, dim]`.

        Args:
          images: `[batch, height, width, 3]`, square.
          train: Whether dropout and drop path act; they need the "dropout" key.
          keep_ids: Patches to look at, raster order, `[batch, kept]`; None is all of them. The
            others cost nothing.
          weights: What each kept token is multiplied by in the backward pass alone, so that a
            gradient reaches it; see `with_weight`. None changes nothing.

        Raises:
          ValueError: If the patch does not divide the image, or the heads the width.
        """
        if self.dim % self.heads:
            raise ValueError(f"dim={self.dim} must be a multiple of heads={self.heads}.")
        side = images.shape[1] // self.patch
        pixels = patchify(images, patch=self.patch)
        positions = self._positions(side)
        if keep_ids is None:
            kept = jnp.broadcast_to(positions[None, 1:], (*pixels.shape[:2], self.dim))
        else:
            pixels = jnp.take_along_axis(pixels, keep_ids[:, :, None], axis=1)
            kept = positions[1:][keep_ids]
        embed = nn.Dense(
            self.dim, dtype=self.dtype, kernel_init=nn.initializers.xavier_uniform(), name="embed"
        )
        x = embed(pixels) + kept.astype(self.dtype)
        if weights is not None:
            x = with_weight(x, weights)
        cls = self.param("cls", nn.initializers.normal(0.02), (self.dim,), jnp.float32)
        first = jnp.broadcast_to((cls + positions[0])[None, None], (x.shape[0], 1, self.dim))
        x = jnp.concatenate([first.astype(self.dtype), x], axis=1)
        for layer in range(self.depth):
            block = Block(
                heads=self.heads,
                hidden=round(self.mlp_ratio * self.dim),
                drop_path=self.drop_path * layer / max(self.depth - 1, 1),
                dropout=self.dropout,
                maps=self.maps,
                dtype=self.dtype,
                name=f"block_{layer}",
            )
            x = apply_block(block, x, train=train, remat=self.remat)
        x = x.astype(jnp.float32)
        if self.pool == "mean":  # another norm than that of tokens, so that none is carried over
            return nn.LayerNorm(epsilon=1e-6, name="pooled_norm")(x[:, 1:].mean(axis=1))
        x = nn.LayerNorm(epsilon=1e-6, name="norm")(x)
        return x[:, 0] if self.pool == "cls" else x

    def _positions(self, side: int) -> Array:
        """Positions `[1 + patches, dim]`, the class token's first."""
        if self.positions == "sincos":
            return jnp.asarray(sincos_positions(side, self.dim))
        made_for = self.grid or side
        shape = (1 + made_for**2, self.dim)
        stored = self.param("positions", nn.initializers.normal(0.02), shape, jnp.float32)
        return resized_positions(stored, side)


class Block(nn.Module):
    """A pre-norm Transformer block: attention, then a perceptron, each beside a shortcut."""

    heads: int
    hidden: int
    drop_path: float = 0.0
    dropout: float = 0.0
    maps: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch tokens dim"], *, train: bool
    ) -> Float[Array, "batch tokens dim"]:
        """Maps `[batch, tokens, dim]` to the same shape."""
        dense = partial(nn.Dense, dtype=self.dtype, kernel_init=nn.initializers.xavier_uniform())
        norm = partial(nn.LayerNorm, epsilon=1e-6, dtype=self.dtype)
        drop = partial(nn.Dropout(self.dropout), deterministic=not train)
        skip = partial(nn.Dropout(self.drop_path, broadcast_dims=(1, 2)), deterministic=not train)
        batch, tokens, dim = x.shape

        qkv = dense(3 * dim, name="qkv")(norm(name="norm_1")(x))
        q, k, v = (x.reshape(batch, tokens, self.heads, -1) for x in jnp.split(qkv, 3, axis=-1))
        if self.maps:
            mixed, weights = attention_with_weights(q, k, v)
            self.sow("intermediates", "attention", weights)
        else:
            mixed = attention(q, k, v)
        y = drop(dense(dim, name="out")(mixed.reshape(batch, tokens, dim)))
        x = x + skip(y)
        y = nn.gelu(dense(self.hidden, name="up")(norm(name="norm_2")(x)), approximate=False)
        return x + skip(drop(dense(dim, name="down")(y)))


def with_weight(
    tokens: Float[Array, "batch tokens dim"], weight: Float[Array, "batch tokens"]
) -> Float[Array, "batch tokens dim"]:
    """The tokens as they are, with the gradient of tokens that are multiplied by a weight."""
    weight = weight[:, :, None].astype(tokens.dtype)
    return weight * tokens + jax.lax.stop_gradient(1 - weight) * tokens


def patchify(
    images: Float[Array, "batch height width channels"], *, patch: int
) -> Float[Array, "batch patches pixels"]:
    """Cuts square images into patches, in raster order; pixels run row, column, channel.

    Raises:
      ValueError: If an image is not square or the patch does not divide it.
    """
    batch, height, width, channels = images.shape
    if height != width or height % patch:
        fitting = [p for p in range(2, height + 1) if height % p == 0]
        raise ValueError(
            f"patch={patch} does not cut {height}x{width} images evenly; "
            + (f"patches that do: {fitting}." if height == width else "use square images.")
        )
    side = height // patch
    tiles = images.reshape(batch, side, patch, side, patch, channels)
    return tiles.swapaxes(2, 3).reshape(batch, side * side, patch * patch * channels)


def unpatchify(
    patches: Float[Array, "batch patches pixels"], *, patch: int
) -> Float[Array, "batch height width channels"]:
    """Puts the patches of square images together again: the inverse of `patchify`."""
    batch, count, pixels = patches.shape
    side = round(count**0.5)
    tiles = patches.reshape(batch, side, side, patch, patch, pixels // patch**2)
    return tiles.swapaxes(2, 3).reshape(batch, side * patch, side * patch, -1)


def resized_positions(
    positions: Float[Array, "tokens dim"], side: int
) -> Float[Array, "resized_tokens dim"]:
    """Positions of a class token and a square grid, the grid interpolated to `side` a side."""
    made_for = round((len(positions) - 1) ** 0.5)
    if made_for == side:
        return positions
    square = positions[1:].reshape(made_for, made_for, -1)
    resized = jax.image.resize(square, (side, side, square.shape[-1]), "bicubic")
    return jnp.concatenate([positions[:1], resized.reshape(side**2, -1)])


def sincos_positions(side: int, dim: int) -> Float[np.ndarray, "tokens {dim}"]:
    """Fixed two-dimensional positions of a grid's cells, a row of zeros for the class token first.

    The first half of the channels tells the column, the second the row; in each half come the
    sines, then the cosines, of the index times 10000^(-i / (dim/4)), i = 0 .. dim/4 - 1.

    Source: the reference code of He et al. 2022 (MAE).

    Raises:
      ValueError: If `dim` is not a multiple of 4.
    """
    if dim % 4:
        raise ValueError(f"dim={dim} must be a multiple of 4 for sine-cosine positions.")
    frequency = 10000.0 ** (-np.arange(dim // 4) / (dim / 4))
    waves = np.arange(side)[:, None] * frequency
    along = np.concatenate([np.sin(waves), np.cos(waves)], axis=1)  # [side, dim / 2]
    cells = np.concatenate([np.tile(along, (side, 1)), np.repeat(along, side, axis=0)], axis=1)
    return np.concatenate([np.zeros((1, dim)), cells]).astype(np.float32)
