"""How the processes of one run find each other, and stop where they were started differently."""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairjax.config import ConfigError, leaves
from fairjax.run import peers
from fairjax.run.workdir import WorkdirError, environment


@dataclass(frozen=True)
class JoinOptions:
    """What the flags say of the other processes of a run.

    Attributes:
      coordinator: "host:port" of process 0; None asks `JAX_COORDINATOR_ADDRESS`.
      processes: Number of processes; None asks `JAX_NUM_PROCESSES`.
      process: This process's number, from 0; None asks `JAX_PROCESS_ID`.
      distributed: Whether JAX finds the other processes: those of Slurm, Open MPI or a TPU pod.
      join_s: Seconds to wait for the others at the start.
      heartbeat_s: Seconds of silence after which another process counts as gone.
    """

    coordinator: str | None
    processes: int | None
    process: int | None
    distributed: bool
    join_s: float
    heartbeat_s: float

    @property
    def several(self) -> bool:
        """Whether a flag asks for several processes."""
        return bool(self.coordinator or self.processes or self.distributed)


def join_processes(
    tree: Mapping[str, Any], options: JoinOptions, *, on_meeting: Callable[[peers.Peers], None]
) -> None:
    """Joins the other processes of this run when flags or a launcher's environment say so.

    Args:
      tree: Config that this process was started with; the others must have the same.
      options: What the flags say.
      on_meeting: Takes the connections to the other processes, before JAX makes its own.

    Raises:
      ConfigError: If only some of --coordinator, --processes and --process are given, or one is
        impossible.
      PeerError: If a process does not come, or was started with something else.
    """
    import jax

    coordinator = options.coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    processes = _number(options.processes, "JAX_NUM_PROCESSES")
    process = _number(options.process, "JAX_PROCESS_ID")
    given = {"coordinator": coordinator, "processes": processes, "process": process}
    missing = [f"--{name}" for name, value in given.items() if value is None]
    local_devices = None
    if missing and options.distributed:
        from fairjax.run.cluster import find_cluster

        try:
            cluster = find_cluster(timeout_s=options.join_s)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        coordinator, processes, process, local_devices = cluster
    elif len(missing) == len(given):
        return
    elif missing:
        raise ConfigError(
            f"{', '.join(missing)} is missing: several processes need --coordinator, --processes "
            "and --process (or --distributed, where Slurm, Open MPI or a TPU pod starts them)."
        )
    try:
        joined = peers.meet(
            str(coordinator),
            int(processes or 0),
            int(process or 0),
            started_with=_started_with(tree),
            join_s=options.join_s,
            heartbeat_s=options.heartbeat_s,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None
    on_meeting(joined)
    if joined.others:
        peers.end_in_one_line_on_abort()
        peers.drop_lines_of_jax()
    jax.distributed.initialize(
        coordinator,
        processes,
        process,
        local_devices,
        # Longer than our own, so that the line that names the process comes first.
        initialization_timeout=int(options.join_s) + 1,
        heartbeat_timeout_seconds=2 * int(options.heartbeat_s) + 10,
    )


def require_same(what: str, text: str) -> None:
    """Refuses, in every process, where one of them has another text than process 0.

    Raises:
      WorkdirError: Names the process.
    """
    import jax
    from jax.experimental import multihost_utils

    if jax.process_count() == 1:
        return
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    digests = multihost_utils.process_allgather(np.frombuffer(digest, np.int32))
    wrong = np.flatnonzero((digests != digests[0]).any(axis=1))
    if wrong.size:
        raise WorkdirError(
            f"process {wrong[0]} has another {what} than process 0; start all with the same line, "
            "the same code and the same data."
        )


def _started_with(tree: Mapping[str, Any]) -> dict[str, Any]:
    """What must be equal in all processes of a run, JSON-ready; where the data lie may differ."""
    code = environment({})
    return {
        **{key: value for key, value in leaves(tree) if not key.endswith(".root")},
        "FairJAX": code["fairjax"],
        "git revision": code["git_revision"],
    }


def _number(flag: int | None, variable: str) -> int | None:
    """A flag's number, else that of an environment variable.

    Raises:
      ConfigError: If the variable is no whole number.
    """
    if flag is not None or variable not in os.environ:
        return flag
    try:
        return int(os.environ[variable])
    except ValueError:
        raise ConfigError(
            f"{variable}={os.environ[variable]!r} in the environment must be a whole number; "
            f"correct it or type: unset {variable}"
        ) from None
