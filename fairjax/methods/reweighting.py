"""Reweighting: attribute models in whose training group and label look independent.

A row of group a and label y weighs P(a) P(y) / P(a, y), from running counts of the training rows
seen so far. Training needs group labels.

Source: Kamiran and Calders 2012 (Knowledge and Information Systems 33), section 4.3. Differs from
it in: the shares are counted while training goes on, which is exact after the first epoch.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fairjax.core.types import Method, PyTree, Target
from fairjax.losses import masked_sum
from fairjax.methods.classify import (
    Objective,
    View,
    attribute_method,
    attribute_of_classes,
    model_and_tasks,
)
from fairjax.methods.groups import require_groups


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    tasks: Mapping[str, Mapping[str, Any]],
    group: str = "group",
    task: str = "gender",
    label_smoothing: float = 0.0,
    dropout: float = 0.0,
    hidden: int = 0,
    save_features: bool = False,
) -> Method:
    """Training with reweighted rows.

    Args:
      backbone: From images to features [batch, dim].
      targets: What the dataset offers.
      preprocess: uint8 images to the backbone's input.
      tasks: Description of each task; see `classify.make_tasks`.
      group: Attribute whose groups are compared; rows whose label is negative are left out of what
        concerns groups.
      task: Classifying task whose labels are made independent of the group.
      label_smoothing: Label smoothing of the classifying tasks, in [0, 1).
      dropout: Share of the features dropped in training.
      hidden: Width of a layer with sigmoid between the features and the heads; 0 is none.
      save_features: Whether predictions hold the "features" [batch, dim].

    Raises:
      ValueError: If the data has no such groups, or the task is unknown.
    """
    groups = require_groups(targets, group)
    attribute = attribute_of_classes(tasks, task)
    classes = len(targets[attribute].values) if attribute in targets else 0

    def start(key: jax.Array, features: jax.Array) -> tuple[PyTree, PyTree]:
        del key, features
        return {}, {"counts": jnp.zeros((len(groups), classes), jnp.float32)}

    def loss(view: View) -> tuple[jax.Array, dict, PyTree]:
        mask, who, what = view.batch["mask"], view.batch[group], view.batch[attribute]
        known = mask & (who >= 0) & (what >= 0)
        a = (who[:, None] == jnp.arange(len(groups))[None]) & known[:, None]
        y = (what[:, None] == jnp.arange(classes)[None]) & known[:, None]
        counts = view.state["counts"] + a.astype(jnp.float32).T @ y.astype(jnp.float32)
        weights = independence_weights(counts)
        row = weights[jnp.maximum(who, 0), jnp.maximum(what, 0)]
        row = jnp.where(known, row, 1.0)
        total, count = masked_sum(row * view.losses, mask)
        logged = {"largest_weight": (weights.max(), jnp.float32(1))}
        return total / jnp.maximum(count, 1.0), logged, {"counts": counts}

    model, heads = model_and_tasks(
        backbone, targets, tasks, label_smoothing=label_smoothing, dropout=dropout, hidden=hidden
    )
    return attribute_method(
        model, heads, preprocess, objective=Objective(loss, start), save_features=save_features
    )


def independence_weights(counts: jax.Array) -> jax.Array:
    """P(a) P(y) / P(a, y) for counts [groups, classes]; 1 where a cell is empty."""
    total = jnp.maximum(counts.sum(), 1.0)
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / total
    return jnp.where(counts > 0, expected / jnp.maximum(counts, 1.0), 1.0)
