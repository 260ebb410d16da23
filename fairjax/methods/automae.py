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
from fairjax.methods.checks import check_range, check_vit
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
    check_vit("automae", backbone, "maps")
    check_range(draws in (1, 2), "draws", draws, "1 or 2")
    check_range(offset >= 0, "offset", offset, "0 or more")
    check_range(adversary_weight >= 0, "adversary_weight", adversary_weight, "0 or more")
    encoder = backbone.clone(pool="tokens", maps=False)
    scorer = backbone.clone(pool="tokens", maps=True)
    model = MaskedAutoencoder(
        encoder,
        decoder_dim=decoder_dim,
        decoder_depth=decoder_depth,
        decoder_heads=decoder_heads,
        dtype=encoder.dtype,
    )
    automae = _AutoMae(
        model=model,
        scorer=scorer,
        generator=MaskGenerator(),
        discriminator=MaskDiscriminator(),
        preprocess=preprocess,
        ratio=ratio,
        offset=offset,
        adversary_weight=adversary_weight,
        draws=draws,
        straight_through=straight_through,
        normalise_target=normalise_target,
    )
    return Method(
        automae.init,
        automae.loss,
        automae.predict,
        own_optimizers={
            "scorer": lambda schedule: optax.set_to_zero(),
            "discriminator": lambda schedule: optax.adam(schedule, b1=0.9, b2=0.95),
        },
    )


