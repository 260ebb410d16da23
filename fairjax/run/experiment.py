"""One run from its settings to its report: train, evaluate, score; or resume what was stopped."""

import json
import time
from pathlib import Path

import jax
import numpy as np
from absl import logging
from jax.experimental import multihost_utils
from rich.console import Console

from fairjax.config import validate_devices
from fairjax.core.errors import DONE
from fairjax.run import prepare
from fairjax.run.host import how_to_resume
from fairjax.run.join import require_same
from fairjax.run.loading import MODEL_FILE, describe_model
from fairjax.run.score import report
from fairjax.run.settings import RunSettings
from fairjax.run.train import train
from fairjax.run.workdir import (
    claim,
    environment,
    folder_that_stays,
    is_finished,
    settle_config,
    settle_data,
    write_json,
)


def run_experiment(
    settings: RunSettings,
    workdir: Path,
    *,
    changed_data: str = "",
    show_tables: bool = False,
    profile_steps: int = 0,
) -> int:
    """Trains, evaluates and reports; returns the exit status.

    Args:
      settings: Settings of the run.
      workdir: The run's folder.
      changed_data: Hash of changed data to go on with; "" refuses any change.
      show_tables: Whether the protocol's tables are printed before the verdict.
      profile_steps: Number of steps whose trace is written to the folder `profile`; 0 writes none.

    Raises:
      ConfigError, DataError, WorkdirError: For what a user can put right.
    """
    if settings.train.optimization_level:
        jax.config.update("jax_optimization_level", settings.train.optimization_level)
    started = time.monotonic()
    validate_devices(settings.train, settings.eval, jax.device_count())
    if jax.process_index() > 0:
        if multihost_utils.broadcast_one_to_all(np.array(False)):
            return DONE  # the run is finished, and process 0 reports
        dataset = settings.data.load(seed=settings.seed)
        require_same("data", json.dumps(prepare.manifest_of(dataset)["hash"]))
        with folder_that_stays(workdir):
            outcome = train(settings, workdir, dataset, profile_steps=profile_steps)
        return 0 if outcome.finished else 128 + outcome.signal_number
    with claim(workdir):
        settle_config(workdir, settings.tree)
        devices = {
            "platform": jax.default_backend(),
            "kind": jax.devices()[0].device_kind,
            "count": jax.device_count(),
            "processes": jax.process_count(),
        }
        finished = is_finished(workdir)
        if jax.process_count() > 1:
            multihost_utils.broadcast_one_to_all(np.array(finished))
        if finished:
            logging.info("%s holds a finished run; nothing is trained.", workdir)
        else:
            dataset = settings.data.load(seed=settings.seed)
            prepare.check_data(settings, dataset)
            prepare.dry_run(settings, dataset)
            write_json(workdir / "environment.json", environment(devices))
            manifest = prepare.manifest_of(dataset)
            settle_data(workdir, manifest, accepted=changed_data)
            require_same("data", json.dumps(manifest["hash"]))
            write_json(workdir / MODEL_FILE, describe_model(settings, dataset))
            with folder_that_stays(workdir):
                outcome = train(settings, workdir, dataset, profile_steps=profile_steps)
            if not outcome.finished:
                print(f"Stopped at step {outcome.step}; all is saved. {how_to_resume()}")
                return 128 + outcome.signal_number
            write_json(
                workdir / "outcome.json",
                {
                    "step": outcome.step,
                    "evaluated_step": outcome.checkpoint,
                    "parameters": outcome.parameters,
                    "seconds_since_resumed": time.monotonic() - started,
                },
            )
        path = report(settings.scoring, workdir, Console(), show_tables=show_tables)
    print(f"\nReport: {path}")
    return 0
