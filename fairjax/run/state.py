"""The train state: arrays only, and how it is created."""

import dataclasses
import math
from collections.abc import Collection, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import logging
from flax.traverse_util import flatten_dict, unflatten_dict

from fairjax.core.types import Batch, Method, PyTree
from fairjax.models.vit import sincos_positions


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


def start_from(state: TrainState, other: PyTree, *, part: str) -> TrainState:
    """A fresh state with another model's weights and statistics in place of its own.

    Weights go by their paths. What only one of the two models has stays fresh here, or is left
    behind there, and is named in the log: a pre-trained encoder ends otherwise than a classifier.

    Args:
      state: A state that `init_state` made.
      other: `{"params": ..., **model_state}` of the other model.
      part: A module at the top of both models, such as "backbone", or "all"; "scorer=backbone"
        takes the other model's module "backbone" for the module "scorer" here.

    Raises:
      ValueError: If there is no such part, nothing in it is on both sides, or an array's shapes
        differ; names the first path and what is wrong.
    """
    part, _, source = part.partition("=")
    own, given = (
        {path: leaf for path, leaf in flatten_dict(tree).items() if taken in ("all", path[1])}
        for taken, tree in (
            (part, {"params": state.params, **state.model_state}),
            (source or part, other),
        )
    )
    if source:
        given = {(path[0], part, *path[2:]): leaf for path, leaf in given.items()}
    parts = ", ".join(repr(name) for name in ["all", *state.params])
    if not own:
        raise ValueError(f"config.init.part={part!r} is no part of this model; it has {parts}.")
    shared = own.keys() & given.keys()
    if not shared:
        raise ValueError(
            f"config.init.run shares no array of {part!r} with this model; build the same {part}, "
            f"or choose another config.init.part of {parts}."
        )
    for path in sorted(shared):
        if own[path].shape != given[path].shape:
            raise ValueError(
                f"config.init.run cannot be started from: {'/'.join(path)} is {own[path].shape} "
                f"here and {given[path].shape} there; build the same {part}."
            )
    _check_positions(given.keys() - shared, given)
    taken = {(path[0], source or path[1], *path[2:]) for path in shared}
    logging.info(
        "Started from %d arrays of %r; fresh: %s; left behind: %s.",
        len(shared),
        part,
        _names(own.keys() - shared),
        _names(flatten_dict(other).keys() - taken),
    )
    placed = {
        path: jax.device_put(given[path].astype(leaf.dtype), leaf.sharding)
        for path, leaf in own.items()
        if path in shared
    }
    whole = flatten_dict({"params": state.params, **state.model_state})
    variables = unflatten_dict({**whole, **placed})
    # The step donates its state, so that the average must not share its arrays.
    average = jax.tree.map(jnp.copy, variables) if state.average is not None else None
    params = variables.pop("params")
    return dataclasses.replace(state, params=params, model_state=variables, average=average)


def _check_positions(left: Collection[tuple[str, ...]], given: Mapping[Any, Any]) -> None:
    """Refuses learned positions that a model with sine-cosine positions would leave behind.

    Raises:
      ValueError: If a position table is not the one that the model makes itself.
    """
    for path in left:
        if path[-1] != "positions":
            continue
        table = np.asarray(given[path], np.float32)
        side = math.isqrt(len(table) - 1)
        fixed = sincos_positions(side, table.shape[1]) if table.shape[1] % 4 == 0 else None
        if fixed is None or fixed.shape != table.shape or not np.allclose(table, fixed, atol=1e-3):
            raise ValueError(
                f"config.init.run has learned positions ({'/'.join(path)}), but this model makes "
                "sine-cosine positions of its own; set config.backbone.positions='learned'."
            )


def _names(paths: Collection[tuple[str, ...]]) -> str:
    """The modules that hold these arrays, in a few words."""
    modules = sorted({"/".join(path[1:3]) for path in paths})
    return ", ".join(modules[:8]) + (", ..." if len(modules) > 8 else "") if modules else "none"
