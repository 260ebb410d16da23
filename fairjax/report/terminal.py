"""The verdict, and tables of text, for a terminal or a log."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from fairjax.core.results import Results, Table
from fairjax.report.accounts import numeric_columns
from fairjax.report.summary import summarise
from fairjax.report.wording import printable


def print_summary(results: Results, console: Console) -> None:
    """Prints the words of the report's first screen: verdict, numbers, people needed."""
    summary = summarise(results)
    headline, *sentences = map(printable, summary.text or [summary.scope])
    console.print(Text(headline, style="bold"), soft_wrap=True)
    for line in [*sentences, *map(printable, summary.tolerances)]:
        console.print(Text(line), soft_wrap=not console.is_terminal)


def print_tables(tables: Sequence[Table], console: Console) -> None:
    """Prints tables: ruled in a terminal, plain aligned lines that never wrap in a log."""
    for table in tables:
        right = numeric_columns(table)
        columns = [printable(column) for column in table.columns]
        rows = [[printable(cell) for cell in row] for row in table.rows]
        title, note = printable(table.title), printable(table.note)
        if console.is_terminal:
            ruled = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
            for column, is_right in zip(columns, right, strict=True):
                ruled.add_column(Text(column), justify="right" if is_right else "left")
            for row in rows:
                ruled.add_row(*map(Text, row))
            console.print(Text(title, style="bold"), ruled, Text(note, style="dim"))
        else:
            widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
            lines = [
                "  ".join(
                    cell.rjust(width) if is_right else cell.ljust(width)
                    for cell, width, is_right in zip(line, widths, right, strict=True)
                ).rstrip()
                for line in [columns, ["-" * width for width in widths], *rows]
            ]
            console.out("\n".join([title, *lines, *([note] if note else []), ""]), highlight=False)
