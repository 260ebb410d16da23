"""The device mesh, and how host batches become global arrays."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from fairjax.core.types import DATA_AXIS, MODEL_AXIS, Batch, PyTree
from fairjax.optim.freeze import name_of


def make_mesh(head_shards: int = 1) -> Mesh:
    """All devices of all processes; the shards of a class head lie on neighbours.

    Args:
      head_shards: Devices that a class head is split over; it divides their number.
    """
    shape = jax.device_count() // head_shards, head_shards
    # Auto, because linen's Dropout fails under make_mesh's default, explicit axes.
    return jax.make_mesh(shape, (DATA_AXIS, MODEL_AXIS), axis_types=(AxisType.Auto,) * 2)


def replicated(mesh: Mesh) -> NamedSharding:
    """The same array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def by_batch(mesh: Mesh) -> NamedSharding:
    """The first axis split over the devices."""
    return NamedSharding(mesh, PartitionSpec(mesh.axis_names))


def state_shardings(
    mesh: Mesh,
    state: PyTree,
    split: Mapping[str, PartitionSpec],
    *,
    shard_optimizer: bool = False,
) -> PyTree:
    """For each array of a train state how it lies: whole, or as `split` has its parameter.

    Args:
      mesh: The mesh of `make_mesh`.
      state: Arrays or their shapes. What an optimiser keeps of a parameter, and its average, stand
        below the parameter's own path.
      split: Shardings of split parameters by path; see `Method`.
      shard_optimizer: Whether each other array of the optimiser is spread over all devices, along
        its longest axis that they can share; an array with no such axis lies whole. Source:
        Rajbhandari et al. 2020 (arXiv 1910.02054), stage 1.
    """

    def place(path: tuple[Any, ...], leaf: Any) -> NamedSharding:
        name = f"/{name_of(path)}"
        specs = [spec for part, spec in split.items() if name.endswith(f"/{part}")]
        if not specs and shard_optimizer and name.startswith("/opt_state/"):
            specs = [_spread(mesh, leaf.shape)]
        return NamedSharding(mesh, specs[0] if specs else PartitionSpec())

    return jax.tree_util.tree_map_with_path(place, state)


def _spread(mesh: Mesh, shape: tuple[int, ...]) -> PartitionSpec:
    lengths = [length if length % mesh.size == 0 else 0 for length in shape]
    if not any(lengths):
        return PartitionSpec()
    axis = int(np.argmax(lengths))
    return PartitionSpec(*[None] * axis, mesh.axis_names)


def global_batch(mesh: Mesh, local: Mapping[str, np.ndarray]) -> Batch:
    """Joins each process's rows into arrays [batch, ...] that span all devices.

    Args:
      mesh: The mesh of `make_mesh`.
      local: This process's rows: process k of P holds rows [k*batch/P, (k+1)*batch/P).
    """
    sharding = by_batch(mesh)
    return {
        name: jax.make_array_from_process_local_data(sharding, rows) for name, rows in local.items()
    }
