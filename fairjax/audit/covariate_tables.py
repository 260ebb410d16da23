"""Covariates of images or of people, out of tables."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fairjax.audit.layout import IMAGES, People, TableOptions, both_sides
from fairjax.audit.people import load_people
from fairjax.audit.tables import (
    InputError,
    Source,
    column_names,
    listed,
    read_batches,
    read_words,
    with_points,
)
from fairjax.core.names import clean_path, is_unknown


@dataclass(frozen=True)
class Covariates:
    """Covariates of images or of people.

    Attributes:
      source: Where they come from, for messages.
      key: "image" or "subject": what has a value.
      values: For each covariate the word of each key.
    """

    source: str
    key: str
    values: Mapping[str, Mapping[str, str]]


def load_covariates(
    table: Source | None,
    names: Sequence[str],
    *,
    pairs: Source,
    options: TableOptions,
    people: People | None,
) -> Covariates:
    """The covariates that are held.

    Args:
      table: One row an image (or a person), one column a covariate; None looks into `people` and
        into the columns of both sides of `pairs`.
      names: Covariates to hold; empty takes every column of numbers of `table`.
      pairs: The audited table of pairs.
      options: How the audited table is read.
      people: The audit's table of people or images.

    Raises:
      InputError: If a covariate is nowhere, or says two things of one image.
    """
    if table is not None:
        own = load_people(table)
        if lost := [name for name in names if name not in own.groups]:
            raise InputError(
                f"{own.source} has no covariate {lost[0]!r}; it has {listed(list(own.groups))}."
            )
        chosen = list(names) or [n for n, column in own.groups.items() if is_numeric(column)]
        if not chosen:
            raise InputError(
                f"{own.source} has no column of numbers; name a column of words with --covariate."
            )
        return Covariates(own.source, own.key, {name: own.groups[name] for name in chosen})
    if people is not None and all(name in people.groups for name in names):
        return Covariates(people.source, people.key, {name: people.groups[name] for name in names})
    return _of_both_sides(pairs, names, options)


def load_image_covariates(
    table: Source | None, names: Sequence[str], *, predictions: Source, options: TableOptions
) -> Covariates:
    """The covariates that are held for predictions, one image a row.

    Args:
      table: One row an image (or a person), one column a covariate; None looks for columns of
        `predictions`.
      names: Covariates to hold; empty takes every column of numbers of `table`.
      predictions: The audited table.
      options: How the audited table is read.

    Raises:
      InputError: If a covariate is nowhere.
    """
    if table is not None:
        return load_covariates(table, names, pairs=predictions, options=options, people=None)
    if lost := [name for name in names if name not in (have := column_names(predictions))]:
        raise InputError(
            f"{predictions} has no covariate {lost[0]!r}; it has {listed(have)}. Name a column, or "
            "give a table with one row an image with --covariates."
        )
    values = {
        name: {str(row): word for row, word in enumerate(words, 1)}
        for name, column in read_words(predictions, names).items()
        for words in [with_points(predictions, [name], column)]
    }
    return Covariates(str(predictions), "row", values)


def _of_both_sides(path: Source, names: Sequence[str], options: TableOptions) -> Covariates:
    """Covariates out of columns of both sides of the table of pairs: brightness1, brightness2."""
    columns = column_names(path)
    columns_of: dict[str, tuple[str, str]] = {}
    for name in names:
        sides = both_sides(columns, name)
        if len(sides) != 1:
            raise InputError(
                f"{path} has no columns {name}1 and {name}2 for --covariate {name}; it has "
                f"{listed(columns)}. Give a table with one row an image with --covariates."
            )
        columns_of[name] = sides[0]
    images = [
        side
        for base in ([options.image] if options.image else IMAGES)
        for side in both_sides(columns, base)
    ]
    if len(images) != 1:
        raise InputError(
            f"{path} does not name its images, so covariates cannot be told apart; name their "
            "columns with --image, or give a table of covariates with --covariates."
        )
    values: dict[str, dict[str, str]] = {name: {} for name in names}
    text = [*images[0], *(column for both in columns_of.values() for column in both)]
    for batch in read_batches(path, text=text, numbers=[]):
        for side in (0, 1):
            image = [clean_path(name) for name in batch.columns[images[0][side]].to_pylist()]
            for name, both in columns_of.items():
                words = batch.columns[both[side]].to_pylist()
                for row, (key, word) in enumerate(zip(image, words, strict=True)):
                    if values[name].setdefault(key, word) != word:
                        raise InputError(
                            f"{path}, data row {batch.start + row}: {both[side]} of {key!r} is "
                            f"{word!r} here and {values[name][key]!r} elsewhere."
                        )
    for name, both in columns_of.items():
        known = values[name]
        values[name] = dict(zip(known, with_points(path, both, list(known.values())), strict=True))
    return Covariates(str(path), "image", values)


def is_numeric(column: Mapping[str, str]) -> bool:
    """Whether a covariate's known values are all finite numbers, and there is one."""
    known = [word for word in column.values() if not is_unknown(word)]
    return bool(known) and all(as_number(word) is not None for word in known)


def as_number(word: str) -> float | None:
    """The number that a word is; None where it is none, or not finite."""
    try:
        value = float(word)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
