"""Plots of verification as inline SVG: error trade-offs, rates over the threshold, scores, changes.

As in `plots`: one `<svg>` element each, themed by the page, described in words. Every curve is
named beside the plot, with a line that leads to it, and has a marker of its own; colour only helps.
It is solid where at least 30 errors stand behind it and dashed elsewhere.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import matplotlib
from matplotlib.axes import Axes

from fairjax.core.results import Measure
from fairjax.report.drawing import svg
from fairjax.report.drawing.marks import (
    colour,
    dot,
    marker,
    measure_words,
    number_axis,
    pushed_apart,
    write,
)
from fairjax.report.drawing.svg import INK, LINE, MUTED, PAPER, WARN, WIDTH
from fairjax.report.wording import digits, excludes_zero, group_name, number, printable, span

EVERYONE = "everyone"
_HEIGHT = 236
_NONMATED: dict[str, Any] = dict(fill=True, fc="none", ec=MUTED, hatch="/////", lw=0.8)
_LINE = 13.5  # pixels between names beside a plot


class Scale(NamedTuple):
    """How numbers are laid out along an axis.

    Attributes:
      position: Where a number lies; it may raise ValueError outside the scale's domain.
      ticks: Numbers worth a tick; none leaves the choice to the plot.
    """

    position: Callable[[float], float]
    ticks: Sequence[float] = ()


_DECADES = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
PROBIT = Scale(NormalDist().inv_cdf, (*_DECADES[:-2], 0.05, 0.2, 0.5, 0.8, 0.95))
LOG = Scale(math.log10, _DECADES)
LINEAR = Scale(float)


class Curve(NamedTuple):
    """One group's curve.

    Attributes:
      name: The group, or EVERYONE.
      x: Along the bottom.
      y: Up the side.
      backed: Whether at least 30 errors stand behind each point.
      dots: Where the operating points put the group, the first being the one it is named at.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    backed: Sequence[bool]
    dots: Sequence[tuple[float, float]]


class ThresholdAxis(NamedTuple):
    """Where thresholds lie on a plot: from `low` at `left` to `high` at `right`.

    The sides of the axes are percentages of the plot's width and height.
    """

    low: float
    high: float
    left: float
    right: float
    top: float
    bottom: float


@matplotlib.rc_context(svg.RC)
def trade_off(
    key: str,
    title: str,
    curves: Sequence[Curve],
    *,
    x: tuple[str, Scale],
    y: tuple[str, Scale],
    guides: Mapping[str, float] | None = None,
) -> tuple[str, ThresholdAxis]:
    """One curve a group: error trade-offs (DET, ROC), or a rate over the threshold.

    A filled marker is where an operating point puts the group; a hollow one ends the stretch that
    30 errors back.

    Args:
      key: Unique on the page; the element ids begin with it.
      title: What is shown, for those who can't see it.
      curves: At least one of them `is_drawn`; numbers outside a scale are left out.
      x: What runs along the bottom, and how.
      y: What runs up the side, and how.
      guides: Names and places of vertical lines.

    Returns:
      The plot, and where its bottom axis lies on it.
    """
    names = [printable(curve.name, limit=15) for curve in curves]
    left, right = 62.0, 26 + 7.0 * max(map(len, names))
    top = 10.0 + 12 * len(guides or {})
    figure = svg.new_figure(WIDTH, top + _HEIGHT + 44)
    axes = svg.add_axes(figure, left, top, WIDTH - left - right, _HEIGHT)
    shown = [_placed(curve, x[1], y[1]) for curve in curves]
    bottom, side = (
        _limits(point[axis] for curve in shown for point in (*curve.points, *curve.dots))
        for axis in (0, 1)
    )
    axes.set(xlim=bottom, ylim=side, xlabel=x[0], ylabel=y[0])
    _ticks(axes, "x", x[1], bottom, apart=42 / (WIDTH - left - right), percent=x[1] is not LINEAR)
    _ticks(axes, "y", y[1], side, apart=16 / _HEIGHT, percent=True)
    axes.grid(color=LINE, lw=0.5)
    axes.set_axisbelow(True)
    for level, (name, position) in enumerate((guides or {}).items()):
        axes.axvline(position, color=MUTED, lw=1, ls=(0, (2, 2)), zorder=1)
        axes.annotate(
            printable(name, limit=18),
            (position, 1),
            (0, 5 + 12 * level),
            ("data", "axes fraction"),
            "offset points",
            ha="center",
            color=MUTED,
            fontsize=9.5,
        )
    looks = [_look(curve.name, index) for index, curve in enumerate(curves)]
    for curve, look in zip(shown, looks, strict=True):
        _draw(axes, curve, *look)
    _name_curves(axes, names, shown, looks)
    parts = [_said(curve, x[0], y[0], x[1] is LINEAR) for curve in curves]
    height = top + _HEIGHT + 44
    sides = left / WIDTH, 1 - right / WIDTH, top / height, 44 / height
    drawn = svg.render(figure, key, title, "; ".join(parts) + ".")
    return drawn, ThresholdAxis(*bottom, *(round(100 * share, 3) for share in sides))


