"""Dropout that draws half as many random bits as Linen's."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Shaped

_STEPS = 2**16


class Dropout(nn.Module):
    """Sets random entries to 0 and scales the others so that the expectation stays.

    An entry is decided by 16 random bits where `nn.Dropout` takes 32: on CPU drawing them is most
    of what dropout costs. The share that is dropped is `rate` to the nearest 1/65536, and the
    scale is that of this share.

    Attributes:
      rate: Share that is dropped, in [0, 1].
      broadcast_dims: Axes along which all entries share one decision.
    """

    rate: float
    broadcast_dims: Sequence[int] = ()

    @nn.compact
    def __call__(self, x: Shaped[Array, "*any"], *, train: bool) -> Shaped[Array, "*any"]:
        """Maps an array to the same shape; without `train` it is the identity.

        Raises:
          flax.errors.InvalidRngError: If `train` and there is no "dropout" key.
        """
        dropped = round(self.rate * _STEPS)
        if not train or dropped == 0:
            return x
        if dropped == _STEPS:
            return jnp.zeros_like(x)
        shape = [1 if axis in self.broadcast_dims else n for axis, n in enumerate(x.shape)]
        *before, last = shape
        both = jax.random.bits(self.make_rng("dropout"), (*before, -(-last // 2)), jnp.uint32)
        decisions = jnp.concatenate([both & (_STEPS - 1), both >> 16], axis=-1)[..., :last]
        return jnp.where(decisions >= dropped, x / (1 - dropped / _STEPS), 0)
