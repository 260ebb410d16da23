"""Lines over training steps, and trade-offs between two numbers, as inline SVG."""

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes

from fairjax.report.drawing import svg
from fairjax.report.drawing.marks import colour, marker, pushed_apart, write
from fairjax.report.drawing.svg import LINE, MUTED, PAPER, WIDTH
from fairjax.report.wording import printable

STROKES = ["-", "--", "-.", ":"]


class Line(NamedTuple):
    """One line of a line plot: its name and its points."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


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
