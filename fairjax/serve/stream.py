"""A model over many images: decoding in parallel, in parts that a stopped command keeps."""

import json
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fairjax
from fairjax.core.files import read_arrays, read_json, whole_file, write_whole
from fairjax.core.names import counted
from fairjax.serve.decode import UNREADABLE, reason_of, resize
from fairjax.serve.model import Model, ModelError, fetched, padded
from fairjax.serve.sources import Images

PART = 1024  # images of a part, at least: what a stopped command loses
AHEAD = 3  # batches that are decoded ahead
PLAN = "plan.json"
# Keys of a plan by what the user would call them; in the order in which they are compared.
_PLANNED = {
    "model_hash": "model",
    "preprocessing": "preprocessing",
    "flip": "flip",
    "alignment": "alignment",
    "images_hash": "images",
}


@dataclass(frozen=True)
class Outcome:
    """What a model made of the images.

    Attributes:
      rows: int64 [readable]: rows of the images that could be read, in order.
      columns: One array a name of the model's outputs, a row each.
      unreadable: (name, reason) of all other images.
      resized: Number of images that had another size than the model's.
    """

    rows: np.ndarray
    columns: dict[str, np.ndarray]
    unreadable: list[tuple[str, str]]
    resized: int


def plan_of(model: Model, images: Images) -> dict[str, Any]:
    """What an output is made of, JSON-ready; equal plans give equal outputs."""
    return {
        "model": model.name,
        "model_kind": model.kind,
        "model_hash": model.hash,
        "checkpoint_step": model.step,
        "preprocessing": model.preprocessing.describe(),
        "flip": model.preprocessing.flip,
        "alignment": images.alignment,
        "images": images.source,
        "images_hash": images.stamp,
        "protocol": images.protocol,
        "fairjax": fairjax.__version__,
    }


def require_same_plan(before: Mapping[str, Any], now: Mapping[str, Any], *, where: Path) -> None:
    """Refuses to go on with what was begun otherwise.

    Raises:
      ModelError: Names what differs.
    """
    for key, what in _PLANNED.items():
        if before.get(key) != now[key]:
            raise ModelError(
                f"{where} was made with another {what} ({before.get(key)!r}, now {now[key]!r}); "
                "choose another --out, or delete it."
            )


def parts_folder(out: Path) -> Path:
    """Where the finished parts of an unfinished output are kept."""
    return out.with_name(out.name + ".parts")


