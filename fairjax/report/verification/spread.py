"""Differences between groups, accuracies, systems: the sections of an audit that sum up."""

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from fairjax.core.results import Measure, Results, Table
from fairjax.report.attributes.summary import worst_to_best
from fairjax.report.drawing import plots
from fairjax.report.sections import Figure, Parts, Section, reading, without_empty_columns
from fairjax.report.verification import plots as verification_plots
from fairjax.report.verification.audited import Audited, changes
from fairjax.report.verification.summary import P_VALUES, RATES, as_shown, judged_against_chance
from fairjax.report.wording import describe, group_name, is_difference, number, parts_of, span

# Summaries that share an axis and a unit: heading, their value where groups are equal, names.
_FAMILIES = (
    ("Differences", 0.0, ("difference", "std")),
    (
        "Ratios",
        1.0,
        ("max_over_min", "max_over_geomean", "inequity_rate", "worst_error_rate_multiplier"),
    ),
    ("Gini coefficients", 0.0, ("gini", "garbe")),
    ("Sums of |log10|", 0.0, ("sum_abs_log10",)),
    ("Degree of bias", 0.0, ("bias_degree",)),
)
_CHANCE = {True: "▲\u00a0beyond", False: "○\u00a0not\u00a0beyond", None: "–"}
_ADEQUACY = (
    "Rule of 30: with at least 30 errors the true rate lies within 30% of the measured one, with "
    "90% confidence. Rule of 3: no error in N independent trials still allows a rate of 3/N. Pairs "
    "share subjects; the design effect is how many pairs are worth one independent trial."
)


def forests(system: Audited, key: str, names: Iterable[tuple[str, str]]) -> list[Figure]:
    """A forest plot of each (measure, operating point) that the system has by group."""
    figures: list[Figure] = []
    for name, at in names:
        rows = system.by_group(name, at)
        if all(m.value is None for m in rows):
            continue
        order = worst_to_best([m for m in rows if not m.is_thin])
        svg = plots.forest(
            f"{key}-{len(figures)}",
            system.titled(f"{describe(name)} by {system.attribute} {at}".strip()),
            rows,
            overall=system.everyone(name, at),
            worst=rows.index(order[0]) if order else None,
        )
        figures.append(Figure(Markup(svg), describe(name), reading(rows[0])))
    return figures


def spread(systems: Sequence[Audited]) -> Section:
    """Every summary over the groups with its interval and noise floor, drawn and tabled."""
    parts: Parts = []
    tables = []
    for system in systems:
        for at in system.points:
            shown = [as_shown(m) for m in system.summaries(at) if _is_summary(m)]
            figures: list[Figure] = []
            for heading, fair, family in _FAMILIES:
                rows = []
                for m in (m for m in shown if m.value is not None and _family(m) in family):
                    floor = system.summary(f"{m.name}_noise_floor", at)
                    rows.append((_title(m), m, floor.value if floor else None))
                if rows:
                    key = f"spread-{len(parts)}-{len(figures)}"
                    title = system.titled(f"{heading} at {at}")
                    unit = "percentage points" if rows[0][1].unit == "fraction" else ""
                    svg = plots.gaps(key, title, rows, fair=fair)
                    figures.append(Figure(Markup(svg), heading, unit))
            parts.append((system.titled(f"At {at}"), figures))
            if shown:
                tables.append(_spread_table(system, at, shown))
    lead = (
        "Each number says how unlike the groups are. Even equal groups show some spread: the "
        "hatched bar is the noise floor, what chance alone gives groups of these sizes. A dot "
        "beyond it is filled and coloured, one within it hollow. “Smoothed” counts half an error "
        "more in every group, so that one without errors can be compared; none is dropped."
    )
    return Section("spread", "How unlike the groups are", lead, parts=parts, tables=tables)


def accuracy(systems: Sequence[Audited]) -> Section:
    """The protocol's accuracy and its variants by group, and their spread."""
    parts: Parts = []
    tables = []
    for system in systems:
        found = [m for m in system.measures if m.name.startswith("accuracy")]
        names = dict.fromkeys(m.name for m in found if not m.across)
        figures = forests(system, f"accuracy-{len(parts)}", [(name, "") for name in names])
        parts.append((system.name, figures))
        rows = [
            [
                describe(m.name),
                number(m.value, m.unit, difference=is_difference(m.name)),
                span(m.interval, m.unit),
                "" if m.ddof is None else str(m.ddof),
                group_name(m.group) if m.group else "",
                m.note,
            ]
            for m in found
            if m.across and _is_summary(m, worst=True)
        ]
        if rows:
            columns = ["measure", "value", "interval", "ddof", "group", "note"]
            title = system.titled(f"Accuracy across {system.attribute}")
            tables.append(without_empty_columns(Table(title, columns, rows)))
    lead = (
        "The share of pairs told rightly, with the threshold chosen by the protocol's own rule: "
        "not at the operating points above."
    )
    return Section("accuracy", "Accuracy by the protocol", lead, parts=parts, tables=tables)


