"""Face embeddings by margin softmax on cosines: one class a person, no group labels.

The embedding and the class weights are normalised, and the margin acts on their cosines; see
`fairjax.losses.margin`. At test time a face is its embedding.
"""

from collections.abc import Callable, Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from fairjax.core.types import Aux, Batch, Method, PyTree, Target
from fairjax.heads import Head, HeadOutput, class_losses
from fairjax.losses import CosFace, FprPenalty, Margin, masked_sum
from fairjax.models.cosine_head import CosineHead, Unit, unit

Scalars = dict[str, tuple[jax.Array, jax.Array]]
Log = Callable[[HeadOutput, Batch], Scalars]


class MarginModel(nn.Module):
    """A backbone and the class weights.

    Attributes:
      backbone: Module from images [batch, height, width, 3] to embeddings [batch, dim].
      classes: How many people.
      rows: Rows of the class weights, at least `classes`.
    """

    backbone: nn.Module
    classes: int
    rows: int

    def setup(self) -> None:
        self.head = CosineHead(self.classes, self.rows)

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
    label: str = "identity",
    margin: Margin = CosFace(),  # noqa: B008  frozen
    head: Head = Head(),  # noqa: B008  frozen
    tta: str = "sum",
) -> Method:
    """Margin softmax.

    Args:
      backbone: From images to embeddings [batch, dim].
      targets: What the dataset offers.
      preprocess: uint8 images to the backbone's input.
      label: The attribute whose values are the people of the training split.
      margin: The margin, one of MARGINS.
      head: How the class weights lie over devices, and are walked.
      tta: What "embedding" is made of: "sum" (of the image's and its mirror image's, then
        normalised), "concat" (both, then normalised) or "none" (the image's).
    """
    return margin_method(
        backbone,
        preprocess=preprocess,
        label=label,
        classes=count_classes(targets, label),
        margin=margin,
        penalty=None,
        head=head,
        tta=tta,
        log=lambda output, batch: {},
    )


def margin_method(
    backbone: nn.Module,
    *,
    preprocess: Callable[[jax.Array], jax.Array],
    label: str,
    classes: int,
    margin: Margin,
    penalty: FprPenalty | None,
    head: Head,
    tta: str,
    log: Log,
) -> Method:
    """Margin softmax, with or without a penalty, that logs `log(output, batch)` besides."""
    model = MarginModel(backbone, classes, head.rows(classes))

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
            labels,
            mask,
            state,
            key,
            margin=margin,
            penalty=penalty,
            classes=classes,
        )
        if state:
            moved = {**moved, "margin": output.state}
        inside = (labels >= 0) & (labels < classes)
        total, count = masked_sum(jnp.where(inside, output.loss, jnp.nan), mask)
        scalars = {
            "loss": (total, count),
            "target_cosine": masked_sum(output.target, mask),
            "embedding_length": masked_sum(embeddings.length, mask),
            **log(output, batch),
        }
        return total / jnp.maximum(count, 1.0), Aux(moved, scalars)

    return Method(
        init,
        loss,
        embedding_predictor(model, preprocess, tta),
        split={"head/kernel": head.partition},
    )


def embedding_predictor(
    model: nn.Module,
    preprocess: Callable[[jax.Array], jax.Array],
    tta: str,
    *,
    drop: Sequence[str] = (),
) -> Callable[[PyTree, Batch], dict[str, jax.Array]]:
    """`Method.predict` of face recognition: unit embeddings, float32 [batch, dim or 2 dim].

    Args:
      model: Module whose method `embed` maps images to embeddings of any length.
      preprocess: uint8 images to the model's input.
      tta: What is done with the mirror image: "sum", "concat" or "none".
      drop: Parameters that are not the model's, such as a discriminator's.

    Raises:
      ValueError: If `tta` is none of these.
    """
    if tta not in ("sum", "concat", "none"):
        raise ValueError(f"config.method.tta={tta!r} is not known; known: sum, concat, none.")

    def predict(variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
        images = preprocess(batch["image"])
        params = {name: tree for name, tree in variables["params"].items() if name not in drop}
        variables = {**variables, "params": params}

        def embed(images: jax.Array) -> jax.Array:
            embedding = model.apply(variables, images, train=False, method="embed")
            return jnp.asarray(embedding, jnp.float32)

        embedding = embed(images)
        if tta == "sum":
            embedding += embed(images[:, :, ::-1])
        elif tta == "concat":
            embedding = jnp.concatenate([embedding, embed(images[:, :, ::-1])], axis=1)
        return {"embedding": unit(embedding).direction}

    return predict


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
