"""One evaluation as a page that a person would rather look at than read, and as tables."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from fairjax.report import plots, summary
from fairjax.report.accounts import Listing, config_lists, listing, manifest_parts, numeric_columns
from fairjax.report.svg import PALETTE
from fairjax.report.wording import (
    describe,
    digits,
    group_name,
    level,
    metric_of,
    more_is_better,
    number,
    printable,
    sentence,
    span,
)
from fairjax.results import Measure, Results, Table

MOST_CURVES = 9
MOST_POINTS = 300  # of one curve; more are averaged in equal stretches of rows


class Figure(NamedTuple):
    """A plot with its heading and a few words on how to read it."""

    svg: Markup
    caption: str
    note: str = ""


Parts = list[tuple[str, list[Figure]]]


class Section(NamedTuple):
    """A part of the report; one without figures, tables and lists is left out.

    Attributes:
      key: The anchor; unique on the page.
      title: The heading.
      lead: How to read what follows, or "".
      parts: (sub-heading or "", figures) in order.
      tables: Tables below the figures.
      lists: Names and values below the tables.
    """

    key: str
    title: str
    lead: str = ""
    parts: Sequence[tuple[str, Sequence[Figure]]] = ()
    tables: Sequence[Table] = ()
    lists: Sequence[Listing] = ()


def write_report(
    path: Path,
    *,
    title: str,
    results: Results,
    tables: Sequence[Table],
    curves: Sequence[Mapping[str, Any]] = (),
    config: Mapping[str, Any],
    manifest: Mapping[str, Any],
    environment: Mapping[str, Any],
) -> None:
    """Writes one self-contained HTML file, whole or not at all.

    It loads nothing, runs no script, escapes all it is given, and is the same bytes for the same
    input. What the results do not hold is left out.

    Args:
      path: The file to write; its folder exists.
      title: The page's heading.
      results: The numbers.
      tables: Shown as they are.
      curves: Rows of `metrics.jsonl`: each has "step" and some numbers.
      config: The resolved config.
      manifest: What `data.json` holds.
      environment: What `environment.json` holds.
    """
    lists, data_tables = manifest_parts(manifest)
    sections = [
        _gap_section(results),
        _group_section(results),
        _cell_section(results),
        _confusion_section(results.arrays.get("confusion", {})),
        _calibration_section(results.arrays.get("calibration", {})),
        _curve_section(curves),
        Section("tables", "Tables", tables=tables),
        Section("data", "Data", tables=data_tables, lists=lists),
        Section("settings", "Settings", "The resolved config.", lists=config_lists(config)),
        _method_section(results),
    ]
    page = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("report.html")
    text = page.render(
        title=title,
        palette=PALETTE,
        lead=summary.lead(results),
        cards=summary.cards(results),
        findings=summary.findings(results),
        sections=[s for s in sections if any(f for _, f in s.parts) or s.tables or s.lists],
        limits=results.limits,
        provenance=listing("", {**environment, **results.provenance}),
        numbers=_all_numbers(results.measures),
        numeric_columns=numeric_columns,
    )
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(text.encode("utf-8", "backslashreplace"))  # file names may be any bytes
    partial.replace(path)


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


def _gap_section(results: Results) -> Section:
    parts: Parts = []
    for across, bases in summary.across_groups(results).items():
        by_unit: dict[str, list[tuple[str, Measure, float | None]]] = {}
        for base, found in bases.items():
            gap, floor = found.get("difference"), found.get("difference_noise_floor")
            if gap is not None and gap.value is not None:
                row = (describe(base), gap, floor.value if floor else None)
                by_unit.setdefault(gap.unit, []).append(row)
        figures: list[Figure] = []
        for unit, rows in sorted(by_unit.items()):  # rates first
            caption = {"fraction": "Rates", "years": "Ages"}.get(unit, sentence(unit))
            svg = plots.gaps(
                f"gap-{len(parts)}-{len(figures)}", f"Gaps by {across}: {_lower(caption)}", rows
            )
            note = {"fraction": "percentage points"}.get(unit, unit)
            figures.append(Figure(Markup(svg), caption, note))
        parts.append((f"By {_words(across)}", figures))
    # A floor is the quantile that its rule names at the intervals' own level.
    levels = {m.level for m in results.measures if m.across and m.level}
    share = f"{min(levels):.0%}" if levels else "most"
    lead = (
        "The gap is the largest group's number less the smallest's. It is never negative, so even "
        "equal groups show one: the hatched bar is the noise floor, within which chance alone "
        f"stays in {share} of draws with equal groups of these sizes. A "
        "dot beyond it is filled and coloured, one within it hollow. The line is the gap's own "
        "interval."
    )
    return Section("gaps", "Gaps, and what chance would give", lead, parts)


def _group_section(results: Results) -> Section:
    overall = {m.name: m for m in summary.overall(results)}
    parts: Parts = []
    for attributes, names in summary.by_attributes(results).items():
        figures: list[Figure] = []
        for name, rows in names.items() if len(attributes) == 1 else ():
            if all(m.value is None for m in rows):
                continue
            order = summary.worst_to_best([m for m in rows if not m.is_thin])
            svg = plots.forest(
                f"group-{len(parts)}-{len(figures)}",
                f"{describe(name)} by {attributes[0]}",
                rows,
                overall=overall.get(name),
                worst=rows.index(order[0]) if order else None,
            )
            figures.append(Figure(Markup(svg), describe(name), _reading(rows[0])))
        parts.append((f"By {_words(attributes[0])}", figures))
    lead = (
        "A dot is the group's number, the line its interval, the dotted line everyone. Hollow and "
        "dashed: fewer than 30 errors (or examples, where errors aren't counted), too few to judge "
        "by. The worst of the others is in bold. An arrow: it goes on beyond the plot."
    )
    return Section("groups", "Group by group", lead, parts)


def _cell_section(results: Results) -> Section:
    parts: Parts = []
    for attributes, names in summary.by_attributes(results).items():
        if len(attributes) != 2:
            continue
        first, second = attributes
        figures: list[Figure] = []
        for name, measures in names.items():
            if all(m.value is None for m in measures):
                continue
            at = {(m.group[first], m.group[second]): m for m in measures}
            rows = list(dict.fromkeys(m.group[first] for m in measures))
            columns = list(dict.fromkeys(m.group[second] for m in measures))
            roomy = len(columns) <= 3
            ends = [_badness(m) for m in measures if m.value is not None and not m.is_thin]
            best = min(ends, default=0.0)
            worst = max([*ends, 1.5 * best])  # so that nearly equal cells look nearly equal
            svg = plots.heat_map(
                f"cell-{len(parts)}-{len(figures)}",
                f"{describe(name)} by {first} and {second}",
                [[_cell(at.get((r, c)), best, worst, roomy=roomy) for c in columns] for r in rows],
                rows=rows,
                columns=columns,
                row_axis=first,
                column_axis=second,
            )
            figures.append(Figure(Markup(svg), describe(name), _reading(measures[0])))
        parts.append((f"By {_words(first)} and {_words(second)}", figures))
    lead = (
        "The stronger the colour, the worse the cell among those of its map. Hatched: fewer than "
        "30 errors (or examples, where errors aren't counted), too few to judge by."
    )
    return Section("intersections", "Where two attributes meet", lead, parts)


def _cell(m: Measure | None, best: float, worst: float, *, roomy: bool) -> plots.Cell:
    """One cell of an intersection map, filled by how bad it is from `best` to `worst`."""
    if m is None or m.value is None:
        return plots.Cell("–", ["", "n 0"] if roomy else ["n 0"], None)
    small = [*([span(m.interval, m.unit)] if roomy else []), f"n {m.n:,}"]
    strength = (_badness(m) - best) / (worst - best) if worst > best else 0.0
    return plots.Cell(digits(m.value, m.unit), small, None if m.is_thin else strength)


def _badness(m: Measure) -> float:
    """The measure so that more is worse: an error stays, an accuracy becomes its error."""
    assert m.value is not None
    return 1 - m.value if more_is_better(m.name) else m.value


def _confusion_section(confusion: Mapping[str, Any]) -> Section:
    figures: list[Figure] = []
    for name, matrix in confusion.items():
        cells = []
        for row in matrix["overall"]:
            whole = max(sum(row), 1)
            cells.append(
                [plots.Cell(f"{100 * n / whole:.0f}%", [f"{n:,}"], n / whole) for n in row]
            )
        svg = plots.heat_map(
            f"confusion-{len(figures)}",
            f"Confusion matrix of {_words(name)}",
            cells,
            rows=matrix["classes"],
            columns=matrix["classes"],
            row_axis="labelled",
            column_axis="predicted",
        )
        figures.append(Figure(Markup(svg), sentence(_words(name))))
    lead = (
        "Each row is what the examples of one label were taken for; its percentages add up to 100."
    )
    return Section("confusion", "What is taken for what", lead, [("", figures)])


def _calibration_section(calibration: Mapping[str, Any]) -> Section:
    figures: list[Figure] = []
    for name, diagram in calibration.items():
        svg = plots.reliability(
            f"calibration-{len(figures)}",
            f"Calibration of {_words(name)} by group",
            diagram["overall"],
            diagram["by_group"],
        )
        note = "share right (%) against stated confidence (%)"
        figures.append(Figure(Markup(svg), sentence(_words(name)), note))
    lead = (
        "When the model is 80% sure, is it right 80 times of 100? Below the dotted line it is "
        "surer than it should be. Big points hold many examples, hollow ones fewer than 30; the "
        "faint lines are the other groups."
    )
    return Section("calibration", "Is its confidence earned?", lead, [("", figures)])


def _curve_section(rows: Sequence[Mapping[str, Any]]) -> Section:
    lines: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in (row for row in rows if "step" in row):
        for key, value in row.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if key not in ("step", "epoch", "time") and is_number and abs(value) < float("inf"):
                phase, name = _phase(key)
                lines.setdefault(name, {}).setdefault(phase, []).append(
                    (float(row["step"]), float(value))
                )
    names = sorted(lines, key=lambda name: (name != "loss", metric_of(name) is None))
    figures: list[Figure] = []
    for name in names[:MOST_CURVES]:
        drawn = [plots.Line(phase, *_thinned(points)) for phase, points in lines[name].items()]
        svg = plots.curves(
            f"curve-{len(figures)}", f"{describe(name)} over the run", drawn, x_axis="step"
        )
        note = " and ".join(line.name for line in drawn if line.name)
        figures.append(Figure(Markup(svg), describe(name), note))
    left = len(names) - len(figures)
    lead = f"{left} more are in metrics.jsonl." if left else ""
    return Section("training", "Training", lead, [("", figures)])


def _phase(key: str) -> tuple[str, str]:
    """Splits "train/loss" and "train_loss" into ("train", "loss"); others have no phase."""
    hit = re.fullmatch(r"(.+)/([^/]+)|(train|validation|eval|test)_(.+)", key)
    return (hit[1] or hit[3], hit[2] or hit[4]) if hit else ("", key)


def _thinned(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """At most MOST_POINTS points: means of equally many neighbours."""
    size = -(-len(points) // MOST_POINTS)
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    x, y = ([sum(p[axis] for p in part) / len(part) for part in parts] for axis in (0, 1))
    return x, y


def _method_section(results: Results) -> Section:
    made: dict[tuple[str, str, str], list[str]] = {}
    for m in results.measures:
        summarised = re.sub("_(noise_floor|p_value)$", "", m.name)
        rule = m.rule.replace(summarised, "the summary")  # so that like rules share a row
        interval = ", ".join(part for part in (level(m) if m.level else "", m.method) if part)
        names = made.setdefault((rule, interval, "" if m.ddof is None else str(m.ddof)), [])
        if m.name not in names:
            names.append(m.name)
    rows = [[*how, ", ".join(names)] for how, names in made.items()]
    columns = ["rule", "interval or resampling", "ddof", "numbers"]
    tables = [Table("Rules and intervals", columns, rows)] if rows else []
    lists = [listing("Protocol", results.protocol)] if results.protocol else []
    return Section("method", "How each number was made", tables=tables, lists=lists)


def _all_numbers(measures: Sequence[Measure]) -> Table:
    rows = [
        [
            m.name,
            f"across {m.across}" if m.across else group_name(m.group),
            number(m.value, m.unit),
            span(m.interval, m.unit),
            f"{m.n:,}",
            "" if m.n_errors is None else f"{m.n_errors:,}",
            "" if m.n_clusters is None else f"{m.n_clusters:,}",
            m.note,
        ]
        for m in measures
    ]
    columns = ["name", "group", "value", "interval", "n", "errors", "clusters", "note"]
    return Table("Every number", columns, rows)


def _reading(m: Measure) -> str:
    """Unit and direction of a plot's numbers."""
    better = {True: "more is better", False: "less is better", None: ""}[more_is_better(m.name)]
    unit = {"fraction": "%"}.get(m.unit, m.unit)
    return ", ".join(part for part in (unit, better) if part)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
