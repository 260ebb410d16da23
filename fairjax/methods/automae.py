"""AutoMAE: a masked autoencoder whose masks are learned.

A frozen ViT's attention goes through a small generator that says where to mask. The generator
learns from two sides: a discriminator must take its maps for rectangles, and the reconstruction
loss reaches it through the visible tokens. Random masks are a strong baseline: run it beside.

Source: Chen et al. 2023 (arXiv 2303.06583), and the authors' program. Differs from it in: the
discriminator sees real and generated maps in one call, so that its singular vectors move once a
step; the reconstruction target and the decoder are those of `masked_autoencoder`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from fairjax.core.types import Aux, Batch, Method, PyTree, Target
from fairjax.losses import masked_sum
from fairjax.losses.reconstruction import masked_patch_error, normalised_patches
from fairjax.models import masking
from fairjax.models.discriminator import MaskDiscriminator
from fairjax.models.mae import MaskedAutoencoder
from fairjax.models.mask_generator import (
    MaskGenerator,
    block_masks,
    learned_noise,
    selected_patches,
    soft_probability,
)
from fairjax.models.vit import patchify

_OWN = ("scorer", "generator", "discriminator")  # parameters that are not the autoencoder's
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
    offset: float = 0.5,
    adversary_weight: float = 0.2,
    draws: int = 2,
    straight_through: bool = True,
    normalise_target: bool = True,
) -> Method:
    """AutoMAE's pre-training.

    Args:
      backbone: A ViT; its `pool` is set to "tokens" here. The scorer is one of the same shape whose
        weights come from `config.init.run` with `config.init.part="scorer=backbone"`.
      targets: Not used: pre-training knows no labels.
      preprocess: uint8 images to the backbone's input.
      decoder_dim: Width of the decoder, a multiple of 4 and of `decoder_heads`.
      decoder_depth: Number of the decoder's blocks.
      decoder_heads: Attention heads of a decoder block.
      ratio: Share of the patches removed, in (0, 1).
      offset: Noise that the likeliest patches have beyond the others', 0 or more.
      adversary_weight: Weight of what the generator wants of the discriminator, 0 or more.
      draws: 2 for a Gumbel draw of its own for the discriminator's lesson, as in the source; 1 for
        the draw that masks.
      straight_through: Whether the reconstruction loss reaches the generator.
      normalise_target: Whether a patch is drawn less its mean and over its deviation.

    Raises:
      ValueError: If the backbone is no ViT, or a setting is out of range.
    """
    del targets
    fields = {field.name for field in dataclasses.fields(backbone)}
    if not {"patch", "pool", "positions", "maps"} <= fields:
        raise ValueError("automae needs config.backbone.name='vit'.")
    if draws not in (1, 2):
        raise ValueError(f"config.method.draws={draws} must be 1 or 2.")
    for name, value in (("offset", offset), ("adversary_weight", adversary_weight)):
        if value < 0:
            raise ValueError(f"config.method.{name}={value} must be 0 or more.")
    encoder = backbone.clone(pool="tokens", maps=False)
    scorer = backbone.clone(pool="tokens", maps=True)
    model = MaskedAutoencoder(
        encoder,
        decoder_dim=decoder_dim,
        decoder_depth=decoder_depth,
        decoder_heads=decoder_heads,
        dtype=encoder.dtype,
    )
    generator, discriminator = MaskGenerator(), MaskDiscriminator()
    patch: int = encoder.patch

    def attention_of(weights: PyTree, images: jax.Array) -> jax.Array:
        """The scorer's attention of CLS over the patches: [batch, rows, columns, heads]."""
        _, sown = scorer.apply({"params": weights}, images, train=False, mutable=["intermediates"])
        last = sown["intermediates"][f"block_{encoder.depth - 1}"]["attention"][0]
        side = images.shape[1] // patch
        row = jax.lax.stop_gradient(last[:, :, 0, 1:]).astype(jnp.float32)
        return jnp.moveaxis(row.reshape(*row.shape[:2], side, side), 1, 3)

    def log_probability(params: PyTree, images: jax.Array) -> jax.Array:
        attention = attention_of(params["scorer"], images)
        logs: Any = generator.apply({"params": params["generator"]}, attention)
        return logs

    def select(probability: jax.Array, key: jax.Array) -> tuple[masking.Selection, jax.Array]:
        """What the encoder sees under a draw, and the weights of its tokens."""
        noise = learned_noise(
            probability,
            jax.random.uniform(key, probability.shape),
            kept=masking.kept_count(probability.shape[1], ratio),
            offset=offset,
            straight_through=straight_through,
        )
        chosen = masking.select(jax.lax.stop_gradient(noise), ratio=ratio)
        return chosen, jnp.take_along_axis(noise, chosen.keep_ids, axis=1)

    def error(
        params: PyTree,
        images: jax.Array,
        chosen: masking.Selection,
        weights: jax.Array | None,
        key: jax.Array | None,
    ) -> jax.Array:
        own = {name: tree for name, tree in params.items() if name not in _OWN}
        true = patchify(images, patch=patch)
        true = normalised_patches(true) if normalise_target else true
        guess: Any = model.apply(
            {"params": own},
            images,
            chosen,
            train=key is not None,
            weights=weights,
            rngs=None if key is None else {"dropout": key},
        )
        return masked_patch_error(guess, true, chosen.mask)

    def judge(
        weights: PyTree, state: PyTree, maps: jax.Array, *, train: bool
    ) -> tuple[jax.Array, PyTree]:
        value, moved = discriminator.apply(
            {"params": weights, "spectral": state}, maps, train=train, mutable=["spectral"]
        )
        return value, moved["spectral"]

    def init(key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
        model_key, scorer_key, generator_key, map_key = jax.random.split(key, 4)
        images = preprocess(batch["image"])
        patches = (images.shape[1] // patch) * (images.shape[2] // patch)
        blank = jnp.zeros((len(images), patches))
        params = dict(model.init(model_key, images, select(blank, key)[0], train=False)["params"])
        params["scorer"] = scorer.init(scorer_key, images, train=False)["params"]
        attention = jax.eval_shape(attention_of, params["scorer"], images)
        params["generator"] = generator.init(generator_key, jnp.zeros(attention.shape))["params"]
        adversary = discriminator.init(map_key, blank, train=False)
        params["discriminator"] = adversary["params"]
        return params, {"spectral": adversary["spectral"]}

    def loss(
        params: PyTree, model_state: PyTree, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Aux]:
        draw_key, own_key, noise_key, real_key, dropout_key = jax.random.split(key, 5)
        images, mask = preprocess(batch["image"]), batch["mask"]
        logs = log_probability(params, images)
        probability = soft_probability(draw_key, logs)
        other = probability if draws == 1 else soft_probability(own_key, logs)
        rectangles = block_masks(real_key, len(images), images.shape[1] // patch)
        maps = jnp.concatenate([rectangles, jax.lax.stop_gradient(other)])
        outputs, spectral = judge(
            params["discriminator"], model_state["spectral"], maps, train=True
        )
        real, generated = jnp.split(outputs, 2)
        fixed = jax.lax.stop_gradient(params["discriminator"])
        verdict, _ = judge(fixed, spectral, probability, train=False)
        chosen, weights = select(probability, noise_key)
        hidden = selected_patches(probability, kept=chosen.keep_ids.shape[1])
        share = (hidden * chosen.mask).sum(axis=1) / hidden.sum(axis=1)
        entropy = jax.scipy.special.entr(probability).sum(axis=1)
        value, scalars = jnp.float32(0), {}
        for name, weight, values in (
            ("loss_reconstruction", 1.0, error(params, images, chosen, weights, dropout_key)),
            ("loss_generator", adversary_weight, jnp.square(verdict - 1)),
            ("loss_discriminator", 1.0, jnp.square(real - 1) + jnp.square(generated)),
        ):
            total, count = scalars[name] = masked_sum(values, mask)
            value += weight * total / jnp.maximum(count, 1.0)
        scalars |= {
            "loss": (value * count, count),
            "output_real": masked_sum(real, mask),
            "output_generated": masked_sum(generated, mask),
            "map_entropy": masked_sum(entropy, mask),
            "selected_and_masked": masked_sum(share, mask),
        }
        return value, Aux({"spectral": spectral}, jax.lax.stop_gradient(scalars))

    def predict(variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
        """The loss of each image under a mask that depends on its place in the batch as well."""
        params, images = variables["params"], preprocess(batch["image"])
        draw_key, noise_key = jax.random.split(jax.random.key(_EVALUATION))
        probability = soft_probability(draw_key, log_probability(params, images))
        chosen, _ = select(probability, noise_key)
        return {"loss": error(params, images, chosen, None, None)}

    return Method(
        init,
        loss,
        predict,
        own_optimizers={
            "scorer": lambda schedule: optax.set_to_zero(),
            "discriminator": lambda schedule: optax.adam(schedule, b1=0.9, b2=0.95),
        },
    )
