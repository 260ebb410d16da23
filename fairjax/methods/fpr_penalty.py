"""Margin softmax with the FPR penalty: mitigates gaps between groups without group labels.

Images whose cosines with wrong people pass one threshold for everybody pay for them; see
`fairjax.losses.fpr`. Where the batch carries an attribute of groups, the rates are logged by group;
the groups never enter the loss.

The authors report smaller gaps on RFW for models trained on BUPT-Balancedface and BUPT-Globalface;
users who trained on MS1M-like data report no gain over CosFace and ArcFace (TFace, issue 23).
"""

import functools
from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from absl import logging

from fairjax.core.types import Batch, Method, Target
from fairjax.heads import Head, HeadOutput
from fairjax.losses import CosFace, FprPenalty, Margin, masked_sum
from fairjax.losses.fpr import AUTO_ALLOWANCE
from fairjax.methods.margin_softmax import MarginSoftmax, Scalars, margin_method, ramp


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    label: str = "identity",
    margin: Margin = CosFace(),  # noqa: B008  frozen
    head: Head = Head(),  # noqa: B008  frozen
    tta: str = "sum",
    variant: str = "paper",
    gamma_u: float | str = 1e-4,
    alpha: float = 1.0,
    alpha_mode: str = "constant",
    power: float = 2.0,
    ramp_epochs: float = 0.0,
    margin_ramp_epochs: float = 0.0,
    log_groups: str = "group",
) -> Method:
    """Margin softmax with the FPR penalty.

    Args:
      backbone: From images to embeddings [batch, dim].
      targets: What the dataset offers.
      preprocess: uint8 images to the backbone's input.
      label: The attribute whose values are the people of the training split.
      margin: The margin that the penalty is added to, one of MARGINS.
      head: How the class weights lie; not "sampled", whose sample lacks cosines that the penalty
        counts.
      tta: What "embedding" is made of; see `fairjax.methods.cosine_margin.build`.
      variant: "paper", "tface" (the authors' release) or "mean_sq" (MixFairFace's); see
        `FprPenalty`.
      gamma_u: False-positive rate allowed to the whole batch; 0, the released program's value, is
        1 / (classes - 1), "auto" is 2.8 / (classes - 1).
      alpha: Strength of "paper", which does not print its value.
      alpha_mode: "constant" or "one_plus_target", for "paper": alpha (1 + target cosine).
      power: Exponent of the selected cosines in "paper".
      ramp_epochs: Epochs over which the penalty grows from 0; see `margin_softmax.ramp`.
      margin_ramp_epochs: Epochs over which the margin grows from 0.
      log_groups: An attribute whose groups' rates are logged, where the dataset has it; it never
        enters the loss; "" is none.
    """
    softmax = MarginSoftmax(
        backbone, targets, preprocess, label=label, margin=margin, head=head, tta=tta
    )
    penalty = FprPenalty(
        variant=variant, gamma_u=gamma_u, alpha=alpha, alpha_mode=alpha_mode, power=power
    )
    groups = targets[log_groups].values if log_groups in targets else ()
    classes = softmax.classes
    log_allowance(gamma_u, penalty.allowance(classes))

    def log(output: HeadOutput, batch: Batch) -> Scalars:
        mask, result = batch["mask"], output.penalty
        assert result is not None
        k = penalty.largest_rank(len(mask), classes)
        if k < 10:  # logged once, while the step is traced
            logging.warning(
                "Only %d cosines of a batch are above the FPR threshold; raise gamma_u=%s or the "
                "batch for a steadier one.",
                k - 1,
                gamma_u,
            )
        scalars = {"fpr_threshold": (result.threshold, jnp.float32(1))}
        scalars |= summary(result.fpr, result.shift, mask)
        if log_groups in batch:
            for number, name in enumerate(groups):
                members = mask & (batch[log_groups] == number)
                rows = summary(result.fpr, result.shift, members)
                scalars |= {f"{key}_{name}": value for key, value in rows.items()}
        return scalars

    return margin_method(
        softmax,
        penalty=penalty,
        log=log,
        extension=ramp(margin_epochs=margin_ramp_epochs, penalty_epochs=ramp_epochs),
    )


@functools.cache  # a run builds its method several times
def log_allowance(gamma_u: float | str, allowance: float) -> None:
    """Logs gamma_u (C - 1), once a process, and warns where it is below 1."""
    logging.info(
        "FPR penalty: gamma_u=%s allows an image %.3g false positives on average.",
        gamma_u,
        allowance,
    )
    if allowance < 1:
        logging.warning(
            "gamma_u=%s allows an image %.3g false positives on average: a single one is already "
            "over the allowance. Set config.method.gamma_u to 'auto' (%s, as in the paper) or 0 "
            "(1).",
            gamma_u,
            allowance,
            AUTO_ALLOWANCE,
        )


def summary(fpr: jax.Array, shift: jax.Array, members: jax.Array) -> Scalars:
    """Mean, 95th percentile and largest rate of the members, and their mean shift.

    Without members, every sum and count is 0.
    """
    some = jnp.any(members).astype(jnp.float32)
    p95 = jnp.nanquantile(jnp.where(members, fpr, jnp.nan), 0.95)
    scalars = {
        "fpr_mean": masked_sum(fpr, members),
        "fpr_p95": (jnp.where(some > 0, p95, 0.0), some),
        "fpr_max": (jnp.max(fpr, where=members, initial=0.0), some),
        "penalty_mass": masked_sum(shift, members),
    }
    return jax.lax.stop_gradient(scalars)