@matplotlib.rc_context(svg.RC)
def histograms(
    key: str,
    title: str,
    edges: Sequence[float],
    groups: Mapping[str, tuple[Sequence[int], Sequence[int]]],
    thresholds: Sequence[float],
    *,
    noun: str = "score",
) -> str:
    """Scores of mated and of non-mated pairs, one small panel a group.

    Mated scores are a thick line, non-mated ones a hatched area; each is scaled to its own highest
    bin. Dotted: the operating thresholds.

    Args:
      key: Unique on the page; the element ids begin with it.
      title: What is shown, for those who can't see it.
      edges: Edges of the bins, increasing.
      groups: For each group its counts of mated and of non-mated pairs by bin.
      thresholds: The operating thresholds.
      noun: What a value is: a score, or a distance.
    """
    across = min(3, len(groups))
    down = math.ceil(len(groups) / across)
    wide, high, gutter = 112, 74, 14
    figure = svg.new_figure(12 + across * (wide + gutter), 8 + down * (high + 46))
    parts = []
    for index, (name, (mated, nonmated)) in enumerate(groups.items()):
        x, y = index % across, index // across
        axes = svg.add_axes(figure, 8 + x * (wide + gutter), 22 + y * (high + 46), wide, high)
        axes.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.06), yticks=[])
        axes.spines["left"].set_visible(False)
        for counts, style in ((nonmated, _NONMATED), (mated, {"ec": colour(index), "lw": 1.5})):
            axes.stairs([n / max(max(counts), 1) for n in counts], edges, **style)
        for threshold in thresholds:
            axes.axvline(threshold, color=INK, lw=1, ls=(0, (1, 2)))
        number_axis(axes, "x", "", ticks=3)
        axes.set_title(printable(name, limit=16), fontsize=11.5, pad=4)
        means = [_mean(edges, counts) for counts in (mated, nonmated)]
        parts.append(
            f"{name}: {sum(mated):,} mated pairs, mean {noun} {means[0]}; "
            f"{sum(nonmated):,} non-mated, mean {noun} {means[1]}"
        )
    return svg.render(figure, key, title, "; ".join(parts) + ".")


