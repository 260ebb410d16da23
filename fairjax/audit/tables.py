"""Tables read in batches, all the same way: CSV, TSV, Parquet, JSON lines, .xlsx, and in memory.

A row is named by its number among the data rows, from 1; the header is no row. Text goes through
the one door for names (`core.names`). Rows at the end in which all wanted columns are empty, which
spreadsheets leave behind, are passed over.
"""

import difflib
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from fairjax.audit import table_files
from fairjax.audit.dialects import find_dialect, open_text
from fairjax.audit.sources import InMemory, InputError, NotANumberError, Source, listed
from fairjax.core.names import clean, is_unknown

_CONVERSION = re.compile(
    r"In CSV column #(\d+): Row #(\d+): .* to double: .*value '(.*)'", re.DOTALL
)


@dataclass(frozen=True)
class Batch:
    """Some rows of a table.

    Attributes:
      start: Number of the first row, from 1.
      columns: float64 arrays for numbers, Arrow strings for text; a missing text is "". Text is in
        Unicode's composed form, without outer blanks.
    """

    start: int
    columns: dict[str, Any]


class Names:
    """Numbers names as they come; `ordered` renumbers them so that the order plays no part.

    Args:
      convert: What every name becomes first, such as a path with forward slashes.
    """

    def __init__(self, convert: Callable[[str], str] = str) -> None:
        self.number: dict[str, int] = {}
        self._convert = convert

    def encode(self, words: pa.Array) -> Int[np.ndarray, " rows"]:
        """The number of each name."""
        known = pc.dictionary_encode(words)
        names = map(self._convert, known.dictionary.tolist())
        numbers = [self.number.setdefault(name, len(self.number)) for name in names]
        return np.array(numbers, np.int32)[known.indices.to_numpy()]

    def __iter__(self) -> Iterator[str]:
        return iter(self.number)

    def __len__(self) -> int:
        return len(self.number)

    def ordered(self, order: Sequence[str] = ()) -> tuple[list[str], Int[np.ndarray, " names"]]:
        """The names in `order`, or sorted, and the new number of each old one."""
        names = list(order) or sorted(self.number)
        index = {name: k for k, name in enumerate(names)}
        return names, np.array([index[name] for name in self.number], np.int32)


def column_names(path: Source) -> list[str]:
    """The table's columns, in order, without outer blanks.

    Raises:
      InputError: If it is no table of a kind known here, or has no column.
    """
    try:
        return [clean(name) for name in table_files.written_names(path)]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def read_batches(
    path: Source,
    *,
    text: Sequence[str],
    numbers: Sequence[str],
    blanks: bool = False,
    missing: Sequence[str] = (),
) -> Iterator[Batch]:
    """The wanted columns, some rows at a time; at least one row in all.

    Args:
      path: A table; what its name ends in says which kind.
      text: Columns to read as text.
      numbers: Columns to read as finite numbers.
      blanks: Whether numbers may be missing, or NaN; they are NaN in the batch.
      missing: With `blanks`, words that stand for a missing number; not in JSON lines, which hold
        numbers or text.

    Raises:
      NotANumberError: If a number is text.
      InputError: If a column is missing or there twice, a number is missing, NaN or infinite,
        or the file is damaged; the message names the row.
    """
    check_columns(path, [*text, *numbers])
    text, numbers = list(dict.fromkeys(text)), list(dict.fromkeys(numbers))
    start, kept = 1, 0
    try:
        for block in table_files.blocks_of(path, text, numbers, blanks, missing):
            filled = _last_filled(block)
            if not filled:
                start += block.num_rows
                continue
            if start > kept + 1:
                raise InputError(f"{path}, data row {kept + 1}: all columns are empty.")
            rows = block.slice(0, filled)
            columns = {name: _as_text(path, name, rows.column(name)) for name in text}
            columns |= {
                n: _as_numbers(path, n, rows.column(n), start, blanks, missing) for n in numbers
            }
            yield Batch(start, columns)
            kept = start + filled - 1
            start += block.num_rows
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(path, Path) and table_files.kind_of(path) == "json":
            _check_lines(path, numbers)
        raise _unreadable(path, error) from error
    if not kept:
        raise InputError(f"{path} has no rows.")


def read_columns(path: Path) -> dict[str, pa.Array]:
    """All columns of a table as text, in their order; decimal commas become points.

    Raises:
      InputError: If a column is there twice, or the file is damaged.
    """
    names = column_names(path)
    batches = [batch.columns for batch in read_batches(path, text=names, numbers=())]
    columns = {name: pa.concat_arrays([batch[name] for batch in batches]) for name in names}
    if table_files.has_decimal_commas(path, names):
        columns = {name: _with_points(column) for name, column in columns.items()}
    return columns


