"""What an audit leaves behind: numbers, tables, a model card's section and a page."""

from pathlib import Path

from fairjax.audit import failures, identification, paired
from fairjax.core.files import write_whole
from fairjax.core.results import Results, Table, save_results
from fairjax.protocols import attributes
from fairjax.protocols.verification import tables as verification_tables
from fairjax.report.verification import covariates

FILES = ("results.json", "report.html", "summary.html", "model_card.md", "measures.csv")


def write(folder: Path, results: Results, *, title: str) -> None:
    """Writes `FILES` and one CSV a table into a folder, which is made if it is missing.

    Each file is whole or not there.
    """
    from fairjax.report import write_report  # Matplotlib is slow to import
    from fairjax.report.csv_tables import write_csv
    from fairjax.report.model_card import model_card
    from fairjax.report.one_page import write_one_page

    folder.mkdir(parents=True, exist_ok=True)
    shown = tables(results)
    save_results(folder / "results.json", results)
    write_csv(folder, results, shown)
    write_whole(folder / "model_card.md", model_card(results, shown) + "\n")
    write_report(folder / "report.html", title=title, results=results, tables=shown)
    write_one_page(folder / "summary.html", results, title=title, report="report.html")


def tables(results: Results) -> list[Table]:
    """The protocol's tables, verdicts on tolerances, and what has no number and why."""
    if results.kind == "attributes":
        shown = [*attributes.tables(results), *covariates.tables(results)]
    elif results.kind == "identification":
        shown = identification.tables(results)
    else:
        shown = [*verification_tables.tables(results), failures.table(results), _verdicts(results)]
        shown += [paired.table(results), *covariates.tables(results)]
    return [table for table in [*shown, _undefined(results)] if table.rows]


def _verdicts(results: Results) -> Table:
    systems = results.arrays.get("systems") or {"": results.arrays}
    rows = [
        [
            *([system] if system else []),
            v["measure"].replace("_", " "),
            v["at"],
            v["verdict"],
            v["words"],
        ]
        for system, arrays in systems.items()
        for v in arrays.get("verdicts", [])
    ]
    columns = [*(["system"] if len(systems) > 1 else []), "gap", "at", "verdict", "why"]
    note = "Within or exceeds: the whole interval lies on that side of the tolerance."
    return Table("Verdicts", columns, rows, note, drawn=True)


def _undefined(results: Results) -> Table:
    """Why numbers are missing, each reason once."""
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for m in results.measures:
        if m.value is None and m.note:
            about = ", ".join(m.group.values()) or (
                f"across {m.across}" if m.across else "everyone"
            )
            reasons.setdefault((m.at, about, m.note), []).append(m.name)
    rows = [
        [at, about, note, ", ".join(names[:3]) + (f" and {len(names) - 3} more" * (len(names) > 3))]
        for (at, about, note), names in reasons.items()
    ]
    return Table("No number, and why", ["at", "of", "why", "numbers"], rows)
