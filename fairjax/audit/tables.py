"""Tables on disk, read in batches: CSV, TSV, Parquet and JSON lines, all the same way.

A row is named by its number among the data rows, from 1; the header is no row.
"""

import difflib
import hashlib
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int
from pyarrow import csv, parquet
from pyarrow import json as arrow_json

_BLOCK = 1 << 24  # bytes of text parsed at a time
_ROWS = 1 << 18  # rows of a Parquet batch
_CONVERSION = re.compile(
    r"In CSV column #(\d+): Row #(\d+): .* to double: .*value '(.*)'", re.DOTALL
)


class InputError(ValueError):
    """A file or a choice that cannot be audited; the message says what, where and what to do."""


@dataclass(frozen=True)
class Batch:
    """Some rows of a table.

    Attributes:
      start: Number of the first row, from 1.
      columns: float64 arrays for numbers, Arrow strings for text; a missing text is "".
    """

    start: int
    columns: dict[str, Any]


class Names:
    """Numbers names as they come; `ordered` renumbers them so that the order plays no part."""

    def __init__(self) -> None:
        self.number: dict[str, int] = {}

    def encode(self, words: pa.Array) -> Int[np.ndarray, " rows"]:
        """The number of each name."""
        known = pc.dictionary_encode(words)
        numbers = [self.number.setdefault(w, len(self.number)) for w in known.dictionary.tolist()]
        return np.array(numbers, np.int32)[known.indices.to_numpy()]

    def __iter__(self) -> Iterator[str]:
        return iter(self.number)

    def __len__(self) -> int:
        return len(self.number)

    def ordered(self, order: Sequence[str] = ()) -> tuple[list[str], Int[np.ndarray, " names"]]:
        """The names in `order`, or sorted, and the new number of each old one."""
        names = list(order) or sorted(self.number)
        place = {name: k for k, name in enumerate(names)}
        return names, np.array([place[name] for name in self.number], np.int32)


def column_names(path: Path) -> list[str]:
    """The table's columns, in order.

    Raises:
      InputError: If it is no table of a kind known here, or has no column.
    """
    kind = _kind(path)
    try:
        if kind == "parquet":
            return list(parquet.read_schema(path).names)
        if kind == "json":
            return _json_columns(path)
        with _open_csv(path, [], []) as reader:
            return list(reader.schema.names)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


def read_batches(path: Path, *, text: Sequence[str], numbers: Sequence[str]) -> Iterator[Batch]:
    """The wanted columns, some rows at a time; at least one row in all.

    Args:
      path: A table; what its name ends in says which kind.
      text: Columns to read as text.
      numbers: Columns to read as finite numbers.

    Raises:
      InputError: If a column is missing or there twice, a number is text, missing, NaN or infinite,
        or the file is damaged; the message names the row.
    """
    check_columns(path, [*text, *numbers])
    start = 1
    try:
        for block in _blocks(path, list(dict.fromkeys(text)), list(dict.fromkeys(numbers))):
            columns = {name: _as_text(path, name, block.column(name)) for name in text}
            columns |= {n: _as_numbers(path, n, block.column(n), start) for n in numbers}
            yield Batch(start, columns)
            start += block.num_rows
    except (pa.ArrowException, OSError) as error:
        if _kind(path) == "json":
            _check_lines(path, numbers)
        raise _unreadable(path, error) from error
    if start == 1:
        raise InputError(f"{path} has no rows.")


def check_columns(path: Path, wanted: Sequence[str]) -> None:
    """Raises InputError unless the table has each wanted column exactly once."""
    names = column_names(path)
    for name in wanted:
        if (times := names.count(name)) > 1:
            raise InputError(f"{path} has {times} columns named {name!r}; rename all but one.")
        if not times:
            close = difflib.get_close_matches(name, names, 1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise InputError(f"{path} has no column {name!r}; it has {listed(names)}.{hint}")


def fingerprint(path: Path) -> str:
    """The SHA-256 of a file's bytes.

    Raises:
      InputError: If a text table has an odd number of double quotes: a quote left open swallows
        the rows behind it without a sound.
    """
    digest, quotes = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_BLOCK):
            digest.update(chunk)
            quotes += chunk.count(b'"')
    if quotes % 2 and _kind(path, strict=False) in ("csv", "tsv"):
        raise InputError(f'{path} has an odd number of double quotes ("): one is left open.')
    return f"sha256:{digest.hexdigest()}"


