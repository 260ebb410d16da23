"""What the report of an evaluation of classifiers and regressors shows."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from fairjax.core.results import Measure, Results
from fairjax.report.attributes.measures import by_attributes, overall, worst_place
from fairjax.report.drawing import plots
from fairjax.report.drawing.heat_map import Cell, heat_map
from fairjax.report.drawing.pictures import sensitivity_section
from fairjax.report.sections import Figure, Parts, Section, reading
from fairjax.report.verification import covariate_section
from fairjax.report.wording import describe, digits, more_is_better, sentence, span, words


def sections(results: Results) -> list[Section]:
    """Covariates, groups, intersections, classes, calibration, attention; some may be empty."""
    return [
        covariate_section.section(results),
        _group_section(results),
        _cell_section(results),
        _confusion_section(results.arrays.get("confusion", {})),
        _calibration_section(results.arrays.get("calibration", {})),
        sensitivity_section(results.arrays.get("sensitivity", {})),
    ]


def _group_section(results: Results) -> Section:
    everyone = {m.name: m for m in overall(results)}
    parts: Parts = []
    for attributes, names in by_attributes(results).items():
        figures: list[Figure] = []
        for name, rows in names.items() if len(attributes) == 1 else ():
            if all(m.value is None for m in rows):
                continue
            svg = plots.forest(
                f"group-{len(parts)}-{len(figures)}",
                f"{describe(name)} by {attributes[0]}",
                rows,
                overall=everyone.get(name),
                worst=worst_place(rows),
            )
            figures.append(Figure(Markup(svg), describe(name), reading(rows[0])))
        parts.append((f"By {words(attributes[0])}", figures))
    lead = (
        "A dot is the group's number, the line its interval, the dotted line everyone. Hollow and "
        "dashed: fewer than 30 errors (or examples, where errors aren't counted), too few to judge "
        "by. The worst of the others is in bold. An arrow: the interval goes on."
    )
    return Section("groups", "Group by group", lead, parts=parts, folded=True, printed=False)


def _cell_section(results: Results) -> Section:
    parts: Parts = []
    for attributes, names in by_attributes(results).items():
        if len(attributes) != 2:
            continue
        first, second = attributes
        figures: list[Figure] = []
        for name, measures in names.items():
            if all(m.value is None for m in measures):
                continue
            at = {(m.group[first], m.group[second]): m for m in measures}
            rows = list(dict.fromkeys(m.group[first] for m in measures))
            columns = list(dict.fromkeys(m.group[second] for m in measures))
            roomy = len(columns) <= 3
            ends = [_badness(m) for m in measures if m.value is not None and not m.is_thin]
            best = min(ends, default=0.0)
            worst = max([*ends, 1.5 * best])  # so that nearly equal cells look nearly equal
            svg = heat_map(
                f"cell-{len(parts)}-{len(figures)}",
                f"{describe(name)} by {first} and {second}",
                [[_cell(at.get((r, c)), best, worst, roomy=roomy) for c in columns] for r in rows],
                rows=rows,
                columns=columns,
                row_axis=first,
                column_axis=second,
            )
            figures.append(Figure(Markup(svg), describe(name), reading(measures[0])))
        parts.append((f"By {words(first)} and {words(second)}", figures))
    lead = (
        "The stronger the colour, the worse the cell among those of its map. Hatched: fewer than "
        "30 errors (or examples, where errors aren't counted), too few to judge by."
    )
    return Section("intersections", "Where two attributes meet", lead, parts=parts, folded=True)


def _cell(m: Measure | None, best: float, worst: float, *, roomy: bool) -> Cell:
    """One cell of an intersection map, filled by how bad it is from `best` to `worst`."""
    if m is None or m.value is None:
        return Cell("–", ["", "n 0"] if roomy else ["n 0"], None)
    small = [*([span(m.interval, m.unit)] if roomy else []), f"n {m.n:,}"]
    strength = (_badness(m) - best) / (worst - best) if worst > best else 0.0
    return Cell(digits(m.value, m.unit), small, None if m.is_thin else strength)


def _badness(m: Measure) -> float:
    """The measure so that more is worse: an error stays, an accuracy becomes its error."""
    assert m.value is not None
    return 1 - m.value if more_is_better(m.name) else m.value


def _confusion_section(confusion: Mapping[str, Any]) -> Section:
    figures: list[Figure] = []
    for name, matrix in confusion.items():
        cells = []
        for row in matrix["overall"]:
            whole = max(sum(row), 1)
            cells.append([Cell(f"{100 * n / whole:.0f}%", [f"{n:,}"], n / whole) for n in row])
        svg = heat_map(
            f"confusion-{len(figures)}",
            f"Confusion matrix of {words(name)}",
            cells,
            rows=matrix["classes"],
            columns=matrix["classes"],
            row_axis="labelled",
            column_axis="predicted",
        )
        figures.append(Figure(Markup(svg), sentence(words(name))))
    lead = (
        "Each row is what the examples of one label were taken for; its percentages add up to 100."
    )
    return Section("confusion", "What is taken for what", lead, parts=[("", figures)], folded=True)


def _calibration_section(calibration: Mapping[str, Any]) -> Section:
    figures: list[Figure] = []
    for name, diagram in calibration.items():
        svg = plots.reliability(
            f"calibration-{len(figures)}",
            f"Calibration of {words(name)} by group",
            diagram["overall"],
            diagram["by_group"],
        )
        note = "share right (%) against stated confidence (%)"
        figures.append(Figure(Markup(svg), sentence(words(name)), note))
    lead = (
        "When the model is 80% sure, is it right 80 times of 100? Below the dotted line it is "
        "surer than it should be. Big points hold many examples, hollow ones fewer than 30; the "
        "faint lines are the other groups."
    )
    return Section(
        "calibration", "Is its confidence earned?", lead, parts=[("", figures)], folded=True
    )