def with_points(path: Source, columns: Sequence[str], words: Sequence[str]) -> list[str]:
    """Words of columns of numbers, with points where the table has decimal commas.

    Args:
      path: The table.
      columns: Columns that hold the words.
      words: Words of these columns; they come back as they are unless all that say something are
        numbers.
    """
    if not isinstance(path, Path) or not table_files.has_decimal_commas(path, columns):
        return list(words)
    known = pa.array(["" if is_unknown(word) else word for word in words], pa.string())
    numbers = _with_points(known)
    return [word or old for word, old in zip(numbers.to_pylist(), words, strict=True)]


def _with_points(column: pa.Array) -> pa.Array:
    """A column of numbers with decimal commas as one with points; any other as it is."""
    numbers = pc.match_substring_regex(column, r"^\s*([-+]?\d*,?\d+([eE][-+]?\d+)?\s*)?$")
    return pc.replace_substring(column, ",", ".") if pc.all(numbers).as_py() else column


def read_words(path: Source, names: Sequence[str]) -> dict[str, list[str]]:
    """Some columns of a table as words; a missing word is "".

    Raises:
      InputError: If a column is missing or there twice, or the file is damaged.
    """
    words: dict[str, list[str]] = {name: [] for name in names}
    for batch in read_batches(path, text=names, numbers=()) if names else ():
        for name in names:
            words[name] += batch.columns[name].to_pylist()
    return words


def _last_filled(block: pa.RecordBatch) -> int:
    """How many rows there are up to the last one with anything in it."""
    if not block.num_columns:
        return block.num_rows
    filled = np.zeros(block.num_rows, bool)
    for column in block.columns:
        there = column.is_valid()
        if pa.types.is_string(column.type):
            there = pc.and_(there, pc.greater(pc.utf8_length(pc.fill_null(column, "")), 0))
        filled |= there.to_numpy(zero_copy_only=False)
        if filled[-1]:
            return block.num_rows
    return int(np.flatnonzero(filled)[-1]) + 1 if filled.any() else 0


def check_columns(path: Source, wanted: Sequence[str]) -> None:
    """Raises InputError unless the table has each wanted column exactly once."""
    names = column_names(path)
    for name in wanted:
        if (times := names.count(name)) > 1:
            raise InputError(f"{path} has {times} columns named {name!r}; rename all but one.")
        if not times:
            close = difflib.get_close_matches(name, names, 1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise InputError(f"{path} has no column {name!r}; it has {listed(names)}.{hint}")


def size(path: Source) -> int:
    """Bytes of a file, or of a table in memory."""
    if isinstance(path, InMemory):
        return path.table.nbytes + sum(vector.nbytes for vector in path.vectors.values())
    return path.stat().st_size


def fingerprint(path: Source) -> str:
    """The SHA-256 of a file's bytes, or of the Arrow stream of a table in memory.

    Raises:
      InputError: If a text table has an odd number of double quotes: a quote left open swallows
        the rows behind it without a sound.
    """
    digest = hashlib.sha256()
    if isinstance(path, InMemory):
        return _memory_fingerprint(path)
    with path.open("rb") as file:
        while chunk := file.read(table_files.BLOCK):
            digest.update(chunk)
    if table_files.kind_of(path, strict=False) in ("csv", "tsv"):
        _refuse_open_quote(path)
    return f"sha256:{digest.hexdigest()}"


def _memory_fingerprint(source: InMemory) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, source.table.schema) as stream:
        stream.write_table(source.table.combine_chunks())
    digest = hashlib.sha256(sink.getvalue())
    for name in sorted(source.vectors):
        digest.update(source.vectors[name].tobytes())
    return f"sha256:{digest.hexdigest()}"


def _refuse_open_quote(path: Path) -> None:
    """Counts the quotes in the text, behind compression and encoding."""
    quotes = 0
    try:
        with open_text(path, find_dialect(path, tabs=False)) as text:
            while chunk := text.read(table_files.BLOCK):
                quotes += chunk.count(b'"')
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    if quotes % 2:
        raise InputError(f'{path} has an odd number of double quotes ("): one is left open.')


def _as_text(path: Source, name: str, column: pa.Array) -> pa.Array:
    if pa.types.is_nested(column.type):
        raise InputError(f"{path}: column {name!r} holds {column.type}, not plain values.")
    if pa.types.is_floating(column.type):  # a column of whole numbers with a gap in it
        column = _without_point(column)
    words = pc.fill_null(pc.cast(column, pa.string()), "")
    words = words.dictionary_encode() if len(words) else words
    if pa.types.is_string(words.type):
        return words
    names = pa.array([clean(word) for word in words.dictionary.to_pylist()], pa.string())
    return names.take(words.indices)


