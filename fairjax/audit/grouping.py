"""Groups of people as tables spell them: numbered, and refused where they cannot be meant."""

import difflib
from collections.abc import Sequence

import numpy as np

from fairjax.audit.layout import Asked
from fairjax.audit.tables import InputError, listed
from fairjax.comparisons import UNKNOWN


def intersect(
    codes: Sequence[np.ndarray], words: Sequence[Sequence[str]], asked: Asked, where: str
) -> tuple[np.ndarray, list[str]]:
    """Groups of one attribute, or of several where they meet, numbered in order.

    Args:
      codes: For each attribute an index into its words, any shape.
      words: For each attribute the names; "" is unknown.
      asked: Gives the names' order, if any.
      where: For messages.

    Raises:
      InputError: If a name is not among those asked for, or an asked name never occurs.
    """
    combined = codes[0].astype(np.int64)
    for code, names in zip(codes[1:], words[1:], strict=True):
        combined = combined * len(names) + code
    found, place = np.unique(combined, return_inverse=True)
    parts = []
    rest = found
    for names in reversed(words):
        rest, index = np.divmod(rest, len(names))
        parts.append([names[k] for k in index])
    labels = [" ".join(label) if all(label) else "" for label in zip(*parts[::-1], strict=True)]
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
    number = {name: k for k, name in enumerate(groups)}
    return np.array([number.get(x, UNKNOWN) for x in labels], np.int32)[place].reshape(
        codes[0].shape
    ), groups


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
