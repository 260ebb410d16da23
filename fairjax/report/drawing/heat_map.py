"""A grid of numbers as inline SVG."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.patches import Arc, Ellipse, Rectangle

from fairjax.report.drawing import svg
from fairjax.report.drawing.svg import ACCENT, INK, LINE, MUTED, WIDTH
from fairjax.report.wording import printable


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
    centred: dict[str, Any] = {"ha": "center", "va": "center", "annotation_clip": False}
    axes.annotate(
        column_axis,
        (0.5, 1),
        (0, 33),
        "axes fraction",
        "offset points",
        color=MUTED,
        fontsize=11,
        **centred,
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
        **centred,
    )
    for x, name in enumerate(columns):
        text = printable(name, limit=max(4, int(width / 7)))
        axes.annotate(text, (x + 0.5, 0), (0, 11), "data", "offset points", **centred)
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
