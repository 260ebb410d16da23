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

# Where a Vision Transformer ends otherwise than it was trained to; never part of its blocks
_ENDS = ("norm", "pooled_norm")


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


def start_from(state: TrainState, other: PyTree, *, part: str, settings: str = "") -> TrainState:
    """A fresh state with another model's weights and statistics in place of its own.

    Weights go by their paths. What only one of the two models has stays fresh here, or is left
    behind there, and is named in the log: a pre-trained encoder ends otherwise than a classifier.

    Args:
      state: A state that `init_state` made.
      other: `{"params": ..., **model_state}` of the other model.
      part: A module at the top of both models, such as "backbone", or "all"; "scorer=backbone"
        takes the other model's module "backbone" for the module "scorer" here.
      settings: The config's keys that build the network of a checkpoint of another library: that
        network must be whole on both sides, but for a Vision Transformer's last norm. "" for a run.

    Raises:
      ValueError: If there is no such part, nothing in it is on both sides, an array's shapes
        differ, or a checkpoint's network is another one; names paths and what is wrong.
    """
    variables = {"params": state.params, **state.model_state}
    own, given = _parts(variables, other, part)
    shared = check_variables(variables, other, part=part, settings=settings)
    part, _, source = part.partition("=")
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
    variables = unflatten_dict({**flatten_dict(variables), **placed})
    # The step donates its state, so that the average must not share its arrays.
    average = jax.tree.map(jnp.copy, variables) if state.average is not None else None
    params = variables.pop("params")
    return dataclasses.replace(state, params=params, model_state=variables, average=average)


def check_variables(
    variables: PyTree, other: PyTree, *, part: str, settings: str = ""
) -> set[tuple[str, ...]]:
    """Refuses another model's weights that do not fit into this one.

    Args:
      variables: `{"params": ..., **model_state}` of this model, or their shapes.
      other: Weights of the other model.
      part: A module at the top of both models, or "all".
      settings: The config's keys that build the network of a checkpoint; "" for a run.

    Returns:
      The paths of the arrays that both have.

    Raises:
      ValueError: See `start_from`.
    """
    own, given = _parts(variables, other, part)
    part = part.partition("=")[0]
    parts = ", ".join(repr(name) for name in ["all", *variables["params"]])
    built = f" ({settings})" if settings else ""
    if not own:
        raise ValueError(f"config.init.part={part!r} is no part of this model; it has {parts}.")
    shared = own.keys() & given.keys()
    if not shared:
        raise ValueError(
            f"config.init.run shares no array of {part!r} with this model; build the same {part}"
            f"{built}, or choose another config.init.part of {parts}."
        )
    for path in sorted(shared):
        if own[path].shape != given[path].shape:
            raise ValueError(
                f"config.init.run cannot be started from: {'/'.join(path)} is {own[path].shape} "
                f"here and {given[path].shape} there; build the same {part}{built}."
            )
    if settings:
        _check_whole(own.keys() - shared, given.keys() - shared, settings)
    _check_positions(given.keys() - shared, given)
    return shared


def _parts(
    variables: PyTree, other: PyTree, part: str
) -> tuple[dict[tuple[str, ...], Any], dict[tuple[str, ...], Any]]:
    """The arrays of a part of both models by their paths here, ("params", part, ...)."""
    part, _, source = part.partition("=")
    own, given = (
        {path: leaf for path, leaf in flatten_dict(tree).items() if taken in ("all", path[1])}
        for taken, tree in ((part, variables), (source or part, other))
    )
    if source:
        given = {(path[0], part, *path[2:]): leaf for path, leaf in given.items()}
    return own, given


def _check_whole(
    fresh: Collection[tuple[str, ...]], left: Collection[tuple[str, ...]], settings: str
) -> None:
    """Refuses a checkpoint of which this model would take a part only.

    Raises:
      ValueError: Naming arrays that only one of the two has.
    """

    def named(paths: Collection[tuple[str, ...]]) -> str:
        names = sorted("/".join(path) for path in paths)
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"{', '.join(names[:3])}{more}"

    fresh, left = ([path for path in paths if path[2] not in _ENDS] for paths in (fresh, left))
    if fresh or left:
        missing = f"; it lacks {named(fresh)}" if fresh else ""
        over = f"; this model has no {named(left)}" if left else ""
        raise ValueError(
            f"config.init.run holds another network than this one{missing}{over}. To build it: "
            f"{settings}."
        )


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
