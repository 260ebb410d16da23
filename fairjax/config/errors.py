"""What is wrong with a config, in one line."""

import difflib
from collections.abc import Iterable

from fairjax.core.errors import USAGE, UserError


class ConfigError(UserError, ValueError):
    """The config asks for something impossible; the message says what to type instead."""

    code = USAGE


def nearest(word: str, known: Iterable[str]) -> str:
    """For a misspelt word: "did you mean 'this'? "; "" where nothing is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]!r}? " if near else ""
