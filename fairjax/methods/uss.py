"""USS: a margin softmax with a loss on pairs of images that has one threshold for all pairs.

The threshold is learned. The negatives of an image are the partners of other people: images of the
same batch, or the latest embedding of every person, kept in a memory. No group labels are needed.

Source: Li et al. 2023 (UniTSFace, NeurIPS, arXiv 2311.02523), and the authors' program, which is
`partners="memory"` with `start_epochs=1`. Differs from it in: logits are not clipped; the learned
threshold is an offset from the start value, so that weight decay pulls it there and not to 0.
"""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from fairjax.core.types import Method, PyTree, Target
from fairjax.heads import Head
from fairjax.losses import CosFace, Margin, masked_sum
from fairjax.losses.sample_pairs import one_pair_a_person, same_person, unified_threshold_loss
from fairjax.methods.checks import check_range, check_word
from fairjax.methods.margin_softmax import (
    Extended,
    Extension,
    MarginSoftmax,
    MarginView,
    margin_method,
)
from fairjax.models.cosine_head import unit

PARTNERS = ("batch", "memory")


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    label: str = "identity",
    margin: Margin = CosFace(margin=0.4),  # noqa: B008  frozen
    head: Head = Head(),  # noqa: B008  frozen
    tta: str = "sum",
    partners: str = "batch",
    weight: float = 1.0,
    pair_scale: float = 64.0,
    pair_margin: float = 0.1,
    start_epochs: float = 0.0,
) -> Method:
    """Margin softmax with the unified threshold loss.

    Args:
      backbone: From images to embeddings [batch, dim].
      targets: What the dataset offers.
      preprocess: uint8 images to the backbone's input.
      label: Attribute whose values are the people of the training split.
      margin: Margin of the softmax, one of MARGINS.
      head: How the class weights lie over devices, and are walked.
      tta: What "embedding" is made of; see `cosine_margin.build`.
      partners: "batch" compares the first two images of each person in the batch (set
        config.input.images_per_identity=2); "memory" compares each image with the latest embedding
        of every person, without a gradient to those.
      weight: Weight of the pairs' loss, 0 or more.
      pair_scale: Factor of the pairs' cosines, above 0.
      pair_margin: Cosine taken off pairs of one person, in [0, 2].
      start_epochs: Epochs before the pairs' loss starts, 0 or more; 1 in the authors' program.

    Raises:
      ValueError: If a setting is out of range, or the data has no people.
    """
    check_word("partners", partners, PARTNERS)
    check_range(weight >= 0, "weight", weight, "0 or more")
    check_range(pair_scale > 0, "pair_scale", pair_scale, "above 0")
    check_range(0 <= pair_margin <= 2, "pair_margin", pair_margin, "in [0, 2]")
    check_range(start_epochs >= 0, "start_epochs", start_epochs, "0 or more")
    softmax = MarginSoftmax(
        backbone, targets, preprocess, label=label, margin=margin, head=head, tta=tta
    )
    classes = softmax.classes

    def start(key: jax.Array, dim: int) -> tuple[PyTree, PyTree]:
        del key
        state = {"start": jnp.float32(0), "started": jnp.bool_(False)}
        if partners == "memory":
            state |= {"memory": jnp.zeros((classes, dim)), "filled": jnp.zeros(classes, bool)}
        return {"threshold": jnp.float32(0)}, state

    def step(view: MarginView) -> Extended:
        mask, state = view.batch["mask"], dict(view.state)
        if partners == "batch":
            pairs = one_pair_a_person(same_person(view.labels, mask))
            cosines = view.embeddings.direction @ view.embeddings.direction[pairs.second].T
            own = jnp.eye(len(mask), dtype=bool)
            rows = pairs.paired
            counted = rows[:, None] & rows[None]
        else:
            known = state["filled"]
            cosines = view.embeddings.direction @ unit(state["memory"]).direction.T
            own = view.labels[:, None] == jnp.arange(classes)[None]
            rows = mask & known.any()
            counted = rows[:, None] & known[None]
            state |= remembered(state, view)
        if start_epochs:
            rows = rows & (view.batch["epoch"] >= start_epochs)
            counted = counted & rows[:, None]
        impostor, present = impostor_logsumexp(cosines, counted & ~own, rows)
        first = present & ~state["started"]
        state["start"] = jnp.where(first, impostor, state["start"])
        state["started"] = state["started"] | present
        threshold = state["start"] + view.params["threshold"]
        losses = unified_threshold_loss(
            cosines, own, counted, threshold, scale=pair_scale, margin=pair_margin
        )
        total, count = masked_sum(losses, rows)
        return Extended(
            loss=weight * total / jnp.maximum(count, 1.0),
            scalars={
                "loss_pairs": (total, count),
                "pair_threshold": (threshold / pair_scale, state["started"].astype(jnp.float32)),
            },
            state=state,
        )

    def impostor_logsumexp(
        cosines: jax.Array, others: jax.Array, rows: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Mean of the rows' log-sum-exp over others, where b starts; whether there is any."""
        rows = rows & others.any(axis=1)
        logits = jnp.where(others, pair_scale * jax.lax.stop_gradient(cosines), -jnp.inf)
        total, count = masked_sum(
            jnp.where(rows, jax.nn.logsumexp(jnp.where(rows[:, None], logits, 0.0), axis=1), 0.0),
            rows,
        )
        return total / jnp.maximum(count, 1.0), count > 0

    return margin_method(softmax, extension=Extension(step, start))


def remembered(state: Mapping[str, jax.Array], view: MarginView) -> dict[str, jax.Array]:
    """The memory after the batch: the last image of each person in it replaces the older one."""
    mask, classes = view.batch["mask"], len(state["filled"])
    row = jnp.arange(len(mask))
    again = same_person(view.labels, mask) & (row[None] > row[:, None])
    slot = jnp.where(mask & ~again.any(axis=1), view.labels, classes)
    latest = jax.lax.stop_gradient(view.embeddings.direction)
    return {
        "memory": state["memory"].at[slot].set(latest, mode="drop"),
        "filled": state["filled"].at[slot].set(True, mode="drop"),
    }