def change(results: Results) -> Section:
    """One system less another, on the same pairs and the same resampled subjects."""
    attribute = results.protocol.get("attribute", "group")
    parts: Parts = []
    tables = []
    for pair, measures in changes(results).items():
        by_name: dict[tuple[str, str], list[Measure]] = {}
        for m in measures:
            if not m.across and set(m.group) <= {attribute} and m.value is not None:
                by_name.setdefault((m.name, m.at), []).append(m)
        figures: list[Figure] = []
        for (name, at), found in by_name.items():
            caption = describe(name) + (f" at {at}" if at else "")
            svg = verification_plots.change(
                f"change-{len(parts)}-{len(figures)}", f"{pair}: {caption}", found
            )
            unit = {"fraction": "percentage points", "ratio": ""}
            figures.append(Figure(Markup(svg), caption, unit.get(found[0].unit, found[0].unit)))
        parts.append((pair, figures))
        rows = [
            [
                describe(m.name),
                m.at,
                number(m.value, m.unit, difference=True),
                span(m.interval, m.unit),
                m.note,
            ]
            for m in measures
            if m.across
        ]
        if rows:
            columns = ["measure", "at", "change", "interval", "note"]
            table = Table(f"{pair}: change of the summaries", columns, rows)
            tables.append(without_empty_columns(table))
    lead = (
        "Both systems on the same pairs and the same resampled subjects, each at its own "
        "threshold. Left of the dotted line, the system named first has less. Filled and coloured: "
        "the interval leaves out zero."
    )
    return Section("systems", "One system against another", lead, parts=parts, tables=tables)


def adequacy(systems: Sequence[Audited]) -> Section:
    """What rates the number of subjects, pairs and errors can back."""
    tables = []
    for system in systems:
        found = system.arrays.get("adequacy", ())
        rows = [
            [
                str(row["group"]),
                "–" if row["subjects"] is None else f"{row['subjects']:,}",
                *(f"{row[key]:,}" for key in ("mated", "nonmated")),
                _percent(row["lowest_fmr"]),
                _times(row["design_effect_fmr"]),
                _times(row["design_effect_fnmr"]),
                _percent(row["upper_if_zero"]),
                *("–" if count is None else f"{count:,}" for count in row["at"].values()),
            ]
            for row in found
        ]
        columns = [
            system.attribute,
            "subjects",
            "mated pairs",
            "non-mated pairs",
            "lowest FMR backed",
            "design effect, FMR",
            "design effect, FNMR",
            "95% bound on a rate of no errors",
            *(f"errors at {point}" for point in (found[0]["at"] if found else ())),
        ]
        if rows:
            tables.append(Table(system.titled("Adequacy"), columns, rows, _ADEQUACY))
    return Section("adequacy", "How much the data can carry", tables=tables)


def _spread_table(system: Audited, at: str, measures: Sequence[Measure]) -> Table:
    rows = []
    for m in measures:
        floor = system.summary(f"{m.name}_noise_floor", at)
        p_values = [system.summary(f"{m.name}_{suffix}", at) for suffix in P_VALUES]
        rows.append(
            [
                _title(m),
                number(m.value, m.unit, difference=is_difference(m.name)),
                span(m.interval, m.unit),
                number(floor.value, m.unit, difference=is_difference(m.name)) if floor else "–",
                *("" if p is None else _p(p.value) for p in p_values),
                _CHANCE[judged_against_chance(m, floor)],
                "" if m.ddof is None else str(m.ddof),
                m.note,
            ]
        )
    columns = [
        "measure",
        "value",
        "interval",
        "noise floor",
        "p",
        "p, Holm",
        "p, Benjamini-Hochberg",
        "chance",
        "ddof",
        "note",
    ]
    note = (
        "Where groups are equal the fairness discrepancy rate is 1 (and near 1 whenever the FMR is "
        "small), a ratio 1, everything else 0."
    )
    title = system.titled(f"Summary measures at {at}")
    return without_empty_columns(Table(title, columns, rows, note))


def _is_summary(m: Measure, *, worst: bool = False) -> bool:
    """Whether it is a summary itself, not its noise floor or p-value, nor one group's number."""
    _, summary, tail = parts_of(m.name)
    return tail in ("", "smoothed") and (worst or summary != "worst")


def _family(m: Measure) -> str:
    base, summary, _ = parts_of(m.name)
    return summary or base


def _title(m: Measure) -> str:
    """A summary's name short enough for a plot: rates by their abbreviations."""
    base, _, _ = parts_of(m.name)
    return describe(m.name).replace(
        describe(base), base.upper() if base in RATES else describe(base)
    )


def _p(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"


def _percent(rate: float | None) -> str:
    return "–" if rate is None else number(rate, "fraction")


def _times(effect: float | None) -> str:
    return "–" if effect is None else f"{effect:.2f}"
