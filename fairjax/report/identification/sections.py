"""What the report on 1:N identification shows, after its summary."""

from collections.abc import Sequence

from markupsafe import Markup

from fairjax.core.results import FEW, Measure, Results, Table
from fairjax.report.gaps import without_empty_columns
from fairjax.report.identification.quantities import (
    SearchPoint,
    by_group,
    everyone,
    points,
)
from fairjax.report.sections import Figure, Parts, Section
from fairjax.report.verification.plots import LOG, Curve, is_drawn, trade_off
from fairjax.report.wording import group_name, number, span


def sections(results: Results) -> list[Section]:
    """Rates by group and gallery, and trade-offs; some may be empty."""
    return [_rate_section(results), _trade_off_section(results)]


def _rate_section(results: Results) -> Section:
    """One table an operating point: every gallery and group, with intervals and counts."""
    there = points(results)
    ranks = [point for point in there if point.is_rank]
    tables = [_rank_table(results, ranks)] if ranks else []
    by_point: dict[str, list[SearchPoint]] = {}
    for point in there:
        if not point.is_rank:
            by_point.setdefault(point.point, []).append(point)
    tables += [_threshold_table(results, name, shown) for name, shown in by_point.items()]
    lead = (
        "Every threshold is one for all groups. Brackets: interval for other people. "
        f"* = fewer than {FEW} errors, too few to judge by."
    )
    return Section("rates", "Error rates by group and gallery", lead, tables=tables)


def _threshold_table(results: Results, name: str, shown: Sequence[SearchPoint]) -> Table:
    """FPIR and FNIR of every gallery and group at one operating point."""
    rows = []
    for point in shown:
        columns = [_of_groups(results, rate, point.at) for rate in ("fpir", "fnir")]
        for group in dict.fromkeys([*columns[0], *columns[1]]):
            measures = [column.get(group) for column in columns]
            threshold = next((m.threshold for m in measures if m), None)
            shown_threshold = "" if threshold is None else f"{threshold:.4g}"
            cells = [cell for m in measures for cell in _cells(m)]
            rows.append([point.gallery, group, shown_threshold, *cells])
    by = results.protocol["attribute"]
    columns_named = ["gallery", by, "threshold", "FPIR, false alarms", "of", "FNIR, misses", "of"]
    title = f"At {name}" if name.startswith("threshold") else f"At the threshold of {name}"
    return without_empty_columns(Table(title, columns_named, rows))


def _rank_table(results: Results, shown: Sequence[SearchPoint]) -> Table:
    """FNIR of every gallery and group among the first candidates, whatever their scores."""
    names = sorted({point.point for point in shown}, key=lambda name: int(name.split()[-1]))
    rows = []
    for gallery in dict.fromkeys(point.gallery for point in shown):
        columns = [_of_groups(results, "fnir", f"{gallery}, {name}") for name in names]
        rows += [
            [gallery, group, *(cell for c in columns for cell in _cells(c.get(group)))]
            for group in columns[0]
        ]
    headings = [
        "gallery",
        results.protocol["attribute"],
        *(word for name in names for word in (f"FNIR at {name}", "of")),
    ]
    note = "One minus FNIR at rank 1 is the rank-1 identification rate."
    return Table("Without a threshold", headings, rows, note)


def _of_groups(results: Results, rate: str, at: str) -> dict[str, Measure]:
    """One rate of each group at a point, everyone last."""
    of_everyone = everyone(results, rate, at)
    measures = [*by_group(results, rate, at), *([of_everyone] if of_everyone else [])]
    return {group_name(m.group): m for m in measures}


def _cells(m: Measure | None) -> tuple[str, str]:
    """A rate with its interval, and its errors of how many searches; blank where not counted."""
    if m is None or m.value is None:
        return ("–", "0 of 0") if m is not None else ("", "")
    interval = f" [{span(m.interval, m.unit)}]" if m.interval else ""
    mark = "*" if m.is_thin else ""
    return f"{number(m.value, m.unit)}{mark}{interval}", f"{m.n_errors or 0:,} of {m.n:,}"


def _trade_off_section(results: Results) -> Section:
    """FNIR against FPIR of each group, one plot a gallery, the largest first."""
    parts: Parts = []
    figures: list[Figure] = []
    there = points(results)
    for gallery in dict.fromkeys(point.gallery for point in there):
        own = [point.at for point in there if point.gallery == gallery and not point.is_rank]
        drawn = _curves(results, gallery, own)
        if not any(is_drawn(curve, LOG, LOG) for curve in drawn):
            continue
        title = f"FNIR against FPIR by {results.protocol['attribute']}, {gallery}"
        svg, _ = trade_off(
            f"trade-off-{len(figures)}", title, drawn, x=("FPIR", LOG), y=("FNIR", LOG)
        )
        note = "logarithmic axes; lower is better"
        figures.append(Figure(Markup(svg), f"FNIR against FPIR, {gallery}", note))
    parts.append(("", figures))
    lead = (
        "Each point of a curve is one threshold. Filled markers are the operating points. Solid: "
        f"at least {FEW} errors of each kind stand behind the curve; dashed: fewer. A hollow "
        "marker lies between the two."
    )
    return Section("trade-off", "Misses against false alarms", lead, parts=parts)


def _curves(results: Results, gallery: str, points_at: Sequence[str]) -> list[Curve]:
    """The groups' curves in their order, then everyone's."""
    made = []
    groups = results.arrays.get("trade_off", {}).get(gallery, {}).get("groups", {})
    for name, curve in groups.items():
        if curve["fpir"] is None or curve["fnir"] is None:
            continue
        dots = []
        for at in points_at:
            rates = [_of_groups(results, rate, at).get(name) for rate in ("fpir", "fnir")]
            x, y = (m.value if m else None for m in rates)
            if x is not None and y is not None:
                dots.append((x, y))
        backed = [
            min(x * curve["n_nonmated"], y * curve["n_mated"]) >= FEW - 0.5
            for x, y in zip(curve["fpir"], curve["fnir"], strict=True)
        ]
        made.append(Curve(name, curve["fpir"], curve["fnir"], backed, dots))
    return made
