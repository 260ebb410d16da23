"""Embeddings on disk or in memory: .npz, .npy and tables."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from pyarrow import parquet

from fairjax.audit.layout import IMAGES, SUBJECTS, People
from fairjax.audit.tables import (
    InMemory,
    InputError,
    Source,
    column_names,
    listed,
    read_batches,
    read_words,
)
from fairjax.core.comparisons import Pairs, check_variance
from fairjax.core.files import read_arrays
from fairjax.core.names import clean, clean_path, counted

MADE = "made"  # array of an .npz: how `fairjax embed` made it, as JSON
PAIR = "pairs."  # begins the names of the arrays that have one row a pair
_VECTORS = ("embedding", "embeddings", "feature", "features")
_VARIANCES = ("variance", "variances")
_LOG_VARIANCES = ("log_variance", "log_variances")
_NUMBERED = re.compile(r"(.*?)(\d+)")
_PREFIXES = ("", "e", "emb", "embedding", "f", "feat", "feature", "dim", "d", "x")
_FEW_DIMENSIONS = 8  # a series of another name with fewer columns is no embedding


@dataclass(frozen=True)
class Images:
    """One file of embeddings.

    Attributes:
      source: The file's name, for messages.
      ids: Name of each image; () where the file has none.
      embedding: One vector an image.
      people: What the file says of its images besides; None if nothing.
      pairs: Rows that a benchmark compares, where `fairjax embed` wrote them.
      made: How `fairjax embed` made them: model, preprocessing, flip; {} for other files.
      variance: A variance for each number of the embeddings; None where the file has none.
    """

    source: str
    ids: Sequence[str]
    embedding: Float[np.ndarray, "images dim"]
    people: People | None
    pairs: Pairs | None = None
    made: Mapping[str, Any] = field(default_factory=dict)
    variance: Float[np.ndarray, "images dim"] | None = None


def load_images(path: Source, *, prefix: str = "") -> Images:
    """Reads embeddings from .npz, .npy, or a table.

    An .npz holds `embedding` [images, dim], the images' names in `id` (or image, file ...), and may
    hold `subject`, groups of any other name, and `variances` or `log_variances` [images, dim]. A
    .npy holds the embeddings alone. A table has a column of lists `embedding`, or one column a
    dimension (e0, e1 ...), besides the same columns.

    Args:
      path: The file, or a table in memory.
      prefix: What the columns of dimensions begin with; "" finds the only gapless series.

    Raises:
      InputError: If there are no embeddings, they differ in width, or variances do not fit them.
    """
    if isinstance(path, InMemory) and path.vectors:
        columns = {**_words(path, path.table.column_names), **path.vectors}
    elif isinstance(path, Path) and path.suffix in (".npz", ".npy"):
        if not path.is_file():
            raise InputError(f"{path} does not exist.")
        columns = _arrays(path)
    else:
        columns = _table(path, prefix)
    made, pairs = _made(path, columns), _own_pairs(path, columns)
    spread = {name: columns.pop(name) for name in [*columns] if _is_spread(name, columns[name])}
    vectors = [name for name in columns if columns[name].ndim == 2]
    named = [name for name in vectors if name.lower() in _VECTORS] or vectors
    if len(named) != 1:
        raise InputError(
            f"{path} must hold one array of embeddings [images, dim], named 'embedding'; it has "
            f"{listed([f'{name} {columns[name].shape}' for name in columns])}."
        )
    embedding = columns.pop(named[0])
    if not np.issubdtype(embedding.dtype, np.floating):
        raise InputError(f"{path}: the embeddings are {embedding.dtype}, not floating point.")
    if embedding.dtype.itemsize < 4:  # squares of float16 overflow from 256 on
        embedding = embedding.astype(np.float32)
    wrong = ~np.isfinite(embedding).all(axis=1) | ~embedding.any(axis=1)
    if wrong.any():
        raise InputError(
            f"{path}: embedding {np.argmax(wrong) + 1} is all zeros, or has NaN or infinity "
            f"({counted(int(wrong.sum()), 'such embedding')})."
        )
    for name, column in columns.items():
        if column.shape != (len(embedding),):
            raise InputError(
                f"{path}: {name!r} has shape {column.shape}; expected ({len(embedding)},), one "
                "value an embedding."
            )
    words = {clean(n): [clean(_text(x)) for x in c.tolist()] for n, c in columns.items()}
    if pairs is not None and max(pairs.first.max(), pairs.second.max()) >= len(embedding):
        raise InputError(f"{path}: its pairs name images that are not there.")
    variance = _variance(path, spread, embedding)
    described = _described(path, embedding, words)
    return replace(described, variance=variance, pairs=pairs, made=made)


def read_made(path: Path) -> dict[str, Any]:
    """How `fairjax embed` made an .npz; {} for any other.

    Raises:
      InputError: If the file is damaged.
    """
    try:
        return _made(path, read_arrays(path, only=(MADE,)))
    except ValueError as error:
        raise InputError(str(error)) from error


def _is_spread(name: str, column: np.ndarray) -> bool:
    """Whether an array holds the variances of embeddings, or their logarithms."""
    return name.lower() in _VARIANCES + _LOG_VARIANCES and column.ndim == 2


def _text(value: Any) -> str:
    """A name as text; numpy keeps words of one byte a letter as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _variance(
    path: Source, spread: Mapping[str, np.ndarray], embedding: np.ndarray
) -> np.ndarray | None:
    """The variances of the embeddings; None where there are none.

    Raises:
      InputError: If there are several arrays of them, or they do not fit the embeddings.
    """
    if len(spread) > 1:
        raise InputError(f"{path} has {listed(list(spread))}; keep one.")
    for name, values in spread.items():
        with np.errstate(over="ignore", under="ignore"):
            values = values.astype(np.float64)
            values = np.exp(values) if name.lower() in _LOG_VARIANCES else values
        try:
            return check_variance(values, embedding)
        except ValueError as error:
            raise InputError(f"{path}, {name!r}: {error}") from error
    return None


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        arrays = read_arrays(path)
    except ValueError as error:
        raise InputError(str(error)) from error
    return {name or "embedding": array for name, array in arrays.items()}


