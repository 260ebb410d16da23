"""Orbax checkpoints of the train state, the data position and the config."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from orbax.checkpoint import checkpoint_managers as policies

from fairjax.core.types import PyTree
from fairjax.interop import from_timm, read_tensors
from fairjax.run.state import TrainState
from fairjax.run.workdir import WorkdirError, read_checked


class CheckpointError(WorkdirError):
    """A checkpoint cannot be read or written; the message says why and what to do."""


class Checkpoints:
    """The checkpoints of one run: written in the background, each whole or absent.

    Args:
      folder: Where they are; made if missing.
      keep_last: How many of the newest to keep.
      keep_best: How many with the best validation metric to keep besides.
      best_metric: Its name; one that ends in "loss" or "mae" is minimised.
    """

    def __init__(self, folder: Path, *, keep_last: int, keep_best: int, best_metric: str):
        minimise = lower_is_better(best_metric)

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
          step: Its number.
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
          step: None takes the newest, and the one before when that one is damaged.

        Returns:
          The state and the saved position; None when there is no checkpoint.

        Raises:
          CheckpointError: If there are checkpoints and none can be read.
        """
        steps = sorted(self._manager.all_steps(), reverse=True) if step is None else [step]
        reasons = []
        for candidate in steps:
            try:
                tree = self._manager.restore(
                    candidate,
                    args=ocp.args.Composite(
                        state=ocp.args.StandardRestore(abstract),
                        position=ocp.args.JsonRestore(),
                    ),
                )
            except Exception as error:  # of many kinds, for a damaged file; each is reported
                reason = str(error).strip().splitlines()[0][:200] if str(error) else repr(error)
                reasons.append(f"step {candidate}: {reason}")
                logging.warning("Checkpoint at step %s is damaged: %s", candidate, reason)
                continue
            for damaged in (s for s in steps if s > candidate):
                logging.warning("Going on from step %s; step %s is removed.", candidate, damaged)
                self._manager.delete(damaged)
            return tree["state"], tree["position"]
        if reasons:
            raise CheckpointError(
                f"no checkpoint in {self._manager.directory} can be read ({'; '.join(reasons)}); "
                "restore the folder from a copy, or start again with another --workdir."
            )
        return None


def read_variables(run: Path) -> PyTree:
    """The weights with which a finished run was evaluated, or those of a file, on the host.

    Args:
      run: The run's folder; or a ViT or MAE as timm, DeiT and MAE name it, .safetensors, .npz or
        .pth, of which nothing but tensors is read.

    Returns:
      What `TrainState.variables` was: `{"params": ..., **model_state}`.

    Raises:
      WorkdirError: If the run is missing, not finished or cannot be read.
    """
    if run.suffix in (".safetensors", ".npz", ".pth"):
        try:
            params, leftovers = from_timm(read_tensors(run))
        except ValueError as error:
            raise CheckpointError(str(error)) from error
        logging.info("%s: no place for %s.", run, ", ".join(leftovers) or "nothing")
        return {"params": params}
    step = read_checked(run / "outcome.json")["evaluated_step"]
    path = (run / "checkpoints" / str(step) / "state").absolute()
    with ocp.PyTreeCheckpointer() as reader:
        try:
            tree = reader.metadata(path).item_metadata.tree
            item = {name: tree[name] for name in ("params", "model_state", "average")}
            if item["average"]:
                item = {"average": item["average"]}
            on_host = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), item)
            found = reader.restore(
                path,
                args=ocp.args.PyTreeRestore(item, restore_args=on_host, partial_restore=True),
            )
        except Exception as error:  # orbax raises many kinds for a damaged file
            reason = str(error).strip().splitlines()[0][:200] if str(error) else repr(error)
            raise CheckpointError(f"{path} cannot be read: {reason}.") from error
    return found["average"] or {"params": found["params"], **found["model_state"]}


def lower_is_better(metric: str) -> bool:
    """Whether a validation metric is minimised: its name ends in "loss" or "mae"."""
    return metric.endswith(("loss", "mae"))


def abstract_state(state: TrainState, places: PyTree) -> TrainState:
    """Shapes, dtypes and the shardings to restore to, from a state or `jax.eval_shape` of one."""
    return jax.tree.map(
        lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), state, places
    )
