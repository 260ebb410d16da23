"""The parts that a report is made of, and those that every report has."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from fairjax.core.results import Measure, Results, Table
from fairjax.report.accounts import Listing, listing
from fairjax.report.drawing import plots
from fairjax.report.verification.plots import ThresholdAxis
from fairjax.report.wording import (
    describe,
    group_name,
    is_difference,
    level,
    metric_of,
    more_is_better,
    number,
    span,
)

MOST_CURVES = 9
MOST_POINTS = 300  # of one curve; more are averaged in equal stretches of rows


class Figure(NamedTuple):
    """A plot with its heading and a few words on how to read it.

    Attributes:
      svg: The plot.
      caption: Heading of the figure.
      note: How to read it, in a few words.
      wide: Whether it needs the page's whole width.
      axis: Where a threshold lies on it; None where the slider has nothing to point at.
    """

    svg: Markup
    caption: str
    note: str = ""
    wide: bool = False
    axis: ThresholdAxis | None = None


class Slider(NamedTuple):
    """The rates of every group at any threshold, for a reader to move.

    Attributes:
      key: Unique on the page.
      title: What it is about, for those who can't see it.
      data: What the script needs, JSON-ready: see `templates/slider.js`.
      tables: What stands in its place in print and without script.
      figures: Plots over the threshold, on which its place is marked.
    """

    key: str
    title: str
    data: Mapping[str, Any]
    tables: Sequence[Table]
    figures: Sequence[Figure]


Parts = list[tuple[str, list[Figure]]]


class Section(NamedTuple):
    """A part of the report; one that holds nothing is false, and left out.

    Attributes:
      key: The anchor; unique on the page.
      title: The heading.
      lead: How to read what follows, or "".
      sliders: Rates to be read at any threshold.
      parts: (sub-heading or "", figures) in order.
      tables: Tables below the figures.
      lists: Names and values below the tables.
    """

    key: str
    title: str
    lead: str = ""
    sliders: Sequence[Slider] = ()
    parts: Sequence[tuple[str, Sequence[Figure]]] = ()
    tables: Sequence[Table] = ()
    lists: Sequence[Listing] = ()

    def __bool__(self) -> bool:
        figures = any(figures for _, figures in self.parts)
        return bool(figures or self.sliders or self.tables or self.lists)


def curve_section(rows: Sequence[Mapping[str, Any]]) -> Section:
    """Whatever a run logged, over its steps."""
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
    return Section("training", "Training", lead, parts=[("", figures)])


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


def method_section(results: Results) -> Section:
    """The protocol, and every rule, interval and ddof with the numbers it stands for."""
    made: dict[tuple[str, str, str], list[str]] = {}
    for m in results.measures:
        summarised = re.sub("_(noise_floor|p_value(_holm|_bh)?)$", "", m.name)
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


def all_numbers(measures: Sequence[Measure]) -> Table:
    """Every measure, rounded, one a row; columns that nothing fills are left out."""
    rows = [
        [
            m.system,
            m.name,
            f"across {m.across}" if m.across else group_name(m.group),
            m.at,
            number(m.value, m.unit, difference=is_difference(m.name)),
            span(m.interval, m.unit),
            f"{m.n:,}",
            "" if m.n_errors is None else f"{m.n_errors:,}",
            "" if m.n_clusters is None else f"{m.n_clusters:,}",
            m.note,
        ]
        for m in measures
    ]
    columns = [
        "system",
        "name",
        "group",
        "at",
        "value",
        "interval",
        "n",
        "errors",
        "clusters",
        "note",
    ]
    return without_empty_columns(Table("Every number", columns, rows))


def without_empty_columns(table: Table) -> Table:
    """The table less the columns in which no row says anything."""
    used = [k for k in range(len(table.columns)) if any(row[k] for row in table.rows)]
    rows = [[row[k] for k in used] for row in table.rows]
    return Table(table.title, [table.columns[k] for k in used], rows, table.note)


def reading(m: Measure) -> str:
    """Unit and direction of a plot's numbers."""
    better = {True: "more is better", False: "less is better", None: ""}[more_is_better(m.name)]
    unit = {"fraction": "%", "ratio": ""}.get(m.unit, m.unit)
    return ", ".join(part for part in (unit, better) if part)
