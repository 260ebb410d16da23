"""The picture of an audit's plan: people a group needs against the ratio to be shown."""

from collections.abc import Sequence

import matplotlib

from fairjax.report.drawing import svg
from fairjax.report.drawing.lines import STROKES
from fairjax.report.drawing.marks import colour, marker
from fairjax.report.drawing.svg import INK, LINE, MUTED, WIDTH


def people_by_ratio(
    lines: Sequence[tuple[str, Sequence[float], Sequence[float]]], *, ratio: float, power: float
) -> str:
    """One line a rate on logarithmic axes, the ratio asked for marked, as an `<svg>` element.

    Args:
      lines: Name of the rate, ratios, and people that each group needs; at least one point each.
      ratio: The ratio asked for.
      power: Chance of showing a ratio with so many people, a fraction.
    """
    with matplotlib.rc_context(svg.RC):
        figure = svg.new_figure(WIDTH, 250)
        axes = svg.add_axes(figure, 62, 12, WIDTH - 62 - 16, 186)
        axes.set_xscale("log")
        axes.set_yscale("log")
        ticks = sorted({x for _, ratios, _ in lines for x in ratios})
        axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.grid(color=LINE, lw=0.6)
        axes.set_axisbelow(True)
        axes.axvline(ratio, color=MUTED, lw=1, ls=":")
        for index, (name, ratios, people) in enumerate(lines):
            axes.plot(
                ratios,
                people,
                color=colour(index),
                marker=marker(index),
                ls=STROKES[index % len(STROKES)],
                lw=1.7,
                label=name,
            )
        axes.set_xlabel("ratio of one group's error rate to the others'")
        axes.set_ylabel("people in each group")
        axes.legend(frameon=False, fontsize=10.5, labelcolor=INK)
        sentence = "; ".join(
            f"{name}: " + ", ".join(f"{n:,.0f} for {r:g}" for r, n in zip(x, y, strict=True))
            for name, x, y in lines
        )
        return svg.render(figure, "plan", f"People needed for {power:.0%} power", sentence + ".")
