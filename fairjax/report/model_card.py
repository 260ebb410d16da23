"""The part of a model card that an evaluation can fill, in Markdown.

Headings as in Mitchell et al., Model Cards for Model Reporting (FAT* 2019, arXiv 1810.03993,
section 4): factors, metrics, evaluation data, quantitative analyses, caveats and recommendations.
Who made the model, what for and from which data is left to its authors.
"""

import re
from collections.abc import Iterator, Sequence

from fairjax.core.results import FEW, Measure, Results, Table
from fairjax.report.accounts import leaves, plain
from fairjax.report.attributes.measures import by_attributes
from fairjax.report.gaps import gap_tables
from fairjax.report.summary import summarise
from fairjax.report.verification.audited import whence
from fairjax.report.wording import (
    describe,
    digits,
    group_name,
    level,
    listed,
    more_is_better,
    printable,
    sentence,
    words,
)

_Rows = dict[str, dict[str, Measure]]  # {group: {column: measure}}


def model_card(results: Results, tables: Sequence[Table] = ()) -> str:
    """Markdown from Factors to Caveats, headings of the second level.

    Names that came from a file are escaped: they can neither become markup nor leave their cell.

    Args:
      results: Results of either kind.
      tables: Shown among the quantitative analyses, but for those that the card draws itself.
    """
    return "\n".join(
        [
            "## Factors",
            "",
            *_factors(results),
            "",
            "## Metrics",
            "",
            *_metrics(results),
            "",
            "## Evaluation data",
            "",
            *_data(results),
            "",
            "## Quantitative analyses",
            "",
            *_analyses(results, tables),
            "## Caveats and recommendations",
            "",
            *_caveats(results),
            "",
        ]
    )


def escaped(text: object) -> str:
    """Text on one line that Markdown and HTML leave as it is, without links of its own."""
    line = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*_\[\]|~$@]|:(?=//)|(?<=www)\.)", r"\\\1", line, flags=re.IGNORECASE)
    line = re.sub(r"^(\s*)([-+=#:])(?!\d)", r"\1\\\2", line)  # lists, rules, headings
    return re.sub(r"^(\s*\d+)([.)])(?!\S)", r"\1\\\2", line)


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table in GitHub's Markdown, every cell escaped."""
    lines = [columns, *rows]
    drawn = [f"| {' | '.join(map(escaped, line))} |" for line in lines]
    return [drawn[0], f"|{' --- |' * len(columns)}", *drawn[1:]]


def _factors(results: Results) -> Iterator[str]:
    """The attributes, and their groups in order."""
    for attributes, names in by_attributes(results).items():
        if len(attributes) == 1:
            groups = dict.fromkeys(group_name(m.group) for rows in names.values() for m in rows)
            yield f"- {escaped(sentence(attributes[0]))}: {escaped(listed(list(groups)))}."
        else:
            yield f"- Where {escaped(words(listed(attributes)))} meet."


def _metrics(results: Results) -> Iterator[str]:
    """Each metric once: what it is, where its threshold came from, how its interval was made."""
    made: dict[str, list[Measure]] = {}
    for m in results.measures:
        if not m.group and not m.across and more_is_better(m.name) is not None:
            made.setdefault(m.name, []).append(m)
    for name, measures in made.items():
        m = measures[0]
        how = [m.rule, f"{level(m)}: {m.method}" if m.interval and m.method else ""]
        thresholds = {
            m.at: f"{m.threshold:.4g} ({whence(m.at, m.threshold_source)})"
            for m in measures
            if m.at and m.threshold is not None
        }
        how += [f"at the thresholds {listed(list(thresholds.values()))}"] if thresholds else []
        text = "; ".join(filter(None, how))
        yield f"- {escaped(describe(name))}{': ' if text else ''}{escaped(text)}."


def _data(results: Results) -> Iterator[str]:
    for name, value in [*leaves(results.protocol), *leaves(results.provenance)]:
        yield f"- {escaped(name)}: {escaped(plain(value))}"


def _analyses(results: Results, tables: Sequence[Table]) -> Iterator[str]:
    """The verdict and its tests, then a table for each system, attribute and operating point."""
    summary = summarise(results)
    for paragraph in [*summary.text, *summary.tolerances, summary.scope]:
        if paragraph:
            yield from (escaped(paragraph), "")
    for table in gap_tables(results):
        yield from (f"### {escaped(table.title)}", "")
        yield from (*markdown_table(table.columns, table.rows), "", escaped(table.note), "")
    yield f"Brackets hold intervals; \\* = fewer than {FEW} errors or examples."
    yield ""
    for title, rows in _by_group(results).items():
        names = list(dict.fromkeys(name for row in rows.values() for name in row))
        cells = [[group, *(_cell(row.get(name)) for name in names)] for group, row in rows.items()]
        yield from (f"### {escaped(title)}", "", *markdown_table(["group", *names], cells), "")
    for table in (table for table in tables if not table.drawn):
        yield from (f"### {escaped(table.title)}", "")
        yield from (*markdown_table(table.columns, table.rows), "")
        yield from (escaped(table.note), "") if table.note else ()


def _by_group(results: Results) -> dict[str, _Rows]:
    """{heading: {group: {metric: measure}}}, everyone's row last where the metric has one."""
    tables: dict[str, _Rows] = {}
    everyone = {(m.name, m.at, m.system): m for m in results.measures if not m.group}
    for m in results.measures:
        change = m.name.endswith("_change")
        if m.across or not m.group or change or more_is_better(m.name) is None:
            continue
        at = f", {m.at}" if m.at else ""
        title = f"{m.system}{': ' if m.system else ''}by {words(listed(list(m.group)))}{at}"
        column = describe(m.name) + {"fraction": ", %", "years": ", years"}.get(m.unit, "")
        rows = tables.setdefault(sentence(title), {})
        rows.setdefault(group_name(m.group), {})[column] = m
        whole = everyone.get((m.name, m.at, m.system))
        if whole and len(m.group) == 1:
            rows["everyone"] = {**rows.pop("everyone", {}), column: whole}
    return {
        title: rows
        for title, rows in tables.items()
        if any(m.value is not None for row in rows.values() for m in row.values())
    }


def _caveats(results: Results) -> Iterator[str]:
    for line in [*results.limits, *summarise(results).unresolved]:
        yield f"- {escaped(line)}"
    yield "- Error rates hold for these data, this threshold rule and these group labels; measure"
    yield "  again before using the model on other people, cameras or thresholds."


def _cell(m: Measure | None) -> str:
    if m is None or m.value is None:
        return "–"
    ends = f" [{', '.join(digits(e, m.unit) for e in m.interval)}]" if m.interval else ""
    return f"{digits(m.value, m.unit)}{'*' if m.is_thin else ''}{ends}"
