"""Runs a study: finished runs are not repeated, and a failed run does not stop the others."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from absl import logging
from rich.console import Console

from fairjax.config.study import Study
from fairjax.core.errors import ERROR_FILE
from fairjax.data.dataset import DataError
from fairjax.run.host import PARENT
from fairjax.run.workdir import WorkdirError, claim, in_use
from fairjax.study import power
from fairjax.study.control import make_control
from fairjax.study.runs import Run, settle, unusable_data
from fairjax.study.summary import save_study, summarise


def conduct(study: Study, runs: Sequence[Run], workdir: Path, console: Console) -> int:
    """Trains and evaluates the runs that are not finished, each in its own process; then the table.

    Each run is this same command line with `--only=NAME`: its memory and compiled programs end
    with it, and any run can be started elsewhere by hand. A run's output is kept in its
    folder's `run.log`.

    Args:
      study: Rows, columns and claims of the study.
      runs: Runs of the study, as `expand` returns them.
      workdir: The study's folder.
      console: Terminal for the tables.

    Returns:
      The exit status: 1 if a run failed, 128 + the signal if one stopped the study.

    Raises:
      WorkdirError: If the folder cannot be used, or holds runs of other configs.
    """
    line = [sys.executable, "-m", "fairjax.main", *sys.argv[1:]]
    with claim(workdir):
        settle(runs)
        save_study(workdir, study, shlex.join(line))
        for sentence in power.lines(power.forecast(study)):
            logging.info("%s", sentence)
        logging.info("Checking the data of all runs.")
        waiting = [run for run in runs if not run.done and not run.noise]
        if failed := unusable_data(waiting):
            path = summarise(workdir, console, failed=failed)
            name, why = next(iter(failed.items()))
            more = f" ({len(failed)} runs cannot be trained)" if len(failed) > 1 else ""
            raise DataError(f"{name}: {why} No run was started{more}; see {path}.")
        for number, run in enumerate(runs, 1):
            if run.done:
                continue
            progress = f"Run {number} of {len(runs)}: {run.row}, seed {run.seed}"
            if lacking := [name for name in run.needs if name in failed]:
                failed[run.name] = f"it needs {lacking[0]}, which failed"
                continue
            logging.info("%s.", progress)
            if run.noise:
                try:
                    make_control(run, study)
                except WorkdirError as error:
                    failed[run.name] = str(error)
                continue
            status, stopped_by, why = _run_apart(run, workdir)
            if stopped_by:
                print(
                    f"Stopped in run {number} of {len(runs)} ({run.name}); all is saved. "
                    "To resume:\n"
                    f"  {shlex.join(line)}"
                )
                return 128 + stopped_by
            if status < 0:
                failed[run.name] = f"signal {-status} ended it; was there enough memory?"
            elif status:
                failed[run.name] = why or f"exit status {status}; its messages stand above"
        path = summarise(workdir, console, failed=failed)
    trained = {run.name for run in runs if not run.noise}
    for name, why in failed.items():
        alone = f" Alone: {shlex.join([*line, f'--only={name}'])}" if name in trained else ""
        logging.error("%s failed: %s.%s", name, why.rstrip("."), alone)
    print(f"\nReport: {path}")
    return 1 if failed else 0


def _run_apart(run: Run, workdir: Path) -> tuple[int, int, str]:
    """Trains a run in a process of its own.

    Returns:
      The process's exit status; the signal that asked the study to stop, or 0; and the error that
      ended the run, or "".
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    reason = run.folder / "error.txt"
    reason.unlink(missing_ok=True)
    settings = {
        "JAX_COMPILATION_CACHE_DIR": str(workdir.absolute() / "compiled"),
        **os.environ,  # runs of a study share most of their programs
        PARENT: str(os.getpid()),
        ERROR_FILE: str(reason.absolute()),
    }
    received = 0
    if in_use(run.folder):
        logging.info("Waiting for %s, which another process has.", run.folder)
    while in_use(run.folder):  # what a killed study left is saving, and leaves
        time.sleep(1.0)
    with (
        (run.folder / "run.log").open("w", encoding="utf-8") as out,
        subprocess.Popen(
            [sys.executable, "-m", "fairjax.main", *sys.argv[1:], f"--only={run.name}"],
            stdout=out,
            env=settings,
            process_group=0,  # or Ctrl-C would reach it twice, and twice means at once
        ) as process,
    ):

        def pass_on(number: int, frame: FrameType | None) -> None:
            nonlocal received
            received = number
            process.send_signal(number)

        signals = [signal.SIGINT, signal.SIGTERM]
        signals += [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []
        handled = [n for n in signals if signal.getsignal(n) is not signal.SIG_IGN]  # as by nohup
        before = {n: signal.signal(n, pass_on) for n in handled}
        try:
            process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    why = reason.read_text(encoding="utf-8") if reason.exists() else ""
    return process.returncode, received, why
