"""Before and after: the same pairs scored twice, and what changed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fairjax.audit.layout import People, TableOptions
from fairjax.audit.loaded import Loaded
from fairjax.audit.pairs import load_comparisons
from fairjax.audit.tables import InputError, Source
from fairjax.core.names import counted
from fairjax.core.results import Measure, Results, Table
from fairjax.core.verdict import ALPHA

_TITLE = "What changed"
_GAPS = {"difference": "gap, difference", "max_over_min": "gap, largest / smallest"}


def load_both(
    files: Sequence[Source], options: TableOptions, *, people: People | None
) -> dict[str, Loaded]:
    """Two tables of the same pairs as two systems, for each attribute of `options.by`.

    Args:
      files: Before and after.
      options: How both tables are read.
      people: Groups (and people) by subject or image.

    Raises:
      InputError: If the tables show different pairs, people or groups, or have several systems.
    """
    tables = [load_comparisons(path, options, people=people) for path in files]
    names = [path.stem if isinstance(path, Path) else path.name for path in files]
    if names[0] == names[1]:
        names = ["before", "after"]
    return {by: join(tables[0][by], tables[1][by], names, files) for by in tables[0]}


def join(first: Loaded, second: Loaded, names: Sequence[str], files: Sequence[Source]) -> Loaded:
    """The pairs of two tables with the scores of both, in the order of the first.

    Args:
      first: Pairs before.
      second: Pairs after, in any order if images are named.
      names: Names of the two systems.
      files: The two files, for messages.

    Raises:
      InputError: If the pairs, people or groups differ.
    """
    where = f"{files[0].name} and {files[1].name}"
    for loaded, file in ((first, files[0]), (second, files[1])):
        if len(loaded.scores) > 1:
            raise InputError(f"{file.name} has several columns of scores; name one with --score.")
    if first.groups != second.groups:
        raise InputError(
            f"{where} have different groups: {', '.join(first.groups)}; {', '.join(second.groups)}."
        )
    order = _order(first, second, where)
    other = second.take(order)
    people = [np.array(pairs.names, object) if pairs.names else None for pairs in (first, other)]
    for what, same in (
        ("mated pairs", first.mated == other.mated),
        ("groups", (np.sort(first.group, axis=1) == np.sort(other.group, axis=1)).all(axis=1)),
        ("people", _same_people(first, other, people)),
    ):
        if not same.all():
            raise InputError(
                f"{where} disagree about {what} in {np.sum(~same):,} pairs, first in data row "
                f"{int(np.argmin(same)) + 1}; both must list the same pairs"
                + ("." if first.has_images else ", in one order, as no column names the images.")
            )
    old, new = next(iter(first.scores)), next(iter(other.scores))
    distances = [
        name
        for name, (pairs, key) in zip(names, ((first, old), (other, new)), strict=True)
        if key in pairs.distances
    ]
    notes = [
        *(f"{files[0].name}: {note}" for note in first.notes),
        *(f"{files[1].name}: {note}" for note in second.notes),
    ]
    return replace(
        first,
        scores={names[0]: first.scores[old], names[1]: other.scores[new]},
        kinds={names[0]: first.kinds.get(old, ""), names[1]: other.kinds.get(new, "")},
        distances=tuple(distances),
        notes=tuple(dict.fromkeys(notes)),
    )


def table(results: Results) -> Table:
    """Each tested change with its values before and after; without rows where nothing is paired."""
    rows = []
    for p in results.measures:
        if not p.name.endswith("_change_p_value"):
            continue
        name = p.name.removesuffix("_change_p_value")
        new, old = p.system.split(" minus ", 1)
        where = dict(at=p.at, across=p.across)
        before, after = (results.find(name, p.group, system=s, **where) for s in (old, new))
        change = results.find(f"{name}_change", p.group, system=p.system, **where)
        adjusted = results.find(f"{p.name}_holm", p.group, system=p.system, **where)
        assert before is not None and after is not None and adjusted is not None
        rate, _, gap = name.partition("_")
        what = _GAPS[gap] if gap else ", ".join(p.group.values()) or "everyone"
        rows.append(
            [
                p.at,
                rate.upper(),
                what,
                _number(before),
                _number(after),
                _span(change),
                f"{p.value:.2g}",
                f"{adjusted.value:.2g}",
                _word(change, adjusted),
            ]
        )
    columns = ["at", "rate", "of", "before, %", "after, %", "change, points", "p", "p adjusted", ""]
    note = (
        "Fractions in percent, ratios as they are. Each system has its own threshold at the FMR "
        f"asked for. A change is shown where the adjusted p-value is at most {ALPHA}; both systems "
        "are compared on the same people, so the test knows what their intervals apart do not."
    )
    return Table(_TITLE, columns, rows, note)


def sentences(results: Results) -> list[str]:
    """What changed, in words; nothing where nothing is paired."""
    rows = table(results).rows
    if not rows:
        return []
    shown = [row for row in rows if row[-1] in ("lower", "higher")]
    if not shown:
        return ["What changed: no change of a group's error rate or of a gap is shown."]
    changes = []
    for at in dict.fromkeys(row[0] for row in shown):
        parts = [_change(row) for row in shown if row[0] == at]
        changes.append(f"Shown to have changed at {at}: {'; '.join(parts)}.")
    return changes


def _change(row: Sequence[str]) -> str:
    """One row of the table in words."""
    _, rate, group, before, after, *_, word = row
    if group not in _GAPS.values():
        return f"{rate} of {group} {word}, {before} to {after} %"
    wider = "wider" if word == "higher" else "narrower"
    unit = " points" if group == _GAPS["difference"] else " times"
    return f"{rate} {group} {wider}, {before} to {after}{unit}"


def _order(first: Loaded, second: Loaded, where: str) -> np.ndarray:
    """Rows of the second table in the order of the first."""
    if len(first) != len(second):
        raise InputError(
            f"{where} have {len(first):,} and {len(second):,} pairs; both must list the same pairs."
        )
    if first.image is None or second.image is None:
        return np.arange(len(first))
    number = {name: k for k, name in enumerate(first.images)}
    number_in_first = np.array([number.get(name, -1) for name in second.images], np.int64)
    keys = []
    for image in (first.image.astype(np.int64), number_in_first[second.image]):
        low, high = np.sort(image, axis=1).T
        keys.append(low * len(first.images) + high)
    rank = np.argsort(keys[1], kind="stable")
    position = np.searchsorted(keys[1], keys[0], sorter=rank)
    order = rank[np.minimum(position, len(rank) - 1)]
    lost = keys[1][order] != keys[0]
    if lost.any():
        row = int(np.argmax(lost))
        pair = [first.images[k] for k in first.image[row].tolist()]
        raise InputError(
            f"{where}: the pair {pair[0]!r}, {pair[1]!r} is in the first alone "
            f"({counted(int(lost.sum()), 'such pair')}); both must list the same pairs."
        )
    return order


def _same_people(first: Loaded, other: Loaded, names: Sequence[np.ndarray | None]) -> np.ndarray:
    if names[0] is None or names[1] is None:
        return np.ones(len(first), bool)
    left, right = (
        np.sort(n[x.subject].astype(str), axis=1)
        for n, x in zip(names, (first, other), strict=True)
        if n is not None
    )
    return (left == right).all(axis=1)


def _number(m: Measure) -> str:
    assert m.value is not None
    return f"{m.value:.3g}" if m.unit == "ratio" else f"{100 * m.value:.3g}"


def _span(change: Measure | None) -> str:
    if change is None or change.value is None:
        return "–"
    times = 1 if change.unit == "ratio" else 100
    if change.interval is None:
        return f"{times * change.value:+.3g}"
    low, high = change.interval
    return f"{times * change.value:+.3g} [{times * low:.3g}, {times * high:.3g}]"


def _word(change: Measure | None, adjusted: Measure) -> str:
    if adjusted.value is None or adjusted.value > ALPHA or change is None or not change.value:
        return "not shown"
    return "lower" if change.value < 0 else "higher"
