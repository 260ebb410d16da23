"""Adversaries inside one loss: reversed gradients, and predictions that tell nothing."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.custom_vjp
def reverse_gradient(
    x: Float[Array, "..."], strength: Float[Array, ""] | float
) -> Float[Array, "..."]:
    """Returns `x`; on the way back its gradient is multiplied by `-strength`.

    Whatever lies behind (a discriminator) minimises its loss, while whatever lies before (the
    backbone) maximises it.

    Args:
      x: Features of any shape.
      strength: Factor of the reversed gradient, 0 or more; it has no gradient of its own.

    Source: Ganin et al. 2016 (arXiv 1505.07818).
    """
    return x


def _forward(x: Array, strength: Array | float) -> tuple[Array, Array]:
    return x, jnp.asarray(strength)


def _backward(strength: Array, gradient: Array) -> tuple[Array, Array]:
    return -strength.astype(gradient.dtype) * gradient, jnp.zeros_like(strength)


reverse_gradient.defvjp(_forward, _backward)


def uniform_cross_entropy(logits: Float[Array, "batch classes"]) -> Float[Array, " batch"]:
    r"""Cross-entropy of a prediction against the uniform distribution: $-\frac1C\sum_c \log p_c$.

    Args:
      logits: Unnormalised scores.

    Returns:
      Nats, at least log C; log C where every class is equally likely.
    """
    return -jax.nn.log_softmax(logits).mean(axis=1)
