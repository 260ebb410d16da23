"""Groups of people as tables spell them: numbered, and refused where they cannot be meant."""

import difflib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from fairjax.audit.layout import Asked
from fairjax.audit.tables import InputError, listed
from fairjax.core.comparisons import UNKNOWN


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
    rest, place = np.unique(combined, return_inverse=True)
    parts = []
    for names in reversed(words):
        rest, index = np.divmod(rest, len(names))
        parts.append([names[k] for k in index])
    labels = [" ".join(label) if all(label) else "" for label in zip(*parts[::-1], strict=True)]
    return place.reshape(codes[0].shape), labels


def ordered_groups(labels: Sequence[str], asked: Asked, where: str) -> list[str]:
    """The groups, sorted or as asked for.

    Raises:
      InputError: If a name is not among those asked for, or an asked name never occurs.
    """
    groups = list(asked.group_names) or sorted(set(labels) - {""})
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


def numbered(labels: Sequence[str], groups: Sequence[str]) -> Int[np.ndarray, " labels"]:
    """The group of each label, UNKNOWN for ""."""
    number = {name: k for k, name in enumerate(groups)}
    return np.array([number.get(label, UNKNOWN) for label in labels], np.int32)


def intersect(
    codes: Sequence[np.ndarray], words: Sequence[Sequence[str]], asked: Asked, where: str
) -> tuple[np.ndarray, list[str]]:
    """Groups of one attribute, or of several where they meet, and their names in order.

    Raises:
      InputError: See `ordered_groups`.
    """
    place, labels = labelled(codes, words)
    groups = ordered_groups(labels, asked, where)
    return numbered(labels, groups)[place], groups


def check_names(words: Sequence[Sequence[str]], where: str) -> None:
    """Refuses group names that are most likely one group's: apart by case or spaces alone.

    Raises:
      InputError: Naming both, or a name with a line break.
    """
    for names in words:
        seen: dict[str, str] = {}
        for name in dict.fromkeys(names):
            if "\n" in name or "\r" in name:
                raise InputError(f"{where}: the group name {name[:40]!r} holds a line break.")
            other = seen.setdefault(" ".join(name.split()).casefold(), name)
            if other != name:
                raise InputError(
                    f"{where}: the groups {other!r} and {name!r} differ by case or spaces alone; "
                    "write them alike."
                )
