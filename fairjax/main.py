"""The main door: `python -m fairjax.main --config FILE[:ARG] --workdir DIR [--config.KEY=VALUE]`.

Trains, evaluates and reports what the config describes. The same line again resumes a run that was
stopped; for a finished run it prints the verdict again. With --evaluate RUN nothing is trained: a
finished run is evaluated on the config's data and protocol.
"""

import contextlib
import os
import re
import signal
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from fairjax.run.host import (
    add_xla_flags,
    drop_tracebacks_of_writers,
    end_despite_threads,
    end_with_parent,
    how_to_resume,
    keep_compiled_programs,
    keep_freed_memory,
)


def leave_at_once(number: int, frame: FrameType | None) -> None:
    """Ends the process on a signal and says how to resume; training itself saves first."""
    for peers in PEERS:
        peers.leave(f"signal {number} ended it")
    cursor = "\x1b[?25h" if sys.stdout.isatty() else ""  # a live display hides it
    text = (
        f"\n{cursor}Stopped by signal {number}; all that was trained is saved. {how_to_resume()}\n"
    )
    first = not any(re.fullmatch(r"--?process=[1-9]\d*", word) for word in sys.argv)
    with contextlib.suppress(OSError):  # nobody may read any more
        os.write(1, text.encode() if first else b"")  # one of several processes speaks
    os._exit(128 + number)  # no exception: an import or a callback would swallow it


PEERS: list[Any] = []  # connections to the other processes, once there are any
if __name__ == "__main__":  # before the imports that take seconds
    for _signal in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(_signal) is not signal.SIG_IGN:  # as in a script's background
            signal.signal(_signal, leave_at_once)

from absl import app, flags, logging  # noqa: E402
from ml_collections import ConfigDict, config_flags  # noqa: E402
from rich.console import Console  # noqa: E402

os.environ.setdefault(
    "TF_ENABLE_ONEDNN_OPTS", "0"
)  # or TensorFlow greets on stderr; it only reads data

import fairjax  # noqa: E402
from fairjax import config as config_lib  # noqa: E402
from fairjax.config import command_line  # noqa: E402
from fairjax.core.errors import (  # noqa: E402
    DONE,
    UNUSABLE,
    USAGE,
    exit_code_of,
    print_anywhere,
    report_error,
)
from fairjax.run.build import build_run  # noqa: E402
from fairjax.run.join import JoinOptions, join_processes  # noqa: E402
from fairjax.run.score import report  # noqa: E402

if TYPE_CHECKING:
    from fairjax.run.settings import RunSettings

CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "The experiment: the name of a config that FairJAX ships, such as quickstart, or a Python file "
    "with a function get_config(arg). What follows a colon is its argument: quickstart:smoke, "
    "my_config.py:small,seed=3.",
)
WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "The run's folder, made if need be: checkpoints, logs, predictions, results.json, report.html.",
)
EVALUATE = flags.DEFINE_string(
    "evaluate",
    None,
    "Train nothing: evaluate this finished run, or file of public weights, on the data and "
    "protocol of --config. Results go to --workdir; by default to a folder in RUN-evaluations.",
)
TABLES = flags.DEFINE_bool("tables", False, "Print the protocol's tables before the verdict.")
ONLY = flags.DEFINE_string(
    "only", None, "Train only this run of a study, such as cosface-seed0; the others wait."
)
CHANGED_DATA = flags.DEFINE_string(
    "changed_data",
    None,
    "Resume although the data changed, for example after bad images were taken out. The refusal to "
    "resume prints the hash of the data to put here.",
)
PROFILE = flags.DEFINE_integer(
    "profile",
    0,
    "Write a trace of so many steps to the run's folder profile, for TensorBoard or Perfetto.",
    lower_bound=0,
)
COORDINATOR = flags.DEFINE_string("coordinator", None, "Address of process 0.")
PROCESSES = flags.DEFINE_integer("processes", None, "Number of processes of the run.")
PROCESS = flags.DEFINE_integer("process", None, "This process's number, from 0.")
DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "Let JAX find the other processes (Slurm, Open MPI, TPU pods)."
)
JOIN_TIMEOUT = flags.DEFINE_float(
    "join_timeout", 300.0, "Seconds to wait for the other processes at the start.", lower_bound=1.0
)
HEARTBEAT_TIMEOUT = flags.DEFINE_float(
    "heartbeat_timeout",
    100.0,
    "Seconds of silence after which another process counts as gone; one that was killed is "
    "noticed at once.",
    lower_bound=1.0,
)
WORDS: dict[str, float | str] = {}  # flags of settings that take numbers and words, by key
METAVARS = {
    "config": "FILE[:ARG]",
    "workdir": "DIR",
    "only": "RUN",
    "changed_data": "HASH",
    "profile": "STEPS",
    "coordinator": "HOST:PORT",
    "processes": "N",
    "process": "K",
    "join_timeout": "SECONDS",
    "heartbeat_timeout": "SECONDS",
}
HELP_FLAGS = {"-h", "-help", "--help", "-helpshort", "--helpshort", "-helpfull", "--helpfull"}

