"""The train state: arrays only, and how it is born."""

import flax.struct
import jax
import jax.numpy as jnp
import optax

from fairjax.types import Batch, Method, PyTree


@flax.struct.dataclass
class TrainState:
    """All that a step moves, and all that a checkpoint holds of the model.

    Attributes:
      step: int32 scalar, the steps taken; also the position in the data.
      params: What the optimiser moves.
      model_state: What the forward pass moves, such as running batch statistics.
      opt_state: The optimiser's own.
      average: Exponential moving average of `{"params": ..., **model_state}`, or None.
    """

    step: PyTree  # one array; other things pass through when JAX maps over the tree
    params: PyTree
    model_state: PyTree
    opt_state: PyTree
    average: PyTree | None

    @property
    def variables(self) -> PyTree:
        """What `Method.predict` takes: the moving average where there is one."""
        if self.average is not None:
            return self.average
        return {"params": self.params, **self.model_state}


def init_state(
    method: Method,
    tx: optax.GradientTransformation,
    key: jax.Array,
    batch: Batch,
    *,
    averaged: bool,
) -> TrainState:
    """A fresh state; the caller jits it with the shardings it wants."""
    params, model_state = method.init(key, batch)
    average = {"params": params, **model_state} if averaged else None
    return TrainState(jnp.int32(0), params, model_state, tx.init(params), average)
