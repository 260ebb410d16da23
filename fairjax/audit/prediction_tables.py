"""Predictions of an attribute model out of a table: columns become numbers, one image a row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fairjax.audit.grouping import (
    binned,
    check_names,
    intersect,
    known_groups,
    name_limits,
    refuse_alike,
)
from fairjax.audit.layout import IMAGES, SUBJECTS, Attribute, TableOptions, find_attribute
from fairjax.audit.tables import (
    Batch,
    InputError,
    Names,
    Source,
    check_columns,
    column_names,
    not_a_number,
    read_batches,
    with_points,
)
from fairjax.core.names import clean_path, counted, how_unknown, is_unknown

_IMAGES = set(IMAGES) - {"p"}  # which is a probability here


@dataclass(frozen=True)
class PredictionColumns:
    """Which column of the table holds what.

    Attributes:
      label: The true label.
      prediction: The predicted one; "" decides by `probability`.
      probability: Probability of the positive label; "" where there is none.
      positive: The positive label; "" finds the customary one.
      classes: All classes in order; () takes the labels that occur.
      no_answer: Predictions that are none, such as "no face"; a blank is one of them then.
      regression: Whether label and prediction are numbers.
    """

    label: str
    prediction: str = ""
    probability: str = ""
    positive: str = ""
    classes: Sequence[str] = ()
    no_answer: Sequence[str] = ()
    regression: bool = False


@dataclass(frozen=True)
class PredictionRows:
    """A table of predictions as read.

    Attributes:
      words: The names in each column of text.
      codes: For each row an index into them.
      chances: The probabilities; None where there are none.
      cluster: Rows of one person share a number.
      group: Index into `groups`, -1 for unknown.
      groups: Names of the groups.
      limits: Sentences for the reader.
      keys: By "image" and "subject" the column that names them, where there is one.
      number: Number of each row in the table, from 1.
    """

    words: Mapping[str, Names]
    codes: Mapping[str, np.ndarray]
    chances: np.ndarray | None
    cluster: np.ndarray
    group: np.ndarray
    groups: list[str]
    limits: list[str]
    keys: Mapping[str, str]
    number: np.ndarray

    def __len__(self) -> int:
        return len(self.cluster)

    def take(self, rows: np.ndarray) -> "PredictionRows":
        """The rows for which a mask is True."""
        return replace(
            self,
            codes={name: code[rows] for name, code in self.codes.items()},
            chances=None if self.chances is None else self.chances[rows],
            cluster=self.cluster[rows],
            group=self.group[rows],
            number=self.number[rows],
        )


def both_labels(columns: PredictionColumns) -> tuple[str, str]:
    """The columns of true and of predicted labels; "" where decisions come from a probability."""
    return columns.label, columns.prediction


def read_predictions(
    path: Source, columns: PredictionColumns, options: TableOptions, by: str
) -> PredictionRows:
    """The table's columns as numbers; what makes it unfit is said."""
    names = column_names(path)
    attribute = find_attribute(path, names, by, None, pairs=False)
    group_columns = {name: sides[0] for name, sides in attribute.columns.items()}
    who = options.subject or next((n for n in names if n.lower() in SUBJECTS and n != "id"), "")
    taken = {columns.label, columns.prediction, columns.probability, *group_columns.values(), who}
    image = options.image or next((n for n in names if n.lower() in _IMAGES and n not in taken), "")
    text = [columns.label, columns.prediction, *group_columns.values(), who, image]
    text = list(dict.fromkeys(filter(None, text)))
    check_columns(path, text)
    words = {name: Names(clean_path if name == image else str) for name in text}
    codes: dict[str, list[np.ndarray]] = {name: [] for name in text}
    named = {**dict.fromkeys(text, tuple(columns.classes)), who: (), image: ()}
    named |= dict.fromkeys(group_columns.values(), tuple(options.group_names))
    chances = []
    numbers = list(filter(None, [columns.probability]))
    blanks = bool(columns.prediction)  # it decides: no answer, no probability
    for batch in read_batches(path, text=text, numbers=numbers, blanks=blanks):
        for name in text:
            code = words[name].encode(batch.columns[name])
            codes[name].append(code)
            skips = name in group_columns.values() and options.unknown_groups
            if skips or (name == columns.prediction and columns.no_answer):
                continue
            nothing = [k for w, k in words[name].number.items() if is_unknown(w)]
            nothing = [k for k in nothing if list(words[name])[k] not in named[name]]
            if nothing and (there := np.isin(code, nothing)).any():
                row = int(np.argmax(there))
                word = list(words[name])[code[row]]
                keep = ""
                if name in group_columns.values():
                    keep = "; --unknown-groups keeps such rows among everyone only"
                elif word and name in both_labels(columns):
                    keep = "; --classes names it if it is a class"
                raise InputError(
                    f"{path}, data row {batch.start + row}: {name} is {how_unknown(word)}{keep}."
                )
        if columns.probability:
            chances.append(_checked(path, columns.probability, batch))
    whole = {name: np.concatenate(parts_) for name, parts_ in codes.items()}
    limits = _repeats(path, image, who, whole, words, len(whole[columns.label]))
    group, groups = _grouped(path, attribute, words, whole, options)
    limits += name_limits(groups, attribute.name)
    if not columns.regression:
        both = [
            w for name in both_labels(columns) if name for w in words[name] if not is_unknown(w)
        ]
        refuse_alike(list(dict.fromkeys(both)), "the labels", f"{path} ({columns.label})")
        limits += name_limits(list(dict.fromkeys(both)), columns.label)
    if not who:
        limits.append(
            "The table does not say who is on each image, so rows are taken to be independent. "
            "Where people occur more than once, real intervals are wider."
        )
    count = len(whole[columns.label])
    cluster = words[who].ordered()[1][whole[who]] if who else np.arange(count)
    joined = np.concatenate(chances) if chances else None
    keys = {key: name for key, name in (("image", image), ("subject", who)) if name}
    number = np.arange(1, count + 1)
    return PredictionRows(words, whole, joined, cluster, group, groups, limits, keys, number)


