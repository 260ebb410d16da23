"""What `fairjax embed` and `fairjax predict` leave behind."""

import csv
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from fairjax.core.comparisons import Pairs
from fairjax.core.files import read_arrays, whole_file, write_whole
from fairjax.serve.decode import UNREADABLE, reason_of
from fairjax.serve.model import Model, ModelError
from fairjax.serve.sources import Images
from fairjax.serve.stream import Outcome, plan_of, require_same_plan

MADE = "made"  # how an output was made, as JSON; `fairjax audit` reads it
TABLES = (".parquet", ".csv")


def made_of(model: Model, images: Images, outcome: Outcome) -> dict[str, Any]:
    """How an output was made, JSON-ready."""
    return {
        **plan_of(model, images),
        "n": len(outcome.rows),
        "resized": outcome.resized,
        "unreadable": len(outcome.unreadable),
    }


def is_complete(path: Path, model: Model, images: Images) -> bool:
    """Whether the output is there and of the same model and images.

    Raises:
      ModelError: If the file is of something else, which is not overwritten.
    """
    if not path.exists() or path.suffix == ".csv":  # a .csv does not say how it was made
        return False
    try:
        if path.suffix == ".npz":
            text = str(read_arrays(path, only=(MADE,))[MADE])
        else:
            text = parquet.read_schema(path).metadata[b"fairjax"].decode()
        before = json.loads(text)
    except (KeyError, OSError, TypeError, ValueError):
        raise ModelError(
            f"--out {path} is there and was not written by this command; choose another."
        ) from None
    require_same_plan(before, plan_of(model, images), where=path)
    return True


def write_embeddings(path: Path, model: Model, images: Images, outcome: Outcome) -> int:
    """Writes the .npz that `fairjax audit` reads.

    It holds "embedding" [images, dim], "id", and where known "subject", one array a group, and the
    benchmark's pairs.

    Returns:
      The number of pairs that were left out since an image of theirs is unreadable.

    Raises:
      ModelError: If no pair is left.
      OSError: If the file cannot be written.
    """
    columns = _known(images, outcome, taken=("id", "embedding", MADE))
    pairs, lost = _kept_pairs(images.pairs, outcome.rows, len(images))
    if pairs is not None:
        if not len(pairs):
            raise ModelError(f"{images.source}: no pair has two readable images.")
        for name in ("first", "second", "mated", "fold"):
            columns[f"pairs.{name}"] = getattr(pairs, name)
    columns["embedding"] = outcome.columns["embedding"]
    made = {**made_of(model, images, outcome), "pairs_left_out": lost}
    with whole_file(path) as file:
        np.savez(file, allow_pickle=False, **columns, **{MADE: np.array(json.dumps(made))})
    return lost


def write_predictions(path: Path, model: Model, images: Images, outcome: Outcome) -> None:
    """Writes one row an image: who and which groups, where known, and the predictions.

    Of a number there is `pred_<task>`, in its own unit. Of classes there is `pred_<task>`, the most
    probable one, and the probability of each as `prob_<task>_<class>`.

    Raises:
      ModelError: If the model predicts nothing.
      OSError: If the file cannot be written.
    """
    columns = _known(images, outcome, taken=("image",))
    columns = {"image": columns.pop("id"), **columns, **predicted(model, outcome.columns)}
    table = pa.table({name: pa.array(column) for name, column in columns.items()})
    with whole_file(path) as file:
        if path.suffix == ".csv":
            arrow_csv.write_csv(table, file)
        else:
            made = json.dumps(made_of(model, images, outcome))
            parquet.write_table(table.replace_schema_metadata({"fairjax": made}), file)


def predicted(model: Model, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A model's predictions as columns of a table.

    Raises:
      ModelError: If there are none.
    """
    table: dict[str, np.ndarray] = {}
    for name, column in columns.items():
        kind, _, task = name.partition("_")
        if kind == "pred":
            table[name] = column.reshape(len(column), -1)[:, 0]
        elif kind == "prob":
            values = class_names(model, task, column.shape[1])
            table[f"pred_{task}"] = np.array(values)[column.argmax(axis=1)]
            table |= {f"prob_{task}_{value}": column[:, k] for k, value in enumerate(values)}
    if not table:
        raise ModelError(f"{model.name} predicts no attribute; use fairjax embed.")
    return table


def class_names(model: Model, task: str, width: int) -> Sequence[str]:
    """The names of a task's classes; their numbers where they have no names, as bins."""
    values = model.targets.get(model.tasks.get(task, task), {}).get("values", ())
    return list(values) if len(values) == width else [str(k) for k in range(width)]


def write_unreadable(out: Path, unreadable: Sequence[tuple[str, str]]) -> Path:
    """Lists all images that could not be read, beside the output."""
    path = out.with_name(f"{out.stem}.unreadable.csv")
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["image", "reason"])
    rows.writerows(unreadable)
    write_whole(path, text.getvalue())
    return path


def write_crops(
    images: Images, folder: Path, *, progress: Callable[[int], None] = lambda done: None
) -> tuple[int, list[tuple[str, str]]]:
    """Writes each image as a PNG file of its name; those that are there already are kept.

    Returns:
      How many crops there are, and (name, reason) of the images without one.

    Raises:
      ModelError: If two images would have one name, or a name leaves the folder.
      OSError: If a file cannot be written.
    """
    taken: dict[Path, str] = {}
    for name in images.names.tolist():
        path = (folder / name).with_suffix(".png")
        if path in taken:
            raise ModelError(f"{taken[path]} and {name} would both be written to {path}.")
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ModelError(f"{name} would be written outside {folder}.")
        taken[path] = name

    def write(row: int, path: Path) -> str:
        if path.exists():
            return ""
        try:
            pixels = images.read(row)
        except ModelError:
            raise
        except UNREADABLE as error:
            return reason_of(error)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            Image.fromarray(pixels).save(file, "PNG")
        return ""

    folder.mkdir(parents=True, exist_ok=True)
    progress(0)
    reasons = []
    with ThreadPoolExecutor(min(32, os.cpu_count() or 1)) as pool:
        for reason in pool.map(write, range(len(images)), taken):
            reasons.append(reason)
            progress(len(reasons))
    lost = [(n, r) for n, r in zip(images.names.tolist(), reasons, strict=True) if r]
    return len(images) - len(lost), [*images.unreadable, *lost]


def _known(images: Images, outcome: Outcome, *, taken: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns of what is known of the readable images."""
    columns = {"id": images.names[outcome.rows]}
    if images.subject is not None:
        columns["subject"] = images.subject[outcome.rows]
    for name, group in images.groups.items():
        if name in (*columns, *taken):
            raise ModelError(f"{images.source}: a column of groups cannot be called {name!r}.")
        columns[name] = group[outcome.rows]
    return columns


def _kept_pairs(pairs: Pairs | None, rows: np.ndarray, images: int) -> tuple[Pairs | None, int]:
    """The pairs as rows of the readable images, and how many have lost an image."""
    if pairs is None:
        return None, 0
    new_row = np.full(images, -1, np.int64)
    new_row[rows] = np.arange(len(rows))
    first, second = new_row[pairs.first], new_row[pairs.second]
    kept = (first >= 0) & (second >= 0)
    moved = Pairs(first, second, pairs.mated, pairs.fold).take(kept)
    return moved, int((~kept).sum())