def _without_point(column: pa.Array) -> pa.Array:
    """Whole numbers as integers, so that 7.0 on one side is the 7 of the other."""
    numbers = column.to_numpy(zero_copy_only=False)
    known = numbers[~np.isnan(numbers)]
    if len(known) and (known == np.floor(known)).all() and (np.abs(known) < 2**53).all():
        whole = np.where(np.isnan(numbers), 0, numbers).astype(np.int64)
        return pa.array(whole, pa.int64(), mask=np.isnan(numbers))
    return column


def _as_numbers(
    path: Source, name: str, column: pa.Array, start: int, blanks: bool, missing: Sequence[str]
) -> np.ndarray:
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        column = _parsed(path, name, column, start, missing)
    if pa.types.is_float32(column.type):  # the decimals that stand for it: 0.7, not 0.69999999
        column = column.cast(pa.string())
    numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    bad = np.isinf(numbers) if blanks else ~np.isfinite(numbers)
    if bad.any():
        row = int(np.argmax(bad))
        word = "missing" if not column[row].is_valid else f"{numbers[row]:g}".replace("nan", "NaN")
        message = f"{path}, data row {start + row}: {name} is {word}, not a finite number."
        if word in ("missing", "NaN"):
            raise NotANumberError(message, "")
        raise InputError(message)
    return numbers


def _parsed(
    path: Source, name: str, column: pa.Array, start: int, missing: Sequence[str]
) -> pa.Array:
    """Numbers that a Parquet or JSON table keeps as text."""
    words = _as_text(path, name, column)
    words = pc.if_else(
        pc.is_in(words, pa.array(["", *missing])), pa.scalar(None, pa.string()), words
    )
    try:
        return words.cast(pa.float64())
    except pa.ArrowInvalid:
        for row, word in enumerate(words.to_pylist()):
            try:
                float(word or "nan")
            except ValueError:
                message = not_a_number(path, start + row, name, word)
                raise NotANumberError(message, word) from None
        raise


def not_a_number(path: Source, row: int, name: str, word: object) -> str:
    """What is said of text where a number should be, with the reason where it is known."""
    message = f"{path}, data row {row}: {name} is {word!r}, not a number"
    text = str(word).strip()
    if text.endswith("%"):
        return f"{message}; write it without the percent sign, everywhere."
    if re.fullmatch(r"[-+]?\d{1,3}([,'\u2019 ]\d{3})+\.\d+", text):
        return f"{message}; write it without marks between thousands, everywhere."
    if re.fullmatch(r'"[^"]*"', text):
        return f"{message}; its quotes come after a blank: take the blanks beside delimiters out."
    if re.fullmatch(r"[-+]?[\d.]*,\d+", text):
        return (
            f"{message}; decimal commas are read where ; or a tab stands between fields and no "
            "number has a point."
        )
    return f"{message}."


def _check_lines(path: Path, numbers: Sequence[str]) -> None:
    """Finds the line that Arrow could not read as JSON of one type a column."""
    with pa.input_stream(str(path), compression="detect") as file:
        lines = filter(None, map(str.strip, io.TextIOWrapper(file, "utf-8", "replace")))
        for row, line in enumerate(lines, 1):
            try:
                fields = dict(json.loads(line))
            except (ValueError, TypeError):
                raise InputError(f"{path}, data row {row}: not a JSON object.") from None
            for name in numbers:
                if not isinstance(word := fields.get(name), int | float | None):
                    raise InputError(not_a_number(path, row, name, word))


def _unreadable(path: Source, error: Exception) -> InputError:
    """Arrow's complaint as one line, with rows counted as here: its row 1 is the header."""
    message = str(error).split("\n")[0]
    before = 1
    if (
        isinstance(path, Path)
        and table_files.kind_of(path, strict=False) in ("csv", "tsv")
        and "Row #" in message
    ):
        before += table_files.dialect_of(path, []).skipped
    if hit := _CONVERSION.search(str(error)):
        column = column_names(path)[int(hit[1])]
        message = not_a_number(path, int(hit[2]) - before, column, hit[3])
        return NotANumberError(message, hit[3])
    if "straddling object" in message:
        longest = f"{table_files.BLOCK >> 20} MiB"
        message = (
            f"a row is longer than {longest}; is a double quote left open, or a line break missing"
        )
    if "Expected 1 columns" in message:
        message = f"the header has one field; is the first line a title? Take it out ({message})"
    message = re.sub(r"Row #(\d+)", lambda hit: f"data row {int(hit[1]) - before}", message)
    if isinstance(error, UnicodeDecodeError):
        message = "its text is not UTF-8"
    if "UTF8" in message or isinstance(error, UnicodeDecodeError):
        message += "; save the file as UTF-8"
    return InputError(f"{path}: {message}.")
