"""The pure train and predict steps."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from fairjax.core.types import Batch, Method, PyTree
from fairjax.run.state import TrainState

Scalars = dict[str, jax.Array]


def make_train_step(
    method: Method,
    tx: optax.GradientTransformation,
    *,
    accumulate: int,
    ema_decay: float,
    steps_per_epoch: float,
) -> Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Scalars]]:
    """Returns the pure `(state, batch, key) -> (state, scalars)`; the caller jits it.

    Args:
      method: What is optimised.
      tx: The optimiser.
      accumulate: Micro-batches a step. Micro-batch k takes rows k, k + accumulate, ...: rows stay
        on their devices. Batch statistics are those of a micro-batch.
      ema_decay: Decay of the moving average of the weights, warmed up as
        min(decay, (1 + step) / (10 + step)); 0 keeps none.
      steps_per_epoch: Steps in an epoch, for the batch's "epoch" and `Method.after_epoch`.
    """
    grad_fn = jax.value_and_grad(method.loss, has_aux=True)

    def train_step(state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Scalars]:
        key = jax.random.fold_in(key, state.step)  # a resumed run draws the same numbers
        epoch = state.step.astype(jnp.float32) / steps_per_epoch
        micro = jax.tree.map(
            lambda x: jnp.moveaxis(x.reshape(-1, accumulate, *x.shape[1:]), 1, 0), dict(batch)
        )

        def one(model_state: PyTree, item: tuple[Batch, jax.Array]) -> tuple[PyTree, PyTree]:
            rows, number = item
            rows = {**rows, "epoch": epoch}
            (_, aux), grads = grad_fn(
                state.params, model_state, rows, jax.random.fold_in(key, number)
            )
            return aux.model_state, (grads, aux.scalars)

        if accumulate == 1:
            first = jax.tree.map(lambda x: x[0], micro)
            model_state, (grads, scalars) = one(state.model_state, (first, jnp.int32(0)))
        else:
            model_state, (grads, scalars) = jax.lax.scan(
                one, state.model_state, (micro, jnp.arange(accumulate))
            )
            grads = jax.tree.map(lambda g: jnp.mean(g, axis=0), grads)
            scalars = jax.tree.map(lambda s: jnp.sum(s, axis=0), scalars)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        if method.after_epoch is not None:
            done = jnp.floor((state.step + 1) / steps_per_epoch).astype(jnp.int32)
            params, model_state = jax.lax.cond(
                done > jnp.floor(epoch).astype(jnp.int32),
                method.after_epoch,
                lambda params, model_state, done: (params, model_state),
                params,
                model_state,
                done,
            )
        average = state.average
        if average is not None:
            decay = jnp.minimum(ema_decay, (1.0 + state.step) / (10.0 + state.step))
            average = _averaged({"params": params, **model_state}, average, decay)
        # 0 / 0 says that the batch had no such rows.
        logged = {name: total / n for name, (total, n) in scalars.items()}
        logged["grad_norm"] = optax.tree.norm(grads)
        return TrainState(state.step + 1, params, model_state, opt_state, average), logged

    return train_step


def _averaged(current: PyTree, average: PyTree, decay: jax.Array) -> PyTree:
    """The moving average after one more step; what has no fraction, such as a flag, is current."""

    def one(new: jax.Array, old: jax.Array) -> jax.Array:
        if not jnp.issubdtype(new.dtype, jnp.inexact):
            return new
        return optax.incremental_update(new, old, 1.0 - decay)

    return jax.tree.map(one, current, average)


def make_predict_step(method: Method) -> Callable[[PyTree, Batch], dict[str, jax.Array]]:
    """Returns the pure `(variables, batch) -> columns`, with the batch's `index` and `mask`."""

    def predict_step(variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
        return {
            **method.predict(variables, batch),
            "index": batch["index"],
            "mask": batch["mask"],
        }

    return predict_step
