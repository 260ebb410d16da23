"""Groups of people as tables spell them: numbered, and refused where they cannot be meant."""

import difflib
import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from fairjax.audit.layout import MOST_GROUPS, TableOptions
from fairjax.audit.tables import InputError, listed
from fairjax.core.comparisons import UNKNOWN
from fairjax.core.names import alike, dates_among_ranges, is_unknown, may_be_unknown

OLDEST = 120  # years
_BIN = re.compile(r"(<?)(-?\d+(?:\.\d+)?)")


def labelled(
    codes: Sequence[np.ndarray], words: Sequence[Sequence[str]]
) -> tuple[np.ndarray, list[str]]:
    """Joins the names of several attributes where they meet.

    Args:
      codes: For each attribute an index into its words, any shape.
      words: For each attribute the names; "" is unknown.

    Returns:
      An index into the labels, in the codes' shape, and the labels: "Asian female"; "" where a part
      is unknown.
    """
    combined = codes[0].astype(np.int64)
    for code, names in zip(codes[1:], words[1:], strict=True):
        combined = combined * len(names) + code
    rest, row = np.unique(combined, return_inverse=True)
    parts = []
    for names in reversed(words):
        rest, index = np.divmod(rest, len(names))
        parts.append([names[k] for k in index])
    labels = [" ".join(label) if all(label) else "" for label in zip(*parts[::-1], strict=True)]
    return row.reshape(codes[0].shape), labels


def ordered_groups(labels: Sequence[str], options: TableOptions, where: str) -> list[str]:
    """The groups: as asked for, or sorted, bins of numbers from the lowest on.

    Raises:
      InputError: If a name is not among those asked for, an asked name never occurs, or there are
        more than `MOST_GROUPS` without being asked for.
    """
    named = sorted(set(labels) - {""})
    if any(":" in by for by in options.by):
        named.sort(key=_by_number)
    groups = list(options.group_names) or named
    if len(groups) > MOST_GROUPS and not options.many_groups and not options.group_names:
        raise InputError(
            f"{where}: {len(groups):,} groups ({listed(groups, most=3)}), more than "
            f"{MOST_GROUPS}; put numbers into bins (--by age:18,30,45,60), or say --many-groups."
        )
    for label in labels:
        if label and label not in groups:
            close = difflib.get_close_matches(label, groups, 1)
            hint = f"; did you mean {close[0]!r}?" if close else "."
            raise InputError(
                f"{where}: {label!r} is not among --group-names {listed(groups)}{hint}"
            )
    if unused := [name for name in groups if name not in labels]:
        raise InputError(f"{where}: nobody is in the group {unused[0]!r} of --group-names.")
    return groups


def _by_number(label: str) -> list[tuple[int, float, str]]:
    """A label's words for sorting: numbers by size, "<18" before "18-29"."""
    keys = []
    for word in label.split():
        hit = _BIN.match(word)
        number = float(hit[2]) - bool(hit[1]) if hit else 0.0
        keys.append((0 if hit else 1, number, word))
    return keys


def known_groups(names: Sequence[str], options: TableOptions) -> list[str]:
    """The names, "" for those that say nothing (nan, NA, unknown) unless --group-names has them."""
    return ["" if is_unknown(n) and n not in options.group_names else n for n in names]


def binned(names: Sequence[str], edges: Sequence[float], where: str, *, name: str) -> list[str]:
    """Numbers as the names of the bins that they fall into: "<18", "18-29", "30+".

    Args:
      names: Numbers as text; "" stays "".
      edges: Lower ends of the bins, ascending.
      where: The file, for messages.
      name: The attribute; an "age" lies from 0 to 120, as -1 and 999 stand for unknown ones.

    Raises:
      InputError: If a name is no number, or no age.
    """
    whole = all(float(edge).is_integer() for edge in edges)
    step = 1 if whole else 0

    def label(text: str) -> str:
        if not text:
            return ""
        try:
            value = float(text)
        except ValueError:
            raise InputError(
                f"{where} ({name}): {text!r} is no number, so it falls into no bin."
            ) from None
        if name.lower() == "age" and not 0 <= value <= OLDEST:
            raise InputError(
                f"{where} ({name}): {text!r} is no age from 0 to {OLDEST}; leave unknown ages "
                "blank, and say --unknown-groups."
            )
        index = int(np.searchsorted(edges, value, side="right"))
        if index == 0:
            return f"<{edges[0]:g}"
        if index == len(edges):
            return f"{edges[-1]:g}+"
        return f"{edges[index - 1]:g}-{edges[index] - step:g}"

    return [label(name) for name in names]


def numbered(labels: Sequence[str], groups: Sequence[str]) -> Int[np.ndarray, " labels"]:
    """The group of each label, UNKNOWN for ""."""
    number = {name: k for k, name in enumerate(groups)}
    return np.array([number.get(label, UNKNOWN) for label in labels], np.int32)


def intersect(
    codes: Sequence[np.ndarray], words: Sequence[Sequence[str]], options: TableOptions, where: str
) -> tuple[np.ndarray, list[str]]:
    """Groups of one attribute, or of several where they meet, and their names in order.

    Raises:
      InputError: See `ordered_groups`.
    """
    row, labels = labelled(codes, words)
    groups = ordered_groups(labels, options, where)
    return numbered(labels, groups)[row], groups


def check_names(words: Sequence[Sequence[str]], where: str) -> None:
    """Refuses group names that are most likely one group's: see `core.names.alike`.

    Raises:
      InputError: Naming both, or a name with a line break.
    """
    for names in words:
        for name in dict.fromkeys(names):
            if "\n" in name or "\r" in name:
                raise InputError(f"{where}: the group name {name[:40]!r} holds a line break.")
        refuse_alike(names, "the groups", where)


def refuse_alike(names: Sequence[str], kind: str, where: str) -> None:
    """Refuses names that differ in nothing that usually tells names apart.

    Args:
      names: Names of one kind.
      kind: Kind of the names, for messages: "the groups".
      where: The file, for messages.

    Raises:
      InputError: Naming the first two.
    """
    if similar := alike(name for name in names if name):
        first, second, difference = similar[0]
        difference = "case or spaces" if difference in ("case", "blanks") else difference
        raise InputError(
            f"{where}: {kind} {first!r} and {second!r} differ by {difference} alone; write them "
            "alike."
        )
    if dates := dates_among_ranges(names):
        for date, meant in dates.items():
            if meant in names:
                raise InputError(
                    f"{where}: {kind} {date!r} and {meant!r} are most likely one: a spreadsheet "
                    "takes ranges for dates. Format the column as text and write them alike."
                )


def name_limits(names: Sequence[str], attribute: str) -> list[str]:
    """What the reader must know of the names of groups or labels."""
    unknown = [
        f"{attribute} {name!r} is taken for a name like any other. If it says that nothing is "
        "known, leave its cells blank."
        for name in names
        if may_be_unknown(name)
    ]
    return unknown + [
        f"{attribute} {date!r} stands among ranges: a spreadsheet has most likely made it of "
        f"{meant!r}. Check the table, with the column formatted as text."
        for date, meant in dates_among_ranges(names).items()
    ]
