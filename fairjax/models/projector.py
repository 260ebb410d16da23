"""The head between a backbone's features and the space in which views are compared."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from fairjax.models.layers.norm import BatchNorm


class Projector(nn.Module):
    """Layers of linear, batch norm and ReLU, and a last linear layer; float32.

    Attributes:
      features: Width of the result.
      hidden: Width of each layer before the last; 0 is as wide as the input.
    """

    features: int
    hidden: tuple[int, ...] = (0,)

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch dim"], *, train: bool
    ) -> Float[Array, "batch {self.features}"]:
        """Maps `[batch, dim]` to `[batch, features]`."""
        x = x.astype(jnp.float32)
        for number, width in enumerate(self.hidden, start=1):
            suffix = "" if number == 1 else f"_{number}"
            x = nn.Dense(width or x.shape[-1], name=f"in{suffix}")(x)
            x = nn.relu(BatchNorm(name=f"norm{suffix}")(x, train=train))
        return nn.Dense(self.features, name="out")(x)
