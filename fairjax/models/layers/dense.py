"""A linear layer over tokens whose gradient XLA's CPU backend multiplies without turning them."""

from functools import partial
from typing import Any

from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float


def _dot_of_rows(
    x: Float[Array, "*batch inner"], kernel: Float[Array, "inner outer"], _: Any, **settings: Any
) -> Float[Array, "*batch outer"]:
    """The product with a kernel, of all tokens as the rows of one matrix.

    The gradient of the kernel sums over images and tokens. Summed over two axes XLA's CPU backend
    first copies the larger factor with its axes turned; over one it does not.
    """
    over_inner = (((1,), (0,)), ((), ()))
    y = lax.dot_general(x.reshape(-1, x.shape[-1]), kernel, over_inner, **settings)
    return y.reshape(*x.shape[:-1], y.shape[-1])


Dense = partial(nn.Dense, dot_general=_dot_of_rows)
