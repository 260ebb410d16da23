"""The parts that a report is made of, and those that every report has."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from fairjax.core.results import Measure, Results, Table
from fairjax.report.accounts import Listing, listing
from fairjax.report.conditions import is_generated
from fairjax.report.drawing.lines import Line, curves
from fairjax.report.gaps import gap_tables, without_empty_columns
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
MOST_NAMES = 4  # of numbers that share a rule
MOST_POINTS = 300  # of one curve; more are averaged in equal stretches of rows


class Figure(NamedTuple):
    """A plot with its heading and a few words on how to read it.

    Attributes:
      svg: The plot.
      caption: Heading of the figure.
      note: How to read it, in a few words.
      wide: Whether it needs the page's whole width.
      axis: Where a threshold lies on it; None where no slider points at it.
      slider: Key of the slider whose threshold is marked on it; "" for none.
    """

    svg: Markup
    caption: str
    note: str = ""
    wide: bool = False
    axis: ThresholdAxis | None = None
    slider: str = ""


class Slider(NamedTuple):
    """The rates of every group at any threshold, for a reader to move.

    Attributes:
      key: Unique on the page.
      title: What it is about, for those who can't see it.
      data: What the script needs, JSON-ready: see `templates/slider.js`.
    """

    key: str
    title: str
    data: Mapping[str, Any]


Parts = list[tuple[str, list[Figure]]]


class Section(NamedTuple):
    """A part of the report; one that holds nothing is false, and left out.

    Attributes:
      key: The anchor; unique on the page.
      title: The heading.
      lead: How to read what follows, or "".
      parts: (sub-heading or "", figures) in order.
      tables: Tables below the figures.
      lists: Names and values below the tables.
      folded: Whether it is closed until a reader opens it.
      printed: Whether it is printed, folded or not.
    """

    key: str
    title: str
    lead: str = ""
    parts: Sequence[tuple[str, Sequence[Figure]]] = ()
    tables: Sequence[Table] = ()
    lists: Sequence[Listing] = ()
    folded: bool = False
    printed: bool = True

    def __bool__(self) -> bool:
        figures = any(figures for _, figures in self.parts)
        return bool(figures or self.tables or self.lists)


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
        drawn = [Line(phase, *_thinned(points)) for phase, points in lines[name].items()]
        svg = curves(
            f"curve-{len(figures)}", f"{describe(name)} over the run", drawn, x_axis="step"
        )
        note = " and ".join(line.name for line in drawn if line.name)
        figures.append(Figure(Markup(svg), describe(name), note))
    left = len(names) - len(figures)
    lead = f"{left} more are in metrics.jsonl." if left else ""
    return Section("training", "Training", lead, parts=[("", figures)], folded=True, printed=False)


def _phase(key: str) -> tuple[str, str]:
    """Splits "train/loss" and "train_loss" into ("train", "loss"); others have no phase."""
    hit = re.fullmatch(r"(.+)/([^/]+)|(train|validation|eval|test)_(.+)", key)
    return (hit[1] or hit[3], hit[2] or hit[4]) if hit else ("", key)


def _thinned(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """At most MOST_POINTS points: means of equally many neighbours."""
    size = -(-len(points) // MOST_POINTS)
    chunks = [points[start : start + size] for start in range(0, len(points), size)]
    x, y = ([sum(p[axis] for p in chunk) / len(chunk) for chunk in chunks] for axis in (0, 1))
    return x, y


def gap_section(results: Results) -> Section:
    """Every tested gap between groups with what chance alone gives, its p-value and decision."""
    title = "Gaps between groups, and what chance would give"
    return Section("gaps", title, tables=gap_tables(results))


def method_section(results: Results) -> Section:
    """The protocol, and every definition, interval and resampling with the numbers it made."""
    rules: dict[str, list[str]] = {}
    methods: dict[str, list[str]] = {}
    for m in results.measures:
        base = re.sub("_(noise_floor|p_value(_holm|_bh)?)$", "", m.name)
        rule = m.rule.replace(base, "the summary")  # so that like rules share a row
        if m.ddof is not None and "ddof" not in rule:
            rule = f"{rule}, ddof {m.ddof}" if rule else f"ddof {m.ddof}"
        method = re.sub(r"\b\d+ effective", "effective", m.method)
        if m.interval and m.level:
            method = f"{level(m)}: {method}"
        for text, by_text in ((rule, rules), (method, methods)):
            names = by_text.setdefault(text, []) if text else []
            if m.name not in names:
                names.append(m.name)
    tables = [
        Table(title, [heading, "numbers"], [[text, _shortened(n)] for text, n in by_text.items()])
        for title, heading, by_text in (
            ("Definitions", "rule", rules),
            ("Intervals and tests", "method", methods),
        )
        if by_text
    ]
    where = ", applied to generated data" if is_generated(results.provenance) else ""
    lists = [listing(f"Protocol{where}", results.protocol)] if results.protocol else []
    return Section("method", "How each number was made", tables=tables, lists=lists, folded=True)


def _shortened(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


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


def reading(m: Measure) -> str:
    """Unit and direction of a plot's numbers."""
    better = {True: "more is better", False: "less is better", None: ""}[more_is_better(m.name)]
    unit = {"fraction": "%", "ratio": ""}.get(m.unit, m.unit)
    return ", ".join(word for word in (unit, better) if word)
