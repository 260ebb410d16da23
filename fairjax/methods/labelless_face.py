"""LabellessFace-style: each person's margin follows how well training images of that person do.

A person whose images are recognised more often than average in an epoch gets a smaller margin in
the next, others a larger one. No group labels are needed.

Source: Ohki et al. 2024 (LabellessFace, IJCB, arXiv 2409.09274), its abstract and the coefficient's
formula. Ours are: the coefficient multiplies the margin; an image counts as recognised where its
person has more than half of the softmax without a margin; gamma and h, which were not at hand.
"""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from fairjax.core.types import Method, PyTree, Target
from fairjax.heads import Head
from fairjax.losses import ArcFace, Margin, masked_sum
from fairjax.methods.checks import check_range
from fairjax.methods.margin_softmax import (
    Extended,
    Extension,
    MarginSoftmax,
    MarginView,
    margin_method,
    one_margin,
)


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    label: str = "identity",
    margin: Margin = ArcFace(),  # noqa: B008  frozen
    head: Head = Head(),  # noqa: B008  frozen
    tta: str = "sum",
    gamma: float = 2.0,
    favoured_factor: float = 0.5,
) -> Method:
    """Margin softmax with a margin for each person.

    Args:
      backbone: From images to embeddings [batch, dim].
      targets: What the dataset offers.
      preprocess: uint8 images to the backbone's input.
      label: Attribute whose values are the people of the training split.
      margin: Margin that each person's coefficient multiplies: "cosface" or "arcface".
      head: How the class weights lie over devices, and are walked.
      tta: What "embedding" is made of; see `cosine_margin.build`.
      gamma: How fast the coefficient follows the favouritism, above 0.
      favoured_factor: The paper's h: how much less it falls where a person is favoured, in [0, 1].

    Raises:
      ValueError: If a setting is out of range, or the data has no people.
    """
    base = one_margin(margin)
    check_range(gamma > 0, "gamma", gamma, "above 0")
    check_range(0 <= favoured_factor <= 1, "favoured_factor", favoured_factor, "in [0, 1]")
    softmax = MarginSoftmax(
        backbone, targets, preprocess, label=label, margin=margin, head=head, tta=tta
    )
    classes = softmax.classes

    def start(key: jax.Array, dim: int) -> tuple[PyTree, PyTree]:
        del key, dim
        zeros = jnp.zeros(classes, jnp.float32)
        return {}, {"recognised": zeros, "images": zeros, "coefficient": zeros + 1}

    def step(view: MarginView) -> Extended:
        output, mask = view.output, view.batch["mask"]
        coefficient = view.state["coefficient"][jnp.clip(view.labels, 0, classes - 1)]
        recognised = base.scale * output.target > output.logsumexp
        counted = mask.astype(jnp.float32)

        def added(name: str, values: jax.Array) -> jax.Array:
            row = jnp.where(mask, view.labels, classes)
            return view.state[name].at[row].add(values, mode="drop")

        return Extended(
            shift=output.margined - base.target_at(output.target, base.margin * coefficient),
            scalars={
                "recognised": masked_sum(recognised.astype(jnp.float32), mask),
                "coefficient": masked_sum(coefficient, mask),
            },
            state={
                "recognised": added("recognised", counted * recognised),
                "images": added("images", counted),
                "coefficient": view.state["coefficient"],
            },
        )

    def after_epoch(kernel: jax.Array, state: PyTree, epoch: jax.Array) -> PyTree:
        del kernel, epoch
        coefficient = coefficients(
            state["recognised"], state["images"], state["coefficient"], gamma, favoured_factor
        )
        zeros = jnp.zeros_like(coefficient)
        return {"recognised": zeros, "images": zeros, "coefficient": coefficient}

    return margin_method(softmax, extension=Extension(step, start, after_epoch))


def coefficients(
    recognised: jax.Array, images: jax.Array, before: jax.Array, gamma: float, factor: float
) -> jax.Array:
    r"""Factor of each person's margin: $2 / (1 + e^{\gamma f})$, in (0, 2).

    f is the share of a person's images that were recognised minus the mean share over people; where
    it is above 0, $\gamma$ is multiplied by `factor`.

    Args:
      recognised: Number of recognised images of each person.
      images: Number of images of each person; without any, the coefficient stays as before.
      before: Coefficients before.
      gamma: gamma.
      factor: h.
    """
    seen = images > 0
    share = recognised / jnp.maximum(images, 1.0)
    mean = jnp.where(seen, share, 0.0).sum() / jnp.maximum(seen.sum(), 1)
    favour = share - mean
    slope = jnp.where(favour < 0, gamma, gamma * factor)
    return jnp.where(seen, 2 * jax.nn.sigmoid(-slope * favour), before)
