"""Why two results disagree: what differs between them, what moves numbers most coming first."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fairjax.core.results import Measure, Results, Table
from fairjax.report.wording import digits

_ABSENT = "not said"
# (what, how it moves numbers, where it is written), in order of how far
_CAUSES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("kind", "these are not results of one kind", ("kind",)),
    (
        "pairs",
        "other pairs: other people, another number of them, or other folds",
        ("provenance.pairs", "protocol.n"),
    ),
    ("data", "other files, or the same ones changed", ("provenance.files", "provenance.data_hash")),
    (
        "system",
        "another model or other scores",
        (
            "provenance.scored",
            "protocol.systems",
            "provenance.checkpoint_step",
            "provenance.stated.model",
        ),
    ),
    (
        "groups",
        "other groups, or in other words",
        ("protocol.attribute", "protocol.group_by", "protocol.groups"),
    ),
    ("protocol", "another protocol reports other numbers under the same names", ("protocol.name",)),
    (
        "centring and accuracy variant",
        "subtracting the mean embedding, the thresholds tried and "
        "the choice among them move RFW accuracies by more than most methods differ",
        ("protocol.accuracies",),
    ),
    (
        "preprocessing",
        "alignment, crop and colour order move every score",
        ("provenance.stated.preprocessing", "provenance.stated.alignment"),
    ),
    (
        "flip",
        "adding the mirrored image's embedding lifts accuracy by tenths of a point",
        ("provenance.stated.flip",),
    ),
    (
        "operating points",
        "rates at another FMR or threshold are other numbers",
        ("protocol.fmrs", "protocol.thresholds"),
    ),
    (
        "threshold rule and source",
        "a threshold found on other pairs, or by another rule, moves every rate",
        ("protocol.threshold_rule", "protocol.threshold_source"),
    ),
    (
        "decision rule",
        "another positive label or cut gives other rates",
        (
            "protocol.positive",
            "protocol.gender_positive",
            "protocol.age_rate",
            "protocol.age_positive_from",
        ),
    ),
    ("ddof", "a std over four groups is 15 % larger with ddof 1 than with ddof 0", ("ddof",)),
    ("tolerance", "verdicts only", ("protocol.tolerances",)),
    (
        "intervals",
        "intervals, noise floors and p-values only",
        ("protocol.level", "protocol.resamples", "protocol.seed", "protocol.adjusted"),
    ),
    ("versions", "should move nothing", ("provenance.versions", "provenance.fairjax")),
)


class Difference(NamedTuple):
    """One thing that is not the same in both.

    Attributes:
      what: In words.
      first: What the first one says.
      second: What the second one says.
      effect: How it moves numbers.
    """

    what: str
    first: str
    second: str
    effect: str


def differences(first: Results, second: Results) -> list[Difference]:
    """What differs between two results, in order of how far it moves numbers."""
    return list(_found(first, second))


def _found(first: Results, second: Results) -> Iterator[Difference]:
    for title, effect, paths in _CAUSES:
        for path in paths:
            old, new = (_at(results, path) for results in (first, second))
            if old != new:
                name = title if len(paths) == 1 else f"{title}: {path.split('.')[-1]}"
                yield Difference(name, _text(old), _text(new), effect)


def tables(first: Results, second: Results, names: tuple[str, str]) -> list[Table]:
    """The differences; numbers that both have and how far apart they are; accuracy variants.

    Args:
      first: One result.
      second: The other.
      names: What to call them.
    """
    listed_differences = differences(first, second)
    rows = [[str(k), *difference] for k, difference in enumerate(listed_differences, 1)]
    causes = Table(
        "What differs, what moves numbers most first",
        ["", "what", *names, "effect"],
        rows,
        "" if rows else "Nothing that is written down differs.",
    )
    return [
        t
        for t in (causes, _numbers(first, second, names), _variants(first, second, names))
        if t.rows or t is causes
    ]


def _numbers(first: Results, second: Results, names: tuple[str, str]) -> Table:
    """The numbers that differ most against their own interval, largest first."""
    old = {_place(m): m for m in first.measures if m.value is not None}
    rows = []
    for m in second.measures:
        before = old.get(_place(m))
        if before is None or m.value is None or before.value is None or m.value == before.value:
            continue
        width = (before.interval[1] - before.interval[0]) / 2 if before.interval else 0.0
        apart = abs(m.value - before.value)
        rows.append((apart / width if width else 0.0, apart, _words(m), before, m))
    rows.sort(key=lambda row: row[:2], reverse=True)
    shown = [
        [
            words,
            digits(before.value, m.unit),
            digits(m.value, m.unit),
            f"{ratio:.1f}" if ratio else "",
        ]
        for ratio, _, words, before, m in rows[:20]
    ]
    more = f" {len(rows) - 20} more differ." if len(rows) > 20 else ""
    return Table(
        "Numbers that both have and that differ",
        ["number", *names, "in half-widths"],
        shown,
        "Distance in half-widths of the first one's interval; fractions in percent." + more,
    )


def _variants(first: Results, second: Results, names: tuple[str, str]) -> Table:
    """Each accuracy variant by group in both: one set of embeddings under the public protocols."""
    both = [(name, results) for name, results in zip(names, (first, second), strict=True)]
    columns: list[str] = []
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for name, results in both:
        for m in results.measures:
            if m.name.split("_")[0] != "accuracy" or m.system or m.name.endswith("_change"):
                continue
            variant = m.rule.split(":")[0] if not m.across else ""
            group = ", ".join(m.group.values())
            if not variant or not group:
                continue
            if group not in columns:
                columns.append(group)
            cells.setdefault((variant, name), {})[group] = (
                digits(m.value, m.unit) if m.value is not None else "–"
            )
    if len({variant for variant, _ in cells}) < 2:
        return Table("", [], [])
    order = list(dict.fromkeys(variant for variant, _ in cells))
    rows = [
        [variant, name, *(cells[variant, name].get(group, "–") for group in columns)]
        for variant in order
        for name in names
        if (variant, name) in cells
    ]
    return Table(
        "Accuracy by variant, %",
        ["variant", "result", *columns],
        rows,
        "The same scores under each public protocol; compare like with like.",
    )


def _at(results: Results, path: str) -> Any:
    """What is written at a dotted place; None where nothing is."""
    if path == "kind":
        return results.kind
    if path == "ddof":
        return sorted({m.ddof for m in results.measures if m.ddof is not None}) or None
    room, *keys = path.split(".")
    value: Any = getattr(results, room)
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    if path == "provenance.files" and value:
        return {role: file["hash"] for role, file in value.items()}
    return value


def _text(value: Any) -> str:
    if value is None or value in ({}, [], ""):
        return _ABSENT
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    text = str(value)
    return text[:19] if text.startswith("sha256:") else text


def _place(m: Measure) -> tuple[Any, ...]:
    return m.name, m.across, m.at, m.system, tuple(sorted(m.group.items()))


def _words(m: Measure) -> str:
    where = ", ".join(m.group.values()) or (f"across {m.across}" if m.across else "everyone")
    return " ".join(filter(None, [m.system, m.name, f"({where})", m.at and f"at {m.at}"]))
