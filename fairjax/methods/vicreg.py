"""VICReg: self-supervised pre-training without negatives, teacher or stop-gradient.

Two views of an image shall be alike, while every dimension keeps its spread over the batch and no
two dimensions say the same. No label is used.
Source: Bardes, Ponce and LeCun 2022 (arXiv 2105.04906).
"""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from fairjax.core.types import Method, Target
from fairjax.losses.vicreg import vicreg
from fairjax.methods.two_views import Scalars, two_view_method
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

    def compare(first: jax.Array, second: jax.Array, mask: jax.Array) -> tuple[jax.Array, Scalars]:
        terms, once = vicreg(first, second, mask), jnp.float32(1.0)
        total = (
            invariance * terms.invariance
            + variance * terms.variance
            + covariance * terms.covariance
        )
        return total, {f"{name}_loss": (term, once) for name, term in terms._asdict().items()}

    return two_view_method(
        backbone,
        Projector(projection, hidden=(projection, projection)),
        preprocess=preprocess,
        joint_norm=joint_norm,
        compare=compare,
    )
