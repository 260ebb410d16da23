"""VICReg: self-supervised pre-training without negatives, teacher or stop-gradient.

Two views of an image shall be alike, while every dimension keeps its spread over the batch and no
two dimensions say the same. No label is used.
Source: Bardes, Ponce and LeCun 2022 (arXiv 2105.04906).
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fairjax.core.types import Aux, Batch, Method, PyTree, Target
from fairjax.losses.vicreg import VicReg, vicreg
from fairjax.methods.two_views import Projected, columns, two_views, watched
from fairjax.models.projector import Projector


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    projection: int = 8192,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    joint_norm: bool = False,
) -> Method:
    """VICReg's pre-training.

    Args:
      backbone: From images to features [batch, dim].
      targets: Not used: pre-training knows no labels.
      preprocess: uint8 images to the backbone's input.
      projection: Width of the three layers of the expander.
      invariance: Weight of the difference between views.
      variance: Weight of the dimensions' lack of spread.
      covariance: Weight of the covariances between dimensions.
      joint_norm: Whether both views are one batch, and share batch statistics.
    """
    del targets
    model = Projected(backbone, Projector(projection, hidden=(projection, projection)), joint_norm)

    def total(terms: VicReg) -> jax.Array:
        return (
            invariance * terms.invariance
            + variance * terms.variance
            + covariance * terms.covariance
        )

    def init(key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
        images = preprocess(batch["image"])
        variables = dict(model.init(key, images, images, train=False))
        return variables.pop("params"), variables

    def loss(
        params: PyTree, model_state: PyTree, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Aux]:
        (one, other), moved = model.apply(
            {"params": params, **model_state},
            *two_views(batch, preprocess),
            train=True,
            mutable=list(model_state),
            rngs={"dropout": key},
        )
        mask = batch["mask"]
        terms, once = vicreg(one, other, mask), jnp.float32(1.0)
        scalars = {f"{name}_loss": (term, once) for name, term in terms._asdict().items()}
        scalars |= {"loss": (total(terms), once), **watched({"view": (one, other)}, mask)}
        return total(terms), Aux(moved, scalars)

    def predict(variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
        """The loss of the evaluation batch, once a row, and the space."""
        views: Any = model.apply(variables, *two_views(batch, preprocess), train=False)
        one, other = views
        terms = vicreg(one, other, batch["mask"])
        losses = jnp.full(len(batch["mask"]), total(terms))
        return {"loss": losses, **columns({"view": (one, other)})}

    return Method(init, loss, predict, loss_of="batch")
