"""DebFace's losses: blocks of an embedding that know their own attribute and no other.

An embedding is cut into one block an attribute, such as race and identity. Each block is classified
by its own attribute's head, must tell the other heads nothing, and a discriminator must not tell an
embedding from one whose blocks come from different images.

Source: Gong, Liu, Jain 2020 (ECCV, arXiv 1911.08080), section 3, and the authors' training step.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from fairjax.losses.adversarial import uniform_cross_entropy
from fairjax.losses.attributes import cross_entropy

Blocks = Mapping[str, Float[Array, "batch dim"]]
Labels = Mapping[str, Int[Array, " batch"]]
# A head maps a block and its attribute's labels (for a margin) to logits.
Head = Callable[[Float[Array, "batch dim"], Int[Array, " batch"]], Float[Array, "batch classes"]]


def own_attribute_losses(
    blocks: Blocks, labels: Labels, heads: Mapping[str, Head]
) -> dict[str, Float[Array, " batch"]]:
    """Cross-entropy of each block's own head, one value an image.

    Args:
      blocks: Features of each attribute's block.
      labels: Class numbers of each attribute.
      heads: Classifier of each attribute.

    Returns:
      Nats by attribute.
    """
    return {
        name: cross_entropy(heads[name](block, labels[name]), labels[name], label_smoothing=0.0)
        for name, block in blocks.items()
    }


def foreign_attribute_losses(
    blocks: Blocks, labels: Labels, heads: Mapping[str, Head]
) -> dict[tuple[str, str], Float[Array, " batch"]]:
    """How much each block tells every other attribute's head: cross-entropy against uniform.

    Args:
      blocks: Features of each attribute's block.
      labels: Class numbers of each attribute; a margin head puts its margin at the true class, as
        the released code does.
      heads: Classifier of each attribute, held constant by the caller.

    Returns:
      Nats by (block, head); log C where the head learns nothing.
    """
    return {
        (block, head): uniform_cross_entropy(heads[head](blocks[block], labels[head]))
        for block in blocks
        for head in heads
        if block != head
    }


def with_permuted_blocks(
    blocks: Blocks, permutations: Mapping[str, Int[Array, " batch"]]
) -> Float[Array, "rows dims"]:
    """The embeddings of a batch, followed by embeddings whose blocks come from different images.

    Args:
      blocks: Features of each attribute's block.
      permutations: For each block its own permutation of the batch, which turns the joint
        distribution of the blocks into the product of their marginals.

    Returns:
      `[2 batch, sum of dims]`: first the joint rows, then the permuted ones.
    """
    joint = jnp.concatenate(list(blocks.values()), axis=1)
    permuted = jnp.concatenate([blocks[name][permutations[name]] for name in blocks], axis=1)
    return jnp.concatenate([joint, permuted])


def permute_rows(key: Key[Array, ""], mask: Bool[Array, " batch"]) -> Int[Array, " batch"]:
    """A random permutation of a batch in which padding stays where it is.

    Args:
      key: A fresh one for each permutation.
      mask: False on padding.

    Returns:
      For each row the row that takes its place; the order of the rows before does not depend on
      what padding holds.
    """
    rows = jnp.arange(len(mask))
    drawn = jax.random.uniform(key, mask.shape)
    shuffled = jnp.argsort(jnp.where(mask, drawn, 2.0))  # the rows that count come first
    position = jnp.cumsum(mask) - 1
    return jnp.where(mask, shuffled[jnp.maximum(position, 0)], rows)


def joint_or_permuted_loss(logits: Float[Array, "rows 2"]) -> Float[Array, " rows"]:
    """The discriminator's cross-entropy: the first half of the rows is joint (class 1).

    Args:
      logits: The discriminator's, for rows as `with_permuted_blocks` returns them.
    """
    joint = jnp.arange(len(logits)) < len(logits) // 2
    return cross_entropy(logits, joint.astype(jnp.int32), label_smoothing=0.0)
