"""What the report of a verification audit shows, after its summary."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from fairjax.core.results import FEW, Measure, Results, Table
from fairjax.report.cards import card
from fairjax.report.drawing.heat_map import Cell, heat_map
from fairjax.report.gaps import without_empty_columns
from fairjax.report.sections import Figure, Parts, Section, Slider
from fairjax.report.slider import slider_data
from fairjax.report.verification import covariate_section
from fairjax.report.verification import spread as spread_sections
from fairjax.report.verification.audited import RATES, Audited, audited_systems
from fairjax.report.verification.plots import (
    EVERYONE,
    LINEAR,
    LOG,
    PROBIT,
    Curve,
    histograms,
    is_drawn,
    trade_off,
)
from fairjax.report.verification.quantities import quantity, shown_point
from fairjax.report.wording import describe, digits, group_name, number, span

_FREE = ("eer", "auc", "d_prime")  # measures that need no threshold


def sections(results: Results) -> list[Section]:
    """Rates, curves, matrix, indices, scores, accuracy, systems, adequacy; some may be empty."""
    systems = audited_systems(results)
    return [
        covariate_section.section(results),
        _rate_section(results, systems),
        _curve_section(systems),
        _matrix_section(systems),
        spread_sections.indices(systems),
        spread_sections.accuracy(systems),
        spread_sections.change(results),
        _score_section(systems),
        spread_sections.adequacy(systems),
    ]


def sliders(results: Results) -> list[Slider]:
    """One slider for each system whose groups' rates are known at every threshold."""
    return [
        Slider(f"threshold-{index}", system.titled("Move the threshold"), slider_data(system))
        for index, system in enumerate(audited_systems(results))
        if system.groups and "rates" in system.arrays
    ]


def _rate_section(results: Results, systems: Sequence[Audited]) -> Section:
    """The operating points that the first screen does not show, and the threshold-free numbers."""
    parts: Parts = []
    tables = []
    for system in systems:
        for at in system.thresholds:
            shown = [quantity(results, system, rate, at) for rate in RATES]
            figures: list[Figure] = []
            for q in shown if at != shown_point(results, system) else []:
                if q is not None and system.groups:
                    figure = card(q, f"rate-{len(parts)}-{len(figures)}")
                    figures.append(
                        Figure(figure.figure, figure.title, f"{figure.note}; {figure.badge}")
                    )
            parts.append(("", figures))
        rows = [
            [group, *(_with_interval(m) for m in measures)]
            for group, measures in _threshold_free(system).items()
        ]
        if rows:
            columns = [system.attribute, *(describe(name) for name in _FREE)]
            title = system.titled("Without a threshold")
            tables.append(without_empty_columns(Table(title, columns, rows, "Brackets: interval.")))
    lead = (
        "Each plot is at one threshold for everyone. The false match rate is counted over pairs of "
        "two people of the group, the false non-match rate over pairs of one of its people. "
        "Hatched: fewer than 30 errors, too few to judge by. An arrow: the interval goes on."
    )
    return Section("rates", "Error rates at other thresholds", lead, parts=parts, tables=tables)


def _threshold_free(system: Audited) -> dict[str, list[Measure | None]]:
    """{group: its equal error rate, area under the curve and separation}, everyone last."""
    by_group: dict[str, list[Measure | None]] = {}
    for name in _FREE:
        for m in [*system.by_group(name), system.everyone(name)]:
            if m is not None:
                by_group.setdefault(group_name(m.group), [None] * len(_FREE))[_FREE.index(name)] = m
    return by_group


def _with_interval(m: Measure | None) -> str:
    if m is None:
        return ""
    return number(m.value, m.unit) + (f" [{span(m.interval, m.unit)}]" if m.interval else "")


def _curve_section(systems: Sequence[Audited]) -> Section:
    """Both rates over the threshold, and one against the other."""
    parts: Parts = []
    for index, system in enumerate(systems):
        figures: list[Figure] = []
        if system.groups and "rates" in system.arrays:
            for rate in RATES:
                figure = _rate_figure(system, rate, f"over-{index}-{rate}", f"threshold-{index}")
                figures += [figure] if figure else []
        figures += _trade_off(system, f"det-{index}")
        parts.append((system.name, figures))
    lead = (
        "Dotted lines and filled markers are the operating points. Solid: at least 30 errors stand "
        "behind the curve; dashed: fewer. A hollow marker lies between the two. A curve ends where "
        "no error is left."
    )
    return Section("curves", "Rates over all thresholds", lead, parts=parts, folded=True)


def _rate_figure(system: Audited, rate: str, key: str, slider: str) -> Figure | None:
    """One rate of every group over the threshold; None where no error was made at any."""
    rates = system.arrays["rates"]
    trials = rates["n_nonmated" if rate == "fmr" else "n_mated"]
    points = {at: threshold for at, (threshold, _) in system.thresholds.items()}
    curves = []
    for group, values in rates[rate].items():
        known = [(t, v) for t, v in zip(rates["threshold"], values, strict=True) if v is not None]
        own = {
            at: m.value
            for at in points
            for m in system.by_group(rate, at)
            if m.group[system.attribute] == group
        }
        curves.append(
            Curve(
                group,
                [t for t, _ in known],
                [v for _, v in known],
                [v * trials[group] >= FEW for _, v in known],
                [(points[at], v) for at, v in own.items() if v is not None],
            )
        )
    if not any(is_drawn(curve, LINEAR, LOG) for curve in curves):
        return None
    caption = f"{describe(rate)} over the threshold"
    svg, axis = trade_off(
        key,
        system.titled(f"{caption} by {system.attribute}"),
        curves,
        x=("threshold (a distance)" if system.distance else "threshold", LINEAR),
        y=(rate.upper(), LOG),
        guides=points,
    )
    note = "logarithmic scale; dashed: fewer than 30 errors"
    return Figure(Markup(svg), caption, note, axis=axis, slider=slider)


