"""A finished run on other data, from Python: what `python -m fairjax.main --evaluate` computes."""

from pathlib import Path

from ml_collections import ConfigDict
from rich.console import Console

from fairjax import config as config_lib
from fairjax.audit.finished import Audit
from fairjax.core.results import load_results
from fairjax.run import reevaluate
from fairjax.run.score import report


def evaluate_run(source: Path, data: str | Path | ConfigDict, folder: Path | None) -> Audit:
    """Evaluates a finished run without training.

    Args:
      source: The run's folder; nothing is written there.
      data: A config that names data and protocol, or its name or file as `--config` takes it.
      folder: Where predictions, results.json and report.html go; None is a folder beside the run,
        one for each choice of data and protocol.

    Raises:
      ConfigError: If the config is wrong, describes a study, or does not fit the model.
      WorkdirError: If the run is not finished, or the folder holds something else.
    """
    config = data if isinstance(data, ConfigDict) else config_lib.load(str(data))
    if "study" in config:
        raise config_lib.ConfigError("evaluate takes the config of a single run, not a study.")
    settings = reevaluate.evaluation_settings(config.to_dict(), source)
    folder = folder or reevaluate.default_folder(settings, source)
    reevaluate.reevaluate(settings, source, folder)
    report(settings.scoring, folder, Console(quiet=True))
    return Audit(load_results(folder / "results.json"), settings.title or folder.name)
