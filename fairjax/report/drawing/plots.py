"""Plots as inline SVG: themed by the page, readable without colour, the same bytes every time.

Every function returns one `<svg>` element. Its colours are CSS variables of the page (with the
light palette as a fallback), its text is text, and its title and description say in words what it
shows. Groups differ by place and marker shape; colour only helps.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.patches import Arc, Ellipse, Rectangle

from fairjax.core.results import FEW, Measure
from fairjax.report.drawing import svg
from fairjax.report.drawing.marks import (
    colour,
    counted,
    dot,
    marker,
    measure_words,
    number_axis,
    pushed_apart,
    whisker,
    write,
)
from fairjax.report.drawing.svg import ACCENT, GROUPS, INK, LINE, MUTED, PAPER, WIDTH
from fairjax.report.wording import (
    digits,
    group_name,
    printable,
    span,
)

STROKES = ["-", "--", "-.", ":"]


class Cell(NamedTuple):
    """One cell of a heat map.

    Attributes:
      text: The number, in large type.
      small: Lines below it, in small type.
      strength: How strongly it is filled, in [0, 1]; None draws hatching: too little data.
    """

    text: str
    small: Sequence[str]
    strength: float | None


class Line(NamedTuple):
    """One line of a line plot: its name and its points."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@matplotlib.rc_context(svg.RC)
def forest(
    key: str, title: str, measures: Sequence[Measure], *, overall: Measure | None, worst: int | None
) -> str:
    """A dot with its interval for each group, the numbers written beside it.

    Groups with few errors are hollow, dashed and grey. The axis follows the rates; an interval that
    leaves the plot ends in an arrow.

    Args:
      key: Unique on the page; the element ids begin with it.
      title: What is shown, for those who can't see it.
      measures: One a group, all of one unit; a value of None is written as undefined.
      overall: The measure over everyone: the vertical line. None draws none.
      worst: The place of the worst group, set in bold; None marks none.
    """
    rows = [*measures, *([overall] if overall else [])]
    unit = measures[0].unit
    names = [printable(group_name(m.group), limit=16) for m in rows]
    left = 16 + 7.2 * max(len(name) for name in names)
    row, right = 27, 138
    figure = svg.new_figure(WIDTH, 30 + row * len(rows))
    axes = svg.add_axes(figure, left, 4, WIDTH - left - right, row * len(rows))
    low, high = _limits(rows, unit)
    axes.set(xlim=(low, high), ylim=(len(rows) - 0.5, -0.5), yticks=[])
    axes.spines["left"].set_visible(False)
    number_axis(axes, "x", unit)
    if overall and overall.value is not None:
        axes.axvline(overall.value, color=MUTED, lw=1, ls=(0, (2, 2)), zorder=1)
        axes.axhline(len(rows) - 1.5, color=LINE, lw=1)
    for y, m in enumerate(rows):
        is_overall = m is overall
        weight = "bold" if y == worst or is_overall else "normal"
        thin = m.is_thin
        place = y if len(measures) <= len(GROUPS) else 0  # a long scale of ages needs no colours
        edge = MUTED if thin else INK if is_overall else colour(place)
        write(axes, names[y], 0, y, -8, ha="right", weight=weight)
        write(
            axes,
            digits(m.value, unit),
            1,
            y,
            46,
            ha="right",
            weight="bold",
            color=MUTED if thin else INK,
        )
        write(axes, span(m.interval, unit), 1, y, 54, color=MUTED, fontsize=10.5)
        dot(axes, m, y, edge, "d" if is_overall else marker(place), hollow=thin)
    parts = [f"{group_name(m.group)} {measure_words(m)}" for m in rows]
    return svg.render(figure, key, title, "; ".join(parts) + ".")