def _made(path: Source, columns: dict[str, np.ndarray]) -> dict[str, Any]:
    """Takes out of the columns how the embeddings were made."""
    if MADE not in columns or columns[MADE].ndim:
        return {}
    try:
        made = json.loads(str(columns.pop(MADE)))
    except ValueError:
        raise InputError(f"{path}: {MADE!r} is no JSON; embed the images again.") from None
    return made if isinstance(made, dict) else {}


def _own_pairs(path: Source, columns: dict[str, np.ndarray]) -> Pairs | None:
    """Takes out of the columns the pairs of a benchmark."""
    arrays = {n.removeprefix(PAIR): columns.pop(n) for n in [*columns] if n.startswith(PAIR)}
    if not arrays:
        return None
    whole = set(arrays) == {f.name for f in fields(Pairs)}
    if not whole or len({x.shape for x in arrays.values()}) > 1 or not arrays["first"].size:
        raise InputError(f"{path}: its pairs are damaged; embed the images again.")
    if min(arrays["first"].min(), arrays["second"].min()) < 0:
        raise InputError(f"{path}: its pairs name images that are not there.")
    return Pairs(**arrays)


def _table(path: Source, prefix: str) -> dict[str, np.ndarray]:
    names = column_names(path)
    listing = [name for name in names if name.lower() in _VECTORS]
    if listing and isinstance(path, Path) and path.suffix in (".parquet", ".pq"):
        return _with_lists(path, names, listing[0])
    numbers = _dimensions(path, names, prefix)
    text = [name for name in names if name not in numbers]
    vectors: list[np.ndarray] = []
    words: dict[str, list[str]] = {name: [] for name in text}
    for batch in read_batches(path, text=text, numbers=numbers):
        if numbers:
            vectors.append(np.stack([batch.columns[name] for name in numbers], axis=1))
        for name in text:
            words[name] += batch.columns[name].to_pylist()
    arrays = {name: np.array(column) for name, column in words.items()}
    return arrays | ({"embedding": np.concatenate(vectors)} if vectors else {})


