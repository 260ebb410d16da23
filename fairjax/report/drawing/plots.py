"""Plots as inline SVG: themed by the page, readable without colour, the same bytes every time.

Every function returns one `<svg>` element. Its colours are CSS variables of the page (with the
light palette as a fallback), its text is text, and its title and description say in words what it
shows. Groups differ by place and marker shape; colour only helps.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.patches import Rectangle

from fairjax.core.results import FEW, Measure
from fairjax.report.drawing import svg
from fairjax.report.drawing.marks import (
    colour,
    counted,
    dot,
    marker,
    measure_words,
    number_axis,
    whisker,
    write,
)
from fairjax.report.drawing.svg import ACCENT, GROUPS, INK, LINE, MUTED, PAPER, WIDTH
from fairjax.report.wording import digits, group_name, printable, span


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
        index = y if len(measures) <= len(GROUPS) else 0  # a long scale of ages needs no colours
        edge = MUTED if thin else INK if is_overall else colour(index)
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
        dot(axes, m, y, edge, "d" if is_overall else marker(index), hollow=thin)
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
    for index, (name, bins) in enumerate(points.items()):
        x, y = index % across, index // across
        ink, shape = (colour(index - 1), marker(index - 1)) if index else (INK, "d")
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


def _bins(curve: Mapping[str, Sequence[Any]]) -> list[tuple[float, float, int]]:
    """(confidence, accuracy, n) of the bins that hold anything."""
    rows = zip(curve["confidence"], curve["accuracy"], curve["n"], strict=True)
    return [(c, a, n) for c, a, n in rows if c is not None and a is not None and n]