@matplotlib.rc_context(svg.RC)
def bars(key: str, title: str, measures: Sequence[Measure], *, overall: Measure | None) -> str:
    """A bar with its interval for each group, the number and the count of errors beside it.

    The axis starts at zero and follows the rates; an interval that leaves the plot ends in an
    arrow. Bars with few errors behind them are hatched.

    Args:
      key: Unique on the page; the element ids begin with it.
      title: What is shown, for those who can't see it.
      measures: One a group, all of one unit; a value of None is written as undefined.
      overall: The measure over everyone, below the groups; None leaves it out.
    """
    rows = [*measures, *([overall] if overall else [])]
    unit = measures[0].unit
    names = [printable(group_name(m.group), limit=16) for m in rows]
    left = 16 + 7.2 * max(len(name) for name in names)
    row, right = 32, 142
    figure = svg.new_figure(WIDTH, 24 + row * len(rows))
    axes = svg.add_axes(figure, left, 2, WIDTH - left - right, row * len(rows))
    axes.set(xlim=(0.0, _reach(rows)), ylim=(len(rows) - 0.5, -0.5), yticks=[])
    number_axis(axes, "x", unit, ticks=3)
    for y, m in enumerate(rows):
        is_overall = m is overall
        weight = "bold" if is_overall else "normal"
        edge = INK if is_overall else colour(y if len(measures) <= len(GROUPS) else 0)
        write(axes, names[y], 0, y, -8, ha="right", weight=weight)
        if m.value is not None:
            style: dict[str, Any] = dict(fc=edge, alpha=0.55, lw=0)
            if m.is_thin:
                style = dict(fc="none", ec=edge, lw=0.9, hatch="/////")
            axes.add_patch(Rectangle((0, y - 0.26), m.value, 0.52, zorder=1, **style))
        whisker(axes, m, y)
        value = digits(m.value, unit)
        write(axes, value, 1, y, 46, ha="right", weight="bold", color=MUTED if m.is_thin else INK)
        write(axes, span(m.interval, unit), 1, y - 0.2, 54, color=MUTED, fontsize=10.5)
        write(axes, counted(m), 1, y + 0.22, 54, color=MUTED, fontsize=9)
    parts = [f"{group_name(m.group)} {measure_words(m)}, {counted(m)}" for m in rows]
    return svg.render(figure, key, title, "; ".join(parts) + ".")


