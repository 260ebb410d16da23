"""Sums and maxima over the shards of the classes; one array is one shard."""

import jax
from jax import lax

from fairjax.core.types import PyTree

Axis = str | None  # the mesh axis over which the classes lie in shards; None: in one array


def total(tree: PyTree, axis: Axis) -> PyTree:
    """The sum over the shards of each array."""
    return tree if axis is None else lax.psum(tree, axis)


def greatest(values: jax.Array, axis: Axis) -> jax.Array:
    """The elementwise maximum over the shards, without a gradient."""
    values = lax.stop_gradient(values)
    return values if axis is None else lax.pmax(values, axis)


def shard_number(axis: Axis) -> jax.Array | int:
    """Which shard this is, from 0."""
    return 0 if axis is None else lax.axis_index(axis)


def own_copy(tree: PyTree, axis: Axis) -> PyTree:
    """Arrays that all shards share, a copy a shard: the shards' gradients of them are summed."""
    return tree if axis is None else lax.pcast(tree, axis, to="varying")
