"""The device mesh, and how host batches become global arrays."""

from collections.abc import Mapping

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from fairjax.types import DATA_AXIS, Batch


def make_mesh() -> Mesh:
    """All devices of all processes along the batch axis."""
    # Auto, because linen's Dropout fails under make_mesh's default, explicit axes.
    return jax.make_mesh((jax.device_count(),), (DATA_AXIS,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def by_batch(mesh: Mesh) -> NamedSharding:
    """The first axis split over the devices."""
    return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


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
