"""Group-DRO: attribute models that minimise the loss of the worst group.

Each group has a weight that grows with its loss, and the weighted mean of the groups' losses is
minimised. Training needs group labels.

Source: Sagawa et al. 2020 (arXiv 1911.08731), algorithm 1.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fairjax.core.types import Method, Target
from fairjax.losses.group_gaps import group_means, robust_weights
from fairjax.methods.checks import check_range
from fairjax.methods.classify import Objective, View, attribute_method, model_and_tasks
from fairjax.methods.groups import require_groups


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    tasks: Mapping[str, Mapping[str, Any]],
    group: str = "group",
    step: float = 0.01,
    label_smoothing: float = 0.0,
    dropout: float = 0.0,
    hidden: int = 0,
    save_features: bool = False,
) -> Method:
    """Group-DRO training.

    Args:
      backbone: From images to features [batch, dim].
      targets: What the dataset offers.
      preprocess: uint8 images to the backbone's input.
      tasks: Description of each task; see `classify.make_tasks`.
      group: Attribute whose groups are compared; rows whose label is negative are left out of what
        concerns groups.
      step: Step size eta of the groups' weights, above 0.
      label_smoothing: Label smoothing of the classifying tasks, in [0, 1).
      dropout: Share of the features dropped in training.
      hidden: Width of a layer with sigmoid between the features and the heads; 0 is none.
      save_features: Whether predictions hold the "features" [batch, dim].

    Raises:
      ValueError: If the data has no such groups, or `step` is not above 0.
    """
    groups = require_groups(targets, group)
    check_range(step > 0, "step", step, "above 0, such as 0.01")

    def start(key: jax.Array, features: jax.Array) -> tuple[dict, dict]:
        del key, features
        return {}, {"weights": jnp.full(len(groups), 1 / len(groups), jnp.float32)}

    def loss(view: View) -> tuple[jax.Array, dict, dict]:
        means, present = group_means(
            view.losses, view.batch[group], view.batch["mask"], groups=len(groups)
        )
        weights = robust_weights(view.state["weights"], means, present, step=step)
        single = jnp.float32(1)
        logged = {f"group_weight_{name}": (weights[i], single) for i, name in enumerate(groups)}
        logged |= {
            f"group_loss_{name}": (means[i], present[i].astype(jnp.float32))
            for i, name in enumerate(groups)
        }
        return jnp.sum(weights * means), logged, {"weights": weights}

    model, heads = model_and_tasks(
        backbone, targets, tasks, label_smoothing=label_smoothing, dropout=dropout, hidden=hidden
    )
    return attribute_method(
        model, heads, preprocess, objective=Objective(loss, start), save_features=save_features
    )