_HELP = """\
usage: python -m fairjax.main --config FILE[:ARG] --workdir DIR [--config.KEY=VALUE ...]

Trains the model that a config describes, evaluates it by group of people, and writes a report.
Type the same line again to resume a stopped run. Of a finished run it prints the verdict again.
A config may also be a study: many runs that fill one table.

examples:
  python -m fairjax.main --config quickstart:smoke --workdir runs/first   # seconds on a CPU
  python -m fairjax.main --config quickstart --workdir runs/seed1 --config.seed=1
  python -m fairjax.main --config studies/fpr_consistency:smoke --workdir runs/study

see also:
  fairjax config              the configs that FairJAX ships
  fairjax config quickstart   the arguments of one, and every key with its value and meaning
  fairjax plan --help         the memory that a run needs
  fairjax report --help       the numbers and the report of a run again, without training
"""
_EXIT_CODES = """
exit codes: 0 done; 1 the data, a file or the run's folder can't be used, or the loss is not finite,
and one line says why; 2 the command line or the config is wrong; 128 + N a signal N stopped it, and
the same line resumes it."""


def main(argv: Sequence[str]) -> int:
    """Checks the command line, then runs."""
    if argv[1:]:
        raise config_lib.ConfigError(
            f"{argv[1]!r} is not a flag; write --config FILE --workdir DIR --config.key=value."
        )
    config, workdir = CONFIG.value, WORKDIR.value
    if not config or not (workdir or EVALUATE.value):
        raise config_lib.ConfigError(
            "--config and --workdir are needed; try: python -m fairjax.main "
            "--config configs/quickstart.py --workdir runs/quickstart"
        )
    if not isinstance(config, ConfigDict):  # the flag keeps the error of a missing file
        config = config_lib.load(config_flags.get_config_filename(flags.FLAGS["config"]))
    with config.ignore_type():
        config.update_from_flattened_dict(WORDS)
    logging.set_verbosity(logging.INFO)
    # Orbax and JAX log dozens of lines a checkpoint; what goes wrong reaches us as an exception.
    ours = os.path.dirname(__file__)
    logging.get_absl_handler().addFilter(lambda record: record.pathname.startswith(ours))
    if EVALUATE.value:
        return _evaluate(config, Path(EVALUATE.value), Path(workdir) if workdir else None)
    workdir = str(workdir)
    if "study" not in config:
        if ONLY.value:
            raise config_lib.ConfigError("--only is for studies; this config is a single run.")
        keep_freed_memory()
        config_lib.validate(config)
        return _train(build_run(config), Path(workdir))
    return _study(config, Path(workdir))


def _evaluate(config: ConfigDict, source: Path, workdir: Path | None) -> int:
    """Evaluates a finished run, or public weights, without training; see `run.reevaluate`."""
    if "study" in config:
        raise config_lib.ConfigError("--evaluate takes the config of a single run, not a study.")
    if _join_options().several:
        raise config_lib.ConfigError("--evaluate runs in one process, on all of its devices.")
    config_lib.validate(config)
    keep_compiled_programs()
    from fairjax.run import reevaluate

    settings = reevaluate.evaluation_settings(config.to_dict(), source)
    folder = workdir or reevaluate.default_folder(settings, source)
    reevaluate.reevaluate(settings, source, folder)
    path = report(settings.scoring, folder, Console(), show_tables=TABLES.value)
    print(f"\nReport: {path}")
    return DONE


def _train(settings: "RunSettings", workdir: Path) -> int:
    """One run, as the flags besides --config ask for it."""
    keep_compiled_programs()
    add_xla_flags(settings.train.xla_flags)
    join_processes(settings.tree, _join_options(), on_meeting=PEERS.append)
    from fairjax.run.experiment import run_experiment

    return run_experiment(
        settings,
        workdir,
        changed_data=CHANGED_DATA.value or "",
        show_tables=TABLES.value,
        profile_steps=PROFILE.value,
    )


