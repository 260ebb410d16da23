"""Shared parts of the methods that compare two views of an image."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fairjax.core.types import Aux, Batch, Method, PyTree
from fairjax.losses import alignment, feature_std, masked_sum, uniformity
from fairjax.losses.contrastive import unit
from fairjax.models.projector import Projector

Scalars = dict[str, tuple[jax.Array, jax.Array]]
# By the name of a space, both views' vectors in it, [batch, dim].
Pairs = Mapping[str, tuple[jax.Array, jax.Array]]


class Projected(nn.Module):
    """A backbone and a projector.

    Attributes:
      backbone: Module from images [batch, height, width, 3] to features [batch, dim].
      projector: Module from features to what is compared.
      joint_norm: Whether both views are one batch, and share batch statistics.
    """

    backbone: nn.Module
    projector: Projector
    joint_norm: bool

    def __call__(
        self, first: jax.Array, second: jax.Array, *, train: bool
    ) -> tuple[jax.Array, jax.Array]:
        """Maps two views [batch, height, width, 3] to a float32 [batch, projection] of each."""
        if not self.joint_norm:
            return self._project(first, train), self._project(second, train)
        both = self._project(jnp.concatenate([first, second]), train)
        return both[: len(first)], both[len(first) :]

    def _project(self, images: jax.Array, train: bool) -> jax.Array:
        return self.projector(self.backbone(images, train=train), train=train)


def two_view_method(
    backbone: nn.Module,
    projector: Projector,
    *,
    preprocess: Callable[[jax.Array], jax.Array],
    joint_norm: bool,
    compare: Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, Scalars]],
) -> Method:
    """A method that compares the projections of two views of each image, and uses no label.

    Args:
      backbone: From images to features [batch, dim].
      projector: From features to what is compared.
      preprocess: uint8 images to the backbone's input.
      joint_norm: Whether both views are one batch, and share batch statistics.
      compare: `(first, second, mask) -> (loss, scalars)` of the projections [batch, projection]:
        the loss of each image [batch], or of the whole batch, a scalar; and what is logged beside.
    """
    model = Projected(backbone, projector, joint_norm)

    def init(key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
        images = preprocess(batch["image"])
        variables = dict(model.init(key, images, images, train=False))
        return variables.pop("params"), variables

    def loss(
        params: PyTree, model_state: PyTree, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Aux]:
        (first, second), moved = model.apply(
            {"params": params, **model_state},
            *two_views(batch, preprocess),
            train=True,
            mutable=list(model_state),
            rngs={"dropout": key},
        )
        mask = batch["mask"]
        values, scalars = compare(first, second, mask)
        summed, count = masked_sum(values, mask) if values.ndim else (values, jnp.float32(1.0))
        scalars = {"loss": (summed, count), **scalars, **watched({"view": (first, second)}, mask)}
        return summed / jnp.maximum(count, 1.0), Aux(moved, scalars)

    def predict(variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
        """Each image's loss among the evaluation batch, and the space."""
        views: Any = model.apply(variables, *two_views(batch, preprocess), train=False)
        first, second = views
        values, _ = compare(first, second, batch["mask"])
        values = jnp.broadcast_to(values, batch["mask"].shape)
        return {"loss": values, **columns({"view": (first, second)})}

    return Method(init, loss, predict, loss_of="batch")


def two_views(
    batch: Batch, preprocess: Callable[[jax.Array], jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """The network's input from both views of a batch.

    Raises:
      ValueError: If there is one view.
    """
    if "image_2" not in batch:
        raise ValueError("this method compares two views of an image; set config.input.views=2.")
    return preprocess(batch["image"]), preprocess(batch["image_2"])


def averaged(parts: Mapping[str, jax.Array], mask: jax.Array) -> Scalars:
    """Each loss, one value an image, as (sum, count) for the log."""
    return {f"{name}_loss": masked_sum(values, mask) for name, values in parts.items()}


def watched(pairs: Pairs, mask: jax.Array) -> Scalars:
    """Measures, during training, of whether a space collapses: alignment, spread, uniformity."""
    count, scalars = jnp.float32(1.0), Scalars()
    for name, (first, second) in pairs.items():
        scalars[f"{name}_alignment"] = masked_sum(alignment(first, second), mask)
        scalars[f"{name}_feature_std"] = (feature_std(first, mask), count)
        scalars[f"{name}_uniformity"] = (uniformity(first, mask), count)
    return scalars


def columns(pairs: Pairs) -> dict[str, jax.Array]:
    """The same for an evaluation: each image's alignment, and the first view's unit vector."""
    by_name = {}
    for name, (first, second) in pairs.items():
        by_name[f"alignment_{name}"] = alignment(first, second)
        by_name[f"embedding_{name}"] = unit(first)
    return by_name
