"""What the report of a verification audit shows, after its summary."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from fairjax.core.results import FEW, Results
from fairjax.report.drawing import plots
from fairjax.report.sections import Figure, Parts, Section, Slider
from fairjax.report.slider import point_tables, slider_data
from fairjax.report.verification import spread as spread_sections
from fairjax.report.verification.audited import Audited, audited_systems, whence
from fairjax.report.verification.plots import (
    EVERYONE,
    LINEAR,
    LOG,
    PROBIT,
    Curve,
    Scale,
    histograms,
    is_drawn,
    trade_off,
)
from fairjax.report.verification.spread import forests
from fairjax.report.verification.summary import RATES
from fairjax.report.wording import describe, digits, span

MOST_NARROW = 3  # groups whose matrix fits half a page


def sections(results: Results) -> list[Section]:
    """Rates, thresholds, trade-offs, matrix, summaries, scores, accuracy, systems, adequacy."""
    systems = audited_systems(results)
    return [
        _rate_section(systems),
        _threshold_section(systems),
        _trade_off_section(systems),
        _matrix_section(systems),
        spread_sections.spread(systems),
        _score_section(systems),
        spread_sections.accuracy(systems),
        spread_sections.change(results),
        spread_sections.adequacy(systems),
    ]


def _rate_section(systems: Sequence[Audited]) -> Section:
    parts: Parts = []
    for system in systems:
        for at, (threshold, source) in system.thresholds.items():
            figures = forests(system, f"rate-{len(parts)}", [(r, at) for r in (*RATES, "tmr")])
            heading = f"At threshold {threshold:.4g} ({whence(at, source)})"
            parts.append((system.titled(heading), figures))
        free = [(name, "") for name in ("eer", "auc", "d_prime")]
        figures = forests(system, f"rate-{len(parts)}", free)
        parts.append((system.titled("Without a threshold"), figures))
    lead = (
        "One threshold for everyone; what each group gets at it. A dot is the group's rate, the "
        "line its interval, the dotted line everyone. The false match rate is counted over pairs "
        "of two people of the group, the false non-match rate over pairs of one of its people. "
        "Hollow and dashed: fewer than 30 errors, too few to judge by. The worst of the others is "
        "in bold. An arrow: it goes on beyond the plot."
    )
    return Section("rates", "Error rates group by group", lead, parts=parts)


def _threshold_section(systems: Sequence[Audited]) -> Section:
    sliders = []
    for place, system in enumerate(systems):
        if not system.groups or "rates" not in system.arrays:
            continue
        figures = [_rate_figure(system, rate, f"over-{place}-{rate}") for rate in RATES]
        sliders.append(
            Slider(
                f"threshold-{place}",
                system.titled("Threshold"),
                slider_data(system),
                point_tables(system),
                [figure for figure in figures if figure],
            )
        )
    lead = (
        "A higher threshold trades false matches for false non-matches, and not for every group "
        "alike. Dotted lines are the operating points; a curve ends where no error is left."
    )
    return Section("thresholds", "Who pays at each threshold", lead, sliders=sliders)


def _rate_figure(system: Audited, rate: str, key: str) -> Figure | None:
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
        x=("threshold", LINEAR),
        y=(rate.upper(), LOG),
        guides=points,
    )
    note = "logarithmic scale; dashed: fewer than 30 errors"
    return Figure(Markup(svg), caption, note, axis=axis)


def _trade_off_section(systems: Sequence[Audited]) -> Section:
    parts: Parts = []
    for system in systems:
        curves = system.arrays.get("det", {}).get("groups", {})
        figures: list[Figure] = []
        for kind, caption, note in (
            ("det", "Detection error trade-off (DET)", "probit axes; lower is better"),
            ("roc", "Receiver operating characteristic (ROC)", "log FMR; higher is better"),
        ):
            x: tuple[str, Scale] = ("FMR", PROBIT if kind == "det" else LOG)
            y: tuple[str, Scale] = ("FNMR", PROBIT) if kind == "det" else ("TMR", LINEAR)
            drawn = _trade_off_curves(system, curves, as_roc=kind == "roc")
            if any(is_drawn(curve, x[1], y[1]) for curve in drawn):
                title = system.titled(f"{caption} by {system.attribute}")
                svg, _ = trade_off(f"{kind}-{len(parts)}", title, drawn, x=x, y=y)
                figures.append(Figure(Markup(svg), caption, note))
        parts.append((system.name, figures))
    lead = (
        "Each curve runs through all thresholds. Filled markers are where the shared operating "
        "thresholds put the group: groups that share a curve may still sit at different places on "
        "it. Solid where at least 30 errors stand behind both rates, dashed elsewhere; hollow "
        "markers are the 30-error points."
    )
    return Section("trade-off", "False matches against false non-matches", lead, parts=parts)


def _trade_off_curves(system: Audited, curves: Mapping[str, Any], *, as_roc: bool) -> list[Curve]:
    """The groups in their order, then everyone."""
    made = []
    for name in sorted(curves, key=lambda name: name == EVERYONE):
        curve = curves[name]
        dots = []
        for at in system.points:
            fmr, fnmr = (_of_group(system, rate, at, name) for rate in RATES)
            if fmr is not None and fnmr is not None:
                dots.append((fmr, 1 - fnmr if as_roc else fnmr))
        known = [
            (x, y)
            for x, y in zip(curve["fmr"], curve["fnmr"], strict=True)
            if x is not None and y is not None and (not as_roc or x > 0)
        ]
        least = [
            1.0 if curve[f"thirty_{rate}"] is None else curve[f"thirty_{rate}"] for rate in RATES
        ]
        made.append(
            Curve(
                name,
                [x for x, _ in known],
                [1 - y if as_roc else y for _, y in known],
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
        svg = plots.heat_map(
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
    return Section("matrix", "Who is taken for whom", lead, parts=parts)


def _matrix_cell(
    rate: float | None,
    errors: int | None,
    n: int | None,
    low: float | None,
    high: float | None,
    *,
    scale: tuple[float, float],
) -> plots.Cell:
    """A rate with its interval and counts, filled by its log10 along the scale."""
    if rate is None or not n:
        return plots.Cell("–", ["", "no pair"], None)
    interval = span((low, high), "fraction") if low is not None and high is not None else ""
    backed = rate > 0 and (errors or 0) >= FEW
    strength = (math.log10(rate) - scale[0]) / (scale[1] - scale[0]) if backed else None
    return plots.Cell(digits(rate, "fraction"), [interval, f"{errors or 0:,} of {n:,}"], strength)


def _score_section(systems: Sequence[Audited]) -> Section:
    parts: Parts = []
    for system in systems:
        bins = system.arrays.get("histograms")
        if not system.groups or not bins:
            continue
        thresholds = [threshold for threshold, _ in system.thresholds.values()]
        groups = {name: (counts, bins["nonmated"][name]) for name, counts in bins["mated"].items()}
        svg = histograms(
            f"scores-{len(parts)}",
            system.titled(f"Scores by {system.attribute}"),
            bins["edges"],
            groups,
            thresholds,
        )
        note = "line: mated; hatched: non-mated; each to its own highest bin"
        parts.append((system.name, [Figure(Markup(svg), f"Scores by {system.attribute}", note)]))
    lead = (
        "Where the two hills overlap, errors are made. Dotted lines are the operating thresholds."
    )
    return Section("scores", "Scores of mated and non-mated pairs", lead, parts=parts)