def _words(path: Source, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns of text."""
    return {name: np.array(column) for name, column in read_words(path, names).items()}


def _dimensions(path: Source, names: Sequence[str], prefix: str) -> list[str]:
    """The columns of dimensions in order: one gapless series e0, e1 ... or e1, e2 ...

    Raises:
      InputError: If there are several such series, or one with a gap.
    """
    series: dict[str, dict[int, str]] = {}
    for name in names:
        hit = _NUMBERED.fullmatch(name)
        if hit and series.setdefault(hit[1].lower(), {}).setdefault(int(hit[2]), name) != name:
            raise InputError(f"{path} has two columns {hit[1]}{int(hit[2])}; rename one.")
    if prefix:
        candidates = {
            start: columns for start, columns in series.items() if start == prefix.lower()
        }
    else:
        several = {start: columns for start, columns in series.items() if len(columns) > 1}
        candidates = {b: columns for b, columns in several.items() if b.rstrip("_-. ") in _PREFIXES}
        candidates = candidates or {
            b: columns for b, columns in several.items() if len(columns) >= _FEW_DIMENSIONS
        }
    if len(candidates) > 1:
        shown = "; ".join(listed(list(columns.values()), most=3) for columns in candidates.values())
        raise InputError(
            f"{path} has several series of numbered columns: {shown}. Say which one is the "
            "embedding with --embedding PREFIX, such as --embedding e."
        )
    if prefix and not candidates:
        raise InputError(
            f"{path} has no columns {prefix}0, {prefix}1 ... (--embedding {prefix}); it has "
            f"{listed(names)}."
        )
    for start, columns in candidates.items():
        if not _is_gapless(columns):
            missing = next(k for k in range(1, max(columns) + 1) if k not in columns)
            raise InputError(
                f"{path}: {listed(list(columns.values()), most=3)} are not the dimensions of an "
                f"embedding: {start}{missing} is missing."
            )
        return [columns[number] for number in sorted(columns)]
    return []


def _is_gapless(columns: Mapping[int, str]) -> bool:
    """Whether the numbers run from 0 or 1 without a gap."""
    return min(columns) in (0, 1) and max(columns) - min(columns) + 1 == len(columns)


def _with_lists(path: Path, names: Sequence[str], column: str) -> dict[str, np.ndarray]:
    text = [name for name in names if name != column]
    lists = parquet.read_table(path, columns=[column])[column].combine_chunks()
    width = np.diff(lists.offsets.to_numpy()) if hasattr(lists, "offsets") else None
    if lists.null_count:
        row = lists.is_valid().to_pylist().index(False)
        raise InputError(f"{path}, data row {row + 1}: {column} is missing.")
    if width is not None and (bad := width != width[0]).any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{path}, data row {row + 1}: the embedding has {width[row]} numbers, the first one "
            f"{width[0]} ({counted(int(bad.sum()), 'such row')})."
        )
    vectors = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(lists), -1)
    return {**_words(path, text), column: vectors}


def _described(path: Source, embedding: np.ndarray, columns: Mapping[str, list[str]]) -> Images:
    """Takes the columns for what their names say."""

    def only(customary: Sequence[str]) -> str | None:
        matches = [name for name in columns if name.lower().removesuffix("s") in customary]
        if len(matches) > 1:
            raise InputError(f"{path} has {listed(matches)}; keep one.")
        return matches[0] if matches else None

    which = only([*IMAGES, "name"]) or next(
        (n for n in columns if n.lower() in ("id", "ids")), None
    )
    who = only([name for name in SUBJECTS if name != "id"])
    ids = [clean_path(name) for name in columns[which]] if which else []
    if not ids:  # nobody knows whose groups and people they are
        return Images(str(path), ids, embedding, None)
    groups = {
        n: dict(zip(ids, c, strict=True)) for n, c in columns.items() if n not in (which, who)
    }
    subject = dict(zip(ids, columns[who], strict=True)) if who else {}
    people = People(str(path), "image", subject, groups) if groups or subject else None
    return Images(str(path), ids, embedding, people)
