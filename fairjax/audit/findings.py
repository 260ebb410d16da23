"""What a question beside the audit leaves behind: an answer in words, tables, numbers, pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fairjax.core.files import write_whole
from fairjax.core.results import Results, Table, save_results


@dataclass(frozen=True)
class Findings:
    """The answer to one question.

    Attributes:
      answer: The answer in one sentence.
      sentences: Reasons and conditions of the answer, one sentence or two each.
      tables: The numbers, ready to print.
      results: The numbers with their provenance, in the schema of results.json.
      pictures: By the name of their file, functions that draw an SVG element: drawing waits until
        it is written, since Matplotlib is slow to import.
    """

    answer: str
    sentences: Sequence[str]
    tables: Sequence[Table]
    results: Results
    pictures: Mapping[str, Callable[[], str]] = field(default_factory=dict)

    def with_facts(self, facts: Mapping[str, Any]) -> "Findings":
        """The same findings, saying where they come from."""
        provenance = {**self.results.provenance, **facts}
        return replace(self, results=replace(self.results, provenance=provenance))


def show(findings: Findings, console: Any, *, most_rows: int = 0) -> None:
    """Prints the answer, its reasons, the tables and the limits.

    Args:
      findings: What was found.
      console: A rich console.
      most_rows: Rows of a table that are printed; 0 prints all.
    """
    from rich.text import Text

    from fairjax.report import print_tables
    from fairjax.report.wording import printable

    console.print(Text(printable(findings.answer), style="bold"), soft_wrap=True)
    for sentence in findings.sentences:
        console.print(Text(printable(sentence)), soft_wrap=True)
    console.print()
    print_tables([_shortened(table, most_rows) for table in findings.tables], console)
    for limit in findings.results.limits:
        console.print(Text(f"Note: {printable(limit)}"), soft_wrap=True)


def _shortened(table: Table, most_rows: int) -> Table:
    more = len(table.rows) - most_rows
    if not most_rows or more <= 0:
        return table
    note = f"{more:,} more rows: --out DIR writes them all. {table.note}"
    return replace(table, rows=table.rows[:most_rows], note=note)


def write(folder: Path, findings: Findings) -> None:
    """Writes results.json, measures.csv, one CSV a table and one SVG a picture into a folder.

    The folder is made if it is missing; each file is whole or not there.
    """
    from fairjax.report.csv_tables import write_csv

    folder.mkdir(parents=True, exist_ok=True)
    save_results(folder / "results.json", findings.results)
    write_csv(folder, findings.results, findings.tables)
    for name, draw in findings.pictures.items():
        alone = draw().replace("<svg ", '<svg font-family="sans-serif" ', 1)  # no page sets one
        write_whole(folder / f"{name}.svg", alone + "\n")
