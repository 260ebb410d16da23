"""Shared parts of the methods that compare two views of an image."""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from fairjax.core.types import Batch
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
