"""Batch normalisation as Linen has it, called with `train` like the other modules here."""

from typing import Any

from flax import linen as nn
from jaxtyping import Array, Bool, Float


class BatchNorm(nn.BatchNorm):
    """`nn.BatchNorm` with running statistics of which a step keeps 0.9.

    Under jit the batch is the global one, so the statistics are those of every device together.
    """

    momentum: float = 0.9

    @nn.compact
    def __call__(  # type: ignore[override]
        self,
        x: Float[Array, "*batch channels"],
        *,
        train: bool,
        mask: Bool[Array, "*batch 1"] | None = None,
    ) -> Any:
        """Maps `[..., channels]` to the same shape.

        Args:
          x: `[..., channels]`.
          train: True normalises with the batch's statistics and moves the running ones by
            `1 - momentum`, so "batch_stats" must be mutable; False uses the running ones.
          mask: Rows that the batch's statistics are of, at least one True; None takes all.
        """
        return super().__call__(x, use_running_average=not train, mask=mask)
