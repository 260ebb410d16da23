"""What the plots are drawn with: markers, colours, numbered axes, dots with intervals, labels."""

from collections.abc import Sequence
from typing import Any, Literal

from matplotlib.axes import Axes

from fairjax.core.results import Measure
from fairjax.report.drawing.svg import GROUPS, INK, PAPER
from fairjax.report.wording import number, span

MARKERS = ["o", "s", "^", "D", "v", "P", "X", "p"]


def marker(index: int) -> str:
    """The matplotlib marker of the group at this place in its attribute's order."""
    return MARKERS[index % len(MARKERS)]


def colour(index: int) -> str:
    """The light-palette colour of the group at this place in its attribute's order."""
    return GROUPS[index % len(GROUPS)]


def number_axis(
    axes: Axes,
    which: Literal["x", "y"],
    unit: str,
    *,
    difference: bool = False,
    ticks: int = 4,
    suffix: bool = True,
) -> None:
    """Few round ticks, with the unit written at each."""
    axes.locator_params(axis=which, nbins=ticks)
    axis = axes.xaxis if which == "x" else axes.yaxis
    sign = "" if difference or not suffix else "%"

    def text(value: float, _: float | int | None) -> str:
        return f"{100 * value:.3g}{sign}" if unit == "fraction" else f"{value:.3g}"

    axis.set_major_formatter(text)


def write(axes: Axes, text: str, x: int, y: float | int, shift: int, **style: Any) -> None:
    """Text on row y, so many pixels right of the left (x = 0) or right (x = 1) end of the axes."""
    axes.annotate(
        text,
        (x, y),
        (shift, 0),
        ("axes fraction", "data"),
        "offset points",
        va="center",
        annotation_clip=False,
        **style,
    )


def dot(axes: Axes, m: Measure, y: float | int, edge: str, shape: str, *, hollow: bool) -> None:
    """A value and its interval on row y; arrows where either leaves the plot."""
    low, high = axes.get_xlim()
    ends = [end for end in (m.value, *(m.interval or ())) if end is not None]
    if not ends:
        return
    start, end = max(min(ends), low), min(max(ends), high)
    dashes: Any = (0, (1.5, 1.2)) if hollow else "-"
    axes.plot([start, end], [y, y], color=edge, lw=2, ls=dashes, solid_capstyle="butt", zorder=2)
    for at, leaves, arrow in ((low, min(ends) < low, "<"), (high, max(ends) > high, ">")):
        if leaves:
            axes.plot(at, y, arrow, color=edge, ms=5, clip_on=False, zorder=2)
    if m.value is not None and low <= m.value <= high:
        face = PAPER if hollow else edge
        axes.plot(m.value, y, shape, ms=8, mfc=face, mec=edge, mew=1.5, clip_on=False, zorder=3)


def whisker(axes: Axes, m: Measure, y: float | int) -> None:
    """An interval on row y with a cap at each end, or an arrow where it leaves the plot."""
    if m.interval is None:
        return
    low, high = axes.get_xlim()
    start, end = (min(max(side, low), high) for side in m.interval)
    axes.plot([start, end], [y, y], color=INK, lw=1.3, solid_capstyle="butt", zorder=2)
    for at, leaves, arrow in (
        (start, m.interval[0] < low, "<"),
        (end, m.interval[1] > high, ">"),
    ):
        shape, size = (arrow, 5) if leaves else ("|", 8)
        axes.plot(at, y, shape, color=INK, ms=size, clip_on=False, zorder=3)


def counted(m: Measure) -> str:
    """How many errors of how many trials, or the number of examples where errors aren't counted."""
    return f"n {m.n:,}" if m.n_errors is None else f"{m.n_errors:,} of {m.n:,}"


def pushed_apart(wanted: Sequence[float], apart: float | int, most: float | int) -> list[float]:
    """Heights in the order of `wanted`, at least so far apart, none above `most` if there is room.

    Args:
      wanted: Where each would like to be.
      apart: The smallest distance.
      most: The upper end; the lower one is 0.
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    heights = [0.0] * len(wanted)
    floor = 0.0
    for index in order:
        heights[index] = floor = max(wanted[index], floor)
        floor += apart
    ceiling = float(most)
    for index in reversed(order):
        heights[index] = ceiling = min(heights[index], ceiling)
        ceiling -= apart
    return heights


def measure_words(m: Measure) -> str:
    """A measure with its unit and interval."""
    interval = f" ({span(m.interval, m.unit)})" if m.interval else ""
    return f"{number(m.value, m.unit)}{interval}"
