"""The UTKFace study's results as tables of text, beside the published numbers when asked."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fairjax.core.results import FEW, Measure, Results, Table
from fairjax.core.verdict import verdict
from fairjax.protocols.cells import cell, p_text, plain

# Source: the UTKFace study, Tables 1 to 3, as printed. Its Tables 1 and 2 cannot come from one
# evaluation: accuracy is a weighted mean of 1 - FPR and 1 - FNR, and here it is not.
PUBLISHED: dict[str, dict[str, Any]] = {
    "resnet50": {
        "title": "ResNet-50",
        "age_mae": 4.84,
        "gender_accuracy": 0.91,
        "race_accuracy": 0.81,
        "gender_fpr": {"White": 0.14, "Black": 0.13, "Asian": 0.13, "Indian": 0.06, "Others": 0.12},
        "gender_fnr": {"White": 0.11, "Black": 0.10, "Asian": 0.15, "Indian": 0.10, "Others": 0.11},
        "age_fpr": {"White": 0.11, "Black": 0.12, "Asian": 0.02, "Indian": 0.18, "Others": 0.10},
        "age_fnr": {"White": 0.12, "Black": 0.31, "Asian": 0.32, "Indian": 0.29, "Others": 0.31},
    },
    "tfc": {
        "title": "TFC",
        "age_mae": 6.2,
        "gender_accuracy": 0.88,
        "race_accuracy": 0.76,
        "gender_fpr": {"White": 0.08, "Black": 0.09, "Asian": 0.11, "Indian": 0.05, "Others": 0.07},
        "gender_fnr": {"White": 0.07, "Black": 0.08, "Asian": 0.09, "Indian": 0.06, "Others": 0.08},
        "age_fpr": {"White": 0.09, "Black": 0.10, "Asian": 0.03, "Indian": 0.16, "Others": 0.08},
        "age_fnr": {"White": 0.08, "Black": 0.27, "Asian": 0.28, "Indian": 0.23, "Others": 0.23},
    },
}
_WORDS = {"mae": "MAE", "fpr": "FPR", "fnr": "FNR", "f1": "F1", "ece": "ECE"}


def tables(results: Results, *, published: Literal["", "resnet50", "tfc"] = "") -> list[Table]:
    """The tables of one evaluation; those of absent tasks are left out.

    Fractions are shown in percent with their interval in brackets; `*` marks a rate with fewer
    than 30 errors (or a mean of fewer than 30 examples), an en dash what is undefined.

    Args:
      results: From `utkface.measure_utkface`, or read back from a file.
      published: Whose published numbers to show in the study's own tables; "" shows none.
    """
    group_by, groups = results.protocol["group_by"], results.protocol["groups"]
    level = f"Brackets: {100 * results.protocol['level']:g} % interval, "
    level += f"{results.protocol['interval']}. * = fewer than {FEW} errors or examples."
    paper = PUBLISHED.get(published, {})
    all_tables = [
        _headline(results, group_by, paper, level),
        by_group_table(
            results, group_by, groups, ["age_mae", "gender_accuracy", f"{group_by}_accuracy"], level
        ),
        _rates(results, "gender", group_by, groups, paper),
        _rates(results, "age", group_by, groups, paper),
        _age_bins(results, group_by, groups),
        gap_table(results),
        _intersections(results, group_by, groups),
        _by_decade(results.measures),
        by_group_table(
            results,
            group_by,
            groups,
            [f"{name}_ece" for name in results.protocol["tasks"]],
            f"Equal-width bins: {results.protocol['calibration_bins']}. The error grows as n "
            "shrinks, so compare it with its interval.",
            title="Expected calibration error",
        ),
    ]
    return [table for table in all_tables if table.rows]


def _headline(results: Results, group_by: str, paper: Mapping[str, Any], level: str) -> Table:
    names = ["age_mae", "gender_accuracy", f"{group_by}_accuracy", "age_bin_accuracy"]
    rows = [
        [title_of(m), cell(m), *([plain(paper.get(name), m.unit)] if paper else []), f"{m.n:,}"]
        for name in names
        if (m := results.find(name))
    ]
    columns = ["measure", "here", *([paper["title"] + ", published"] if paper else []), "n"]
    return Table("Everyone", columns, rows, level)


def by_group_table(
    results: Results,
    group_by: str,
    groups: Sequence[str],
    names: Sequence[str],
    note: str,
    title: str = "",
) -> Table:
    """One row a group and one for everyone; one column a measure that the results have."""
    names = [name for name in names if results.find(name)]
    rows = []
    for group in [((group_by, g),) for g in groups] + [()] if names else []:
        measures = [results.get(name, **dict(group)) for name in names]
        rows.append(
            [group[0][1] if group else "everyone", *map(cell, measures), f"{measures[0].n:,}"]
        )
    columns = [group_by, *(title_of(results.get(name)) for name in names), "n"]
    return Table(title or f"By {group_by}", columns, rows, note)


def _rates(
    results: Results, decision: str, group_by: str, groups: Sequence[str], paper: Mapping[str, Any]
) -> Table:
    """FPR and FNR of one decision by group: the study's Tables 2 and 3."""
    names = [f"{decision}_fpr", f"{decision}_fnr"]
    title = f"{decision.capitalize()}: false positives and false negatives by {group_by}"
    if results.find(names[0]) is None:
        return Table(title, [], [])
    columns = [group_by]
    for name in names:
        measure = results.get(name)
        columns += [title_of(measure), *([f"{paper['title']}, published, %"] if paper else []), "n"]
    rows = []
    for group in [((group_by, g),) for g in groups] + [()]:
        row = [group[0][1] if group else "everyone"]
        for name in names:
            m = results.get(name, **dict(group))
            theirs = paper.get(name, {}).get(row[0])
            row += [cell(m), *([plain(theirs, m.unit)] if paper else []), f"{m.n:,}"]
        rows.append(row)
    return Table(title, columns, rows, "; ".join(results.get(name).rule for name in names))