@matplotlib.rc_context(svg.RC)
def change(key: str, title: str, measures: Sequence[Measure]) -> str:
    """What one system has more than another, with its interval, on both sides of zero.

    A change whose interval leaves out zero is filled, another hollow.

    Args:
      key: Unique on the page; the element ids begin with it.
      title: What is shown, for those who can't see it.
      measures: One a group, all of one unit.
    """
    unit = measures[0].unit
    names = [printable(group_name(m.group), limit=16) for m in measures]
    left = 16 + 7.2 * max(map(len, names))
    row, right = 27, 138
    figure = svg.new_figure(WIDTH, 34 + row * len(measures))
    axes = svg.add_axes(figure, left, 4, WIDTH - left - right, row * len(measures))
    ends = [abs(e) for m in measures for e in (m.value, *(m.interval or ())) if e is not None]
    reach = 1.08 * max([*ends, 1e-9])
    axes.set(xlim=(-reach, reach), ylim=(len(measures) - 0.5, -0.5), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.axvline(0, color=MUTED, lw=1, ls=(0, (2, 2)), zorder=1)
    number_axis(axes, "x", unit, difference=True, ticks=3)
    for y, m in enumerate(measures):
        clear = excludes_zero(m)
        write(axes, names[y], 0, y, -8, ha="right", weight="normal" if m.group else "bold")
        write(axes, digits(m.value, unit), 1, y, 46, ha="right", weight="bold")
        write(axes, span(m.interval, unit), 1, y, 54, color=MUTED, fontsize=10.5)
        dot(axes, m, y, WARN if clear else MUTED, marker(y) if m.group else "d", hollow=not clear)
    parts = [f"{group_name(m.group)} {measure_words(m)}" for m in measures]
    return svg.render(figure, key, title, "; ".join(parts) + ".")


@matplotlib.rc_context(svg.RC)
def found_and_held(key: str, title: str, found: Sequence[Measure], held: Sequence[Measure]) -> str:
    """Each group's rate as found (hollow, above) and with covariates held (filled, below).

    Args:
      key: Unique on the page; the element ids begin with it.
      title: What is shown, for those who can't see it.
      found: Rate of each group with its interval.
      held: Rate of each group with covariates held, with its interval.
    """
    names = [printable(group_name(m.group), limit=16) for m in found]
    left = 16 + 7.2 * max(map(len, names))
    row, right = 40, 168
    figure = svg.new_figure(WIDTH, 30 + row * len(names))
    axes = svg.add_axes(figure, left, 4, WIDTH - left - right, row * len(names))
    top = max(min((m.interval or (0, 0))[1], 3 * (m.value or 0)) for m in [*found, *held])
    axes.set(xlim=(0, 1.08 * top), ylim=(len(names) - 0.5, -0.5), yticks=[])
    axes.spines["left"].set_visible(False)
    number_axis(axes, "x", "fraction", ticks=3)
    for y, name in enumerate(names):
        write(axes, name, 0, y, -8, ha="right")
        for side, shift in ((0, -0.19), (1, 0.19)):
            m = (found, held)[side][y]
            edge = colour(y) if side else MUTED
            dot(axes, m, y + shift, edge, marker(y), hollow=not side)
            weight = "bold" if side else "normal"
            write(axes, digits(m.value, "fraction"), 1, y + shift, 40, ha="right", weight=weight)
            interval = span(m.interval, "fraction") + ("" if side else ", found")
            write(axes, interval, 1, y + shift, 48, color=MUTED, fontsize=10)
    parts = [
        f"{name} {measure_words(before)} as found, {measure_words(after)} held"
        for name, before, after in zip(names, found, held, strict=True)
    ]
    return svg.render(figure, key, title, "; ".join(parts) + ".")


class _Placed(NamedTuple):
    """A curve where it lies on the axes: (x, y, backed) of each point, and its dots."""

    points: list[tuple[float, float, bool]]
    dots: list[tuple[float, float]]


def _placed(curve: Curve, x: Scale, y: Scale) -> _Placed:
    """The part of a curve that lies on both scales."""
    points = [
        (*at, backed)
        for px, py, backed in zip(curve.x, curve.y, curve.backed, strict=True)
        if (at := _place(px, py, x, y))
    ]
    return _Placed(points, [at for dot in curve.dots if (at := _place(*dot, x, y))])


def _place(px: float, py: float, x: Scale, y: Scale) -> tuple[float, float] | None:
    try:
        return x.position(px), y.position(py)
    except ValueError:  # log of 0, probit of 0 or 1
        return None


def is_drawn(curve: Curve, x: Scale, y: Scale) -> bool:
    """Whether any of a curve lies on both scales."""
    return bool(_placed(curve, x, y).points)


def _limits(positions: Iterable[float]) -> tuple[float, float]:
    values = list(positions)
    air = 0.03 * (max(values) - min(values)) or 0.5
    return min(values) - air, max(values) + air


def _ticks(
    axes: Axes,
    which: Literal["x", "y"],
    scale: Scale,
    ends: tuple[float, float],
    *,
    apart: float,
    percent: bool,
) -> None:
    """The scale's own ticks, no nearer to each other than this share of the axis."""
    if not scale.ticks:
        return number_axis(axes, which, "fraction" if percent else "", ticks=4)
    shown: list[float] = []
    for tick in reversed(scale.ticks):
        position = scale.position(tick)
        free = not shown or scale.position(shown[-1]) - position >= apart * (ends[1] - ends[0])
        if ends[0] <= position <= ends[1] and free:
            shown.append(tick)
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks([scale.position(t) for t in shown], [f"{100 * t:.6g}%" for t in shown])
    return None


def _look(name: str, index: int) -> tuple[str, str]:
    """Colour and marker; everyone's curve is drawn in ink."""
    return (INK, "d") if name == EVERYONE else (colour(index), marker(index))


def _draw(axes: Axes, curve: _Placed, edge: str, shape: str) -> None:
    """Solid where backed, dashed where not; a hollow marker between, a filled one at each dot."""
    ends = [
        (point, following, point[2] and following[2])
        for point, following in itertools.pairwise(curve.points)
    ]
    for backed, stretch in itertools.groupby(ends, key=lambda pair: pair[2]):
        pairs = list(stretch)
        points = [pairs[0][0], *(following for _, following, _ in pairs)]
        x, y, _ = zip(*points, strict=True)
        axes.plot(x, y, color=edge, lw=1.7, ls="-" if backed else (0, (1.2, 1.6)), zorder=2)
    for point, following, _ in ends:
        if point[2] != following[2]:
            at = (point if point[2] else following)[:2]
            axes.plot(*at, shape, ms=7, mfc=PAPER, mec=edge, mew=1.4, zorder=3)
    for at in curve.dots:
        axes.plot(*at, shape, ms=7, mfc=edge, mec=edge, zorder=4)


def _name_curves(
    axes: Axes,
    names: Sequence[str],
    curves: Sequence[_Placed],
    looks: Sequence[tuple[str, str]],
) -> None:
    """The curves' names at the right, in the order of their curves, each led to its own."""
    (_, end), (low, high) = axes.get_xlim(), axes.get_ylim()
    named = [
        (name, look, curve.dots[0] if curve.dots else curve.points[len(curve.points) // 2][:2])
        for name, look, curve in zip(names, looks, curves, strict=True)
        if curve.points
    ]
    scale = (high - low) / _HEIGHT  # of one pixel
    heights = pushed_apart([(y - low) / scale for _, _, (_, y) in named], _LINE, _HEIGHT)
    for (name, (edge, shape), (x, y)), height in zip(named, heights, strict=True):
        level = low + height * scale
        axes.plot([x, end], [y, level], color=edge, lw=0.7, ls=(0, (4, 2)), zorder=1)
        axes.plot(end, level, shape, color=edge, ms=5, clip_on=False, zorder=4)
        write(axes, name, 1, level, 9, color=edge, weight="bold", fontsize=10.5)


def _said(curve: Curve, x: str, y: str, over_threshold: bool) -> str:
    """A curve in words: where its dots lie."""
    dots = [
        f"{y} {number(b, 'fraction')} at {x} "
        f"{digits(a, '') if over_threshold else number(a, 'fraction')}"
        for a, b in curve.dots
    ]
    return f"{curve.name}: {', '.join(dots) or 'no operating point'}"


def _mean(edges: Sequence[float], counts: Sequence[int]) -> str:
    """The mean of binned scores, to the bins' middle."""
    n = sum(counts)
    middles = [(low + high) / 2 for low, high in itertools.pairwise(edges)]
    total = sum(m * k for m, k in zip(middles, counts, strict=True))
    return f"{total / n:.2f}" if n else "undefined"