def listed(names: Sequence[str], *, most: int = 12) -> str:
    """Names for a message: quoted, and cut where there are many."""
    shown = ", ".join(map(repr, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown or "none"


def _kind(path: Path, *, strict: bool = True) -> str:
    kinds = {
        "csv": "csv",
        "tsv": "tsv",
        "tab": "tsv",
        "txt": "csv",
        "parquet": "parquet",
        "pq": "parquet",
        "jsonl": "json",
        "ndjson": "json",
    }
    ends = [end[1:].lower() for end in path.suffixes if end.lower() not in (".gz", ".bz2")]
    kind = kinds.get(ends[-1] if ends else "", "")
    if not strict:
        return kind
    if not kind:
        raise InputError(
            f"{path}: a table's name ends in .csv, .tsv, .parquet or .jsonl (text also in .gz)."
        )
    if not path.is_file():
        raise InputError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}.")
    return kind


def _blocks(path: Path, text: Sequence[str], numbers: Sequence[str]) -> Iterator[pa.RecordBatch]:
    kind = _kind(path)
    if kind == "parquet":
        with parquet.ParquetFile(path) as file:
            yield from file.iter_batches(_ROWS, columns=[*text, *numbers])
    elif kind == "json":
        yield from _read_json(path).select([*text, *numbers]).to_batches(_ROWS)
    else:
        with _open_csv(path, text, numbers) as reader:
            yield from reader


def _open_csv(path: Path, text: Sequence[str], numbers: Sequence[str]) -> csv.CSVStreamingReader:
    with pa.input_stream(str(path), compression="detect") as file:
        head = file.read(_BLOCK).split(b"\n", 1)[0]
    delimiter = "\t" if _kind(path) == "tsv" or b"\t" in head and b"," not in head else ","
    if delimiter == "," and b";" in head and b"," not in head:
        delimiter = ";"
    types = {**{name: pa.string() for name in text}, **{name: pa.float64() for name in numbers}}
    return csv.open_csv(
        pa.input_stream(str(path), compression="detect"),
        read_options=csv.ReadOptions(use_threads=False, block_size=_BLOCK),
        parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=[""],  # a group may well be called NA
            strings_can_be_null=False,
        ),
    )


def _read_json(path: Path) -> pa.Table:
    with pa.input_stream(str(path), compression="detect") as file:
        return arrow_json.read_json(file, arrow_json.ReadOptions(use_threads=False))


def _json_columns(path: Path) -> list[str]:
    """Columns of the first line; a key written twice in one object counts twice."""
    with pa.input_stream(str(path), compression="detect") as file:
        line = file.read(_BLOCK).split(b"\n", 1)[0]
    try:
        return [key for key, _ in json.loads(line, object_pairs_hook=list)]
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}, data row 1: expected a JSON object, one a line.") from error


def _as_text(path: Path, name: str, column: pa.Array) -> pa.Array:
    if pa.types.is_nested(column.type):
        raise InputError(f"{path}: column {name!r} holds {column.type}, not plain values.")
    return pc.fill_null(pc.cast(column, pa.string()), "")


def _as_numbers(path: Path, name: str, column: pa.Array, start: int) -> np.ndarray:
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        column = _parsed(path, name, column, start)
    numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    if (bad := ~np.isfinite(numbers)).any():
        row = int(np.argmax(bad))
        word = "missing" if not column[row].is_valid else f"{numbers[row]:g}".replace("nan", "NaN")
        raise InputError(f"{path}, data row {start + row}: {name} is {word}, not a finite number.")
    return numbers


def _parsed(path: Path, name: str, column: pa.Array, start: int) -> pa.Array:
    """Numbers that a Parquet or JSON table keeps as text."""
    words = _as_text(path, name, column)
    try:
        return words.cast(pa.float64())
    except pa.ArrowInvalid:
        for row, word in enumerate(words.to_pylist()):
            try:
                float(word)
            except ValueError:
                raise InputError(not_a_number(path, start + row, name, word)) from None
        raise


def not_a_number(path: Path, row: int, name: str, word: object) -> str:
    """What is said of text where a number should be."""
    return f"{path}, data row {row}: {name} is {word!r}, not a number."


def _check_lines(path: Path, numbers: Sequence[str]) -> None:
    """Finds the line that Arrow could not read as JSON of one type a column."""
    with pa.input_stream(str(path), compression="detect") as file:
        lines = filter(None, map(str.strip, io.TextIOWrapper(file, "utf-8", "replace")))
        for row, line in enumerate(lines, 1):
            try:
                found = dict(json.loads(line))
            except (ValueError, TypeError):
                raise InputError(f"{path}, data row {row}: not a JSON object.") from None
            for name in numbers:
                if not isinstance(word := found.get(name), int | float | None):
                    raise InputError(not_a_number(path, row, name, word))


def _unreadable(path: Path, error: Exception) -> InputError:
    """Arrow's complaint as one line, with rows counted as here: its row 1 is the header."""
    said = str(error).split("\n")[0]
    if hit := _CONVERSION.search(str(error)):
        column = column_names(path)[int(hit[1])]
        return InputError(not_a_number(path, int(hit[2]) - 1, column, hit[3]))
    said = re.sub(r"Row #(\d+)", lambda hit: f"data row {int(hit[1]) - 1}", said)
    if "UTF8" in said:
        said += "; save the file as UTF-8"
    return InputError(f"{path}: {said}.")
