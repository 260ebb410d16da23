"""InvReg: margin softmax whose classifier is as right in every part of the people, without labels.

After some epochs the people are parted softly into environments in which recognition is as hard
and as uneven as can be. From then on a penalty asks that the derivative of the loss with respect to
the scale of the logits is 0 in each environment of each partition learned so far.

Source: Ma et al. 2023, "Invariant Feature Regularization for Fair Face Recognition" (ICCV), and the
authors' program for the penalty. Differs from it in: a partition is learned from two mean
embeddings of each person, collected over the epoch before, and not from every image; the form of
the objective is ours where the paper is silent.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from fairjax.core.types import Method, PyTree, Target
from fairjax.heads import Head
from fairjax.losses import ArcFace, FprPenalty, Margin
from fairjax.losses.invariant import invariance_penalty, learn_partition
from fairjax.losses.margin import split_target
from fairjax.methods.checks import check_range, check_word
from fairjax.methods.margin_softmax import (
    Extended,
    Extension,
    MarginSoftmax,
    MarginView,
    margin_method,
)
from fairjax.models.cosine_head import unit

_KEY = 0  # of what the partitions start from


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    margin: Margin = ArcFace(margin=0.4),  # noqa: B008  frozen
    penalty: Literal["tface", "paper", "none"] = "tface",
    gamma_u: float | str = 0.0,
    label: str = "identity",
    tta: str = "sum",
    environments: int = 2,
    partition_epochs: Sequence[int] = (1, 11, 17),
    weight: float = 0.05,
    growth: float = 1.09,
    growth_from: float = 5.0,
    penalty_factor: float = 0.2,
    learning_epochs: int = 15,
    learning_batch: int = 5120,
    learning_rate: float = 0.5,
    temperature: float = 0.3,
    variance_weight: float = 0.2,
    balance_weight: float = 1.0,
) -> Method:
    """InvReg training.

    Args:
      backbone: From images to embeddings [batch, dim].
      targets: What the dataset offers.
      preprocess: uint8 images to the backbone's input.
      margin: The margin, one of MARGINS.
      penalty: Variant of the FPR penalty that is used beside, as the authors do; "none" for none.
      gamma_u: False-positive rate of that penalty; see `fpr_penalty.build`.
      label: Attribute whose values are the people of the training split.
      tta: What "embedding" is made of; see `cosine_margin.build`.
      environments: Parts of a partition, 2 or more.
      partition_epochs: Epochs after which a partition is learned, rising, 1 or more.
      weight: Weight of the invariance penalty at epoch `growth_from`, 0 or more.
      growth: Factor of that weight an epoch, above 0.
      growth_from: Epoch at which `weight` holds.
      penalty_factor: Another factor of the penalty; 0.2 in the authors' program.
      learning_epochs: Passes over the people when a partition is learned.
      learning_batch: People a step of that.
      learning_rate: Adam's learning rate of that.
      temperature: Temperature of the contrastive loss that a partition maximises.
      variance_weight: Weight of that loss's variance over environments.
      balance_weight: Weight of the entropy of the environments' sizes.

    Raises:
      ValueError: If the data has no people to tell apart, or a setting is out of range.
    """
    epochs = tuple(partition_epochs)
    rising = bool(epochs) and epochs == tuple(sorted(set(epochs))) and epochs[0] >= 1
    check_word("penalty", penalty, ("tface", "paper", "none"))
    check_range(environments >= 2, "environments", environments, "2 or more")
    check_range(rising, "partition_epochs", epochs, "one epoch or more, rising, from 1 on")
    check_range(weight >= 0, "weight", weight, "0 or more")
    check_range(growth > 0, "growth", growth, "above 0")
    check_range(learning_epochs >= 1, "learning_epochs", learning_epochs, "1 or more")
    check_range(learning_batch >= 2, "learning_batch", learning_batch, "2 or more")
    check_range(temperature > 0, "temperature", temperature, "above 0")
    # The invariance penalty reads the logits of all classes, so the head is complete.
    softmax = MarginSoftmax(
        backbone, targets, preprocess, label=label, margin=margin, head=Head(), tta=tta
    )
    classes = softmax.classes
    fpr = None
    if penalty != "none":
        fpr = FprPenalty(
            variant=penalty, gamma_u=gamma_u, alpha=1.0, alpha_mode="constant", power=2.0
        )

    def start(key: jax.Array, dim: int) -> tuple[PyTree, PyTree]:
        return {}, {
            "sums": jnp.zeros((2, classes, dim)),
            "counts": jnp.zeros((2, classes)),
            "soft": jnp.full((len(epochs), classes, environments), 1 / environments),
            "learned": jnp.zeros(len(epochs)),
        }

    def step(view: MarginView) -> Extended:
        uneven, learned = _unevenness(view, _logits(view, margin))
        strength = weight * growth ** (view.batch["epoch"] - growth_from) * penalty_factor
        return Extended(
            loss=strength * uneven,
            scalars={
                "invariance": (uneven, jnp.minimum(learned, 1.0)),
                "invariance_weight": (strength, jnp.float32(1)),
            },
            state=_collected(view, classes),
        )

    def after_epoch(kernel: jax.Array, partition: PyTree, epoch: jax.Array) -> PyTree:
        del kernel
        counts = partition["counts"]
        mean = partition["sums"] / jnp.maximum(counts, 1.0)[:, :, None]
        first, second = (unit(half).direction for half in mean)

        def learn() -> jax.Array:
            return learn_partition(
                jax.random.fold_in(jax.random.key(_KEY), epoch),
                first,
                second,
                (counts > 0).all(axis=0),
                environments=environments,
                epochs=learning_epochs,
                batch=learning_batch,
                rate=learning_rate,
                temperature=temperature,
                variance_weight=variance_weight,
                balance_weight=balance_weight,
            )

        return _learned(partition, epoch == jnp.array(epochs), learn)

    return margin_method(softmax, penalty=fpr, extension=Extension(step, start, after_epoch))


def _logits(view: MarginView, margin: Margin) -> jax.Array:
    """Scaled logits of all classes [batch, rows], with the margin and the FPR penalty."""
    output, people = view.output, view.labels
    cosines = view.embeddings.direction @ unit(view.kernel).direction.T
    target, others = split_target(cosines, people)
    margined = margin.target(target, view.embeddings.length, output.state)
    own = margined - (output.penalty.shift if output.penalty else 0.0)
    rest = margin.nontarget(others, margined, output.state)
    is_own = people[:, None] == jnp.arange(cosines.shape[1])[None]
    return margin.scale * jnp.where(is_own, own[:, None], rest)


def _unevenness(view: MarginView, logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean invariance penalty over the partitions learned so far, and how many these are."""
    mask, learned = view.batch["mask"], view.state["learned"]
    by_partition = jax.vmap(lambda soft: invariance_penalty(logits, view.labels, soft, mask))(
        view.state["soft"]
    )
    return (learned * by_partition).sum() / jnp.maximum(learned.sum(), 1.0), learned.sum()


def _learned(partition: PyTree, due: jax.Array, learn: Callable[[], jax.Array]) -> PyTree:
    """The partitions' state after an epoch: a new partition where one is due, and no sums."""
    soft = jax.lax.cond(due.any(), learn, lambda: partition["soft"][0])
    return {
        "sums": jnp.zeros_like(partition["sums"]),
        "counts": jnp.zeros_like(partition["counts"]),
        "soft": jnp.where(due[:, None, None], soft[None], partition["soft"]),
        "learned": jnp.maximum(partition["learned"], due.astype(jnp.float32)),
    }


def _collected(view: MarginView, classes: int) -> PyTree:
    """The partitions' state with the embeddings of a step added to their people's two sums."""
    mask, partition = view.batch["mask"], view.state
    slot, who = jnp.arange(len(mask)) % 2, jnp.clip(view.labels, 0, classes - 1)
    counted = jnp.where(mask, 1.0, 0.0)
    seen = jax.lax.stop_gradient(view.embeddings.direction) * counted[:, None]
    return {
        **partition,
        "sums": partition["sums"].at[slot, who].add(seen),
        "counts": partition["counts"].at[slot, who].add(counted),
    }
