"""Margin softmax on cosines, and what methods of face recognition add to it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from fairjax.core.types import EXTENSION, Aux, Batch, Method, PyTree, Target
from fairjax.heads import Head, HeadOutput, MarginLoss
from fairjax.losses import ArcFace, CosFace, FprPenalty, Margin, masked_sum
from fairjax.methods.checks import check_range, check_word
from fairjax.models.cosine_head import CosineHead, Unit, unit

Scalars = dict[str, tuple[jax.Array, jax.Array]]
Log = Callable[[HeadOutput, Batch], Scalars]


class MarginView(NamedTuple):
    """What an `Extension` sees of a training step.

    Attributes:
      output: What the head makes of the batch.
      embeddings: Embeddings of the global batch.
      kernel: Class weights [rows, dim], of any length.
      labels: Class of each row; outside [0, classes) on padding alone.
      batch: Labels, mask and epoch.
      params: Parameters of the extension itself.
      state: State of the extension itself.
      key: For the extension's draws.
    """

    output: HeadOutput
    embeddings: Unit
    kernel: jax.Array
    labels: jax.Array
    batch: Batch
    params: PyTree
    state: PyTree
    key: jax.Array


class Extended(NamedTuple):
    """What an `Extension` adds to a step.

    Attributes:
      shift: By how much the margined target cosine of each row is lowered.
      loss: What is added to the mean loss of the rows, a scalar.
      scalars: What is logged besides, sums and counts.
      state: State of the extension for the next step.
    """

    shift: jax.Array | None = None
    loss: jax.Array | None = None
    scalars: Scalars = {}  # noqa: RUF012  never changed
    state: PyTree = {}  # noqa: RUF012


@dataclass(frozen=True)
class Extension:
    """What a method adds to a margin softmax.

    Attributes:
      step: What it adds to a training step.
      init: `(key, dim) -> (params, state)`: its own parameters and state, for embeddings of `dim`.
      after_epoch: `(kernel, state, epoch) -> state`: its state after an epoch; the class weights
        `[rows, dim]` are of any length.
      own_optimizers: Optimisers of parts of its own parameters; see `Method.own_optimizers`.
    """

    step: Callable[[MarginView], Extended]
    init: Callable[[jax.Array, int], tuple[PyTree, PyTree]] = lambda key, dim: ({}, {})
    after_epoch: Callable[[jax.Array, PyTree, jax.Array], PyTree] | None = None
    own_optimizers: Mapping[str, Callable[[optax.Schedule], optax.GradientTransformation]] = field(
        default_factory=dict
    )


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


def ramp(*, margin_epochs: float, penalty_epochs: float) -> Extension | None:
    """Margin and FPR penalty that grow linearly from 0 to their full strength.

    In full from the first step, they can keep a network on the plateau where it knows nobody. The
    ramp acts on the target cosine alone: what a margin does to other classes is there at once.

    Args:
      margin_epochs: Epochs until the margin is whole; 0 for whole from the first step.
      penalty_epochs: Epochs until the penalty is whole; 0 for whole from the first step.

    Returns:
      What `margin_method` adds to a step; None where both are whole at once.

    Raises:
      ValueError: If either is negative.
    """
    for name, epochs in (("margin_ramp_epochs", margin_epochs), ("ramp_epochs", penalty_epochs)):
        check_range(0 <= epochs < float("inf"), name, epochs, "0 or more")
    if not margin_epochs and not penalty_epochs:
        return None

    def strength(epochs: float, batch: Batch) -> jax.Array:
        return jnp.minimum(batch["epoch"] / epochs, 1.0) if epochs else jnp.float32(1)

    def step(view: MarginView) -> Extended:
        output, scalars = view.output, {}
        penalised = output.penalty.shift if output.penalty else jnp.zeros_like(output.target)
        by_margin = output.target - (output.margined + penalised)
        missing = jnp.zeros_like(output.target)
        for name, epochs, whole in (
            ("margin_strength", margin_epochs, by_margin),
            ("penalty_strength", penalty_epochs, penalised),
        ):
            if epochs:
                share = strength(epochs, view.batch)
                missing += (1 - share) * whole
                scalars[name] = (share, jnp.float32(1))
        return Extended(shift=-missing, scalars=scalars)

    return Extension(step)


@dataclass(frozen=True)
class MarginSoftmax:
    """The parts of a margin softmax, which methods complete with a penalty or an `Extension`.

    Attributes:
      backbone: Module from images to embeddings [batch, dim].
      targets: What the dataset offers.
      preprocess: Function from uint8 images to the backbone's input.
      label: Attribute whose values are the people of the training split.
      margin: Margin of the softmax.
      head: How the class weights lie over devices, and are walked.
      tta: What is done with the mirror image; see `embedding_predictor`.

    Raises:
      ValueError: If the data has no people to tell apart.
    """

    backbone: nn.Module
    targets: Mapping[str, Target]
    preprocess: Callable[[jax.Array], jax.Array]
    label: str
    margin: Margin
    head: Head
    tta: str

    def __post_init__(self) -> None:
        count_classes(self.targets, self.label)

    @property
    def classes(self) -> int:
        """How many people there are to tell apart."""
        return count_classes(self.targets, self.label)


def margin_method(
    softmax: MarginSoftmax,
    *,
    penalty: FprPenalty | None = None,
    log: Log = lambda output, batch: {},
    extension: Extension | None = None,
) -> Method:
    """Margin softmax with what a method adds to it.

    Args:
      softmax: Backbone, people, margin and head.
      penalty: FPR penalty on the margined cosines, or None.
      log: `(output, batch) -> scalars`, which are logged besides the usual ones.
      extension: What is added to a training step, or None.

    Raises:
      ValueError: If `softmax.tta` is not known.
    """
    preprocess, label, classes = softmax.preprocess, softmax.label, softmax.classes
    margin, head = softmax.margin, softmax.head
    model = MarginModel(softmax.backbone, classes, head.rows(classes))
    identify = MarginLoss(head, margin, classes, penalty)

    def init(key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
        variables = dict(model.init(key, preprocess(batch["image"]), train=False))
        params, state = variables.pop("params"), margin.init_state()
        variables |= {"margin": state} if state else {}
        if extension is None:
            return params, variables
        dim = params["head"]["kernel"].shape[1]
        own, state = extension.init(jax.random.fold_in(key, 1), dim)
        return params | ({EXTENSION: own} if own else {}), (
            variables | ({EXTENSION: state} if state else {})
        )

    def loss(
        params: PyTree, model_state: PyTree, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Aux]:
        labels, mask = batch[label], batch["mask"]
        variables, own = dict(model_state), params.get(EXTENSION, {})
        state, own_state = variables.pop("margin", {}), variables.pop(EXTENSION, {})
        params = {name: tree for name, tree in params.items() if name != EXTENSION}
        (embeddings, kernel), moved = model.apply(
            {"params": params, **variables},
            preprocess(batch["image"]),
            train=True,
            mutable=list(variables),
            rngs={"dropout": key},
        )
        output = identify(kernel, embeddings, labels, mask, state, key)
        if state:
            moved = {**moved, "margin": output.state}
        added = Extended()
        if extension is not None:
            own_key = jax.random.fold_in(key, 1)
            added = extension.step(
                MarginView(output, embeddings, kernel, labels, batch, own, own_state, own_key)
            )
            moved = {**moved, EXTENSION: added.state} if added.state else moved
        losses = output.loss
        if added.shift is not None:
            losses = output.lowered(added.shift, scale=margin.scale)
        total, count = identify.summed(losses, labels, mask)
        value, logged = total / jnp.maximum(count, 1.0), {"loss": (total, count)}
        if added.loss is not None:
            value += added.loss
            logged = {"loss": (value * count, count), "loss_identity": (total, count)}
        penalised = output.penalty.shift if output.penalty else 0.0
        scalars = {
            **logged,
            "target_cosine": masked_sum(output.target, mask),
            "margined_cosine": masked_sum(output.margined + penalised, mask),
            "impostor_cosine": masked_sum(output.logsumexp / margin.scale, mask),
            "embedding_length": masked_sum(embeddings.length, mask),
            **log(output, batch),
            **added.scalars,
        }
        if extension is not None:
            scalars = jax.lax.stop_gradient(scalars)
        return value, Aux(moved, scalars)

    def after_epoch(params: PyTree, model_state: PyTree, epoch: jax.Array) -> tuple[PyTree, PyTree]:
        assert extension is not None and extension.after_epoch is not None
        state = extension.after_epoch(params["head"]["kernel"], model_state[EXTENSION], epoch)
        return params, {**model_state, EXTENSION: state}

    own_optimizers = extension.own_optimizers if extension else {}
    return Method(
        init,
        loss,
        embedding_predictor(model, preprocess, softmax.tta, drop=(EXTENSION,)),
        split={"head/kernel": head.partition},
        own_optimizers={f"{EXTENSION}/{name}": make for name, make in own_optimizers.items()},
        after_epoch=after_epoch if extension and extension.after_epoch else None,
        chance=chance_loss(margin, classes),
    )


def chance_loss(margin: Margin, classes: int) -> dict[str, float]:
    """Mean loss of embeddings at right angles to all class weights, by its name in the log.

    Nothing for margins that are not one number, known beforehand.
    """
    if type(margin) not in (CosFace, ArcFace):
        return {}
    assert isinstance(margin, CosFace | ArcFace)
    lost = margin.margin if isinstance(margin, CosFace) else math.sin(margin.margin)
    logit = math.log(classes - 1) + margin.scale * lost
    return {"loss": logit + math.log1p(math.exp(-logit))}


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
    check_word("tta", tta, ("sum", "concat", "none"))

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


def one_margin(margin: Margin) -> CosFace | ArcFace:
    """The margin, where it is one number that may be each row's own.

    Raises:
      ValueError: If it is another.
    """
    if not isinstance(margin, CosFace | ArcFace):
        raise ValueError("config.method.margin.name must be 'cosface' or 'arcface'.")
    return margin
