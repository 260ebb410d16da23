"""How a text table was written: encoding, delimiter, a `sep=` line, decimal commas.

Spreadsheets write CSV in the ways of their country. What is unambiguous is read; the reader's
messages name the reason for the rest.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

HEAD = 1 << 20  # bytes that tell the dialect
_DELIMITERS = (",", ";", "\t", "|")
_SEP = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_COMMA = re.compile(r"\s*[-+]?\d*,\d+(?:[eE][-+]?\d+)?\s*")


@dataclass(frozen=True)
class Dialect:
    """How one text table was written.

    Attributes:
      encoding: "utf-8" or "utf-16".
      delimiter: What stands between two fields.
      skipped: Lines before the header: 1 where the first says `sep=;`, else 0.
      decimal: "." or ",".
    """

    encoding: str
    delimiter: str
    skipped: int
    decimal: str = "."


def find_dialect(path: Path, *, tabs: bool, numbers: Sequence[str] = ()) -> Dialect:
    """The dialect of a text table, from its first lines.

    Args:
      path: The table; .gz and .bz2 are unpacked.
      tabs: Whether the name says that tabs stand between fields.
      numbers: Columns of numbers, which tell whether decimal commas are used.

    Raises:
      OSError: If the file cannot be read or unpacked.
    """
    with pa.input_stream(str(path), compression="detect") as file:
        raw = file.read(HEAD)
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    if encoding == "utf-16":
        raw = raw[: len(raw) // 2 * 2]
    lines = raw.decode(encoding, "replace").removeprefix("\ufeff").splitlines()
    hit = _SEP.fullmatch(lines[0]) if lines else None
    lines = lines[1:] if hit else lines
    delimiter = "\t" if tabs else hit[1] if hit else _delimiter(lines)
    whole = lines if len(raw) < HEAD else lines[:-1]
    decimal = "," if delimiter != "," and _commas(whole, delimiter, numbers) else "."
    return Dialect(encoding, delimiter, int(bool(hit)), decimal)


def open_text(path: Path, dialect: Dialect) -> pa.NativeFile:
    """The table's text as a stream of UTF-8."""
    stream = pa.input_stream(str(path), compression="detect")
    if dialect.encoding == "utf-16":
        return pa.transcoding_input_stream(stream, "utf-16", "utf-8")
    return stream


def _delimiter(lines: Sequence[str]) -> str:
    """The delimiter that parts the header and the first row into equally many fields."""
    header, row = (*lines[:2], "", "")[:2]
    best, most = "", 0
    for mark in _DELIMITERS:
        fields = len(_fields(header, mark))
        if fields > 1 and fields == len(_fields(row, mark)) and fields > most:
            best, most = mark, fields
    if best:
        return best
    for mark in (",", "\t", ";", "|"):  # a ragged table, which the reader refuses by its row
        if mark in header:
            return mark
    return ","


def _fields(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(line), delimiter=delimiter), [])
    except csv.Error:
        return []


def _commas(lines: Sequence[str], delimiter: str, numbers: Sequence[str]) -> bool:
    """Whether columns of numbers hold decimal commas, and never a point."""
    header = [name.strip() for name in _fields(lines[0], delimiter)] if lines else []
    indices = [header.index(name) for name in numbers if name in header]
    commas = False
    for line in lines[1:]:
        fields = _fields(line, delimiter)
        for index in indices:
            word = fields[index] if index < len(fields) else ""
            if "." in word:
                return False
            commas = commas or bool(_COMMA.fullmatch(word))
    return commas
