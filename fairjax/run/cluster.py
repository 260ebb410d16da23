"""Where the processes of a run are, as Slurm, Open MPI, Kubernetes or a TPU pod says.

JAX can find that out. Asking it before `jax.distributed.initialize` lets the processes meet first
(`fairjax.run.peers`), so that one that is missing or gone is named in one line.
"""

from collections.abc import Sequence
from typing import NamedTuple

LAUNCHERS = "Slurm, Open MPI, Kubernetes or a TPU pod"


class Cluster(NamedTuple):
    """This process among those of its run.

    Attributes:
      coordinator: "host:port" of process 0.
      processes: Number of processes.
      process: Number of this process, from 0.
      local_devices: Numbers of the devices that this process uses; None is all of its host.
    """

    coordinator: str
    processes: int
    process: int
    local_devices: Sequence[int] | None


def find_cluster(*, timeout_s: float) -> Cluster:
    """Asks the launcher's environment.

    Args:
      timeout_s: Seconds to wait until the coordinator's name is known (TPU pods, Kubernetes).

    Raises:
      ValueError: If no launcher is found, or what it says is no address or number.
    """
    # JAX offers this to `jax.distributed.initialize` alone; it has no public name.
    from jax._src.clusters import ClusterEnv

    try:
        coordinator, processes, process, local_devices = (
            ClusterEnv.auto_detect_unset_distributed_params(
                None, None, None, None, None, max(1, int(timeout_s))
            )
        )
    except (LookupError, OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"what {LAUNCHERS} says of this job cannot be read: {error}.") from error
    if coordinator is None or processes is None or process is None:
        raise ValueError(
            f"--distributed finds no {LAUNCHERS} around this process; start it there, or name the "
            "processes by --coordinator, --processes and --process."
        )
    return Cluster(coordinator, processes, process, local_devices)