def _trade_off(system: Audited, key: str) -> list[Figure]:
    """The detection error trade-off of each group; none where no curve lies on the axes."""
    curves = _trade_off_curves(system, system.arrays.get("det", {}).get("groups", {}))
    if not any(is_drawn(curve, PROBIT, PROBIT) for curve in curves):
        return []
    caption = "Detection error trade-off (DET)"
    svg, _ = trade_off(
        key,
        system.titled(f"{caption} by {system.attribute}"),
        curves,
        x=("FMR", PROBIT),
        y=("FNMR", PROBIT),
    )
    return [Figure(Markup(svg), caption, "probit axes; lower is better")]


def _trade_off_curves(system: Audited, curves: Mapping[str, Any]) -> list[Curve]:
    """The groups in their order, then everyone."""
    made = []
    for name in sorted(curves, key=lambda name: name == EVERYONE):
        curve = curves[name]
        dots = []
        for at in system.points:
            fmr, fnmr = (_of_group(system, rate, at, name) for rate in RATES)
            if fmr is not None and fnmr is not None:
                dots.append((fmr, fnmr))
        known = [
            (x, y)
            for x, y in zip(curve["fmr"], curve["fnmr"], strict=True)
            if x is not None and y is not None
        ]
        least = [
            1.0 if curve[f"thirty_{rate}"] is None else curve[f"thirty_{rate}"] for rate in RATES
        ]
        made.append(
            Curve(
                name,
                [x for x, _ in known],
                [y for _, y in known],
                [x >= least[0] and y >= least[1] for x, y in known],
                dots,
            )
        )
    return made


def _of_group(system: Audited, rate: str, at: str, name: str) -> float | None:
    if name == EVERYONE:
        everyone = system.everyone(rate, at)
        return everyone.value if everyone else None
    return next(
        (m.value for m in system.by_group(rate, at) if m.group[system.attribute] == name), None
    )


def _matrix_section(systems: Sequence[Audited]) -> Section:
    parts: Parts = []
    for system in systems:
        matrix = system.arrays.get("matrix")
        if not system.groups or not matrix:
            continue
        names, rates = matrix["groups"], matrix["fmr"]
        backed = [
            math.log10(rate)
            for line, counts in zip(rates, matrix["errors"], strict=True)
            for rate, k in zip(line, counts, strict=True)
            if rate and k >= FEW
        ]
        low, high = min(backed, default=0.0), max(backed, default=0.0)
        columns = (matrix[key] for key in ("fmr", "errors", "n", "low", "high"))
        cells = [
            [
                _matrix_cell(*cell, scale=(low, max(high, low + 0.5)))
                for cell in zip(*line, strict=True)
            ]
            for line in zip(*columns, strict=True)
        ]
        svg = heat_map(
            f"matrix-{len(parts)}",
            system.titled(f"False match rate between groups at {matrix['at']}"),
            cells,
            rows=names,
            columns=names,
            row_axis=f"one side: {system.attribute}",
            column_axis=f"other side: {system.attribute}",
            cell_width=100,
        )
        note = (
            f"%; at {matrix['at']}, threshold {matrix['threshold']:.4g}; interval; errors of pairs"
        )
        figure = Figure(Markup(svg), "False match rate of each pair of groups", note, wide=True)
        parts.append((system.name, [figure]))
    lead = (
        "Non-mated pairs of two people, by the groups of both. On the diagonal both are of one "
        "group. The stronger the colour, the higher the rate, on a logarithmic scale. Hatched: "
        "fewer than 30 errors, too few to judge by; a dash: no such pair was compared."
    )
    return Section("matrix", "Who is taken for whom", lead, parts=parts, folded=True)


def _matrix_cell(
    rate: float | None,
    errors: int | None,
    n: int | None,
    low: float | None,
    high: float | None,
    *,
    scale: tuple[float, float],
) -> Cell:
    """A rate with its interval and counts, filled by its log10 along the scale."""
    if rate is None or not n:
        return Cell("–", ["", "no pair"], None)
    interval = span((low, high), "fraction") if low is not None and high is not None else ""
    backed = rate > 0 and (errors or 0) >= FEW
    strength = (math.log10(rate) - scale[0]) / (scale[1] - scale[0]) if backed else None
    return Cell(digits(rate, "fraction"), [interval, f"{errors or 0:,} of {n:,}"], strength)


def _score_section(systems: Sequence[Audited]) -> Section:
    parts: Parts = []
    for system in systems:
        bins = system.arrays.get("histograms")
        if not system.groups or not bins:
            continue
        thresholds = [threshold for threshold, _ in system.thresholds.values()]
        groups = {name: (counts, bins["nonmated"][name]) for name, counts in bins["mated"].items()}
        caption = f"{'Distances' if system.distance else 'Scores'} by {system.attribute}"
        svg = histograms(
            f"scores-{len(parts)}",
            system.titled(caption),
            bins["edges"],
            groups,
            thresholds,
            noun="distance" if system.distance else "score",
        )
        note = "line: mated; hatched: non-mated; each to its own highest bin"
        parts.append((system.name, [Figure(Markup(svg), caption, note)]))
    lead = (
        "Where the two hills overlap, errors are made. Dotted lines are the operating thresholds."
    )
    return Section("scores", "Scores of mated and non-mated pairs", lead, parts=parts, folded=True)
