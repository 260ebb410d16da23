"""Fair Mixup: attribute models whose predictions change little on the way between two groups.

Images of two groups are blended, and the change of the prediction along the blend is kept small on
average. Training needs group labels.

Source: Chuang and Mroueh 2021 (ICLR, arXiv 2103.06503), and the authors' program for images.
Differs from it in: any number of groups and classes, of which the penalty takes means; pairs are
drawn within the batch, where the program loads a batch a group.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fairjax.core.types import Method, Target
from fairjax.losses import masked_sum
from fairjax.methods.checks import check_range, check_word
from fairjax.methods.classify import (
    Objective,
    View,
    attribute_method,
    attribute_of_classes,
    model_and_tasks,
)
from fairjax.methods.groups import require_groups

CRITERIA = ("demographic_parity", "equalised_odds")


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
    beta: float = 1.0,
    label_smoothing: float = 0.0,
    dropout: float = 0.0,
    hidden: int = 0,
    save_features: bool = False,
) -> Method:
    """Training with Fair Mixup.

    Args:
      backbone: From images to features [batch, dim].
      targets: What the dataset offers.
      preprocess: uint8 images to the backbone's input.
      tasks: Description of each task; see `classify.make_tasks`.
      group: Attribute whose groups are blended; rows whose label is negative are left out of what
        concerns groups.
      task: Classifying task whose prediction is kept from changing.
      criterion: "demographic_parity" blends any two images of different groups, "equalised_odds"
        two of one class of the task.
      weight: Weight of the penalty, 0 or more; the authors use 20 to 30 on CelebA.
      beta: Each blend's share is drawn from Beta(beta, beta), above 0.
      label_smoothing: Label smoothing of the classifying tasks, in [0, 1).
      dropout: Share of the features dropped in training.
      hidden: Width of a layer with sigmoid between the features and the heads; 0 is none.
      save_features: Whether predictions hold the "features" [batch, dim].

    Raises:
      ValueError: If the data has no such groups, or a setting is unknown or out of range.
    """
    groups = require_groups(targets, group)
    check_word("criterion", criterion, CRITERIA)
    check_range(weight >= 0, "weight", weight, "0 or more")
    check_range(beta > 0, "beta", beta, "above 0")
    attribute = attribute_of_classes(tasks, task)
    within_class = criterion == "equalised_odds"

    def loss(view: View) -> tuple[jax.Array, dict, dict]:
        mask, who = view.batch["mask"], view.batch[group]
        labels = view.batch[attribute] if within_class else jnp.zeros_like(who)
        classes = view.outputs[task].shape[1] if within_class else 1
        share_key, pair_key, dropout_key = jax.random.split(view.key, 3)
        share = jax.random.beta(share_key, beta, beta)
        pairs = draw_pairs(pair_key, who, labels, mask)
        first, second = view.images[pairs.first], view.images[pairs.second]

        def probabilities(images: jax.Array) -> jax.Array:
            return jax.nn.softmax(view.forward(images, dropout_key)[task])

        blend = share * first + (1 - share) * second
        slopes = slopes_along(probabilities, blend, second - first)
        cell = pair_cells(pairs, who, groups=len(groups))
        penalty = slope_penalty(
            slopes, cell, labels, pairs.drawn, cells=len(groups) ** 2, classes=classes
        )
        value = view.mean_loss + weight * penalty
        logged = {
            "mixup_penalty": (penalty, jnp.float32(1)),
            "mixup_pairs": masked_sum(pairs.drawn.astype(jnp.float32), mask),
        }
        return value, logged, {}

    model, heads = model_and_tasks(
        backbone, targets, tasks, label_smoothing=label_smoothing, dropout=dropout, hidden=hidden
    )
    return attribute_method(
        model, heads, preprocess, objective=Objective(loss), save_features=save_features
    )


def slopes_along(function: Callable[[Array], Array], at: Array, direction: Array) -> Array:
    """Change of a function's outputs `[batch, outputs]` at a point along a direction.

    Raises:
      ValueError: If the function has no such derivative.
    """
    try:
        return jax.jvp(function, (at,), (direction,))[1]
    except TypeError as error:
        if "custom_vjp" not in str(error):
            raise
        raise ValueError(
            "fair_mixup needs a second derivative, which cuDNN's fused attention lacks; set "
            "config.compute_dtype='float32'."
        ) from None


class Pairs(NamedTuple):
    """For each row a pair of rows of two groups, the lower group's first.

    Attributes:
      first: The one row.
      second: The other; the same row where no pair could be drawn.
      drawn: Whether the row and a partner make up a pair.
    """

    first: Int[Array, " batch"]
    second: Int[Array, " batch"]
    drawn: Bool[Array, " batch"]


def draw_pairs(
    key: jax.Array,
    group: Int[Array, " batch"],
    labels: Int[Array, " batch"],
    mask: Bool[Array, " batch"],
) -> Pairs:
    """Each row with a random row of another group and the same label.

    Args:
      key: For the draw.
      group: Group of each row; negative is unknown.
      labels: Label that a pair shares; negative is unknown.
      mask: False on padding.
    """
    known, row = mask & (group >= 0) & (labels >= 0), jnp.arange(len(mask))
    fits = known[:, None] & known[None] & (group[:, None] != group[None])
    fits &= labels[:, None] == labels[None]
    score = jnp.where(fits, jax.random.uniform(key, fits.shape), -1.0)
    drawn = fits.any(axis=1)
    partner = jnp.where(drawn, jnp.argmax(score, axis=1), row)
    swapped = group > group[partner]
    return Pairs(jnp.where(swapped, partner, row), jnp.where(swapped, row, partner), drawn)


def pair_cells(pairs: Pairs, group: Int[Array, " batch"], *, groups: int) -> Int[Array, " batch"]:
    """A number in [0, groups^2) for the two groups of each pair; means nothing without a pair."""
    return groups * jnp.maximum(group[pairs.first], 0) + jnp.maximum(group[pairs.second], 0)


def slope_penalty(
    slopes: Float[Array, "batch outputs"],
    cell: Int[Array, " batch"],
    labels: Int[Array, " batch"],
    drawn: Bool[Array, " batch"],
    *,
    cells: int,
    classes: int,
) -> Float[Array, ""]:
    r"""$\sum_y \mathrm{mean}_c \mathrm{mean}_{a<b} |\mathrm{mean}_i\, s_{ic}|$ over pairs i.

    Args:
      slopes: s, change of each output along the blend of each pair.
      cell: Number of the two groups a and b of each pair.
      labels: y, the label that the pair shares.
      drawn: Pairs that count.
      cells: How many numbers of groups there may be; those without a pair are left out.
      classes: How many labels there are.
    """
    where = jnp.where(drawn, labels * cells + cell, -1)
    member = (where[:, None] == jnp.arange(classes * cells)[None]).astype(jnp.float32)
    count = member.sum(axis=0)
    mean = jnp.abs(slopes.T @ member) / jnp.maximum(count, 1.0)[None]
    by_label = mean.mean(axis=0).reshape(classes, cells).sum(axis=1)
    present = (count > 0).reshape(classes, cells).sum(axis=1)
    return (by_label / jnp.maximum(present, 1)).sum()
