"""IC-FFR: the FPR penalty with a penalty on missed pairs of one person.

The FPR penalty's released form, and beside it an image pays for its pairs with its own person in
the batch that lie below a threshold for everybody. No group labels are needed.

Source: Xu et al., the successor of "Consistent Instance False Positive Improves Fairness in Face
Recognition" (TPAMI 2025), from its released program and configs; the paper's text was not at hand.
Differs from the program in: the TPR penalty reaches the loss (there it changes a copy of the
logits), and the FPR penalty keeps its own rate (there a loop leaves it at the last of several).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp

from fairjax.core.types import Method, Target
from fairjax.heads import Head, MarginLoss
from fairjax.losses import CosFace, FprPenalty, Margin, masked_sum
from fairjax.losses.sample_pairs import instance_tpr_penalty, same_person
from fairjax.methods.checks import check_range
from fairjax.methods.margin_softmax import (
    Extended,
    Extension,
    MarginSoftmax,
    MarginView,
    margin_method,
)


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    label: str = "identity",
    margin: Margin = CosFace(margin=0.3),  # noqa: B008  frozen
    head: Head = Head(),  # noqa: B008  frozen
    tta: str = "sum",
    gamma_u: float = 1e-4,
    fpr_weight: float = 0.5,
    tpr_weight: float = 0.5,
    tpr_at_fpr: float = 1e-5,
) -> Method:
    """Margin softmax with the FPR penalty and the TPR penalty.

    Args:
      backbone: From images to embeddings [batch, dim].
      targets: What the dataset offers.
      preprocess: uint8 images to the backbone's input.
      label: Attribute whose values are the people of the training split.
      margin: Margin of the softmax, one of MARGINS.
      head: How the class weights lie; not "sampled", whose sample lacks cosines that the penalties
        count.
      tta: What "embedding" is made of; see `cosine_margin.build`.
      gamma_u: False-positive rate allowed to the batch; 0 is 1 / (classes - 1).
      fpr_weight: Factor of the FPR penalty's shift of the target cosine, 0 or more.
      tpr_weight: Factor of the TPR penalty's shift, 0 or more. It needs several images of a person
        in a batch: set config.input.images_per_identity.
      tpr_at_fpr: False-positive rate of the batch at whose threshold a pair is missed, in (0, 1).

    Raises:
      ValueError: If a setting is out of range, or the data has no people.
    """
    check_range(fpr_weight >= 0, "fpr_weight", fpr_weight, "0 or more")
    check_range(tpr_weight >= 0, "tpr_weight", tpr_weight, "0 or more")
    check_range(0 < tpr_at_fpr < 1, "tpr_at_fpr", tpr_at_fpr, "in (0, 1), such as 1e-5")
    softmax = MarginSoftmax(
        backbone, targets, preprocess, label=label, margin=margin, head=head, tta=tta
    )
    penalty = FprPenalty(
        variant="tface", gamma_u=gamma_u, alpha=1.0, alpha_mode="constant", power=2.0
    )
    # Of this one only the threshold is used; "mean_sq" ranks all cosines and takes any rate.
    ranking = replace(penalty, variant="mean_sq", gamma_u=tpr_at_fpr)
    rank = MarginLoss(head, Margin(scale=margin.scale), softmax.classes, ranking)

    def step(view: MarginView) -> Extended:
        mask, fpr = view.batch["mask"], view.output.penalty
        assert fpr is not None
        kernel, embeddings = jax.lax.stop_gradient((view.kernel, view.embeddings))
        ranked = rank(kernel, embeddings, view.labels, mask, {}, view.key).penalty
        assert ranked is not None
        direction = view.embeddings.direction
        missed = instance_tpr_penalty(
            direction @ direction.T, same_person(view.labels, mask), ranked.threshold
        )
        tpr_shift = (1 + view.output.through_embedding) * missed.penalty
        # The FPR penalty is in the margined cosine already, whole.
        shift = tpr_weight * tpr_shift + (fpr_weight - 1) * fpr.shift
        some = jnp.any(mask).astype(jnp.float32)
        return Extended(
            shift=shift,
            scalars={
                "fpr_threshold": (fpr.threshold, some),
                "fpr_mean": masked_sum(fpr.fpr, mask),
                "fpr_shift": masked_sum(fpr_weight * fpr.shift, mask),
                "tpr_threshold": (ranked.threshold, some),
                "tpr_mean": masked_sum(missed.tpr, mask),
                "tpr_shift": masked_sum(tpr_weight * tpr_shift, mask),
            },
        )

    return margin_method(softmax, penalty=penalty, extension=Extension(step))