@matplotlib.rc_context(svg.RC)
def heat_map(
    key: str,
    title: str,
    cells: Sequence[Sequence[Cell]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    row_axis: str,
    column_axis: str,
    cell_width: float | int = 0,
    over_face: bool = False,
) -> str:
    """A grid of numbers, filled by strength; cells without enough data are hatched.

    Args:
      key: Unique on the page; the element ids begin with it.
      title: What is shown, for those who can't see it.
      cells: One sequence a row, as long as `columns`.
      rows: Names down the side.
      columns: Names along the top.
      row_axis: What the rows are.
      column_axis: What the columns are.
      cell_width: Pixels of one cell; 0 shares out the usual width.
      over_face: Whether the cells are square patches of an aligned face, whose outline is drawn.
    """
    names = [printable(name, limit=20 if cell_width else 14) for name in rows]
    left = 32 + 6.6 * max(len(name) for name in names)
    width = cell_width or min((WIDTH - left - 2) / len(columns), 112)
    height = width if over_face else 24 + 14 * max(len(cell.small) for row in cells for cell in row)
    total = left + width * len(columns) + 2
    figure = svg.new_figure(total, 44 + height * len(rows))
    axes = svg.add_axes(figure, left, 42, width * len(columns), height * len(rows))
    axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    place: dict[str, Any] = {"ha": "center", "va": "center", "annotation_clip": False}
    axes.annotate(
        column_axis,
        (0.5, 1),
        (0, 33),
        "axes fraction",
        "offset points",
        color=MUTED,
        fontsize=11,
        **place,
    )
    axes.annotate(
        row_axis,
        (0, 0.5),
        (9 - left, 0),
        "axes fraction",
        "offset points",
        color=MUTED,
        fontsize=11,
        rotation=90,
        **place,
    )
    for x, name in enumerate(columns):
        text = printable(name, limit=max(4, int(width / 7)))
        axes.annotate(text, (x + 0.5, 0), (0, 11), "data", "offset points", **place)
    for y, name in enumerate(names):
        axes.annotate(
            name,
            (0, y + 0.5),
            (-7, 0),
            "data",
            "offset points",
            ha="right",
            va="center",
            annotation_clip=False,
        )
        for x, cell in enumerate(cells[y]):
            _cell(axes, x, y, cell, 10 if over_face else 13)
    if over_face:
        _face(axes, len(columns))
    parts = [
        f"{row}, {column}: {' '.join([cell.text, *cell.small])}"
        for row, line in zip(rows, cells, strict=True)
        for column, cell in zip(columns, line, strict=True)
    ]
    return svg.render(figure, key, title, "; ".join(parts) + ".")


@matplotlib.rc_context(svg.RC)
def reliability(
    key: str,
    title: str,
    overall: Mapping[str, Sequence[Any]],
    groups: Mapping[str, Mapping[str, Sequence[Any]]],
) -> str:
    """Observed accuracy against stated confidence, one small panel a group.

    Each panel repeats the other groups faintly. A point's size grows with its n; bins of few
    examples are hollow.

    Args:
      key: Unique on the page; the element ids begin with it.
      title: What is shown, for those who can't see it.
      overall: Over everyone, by bin: "confidence" and "accuracy" (fractions, None where the bin is
        empty), and "n".
      groups: Calibration bins of each group.
    """
    points = {"everyone": _bins(overall), **{name: _bins(group) for name, group in groups.items()}}
    across = min(3, len(points))
    down = math.ceil(len(points) / across)
    side, gutter, left = 98, 20, 42
    figure = svg.new_figure(left + across * (side + gutter), 26 + down * (side + 38))
    every = [bin_ for bins in points.values() for bin_ in bins]
    most = max((n for _, _, n in every), default=1)
    start = math.floor(10 * min((c for c, _, _ in every), default=0.0)) / 10
    low = min((a for _, a, n in every if n >= FEW), default=start)
    parts = []
    for place, (name, bins) in enumerate(points.items()):
        x, y = place % across, place // across
        ink, shape = (colour(place - 1), marker(place - 1)) if place else (INK, "d")
        axes = svg.add_axes(figure, left + x * (side + gutter), 22 + y * (side + 38), side, side)
        axes.set(xlim=(start, 1.0), ylim=(min(low, start), 1.0))
        axes.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=(0, (2, 2)))
        for other, faint in points.items():
            if other != name and faint:
                axes.plot(*zip(*[b[:2] for b in faint], strict=True), color=LINE, lw=1)
        if bins:
            axes.plot(*zip(*[b[:2] for b in bins], strict=True), color=ink, lw=1.6)
        for confidence, accuracy, n in bins:
            axes.plot(
                confidence,
                accuracy,
                shape,
                color=ink,
                ms=3 + 5 * math.sqrt(n / most),
                mfc=ink if n >= FEW else PAPER,
                zorder=3,
            )
        axes.set_title(printable(name, limit=15), fontsize=12, pad=5)
        number_axis(axes, "x", "fraction", ticks=2, suffix=False)
        number_axis(axes, "y", "fraction", ticks=2, suffix=False)
        axes.tick_params(axis="y", labelleft=x == 0)
        notes = [f"{100 * c:.0f}% sure, {100 * a:.0f}% right (n {n:,})" for c, a, n in bins]
        parts.append(f"{name}: {', '.join(notes) or 'no example'}")
    return svg.render(figure, key, title, "; ".join(parts) + ".")


