"""DebFace: an embedding in blocks that know their own attribute and no other.

The embedding is cut into equal blocks, one for each attribute and one for the identity. Every block
is classified by its own attribute, the other heads must learn nothing from it, and a discriminator
must not tell joint blocks from blocks of different images. At test time a face is its identity
block. Training needs the attributes' labels.

Source: Gong, Liu, Jain 2020 (ECCV, arXiv 1911.08080), and the authors' program. Differs from it in:
the heads move once a step, by the gradient at the same parameters as the encoder's (the program
moves them between its two backward passes); batch statistics are those of the global batch.
"""

from collections.abc import Callable, Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from fairjax.core.types import Aux, Batch, Method, PyTree, Target
from fairjax.losses import masked_sum
from fairjax.losses.adversarial import uniform_cross_entropy
from fairjax.losses.disentangled import (
    foreign_attribute_losses,
    joint_or_permuted_loss,
    own_attribute_losses,
    permute_rows,
    with_permuted_blocks,
)
from fairjax.methods.checks import check_range
from fairjax.methods.groups import require_groups
from fairjax.methods.margin_softmax import count_classes, embedding_predictor
from fairjax.methods.watched import without_discriminator
from fairjax.models.cosine_head import unit
from fairjax.models.discriminator import IndependenceDiscriminator

Heads = dict[str, Callable[[jax.Array, jax.Array], jax.Array]]


