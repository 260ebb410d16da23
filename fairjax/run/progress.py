"""What a run says while it trains: a live line in a terminal, plain lines elsewhere, and files."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from absl import logging
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from fairjax.core.files import naming, write_whole
from fairjax.run.track import Tracker, open_trackers


class RunLog:
    """Writes scalars to `metrics.jsonl` and the trackers, and shows them.

    Args:
      workdir: The run's folder.
      total_steps: Where training ends.
      start_step: Where this process goes on; later lines of an interrupted run are dropped.
      track: Names of trackers that record the numbers, too.
      writes: Whether this process writes and shows (process 0).
      config: The resolved config, for the trackers.
    """

    def __init__(
        self,
        workdir: Path,
        *,
        total_steps: int,
        start_step: int,
        track: Sequence[str],
        writes: bool,
        config: Mapping[str, Any] | None = None,
    ):
        self._file: IO[str] | None = None
        self._trackers: list[Tracker] = []
        self._progress: Progress | None = None
        self._total = total_steps
        self._started, self._start_step = time.monotonic(), start_step
        if not writes:
            return
        self._path = path = workdir / "metrics.jsonl"
        kept = [line for line in read_metrics(path) if line["step"] <= start_step]
        write_whole(path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = path.open("a", encoding="utf-8")
        self._trackers = open_trackers(
            track, workdir=workdir, config=config or {}, start_step=start_step
        )
        if sys.stderr.isatty():
            self._progress = live_display(Console(stderr=True))
            self._task = self._progress.add_task(
                "training", total=total_steps, completed=start_step, speed="", loss=""
            )
            self._progress.start()
            # Rich now stands in for stderr; log lines must go through it, or they cut the bar.
            logging.get_absl_handler().python_handler.setStream(sys.stderr)

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress:
            self._progress.stop()
            logging.get_absl_handler().python_handler.setStream(sys.stderr)
        for tracker in self._trackers:
            tracker.close()
        if self._file:
            self._file.close()

    def advance(self, step: int) -> None:
        """Moves the live bar; costs nothing elsewhere."""
        if self._progress:
            self._progress.update(self._task, completed=step)

    def groups(self, step: int, values: Mapping[str, float]) -> None:
        """Records how groups differ, in the trackers alone.

        Args:
          step: Steps taken so far.
          values: Values of each group, of worst groups and gaps, by name.
        """
        self._track(step, "groups", values)

    def scalars(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Records named numbers at a step.

        Args:
          step: Steps taken so far.
          kind: "train" or "validation"; prefixes the names in the trackers.
          values: Metric keys carry their units: `images_per_second`.
        """
        if self._file is None:
            return
        with naming(self._path):
            self._file.write(json.dumps({"step": step, "kind": kind, **values}) + "\n")
            self._file.flush()
        self._track(step, kind, values)
        text = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        if self._progress:
            if kind == "train":
                self._progress.update(self._task, **live_fields(values))
            else:
                self._progress.console.print(f"step {step}  {kind}  {text}")
            return
        done, elapsed = step - self._start_step, time.monotonic() - self._started
        left = elapsed / done * (self._total - step) if done else 0.0
        logging.info("step %d/%d  %s  %s  left %s", step, self._total, kind, text, _clock(left))

    def _track(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        named = {f"{kind}/{name}": value for name, value in values.items()}
        for tracker in self._trackers:
            tracker.scalars(step, named)


def live_display(console: Console) -> Progress:
    """The live line: what runs, a bar, steps of all, time left, images a second, loss.

    It fits 80 columns up to ten million steps and a hundred thousand images a second.

    Args:
      console: The terminal.
    """
    one_line = Column(no_wrap=True)
    return Progress(
        TextColumn("{task.description}", table_column=one_line),
        BarColumn(bar_width=14),
        MofNCompleteColumn(table_column=one_line),
        TimeRemainingColumn(compact=True, table_column=one_line),
        TextColumn("{task.fields[speed]}", table_column=one_line),
        TextColumn("{task.fields[loss]}", table_column=one_line),
        console=console,
        transient=True,
    )


def live_fields(values: Mapping[str, float]) -> dict[str, Any]:
    """What the live line shows of a training step's scalars."""
    speed, loss = values.get("images_per_second"), values.get("loss")
    return {
        "speed": "" if speed is None else f"{speed:,.0f} images/s",
        "loss": "" if loss is None else f"loss {loss:.3g}",
    }


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`; those that are damaged or cut short are left out.

    Args:
      path: The file; a missing one has no lines.
    """
    if not path.exists():
        return []
    texts = path.read_bytes().splitlines()
    lines = [line for line in map(_metrics_line, texts) if line is not None]
    if len(lines) < len(texts):
        logging.warning(
            "%s: %d damaged lines of %d were left out.", path, len(texts) - len(lines), len(texts)
        )
    return lines


def _metrics_line(text: bytes) -> dict[str, Any] | None:
    """A step, "train" or "validation", and numbers; None for anything else."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or type(line.get("step")) is not int:
        return None
    numbers = [value for name, value in line.items() if name != "kind"]
    is_whole = isinstance(line.get("kind"), str) and all(
        isinstance(number, int | float) for number in numbers
    )
    return line if is_whole else None


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
