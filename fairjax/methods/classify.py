"""Attribute classification and regression: several heads on one backbone.

The UTKFace study's supervised baseline: age by squared error on a standardised target, gender and
race by cross-entropy, the losses added with weights (`methods` of the study, sections 3.1 and 4.1).
One task alone, or bins of a number as classes, are the same recipe with another list of tasks.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from fairjax.core.types import Aux, Batch, Method, PyTree, Target
from fairjax.losses import cross_entropy, masked_sum, regression


class Heads(nn.Module):
    """A backbone and one linear layer a task.

    Attributes:
      backbone: Module from images [batch, height, width, 3] to features [batch, dim].
      widths: For each task its number of outputs.
      hidden: Width of a layer with sigmoid that the tasks share after the features; 0 is none.
      dropout: Share of the features dropped in training.
    """

    backbone: nn.Module
    widths: Mapping[str, int]
    hidden: int
    dropout: float

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[dict[str, jax.Array], jax.Array]:
        """Maps images to a float32 [batch, width] for each task, and the features [batch, dim]."""
        features = self.backbone(x, train=train).astype(jnp.float32)
        x = nn.Dropout(self.dropout)(features, deterministic=not train)
        if self.hidden:
            x = nn.sigmoid(nn.Dense(self.hidden, name="head_hidden")(x))
        outputs = {
            task: nn.Dense(width, name=f"head_{task}")(x) for task, width in self.widths.items()
        }
        return outputs, features


@dataclass(frozen=True)
class Task:
    """One head: what it is asked and how its answer is scored.

    Attributes:
      attribute: The label it reads from the batch.
      width: Outputs of the head.
      weight: Factor of its loss.
      loss: `(outputs [batch, width], labels [batch]) -> [batch]`.
      predictions: `(name, outputs) -> {column: array}`.
    """

    attribute: str
    width: int
    weight: float
    loss: Callable[[jax.Array, jax.Array], jax.Array]
    predictions: Callable[[str, jax.Array], dict[str, jax.Array]]


def _regression(
    target: Target,
    smoothing: float,
    *,
    attribute: str,
    weight: float = 1.0,
    loss: Literal["mse", "l1", "huber"] = "mse",
) -> Task:
    """A number, standardised by the training split; predicted in its own unit.

    Args:
      target: What the dataset says of the attribute.
      smoothing: Label smoothing, in [0, 1); for classes.
      attribute: Name of the attribute in the dataset.
      weight: Factor of this task's loss in the sum over tasks.
      loss: Loss of the standardised error: "mse", "l1" or "huber".
    """
    return Task(
        attribute=attribute,
        width=1,
        weight=weight,
        loss=lambda outputs, labels: regression(
            outputs[:, 0], (labels - target.mean) / target.std, kind=loss
        ),
        predictions=lambda name, outputs: {
            f"pred_{name}": outputs[:, 0] * target.std + target.mean
        },
    )


def _classes(target: Target, smoothing: float, *, attribute: str, weight: float = 1.0) -> Task:
    """A class by cross-entropy.

    Args:
      target: What the dataset says of the attribute.
      smoothing: Label smoothing, in [0, 1); for classes.
      attribute: Name of the attribute in the dataset.
      weight: Factor of this task's loss in the sum over tasks.
    """
    return Task(
        attribute=attribute,
        width=len(target.values),
        weight=weight,
        loss=lambda outputs, labels: cross_entropy(outputs, labels, label_smoothing=smoothing),
        predictions=lambda name, outputs: {f"prob_{name}": jax.nn.softmax(outputs)},
    )


def _bins(
    target: Target,
    smoothing: float,
    *,
    attribute: str,
    edges: Sequence[float],
    weight: float = 1.0,
) -> Task:
    """A bin of a number by cross-entropy; bin k is [edges[k-1], edges[k]).

    Args:
      target: What the dataset says of the attribute.
      smoothing: Label smoothing, in [0, 1); for classes.
      attribute: Name of the attribute in the dataset.
      edges: Borders of the bins, rising.
      weight: Factor of this task's loss in the sum over tasks.
    """
    return Task(
        attribute=attribute,
        width=len(edges) + 1,
        weight=weight,
        loss=lambda outputs, labels: cross_entropy(
            outputs,
            jnp.searchsorted(jnp.asarray(edges, jnp.float32), labels, side="right"),
            label_smoothing=smoothing,
        ),
        predictions=lambda name, outputs: {f"prob_{name}": jax.nn.softmax(outputs)},
    )


TASKS: dict[str, Callable[..., Task]] = {
    "bins": _bins,
    "classes": _classes,
    "regression": _regression,
}


def make_tasks(
    specs: Mapping[str, Mapping[str, Any]],
    targets: Mapping[str, Target],
    *,
    label_smoothing: float,
) -> dict[str, Task]:
    """Turns the config's task descriptions into heads.

    Args:
      specs: For each task its `kind`, a key of TASKS, and that function's settings.
      targets: What the dataset offers.
      label_smoothing: For the classifying tasks, in [0, 1).

    Raises:
      ValueError: If a task names an attribute that the dataset lacks, or of the wrong kind.
    """
    tasks = {}
    for name, spec in specs.items():
        settings = dict(spec)
        kind, where = settings.pop("kind"), f"config.method.tasks.{name}"
        if kind not in TASKS:
            raise ValueError(f"{where}.kind={kind!r} is not known; use regression, classes, bins.")
        target = targets.get(settings["attribute"])
        if target is None:
            raise ValueError(
                f"{where}.attribute={settings['attribute']!r} is not in this dataset; "
                f"it has: {', '.join(targets)}."
            )
        if (kind == "classes") != bool(target.values):
            fitting = "classes" if target.values else "regression or bins"
            raise ValueError(f"{where}.kind={kind!r} does not fit its attribute; use {fitting}.")
        tasks[name] = TASKS[kind](target, label_smoothing, **settings)
    return tasks


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    tasks: Mapping[str, Mapping[str, Any]],
    label_smoothing: float = 0.0,
    dropout: float = 0.0,
    hidden: int = 0,
    mixup: float = 0.0,
    save_features: bool = False,
) -> Method:
    """The multitask method.

    Args:
      backbone: From images to features [batch, dim].
      targets: What the dataset offers: class names, or mean and deviation.
      preprocess: uint8 images to the backbone's input.
      tasks: For each task its description; see `make_tasks`.
      label_smoothing: Label smoothing of the classifying tasks, in [0, 1).
      dropout: Share of the features dropped in training.
      hidden: Width of a layer with sigmoid between the features and the heads; 0 is none.
      mixup: Each image is blended with another of the batch, and so are their losses, by a share
        from Beta(mixup, mixup), one for the batch (Zhang et al. 2018, arXiv 1710.09412); 0 is off.
      save_features: Whether predictions hold the "features" [batch, dim].
    """
    model, heads = model_and_tasks(
        backbone, targets, tasks, label_smoothing=label_smoothing, dropout=dropout, hidden=hidden
    )
    return attribute_method(model, heads, preprocess, mixup=mixup, save_features=save_features)


def model_and_tasks(
    backbone: nn.Module,
    targets: Mapping[str, Target],
    tasks: Mapping[str, Mapping[str, Any]],
    *,
    label_smoothing: float,
    dropout: float,
    hidden: int,
) -> tuple[Heads, dict[str, Task]]:
    """The network and what its heads are asked; arguments as for `build`.

    Raises:
      ValueError: If no task is named, or one does not fit the data.
    """
    made = make_tasks(tasks, targets, label_smoothing=label_smoothing)
    if not made:
        raise ValueError("config.method.tasks is empty; name at least one task.")
    widths = {name: task.width for name, task in made.items()}
    return Heads(backbone, widths, hidden, dropout), made


def attribute_of_classes(tasks: Mapping[str, Mapping[str, Any]], task: str) -> str:
    """The attribute whose classes a task predicts.

    Raises:
      ValueError: If there is no such task, or it predicts a number.
    """
    if tasks.get(task, {}).get("kind") != "classes":
        raise ValueError(
            f"config.method.task={task!r} is no classifying task; tasks: {', '.join(tasks)}."
        )
    return tasks[task]["attribute"]


class View(NamedTuple):
    """What an `Objective` sees of a training step.

    Attributes:
      losses: Weighted sum of the tasks' losses, one value a row.
      outputs: Output of each head [batch, width].
      features: Features [batch, dim].
      batch: Labels, mask and epoch.
      params: Parameters of the objective itself.
      state: State of the objective itself.
      images: Input of the backbone.
      forward: `(images, key) -> outputs`: the heads' outputs for other images in training mode; the
        running statistics stay as they are.
      key: For the objective's draws.
    """

    losses: jax.Array
    outputs: dict[str, jax.Array]
    features: jax.Array
    batch: Batch
    params: PyTree
    state: PyTree
    images: jax.Array
    forward: Callable[[jax.Array, jax.Array], dict[str, jax.Array]]
    key: jax.Array

    @property
    def mean_loss(self) -> jax.Array:
        """Mean of the losses over rows that are not padding; 0 without such a row."""
        total, rows = masked_sum(self.losses, self.batch["mask"])
        return total / jnp.maximum(rows, 1.0)


@dataclass(frozen=True)
class Objective:
    """What a fairness method makes of the tasks' losses.

    Attributes:
      loss: `View -> (loss, scalars, state)`: the scalar that is minimised, what is logged, and the
        objective's next state.
      init: `(key, features [rows, dim]) -> (params, state)`: its own parameters and state.
      own_optimizers: Optimisers of parts of its own parameters; see `Method.own_optimizers`.
    """

    loss: Callable[[View], tuple[jax.Array, dict[str, tuple[jax.Array, jax.Array]], PyTree]]
    init: Callable[[jax.Array, jax.Array], tuple[PyTree, PyTree]] = lambda key, features: ({}, {})
    own_optimizers: Mapping[str, Callable[[optax.Schedule], optax.GradientTransformation]] = field(
        default_factory=dict
    )


OBJECTIVE = "objective"  # where an objective's own parameters and state are kept


def attribute_method(
    model: Heads,
    heads: Mapping[str, Task],
    preprocess: Callable[[jax.Array], jax.Array],
    *,
    objective: Objective | None = None,
    mixup: float = 0.0,
    save_features: bool = False,
) -> Method:
    """The method of attribute models; without an objective it minimises the mean loss."""

    def init(key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
        images = preprocess(batch["image"])
        variables = dict(model.init(key, images, train=False))
        params = variables.pop("params")
        if objective is None:
            return params, variables
        _, features = jax.eval_shape(
            lambda p, v: model.apply({"params": p, **v}, images, train=False), params, variables
        )
        own_key = jax.random.fold_in(key, 1)
        own, state = objective.init(own_key, jnp.zeros(features.shape, features.dtype))
        return params | ({OBJECTIVE: own} if own else {}), (
            variables | ({OBJECTIVE: state} if state else {})
        )

    def loss(
        params: PyTree, model_state: PyTree, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Aux]:
        # A method has an objective or mixup, and draws for either from the second key.
        dropout_key, draw_key = jax.random.split(key)
        images, mask, share = preprocess(batch["image"]), batch["mask"], jnp.float32(1.0)
        if mixup:
            share = jax.random.beta(draw_key, mixup, mixup)
            images, mask = share * images + (1 - share) * images[::-1], mask & mask[::-1]
        network = {name: tree for name, tree in params.items() if name != OBJECTIVE}
        variables = {name: tree for name, tree in model_state.items() if name != OBJECTIVE}

        def run(images: jax.Array, key: jax.Array) -> Any:
            return model.apply(
                {"params": network, **variables},
                images,
                train=True,
                mutable=list(variables),
                rngs={"dropout": key},
            )

        (outputs, features), moved = run(images, dropout_key)
        total, scalars, losses = jnp.float32(0.0), {}, jnp.zeros(mask.shape, jnp.float32)
        for name, task in heads.items():
            labels = batch[task.attribute]
            values = task.loss(outputs[name], labels)
            if mixup:
                values = share * values + (1 - share) * task.loss(outputs[name], labels[::-1])
            scalars[f"{name}_loss"] = masked_sum(values, mask)
            summed, count = scalars[f"{name}_loss"]
            total += task.weight * summed / jnp.maximum(count, 1.0)
            losses += task.weight * values
        scalars["loss"] = (total, jnp.float32(1.0))
        if objective is None:
            return total, Aux(moved, scalars)
        view = View(
            losses=losses,
            outputs=outputs,
            features=features,
            batch={**batch, "mask": mask},
            params=params.get(OBJECTIVE, {}),
            state=model_state.get(OBJECTIVE, {}),
            images=images,
            forward=lambda images, key: run(images, key)[0][0],
            key=draw_key,
        )
        value, logged, state = objective.loss(view)
        moved = {**moved, OBJECTIVE: state} if state else moved
        scalars |= {"loss_tasks": scalars["loss"], "loss": (value, jnp.float32(1.0)), **logged}
        return value, Aux(moved, jax.lax.stop_gradient(scalars))

    def predict(variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
        network = {
            **variables,
            "params": {k: tree for k, tree in variables["params"].items() if k != OBJECTIVE},
        }
        network.pop(OBJECTIVE, None)
        predicted: Any = model.apply(network, preprocess(batch["image"]), train=False)
        outputs, features = predicted
        total = jnp.zeros(batch["mask"].shape)
        columns: dict[str, jax.Array] = {"features": features} if save_features else {}
        for name, task in heads.items():
            columns |= task.predictions(name, outputs[name])
            if task.attribute in batch:
                columns[f"loss_{name}"] = task.loss(outputs[name], batch[task.attribute])
                total += task.weight * columns[f"loss_{name}"]
        return {**columns, "loss": total}

    own = objective.own_optimizers if objective else {}
    return Method(
        init,
        loss,
        predict,
        own_optimizers={f"{OBJECTIVE}/{name}": make for name, make in own.items()},
        chance={f"{name}_loss": math.log(t.width) for name, t in heads.items() if t.width > 1},
    )
