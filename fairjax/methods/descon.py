"""DeSCon: a margin softmax with a supervised contrastive loss in which groups weigh the same.

Each image is compared with the other images of its person in the batch, and with negatives from
everybody, from its own group, or the hardest of its own group. Training needs group labels.

Source: DeSCon (2026 preprint), read as text; no program was found. Ours are: the temperature, which
the text leaves open, and the counts of the weights N / (D N_g), which are those of the batch.
"""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from fairjax.core.types import Method, Target
from fairjax.heads import Head
from fairjax.losses import ArcFace, Margin, masked_sum
from fairjax.losses.sample_pairs import (
    balanced_weights,
    hardest,
    same_person,
    supervised_contrastive,
)
from fairjax.methods.checks import check_range, check_word
from fairjax.methods.groups import group_scalars, require_groups
from fairjax.methods.margin_softmax import (
    Extended,
    Extension,
    MarginSoftmax,
    MarginView,
    margin_method,
)

NEGATIVES = ("all", "within_group", "hard")


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    label: str = "identity",
    group: str = "group",
    margin: Margin = ArcFace(),  # noqa: B008  frozen
    head: Head = Head(),  # noqa: B008  frozen
    tta: str = "sum",
    negatives: str = "hard",
    hard_count: int = 10,
    weight: float = 1.0,
    temperature: float = 0.1,
) -> Method:
    """Margin softmax with the group-balanced contrastive loss.

    Args:
      backbone: From images to embeddings [batch, dim].
      targets: What the dataset offers.
      preprocess: uint8 images to the backbone's input.
      label: Attribute whose values are the people of the training split.
      group: Attribute whose groups weigh the same; images whose label is negative are left out of
        the contrastive loss.
      margin: Margin of the softmax, one of MARGINS.
      head: How the class weights lie over devices, and are walked.
      tta: What "embedding" is made of; see `cosine_margin.build`.
      negatives: "all" images of other people, those "within_group", or the "hard" ones: the
        `hard_count` of the own group with the largest cosines.
      hard_count: Negatives of an image under "hard", 1 or more.
      weight: Weight of the contrastive loss, 0 or more.
      temperature: Temperature of the contrastive loss, above 0.

    Raises:
      ValueError: If the data has no such groups, or a setting is out of range.
    """
    groups = require_groups(targets, group)
    check_word("negatives", negatives, NEGATIVES)
    check_range(hard_count >= 1, "hard_count", hard_count, "1 or more")
    check_range(weight >= 0, "weight", weight, "0 or more")
    check_range(temperature > 0, "temperature", temperature, "above 0")
    softmax = MarginSoftmax(
        backbone, targets, preprocess, label=label, margin=margin, head=head, tta=tta
    )

    def step(view: MarginView) -> Extended:
        who = view.batch[group]
        known = view.batch["mask"] & (who >= 0)
        cosines = view.embeddings.direction @ view.embeddings.direction.T
        same = same_person(view.labels, known)
        positives = same & ~jnp.eye(len(known), dtype=bool)
        others = ~same & known[:, None] & known[None]
        if negatives != "all":
            others &= who[:, None] == who[None]
        if negatives == "hard":
            others = hardest(cosines, others, count=hard_count)
        anchors = positives.any(axis=1)
        losses = supervised_contrastive(cosines, positives, others, temperature=temperature)
        weighed = balanced_weights(who, anchors, groups=len(groups)) * losses
        total, count = masked_sum(weighed, anchors)
        return Extended(
            loss=weight * total / jnp.maximum(count, 1.0),
            scalars={
                "loss_contrastive": (total, count),
                **group_scalars("loss_contrastive", losses, who, anchors, groups),
            },
        )

    return margin_method(softmax, extension=Extension(step))
