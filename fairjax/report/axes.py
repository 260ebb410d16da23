"""Plots on matplotlib axes of the caller's, for scripts and notebooks.

The report's own plots are in `drawing`; these take whatever style the caller has set.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from fairjax.core.results import Measure
from fairjax.report.drawing.marks import colour, marker, number_axis
from fairjax.report.verification.plots import EVERYONE, PROBIT
from fairjax.report.wording import describe, group_name, printable

_EVERYONE = "black"


def draw_rates(groups: Sequence[Measure], everyone: Measure, ax: Axes | None) -> Axes:
    """A dot with its interval for each group; a dashed line for everyone.

    Args:
      groups: The number of each group.
      everyone: The number of everyone, or the gap, whose line is not drawn.
      ax: Axes to draw on; None makes a figure.
    """
    ax = _axes(ax)
    for index, m in enumerate(groups):
        if m.value is None:
            continue
        low, high = m.interval or (m.value, m.value)
        ax.errorbar(
            m.value,
            index,
            xerr=[[max(m.value - low, 0.0)], [max(high - m.value, 0.0)]],
            fmt=marker(index),
            color=colour(index),
            mfc="none" if m.is_thin else None,
            capsize=3,
        )
    if everyone.value is not None and not everyone.across:
        ax.axvline(everyone.value, color=_EVERYONE, lw=1, ls="--", label="everyone")
        ax.legend()
    ax.set_yticks(range(len(groups)), [printable(group_name(m.group)) for m in groups])
    ax.set_ylim(len(groups) - 0.5, -0.5)
    ax.set_xlabel(f"{describe(everyone.name)}{f' at {everyone.at}' if everyone.at else ''}")
    number_axis(ax, "x", everyone.unit)
    return ax


def draw_det(curves: Mapping[str, Mapping[str, Any]], ax: Axes | None) -> Axes:
    """Error trade-off of each group on probit axes; points without errors are left out.

    Args:
      curves: By group the arrays "fmr" and "fnmr".
      ax: Axes to draw on; None makes a figure.
    """
    ax = _axes(ax)
    names = sorted(curves, key=lambda name: name == EVERYONE)
    for index, name in enumerate(names):
        points = [
            (PROBIT.position(x), PROBIT.position(y))
            for x, y in zip(curves[name]["fmr"], curves[name]["fnmr"], strict=True)
            if 0 < x < 1 and 0 < y < 1
        ]
        if points:
            ax.plot(*zip(*points, strict=True), label=printable(name), **_line(name, index))
    for axis, limits in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        ticks = [t for t in PROBIT.ticks if limits[0] <= PROBIT.position(t) <= limits[1]]
        axis.set_ticks([PROBIT.position(t) for t in ticks], [f"{100 * t:g}%" for t in ticks])
    ax.set(xlabel="false match rate", ylabel="false non-match rate")
    ax.legend()
    return ax


def draw_scores(bins: Mapping[str, Any], group: str | None, ax: Axes | None) -> Axes:
    """Histograms of mated and of non-mated scores, each with an area of 1.

    Args:
      bins: "edges", and by group the counts "mated" and "nonmated".
      group: Name of a group; None adds all groups up.
      ax: Axes to draw on; None makes a figure.
    """
    ax = _axes(ax)
    edges = np.asarray(bins["edges"], np.float64)
    for index, (kind, label) in enumerate((("mated", "mated"), ("nonmated", "non-mated"))):
        counts = bins[kind]
        chosen = [counts[group]] if group is not None else list(counts.values())
        total = np.sum(chosen, axis=0, dtype=np.float64)
        share = total / (max(total.sum(), 1) * np.diff(edges))
        ax.stairs(share, edges, fill=True, alpha=0.5, color=colour(index), label=label)
    ax.set(xlabel="score", ylabel="density", title=printable(group or EVERYONE))
    ax.legend()
    return ax


def draw_calibration(diagram: Mapping[str, Any], ax: Axes | None) -> Axes:
    """Share told right against stated confidence, of each group and of everyone.

    Args:
      diagram: "overall" and "by_group", each with "confidence" and "accuracy" by bin, None where a
        bin is empty.
      ax: Axes to draw on; None makes a figure.
    """
    ax = _axes(ax)
    for index, (name, bins) in enumerate(
        [*diagram["by_group"].items(), (EVERYONE, diagram["overall"])]
    ):
        points = [
            (c, a)
            for c, a in zip(bins["confidence"], bins["accuracy"], strict=True)
            if c is not None
        ]
        if points:
            x, y = zip(*points, strict=True)
            style = _line(name, index)
            ax.plot(x, y, marker=marker(index), label=printable(name), **style)
    ax.plot([0, 1], [0, 1], color="grey", lw=1, ls=":")
    ax.set(xlabel="confidence", ylabel="share told right")
    ax.legend()
    return ax


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots()[1]


def _line(name: str, index: int) -> dict[str, Any]:
    return dict(color=_EVERYONE, ls="--") if name == EVERYONE else dict(color=colour(index))
