"""Losses of attribute classifiers and regressors, one value an example."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int


def cross_entropy(
    logits: Float[Array, "batch classes"],
    labels: Int[Array, " batch"],
    *,
    label_smoothing: float,
) -> Float[Array, " batch"]:
    r"""Softmax cross-entropy: $-\sum_c t_c \log \mathrm{softmax}(z)_c$.

    Args:
      logits: Unnormalised scores; computed in float32 or wider.
      labels: Class numbers in [0, classes). A number outside gives NaN rather than a wrong loss.
      label_smoothing: The share e in [0, 1) of the target spread evenly over all classes:
        t = (1 - e) onehot + e / classes (Szegedy et al., 2016, section 7).

    Returns:
      Nats, 0 or more.
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    inside = (labels >= 0) & (labels < logits.shape[-1])
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), label_smoothing)
    return jnp.where(inside, optax.softmax_cross_entropy(logits, targets), jnp.nan)


def regression(
    predictions: Float[Array, " batch"],
    targets: Float[Array, " batch"],
    *,
    kind: str,
) -> Float[Array, " batch"]:
    """Error of a standardised number.

    Args:
      predictions: Predicted numbers, in units of the target's standard deviation.
      targets: True numbers, in the same units.
      kind: "mse" (squared error), "l1" (absolute error) or "huber" (quadratic below 1).

    Returns:
      0 or more; mse in squared, l1 in plain standard deviations.

    Raises:
      ValueError: On another kind.
    """
    error = predictions.astype(jnp.float32) - targets
    if kind == "mse":
        return jnp.square(error)
    if kind == "l1":
        return jnp.abs(error)
    if kind == "huber":
        return optax.huber_loss(error, delta=1.0)
    raise ValueError(f"regression loss {kind!r} is not known; known: mse, l1, huber.")


def masked_sum(
    values: Float[Array, " batch"], mask: Array
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Sum and count over the rows whose mask is True; masked rows may hold anything, NaN too.

    Raises:
      ValueError: If the shapes differ.
    """
    if values.shape != mask.shape:
        raise ValueError(f"values {values.shape} and mask {mask.shape} must have one shape.")
    return jnp.sum(jnp.where(mask, values, 0.0)), jnp.sum(mask, dtype=jnp.float32)
