"""Face embeddings by margin softmax on cosines: one class a person, no group labels.

The embedding and the class weights are normalised, and the margin acts on their cosines; see
`fairjax.losses.margin`. At test time a face is its embedding.
"""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax

from fairjax.core.types import Method, Target
from fairjax.heads import Head
from fairjax.losses import CosFace, Margin
from fairjax.methods.margin_softmax import MarginSoftmax, margin_method, ramp


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    label: str = "identity",
    margin: Margin = CosFace(),  # noqa: B008  frozen
    head: Head = Head(),  # noqa: B008  frozen
    tta: str = "sum",
    margin_ramp_epochs: float = 0.0,
) -> Method:
    """Margin softmax.

    Args:
      backbone: From images to embeddings [batch, dim].
      targets: What the dataset offers.
      preprocess: uint8 images to the backbone's input.
      label: The attribute whose values are the people of the training split.
      margin: The margin, one of MARGINS.
      head: How the class weights lie over devices, and are walked.
      tta: What "embedding" is made of: "sum" (of the image's and its mirror image's, then
        normalised), "concat" (both, then normalised) or "none" (the image's).
      margin_ramp_epochs: Epochs over which the margin grows from 0; see
        `margin_softmax.ramp`.
    """
    softmax = MarginSoftmax(
        backbone, targets, preprocess, label=label, margin=margin, head=head, tta=tta
    )
    return margin_method(
        softmax, extension=ramp(margin_epochs=margin_ramp_epochs, penalty_epochs=0.0)
    )
