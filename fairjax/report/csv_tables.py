"""All numbers and every table as CSV files, safe to open in a spreadsheet."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from fairjax.core.files import write_whole
from fairjax.core.results import Measure, Results, Table
from fairjax.report.wording import printable

# A cell that begins so may be run as a formula (OWASP, "CSV Injection", with the full-width forms).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
_OURS = re.compile(r"table-\d+(-[a-z0-9-]+)?\.csv")
_NUMBER = re.compile(r"[-+]?(\d[\d,]*\.?\d*|\.\d+)(e[-+]?\d+)?%?", re.IGNORECASE)


def write_csv(folder: Path, results: Results, tables: Sequence[Table]) -> list[Path]:
    """Writes `measures.csv` and one file a table; each is whole or not there.

    Numbers of `measures.csv` are unrounded and rates are fractions; an undefined value is empty and
    `note` says why. A text that a spreadsheet would take for a formula gets a quote (') in front.

    Args:
      folder: Where to write; it exists.
      results: Every measure becomes one row.
      tables: Tables as shown, notes below the rows; a file's name is the table's title.

    Returns:
      The files written.
    """
    rows = measure_rows(results)
    return [_write(folder / "measures.csv", rows), *renew_tables(folder, tables)]


def measure_rows(results: Results) -> list[list[Any]]:
    """The header and the rows of `measures.csv`: one a measure, numbers unrounded."""
    columns = [f.name for f in fields(Measure) if f.name not in ("group", "interval")]
    header = ["name", "group", "low", "high", *(c for c in columns if c != "name")]
    return [
        header,
        *(
            [
                m.name,
                "; ".join(f"{attribute}={value}" for attribute, value in m.group.items()),
                *(m.interval or (None, None)),
                *(getattr(m, column) for column in header[4:]),
            ]
            for m in results.measures
        ),
    ]


def write_tables(folder: Path, tables: Sequence[Table]) -> list[Path]:
    """Writes one file a table, as `write_csv` does."""
    written = []
    for index, table in enumerate(tables, 1):
        slug = re.sub(r"[^a-z0-9]+", "-", table.title.lower()).strip("-")[:60]
        path = folder / "-".join(filter(None, ["table", str(index), slug]))
        notes = [[table.note]] if table.note else []
        written.append(
            _write(path.with_name(path.name + ".csv"), [table.columns, *table.rows, *notes])
        )
    return written


def renew_tables(folder: Path, tables: Sequence[Table]) -> list[Path]:
    """Writes the tables of a run's, study's or audit's folder; an earlier result's others go."""
    written = write_tables(folder, tables)
    for path in sorted(set(folder.glob("table-*.csv")) - set(written)):
        if _OURS.fullmatch(path.name):
            path.unlink()
    return written


def safe_cell(value: Any) -> str:
    """A value as the text of a CSV cell that no spreadsheet runs; None is empty."""
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(float(value))  # numpy's own repr names its type
    text = printable(value)
    harmless = not text.startswith(_FORMULA) or _NUMBER.fullmatch(text)
    return text if harmless else f"'{text}"


def _write(path: Path, rows: Iterable[Sequence[Any]]) -> Path:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([safe_cell(value) for value in row] for row in rows)
    write_whole(path, text.getvalue())
    return path
