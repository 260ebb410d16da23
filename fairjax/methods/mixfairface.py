"""MixFairFace: a margin softmax whose margin grows where mixing identities shows favouritism.

The last maps of an image and of another image of the batch are averaged. Where the mixture's
embedding is nearer to the other image, the image's own identity is the weaker of the two, and the
margin of its person grows; else it shrinks. No group labels are needed.

Source: Wang et al. 2023 (MixFairFace, AAAI), and the authors' program. Differs from it in: batch
statistics and the FPR penalty's ranking are those of the global batch.
"""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from fairjax.core.types import Aux, Batch, Method, PyTree, Target
from fairjax.heads import Head, MarginLoss
from fairjax.losses import CosFace, FprPenalty, Margin, masked_sum
from fairjax.methods.margin_softmax import MarginModel, count_classes, embedding_predictor
from fairjax.models.cosine_head import Unit, unit
from fairjax.models.iresnet import IResNet


class MixModel(MarginModel):
    """A margin model that mixes the last maps of images, too."""

    def mixed(
        self, x: jax.Array, partners: jax.Array, *, train: bool
    ) -> tuple[Unit, jax.Array, Unit]:
        """Maps images to embeddings, class weights and embeddings of mixtures with `partners`."""
        embedding, mixture = self.backbone(x, train=train, partners=partners)
        return *self.head(embedding), unit(mixture)


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    label: str = "identity",
    margin: Margin = CosFace(),  # noqa: B008  frozen
    head: Head = Head(),  # noqa: B008  frozen
    tta: str = "sum",
    fpr_penalty: bool = True,
) -> Method:
    """MixFairFace training.

    Args:
      backbone: An "iresnet", from images to embeddings [batch, dim].
      targets: What the dataset offers.
      preprocess: uint8 images to the backbone's input.
      label: Attribute whose values are the people of the training split.
      margin: Margin of the softmax, one of MARGINS.
      head: How the class weights lie over devices; not "sampled" with the FPR penalty.
      tta: What "embedding" is made of; see `cosine_margin.build`.
      fpr_penalty: Whether to add the authors' form of the FPR penalty, which in their words raises
        the TPR and leaves the spread as it is.

    Raises:
      ValueError: If the backbone is no IResNet, or the data has no people.
    """
    if not isinstance(backbone, IResNet):
        raise ValueError("config.method.name='mixfairface' needs config.backbone.name='iresnet'.")
    classes = count_classes(targets, label)
    model = MixModel(backbone, classes, head.rows(classes))
    penalty = None
    if fpr_penalty:
        penalty = FprPenalty(
            variant="mean_sq", gamma_u=0.0, alpha=1.0, alpha_mode="constant", power=2.0
        )
    identify = MarginLoss(head, margin, classes, penalty)

    def init(key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
        variables = dict(model.init(key, preprocess(batch["image"]), train=False))
        params, state = variables.pop("params"), margin.init_state()
        return params, variables | ({"margin": state} if state else {})

    def loss(
        params: PyTree, model_state: PyTree, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Aux]:
        labels, mask = batch[label], batch["mask"]
        variables = dict(model_state)
        state = variables.pop("margin", {})
        dropout_key, mix_key, head_key = jax.random.split(key, 3)
        partners = random_partners(mix_key, mask)
        (embeddings, kernel, mixture), moved = model.apply(
            {"params": params, **variables},
            preprocess(batch["image"]),
            partners,
            train=True,
            mutable=list(variables),
            rngs={"dropout": dropout_key},
            method="mixed",
        )
        output = identify(kernel, embeddings, labels, mask, state, head_key)
        moved = {**moved, "margin": output.state} if state else moved
        shift = mixing_margin(embeddings.direction, mixture.direction, partners)
        losses = output.lowered(shift, scale=margin.scale)
        total, count = identify.summed(losses, labels, mask)
        scalars = {
            "loss": (total, count),
            "target_cosine": masked_sum(output.target, mask),
            "embedding_length": masked_sum(embeddings.length, mask),
            "mixing_margin": masked_sum(shift, mask),
            "mixing_margin_size": masked_sum(jnp.abs(shift), mask),
        }
        return total / jnp.maximum(count, 1.0), Aux(moved, jax.lax.stop_gradient(scalars))

    return Method(
        init,
        loss,
        embedding_predictor(model, preprocess, tta),
        split={"head/kernel": head.partition},
    )


def random_partners(key: jax.Array, mask: jax.Array) -> jax.Array:
    """A random permutation of the rows in which padding stays among itself, int [batch].

    Args:
      key: For the draw.
      mask: False on padding.
    """
    drawn = jnp.argsort(jnp.where(mask, jax.random.uniform(key, mask.shape), 2.0))
    positions = jnp.argsort(~mask)  # stable: the rows that count first, in order
    return jnp.zeros_like(drawn).at[positions].set(drawn, unique_indices=True)


def mixing_margin(embedding: jax.Array, mixture: jax.Array, partners: jax.Array) -> jax.Array:
    """eps, what is added to each row's margin: <mixture, partner>^2 - <mixture, own>^2.

    Args:
      embedding: Unit embeddings [batch, dim].
      mixture: Unit embeddings of the rows mixed with their partners.
      partners: Partner of each row.
    """
    own = jnp.sum(mixture * embedding, axis=1)
    other = jnp.sum(mixture * embedding[partners], axis=1)
    return other**2 - own**2
