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

from fairjax.core.types import Aux, Batch, Method, PyTree, Target
from fairjax.heads import Head, class_losses
from fairjax.losses import ArcFace, FprPenalty, Margin, masked_sum
from fairjax.losses.invariant import invariance_penalty, learn_partition
from fairjax.losses.margin import split_target
from fairjax.methods.cosine_margin import MarginModel, count_classes, embedding_predictor
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
    classes = count_classes(targets, label)
    epochs = tuple(partition_epochs)
    ranges = (
        ("penalty", penalty in ("tface", "paper", "none"), "tface, paper or none"),
        ("environments", environments >= 2, "2 or more"),
        (
            "partition_epochs",
            bool(epochs) and epochs == tuple(sorted(set(epochs))) and epochs[0] >= 1,
            "one epoch or more, rising, from 1 on",
        ),
        ("weight", weight >= 0, "0 or more"),
        ("growth", growth > 0, "above 0"),
        ("learning_epochs", learning_epochs >= 1, "1 or more"),
        ("learning_batch", learning_batch >= 2, "2 or more"),
        ("temperature", temperature > 0, "above 0"),
    )
    for name, fits, rule in ranges:
        if not fits:
            raise ValueError(f"config.method.{name} must be {rule}.")
    head = Head()  # the penalty reads the logits of all classes
    model = MarginModel(backbone, classes, head.rows(classes))
    fpr = (
        None
        if penalty == "none"
        else FprPenalty(
            variant=penalty, gamma_u=gamma_u, alpha=1.0, alpha_mode="constant", power=2.0
        )
    )

    def init(key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
        variables = dict(model.init(key, preprocess(batch["image"]), train=False))
        params, state = variables.pop("params"), margin.init_state()
        dim = params["head"]["kernel"].shape[1]
        partition = {
            "sums": jnp.zeros((2, classes, dim)),
            "counts": jnp.zeros((2, classes)),
            "soft": jnp.full((len(epochs), classes, environments), 1 / environments),
            "learned": jnp.zeros(len(epochs)),
        }
        variables |= {"partition": partition} | ({"margin": state} if state else {})
        return params, variables

    def loss(
        params: PyTree, model_state: PyTree, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Aux]:
        people, mask = batch[label], batch["mask"]
        variables = dict(model_state)
        state, partition = variables.pop("margin", {}), variables.pop("partition")
        (embeddings, kernel), moved = model.apply(
            {"params": params, **variables},
            preprocess(batch["image"]),
            train=True,
            mutable=list(variables),
            rngs={"dropout": key},
        )
        output = class_losses(
            head,
            kernel,
            embeddings,
            people,
            mask,
            state,
            key,
            margin=margin,
            penalty=fpr,
            classes=classes,
        )
        inside = (people >= 0) & (people < classes)
        total, count = masked_sum(jnp.where(inside, output.loss, jnp.nan), mask)

        target, others = split_target(embeddings.direction @ unit(kernel).direction.T, people)
        margined = margin.target(target, embeddings.length, output.state)
        own = margined - (output.penalty.shift if output.penalty else 0.0)
        rest = margin.nontarget(others, margined, output.state)
        is_own = people[:, None] == jnp.arange(classes)[None]
        logits = margin.scale * jnp.where(is_own, own[:, None], rest)
        by_partition = jax.vmap(lambda soft: invariance_penalty(logits, people, soft, mask))(
            partition["soft"]
        )
        learned = partition["learned"]
        uneven = (learned * by_partition).sum() / jnp.maximum(learned.sum(), 1.0)
        strength = weight * growth ** (batch["epoch"] - growth_from) * penalty_factor
        value = total / jnp.maximum(count, 1.0) + strength * uneven

        slot, who = jnp.arange(len(mask)) % 2, jnp.clip(people, 0, classes - 1)
        counted = jnp.where(mask, 1.0, 0.0)
        seen = jax.lax.stop_gradient(embeddings.direction) * counted[:, None]
        partition = {
            **partition,
            "sums": partition["sums"].at[slot, who].add(seen),
            "counts": partition["counts"].at[slot, who].add(counted),
        }
        scalars = {
            "loss": (value * count, count),
            "loss_identity": (total, count),
            "target_cosine": masked_sum(output.target, mask),
            "invariance": (uneven, jnp.minimum(learned.sum(), 1.0)),
            "invariance_weight": (strength, jnp.float32(1)),
        }
        moved = {**moved, "partition": partition}
        if state:
            moved["margin"] = output.state
        return value, Aux(moved, jax.lax.stop_gradient(scalars))

    def after_epoch(params: PyTree, model_state: PyTree, epoch: jax.Array) -> tuple[PyTree, PyTree]:
        partition = model_state["partition"]
        due = epoch == jnp.array(epochs)
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

        made = jax.lax.cond(due.any(), learn, lambda: partition["soft"][0])
        partition = {
            "sums": jnp.zeros_like(partition["sums"]),
            "counts": jnp.zeros_like(counts),
            "soft": jnp.where(due[:, None, None], made[None], partition["soft"]),
            "learned": jnp.maximum(partition["learned"], due.astype(jnp.float32)),
        }
        return params, {**model_state, "partition": partition}

    return Method(
        init,
        loss,
        embedding_predictor(model, preprocess, tta),
        after_epoch=after_epoch,
    )
