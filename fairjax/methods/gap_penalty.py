"""Gap penalties: attribute models whose predictions are alike on average in every group.

The penalty is the groups' mean deviation from the mean probability of each class: over all rows
(demographic parity), over rows of that class (equal opportunity), or over rows of that class and
over all others (equalised odds). Training needs group labels.

Source: Madras et al. 2018 (arXiv 1802.06309) for the relaxed gaps; with several groups the mean
absolute deviation from the overall mean is ours.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fairjax.core.types import Method, Target
from fairjax.losses.group_gaps import gap_between_groups
from fairjax.methods.checks import check_range, check_word
from fairjax.methods.classify import (
    Objective,
    View,
    attribute_method,
    attribute_of_classes,
    model_and_tasks,
)
from fairjax.methods.groups import require_groups

CRITERIA = ("demographic_parity", "equal_opportunity", "equalised_odds")


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    tasks: Mapping[str, Mapping[str, Any]],
    group: str = "group",
    task: str = "gender",
    criterion: str = "equalised_odds",
    weight: float = 1.0,
    label_smoothing: float = 0.0,
    dropout: float = 0.0,
    hidden: int = 0,
    save_features: bool = False,
) -> Method:
    """Training with a gap penalty.

    Args:
      backbone: From images to features [batch, dim].
      targets: What the dataset offers.
      preprocess: uint8 images to the backbone's input.
      tasks: Description of each task; see `classify.make_tasks`.
      group: Attribute whose groups are compared; rows whose label is negative are left out of what
        concerns groups.
      task: Classifying task whose gap is penalised.
      criterion: One of CRITERIA.
      weight: Weight of the penalty, 0 or more.
      label_smoothing: Label smoothing of the classifying tasks, in [0, 1).
      dropout: Share of the features dropped in training.
      hidden: Width of a layer with sigmoid between the features and the heads; 0 is none.
      save_features: Whether predictions hold the "features" [batch, dim].

    Raises:
      ValueError: If the data has no such groups, or task or criterion is unknown.
    """
    groups = require_groups(targets, group)
    check_word("criterion", criterion, CRITERIA)
    check_range(weight >= 0, "weight", weight, "0 or more")
    attribute = attribute_of_classes(tasks, task)

    def loss(view: View) -> tuple[jax.Array, dict, dict]:
        mask, labels = view.batch["mask"], view.batch[attribute]
        probabilities = jax.nn.softmax(view.outputs[task])
        total = jnp.float32(0)
        classes = probabilities.shape[1]
        for number in range(classes):
            is_class = labels == number
            masks = {
                "demographic_parity": (mask,),
                "equal_opportunity": (mask & is_class,),
                "equalised_odds": (mask & is_class, mask & ~is_class),
            }[criterion]
            for counted in masks:
                total += gap_between_groups(
                    probabilities[:, number], view.batch[group], counted, groups=len(groups)
                )
        penalty = total / classes
        value = view.mean_loss + weight * penalty
        return value, {"gap_penalty": (penalty, jnp.float32(1))}, {}

    model, heads = model_and_tasks(
        backbone, targets, tasks, label_smoothing=label_smoothing, dropout=dropout, hidden=hidden
    )
    return attribute_method(
        model, heads, preprocess, objective=Objective(loss), save_features=save_features
    )
