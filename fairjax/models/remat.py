"""Blocks whose activations are computed again for the gradient, so that they need not be kept."""

from typing import Any

from flax import linen as nn
from jaxtyping import Array, Float


def apply_block(
    block: nn.Module, x: Float[Array, "..."], *, train: bool, remat: bool
) -> Float[Array, "..."]:
    """A block's result; the parameters and the result don't depend on `remat`.

    Args:
      block: A module that is called with an array and `train`.
      x: What it is called with.
      train: Whether it behaves as in training.
      remat: Whether the gradient computes the block's inner activations again. Memory falls from
        all activations of the network to those between blocks and inside one of them; a step
        takes about a third longer. Source: Chen et al. 2016 (arXiv 1604.06174).
    """

    def call(block: nn.Module, x: Any) -> Any:
        return block(x, train=train)

    return nn.remat(call)(block, x) if remat else call(block, x)