def _grouped(
    path: Source,
    attribute: Attribute,
    words: Mapping[str, Names],
    codes: Mapping[str, np.ndarray],
    options: TableOptions,
) -> tuple[np.ndarray, list[str]]:
    """The group of each row, and the groups' names."""
    spelled = []
    for name, (column, _) in attribute.columns.items():
        names = known_groups(list(words[column]), options)
        edges = attribute.bins.get(name)
        if edges:
            names = binned(with_points(path, [column], names), edges, str(path), name=name)
        spelled.append(names)
    check_names(spelled, str(path))
    columns = [codes[column] for column, _ in attribute.columns.values()]
    return intersect(columns, spelled, options, str(path))


def _repeats(
    path: Source,
    image: str,
    who: str,
    codes: Mapping[str, np.ndarray],
    words: Mapping[str, Names],
    count: int,
) -> list[str]:
    """Refuses an image that is there twice; without images says how many rows repeat another."""
    keys = [codes[name] for name in (image, who) if name]
    if not image:
        rows = np.column_stack([*codes.values()])
        again = count - len(np.unique(rows, axis=0))
        return [
            "The table names no images, so rows that a join repeated cannot be told"
            + (f" ({again:,} of {count:,} rows repeat another one)." if again and who else ".")
        ]
    _, first, number = np.unique(
        np.column_stack(keys), axis=0, return_index=True, return_inverse=True
    )
    original = first[number.ravel()]
    if (again := original != np.arange(count)).any():
        row = int(np.argmax(again))
        name = list(words[image])[codes[image][row]]
        raise InputError(
            f"{path}: {image} {name!r} is in data rows {original[row] + 1} and {row + 1} "
            f"({counted(int(again.sum()), 'row repeats', 'rows repeat')} "
            "an image). If a join repeated them, take them out; "
            "if rows are of different faces, name a column that tells them apart with --image."
        )
    return []


def as_numbers(path: Source, column: str, rows: PredictionRows) -> np.ndarray:
    """A column of text as numbers."""
    values = []
    names = list(rows.words[column])
    for code, word in enumerate(with_points(path, [column], names)):
        try:
            values.append(float(word))
        except ValueError:
            here = rows.codes[column] == code
            if here.any():
                row = int(np.argmax(here)) + 1
                raise InputError(
                    not_a_number(path, row, column, names[code])[:-1]
                    + "; predictions that are none are named with --no-answer."
                ) from None
            values.append(np.nan)
    return np.array(values, np.float64)[rows.codes[column]]


def _checked(path: Source, column: str, batch: Batch) -> np.ndarray:
    chance = batch.columns[column]
    if (bad := (chance < 0) | (chance > 1)).any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{path}, data row {batch.start + row}: {column} is {chance[row]:g}, not a probability "
            "in [0, 1]."
        )
    return chance
