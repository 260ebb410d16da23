"""Figures and tables of an evaluation as files: SVG, PNG, PDF; CSV, LaTeX."""

import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib

from fairjax.core.files import write_whole
from fairjax.core.results import Results, Table
from fairjax.report.cards import card
from fairjax.report.conditions import conditions
from fairjax.report.csv_tables import write_tables
from fairjax.report.drawing import svg
from fairjax.report.page import measured_sections
from fairjax.report.sections import all_numbers
from fairjax.report.summary import summarise
from fairjax.report.wording import printable

FIGURES, TABLES = ("svg", "png", "pdf"), ("csv", "tex")
_DPI = 216  # three pixels for one of the page
_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def export(
    folder: Path, results: Results, tables: Sequence[Table], formats: Sequence[str]
) -> list[Path]:
    """Writes every figure and every table of the report in each of the formats.

    A file may travel without the report, so each says if it comes from a smoke test or from
    generated data.

    Args:
      folder: Where to write; it is made if it is missing.
      results: The numbers.
      tables: Tables of the protocol.
      formats: Some of `FIGURES` and `TABLES`.

    Returns:
      The files written; each is whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with svg.collect() as drawn:
        for index, compared in enumerate(summarise(results).compared):
            card(compared, f"card-{index}")
        measured, _ = measured_sections(results, tables)
    written = []
    sentences = conditions(results.provenance)
    corner = "; ".join(sentence.partition(":")[0] for sentence in sentences)
    for plot in drawn:
        name = f"figure-{plot.key}-{_slug(plot.title)}"
        for kind in (kind for kind in FIGURES if kind in formats):
            path = folder / f"{name}.{kind}"
            write_whole(path, plot.alone(corner) if kind == "svg" else _picture(plot, kind, corner))
            written.append(path)
    shown = list(tables)
    titles = {table.title for table in shown}
    shown += [t for s in measured for t in s.tables if t.rows and t.title not in titles]
    shown.append(all_numbers(results.measures))
    shown = [replace(t, note=" ".join(filter(None, [t.note, *sentences]))) for t in shown]
    if "csv" in formats:
        written += write_tables(folder, shown)
    for index, table in enumerate(shown[:-1], 1) if "tex" in formats else ():
        path = folder / f"table-{index}-{_slug(table.title)}.tex"
        write_whole(path, latex(table))
        written.append(path)
    return written


def latex(table: Table) -> str:
    """A table as a LaTeX `table` that needs no package."""
    columns = "l" + "r" * (len(table.columns) - 1)
    lines = [
        r"\begin{table}",
        rf"\caption{{{_tex(table.title)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\hline",
        _row(table.columns),
        r"\hline",
        *map(_row, table.rows),
        r"\hline",
        r"\end{tabular}",
        *([rf"\par\smallskip {_tex(table.note)}"] if table.note else []),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(_tex, cells)) + r" \\"


def _tex(text: str) -> str:
    escaped = re.sub(r"[\\&%$#_{}~^]", lambda c: _SPECIAL.get(c[0], f"\\{c[0]}"), printable(text))
    escaped = re.sub(r"[<>|]", r"$\g<0>$", escaped)  # which LaTeX's own fonts lack
    escaped = re.sub(r"^[\[*]", r"{\g<0>}", escaped)  # or it belongs to the row's end before it
    return escaped.replace("≥", r"$\ge$").replace("≤", r"$\le$").replace("×", r"$\times$")


def _picture(plot: svg.Drawn, kind: str, corner: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"CreationDate": None} if kind == "pdf" else {"Software": None}
    with matplotlib.rc_context(svg.RC | {"pdf.fonttype": 42}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        plot.figure.patch.set(visible=True, facecolor=svg.PAPER)
        note = plot.figure.text(
            0.99, 0.99, corner, ha="right", va="top", fontsize=5, color="#444444"
        )
        plot.figure.savefig(buffer, format=kind, dpi=_DPI, metadata=metadata)
        note.remove()  # the next format is drawn from the same figure
    return buffer.getvalue()


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:50].strip("-")
