"""The main door: `python -m fairjax.main --config FILE[:arg] --workdir DIR [--config.k=v ...]`.

Trains, evaluates and reports what the config describes. The same line again resumes a run that was
stopped; a finished run prints its tables again.
"""

import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags
from rich.console import Console

os.environ.setdefault(
    "TF_ENABLE_ONEDNN_OPTS", "0"
)  # or TensorFlow greets on stderr; it only reads data

import fairjax  # noqa: E402
from fairjax import config as config_lib  # noqa: E402
from fairjax.core.errors import (  # noqa: E402
    DONE,
    UNUSABLE,
    USAGE,
    missing_extra,
    report_error,
)
from fairjax.data.dataset import DataError  # noqa: E402
from fairjax.run.host import keep_freed_memory  # noqa: E402
from fairjax.run.score import report  # noqa: E402
from fairjax.run.workdir import (
    WorkdirError,
    claim,
    environment,
    is_finished,
    settle_config,
    settle_data,
    write_json,
)

CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "The experiment: a Python file with get_config(arg); what follows a colon is its argument, "
    "such as configs/quickstart.py:smoke or FILE:small,seed=3. A config that FairJAX ships goes by "
    "its name, too: quickstart:smoke. Override any key with --config.section.key=value.",
)
WORKDIR = flags.DEFINE_string(
    "workdir", None, "The run's folder: checkpoints, logs, predictions, results.json, report.html."
)
COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "host:port of process 0, for a run of several processes."
)
PROCESSES = flags.DEFINE_integer("processes", None, "How many processes take part.")
PROCESS = flags.DEFINE_integer("process", None, "This process's number, from 0.")
ONLY = flags.DEFINE_string(
    "only", None, "Of a study, the one run to train now, such as cosface-seed0; the others wait."
)
DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "Let JAX find the other processes (Slurm, Open MPI, TPU pods)."
)

# What a user can put right; anything else is our fault and keeps its traceback.
USER_ERRORS = (DataError, FloatingPointError, WorkdirError)  # beside ConfigError


def join_processes() -> None:
    """Joins the other processes of this run when flags or a launcher's environment say so.

    Raises:
      ConfigError: If only some of --coordinator, --processes and --process are given.
    """
    import jax

    coordinator = COORDINATOR.value or os.environ.get("JAX_COORDINATOR_ADDRESS")
    processes = _number(PROCESSES.value, "JAX_NUM_PROCESSES")
    process = _number(PROCESS.value, "JAX_PROCESS_ID")
    given = {"coordinator": coordinator, "processes": processes, "process": process}
    missing = [f"--{name}" for name, value in given.items() if value is None]
    if not missing:
        jax.distributed.initialize(coordinator, processes, process)
    elif DISTRIBUTED.value:
        jax.distributed.initialize()
    elif len(missing) < len(given):
        raise config_lib.ConfigError(
            f"{', '.join(missing)} is missing: several processes need --coordinator, --processes "
            "and --process (or --distributed, where Slurm, Open MPI or a TPU pod starts them)."
        )


def run(config: ConfigDict, workdir: Path, *, join: Callable[[], None] | None = None) -> int:
    """Trains, evaluates and reports; returns the exit status.

    Args:
      config: The config; it is checked before a device or a file is touched.
      workdir: The run's folder.
      join: Joins the other processes; called between those checks and the first use of a device.

    Raises:
      ConfigError, DataError, WorkdirError: For what a user can put right.
    """
    config_lib.validate(config)
    from fairjax.run.build import build_run

    settings = build_run(config)
    if join is not None:
        join()
    import jax

    from fairjax.run import prepare
    from fairjax.run.train import train

    started = time.monotonic()
    config_lib.validate(config, device_count=jax.device_count())
    if jax.process_index() > 0:
        outcome = train(settings, workdir, settings.data.load(seed=settings.seed))
        return 0 if outcome.finished else 128 + outcome.signal_number
    with claim(workdir):
        settle_config(workdir, settings.tree)
        devices = {
            "platform": jax.default_backend(),
            "kind": jax.devices()[0].device_kind,
            "count": jax.device_count(),
            "processes": jax.process_count(),
        }
        if is_finished(workdir):
            logging.info("%s holds a finished run; nothing is trained.", workdir)
        else:
            dataset = settings.data.load(seed=settings.seed)
            prepare.check_labels(settings, dataset)
            prepare.check_balance(settings.input, dataset)
            prepare.dry_run(settings, dataset)
            write_json(workdir / "environment.json", environment(devices))
            settle_data(workdir, prepare.manifest_of(dataset))
            outcome = train(settings, workdir, dataset)
            if not outcome.finished:
                line = shlex.join(["python", "-m", "fairjax.main", *sys.argv[1:]])
                print(f"Stopped at step {outcome.step}; all is saved. To go on:\n  {line}")
                return 128 + outcome.signal_number
            write_json(
                workdir / "outcome.json",
                {
                    "step": outcome.step,
                    "evaluated_step": outcome.checkpoint,
                    "seconds_since_resumed": time.monotonic() - started,
                },
            )
        path = report(settings.scoring, workdir, Console())
    print(f"\nReport: {path}")
    return 0


