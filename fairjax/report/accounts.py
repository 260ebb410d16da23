"""Configs, manifests and environments, whatever they hold, as tables and lists of a report."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from fairjax.core.results import Table
from fairjax.report.wording import sentence

MOST_ROWS = 20  # of a list in data.json; the rest is counted
_NUMBER = re.compile(r"[-+−<>≤≥]?\.?\d[\d,.]*(%|\b)")


class Listing(NamedTuple):
    """Names and values: what a config section or a data source says of itself."""

    title: str
    items: Sequence[tuple[str, str]]


def listing(title: str, tree: Mapping[str, Any]) -> Listing:
    """The leaves of a nested mapping, named with dots."""
    return Listing(title, [(name, plain(leaf)) for name, leaf in leaves(tree)])


def config_lists(config: Mapping[str, Any]) -> list[Listing]:
    """One list a section of a config; keys outside any section come first."""
    loose = {key: value for key, value in config.items() if not isinstance(value, Mapping)}
    sections = [
        listing(sentence(key), tree) for key, tree in config.items() if isinstance(tree, Mapping)
    ]
    return [*([listing("Run", loose)] if loose else []), *sections]


def manifest_parts(manifest: Mapping[str, Any]) -> tuple[list[Listing], list[Table]]:
    """A data manifest: counts and long lists become tables, the rest one list."""
    tables: list[Table] = []
    loose: dict[str, Any] = {}

    def add(tree: Mapping[str, Any], path: tuple[str, ...]) -> None:
        for key, value in tree.items():
            here = (*path, str(key))
            title = sentence(": ".join(here).replace("_", " "))
            if _is_crosstab(value):
                tables.append(_crosstab(title, value))
            elif _is_counts(value):
                tables.append(Table(title, ["", "n"], [[k, f"{n:,}"] for k, n in value.items()]))
            elif _is_list(value) and (len(value) > 5 or any(map(_is_nested, value))):
                tables.append(_items(title, value))
            elif isinstance(value, Mapping) and value:
                add(value, here)
            else:
                loose[".".join(here)] = value

    add(manifest, ())
    return ([listing("Source", loose)] if loose else []), tables


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """The leaves of a nested mapping with dotted names."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def plain(value: Any) -> str:
    """Any JSON value in one line of text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items()) or "none"
    if _is_list(value):
        return ", ".join(map(plain, value)) or "none"
    return "none" if value is None else str(value)


def numeric_columns(table: Table) -> list[bool]:
    """For each column but the first whether it holds numbers: those are set to the right."""
    cells = list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
    return [
        index > 0
        and any(column)
        and all(
            cell in ("", "–", "undefined") or (len(cell) < 30 and _NUMBER.match(cell))
            for cell in column
        )
        for index, column in enumerate(cells)
    ]


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping) or _is_list(value)


def _is_counts(value: Any) -> bool:
    return (
        isinstance(value, Mapping) and bool(value) and all(type(n) is int for n in value.values())
    )


def _is_crosstab(value: Any) -> bool:
    """Whether it is {split: {...: count}}: trees of whole numbers that share their names."""
    if not isinstance(value, Mapping) or not all(isinstance(t, Mapping) for t in value.values()):
        return False
    trees = [dict(leaves(tree)) for tree in value.values()]
    shared = set.intersection(*map(set, trees)) if trees else set()
    return bool(shared) and all(type(leaf) is int for tree in trees for leaf in tree.values())


def _crosstab(title: str, value: Mapping[str, Any]) -> Table:
    """The longer side runs down."""
    columns = {str(column): dict(leaves(tree)) for column, tree in value.items()}
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    cells = [[f"{column.get(name, 0):,}" for column in columns.values()] for name in names]
    heads, rows = list(columns), [name.replace(".", ": ") for name in names]
    if len(heads) > len(rows):
        heads, rows, cells = rows, heads, [list(line) for line in zip(*cells, strict=True)]
    return Table(title, ["", *heads], [[n, *line] for n, line in zip(rows, cells, strict=True)])


def _items(title: str, items: Sequence[Any]) -> Table:
    shown = [item if isinstance(item, Mapping) else {"": item} for item in items[:MOST_ROWS]]
    columns = list(dict.fromkeys(str(key) for item in shown for key in item))
    rows = [[plain(item.get(column, "")) for column in columns] for item in shown]
    left = len(items) - len(rows)
    note = f"{left:,} more are in data.json." if left else ""
    return Table(f"{title} ({len(items):,})", columns, rows, note)