class BlockModel(nn.Module):
    """A backbone, the cut of its embedding, and a head for each block.

    Attributes:
      backbone: Module from images [batch, height, width, 3] to embeddings [batch, blocks * dim].
      classes: For each attribute its number of classes, the identity last.
      identity: Name of the identity's block.
    """

    backbone: nn.Module
    classes: Mapping[str, int]
    identity: str

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[dict[str, jax.Array], PyTree]:
        """Maps images to the float32 blocks `[batch, dim]` and the heads' weights."""
        blocks = self.blocks(self.backbone(x, train=train))
        xavier, weights = nn.initializers.xavier_normal(), {}
        for name, count in self.classes.items():
            dim = blocks[name].shape[1]
            if name == self.identity:
                uniform = nn.initializers.xavier_uniform()
                weights[name] = {
                    "kernel": self.param("identity_kernel", uniform, (count, dim), jnp.float32)
                }
                continue
            weights[name] = {
                "kernel": self.param(f"head_{name}_kernel", xavier, (dim, count), jnp.float32),
                "bias": self.param(f"head_{name}_bias", nn.initializers.zeros, (count,)),
            }
        return blocks, weights

    def blocks(self, embedding: jax.Array) -> dict[str, jax.Array]:
        """Cuts embeddings `[batch, blocks * dim]`, in the order of `classes`."""
        if embedding.shape[1] % len(self.classes):
            raise ValueError(
                f"config.backbone.dim={embedding.shape[1]} must be a multiple of the "
                f"{len(self.classes)} blocks of debface."
            )
        cut = jnp.split(embedding.astype(jnp.float32), len(self.classes), axis=1)
        return dict(zip(self.classes, cut, strict=True))

    def embed(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Maps images to the identity's block `[batch, dim]`, of any length."""
        return self.blocks(self.backbone(x, train=train))[self.identity]


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    label: str = "identity",
    attributes: Sequence[str] = ("group",),
    scale: float = 64.0,
    margin: float = 0.35,
    adversary_weight: float = 1.0,
    tta: str = "none",
) -> Method:
    """DebFace training.

    Args:
      backbone: From images to embeddings whose width is a multiple of the number of blocks.
      targets: What the dataset offers.
      preprocess: uint8 images to the backbone's input.
      label: Attribute whose values are the people of the training split.
      attributes: Other attributes that have a block; images whose label is negative count for the
        other terms alone.
      scale: Factor of the identity's cosines.
      margin: Additive cosine margin of the identity (AM-softmax).
      adversary_weight: Weight of the terms that make blocks uninformative; 1 in the source.
      tta: What "embedding" is made of; see `cosine_margin.build`. The authors use no mirror image.

    Raises:
      ValueError: If the data has no such classes, or a setting is out of range.
    """
    if not attributes or label in attributes:
        raise ValueError("config.method.attributes must name one attribute or more, not the label.")
    check_range(adversary_weight >= 0, "adversary_weight", adversary_weight, "0 or more")
    classes = {name: len(require_groups(targets, name)) for name in attributes}
    classes[label] = count_classes(targets, label)
    model = BlockModel(backbone, classes, label)
    discriminator = IndependenceDiscriminator()

    def heads_of(weights: PyTree) -> Heads:
        return logit_heads(weights, list(classes), label, scale=scale, margin=margin)

    def init(key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
        model_key, discriminator_key = jax.random.split(key)
        images = preprocess(batch["image"])
        variables = dict(model.init(model_key, images, train=False))
        params = variables.pop("params")
        blocks, _ = jax.eval_shape(
            lambda p, v: model.apply({"params": p, **v}, images, train=False), params, variables
        )
        width = sum(block.shape[1] for block in blocks.values())
        adversary = discriminator.init(discriminator_key, jnp.zeros((2, width)), train=False)
        params = {**params, "discriminator": adversary["params"]}
        return params, {**variables, "discriminator": adversary["batch_stats"]}

    def loss(
        params: PyTree, model_state: PyTree, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Aux]:
        own, adversary = without_discriminator(params), params["discriminator"]
        variables = dict(model_state)
        statistics = variables.pop("discriminator")
        dropout_key, *block_keys = jax.random.split(key, 1 + len(classes))
        mask = batch["mask"]
        (blocks, weights), moved = model.apply(
            {"params": own, **variables},
            preprocess(batch["image"]),
            train=True,
            mutable=list(variables),
            rngs={"dropout": dropout_key},
        )
        labels = {name: batch[name] for name in classes}
        clipped = {name: jnp.clip(value, 0, classes[name] - 1) for name, value in labels.items()}
        permutations = {
            name: permute_rows(k, mask) for name, k in zip(classes, block_keys, strict=True)
        }
        twice = jnp.concatenate([mask, mask])
        rows = with_permuted_blocks(blocks, permutations)

        def discriminate(adversary: PyTree, rows: jax.Array) -> tuple[jax.Array, PyTree]:
            logits, state = discriminator.apply(
                {"params": adversary, "batch_stats": statistics},
                rows,
                twice,
                train=True,
                mutable=["batch_stats"],
            )
            return logits, state["batch_stats"]

        scalars, value = {}, jnp.float32(0)

        def add(name: str, values: jax.Array, rows: jax.Array, weight: float = 1.0) -> jax.Array:
            total, count = masked_sum(jnp.where(rows, values, 0.0), rows)
            scalars[name] = (total, count)
            return weight * total / jnp.maximum(count, 1.0)

        logits, statistics = discriminate(adversary, rows)
        value += add("independence_loss", joint_or_permuted_loss(logits), twice)
        for name, values in own_attribute_losses(blocks, clipped, heads_of(weights)).items():
            counted = mask & (labels[name] >= 0)
            value += add(f"loss_{name}", values, counted)
        # The heads and the discriminator are constant in what makes blocks uninformative.
        fixed = jax.lax.stop_gradient(weights)
        for (block, head), values in foreign_attribute_losses(
            blocks, clipped, heads_of(fixed)
        ).items():
            value += add(f"confusion_{head}_in_{block}", values, mask, adversary_weight)
        confused, _ = discriminate(jax.lax.stop_gradient(adversary), rows)
        value += add("confusion", uniform_cross_entropy(confused), twice, adversary_weight)
        rows_counted = mask.sum(dtype=jnp.float32)
        scalars["loss"] = (value * rows_counted, rows_counted)
        return value, Aux({**moved, "discriminator": statistics}, jax.lax.stop_gradient(scalars))

    return Method(
        init,
        loss,
        embedding_predictor(model, preprocess, tta, drop=("discriminator",)),
    )


def logit_heads(
    weights: PyTree, attributes: Sequence[str], identity: str, *, scale: float, margin: float
) -> Heads:
    """`(block [batch, dim], labels [batch]) -> logits [batch, classes]` of each attribute.

    Args:
      weights: Weights of the heads, from `BlockModel`.
      attributes: Names of all attributes, in the order of the blocks.
      identity: Attribute of the people, whose head is a margin softmax; the others are linear.
      scale: Factor of the identity's cosines.
      margin: Additive cosine margin of the identity.
    """

    def margin_softmax(block: jax.Array, labels: jax.Array) -> jax.Array:
        kernel = weights[identity]["kernel"]
        cosines = unit(block).direction @ unit(kernel).direction.T
        return scale * (cosines - margin * jax.nn.one_hot(labels, len(kernel)))

    def linear(name: str) -> Callable[[jax.Array, jax.Array], jax.Array]:
        kernel, bias = weights[name]["kernel"], weights[name]["bias"]
        return lambda block, labels: block @ kernel + bias[None]

    return {name: margin_softmax if name == identity else linear(name) for name in attributes}
