"""Fair Mixup: attribute models whose predictions hardly change on the way from group to group.

Between images of two groups lies a path of blends. The penalty is how fast the mean prediction
changes along it, at a random place. Training needs group labels.

Source: Chuang and Mroueh 2021 (ICLR, arXiv 2103.06503), equations 7 and 8.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fairjax.core.types import Method, Target
from fairjax.losses import masked_sum
from fairjax.methods.classify import Objective, View, attribute_method, model_and_tasks
from fairjax.methods.groups import require_groups


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    tasks: Mapping[str, Mapping[str, Any]],
    group: str = "group",
    task: str = "gender",
    criterion: str = "demographic_parity",
    weight: float = 1.0,
    label_smoothing: float = 0.0,
    dropout: float = 0.0,
    hidden: int = 0,
    save_features: bool = False,
) -> Method:
    """Training with the Fair Mixup penalty.

    Args:
      backbone: From images to features [batch, dim].
      targets: What the dataset offers.
      preprocess: uint8 images to the backbone's input.
      tasks: Description of each task; see `classify.make_tasks`.
      group: Attribute whose groups are compared; rows whose label is negative are left out of what
        concerns groups.
      task: Classifying task whose predictions are smoothed.
      criterion: "demographic_parity" blends any images of two groups, "equalised_odds" images of
        one label of the task (whose label is drawn for the batch).
      weight: Weight of the penalty, 0 or more.
      label_smoothing: Label smoothing of the classifying tasks, in [0, 1).
      dropout: Share of the features dropped in training.
      hidden: Width of a layer with sigmoid between the features and the heads; 0 is none.
      save_features: Whether predictions hold the "features" [batch, dim].

    Raises:
      ValueError: If the data has no such groups, or task or criterion is unknown.
    """
    groups = require_groups(targets, group)
    if criterion not in ("demographic_parity", "equalised_odds"):
        raise ValueError(
            f"config.method.criterion={criterion!r} is not known; known: demographic_parity, "
            "equalised_odds."
        )
    if weight < 0:
        raise ValueError(f"config.method.weight={weight} must be 0 or more.")
    if tasks.get(task, {}).get("kind") != "classes":
        raise ValueError(
            f"config.method.task={task!r} is no classifying task; tasks: {', '.join(tasks)}."
        )
    attribute = tasks[task]["attribute"]

    def loss(view: View) -> tuple[jax.Array, dict, dict]:
        mask = view.batch["mask"]
        pair_key, label_key, first_key, second_key, place_key = jax.random.split(view.key, 5)
        pair = jax.random.choice(pair_key, len(groups), (2,), replace=False)
        counted = mask
        if criterion == "equalised_odds":
            classes = view.outputs[task].shape[1]
            counted &= view.batch[attribute] == jax.random.randint(label_key, (), 0, classes)
        first, any_first = drawn(first_key, counted & (view.batch[group] == pair[0]))
        second, any_second = drawn(second_key, counted & (view.batch[group] == pair[1]))
        place = jax.random.beta(place_key, 1.0, 1.0)

        def mean_probability(place: jax.Array, column: jax.Array) -> jax.Array:
            blend = place * view.images[first] + (1 - place) * view.images[second]
            return jax.nn.softmax(view.outputs_of(blend)[task])[:, column].mean()

        column = jax.random.randint(label_key, (), 0, view.outputs[task].shape[1])
        slope = jnp.abs(jax.grad(mean_probability)(place, column))
        there = (any_first & any_second).astype(jnp.float32)
        penalty = jnp.where(there > 0, slope, 0.0)
        main, rows = masked_sum(view.losses, mask)
        value = main / jnp.maximum(rows, 1.0) + weight * penalty
        return value, {"mixup_slope": (penalty, there)}, {}

    model, heads = model_and_tasks(
        backbone, targets, tasks, label_smoothing=label_smoothing, dropout=dropout, hidden=hidden
    )
    return attribute_method(
        model, heads, preprocess, objective=Objective(loss), save_features=save_features
    )


def drawn(key: jax.Array, members: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Rows of the members, one for each row of the batch, with replacement; and whether any is."""
    logits = jnp.where(members, 0.0, -jnp.inf)
    logits = jnp.where(members.any(), logits, 0.0)
    return jax.random.categorical(key, logits, shape=members.shape), members.any()
