"""Orbax checkpoints of the train state, the data position and the config."""

import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from jax.experimental import multihost_utils
from orbax.checkpoint import checkpoint_managers as policies

from fairjax.core.names import counted
from fairjax.core.types import PyTree
from fairjax.interop import FILES, from_checkpoint, read_tensors
from fairjax.run.checksum import checksums
from fairjax.run.state import TrainState
from fairjax.run.workdir import WorkdirError, read_checked, read_json, write_json

# Orbax gives a write 20 minutes, then the run fails. A large state on a slow disk, or a machine
# whose processors others keep busy, takes longer and loses nothing. A process that is gone is
# noticed by `fairjax.run.peers`, not by this limit. Orbax measures it on the wall clock, which
# may jump by decades where a machine without a battery learns the time: a century, then.
_WRITE_TIMEOUT_S = 100 * 365 * 24 * 3600
# What the system says where a file is missing, or a folder took its place; anything else, such as
# too many open files, may be gone a moment later.
_ERRNOS_OF_DAMAGE = {None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR}
ASIDE = "checkpoints_damaged"  # beside the checkpoints; nothing that was saved is ever deleted


class CheckpointError(WorkdirError):
    """A checkpoint cannot be read or written; the message says why and what to do."""


class Checkpoints:
    """The checkpoints of one run: written in the background, each whole or absent.

    Beside the state each holds a checksum of every array, of the data position and of the config,
    and a copy of the validation metrics. They are compared when the checkpoint is read. Those that
    were written before there were checksums are read without.

    Args:
      folder: Where they are; made if missing.
      keep_last: How many of the newest to keep.
      keep_best: How many with the best validation metric to keep besides.
      best_metric: Name of the metric; one that ends in "loss" or "mae" is minimised.
    """

    def __init__(self, folder: Path, *, keep_last: int, keep_best: int, best_metric: str):
        minimise = lower_is_better(best_metric)
        if jax.process_index() == 0:
            _mend_metrics(folder)
        _wait_for_process_0("metrics mended")

        def score(metrics: Mapping[str, float]) -> float:
            return metrics[best_metric]

        self._manager = ocp.CheckpointManager(
            folder.absolute(),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=policies.AnyPreservationPolicy(
                    [
                        policies.LatestN(keep_last),
                        policies.BestN(
                            get_metric_fn=score,
                            reverse=minimise,
                            n=keep_best,
                            keep_checkpoints_without_metrics=False,
                        ),
                    ]
                ),
                best_fn=score,
                best_mode="min" if minimise else "max",
                cleanup_tmp_directories=True,  # what a killed run left half-written
                async_options=ocp.AsyncOptions(
                    timeout_secs=_WRITE_TIMEOUT_S,
                    # Else threads wait for the folders, for five minutes at most by the wall
                    # clock, and for ever if that is set back or a folder cannot be made.
                    create_directories_asynchronously=False,
                ),
            ),
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._manager.close()

    @property
    def latest_step(self) -> int | None:
        """The newest checkpoint's step, or None."""
        return self._manager.latest_step()

    @property
    def best_step(self) -> int | None:
        """The step of the checkpoint with the best validation metric, or None."""
        return self._manager.best_step()

    def require_room(self, state: TrainState) -> None:
        """Makes sure that one more checkpoint fits on the disk, before work is lost for want of it.

        Args:
          state: A state, or its shapes.

        Raises:
          CheckpointError: Says how much is needed, and from which step the run can go on.
        """
        needed = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
        free = shutil.disk_usage(self._manager.directory).free
        if free < 1.1 * needed:  # tensorstore's own files come on top
            kept = "nothing is saved yet"
            if self.latest_step is not None:
                kept = f"step {self.latest_step} is saved, and the same line goes on from there"
            raise CheckpointError(
                f"a checkpoint takes {needed / 2**20:.0f} MiB and {self._manager.directory} has "
                f"{free / 2**20:.0f} MiB free; make room ({kept})."
            )

    def save(
        self,
        state: TrainState,
        *,
        step: int,
        config: Mapping[str, Any],
        position: Mapping[str, Any],
        metrics: Mapping[str, float] | None,
    ) -> None:
        """Starts writing a checkpoint and returns; errors of the last write surface here.

        Args:
          state: The state after `step` steps.
          step: Number of the step.
          config: The resolved config.
          position: Data position and whatever else the loop needs to go on.
          metrics: Validation metrics at this step, if they were taken.
        """
        if step in self._manager.all_steps():
            return
        self.require_room(state)
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                config=ocp.args.JsonSave(dict(config)),
                position=ocp.args.JsonSave(dict(position)),
                checksums=ocp.args.JsonSave(
                    {
                        "arrays": checksums(state),
                        "position": _digest(position),
                        "config": _digest(config),
                        "metrics": dict(metrics) if metrics else None,
                    }
                ),
            ),
            metrics=dict(metrics) if metrics else None,
        )

    def wait(self) -> None:
        """Returns once everything is on disk."""
        self._manager.wait_until_finished()

    def restore(
        self, abstract: TrainState, *, step: int | None = None
    ) -> tuple[TrainState, dict[str, Any]] | None:
        """Reads the newest checkpoint that is whole, or the one at `step`.

        Args:
          abstract: The state's shapes and shardings (`abstract_state`); the devices may be others
            than those that wrote it.
          step: None takes the newest, and the one before when that one is damaged; damaged ones
            are moved to `ASIDE`.

        Returns:
          The state and the saved position; None when there is no checkpoint.

        Raises:
          CheckpointError: If there are checkpoints and none can be read; or if the disk or the
            memory fails at the moment, which says nothing of the checkpoint: it stays where it is.
        """
        steps = sorted(self._manager.all_steps(), reverse=True) if step is None else [step]
        reasons: list[str] = []
        for candidate in steps:
            try:
                tree, reason = self._read(candidate, abstract), ""
            except Exception as error:  # of many kinds, for a damaged file; each is reported
                tree, reason = None, first_line(error)
                self._require_readable(candidate, error)
            if _any_process(bool(reason)):
                reason = reason or "another process cannot read it"
                reasons.append(f"step {candidate}: {reason}")
                logging.warning("Checkpoint at step %s is damaged: %s", candidate, reason)
                continue
            self._set_aside([s for s in steps if s > candidate], instead=candidate)
            return tree["state"], tree["position"]
        if reasons:
            raise CheckpointError(
                f"no checkpoint in {self._manager.directory} can be read ({'; '.join(reasons)}); "
                "restore the folder from a copy, or start again with another --workdir."
            )
        return None

    def _read(self, step: int, abstract: TrainState) -> Any:
        """One checkpoint's state and position; raises anything at all where it is damaged."""
        items = {
            "state": ocp.args.StandardRestore(abstract),
            "position": ocp.args.JsonRestore(),
            "config": ocp.args.JsonRestore(),
        }
        folder = Path(self._manager.directory) / str(step)
        if (folder / "checksums").exists():
            items["checksums"] = ocp.args.JsonRestore()
        tree = self._manager.restore(step, args=ocp.args.Composite(**items))
        if not isinstance(tree["position"], dict) or tree["position"].get("step", step) != step:
            raise ValueError(f"its position speaks of another step than {step}")
        if "checksums" in items:
            kept = tree["checksums"]
            require_equal(kept["arrays"], checksums(tree["state"]))
            for name in ("position", "config"):
                if kept[name] != _digest(tree[name]):
                    raise ValueError(f"{name} is not what was saved: its checksum differs")
        return tree

    def _require_readable(self, step: int, error: Exception) -> None:
        """Refuses where a checkpoint could not be read for another reason than damage.

        Raises:
          CheckpointError: Names the file and the system's reason, or says that memory is short.
        """
        why = ""
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            why = "there is not enough memory for it"
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, OSError) and cause.errno not in _ERRNOS_OF_DAMAGE:
                why = f"{cause.filename or step}: {cause.strerror or cause}"
            cause = cause.__cause__ or cause.__context__
        try:
            for path in (Path(self._manager.directory) / str(step)).rglob("*"):
                if path.is_symlink() or path.is_file():
                    with path.open("rb") as file:
                        while file.read(2**24):
                            pass
        except FileNotFoundError:
            pass
        except OSError as fault:
            why = f"{fault.filename or step}: {fault.strerror or fault}"
        if why:
            raise CheckpointError(
                f"the checkpoint at step {step} cannot be read now ({why}); nothing was changed: "
                "mend that, then start the same line again."
            ) from error

    def _set_aside(self, damaged: list[int], *, instead: int) -> None:
        """Moves damaged checkpoints out of the way."""
        aside = Path(self._manager.directory).parent / ASIDE
        for step in damaged:
            logging.warning("Going on from step %s; step %s moves to %s.", instead, step, aside)
            if jax.process_index() == 0:
                aside.mkdir(exist_ok=True)
                target = aside / str(step)
                while target.exists():
                    target = target.with_name(target.name + "-again")
                (Path(self._manager.directory) / str(step)).rename(target)
        if damaged:
            _wait_for_process_0("damaged checkpoints moved")
            self._manager.reload()