def _age_bins(results: Results, group_by: str, groups: Sequence[str]) -> Table:
    """The study's Table 4: four figures by group, then mean, std and std/mean over the groups."""
    names = ["age_bin_accuracy", *(f"age_bin_weighted_{m}" for m in ("precision", "recall", "f1"))]
    title = f"Age bins by {group_by}"
    if results.find(names[0]) is None:
        return Table(title, [], [])
    base = by_group_table(results, group_by, groups, names, "")
    rows = list(base.rows)
    for suffix, word in [("mean", "mean"), ("std", "std (ddof 1)"), ("std_over_mean", "std/mean")]:
        rows.append(
            [word, *(cell(results.get(f"{n}_{suffix}", across=group_by)) for n in names), ""]
        )
    note = f"{results.get(names[1]).rule}. Mean and std run over the groups, unweighted."
    return Table(title, base.columns, rows, note)


def gap_table(results: Results) -> Table:
    """Differences between groups, each beside chance and the test that decides.

    Args:
      results: Results of kind "attributes".
    """
    group_by, noise = results.protocol["group_by"], results.protocol["noise_floor"]
    by_name = {m.name: m for m in results.measures if m.across == group_by}
    decided = verdict(results)
    rows = []
    for name, m in by_name.items():
        base = name.removesuffix("_difference")
        floor, p = by_name.get(f"{name}_noise_floor"), by_name.get(f"{name}_p_value")
        if base == name or floor is None or p is None:
            continue
        ratio, worst = by_name.get(f"{base}_ratio"), by_name.get(f"{base}_worst")
        claim = decided.get(base)
        rows.append(
            [
                title_of(m).replace("%", "points"),
                cell(m),
                cell(floor),
                p_text(p.value if claim is None else claim.p),
                p_text(None if claim is None else claim.p_adjusted),
                plain(None if claim is None else claim.detectable_ratio, "ratio"),
                cell(ratio),
                ", ".join(worst.group.values()) if worst else "",
            ]
        )
    columns = [
        "gap",
        "largest - smallest",
        "noise floor",
        "p",
        "p adjusted",
        "ratio to be found",
        "smallest / largest",
        "worst group",
    ]
    note = (
        f"Noise floor: what equal groups would stay below, {noise}. p: the chance that groups with "
        "one rate lie as far from it; adjusted (Holm) for the tests of this table that have it, it "
        "decides. Ratio to be found: the smallest ratio of one group's error to the others' that "
        "these data show with 80 % power."
    )
    return Table(f"Gaps across {group_by}", columns, rows, note, drawn=True)


def _intersections(results: Results, group_by: str, groups: Sequence[str]) -> Table:
    cells = [
        m for m in results.measures if set(m.group) == {group_by, "gender"} and group_by != "gender"
    ]
    names, genders = [
        list(dict.fromkeys(x))
        for x in ([m.name for m in cells], [m.group["gender"] for m in cells])
    ]
    rows = []
    for group in groups if cells else []:
        for gender in genders:
            key = {group_by: group, "gender": gender}
            measures = [results.get(name, **key) for name in names]
            rows.append([f"{group}, {gender}", *map(cell, measures), f"{measures[0].n:,}"])
    columns = [f"{group_by} x gender", *(title_of(results.get(name)) for name in names), "n"]
    return Table(f"Intersections of {group_by} and gender", columns, rows, drawn=True)


def _by_decade(measures: Sequence[Measure]) -> Table:
    rows = [
        [m.group["age"], cell(m), f"{m.n:,}"]
        for m in measures
        if m.name == "age_mae" and set(m.group) == {"age"}
    ]
    return Table("Age error by age", ["age", "age MAE, years", "n"], rows)


def title_of(measure: Measure) -> str:
    """A column's heading: "gender_fpr" in percent is "gender FPR, %"."""
    words = [_WORDS.get(word, word) for word in measure.name.split("_")]
    unit = {"fraction": ", %", "years": ", years"}.get(measure.unit, "")
    return " ".join(words) + unit
