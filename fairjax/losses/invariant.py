"""InvReg's penalty: the classifier's best scale must be the same in every part of the classes.

Source: Ma et al. 2023, "Invariant Feature Regularization for Fair Face Recognition" (ICCV), and the
authors' code.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def invariance_penalty(
    logits: Float[Array, "batch classes"],
    labels: Int[Array, " batch"],
    partition: Float[Array, "classes environments"],
    mask: Bool[Array, " batch"],
) -> Float[Array, ""]:
    r"""Mean over environments of $(\partial\,\mathrm{CE}(s z)/\partial s)^2$ at s = 1.

    Args:
      logits: Scaled and margined, as the softmax takes them.
      labels: Class numbers.
      partition: How much each class belongs to each environment, 0 or more.
      mask: False on padding.

    Returns:
      0 or more. An environment without an image in the batch is left out (the release divides by
      zero there).
    """
    rows = jnp.arange(len(labels))
    # d CE(s z) / d s at s = 1 is the softmax's mean logit less the target's.
    slope = (jax.nn.softmax(logits) * logits).sum(axis=1) - logits[rows, labels]
    weight = jnp.where(mask[:, None], partition[labels], 0)
    total = weight.sum(axis=0)
    present = total > 0
    mean = (weight * slope[:, None]).sum(axis=0) / jnp.where(present, total, 1)
    return jnp.where(present, jnp.square(mean), 0).sum() / jnp.maximum(present.sum(), 1)
