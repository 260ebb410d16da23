"""Every tested gap between groups as a table, the same on the page and in the model card."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fairjax.core.results import Measure, Results, Table
from fairjax.core.verdict import ALPHA, LARGEST_RATIO, Claim, verdict
from fairjax.report.wording import describe, group_name, is_difference, number, span

_GAPS = ("max_over_min", "max_over_min_smoothed", "difference")  # the first that a rate has
_SMOOTHED = "smoothed"
_NOTES = {  # what stands in the table, and what the note then says of it
    "by chance": "By chance: what the gap stays below in 95% of draws with equal groups.",
    "would find": "Would find: smallest ratio of one group to the others that 80% of such audits "
    "show.",
    _SMOOTHED: "Smoothed: a group has no error, so each counts half an error in one trial more.",
}


def gap_tables(results: Results) -> list[Table]:
    """One table a system: each primary test's gap, what chance alone gives, and the decision."""
    systems = list(dict.fromkeys(m.system for m in results.measures if m.across))
    systems = [name for name in systems if not _is_change(results, name)]
    tables = []
    for system in systems:
        claims = verdict(results, system=system).claims
        index = {
            (m.name, m.across, m.at): m for m in results.measures if m.across and m.system == system
        }
        groups = [m for m in results.measures if m.system == system and len(m.group) == 1]
        rows = [_gap_row(claim, index, groups) for claim in claims]
        columns = ["compared", "worst", "best", "gap", "by chance", "p, adjusted"]
        columns += ["would find", "decision"]
        tests = max((claim.tests for claim in claims), default=0)
        note = f"A gap is shown where p, adjusted for {tests} tests, is at most {ALPHA:g}; nothing "
        note += "else decides."
        title = f"{system}: tested gaps" if system else "Tested gaps"
        if rows:
            table = without_empty_columns(Table(title, columns, rows, note))
            more = [sentence for word, sentence in _NOTES.items() if _says(table, word)]
            tables.append(replace(table, note=" ".join([note, *more])))
    return tables


def _says(table: Table, word: str) -> bool:
    """Whether a table has such a column, or a cell with the word."""
    return word in table.columns or any(word in cell for row in table.rows for cell in row)


def _is_change(results: Results, system: str) -> bool:
    """Whether a system's name stands for the change from one system to another."""
    return any(m.system == system and m.name.endswith("_change") for m in results.measures)


def _gap_row(
    claim: Claim, index: Mapping[tuple[str, str, str], Measure], groups: Sequence[Measure]
) -> list[str]:
    point = claim.across, claim.at
    gaps = [index.get((f"{claim.measure}_{kind}", *point)) for kind in _GAPS]
    gap = next((m for m in gaps if m is not None and m.value is not None), None)
    size = chance = ""
    if gap is not None:
        is_points = is_difference(gap.name)
        ends = f" ({span(gap.interval, gap.unit)})" if gap.interval else ""
        factor = "" if is_points else "×"
        factor += f" {_SMOOTHED}" if gap.name.endswith(f"_{_SMOOTHED}") else ""
        size = f"{number(gap.value, gap.unit, difference=is_points)}{factor}{ends}"
        floor = index.get((f"{gap.name}_noise_floor", *point))
        chance = number(floor.value, gap.unit, difference=is_points) if floor else ""
    return [
        describe(claim.measure) + (f" at {claim.at}" if claim.at else ""),
        *(_end(m, groups) for m in (claim.worst, claim.best)),
        size,
        chance,
        "–" if claim.p_adjusted is None else f"{claim.p_adjusted:.2g}",
        _would_find(claim),
        claim.answer,
    ]


def _would_find(claim: Claim) -> str:
    """The smallest ratio that data like these show; "" where there is no such number."""
    if claim.detectable_ratio is not None:
        return f"{claim.detectable_ratio:.2g}×"
    none_found = claim.p_adjusted is not None and claim.answer == "too few data"
    return f"not even {LARGEST_RATIO:g}×" if none_found else ""


def _end(end: Measure | None, groups: Sequence[Measure]) -> str:
    """The worst or the best group with its number; groups that tie for it are not ranked."""
    if end is None:
        return "–"
    key = end.name, end.at, list(end.group), end.across
    ties = [m for m in groups if (m.name, m.at, list(m.group), m.across) == key]
    tied = sum(m.value == end.value for m in ties)
    whose = group_name(end.group) if tied < 2 else f"{tied} groups"
    return f"{whose} {number(end.value, end.unit)}"


def without_empty_columns(table: Table) -> Table:
    """The table less the columns in which no row says anything."""
    used = [k for k in range(len(table.columns)) if any(row[k] for row in table.rows)]
    rows = [[row[k] for k in used] for row in table.rows]
    return Table(table.title, [table.columns[k] for k in used], rows, table.note)
