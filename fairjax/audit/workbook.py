"""The one sheet of an .xlsx workbook as a table; needs the extra `xlsx` (openpyxl)."""

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from fairjax.core.errors import install_line

_EPOCH = datetime.time(0)


class WorkbookError(ValueError):
    """A workbook that cannot be read as one table; the message says why and what to do."""


def read_workbook(path: Path) -> pa.Table:
    """The cells of the only sheet that holds any, as Arrow columns; the first row is the header.

    A cell that is a number stays one; a column that also holds text becomes text. Rows and columns
    without any cell at the end are left out.

    Raises:
      WorkbookError: If openpyxl is missing, the file is damaged or protected, or several sheets
        hold cells.
    """
    try:
        import openpyxl
    except ModuleNotFoundError:
        raise WorkbookError(
            f"{path}: reading .xlsx needs openpyxl; save the sheet as CSV, or install it: "
            f"{install_line('xlsx')}"
        ) from None
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        sheets = {sheet.title: _cells(sheet) for sheet in book.worksheets}
        book.close()
    except Exception as error:  # a damaged archive may raise anything at all
        raise WorkbookError(
            f"{path}: no whole .xlsx workbook ({type(error).__name__}); save the sheet as CSV."
        ) from error
    filled = {title: rows for title, rows in sheets.items() if rows}
    if len(filled) != 1:
        raise WorkbookError(
            f"{path}: {len(filled)} sheets hold cells ({', '.join(filled) or 'none'}); save the "
            "one to be read as CSV."
        )
    (header, *rows) = next(iter(filled.values()))
    names = [_text(cell) or f"Unnamed: {index}" for index, cell in enumerate(header)]
    columns = [_column([row[index] for row in rows]) for index in range(len(names))]
    return pa.Table.from_arrays(columns, names=names)


def _cells(sheet: Any) -> list[tuple[Any, ...]]:
    """The rows up to the last one with a cell, all as wide as the widest."""
    rows = [list(row) for row in sheet.iter_rows(values_only=True)]
    while rows and not any(cell is not None for cell in rows[-1]):
        rows.pop()
    width = max(
        (index + 1 for row in rows for index, cell in enumerate(row) if cell is not None), default=0
    )
    return [tuple([*row, *[None] * width][:width]) for row in rows]


def _column(cells: list[Any]) -> pa.Array:
    there = [cell for cell in cells if cell is not None]
    if there and all(isinstance(c, int | float) and not isinstance(c, bool) for c in there):
        if all(float(c).is_integer() for c in there):
            return pa.array([None if c is None else int(c) for c in cells], pa.int64())
        return pa.array([None if c is None else float(c) for c in cells], pa.float64())
    return pa.array([None if c is None else _text(c) for c in cells], pa.string())


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime.datetime) and cell.time() == _EPOCH:
        return cell.date().isoformat()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)