@dataclasses.dataclass(frozen=True)
class _AutoMae:
    """Networks and settings of AutoMAE; its methods are the steps, whose settings are `build`'s.

    Attributes:
      model: Masked autoencoder.
      scorer: Frozen ViT whose attention says where faces are.
      generator: Module from attention to log-probabilities of the patches.
      discriminator: Module that tells generated maps from rectangles.
      preprocess: Function from uint8 images to the networks' input.
      ratio: Share of the patches removed.
      offset: Noise that the likeliest patches have beyond the others'.
      adversary_weight: Weight of what the generator wants of the discriminator.
      draws: 2 for a draw of its own for the discriminator's lesson, else 1.
      straight_through: Whether the reconstruction loss reaches the generator.
      normalise_target: Whether a patch is drawn less its mean and over its deviation.
    """

    model: MaskedAutoencoder
    scorer: Any
    generator: MaskGenerator
    discriminator: MaskDiscriminator
    preprocess: Callable[[jax.Array], jax.Array]
    ratio: float
    offset: float
    adversary_weight: float
    draws: int
    straight_through: bool
    normalise_target: bool

    @property
    def patch(self) -> int:
        """Side of a patch, in pixels."""
        return int(self.scorer.patch)

    def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
        """Parameters of the four networks, and the discriminator's singular vectors."""
        model_key, scorer_key, generator_key, map_key = jax.random.split(key, 4)
        images = self.preprocess(batch["image"])
        patches = (images.shape[1] // self.patch) * (images.shape[2] // self.patch)
        blank = jnp.zeros((len(images), patches))
        chosen, _ = self.select(blank, key)
        params = dict(self.model.init(model_key, images, chosen, train=False)["params"])
        params["scorer"] = self.scorer.init(scorer_key, images, train=False)["params"]
        attention = jax.eval_shape(self.attention, params["scorer"], images)
        blank_attention = jnp.zeros(attention.shape)
        params["generator"] = self.generator.init(generator_key, blank_attention)["params"]
        adversary = self.discriminator.init(map_key, blank, train=False)
        params["discriminator"] = adversary["params"]
        return params, {"spectral": adversary["spectral"]}

    def loss(
        self, params: PyTree, model_state: PyTree, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Aux]:
        """Reconstruct under a drawn mask; teach the generator and the discriminator."""
        draw_key, own_key, noise_key, real_key, dropout_key = jax.random.split(key, 5)
        images, mask = self.preprocess(batch["image"]), batch["mask"]
        logs = self.log_probability(params, images)
        probability = soft_probability(draw_key, logs)
        other = probability if self.draws == 1 else soft_probability(own_key, logs)
        rectangles = block_masks(real_key, len(images), images.shape[1] // self.patch)
        maps = jnp.concatenate([rectangles, jax.lax.stop_gradient(other)])
        outputs, spectral = self.tell_apart(
            params["discriminator"], model_state["spectral"], maps, train=True
        )
        real, generated = jnp.split(outputs, 2)
        fixed = jax.lax.stop_gradient(params["discriminator"])
        verdict, _ = self.tell_apart(fixed, spectral, probability, train=False)
        chosen, weights = self.select(probability, noise_key)
        error = self.reconstruction_error(params, images, chosen, weights, dropout_key)
        value, scalars = jnp.float32(0), {}
        for name, weight, values in (
            ("loss_reconstruction", 1.0, error),
            ("loss_generator", self.adversary_weight, jnp.square(verdict - 1)),
            ("loss_discriminator", 1.0, jnp.square(real - 1) + jnp.square(generated)),
        ):
            total, count = scalars[name] = masked_sum(values, mask)
            value += weight * total / jnp.maximum(count, 1.0)
        hidden = selected_patches(probability, kept=chosen.keep_ids.shape[1])
        share = (hidden * chosen.mask).sum(axis=1) / hidden.sum(axis=1)
        entropy = jax.scipy.special.entr(probability).sum(axis=1)
        scalars |= {
            "loss": (value * count, count),
            "output_real": masked_sum(real, mask),
            "output_generated": masked_sum(generated, mask),
            "map_entropy": masked_sum(entropy, mask),
            "selected_and_masked": masked_sum(share, mask),
        }
        return value, Aux({"spectral": spectral}, jax.lax.stop_gradient(scalars))

    def predict(self, variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
        """The loss of each image under a mask that depends on its place in the batch as well."""
        params, images = variables["params"], self.preprocess(batch["image"])
        draw_key, noise_key = jax.random.split(jax.random.key(_EVALUATION))
        probability = soft_probability(draw_key, self.log_probability(params, images))
        chosen, _ = self.select(probability, noise_key)
        return {"loss": self.reconstruction_error(params, images, chosen, None, None)}

    def attention(self, weights: PyTree, images: jax.Array) -> jax.Array:
        """The scorer's attention of CLS over the patches: [batch, rows, columns, heads]."""
        _, sown = self.scorer.apply(
            {"params": weights}, images, train=False, mutable=["intermediates"]
        )
        last = sown["intermediates"][f"block_{self.scorer.depth - 1}"]["attention"][0]
        side = images.shape[1] // self.patch
        row = jax.lax.stop_gradient(last[:, :, 0, 1:]).astype(jnp.float32)
        return jnp.moveaxis(row.reshape(*row.shape[:2], side, side), 1, 3)

    def log_probability(self, params: PyTree, images: jax.Array) -> jax.Array:
        """Log-probability of each patch to be masked [batch, patches]."""
        attention = self.attention(params["scorer"], images)
        logs: Any = self.generator.apply({"params": params["generator"]}, attention)
        return logs

    def select(self, probability: jax.Array, key: jax.Array) -> tuple[masking.Selection, jax.Array]:
        """What the encoder sees under a draw, and the weights of its tokens."""
        noise = learned_noise(
            probability,
            jax.random.uniform(key, probability.shape),
            kept=masking.kept_count(probability.shape[1], self.ratio),
            offset=self.offset,
            straight_through=self.straight_through,
        )
        chosen = masking.select(jax.lax.stop_gradient(noise), ratio=self.ratio)
        return chosen, jnp.take_along_axis(noise, chosen.keep_ids, axis=1)

    def reconstruction_error(
        self,
        params: PyTree,
        images: jax.Array,
        chosen: masking.Selection,
        weights: jax.Array | None,
        key: jax.Array | None,
    ) -> jax.Array:
        """Error of each image over its masked patches; without a key there is no dropout."""
        own = {name: tree for name, tree in params.items() if name not in _OWN}
        true = patchify(images, patch=self.patch)
        true = normalised_patches(true) if self.normalise_target else true
        guess: Any = self.model.apply(
            {"params": own},
            images,
            chosen,
            train=key is not None,
            weights=weights,
            rngs=None if key is None else {"dropout": key},
        )
        return masked_patch_error(guess, true, chosen.mask)

    def tell_apart(
        self, weights: PyTree, state: PyTree, maps: jax.Array, *, train: bool
    ) -> tuple[jax.Array, PyTree]:
        """The discriminator's value of each map, 1 for a rectangle, and its singular vectors."""
        value, moved = self.discriminator.apply(
            {"params": weights, "spectral": state}, maps, train=train, mutable=["spectral"]
        )
        return value, moved["spectral"]
