"""SimCLR: two views of an image shall be alike, and unlike every other image of the batch.

The plain self-supervised baseline: any backbone, a projector, one NT-Xent. No label is used.
Source: Chen et al. 2020 (arXiv 2002.05709).
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fairjax.core.types import Aux, Batch, Method, PyTree, Target
from fairjax.losses import masked_sum, nt_xent
from fairjax.methods.two_views import Projected, columns, two_views, watched
from fairjax.models.projector import Projector


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    projection: int = 128,
    temperature: float = 0.2,
    joint_norm: bool = False,
) -> Method:
    """SimCLR's pre-training.

    Args:
      backbone: From images to features [batch, dim].
      targets: Not used: pre-training knows no labels.
      preprocess: uint8 images to the backbone's input.
      projection: Width of what is compared.
      temperature: Temperature of the NT-Xent, above 0.
      joint_norm: Whether both views are one batch, and share batch statistics.
    """
    del targets
    model = Projected(backbone, Projector(projection), joint_norm)

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
        summed, count = masked_sum(nt_xent(first, second, mask, temperature=temperature), mask)
        scalars = {"loss": (summed, count), **watched({"view": (first, second)}, mask)}
        return summed / jnp.maximum(count, 1.0), Aux(moved, scalars)

    def predict(variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
        """Each image's loss among the evaluation batch, and the space."""
        projected: Any = model.apply(variables, *two_views(batch, preprocess), train=False)
        first, second = projected
        values = nt_xent(first, second, batch["mask"], temperature=temperature)
        return {"loss": values, **columns({"view": (first, second)})}

    return Method(init, loss, predict, loss_of="batch")