def main(argv: Sequence[str]) -> int:
    """Checks the command line, then runs."""
    if argv[1:]:
        raise config_lib.ConfigError(
            f"{argv[1]!r} is not a flag; write --config FILE --workdir DIR --config.key=value."
        )
    config, workdir = CONFIG.value, WORKDIR.value
    if not config or not workdir:
        raise config_lib.ConfigError(
            "--config and --workdir are needed; try: python -m fairjax.main "
            "--config configs/quickstart.py --workdir runs/quickstart"
        )
    if not isinstance(config, ConfigDict):  # the flag keeps the error of a missing file
        config = config_lib.load(config_flags.get_config_filename(flags.FLAGS["config"]))
    logging.set_verbosity(logging.INFO)
    # Orbax and JAX log dozens of lines a checkpoint; what goes wrong reaches us as an exception.
    ours = os.path.dirname(__file__)
    logging.get_absl_handler().addFilter(lambda record: record.pathname.startswith(ours))
    if "study" not in config:
        if ONLY.value:
            raise config_lib.ConfigError("--only is for studies; this config is a single run.")
        keep_freed_memory()
        return run(config, Path(workdir), join=join_processes)
    return _study(config, Path(workdir))


def _study(config: ConfigDict, workdir: Path) -> int:
    """All runs of a study and its table, or the one run of it that --only names."""
    from fairjax import study

    given = config_flags.get_override_values(flags.FLAGS["config"])
    runs = study.expand(config, workdir, overrides=given)
    if ONLY.value:
        chosen = study.chosen(runs, ONLY.value)
        keep_freed_memory()
        return run(chosen.config, chosen.folder, join=join_processes)
    if COORDINATOR.value or PROCESSES.value or DISTRIBUTED.value:
        raise config_lib.ConfigError(
            "a study is one process that starts its runs one by one; to train a run with several "
            f"processes, give each of them --only=NAME, such as --only={runs[0].name}."
        )
    return study.conduct(config.study, runs, workdir, Console())


def guarded(argv: Sequence[str]) -> int:
    """`main`, a user's mistake being one line and an exit code that `core.errors` lists."""
    try:
        return main(argv)
    except config_lib.ConfigError as error:
        report_error(error)
        return USAGE
    except (*USER_ERRORS, OSError) as error:
        report_error(error)
        return UNUSABLE
    except ModuleNotFoundError as error:
        message = missing_extra(error, "training")
        if not message:
            raise
        report_error(message)
        return UNUSABLE


def _number(flag: int | None, variable: str) -> int | None:
    return flag if flag is not None or variable not in os.environ else int(os.environ[variable])


def parse(argv: list[str]) -> list[str]:
    """Reads the flags; a wrong one gives a line instead of a traceback."""
    if "--version" in argv[1:]:
        print(f"fairjax {fairjax.__version__}")
        raise SystemExit(DONE)
    argv = _with_config_files(argv)
    try:
        return flags.FLAGS(argv)
    except (flags.Error, AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        report_error(_flag_message(error, argv))
        raise SystemExit(USAGE) from None
    except ModuleNotFoundError as error:  # a config file names what needs it
        message = missing_extra(error, "training")
        if not message:
            raise
        report_error(message)
        raise SystemExit(UNUSABLE) from None


def _with_config_files(argv: Sequence[str]) -> list[str]:
    """The command line, the name of a config that FairJAX ships being the path of its file."""
    words = list(argv)
    for place in range(1, len(words)):
        name, equals, value = words[place].partition("=")
        if name in ("--config", "-config") and equals:
            words[place] = f"{name}={config_lib.find_file(value)}"
        elif words[place - 1] in ("--config", "-config"):
            words[place] = config_lib.find_file(words[place])
    return words


def _flag_message(error: Exception, argv: Sequence[str]) -> str:
    """One line for what absl or ml_collections made of the command line."""
    joined = "\0".join(argv[1:])
    found = re.search(r"(?:^|\0)--?config[=\0]([^\0]*)", joined)
    if found:
        try:
            config = config_lib.load(found[1])
        except config_lib.ConfigError as better:
            return str(better)
        known = config_lib.keys(config)
        for path in re.findall(r"(?:^|\0)--?config\.([^=\0]+)", joined):
            if path not in known:
                return f"--config.{path} cannot be set; {config_lib.suggest_key(config, path)}"
        if isinstance(error, flags.IllegalFlagValueError):
            path, text = re.findall(r"(?:^|\0)--?config\.([^=\0]+)[=\0]([^\0]*)", joined)[-1]
            example = config_lib.leaf(config, path)
            return (
                f"--config.{path}={text!r} is not a valid {type(example).__name__}; "
                f"write for example --config.{path}={example}"
            )
    said = str(error).strip().splitlines() or [type(error).__name__]
    return said[0]


if __name__ == "__main__":
    app.run(guarded, flags_parser=parse)
