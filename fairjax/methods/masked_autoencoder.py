"""Masked autoencoding: learn to draw the patches that were taken away.

With random masking this is He et al. 2022 (arXiv 2111.06377); with a sensitivity map it is the
UTKFace study's method (its sections 3.3 to 3.5): patches that a sensitive attribute's classifier
attends to are removed more often, or less often.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fairjax.core.types import Aux, Batch, Method, PyTree, Target
from fairjax.losses import masked_sum
from fairjax.losses.reconstruction import masked_patch_error, normalised_patches
from fairjax.methods.checks import check_vit
from fairjax.models import masking
from fairjax.models.mae import MaskedAutoencoder
from fairjax.models.vit import patchify, unpatchify

_EVALUATION = 0  # the key of the masks that predictions are made with


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    decoder_dim: int = 128,
    decoder_depth: int = 4,
    decoder_heads: int = 4,
    ratio: float = 0.75,
    scheme: masking.Scheme = "random",
    sensitivity: str = "",
    strength: float = 1.0,
    weights: Literal["value", "rank"] = "value",
    reverse: Literal["neg_log", "reflect"] = "neg_log",
    scope: Literal["batch", "image"] = "batch",
    normalise_target: bool = True,
) -> Method:
    """The masked autoencoder's pre-training.

    Args:
      backbone: A ViT; its `pool` is set to "tokens" here.
      targets: Not used: pre-training knows no labels.
      preprocess: uint8 images to the backbone's input.
      decoder_dim: Width of the decoder, a multiple of 4 and of `decoder_heads`.
      decoder_depth: Number of the decoder's blocks.
      decoder_heads: Attention heads of a decoder block.
      ratio: Share of the patches removed, in (0, 1).
      scheme: "random", "mask_sensitive" or "mask_nonsensitive".
      sensitivity: The .npz that holds the map as "sensitivity" [patches], or the folder of its
        run; "" for "random".
      strength: How closely masks follow the map: 0 is random, inf always removes the same patches.
      weights: How the map becomes weights, "value" or "rank"; see `masking.log_weights`.
      reverse: How "mask_nonsensitive" turns the map round, "neg_log" or "reflect".
      scope: "batch": all images of a batch share a mask, as in the study; "image": each has its
        own, as in the original.
      normalise_target: Whether a patch is drawn less its mean and over its deviation.

    Raises:
      ValueError: If the backbone is no ViT, or the map fits neither the scheme nor the patches.
    """
    del targets
    check_vit("masked_autoencoder", backbone)
    if (scheme == "random") != (not sensitivity):
        raise ValueError(
            f"config.method.sensitivity={sensitivity!r} does not go with scheme={scheme!r}: "
            "the other schemes need the file of a map, and random has none."
        )
    encoder = backbone.clone(pool="tokens")
    logits = None
    if sensitivity:
        values = masking.read_map(sensitivity)
        logits = masking.log_weights(values, scheme=scheme, weights=weights, reverse=reverse)
    mae = _Mae(
        model=MaskedAutoencoder(
            encoder,
            decoder_dim=decoder_dim,
            decoder_depth=decoder_depth,
            decoder_heads=decoder_heads,
            dtype=encoder.dtype,
        ),
        patch=encoder.patch,
        preprocess=preprocess,
        logits=logits,
        source=sensitivity,
        strength=strength,
        ratio=ratio,
        shares_mask=scope == "batch",
        normalise_target=normalise_target,
    )
    return Method(mae.init, mae.loss, mae.predict, mae.pictures)


@dataclass(frozen=True)
class _Mae:
    """Network and settings of masked autoencoding; its methods are the steps.

    Attributes:
      model: Masked autoencoder.
      patch: Side of a patch, in pixels.
      preprocess: Function from uint8 images to the network's input.
      logits: Logits of the patches to be removed [patches]; None removes all alike.
      source: File of the map that they are from, for messages.
      strength: How closely masks follow the map.
      ratio: Share of the patches removed.
      shares_mask: Whether all images of a batch share a mask.
      normalise_target: Whether a patch is drawn less its mean and over its deviation.
    """

    model: MaskedAutoencoder
    patch: int
    preprocess: Callable[[jax.Array], jax.Array]
    logits: np.ndarray | None
    source: str
    strength: float
    ratio: float
    shares_mask: bool
    normalise_target: bool

    def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
        """Parameters of the encoder and the decoder."""
        images = self.preprocess(batch["image"])
        chosen = self.select(key, images, rows=1)
        variables = dict(self.model.init(key, images, chosen, train=False))
        return variables.pop("params"), variables

    def loss(
        self, params: PyTree, model_state: PyTree, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Aux]:
        """Mean error over the patches that were removed."""
        mask_key, dropout_key = jax.random.split(key)
        rows = 1 if self.shares_mask else len(batch["image"])
        chosen = self.select(mask_key, batch["image"], rows=rows)
        errors = self.error({"params": params, **model_state}, batch, chosen, dropout_key)
        total, count = masked_sum(errors, batch["mask"])
        return total / jnp.maximum(count, 1.0), Aux(model_state, {"loss": (total, count)})

    def predict(self, variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
        """The loss of each image under a mask that depends on its place in the batch alone."""
        key = jax.random.key(_EVALUATION)
        chosen = self.select(key, batch["image"], rows=len(batch["image"]))
        return {"loss": self.error(variables, batch, chosen, None)}

    def pictures(self, variables: PyTree, images: jax.Array) -> dict[str, jax.Array]:
        """Faces, what is left of them, and what the decoder makes of the rest.

        A drawn patch that was to be normalised is shown at the mean and deviation, by channel, of
        the patches that were kept: its own are not given away.
        """
        black, white = (self.preprocess(jnp.full_like(images, level)) for level in (0, 255))
        chosen = self.select(jax.random.key(_EVALUATION), images, rows=1)
        pixels = self.preprocess(images)
        guess: Any = self.model.apply(variables, pixels, chosen, train=False)
        true = patchify(pixels, patch=self.patch)
        kept = jnp.broadcast_to(1 - chosen.mask[..., None], true.shape)
        if self.normalise_target:
            guess = _like_kept(guess, true, kept, channels=pixels.shape[-1])

        def shown(patches: jax.Array) -> jax.Array:
            whole = (unpatchify(patches, patch=self.patch) - black) / (white - black)
            return jnp.clip(jnp.round(255 * whole), 0, 255).astype(jnp.uint8)

        grey = patchify((black + white) / 2, patch=self.patch)
        return {
            "face": images,
            "kept": shown(true * kept + grey * (1 - kept)),
            "drawn": shown(true * kept + guess * (1 - kept)),
        }

    def select(self, key: jax.Array, images: jax.Array, *, rows: int) -> masking.Selection:
        """Which patches are kept in each of some rows, drawn anew."""
        flat = _fitting(self.logits, images, patch=self.patch, source=self.source)
        each = jnp.broadcast_to(jnp.asarray(flat, jnp.float32)[None], (rows, len(flat)))
        scores = masking.scores(key, each, strength=self.strength)
        return masking.select(scores, ratio=self.ratio)

    def error(
        self, variables: PyTree, batch: Batch, chosen: masking.Selection, key: jax.Array | None
    ) -> jax.Array:
        """Error of each image over its removed patches; without a key there is no dropout."""
        images = self.preprocess(batch["image"])
        true = patchify(images, patch=self.patch)
        true = normalised_patches(true) if self.normalise_target else true
        rngs = None if key is None else {"dropout": key}
        guess: Any = self.model.apply(variables, images, chosen, train=key is not None, rngs=rngs)
        return masked_patch_error(guess, true, jnp.broadcast_to(chosen.mask, guess.shape[:2]))


def _fitting(
    logits: np.ndarray | None, images: jax.Array, *, patch: int, source: str
) -> np.ndarray:
    """Logits of a map, one a patch of the images; zeros without a map.

    Raises:
      ValueError: If the map has another number of patches.
    """
    patches = (images.shape[1] // patch) * (images.shape[2] // patch)
    if logits is None:
        return np.zeros(patches)
    if len(logits) != patches:
        raise ValueError(
            f"{source} is a map of {len(logits)} patches, but images of {images.shape[1]} "
            f"pixels have {patches} of {patch} pixels; make the map at this size."
        )
    return logits


def _like_kept(guess: jax.Array, true: jax.Array, kept: jax.Array, *, channels: int) -> jax.Array:
    """Guessed patches at the mean and deviation, by channel, of an image's kept patches.

    Args:
      guess: Normalised patches [batch, patches, pixels].
      true: Patches of the images, of the same shape.
      kept: 1 where a patch was kept, else 0, of the same shape.
      channels: Channels of a pixel.
    """
    by_channel = true.reshape(*true.shape[:2], -1, channels)
    is_kept = kept.reshape(by_channel.shape) > 0
    mean = jnp.mean(by_channel, axis=(1, 2), where=is_kept, keepdims=True)
    std = jnp.std(by_channel, axis=(1, 2), where=is_kept, keepdims=True)
    return (guess.reshape(by_channel.shape) * std + mean).reshape(true.shape)
