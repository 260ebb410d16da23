"""SimCLR: two views of an image shall be alike, and unlike every other image of the batch.

The plain self-supervised baseline: any backbone, a projector, one NT-Xent. No label is used.
Source: Chen et al. 2020 (arXiv 2002.05709).
"""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax

from fairjax.core.types import Method, Target
from fairjax.losses import nt_xent
from fairjax.methods.two_views import Scalars, two_view_method
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

    def compare(first: jax.Array, second: jax.Array, mask: jax.Array) -> tuple[jax.Array, Scalars]:
        return nt_xent(first, second, mask, temperature=temperature), {}

    return two_view_method(
        backbone,
        Projector(projection),
        preprocess=preprocess,
        joint_norm=joint_norm,
        compare=compare,
    )
