"""Words and numbers in a table of pairs: failures, decisions, and whether a pair is mated."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from fairjax.audit.layout import TableOptions
from fairjax.audit.tables import InputError, Names, Source, listed
from fairjax.core.names import clean, how_unknown, is_unknown

_YES = {"1", "1.0", "true", "yes", "same", "mated", "match", "genuine"}
_NO = {"0", "0.0", "false", "no", "different", "nonmated", "non-mated", "nonmatch", "impostor"}


def without_failures(score: np.ndarray, options: TableOptions) -> np.ndarray:
    """The scores, NaN for those that stand for a failure to acquire."""
    if not options.failure_scores:
        return score
    codes = [code for code in options.failure_scores if not isinstance(code, str)]
    return np.where(np.isin(score, codes), np.nan, score)


def decisions_as_scores(
    words: pa.Array, start: int, path: Source, options: TableOptions
) -> np.ndarray:
    """Some rows' decisions as scores: 1 accepts the pair, 0 does not, NaN where it failed."""
    names = Names()
    code = names.encode(words)
    accept = _accepting(options)
    word_of = _decision_words(names, accept)
    value = np.array([float(word in accept) if word else np.nan for word in word_of], np.float64)[
        code
    ]
    if (missing := np.isnan(value)).any() and not options.failures:
        row = int(np.argmax(missing))
        raise InputError(
            f"{path}, data row {start + row}: {options.decision} is "
            f"{how_unknown(list(names)[code[row]])}; --failures counts such pairs."
        )
    return value


def check_decisions(names: Iterable[str], path: Source, options: TableOptions) -> None:
    """Refuses a column of decisions that never accepts, or has several words that do not.

    Args:
      names: Every word that the whole column holds.
      path: The table, for messages.
      options: Which column it is, and which words accept.
    """
    accept = _accepting(options)
    known = sorted({word for word in _decision_words(names, accept) if word})
    if not accept & set(known):
        raise InputError(
            f"{path}: --accept says which words in {options.decision} accept a pair; "
            f"it holds {listed(known)}."
        )
    if len(set(known) - accept) > 1:
        raise InputError(
            f"{path}: {options.decision} holds {listed(known)}; name all that "
            "accept with --accept, one word is left for those that do not."
        )


def _accepting(options: TableOptions) -> set[str]:
    return {clean(word).casefold() for word in options.accept}


def _decision_words(names: Iterable[str], accept: set[str]) -> list[str]:
    """Each name in lower case; "" for one that says nothing and is none of those that accept."""
    lower = ((name, name.casefold()) for name in names)
    return ["" if is_unknown(name) and word not in accept else word for name, word in lower]


def is_mated(words: pa.Array, start: int, path: Source, column: str) -> np.ndarray:
    """Whether each pair shows one person, by the words 1 and 0, same and different, and so on."""
    names = Names()
    code = names.encode(words)
    meaning = np.array([_truth(name) for name in names], np.int8)[code]
    if (bad := meaning < 0).any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{path}, data row {start + row}: {column} is "
            f"{words[row].as_py()!r}; expected 1 or 0 (or true/false, same/different, "
            "mated/nonmated, genuine/impostor)."
        )
    return meaning.astype(bool)


def _truth(word: str) -> int:
    word = word.strip().lower()
    return 1 if word in _YES else 0 if word in _NO else -1
