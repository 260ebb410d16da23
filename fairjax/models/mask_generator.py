"""AutoMAE's mask generator: where to mask is learned beside the masked autoencoder.

Source: Chen et al. 2023 (arXiv 2303.06583), and the authors' program.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int, Key


class MaskGenerator(nn.Module):
    """From a frozen ViT's attention to the logarithm of a probability a patch.

    Attributes:
      hidden: Channels between the two 3x3 convolutions.
    """

    hidden: int = 6

    @nn.compact
    def __call__(
        self, attention: Float[Array, "batch rows columns heads"]
    ) -> Float[Array, "batch patches"]:
        """Maps attention of CLS over the patches, a channel a head, to `[batch, patches]`."""
        x = nn.relu(nn.Conv(self.hidden, (3, 3), name="conv_1")(attention))
        x = nn.Conv(1, (3, 3), name="conv_2")(x)
        return jax.nn.log_softmax(x.reshape(len(x), -1))


class LearnedSelection(NamedTuple):
    """Visible tokens under learned masks.

    Attributes:
      visible: Tokens kept, in the order of their noise `[batch, kept, dim]`.
      keep_ids: Patch of each of them.
      restore_ids: Place of each patch in the list of kept, then removed ones.
      mask: 1 is removed, 0 is kept.
    """

    visible: Float[Array, "batch kept dim"]
    keep_ids: Int[Array, "batch kept"]
    restore_ids: Int[Array, "batch patches"]
    mask: Float[Array, "batch patches"]


def soft_probability(
    key: Key[Array, ""], log_probability: Float[Array, "batch patches"]
) -> Float[Array, "batch patches"]:
    """A soft Gumbel-softmax draw at temperature 1.

    Args:
      key: A fresh one for each draw.
      log_probability: Log-probabilities of the patches, as `MaskGenerator` returns them.
    """
    noise = jax.random.gumbel(key, log_probability.shape, log_probability.dtype)
    return jax.nn.softmax(log_probability + noise)


def learned_selection(
    tokens: Float[Array, "batch patches dim"],
    probability: Float[Array, "batch patches"],
    uniform: Float[Array, "batch patches"],
    *,
    kept: int,
    offset: float,
    straight_through: bool = True,
) -> LearnedSelection:
    """Keeps the patches of least noise, where the likeliest patches have `offset` more of it.

    Args:
      tokens: Patches with their positions.
      probability: A soft draw; its `kept` largest are the selected patches.
      uniform: Noise, uniform on [0, 1).
      kept: How many patches stay visible.
      offset: Added to the noise of selected patches; 0.5 in the authors' program.
      straight_through: Whether the reconstruction loss reaches the generator: visible tokens are
        multiplied by their noise, with their value kept. The gradient of selected patches is 0
        wherever they are all masked.
    """
    threshold = jax.lax.top_k(probability, kept)[0][:, -1:]
    hard = (probability >= threshold).astype(probability.dtype)
    selected = hard + probability - jax.lax.stop_gradient(probability)
    noise = uniform + offset * selected
    if not straight_through:
        noise = jax.lax.stop_gradient(noise)
    order = jnp.argsort(noise, axis=1)
    restore = jnp.argsort(order, axis=1)
    keep = order[:, :kept]
    weight = noise[:, :, None].astype(tokens.dtype)
    weighed = weight * tokens + jax.lax.stop_gradient(1 - weight) * tokens
    visible = jnp.take_along_axis(weighed, keep[:, :, None], axis=1)
    return LearnedSelection(
        visible,
        keep.astype(jnp.int32),
        restore.astype(jnp.int32),
        (restore >= kept).astype(jnp.float32),
    )