def _join_options() -> JoinOptions:
    return JoinOptions(
        coordinator=COORDINATOR.value,
        processes=PROCESSES.value,
        process=PROCESS.value,
        distributed=DISTRIBUTED.value,
        join_s=JOIN_TIMEOUT.value,
        heartbeat_s=HEARTBEAT_TIMEOUT.value,
    )


def _study(config: ConfigDict, workdir: Path) -> int:
    """All runs of a study and its table, or the one run of it that --only names."""
    from fairjax import study

    overrides = {**config_flags.get_override_values(flags.FLAGS["config"]), **WORDS}
    runs = study.expand(config, workdir, overrides=overrides)
    if ONLY.value:
        chosen = study.chosen(runs, ONLY.value)
        keep_freed_memory()
        return _train(build_run(chosen.tree), chosen.folder)
    if _join_options().several:
        raise config_lib.ConfigError(
            "a study is one process that starts its runs one by one; to train a run with several "
            f"processes, give each of them --only=NAME, such as --only={runs[0].name}."
        )
    return study.conduct(config.study, runs, workdir, Console())


def guarded(argv: Sequence[str]) -> int:
    """`main`, a user's mistake being one line and an exit code that `core.errors` lists."""
    end_with_parent()
    why = ""
    print_anywhere()
    try:
        return main(argv)
    except BaseException as error:
        code = exit_code_of(error, "training")
        if code is not None:
            why = str(error)
            return code
        why = repr(error)
        for peers in PEERS:
            peers.wait_for_news()
        raise
    finally:
        for peers in PEERS:
            peers.leave(why)


def usage() -> str:
    """What `--help` prints: how to call the command, examples, every flag, the exit codes."""
    ours = {flag.name: flag for flag in flags.FLAGS.get_key_flags_for_module(__name__)}
    run_flags = ("config", "workdir", "tables", "only", "changed_data")
    sections = [
        _HELP,
        "flags:",
        *(_flag_help(ours[name]) for name in run_flags),
        "  --config.KEY=VALUE\n      Change a key of the config; `fairjax config NAME` lists them.",
        "  --version\n      Print the version.",
        "\nflags for several processes (launch/README.md has examples):",
        *(_flag_help(flag) for name, flag in sorted(ours.items()) if name not in run_flags),
        _EXIT_CODES,
    ]
    return "\n".join(sections)


def _flag_help(flag: flags.Flag) -> str:
    """One flag: its name, what it takes, and its meaning in wrapped lines."""
    value = "" if flag.boolean else f" {METAVARS.get(flag.name, 'VALUE')}"
    default = "" if flag.default in (None, False) else f" (default: {flag.default})"
    lines = textwrap.wrap(f"{flag.help}{default}", 88)
    return "\n".join([f"  --{flag.name}{value}", *(f"      {line}" for line in lines)])


def _show(text: str) -> NoReturn:
    """Prints what was asked for instead of a run, and leaves."""
    try:
        print(text, flush=True)
    except OSError as error:
        report_error(error)
        raise SystemExit(UNUSABLE) from None
    raise SystemExit(DONE)


def parse(argv: list[str]) -> list[str]:
    """Reads the flags; a wrong one gives a line instead of a traceback."""
    if HELP_FLAGS & set(argv[1:]):
        _show(usage())
    if "--version" in argv[1:]:
        _show(f"fairjax {fairjax.__version__}")
    argv = command_line.with_config_files(argv)
    remaining, words = command_line.take_words(argv)
    WORDS.update(words)
    try:
        return flags.FLAGS(remaining)
    except (
        flags.Error,
        AttributeError,
        LookupError,
        OSError,
        SyntaxError,
        TypeError,
        ValueError,
    ) as error:
        report_error(command_line.explain(error, argv))
        raise SystemExit(USAGE) from None
    except ModuleNotFoundError as error:  # a config file names what needs it
        code = exit_code_of(error, "training")
        if code is None:
            raise
        raise SystemExit(code) from None


if __name__ == "__main__":
    drop_tracebacks_of_writers()
    try:
        app.run(guarded, flags_parser=parse)
    except BaseException as error:
        end_despite_threads(error)
        raise
