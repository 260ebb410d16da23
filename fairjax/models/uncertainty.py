"""PFE's head: the variance of each dimension of a face embedding.

Source: Shi and Jain 2019 (ICCV, arXiv 1904.09658), section 4.3, and the authors' code.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from fairjax.models.layers.norm import BatchNorm


class UncertaintyHead(nn.Module):
    """From the last map of a frozen network to the logarithm of a variance a dimension.

    Two linear layers without bias, each followed by batch norm; the second norm has neither scale
    nor bias. `gamma * v + beta` with two numbers that all dimensions share gives the logarithm
    of the variance before 1e-6 is added to the variance.

    Attributes:
      dim: Length of the embedding.
    """

    dim: int

    @nn.compact
    def __call__(
        self, maps: Float[Array, " batch *place"], *, train: bool
    ) -> Float[Array, "batch {self.dim}"]:
        """Maps `[batch, ...]`, flattened, to float32 logarithms of variances `[batch, dim]`."""
        x = maps.reshape(len(maps), -1).astype(jnp.promote_types(maps.dtype, jnp.float32))
        xavier = nn.initializers.xavier_uniform()
        norm = partial(BatchNorm, momentum=0.995, epsilon=1e-3)
        x = nn.Dense(self.dim, use_bias=False, kernel_init=xavier, name="hidden")(x)
        x = nn.relu(norm(name="hidden_norm")(x, train=train))
        x = nn.Dense(self.dim, use_bias=False, kernel_init=xavier, name="out")(x)
        x = norm(use_scale=False, use_bias=False, name="out_norm")(x, train=train)
        gamma = self.param("gamma", nn.initializers.constant(1e-4), (), jnp.float32)
        beta = self.param("beta", nn.initializers.constant(-7.0), (), jnp.float32)
        return jnp.log(1e-6 + jnp.exp(gamma * x + beta))
