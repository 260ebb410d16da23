"""Differences between groups, accuracies, systems: the sections of an audit that sum up."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from markupsafe import Markup

from fairjax.core.results import Measure, Results, Table
from fairjax.core.verdict import PLANNER_NOTE
from fairjax.report.attributes.measures import worst_place
from fairjax.report.drawing import plots
from fairjax.report.gaps import without_empty_columns
from fairjax.report.sections import Figure, Parts, Section, reading
from fairjax.report.verification import plots as verification_plots
from fairjax.report.verification.audited import RATES, Audited, as_shown, changes
from fairjax.report.wording import describe, is_difference, number, parts_of, span

_OF_BOTH = (
    "fairness_discrepancy_rate",
    "inequity_rate",
    "garbe",
    "worst_error_rate_multiplier",
)
_NO_INDEX = ("worst", "detectable_ratio", "people_needed")  # summaries of another sort
MOST_POINTS = 2  # operating points side by side in a table
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
        svg = plots.forest(
            f"{key}-{len(figures)}",
            system.titled(f"{describe(name)} by {system.attribute} {at}".strip()),
            rows,
            overall=system.everyone(name, at),
            worst=worst_place(rows),
        )
        figures.append(Figure(Markup(svg), describe(name), reading(rows[0])))
    return figures


def indices(systems: Sequence[Audited]) -> Section:
    """Every index of inequality over the groups, beside what equal groups would show."""
    tables = []
    for system in systems:
        points = [at for at in system.points if any(map(_is_summary, system.summaries(at)))]
        for start in range(0, len(points), MOST_POINTS):
            tables.append(_index_table(system, points[start : start + MOST_POINTS]))
    lead = (
        "Each number says how unlike the groups are. Even equal groups show some spread: “by "
        "chance” is what they stay within 95% of the time. None of these decides. “Smoothed” "
        "counts half an error more in every group, so that one without errors can be compared."
    )
    return Section("indices", "Indices of inequality", lead, tables=tables, folded=True)


def accuracy(systems: Sequence[Audited]) -> Section:
    """The protocol's own accuracy by group; its variants and their spread stand in the tables."""
    parts: Parts = []
    for system in systems:
        figures = forests(system, f"accuracy-{len(parts)}", [("accuracy", "")])
        parts.append((system.name, figures))
    lead = (
        "The share of pairs told rightly, with the threshold chosen by the protocol's own rule: "
        "not at the operating points above."
    )
    return Section("accuracy", "Accuracy by the protocol", lead, parts=parts)


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
        for (name, at), by_group in by_name.items():
            caption = describe(name) + (f" at {at}" if at else "")
            svg = verification_plots.change(
                f"change-{len(parts)}-{len(figures)}", f"{pair}: {caption}", by_group
            )
            unit = {"fraction": "percentage points", "ratio": ""}
            figures.append(
                Figure(Markup(svg), caption, unit.get(by_group[0].unit, by_group[0].unit))
            )
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
    return Section(
        "systems", "One system against another", lead, parts=parts, tables=tables, folded=True
    )


def adequacy(systems: Sequence[Audited]) -> Section:
    """What rates these subjects, pairs and errors can back, and how many people a gap needs."""
    tables = []
    for system in systems:
        rows = [
            [
                str(row["group"]),
                "–" if row["subjects"] is None else f"{row['subjects']:,}",
                *(f"{row[key]:,}" for key in ("mated", "nonmated")),
                _percent(row["lowest_fmr"]),
                _times(row["design_effect_fmr"]),
                _times(row["design_effect_fnmr"]),
                _percent(row["upper_if_zero"]),
            ]
            for row in system.arrays.get("adequacy", ())
        ]
        columns = [
            system.attribute,
            "subjects",
            "mated pairs",
            "non-mated pairs",
            "lowest FMR backed",
            "design effect, FMR",
            "design effect, FNMR",
            "bound if no error",
        ]
        if rows:
            tables.append(Table(system.titled("Adequacy"), columns, rows, _ADEQUACY))
        tables += _plan_table(system)
    return Section("adequacy", "How much the data can carry", tables=tables, folded=True)


def _plan_table(system: Audited) -> list[Table]:
    """How many people a group needs before a gap of a given ratio would show."""
    plans = system.arrays.get("planner", ())
    ratios = list(dict.fromkeys(ratio for plan in plans for ratio in plan["people"]))
    rows = [
        [
            f"{plan['rate'].upper()} at {plan['at']}",
            _percent(plan["value"]),
            f"{plan['people_now']:,}",
            *(f"{plan['people'][r]:,}" if r in plan["people"] else "–" for r in ratios),
        ]
        for plan in plans
    ]
    columns = ["rate", "observed", "people now", *(f"for {ratio}×" for ratio in ratios)]
    note = f"{PLANNER_NOTE} People now: in the smallest group."
    return [Table(system.titled("People needed"), columns, rows, note)] if rows else []


def _index_table(system: Audited, points: Sequence[str]) -> Table:
    by_point = {
        at: {_title(m): as_shown(m) for m in system.summaries(at) if _is_summary(m)}
        for at in points
    }
    titles = list(dict.fromkeys(title for by_title in by_point.values() for title in by_title))
    rows = []
    notes: dict[str, None] = {}
    for title in titles:
        row = [title]
        for at in points:
            m = by_point[at].get(title)
            floor = system.summary(f"{m.name}_noise_floor", at) if m else None
            row += [
                _valued(m),
                _valued(replace(as_shown(floor), unit=m.unit)) if floor and m else "",
            ]
            if m is not None and m.value is None and m.note:
                notes[f"{title} at {at}: {m.note}"] = None
        rows.append(row)
    columns = ["index", *(c for at in points for c in (f"at {at}", "by chance"))]
    note = (
        "Where groups are equal the fairness discrepancy rate is 1 (and near 1 whenever the FMR is "
        f"small), a ratio 1, everything else 0. Standard deviations: ddof 1. {'. '.join(notes)}"
    )
    title = system.titled(f"Indices at {' and '.join(points)}")
    return without_empty_columns(Table(title, columns, rows, note.strip()))


def _valued(m: Measure | None) -> str:
    if m is None:
        return ""
    interval = f" ({span(m.interval, m.unit)})" if m.interval else ""
    return number(m.value, m.unit, difference=is_difference(m.name)) + interval


def _is_summary(m: Measure) -> bool:
    """Whether it is an index itself, not its noise floor or p-value, nor one group's number."""
    base, summary, tail = parts_of(m.name)
    is_index = bool(summary or base in _OF_BOTH) and summary not in _NO_INDEX
    return tail in ("", "smoothed") and is_index


def _title(m: Measure) -> str:
    """A summary's name short enough for a plot: rates by their abbreviations."""
    base, _, _ = parts_of(m.name)
    return describe(m.name).replace(
        describe(base), base.upper() if base in RATES else describe(base)
    )


def _percent(rate: float | None) -> str:
    return "–" if rate is None else number(rate, "fraction")


def _times(effect: float | None) -> str:
    return "–" if effect is None else f"{effect:.2f}"
