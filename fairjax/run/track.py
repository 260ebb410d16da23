"""Where the numbers of a run go besides `metrics.jsonl`: TensorBoard, Weights & Biases, MLflow.

Everything stays in the run's folder unless the user's own environment names a server: W&B is
offline unless WANDB_MODE says otherwise, and MLflow writes to a file unless MLFLOW_TRACKING_URI
names a server.
"""

import abc
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fairjax.data.stream.decode import import_tensorflow

PROJECT = "fairjax"  # of W&B and MLflow, unless WANDB_PROJECT or MLFLOW_EXPERIMENT_NAME is set


class Tracker(abc.ABC):
    """One place where scalars are written."""

    @abc.abstractmethod
    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Records numbers at a step, by names such as "train/loss"."""

    @abc.abstractmethod
    def close(self) -> None:
        """Writes what is left and ends."""


def open_trackers(
    names: Sequence[str], *, workdir: Path, config: Mapping[str, Any], start_step: int
) -> list[Tracker]:
    """The trackers of a run; a resumed run continues its own record.

    Args:
      names: Keys of `TRACKERS`.
      workdir: The run's folder.
      config: The resolved config.
      start_step: Step from which this process continues.

    Raises:
      ModuleNotFoundError: If a tracker's package is not installed.
    """
    return [TRACKERS[name](workdir, config, start_step) for name in names]


def hyperparameters(config: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """The config as flat names and plain values: {"optim.peak_lr": 0.1}; lists become text."""
    values: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping):
            values |= hyperparameters(value, f"{name}.")
        else:
            plain = isinstance(value, bool | int | float | str)
            values[name] = value if plain else json.dumps(value, default=str)
    return values


class TensorBoard(Tracker):
    """Event files in `tensorboard/`: scalars, the config as text, hyper-parameters in their tab.

    Args:
      workdir: The run's folder.
      config: The resolved config.
      start_step: Step from which this process continues.
    """

    def __init__(self, workdir: Path, config: Mapping[str, Any], start_step: int) -> None:
        tensorflow = import_tensorflow()
        from tensorboard.plugins.hparams import summary_v2  # its `api` would import Keras: a second

        self._summary = tensorflow.summary
        self._writer = self._summary.create_file_writer(str(workdir / "tensorboard"))
        text = json.dumps(config, indent=1)
        with self._writer.as_default():
            self._summary.text("config", f"```json\n{text}\n```", start_step)
            summary_v2.hparams(hyperparameters(config))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes one event a number, and all of them at once."""
        with self._writer.as_default(step):
            for name, value in values.items():
                self._summary.scalar(name, value)

    def close(self) -> None:
        """Flushes and closes the event file."""
        self._writer.close()


class Wandb(Tracker):
    """A run of Weights & Biases in `wandb/`, offline unless WANDB_MODE says "online".

    `wandb sync` uploads an offline run later. No code, no git state and no console output is
    recorded.

    Args:
      workdir: The run's folder.
      config: The resolved config.
      start_step: Step from which this process continues.
    """

    def __init__(self, workdir: Path, config: Mapping[str, Any], start_step: int) -> None:
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=workdir.name,
            id=_identity(workdir, config),
            resume="allow" if start_step else None,
            dir=str(workdir),
            config=hyperparameters(config),
            mode=os.environ.get("WANDB_MODE", "offline"),
            settings=wandb.Settings(console="off", disable_git=True, save_code=False, silent=True),
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Adds the numbers to the history at this step."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Ends the run."""
        self._run.finish()


class Mlflow(Tracker):
    """A run of MLflow in `mlflow.db`, or on the server that MLFLOW_TRACKING_URI names.

    Args:
      workdir: The run's folder.
      config: The resolved config.
      start_step: Step from which this process continues.
    """

    def __init__(self, workdir: Path, config: Mapping[str, Any], start_step: int) -> None:
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient

        self._metric = Metric
        own = f"sqlite:///{(workdir / 'mlflow.db').resolve()}"
        self._client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI", own))
        experiment = _experiment(self._client, os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT))
        identity = _identity(workdir, config)
        begun = self._client.search_runs([experiment], f"tags.fairjax = '{identity}'")
        if start_step and begun:
            self._id = begun[0].info.run_id
            self._client.update_run(self._id, status="RUNNING")
            return
        made = self._client.create_run(
            experiment, run_name=workdir.name, tags={"fairjax": identity}
        )
        self._id = made.info.run_id
        params = [Param(k, str(v)[:_LONGEST]) for k, v in hyperparameters(config).items()]
        for first in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(self._id, params=params[first : first + _MOST_PARAMS])

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Logs the numbers at this step, in one batch."""
        made = [self._metric(name, value, 0, step) for name, value in values.items()]
        self._client.log_batch(self._id, metrics=made)

    def close(self) -> None:
        """Marks the run as finished."""
        self._client.set_terminated(self._id)


_LONGEST = 500  # characters of a parameter's value, in every version of MLflow
_MOST_PARAMS = 100  # that MLflow takes at once

TRACKERS: dict[str, Any] = {"tensorboard": TensorBoard, "wandb": Wandb, "mlflow": Mlflow}


def _experiment(client: Any, name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    return str(experiment.experiment_id if experiment else client.create_experiment(name))


def _identity(workdir: Path, config: Mapping[str, Any]) -> str:
    """The run's name for a tracker, the same in every process that continues it."""
    text = json.dumps([str(workdir.resolve()), config], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