def require_equal(kept: Mapping[str, str], restored: Mapping[str, str]) -> None:
    """Compares checksums by name; arrays that were not read are left out.

    Raises:
      ValueError: Names the first that differs.
    """
    wrong = [name for name, digest in restored.items() if kept.get(name) != digest]
    if wrong:
        raise ValueError(
            f"{wrong[0]} is not what was saved: its checksum differs "
            f"({counted(len(wrong), 'such array')})"
        )


def first_line(error: Exception) -> str:
    """What an exception says, in one line of at most 200 characters."""
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else repr(error)


def _digest(tree: Mapping[str, Any]) -> str:
    """A hash of a JSON-ready tree, the same before it is written and after it is read."""
    text = json.dumps(dict(tree), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _mend_metrics(folder: Path) -> None:
    """Writes damaged validation metrics of checkpoints anew, from the copy beside the checksums.

    A checkpoint from before there was a copy loses them: it can then not be chosen as the best.
    """
    for path in sorted(folder.glob("*/metrics/metrics")):
        try:
            metrics: Any = read_json(path)
        except WorkdirError:
            metrics = None
        copy = _metrics_copy(path.parents[1] / "checksums" / "metadata")
        if copy is None and metrics is not None and all(map(_is_number, metrics.values())):
            continue
        if copy is None:
            copy_folder = path.parents[2].with_name(ASIDE)
            copy_folder.mkdir(exist_ok=True)
            logging.warning("%s is damaged; it moves to %s.", path, copy_folder)
            path.parent.rename(copy_folder / f"metrics-{path.parents[1].name}-{os.getpid()}")
        elif metrics != copy:
            logging.warning("%s is damaged; it is written anew from its copy.", path)
            write_json(path, copy)


def _metrics_copy(path: Path) -> Any:
    try:
        return read_json(path).get("metrics")
    except WorkdirError:  # of an older FairJAX, or damaged: `restore` will say so
        return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _any_process(fails: bool) -> bool:
    """Whether any process says so."""
    if jax.process_count() == 1:
        return fails
    return bool(multihost_utils.process_allgather(np.array(fails)).any())


def _wait_for_process_0(what: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(what)


class Weights(NamedTuple):
    """Weights that training starts from.

    Attributes:
      variables: What `TrainState.variables` was: `{"params": ..., **model_state}`.
      settings: The config's keys that build the network of a checkpoint of another library; "" for
        a run of ours.
    """

    variables: PyTree
    settings: str


def read_weights(path: Path, *, channels: str = "rgb") -> Weights:
    """The weights of a finished run, or those of a checkpoint of another library, on the host.

    Args:
      path: The run's folder; or a file, of which nothing but tensors is read.
      channels: Order of colours that a file's network was trained with: "rgb" or "bgr".

    Raises:
      WorkdirError: If the run is missing, not finished or cannot be read, or the file holds a
        network that ours cannot compute.
    """
    if path.suffix not in FILES:
        return Weights(read_variables(path), "")
    try:
        weights = from_checkpoint(read_tensors(path), channels=channels)
    except ValueError as error:
        message = str(error).removeprefix(f"{path}: ")
        raise CheckpointError(f"{path}: {message}") from error
    logging.info("%s: no place for %s.", path, ", ".join(weights.leftovers) or "nothing")
    return Weights(weights.variables, weights.settings)


def read_variables(run: Path, *, step: int | None = None) -> PyTree:
    """The weights with which a finished run was evaluated, on the host.

    Args:
      run: The run's folder.
      step: Step of a checkpoint; None takes the one that a finished run was evaluated with.

    Returns:
      What `TrainState.variables` was: `{"params": ..., **model_state}`.

    Raises:
      WorkdirError: If the run is missing, not finished or cannot be read.
    """
    if step is None:
        step = read_checked(run / "outcome.json")["evaluated_step"]
    path = (run / "checkpoints" / str(step) / "state").absolute()
    handler = ocp.PyTreeCheckpointHandler()
    with ocp.Checkpointer(handler) as reader:
        try:
            # Not of the reader, which warns that the state's folder is not a whole checkpoint.
            tree = handler.metadata(path).tree
            item = {name: tree[name] for name in ("params", "model_state", "average")}
            if item["average"]:
                item = {"average": item["average"]}
            on_host = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), item)
            variables = reader.restore(
                path,
                args=ocp.args.PyTreeRestore(item, restore_args=on_host, partial_restore=True),
            )
            if (kept := path.with_name("checksums") / "metadata").exists():
                require_equal(read_json(kept)["arrays"], checksums(variables))
        except Exception as error:  # orbax raises many kinds for a damaged file
            raise CheckpointError(f"{path} cannot be read: {first_line(error)}.") from error
    return variables["average"] or {"params": variables["params"], **variables["model_state"]}


def lower_is_better(metric: str) -> bool:
    """Whether a validation metric is minimised: its name ends in "loss" or "mae"."""
    return metric.endswith(("loss", "mae"))


def abstract_state(state: TrainState, places: PyTree) -> TrainState:
    """Shapes, dtypes and the shardings to restore to, from a state or `jax.eval_shape` of one."""
    return jax.tree.map(
        lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), state, places
    )
