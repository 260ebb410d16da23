"""Adversarial removal: attribute models whose features do not tell the group.

A small head learns the group from the features, and its gradient reaches the backbone reversed.
Training needs group labels.

Source: Ganin et al. 2016 (arXiv 1505.07818); Raff and Sylvester 2018 (arXiv 1807.00392).
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from fairjax.core.types import Method, PyTree, Target
from fairjax.losses import cross_entropy, masked_sum
from fairjax.losses.adversarial import reverse_gradient
from fairjax.methods.checks import check_range
from fairjax.methods.classify import Objective, View, attribute_method, model_and_tasks
from fairjax.methods.groups import require_groups


class GroupHead(nn.Module):
    """Features `[batch, dim]` to logits of the groups, through one hidden layer.

    Attributes:
      groups: How many groups there are.
      hidden: Width of the hidden layer.
    """

    groups: int
    hidden: int

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """Maps features `[batch, dim]` to logits `[batch, groups]`."""
        x = nn.relu(nn.Dense(self.hidden, name="hidden")(features))
        return nn.Dense(self.groups, name="out")(x)


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    tasks: Mapping[str, Mapping[str, Any]],
    group: str = "group",
    strength: float = 1.0,
    ramp_epochs: float = 5.0,
    adversary_hidden: int = 64,
    adversary_lr: float = 1e-3,
    label_smoothing: float = 0.0,
    dropout: float = 0.0,
    hidden: int = 0,
    save_features: bool = False,
) -> Method:
    """Training with gradient reversal.

    Args:
      backbone: From images to features [batch, dim].
      targets: What the dataset offers.
      preprocess: uint8 images to the backbone's input.
      tasks: Description of each task; see `classify.make_tasks`.
      group: Attribute whose groups are compared; rows whose label is negative are left out of what
        concerns groups.
      strength: Factor of the reversed gradient, 0 or more, once ramped up.
      ramp_epochs: Epochs over which the strength grows from 0, linearly.
      adversary_hidden: Width of the adversary's hidden layer.
      adversary_lr: Learning rate of the adversary's own Adam.
      label_smoothing: Label smoothing of the classifying tasks, in [0, 1).
      dropout: Share of the features dropped in training.
      hidden: Width of a layer with sigmoid between the features and the heads; 0 is none.
      save_features: Whether predictions hold the "features" [batch, dim].

    Raises:
      ValueError: If the data has no such groups, or a setting is negative.
    """
    groups = require_groups(targets, group)
    check_range(strength >= 0, "strength", strength, "0 or more")
    check_range(ramp_epochs >= 0, "ramp_epochs", ramp_epochs, "0 or more")
    adversary = GroupHead(len(groups), adversary_hidden)

    def start(key: jax.Array, features: jax.Array) -> tuple[PyTree, PyTree]:
        return {"adversary": adversary.init(key, features)["params"]}, {}

    def loss(view: View) -> tuple[jax.Array, dict, dict]:
        mask, labels = view.batch["mask"], view.batch[group]
        ramp = jnp.clip(view.batch["epoch"] / ramp_epochs, 0, 1) if ramp_epochs else 1.0
        reversed_features = reverse_gradient(view.features, strength * ramp)
        logits: Any = adversary.apply({"params": view.params["adversary"]}, reversed_features)
        members = mask & (labels >= 0)
        values = cross_entropy(logits, jnp.maximum(labels, 0), label_smoothing=0.0)
        total, count = masked_sum(values, members)
        right = (logits.argmax(axis=1) == labels).astype(jnp.float32)
        logged = {
            "loss_adversary": (total, count),
            "adversary_accuracy": masked_sum(right, members),
        }
        value = view.mean_loss + total / jnp.maximum(count, 1.0)
        return value, logged, {}

    model, heads = model_and_tasks(
        backbone, targets, tasks, label_smoothing=label_smoothing, dropout=dropout, hidden=hidden
    )
    objective = Objective(
        loss, start, own_optimizers={"adversary": lambda schedule: optax.adam(adversary_lr)}
    )
    return attribute_method(
        model, heads, preprocess, objective=objective, save_features=save_features
    )
