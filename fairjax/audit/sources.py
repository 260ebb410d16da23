"""Where a table comes from: a file or memory; and errors that say what is wrong with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from fairjax.core.errors import UserError


class InputError(UserError, ValueError):
    """A file or a choice that cannot be audited; the message says what, where and what to do."""


class NotANumberError(InputError):
    """Text where a number should be.

    Args:
      message: What is said.
      word: The text.
    """

    def __init__(self, message: str, word: str) -> None:
        super().__init__(message)
        self.word = word


@dataclass(frozen=True, eq=False)
class InMemory:
    """A table that a Python program holds; it is read as a file is.

    Attributes:
      table: Columns of one value a row.
      vectors: Columns of one vector a row, [rows, dim], by name.
      name: Name of the table in messages.
    """

    table: pa.Table
    vectors: Mapping[str, np.ndarray] = field(default_factory=dict)
    name: str = "the table"

    def __str__(self) -> str:
        return self.name


Source = Path | InMemory  # of a table


def listed(names: Sequence[str], *, most: int = 12) -> str:
    """Names for a message: quoted, and cut where there are many."""
    shown = ", ".join(map(repr, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown or "none"