@matplotlib.rc_context(svg.RC)
def differences(
    key: str, title: str, rows: Sequence[tuple[str, float, tuple[float, float] | None]]
) -> str:
    """A dot with its interval for each difference, and a line at 0.

    Args:
      key: Unique on the page; the element ids begin with it.
      title: What is shown, for those who can't see it.
      rows: (name, difference, interval) of each, at least one.
    """
    names = [printable(name, limit=60) for name, _, _ in rows]
    left, row = 16 + 6.4 * max(map(len, names)), 27
    figure = svg.new_figure(left + WIDTH, 30 + row * len(rows))
    axes = svg.add_axes(figure, left, 4, WIDTH - 16, row * len(rows))
    axes.set(ylim=(len(rows) - 0.5, -0.5), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.axvline(0, color=MUTED, lw=1, ls=(0, (2, 2)), zorder=1)
    for y, (name, (_, mean, interval)) in enumerate(zip(names, rows, strict=True)):
        if interval is not None:
            axes.plot(interval, (y, y), color=ACCENT, lw=1.7)
        axes.plot([mean], [y], marker="o", ms=7, color=ACCENT, ls="")
        write(axes, name, 0, y, -8, ha="right")
    parts = [
        f"{name} {mean:.3g}" + (f" from {interval[0]:.3g} to {interval[1]:.3g}" if interval else "")
        for name, mean, interval in rows
    ]
    return svg.render(figure, key, title, "; ".join(parts) + ".")


class Choice(NamedTuple):
    """One point of a trade-off.

    Attributes:
      name: Name of what has these numbers.
      x: The number that is better the higher.
      y: The number that is better the lower.
      x_span: Interval of x, or None.
      y_span: Interval of y, or None.
      front: Whether no other point is better in one number and as good in the other.
    """

    name: str
    x: float
    y: float
    x_span: tuple[float, float] | None
    y_span: tuple[float, float] | None
    front: bool


@matplotlib.rc_context(svg.RC)
def trade_off(key: str, title: str, choices: Sequence[Choice], *, x_axis: str, y_axis: str) -> str:
    """Two numbers against each other, with their intervals; the best choices joined by a line.

    A point that another beats is hollow. Points are numbered, and the names stand to the right.

    Args:
      key: Unique on the page; the element ids begin with it.
      title: What is shown, for those who can't see it.
      choices: At least one.
      x_axis: What runs along the bottom: better to the right.
      y_axis: What runs up the side: better below.
    """
    names = [f"{i} {printable(c.name, limit=24)}" for i, c in enumerate(choices, 1)]
    right = 24 + 6.4 * max(map(len, names))
    height = max(190, 15 * len(names))
    figure = svg.new_figure(WIDTH + right, height + 48)
    axes = svg.add_axes(figure, 60, 8, WIDTH - 70, height)
    axes.set(xlabel=x_axis, ylabel=y_axis)
    axes.grid(color=LINE, lw=0.6)
    axes.set_axisbelow(True)
    front = sorted((c.x, c.y) for c in choices if c.front)
    axes.plot([x for x, _ in front], [y for _, y in front], color=MUTED, lw=1.2, ls="--", zorder=1)
    for number, (name, c) in enumerate(zip(names, choices, strict=True), 1):
        edge = colour(number - 1)
        for span_of, ends in ((c.x_span, "x"), (c.y_span, "y")):
            if span_of is not None:
                line = (span_of, (c.y, c.y)) if ends == "x" else ((c.x, c.x), span_of)
                axes.plot(*line, color=edge, lw=1, alpha=0.5, zorder=1)
        axes.plot(
            [c.x],
            [c.y],
            marker=marker(number - 1),
            ms=8,
            color=edge,
            mfc=edge if c.front else PAPER,
            ls="",
            zorder=3,
        )
        axes.annotate(str(number), (c.x, c.y), (7, 5), textcoords="offset points", fontsize=10.5)
        axes.annotate(
            name,
            (1, 1),
            (14, -15 * number),
            ("axes fraction", "axes fraction"),
            "offset points",
            weight="bold" if c.front else "normal",
            fontsize=10.5,
            annotation_clip=False,
        )
    notes = [
        f"{c.name}: {x_axis} {c.x:.4g}, {y_axis} {c.y:.4g}"
        + ("" if c.front else ", beaten by another")
        for c in choices
    ]
    return svg.render(figure, key, title, "; ".join(notes) + ".")


@matplotlib.rc_context(svg.RC)
def curves(key: str, title: str, lines: Sequence[Line], *, x_axis: str) -> str:
    """Lines over training steps, each named at its right end.

    Args:
      key: Unique on the page; the element ids begin with it.
      title: What is shown, for those who can't see it.
      lines: At least one, each with at least one point.
      x_axis: What runs along the bottom.
    """
    names = [printable(line.name, limit=16) for line in lines]
    right = 16 + (7 * max(map(len, names)) if len(lines) > 1 else 0)
    figure = svg.new_figure(WIDTH, 190)
    axes = svg.add_axes(figure, 52, 8, WIDTH - 52 - right, 142)
    axes.set_xlabel(x_axis)
    axes.locator_params(axis="x", nbins=5)
    axes.locator_params(axis="y", nbins=5)
    axes.grid(axis="y", color=LINE, lw=0.6)
    axes.set_axisbelow(True)
    for index, line in enumerate(lines):
        lone = len(line.x) == 1
        axes.plot(
            line.x,
            line.y,
            marker=marker(index) if lone else None,
            color=colour(index),
            lw=1.7,
            ls=STROKES[index % len(STROKES)],
        )
    if len(lines) > 1:
        _end_labels(axes, lines)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ends = [f"{line.name} from {line.y[0]:.4g} to {line.y[-1]:.4g}" for line in lines]
    return svg.render(figure, key, title, "; ".join(ends) + ".")


def _limits(measures: Sequence[Measure], unit: str) -> tuple[float, float]:
    """The range of the well-backed rates, widened for all else by at most its own width a side."""
    backed = [m for m in measures if not m.is_thin] or measures
    values = [m.value for m in backed if m.value is not None]
    low, high = min(values, default=0.0), max(values, default=1.0)
    reach = max(high - low, 0.5 * abs(high))  # equal rates have no extent
    ends = [e for m in measures for e in (m.value, *(m.interval or ())) if e is not None]
    low, high = max(low - reach, min([low, *ends])), min(high + reach, max([high, *ends]))
    air = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    return max(0.0, low - air), min(1.0, high + air) if unit == "fraction" else high + air


def _reach(measures: Sequence[Measure]) -> float:
    """Where an axis of bars ends: at intervals, but not beyond 1.6 times the highest rate.

    Without any error it ends at the lowest upper end, the only scale that there is.
    """
    highest = max((m.value for m in measures if m.value is not None), default=0.0)
    ends = [m.interval[1] for m in measures if m.interval]
    if not highest:
        return 1.05 * min((e for e in ends if e > 0), default=1.0)
    return 1.04 * min(max([highest, *ends]), 1.6 * highest)


def _cell(axes: Axes, x: int, y: int, cell: Cell, size: int) -> None:
    """One heat-map cell with its lines of text, the first one so large."""
    thin = cell.strength is None
    fill = (*matplotlib.colors.to_rgb(ACCENT), 0.03 + 0.5 * (cell.strength or 0.0))
    axes.add_patch(
        Rectangle(
            (x + 0.01, y + 0.02),
            0.98,
            0.96,
            lw=0.7,
            ec=LINE,
            fc="none" if thin else fill,
            hatch="////" if thin else None,
            zorder=1,
        )
    )
    top = 7 * len(cell.small)
    lines = [(cell.text, size, "bold"), *((small, 10.5, "normal") for small in cell.small)]
    for index, (text, points, weight) in enumerate(lines):
        axes.annotate(
            text,
            (x + 0.5, y + 0.5),
            (0, top - 14 * index),
            "data",
            "offset points",
            ha="center",
            va="center",
            fontsize=points,
            weight=weight,
            color=MUTED if thin else INK,
            zorder=3,
        )


def _face(axes: Axes, side: int) -> None:
    """The outline of an aligned face over a map: head, eyes, nose and mouth of nobody."""
    style: dict[str, Any] = dict(fc="none", ec=INK, lw=1.4, alpha=0.55, zorder=4)
    axes.add_patch(Ellipse((0.5 * side, 0.52 * side), 0.74 * side, 0.94 * side, **style))
    for x in (0.34, 0.66):
        axes.add_patch(Ellipse((x * side, 0.42 * side), 0.16 * side, 0.07 * side, **style))
    axes.add_patch(Arc((0.5 * side, 0.58 * side), 0.12 * side, 0.1 * side, theta2=180, **style))
    axes.add_patch(Arc((0.5 * side, 0.72 * side), 0.32 * side, 0.14 * side, theta2=180, **style))


def _bins(curve: Mapping[str, Sequence[Any]]) -> list[tuple[float, float, int]]:
    """(confidence, accuracy, n) of the bins that hold anything."""
    rows = zip(curve["confidence"], curve["accuracy"], curve["n"], strict=True)
    return [(c, a, n) for c, a, n in rows if c is not None and a is not None and n]


def _end_labels(axes: Axes, lines: Sequence[Line]) -> None:
    """Names at the right ends, pushed apart where they would overlap."""
    low, high = axes.get_ylim()
    pixel = (high - low) / 142
    heights = pushed_apart([(line.y[-1] - low) / pixel for line in lines], 13, 142)
    for index, (line, height) in enumerate(zip(lines, heights, strict=True)):
        name = printable(line.name, limit=16)
        write(
            axes,
            name,
            1,
            low + height * pixel,
            6,
            color=colour(index),
            weight="bold",
            fontsize=10.5,
        )
