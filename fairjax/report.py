"""One evaluation as a page that a person would rather look at than read, and as tables."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from fairjax import plots
from fairjax.results import Measure, Results, Table
from fairjax.wording import (
    beyond_chance,
    describe,
    digits,
    group_name,
    is_thin,
    metric_of,
    more_is_better,
    number,
    printable,
    sentence,
    span,
)

NOISE_FLOOR = "_noise_floor"  # measure "<gap>_noise_floor" beside measure "<gap>"
MOST_ROWS = 40  # of a list in data.json; the rest is counted
MOST_CURVES = 9
MOST_POINTS = 400  # of one curve; more are averaged in equal stretches of steps


class Figure(NamedTuple):
    """A plot with its heading and the sentence that tells how to read it."""

    svg: Markup
    caption: str
    note: str = ""


class Section(NamedTuple):
    """A part of the report.

    Attributes:
      key: The anchor; unique on the page.
      title: The heading.
      lead: How to read what follows, or "".
      parts: (sub-heading or "", figures) in order.
      tables: Tables below the figures.
    """

    key: str
    title: str
    lead: str = ""
    parts: Sequence[tuple[str, Sequence[Figure]]] = ()
    tables: Sequence[Table] = ()


class Finding(NamedTuple):
    """One gap in words; `verdict` is "beyond", "within" or "open"."""

    verdict: str
    title: str
    text: str


class Gap(NamedTuple):
    """A gap measure, the measure it is a gap of, and the gap that chance alone gives."""

    measure: Measure
    base: str
    floor: float | None


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
    sections = [
        _gap_section(results),
        _group_section(results),
        _cell_section(results),
        _confusion_section(results.arrays.get("confusion", {})),
        _calibration_section(results.arrays.get("calibration", {})),
        _curve_section(curves),
        Section("tables", "Tables", tables=tables),
        _data_section(manifest),
        _settings_section(config),
        _method_section(results),
    ]
    folder = FileSystemLoader(Path(__file__).parent / "templates")
    page = Environment(
        loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("report.html")  # fmt: skip
    text = page.render(
        title=title,
        palette=plots.PALETTE,
        lead=_lead(results),
        cards=_cards(results),
        findings=_findings(results),
        sections=[s for s in sections if any(figures for _, figures in s.parts) or s.tables],
        limits=results.limits,
        provenance=_settings(
            "Where this came from", {**environment, **results.provenance}, "item", "value"
        ),
        numbers=_all_numbers(results.measures),
        numeric_columns=_numeric_columns,
    )
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(text.encode("utf-8", "backslashreplace"))  # file names may be any bytes
    partial.replace(path)


def print_tables(tables: Sequence[Table], console: Console) -> None:
    """Prints tables: ruled in a terminal, plain aligned lines that never wrap in a log."""
    for table in tables:
        columns = [printable(column) for column in table.columns]
        rows = [[printable(cell) for cell in row] for row in table.rows]
        right = _numeric_columns(table)
        if console.is_terminal:
            ruled = RichTable(title=Text(printable(table.title)), box=box.SIMPLE_HEAD)
            ruled.title_justify = "left"
            for column, is_right in zip(columns, right, strict=True):
                ruled.add_column(Text(column), justify="right" if is_right else "left")
            for row in rows:
                ruled.add_row(*map(Text, row))
            if table.note:
                ruled.caption = Text(printable(table.note))
                ruled.caption_justify = "left"
            console.print(ruled)
            continue
        widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) if is_right else cell.ljust(width)
                for cell, width, is_right in zip(line, widths, right, strict=True)
            ).rstrip()
            for line in [columns, ["-" * width for width in widths], *rows]
        ]
        text = "\n".join([printable(table.title), *lines, *([printable(table.note)] if table.note else [])])
        console.out(text + "\n", highlight=False)


# --- what the results hold --------------------------------------------------------------------


def _overall(results: Results) -> list[Measure]:
    """The measures over everyone that are no gaps, accuracies and errors in years first."""
    found = [m for m in results.measures if not m.group and not m.across and m.unit != "count"]
    return sorted(found, key=lambda m: (metric_of(m.name) not in ("mae", "accuracy")))


def _by_attribute(results: Results) -> dict[tuple[str, ...], dict[str, list[Measure]]]:
    """{attributes: {name: measures by group}}, everything in order of appearance."""
    found: dict[tuple[str, ...], dict[str, list[Measure]]] = {}
    for m in results.measures:
        if m.group and not m.across:
            found.setdefault(tuple(m.group), {}).setdefault(m.name, []).append(m)
    return found


def _gaps(results: Results) -> list[Gap]:
    """The gaps between groups, with their noise floors."""
    swept = {(m.name, m.across): m for m in results.measures if m.across}
    names = sorted({m.name for m in results.measures if m.group}, key=len, reverse=True)
    return [
        Gap(
            m,
            next((base for base in names if name.startswith(base + "_")), ""),
            floor.value if (floor := swept.get((name + NOISE_FLOOR, across))) else None,
        )
        for (name, across), m in swept.items()
        if not name.endswith(NOISE_FLOOR)
    ]


def _worst_first(measures: Sequence[Measure]) -> list[int]:
    """Places of the defined values from worst to best; [] where no order is known."""
    better = more_is_better(measures[0].name)
    places = [i for i, m in enumerate(measures) if m.value is not None]
    if better is None or len(places) < 2:
        return []
    return sorted(places, key=lambda i: measures[i].value, reverse=not better)  # type: ignore[arg-type, return-value]


# --- the summary ------------------------------------------------------------------------------


def _cards(results: Results) -> list[dict[str, Any]]:
    """The headline numbers, each with its worst and best group."""
    groups = {a[0]: names for a, names in _by_attribute(results).items() if len(a) == 1}
    cards = []
    for m in _overall(results):
        ends = []
        for attribute, names in groups.items():
            rows = names.get(m.name, [])
            order = _worst_first(rows) if rows and len(rows) <= len(plots.MARKERS) else []
            if order:
                worst, best = rows[order[0]], rows[order[-1]]
                ends.append((attribute, group_name(worst.group), digits(worst.value, m.unit),
                             group_name(best.group), digits(best.value, m.unit)))  # fmt: skip
        cards.append({
            "name": describe(m.name),
            "value": number(m.value, m.unit),
            "interval": f"{_level(m)} {span(m.interval, m.unit)}" if m.interval else "no interval",
            "n": f"{m.n:,}",
            "ends": ends,
        })  # fmt: skip
    return cards


def _findings(results: Results) -> list[Finding]:
    """Every difference between groups in words, the clearest first."""
    groups = _by_attribute(results)
    found = []
    for gap, base, floor in _gaps(results):
        rows = groups.get((gap.across,), {}).get(base, [])
        order = _worst_first(rows) if rows else []
        if not gap.name.endswith("_difference") or not order or gap.value is None:
            continue
        worst, best = rows[order[0]], rows[order[-1]]
        size = number(gap.value, gap.unit, difference=True)
        interval = f" ({_level(gap)} {span(gap.interval, gap.unit)})" if gap.interval else ""
        few = ", from few errors" if is_thin(worst) or is_thin(best) else ""
        text = (
            f"Worst for {group_name(worst.group)} ({number(worst.value, worst.unit)}), best for "
            f"{group_name(best.group)} ({number(best.value, best.unit)}){few}: a gap of "
            f"{size}{interval}. "
        )
        beyond = beyond_chance(gap, floor)
        chance = number(floor, gap.unit, difference=True)
        text += {
            True: f"Groups of these sizes with equal rates would show up to {chance} by chance.",
            False: f"Equal groups of these sizes show up to {chance} by chance, so these data "
            "don't tell this gap from none.",
            None: "No noise floor was computed, so chance is not ruled out.",
        }[beyond]
        verdict = {True: "beyond", False: "within", None: "open"}[beyond]
        clear = gap.value / floor if floor else 0.0
        found.append((clear, Finding(verdict, f"{describe(base)} by {gap.across}", text)))
    return [finding for _, finding in sorted(found, key=lambda pair: -pair[0])]


def _lead(results: Results) -> str:
    """Two or three sentences that a reader in a hurry needs."""
    overall = _overall(results)
    findings = _findings(results)
    name = results.protocol.get("name", results.kind)
    split = f", {results.protocol['split']} split" if "split" in results.protocol else ""
    parts = []
    if overall:
        numbers = [f"{describe(m.name).lower()} {number(m.value, m.unit)}" for m in overall[:3]]
        most = max(m.n for m in overall)
        parts.append(f"Over {most:,} examples ({name}{split}): {', '.join(numbers)}.")
    if findings:
        beyond = sum(f.verdict == "beyond" for f in findings)
        within = sum(f.verdict == "within" for f in findings)
        parts.append(
            f"Of {len(findings)} gaps between groups, {beyond} exceed what chance alone gives "
            f"groups of these sizes and {within} do not."
        )
    if findings and findings[0].verdict == "beyond":
        first = findings[0]
        parts.append(f"The clearest is {first.title[:1].lower() + first.title[1:]}.")
    return " ".join(parts)


# --- the sections -----------------------------------------------------------------------------


def _gap_section(results: Results) -> Section:
    by_axis: dict[tuple[str, str], list[tuple[str, Measure, float | None]]] = {}
    for gap, base, floor in _gaps(results):
        if gap.value is not None and gap.unit in ("fraction", "years", "ratio"):
            name = describe(base) if base else sentence(gap.name.replace("_", " "))
            kind = gap.name.removeprefix(base + "_").replace("_", " ")
            title = kind if base else ""
            key = (gap.across, gap.unit if not title else f"{gap.unit}|{title}")
            by_axis.setdefault(key, []).append((name, gap, floor))
    parts: dict[str, list[Figure]] = {}
    for index, ((across, axis), rows) in enumerate(by_axis.items()):
        unit, _, kind = axis.partition("|")
        words = {"fraction": "percentage points", "years": "years"}.get(unit, "")
        caption = sentence(kind or "gap") + (f", {words}" if words else "")
        svg = plots.gaps(f"gap-{index}", f"{caption} by {across}", rows)
        parts.setdefault(f"By {across}", []).append(Figure(Markup(svg), caption))
    lead = (
        "A gap between groups is never negative, so even equal groups show one. The hatched bar is "
        "how far chance alone goes in 19 of 20 draws with equal rates and these group sizes; a "
        "filled dot lies beyond it. Lines are the gap's own interval."
    )
    return Section("gaps", "Gaps, and what chance would give", lead, list(parts.items()))


def _group_section(results: Results) -> Section:
    overall = {m.name: m for m in _overall(results)}
    parts = []
    for attributes, names in _by_attribute(results).items():
        if len(attributes) > 1:
            continue
        figures = []
        for name, rows in names.items():
            if all(m.value is None for m in rows):
                continue
            order = _worst_first(rows)
            svg = plots.forest(
                f"group-{attributes[0]}-{name}".replace(" ", "-"),
                f"{describe(name)} by {attributes[0]}", rows,
                overall=overall.get(name), worst=order[0] if order else None,
            )  # fmt: skip
            figures.append(Figure(Markup(svg), describe(name), _direction(rows[0])))
        parts.append((f"By {attributes[0]}", figures))
    lead = (
        "A dot is the group's number, the line its interval; the dotted line is everyone. The "
        "worst group is in bold. Hollow and dashed: fewer than 30 errors, too few to judge by. An "
        "arrow: the interval goes on."
    )
    return Section("groups", "Group by group", lead, parts)


def _cell_section(results: Results) -> Section:
    parts = []
    for attributes, names in _by_attribute(results).items():
        if len(attributes) != 2:
            continue
        first, second = attributes
        figures = []
        for name, measures in names.items():
            if all(m.value is None for m in measures):
                continue
            rows = list(dict.fromkeys(m.group[first] for m in measures))
            columns = list(dict.fromkeys(m.group[second] for m in measures))
            at = {(m.group[first], m.group[second]): m for m in measures}
            backed = [m.value for m in measures if m.value is not None and not is_thin(m)]
            low, high = min(backed, default=0.0), max(backed, default=0.0)
            cells = [
                [
                    _cell(at.get((row, column)), low, high, roomy=len(columns) <= 3)
                    for column in columns
                ]
                for row in rows
            ]
            svg = plots.heat_map(
                f"cell-{first}-{second}-{name}".replace(" ", "-"),
                f"{describe(name)} by {first} and {second}", cells, rows=rows, columns=columns,
                row_axis=first, column_axis=second,
            )  # fmt: skip
            figures.append(Figure(Markup(svg), describe(name), _direction(measures[0])))
        parts.append((f"By {first} and {second}", figures))
    lead = (
        "The stronger the colour, the worse the cell among those of its map. Hatched: fewer than "
        "30 errors (or faces, where errors aren't counted), too few to judge by. "
        "n is the number of faces."
    )
    return Section("intersections", "Where two attributes meet", lead, parts)


def _cell(m: Measure | None, low: float, high: float, *, roomy: bool) -> plots.Cell:
    if m is None or m.value is None:
        return plots.Cell("–", ["", "n 0"] if roomy else ["n 0"], None)
    small = [span(m.interval, m.unit)] if roomy else []
    strength = (m.value - low) / (high - low) if high > low else 0.0
    if more_is_better(m.name):
        strength = 1 - strength if high > low else 0.0
    thin = is_thin(m)
    return plots.Cell(
        digits(m.value, m.unit), [*small, f"n {m.n:,}"], None if thin else min(max(strength, 0), 1)
    )


def _confusion_section(confusion: Mapping[str, Any]) -> Section:
    figures = []
    for name, matrix in confusion.items():
        cells = []
        for row in matrix["counts"]:
            whole = max(sum(row), 1)
            cells.append(
                [plots.Cell(f"{100 * n / whole:.0f}%", [f"{n:,}"], n / whole) for n in row]
            )
        svg = plots.heat_map(
            f"confusion-{len(figures)}", f"Confusion matrix of {name}", cells,
            rows=matrix["labels"], columns=matrix["labels"], row_axis="labelled",
            column_axis="predicted",
        )  # fmt: skip
        figures.append(Figure(Markup(svg), sentence(name)))
    lead = "Each row is what faces with one label were taken for: its percentages add up to 100."
    return Section("confusion", "What is taken for what", lead, [("", figures)])


def _calibration_section(calibration: Mapping[str, Any]) -> Section:
    figures = []
    for name, groups in calibration.items():
        bins = [c for curve in groups.values() for c in curve["confidence"] if c is not None]
        start = 0.5 if min(bins, default=0.0) >= 0.5 else 0.0
        svg = plots.reliability(
            f"calibration-{len(figures)}", f"Calibration of {name} by group", groups, start=start
        )
        figures.append(Figure(Markup(svg), sentence(name), "Right (%) against confidence (%)"))
    lead = (
        "When the model says 80%, is it right 80 times of 100? Points below the dotted line: it is "
        "surer than it should be. Big points hold many faces, hollow ones fewer than 30; faint "
        "lines are the other groups."
    )
    return Section("calibration", "Is its confidence earned?", lead, [("", figures)])


def _curve_section(rows: Sequence[Mapping[str, Any]]) -> Section:
    lines: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in rows:
        for key, value in row.items():
            if key in ("step", "epoch", "time") or isinstance(value, bool):
                continue
            if isinstance(value, int | float) and abs(value) < float("inf") and "step" in row:
                phase, name = _phase(key)
                lines.setdefault(name, {}).setdefault(phase, []).append((row["step"], value))
    names = sorted(lines, key=lambda name: (name != "loss", metric_of(name) is None))
    figures = []
    for name in names[:MOST_CURVES]:
        drawn = [plots.Line(phase, *_thinned(points)) for phase, points in lines[name].items()]
        phases = " and ".join(line.name for line in drawn if line.name)
        svg = plots.curves(f"curve-{len(figures)}", f"{describe(name)} over the run", drawn,
                           x_axis="step")  # fmt: skip
        figures.append(Figure(Markup(svg), describe(name), phases))
    left = len(names) - len(figures)
    lead = f"{left} more are in metrics.jsonl." if left else ""
    return Section("training", "Training", lead, [("", figures)])


def _phase(key: str) -> tuple[str, str]:
    """ "train/loss" or "train_loss" -> ("train", "loss"); others have no phase."""
    if "/" in key:
        phase, _, name = key.rpartition("/")
        return phase, name
    hit = re.match(r"(train|validation|val|eval|test)_(.+)", key)
    return (hit[1], hit[2]) if hit else ("", key)


def _thinned(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """At most MOST_POINTS points: means of equally many neighbours."""
    size = -(-len(points) // MOST_POINTS)
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    x, y = ([sum(p[axis] for p in part) / len(part) for part in parts] for axis in (0, 1))
    return x, y


def _data_section(manifest: Mapping[str, Any]) -> Section:
    tables = []
    plain = {}
    for key, value in manifest.items():
        name = sentence(key.replace("_", " "))
        if _is_crosstab(value):
            tables.append(_crosstab(name, value))
        elif isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 5:
            tables.append(_listing(name, value))
        elif value and isinstance(value, Sequence) and isinstance(value[0], Mapping):
            tables.append(_listing(name, value))
        else:
            plain[key] = value
    if plain:
        tables.insert(0, _settings("Source", plain, "item", "value"))
    return Section("data", "Data", tables=tables)


def _is_crosstab(value: Any) -> bool:
    """Whether it is {split: {...: count}}: tables of counts whose leaves are whole numbers."""
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(v, Mapping) and v for v in value.values())
        and all(type(leaf) is int for v in value.values() for _, leaf in _leaves(v))
    )


def _crosstab(title: str, value: Mapping[str, Any]) -> Table:
    columns = {str(column): dict(_leaves(tree)) for column, tree in value.items()}
    names = dict.fromkeys(name for leaves in columns.values() for name in leaves)
    rows = [
        [name.replace(".", ": "), *(f"{leaves.get(name, 0):,}" for leaves in columns.values())]
        for name in names
    ]
    return Table(title, ["", *columns], rows)


def _listing(title: str, items: Sequence[Any]) -> Table:
    shown = [item if isinstance(item, Mapping) else {"": item} for item in items[:MOST_ROWS]]
    columns = list(dict.fromkeys(str(key) for item in shown for key in item))
    rows = [[_plain(item.get(column, "")) for column in columns] for item in shown]
    left = len(items) - len(rows)
    return Table(f"{title} ({len(items):,})", columns, rows, f"{left:,} more are in data.json." if left else "")


def _settings_section(config: Mapping[str, Any]) -> Section:
    tables = []
    loose = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            tables.append(_settings(str(key), value, "key", "value"))
        else:
            loose[key] = value
    if loose:
        tables.insert(0, _settings("run", loose, "key", "value"))
    return Section("settings", "Settings", "The resolved config.", tables=tables)


def _settings(title: str, tree: Mapping[str, Any], *columns: str) -> Table:
    return Table(title, columns, [[name, _plain(leaf)] for name, leaf in _leaves(tree)])


def _method_section(results: Results) -> Section:
    made: dict[tuple[str, str, str], list[str]] = {}
    for m in results.measures:
        interval = f"{_level(m)}: {m.method}" if m.method else "none"
        ddof = "" if m.ddof is None else str(m.ddof)
        names = made.setdefault((m.rule or "–", interval, ddof), [])
        if m.name not in names:
            names.append(m.name)
    has_ddof = any(ddof for _, _, ddof in made)
    rows = [
        [", ".join(names), rule, interval, *([ddof or "–"] if has_ddof else [])]
        for (rule, interval, ddof), names in made.items()
    ]
    columns = ["numbers", "rule", "interval", *(["ddof"] if has_ddof else [])]
    tables = [Table("Rules and intervals", columns, rows)] if rows else []
    if results.protocol:
        tables.append(_settings("Protocol", results.protocol, "choice", "value"))
    return Section("method", "How each number was made", tables=tables)


def _all_numbers(measures: Sequence[Measure]) -> Table:
    rows = [
        [
            m.name,
            group_name(m.group) + (f", across {m.across}" if m.across else ""),
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


# --- small things -----------------------------------------------------------------------------


def _level(m: Measure) -> str:
    return "interval" if m.level is None else f"{100 * m.level:g}% interval"


def _direction(m: Measure) -> str:
    better = {True: "more is better", False: "less is better", None: ""}[more_is_better(m.name)]
    unit = {"fraction": "%", "years": "years"}.get(m.unit, m.unit)
    return ", ".join(part for part in (unit, better) if part)


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """The leaves of a nested mapping with dotted names."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items()) or "none"
    return "none" if value is None else str(value)


def _numeric_columns(table: Table) -> list[bool]:
    """For each column whether it holds numbers: such columns are set to the right."""

    def is_number(cell: str) -> bool:
        return cell in ("", "–", "undefined") or re.match(r"[-+−<>≤≥]?\.?\d[\d,.]*(%|\b)", cell) is not None

    columns: Callable[[int], list[str]] = lambda place: [row[place] for row in table.rows]
    return [
        place > 0 and any(columns(place)) and all(is_number(cell) for cell in columns(place))
        for place in range(len(table.columns))
    ]
