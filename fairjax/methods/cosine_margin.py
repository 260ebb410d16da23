"""Face embeddings by margin softmax on cosines: one class a person, no group labels.

The embedding and the class weights are normalised, and the margin acts on their cosines; see
`fairjax.losses.margin`. At test time a face is its embedding.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from fairjax.losses import (
    Margin,
    TwoSided,
    make_margin,
    masked_sum,
    nontarget_logsumexp,
    softmax_loss,
    split_target,
)
from fairjax.models.cosine_head import CosineHead, Unit, two_sided_cosines, unit
from fairjax.types import Aux, Batch, Method, PyTree, Target

Scalars = dict[str, tuple[jax.Array, jax.Array]]


class Cosines(NamedTuple):
    """A batch's cosines with all classes, the target's apart.

    Attributes:
      target: [batch], with the own class.
      others: [batch, classes], with minus infinity in the target's place.
      margined: [batch], the target's after the margin.
    """

    target: TwoSided
    others: TwoSided
    margined: jax.Array


Penalise = Callable[[Cosines, Batch], tuple[jax.Array, Scalars]]


class MarginModel(nn.Module):
    """A backbone and the class weights.

    Attributes:
      backbone: Module from images [batch, height, width, 3] to embeddings [batch, dim].
      classes: How many people.
    """

    backbone: nn.Module
    classes: int

    def setup(self) -> None:
        self.head = CosineHead(self.classes)

    def __call__(self, x: jax.Array, *, train: bool) -> tuple[Unit, jax.Array]:
        """Maps images to normalised embeddings and class weights."""
        return self.head(self.embed(x, train=train))

    def embed(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Maps images [batch, height, width, 3] to embeddings [batch, dim], of any length."""
        return self.backbone(x, train=train)


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    label: str,
    margin: Mapping[str, Any],
    tta: str,
) -> Method:
    """Margin softmax.

    Args:
      backbone: From images to embeddings [batch, dim].
      targets: What the dataset offers.
      preprocess: uint8 images to the backbone's input.
      label: The attribute whose values are the people of the training split.
      margin: Its `name`, a key of MARGINS, and its settings.
      tta: What "embedding" is made of: "sum" (of the image's and its mirror image's, then
        normalised), "concat" (both, then normalised) or "none" (the image's).
    """
    return margin_method(
        MarginModel(backbone, count_classes(targets, label)),
        preprocess=preprocess,
        label=label,
        margin=make_margin(**margin),
        tta=tta,
        penalise=lambda cosines, batch: (jnp.zeros_like(cosines.margined), {}),
    )


def margin_method(
    model: MarginModel,
    *,
    preprocess: Callable[[jax.Array], jax.Array],
    label: str,
    margin: Margin,
    tta: str,
    penalise: Penalise,
) -> Method:
    """Margin softmax whose target cosines are lowered by `penalise(cosines, batch)`."""
    if tta not in ("sum", "concat", "none"):
        raise ValueError(f"config.method.tta={tta!r} is not known; known: sum, concat, none.")

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
        (embeddings, weights), moved = model.apply(
            {"params": params, **variables},
            preprocess(batch["image"]),
            train=True,
            mutable=list(variables),
            rngs={"dropout": key},
        )
        both, through_embedding = (
            split_target(cosines, labels)
            for cosines in two_sided_cosines(embeddings.direction, weights)
        )
        target, others = (TwoSided(*sides) for sides in zip(both, through_embedding, strict=True))
        if state:
            state = margin.moved(state, target.both, embeddings.length, mask)
            moved = {**moved, "margin": state}
        margined = margin.target(target.both, embeddings.length, state)
        shift, scalars = penalise(Cosines(target, others, margined), batch)
        logsumexp = nontarget_logsumexp(
            margin.nontarget(others.both, margined, state), scale=margin.scale
        )
        losses = softmax_loss(margined - shift, logsumexp, scale=margin.scale)
        losses += margin.regulariser(embeddings.length)
        inside = (labels >= 0) & (labels < model.classes)
        total, count = masked_sum(jnp.where(inside, losses, jnp.nan), mask)
        scalars = {
            "loss": (total, count),
            "target_cosine": masked_sum(target.both, mask),
            "embedding_length": masked_sum(embeddings.length, mask),
            **scalars,
        }
        return total / jnp.maximum(count, 1.0), Aux(moved, scalars)

    def predict(variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
        images = preprocess(batch["image"])

        def embed(images: jax.Array) -> jax.Array:
            embedding = model.apply(variables, images, train=False, method="embed")
            return jnp.asarray(embedding, jnp.float32)

        embedding = embed(images)
        if tta == "sum":
            embedding += embed(images[:, :, ::-1])
        elif tta == "concat":
            embedding = jnp.concatenate([embedding, embed(images[:, :, ::-1])], axis=1)
        return {"embedding": unit(embedding).direction}

    return Method(init, loss, predict)


def count_classes(targets: Mapping[str, Target], label: str) -> int:
    """How many people there are to tell apart.

    Raises:
      ValueError: If the attribute is missing or a number, or names fewer than two.
    """
    if label not in targets:
        raise ValueError(
            f"config.method.label={label!r} is not in this dataset; it has: {', '.join(targets)}."
        )
    classes = len(targets[label].values)
    if classes < 2:
        raise ValueError(
            f"config.method.label={label!r} names {classes} classes in this dataset; "
            "a margin loss needs the names of two people or more."
        )
    return classes