def run_over(
    model: Model,
    images: Images,
    out: Path,
    *,
    batch_size: int,
    threads: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> Outcome:
    """Runs the model over all images; finished parts of a stopped command are taken as they are.

    Args:
      model: The model.
      images: The images.
      out: The file that the output is for; its parts lie beside it until `finish`.
      batch_size: Images that are computed at a time.
      threads: Threads that decode; 0 is one for each processor.
      progress: Called with the number of images that are done.

    Raises:
      ModelError: If the parts there are of something else, an output is not finite, or no image can
        be read.
      OSError: If a part cannot be written.
    """
    folder, plan = parts_folder(out), plan_of(model, images)
    if (folder / PLAN).exists() and any(folder.glob("*.npz")):
        require_same_plan(read_json(folder / PLAN), plan, where=folder)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / PLAN, json.dumps(plan, indent=1))
    rows = model.rows(min(batch_size, max(1, len(images))))
    size = rows * -(-PART // rows)
    starts = range(0, len(images), size)
    missing = [start for start in starts if not _part(folder, start, size).exists()]
    done = len(images) - sum(min(size, len(images) - start) for start in missing)
    progress(done)
    with ThreadPoolExecutor(threads or min(32, os.cpu_count() or 1)) as pool:
        batches = _decoded(model, images, pool, missing, size, rows)
        for start in missing:
            stop = min(start + size, len(images))
            part = _compute_part(model, images, batches, -(-(stop - start) // rows), rows, progress)
            with whole_file(_part(folder, start, size)) as file:
                np.savez(file, allow_pickle=False, **part)
    return _joined(model, images, [_part(folder, start, size) for start in starts])


def finish(out: Path) -> None:
    """Removes the parts, once the output stands in its file."""
    shutil.rmtree(parts_folder(out), ignore_errors=True)


def _part(folder: Path, start: int, size: int) -> Path:
    return folder / f"{start:09d}-{size}.npz"


def _decoded(
    model: Model,
    images: Images,
    pool: ThreadPoolExecutor,
    missing: Sequence[int],
    size: int,
    rows: int,
) -> Iterator[tuple[np.ndarray, list[Any]]]:
    """Rows of each batch of the missing parts and their pixels, decoded some batches ahead."""
    prepare = _preparer(model, images)
    waiting: deque[tuple[np.ndarray, list[Future]]] = deque()
    for start in missing:
        stop = min(start + size, len(images))
        for first in range(start, stop, rows):
            batch = np.arange(first, min(first + rows, stop))
            waiting.append((batch, [pool.submit(prepare, row) for row in batch.tolist()]))
            if len(waiting) > AHEAD:
                numbers, futures = waiting.popleft()
                yield numbers, [future.result() for future in futures]
    for numbers, futures in waiting:
        yield numbers, [future.result() for future in futures]


def _preparer(model: Model, images: Images) -> Callable[[int], Any]:
    """Row -> pixels of the model's size and whether they were resized; or the reason why not."""
    wanted = model.preprocessing
    height, width = wanted.height, wanted.width

    def prepare(row: int) -> tuple[np.ndarray, bool] | str:
        try:
            pixels = images.read(row)
        except ModelError:  # a detector's, say; it is not about this image alone
            raise
        except UNREADABLE as error:
            return reason_of(error)
        if pixels.shape[:2] == (height, width):
            return pixels, False
        if not wanted.resizes:
            raise ModelError(
                f"{images.names[row]} is {pixels.shape[0]} x {pixels.shape[1]} and {model.name} "
                f"takes {height} x {width}; align the images by their --landmarks, or --resize "
                "crops of another size."
            )
        return resize(pixels, height=height, width=width), True

    return prepare


def _compute_part(
    model: Model,
    images: Images,
    batches: Iterator[tuple[np.ndarray, list[Any]]],
    count: int,
    rows: int,
    progress: Callable[[int], None],
) -> dict[str, np.ndarray]:
    """The next `count` batches as the arrays of a part's file."""
    columns: list[dict[str, np.ndarray]] = []
    numbers, reasons, wrong, resized = [], [], [], 0
    pending: tuple[Mapping[str, Any], int, int] | None = None

    def collect() -> None:
        if pending is not None:
            columns.append(fetched(*pending[:2]))
            progress(pending[2])

    for _ in range(count):
        batch, decoded = next(batches)
        readable = [k for k, image in enumerate(decoded) if not isinstance(image, str)]
        wrong += [int(batch[k]) for k, image in enumerate(decoded) if isinstance(image, str)]
        reasons += [image for image in decoded if isinstance(image, str)]
        resized += sum(decoded[k][1] for k in readable)
        numbers += batch[readable].tolist()
        done = int(batch[-1]) + 1
        if not readable:
            continue
        pixels = np.stack([decoded[k][0] for k in readable])
        started = model.start(padded(pixels, rows))
        collect()  # the device works on this batch while the host looks at the last one
        pending = started, len(readable), done
    collect()
    joined = {
        name: np.concatenate([column[name] for column in columns])
        if columns
        else np.zeros((0, *shape), np.float32)
        for name, shape in model.outputs.items()
    }
    for name, column in joined.items():
        bad = np.atleast_1d(~np.isfinite(column).all(axis=tuple(range(1, column.ndim))))
        if bad.any():
            raise ModelError(
                f"{model.name}: {name} is not finite for {images.names[numbers[np.argmax(bad)]]} "
                f"({bad.sum():,} of {counted(len(bad), 'image')})."
            )
    return {
        "rows": np.array(numbers, np.int64),
        "unreadable": np.array(wrong, np.int64),
        "reasons": np.array(reasons, np.str_),
        "resized": np.array(resized),
        **{f"out.{name}": column for name, column in joined.items()},
    }


def _joined(model: Model, images: Images, paths: Sequence[Path]) -> Outcome:
    """All parts together.

    Raises:
      ModelError: If a part is damaged, or no image could be read.
    """
    parts = []
    for path in paths:
        try:
            parts.append(read_arrays(path))
        except (OSError, ValueError) as error:
            raise ModelError(f"{path} is damaged ({error}); delete it and start again.") from error
    unreadable = list(images.unreadable)
    for part in parts:
        named = images.names[part["unreadable"]].tolist()
        unreadable += zip(named, part["reasons"].tolist(), strict=True)
    rows = np.concatenate([part["rows"] for part in parts])
    if not len(rows):
        for path in paths:  # or they would refuse the flag that the reason may advise
            path.unlink()
        name, reason = unreadable[0]
        raise ModelError(
            f"{images.source}: none of the {len(images):,} images can be read; the first, {name}: "
            f"{reason}."
        )
    return Outcome(
        rows,
        {name: np.concatenate([part[f"out.{name}"] for part in parts]) for name in model.outputs},
        unreadable,
        sum(int(part["resized"]) for part in parts),
    )


class Progress:
    """Lines on a stream: images done, images a second, seconds left.

    Args:
      total: Number of images.
      write: Takes a line.
      every: Seconds between two lines.
    """

    def __init__(self, total: int, write: Callable[[str], None], *, every: float = 10.0) -> None:
        self._total, self._write, self._every = total, write, every
        self._first: int | None = None
        self._started = self._spoken = time.monotonic()

    def __call__(self, done: int) -> None:
        """Takes the number of images that are done; speaks when it is time."""
        now = time.monotonic()
        if self._first is None:
            self._first = done
            if 0 < done < self._total:
                self._write(f"Resuming: {done:,} of {self._total:,} images are done.")
            return
        if now - self._spoken < self._every or done == self._first:
            return
        self._spoken = now
        speed = (done - self._first) / (now - self._started)
        left = (self._total - done) / speed
        self._write(
            f"{done:,} of {self._total:,} images, {speed:,.0f} a second, {_clock(left)} left"
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
