"""Masked autoencoder: an encoder that sees some patches, a light decoder that draws the others."""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from fairjax.models.masking import Selection
from fairjax.models.vit import Block, sincos_positions


class MaskedAutoencoder(nn.Module):
    """From images and a selection of their patches to a guess of every patch.

    Attributes:
      backbone: A `ViT` whose `pool` is "tokens".
      decoder_dim: Width of a decoder token; a multiple of `decoder_heads` and of 4.
      decoder_depth: Number of the decoder's blocks.
      decoder_heads: Attention heads a block.
      dtype: Type of the computation; parameters and the result are float32.

    Source: He et al. 2022 (arXiv 2111.06377), section 3 and appendix A.1.
    """

    backbone: nn.Module
    decoder_dim: int
    decoder_depth: int
    decoder_heads: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "batch height width channels"],
        selection: Selection,
        *,
        train: bool,
        weights: Float[Array, "batch kept"] | None = None,
    ) -> Float[Array, "batch patches pixels"]:
        """Maps normalised images to the pixels of all their patches, float32, raster order.

        Args:
          images: `[batch, height, width, channels]`.
          selection: What the encoder sees; of one row (shared by the batch) or a row an image.
          train: Whether dropout and drop path act.
          weights: Weights of the kept patches' tokens in the backward pass; see `ViT`.

        Raises:
          ValueError: If the heads do not divide the decoder's width.
        """
        if self.decoder_dim % self.decoder_heads:
            raise ValueError(
                f"decoder_dim={self.decoder_dim} must be a multiple of "
                f"decoder_heads={self.decoder_heads}."
            )
        batch, patches = len(images), selection.mask.shape[1]
        keep_ids, restore_ids = (
            jnp.broadcast_to(ids, (batch, ids.shape[1]))
            for ids in (selection.keep_ids, selection.restore_ids)
        )
        tokens = self.backbone(images, train=train, keep_ids=keep_ids, weights=weights)
        tokens = nn.Dense(
            self.decoder_dim,
            dtype=self.dtype,
            kernel_init=nn.initializers.xavier_uniform(),
            name="decoder_embed",
        )(tokens)
        blank = self.param(
            "mask_token", nn.initializers.normal(0.02), (self.decoder_dim,), jnp.float32
        )
        removed = patches - keep_ids.shape[1]
        blanks = jnp.broadcast_to(blank[None, None], (batch, removed, self.decoder_dim))
        listed = jnp.concatenate([tokens[:, 1:], blanks.astype(tokens.dtype)], axis=1)
        drawn = jnp.take_along_axis(listed, restore_ids[:, :, None], axis=1)
        x = jnp.concatenate([tokens[:, :1], drawn], axis=1)
        positions = sincos_positions(round(patches**0.5), self.decoder_dim)
        x = x + jnp.asarray(positions, x.dtype)[None]
        for layer in range(self.decoder_depth):
            x = Block(
                heads=self.decoder_heads,
                hidden=4 * self.decoder_dim,
                dtype=self.dtype,
                name=f"decoder_block_{layer}",
            )(x, train=train)
        x = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name="decoder_norm")(x[:, 1:])
        pixels = images.size // (batch * patches)
        return nn.Dense(
            pixels,
            dtype=self.dtype,
            kernel_init=nn.initializers.xavier_uniform(),
            name="decoder_out",
        )(x).astype(jnp.float32)
