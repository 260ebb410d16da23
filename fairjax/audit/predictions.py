"""Predictions of an attribute model out of a table, measured by group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fairjax.audit.covariates import Covariates, Decisions, with_image_covariates
from fairjax.audit.grouping import (
    binned,
    check_names,
    intersect,
    known_groups,
    name_limits,
    refuse_alike,
)
from fairjax.audit.layout import IMAGES, SUBJECTS, Asked, Attribute, find_attribute
from fairjax.audit.tables import (
    Batch,
    InputError,
    Names,
    Source,
    check_columns,
    column_names,
    listed,
    not_a_number,
    read_batches,
)
from fairjax.core.names import clean_path, counted, how_unknown, is_unknown
from fairjax.core.results import Results
from fairjax.protocols import attributes

_POSITIVE = ("1", "true", "yes", "positive")
_IMAGES = set(IMAGES) - {"p"}  # which is a probability here
_SURE = 30  # rows of each kind before their order says that probabilities run the wrong way
_WORSE_THAN_CHANCE = 0.8  # true positive rate + true negative rate; 1 is chance


@dataclass(frozen=True)
class Columns:
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
class _Rows:
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

    def take(self, rows: np.ndarray) -> "_Rows":
        """The rows for which a mask is True."""
        return replace(
            self,
            codes={name: code[rows] for name, code in self.codes.items()},
            chances=None if self.chances is None else self.chances[rows],
            cluster=self.cluster[rows],
            group=self.group[rows],
            number=self.number[rows],
        )


def audit_predictions(
    path: Source,
    columns: Columns,
    asked: Asked,
    by: str,
    *,
    resamples: int,
    level: float,
    seed: int,
    covariates: Covariates | None = None,
) -> Results:
    """Reads predictions, one image a row, and measures them by one attribute's groups.

    Args:
      path: A table.
      columns: The labels and predictions.
      asked: The columns of people (`subject`) and images, and what to do with groups.
      by: The column of groups; "race+gender" is where two meet, "age:18,30" puts numbers in bins.
      resamples: Resamples of people, or of rows where nobody is named.
      level: Coverage of intervals.
      seed: Seed of all draws.
      covariates: What is held, of each image, person or row; None holds nothing.

    Raises:
      InputError: If anything is unfit; the message names the row.
    """
    if covariates and columns.regression:
        raise InputError("--covariates is for decisions; --regression compares numbers.")
    if not columns.prediction and not columns.probability:
        raise InputError("--label needs --prediction COLUMN or --probability COLUMN.")
    if columns.regression and (not columns.prediction or columns.probability or columns.classes):
        raise InputError("--regression takes --label and --prediction, two columns of numbers.")
    rows = _read(path, columns, replace(asked, by=[by]), by)
    by_name = "+".join(part.partition("=")[0].partition(":")[0] for part in by.split("+"))
    if len(rows.groups) < 2:
        raise InputError(
            f"{path}: a comparison between groups needs two or more; by {by_name} there is "
            f"{listed(rows.groups)}."
        )
    if lost := int((rows.group < 0).sum()):
        rows.limits.append(
            f"{lost:,} of {len(rows):,} rows have no known {by_name} and are in no group."
        )
    answered = _answered(path, columns, rows)
    settings: dict[str, Any] = {
        "groups": rows.groups,
        "attribute": columns.label,
        "group_by": by_name,
    }
    drawing: dict[str, Any] = {"resamples": resamples, "level": level, "seed": seed}
    answering = rows.take(answered)
    if columns.regression:
        label, prediction = (_numbers(path, name, answering) for name in _both(columns))
        return attributes.measure_numbers(
            label=label,
            prediction=prediction,
            group=answering.group,
            cluster=answering.cluster,
            limits=_with_silent(rows, answered, by_name),
            **settings,
            **drawing,
        )
    classes, label, prediction, probability, rule = _decisions(path, columns, answering)
    positive = positive_class(path, columns, classes)
    if not asked.any_direction:
        _check_direction(path, columns, classes, positive, label, prediction, answering)
    else:
        rows.limits.append(
            f"--any-direction: whether the {len(answering):,} predictions agree with the labels "
            "more than chance was not checked."
        )
    results = attributes.measure_decisions(
        label=label,
        prediction=prediction,
        probability=probability,
        classes=classes,
        positive=positive,
        group=answering.group,
        cluster=answering.cluster,
        decision_rule=rule,
        limits=_with_silent(rows, answered, by_name),
        more_tests=attributes.ANSWER_TESTS if columns.no_answer else 0,
        **settings,
        **drawing,
    )
    if covariates:
        decisions = _with_errors(
            answering, columns.label, by_name, len(classes), positive, label, prediction
        )
        results = with_image_covariates(results, decisions, covariates, level=level)
    if not columns.no_answer:
        return results
    right = np.zeros(len(rows), bool)
    right[answered] = label == prediction
    more = attributes.measure_answers(
        answered,
        right,
        group=rows.group,
        cluster=rows.cluster,
        more_tests=attributes.decision_tests(classes),
        **settings,
        **drawing,
    )
    return replace(results, measures=[*results.measures, *more])


def _with_errors(
    rows: _Rows,
    label: str,
    by: str,
    classes: int,
    positive: int,
    true: np.ndarray,
    predicted: np.ndarray,
) -> Decisions:
    """The rows with the rates that covariates are held for: FPR and FNR, or all errors."""
    names = {key: list(rows.words[column]) for key, column in rows.keys.items()}
    code = {key: rows.codes[column] for key, column in rows.keys.items()}
    wrong = true != predicted
    every = np.ones(len(wrong), bool)
    errors = {"error_rate": (wrong, every)}
    if classes == 2:
        errors = {"fpr": (wrong, true != positive), "fnr": (wrong, true == positive)}
    return Decisions(
        label=label,
        by=by,
        groups=rows.groups,
        group=rows.group,
        person=rows.cluster,
        names={**names, "row": list(map(str, rows.number.tolist()))},
        code={**code, "row": np.arange(len(rows))},
        errors=errors,
    )


def _both(columns: Columns) -> tuple[str, str]:
    return columns.label, columns.prediction


def _read(path: Source, columns: Columns, asked: Asked, by: str) -> _Rows:
    """The table's columns as numbers; what makes it unfit is said."""
    names = column_names(path)
    attribute = find_attribute(path, names, by, None, pairs=False)
    parts = {part: sides[0] for part, sides in attribute.columns.items()}
    who = asked.subject or next((n for n in names if n.lower() in SUBJECTS and n != "id"), "")
    taken = {columns.label, columns.prediction, columns.probability, *parts.values(), who}
    image = asked.image or next((n for n in names if n.lower() in _IMAGES and n not in taken), "")
    text = [columns.label, columns.prediction, *parts.values(), who, image]
    text = list(dict.fromkeys(filter(None, text)))
    check_columns(path, text)
    words = {name: Names(clean_path if name == image else str) for name in text}
    codes: dict[str, list[np.ndarray]] = {name: [] for name in text}
    named = {**dict.fromkeys(text, tuple(columns.classes)), who: (), image: ()}
    named |= dict.fromkeys(parts.values(), tuple(asked.group_names))
    chances = []
    for batch in read_batches(path, text=text, numbers=list(filter(None, [columns.probability]))):
        for name in text:
            code = words[name].encode(batch.columns[name])
            codes[name].append(code)
            skips = name in parts.values() and asked.unknown_groups
            if skips or (name == columns.prediction and columns.no_answer):
                continue
            nothing = [k for w, k in words[name].number.items() if is_unknown(w)]
            nothing = [k for k in nothing if list(words[name])[k] not in named[name]]
            if nothing and (there := np.isin(code, nothing)).any():
                row = int(np.argmax(there))
                word = list(words[name])[code[row]]
                keep = ""
                if name in parts.values():
                    keep = "; --unknown-groups keeps such rows among everyone only"
                elif word and name in _both(columns):
                    keep = "; --classes names it if it is a class"
                raise InputError(
                    f"{path}, data row {batch.start + row}: {name} is {how_unknown(word)}{keep}."
                )
        if columns.probability:
            chances.append(_checked(path, columns.probability, batch))
    whole = {name: np.concatenate(parts_) for name, parts_ in codes.items()}
    limits = _repeats(path, image, who, whole, words, len(whole[columns.label]))
    group, groups = _grouped(path, attribute, words, whole, asked)
    limits += name_limits(groups, attribute.name)
    if not columns.regression:
        both = [w for name in _both(columns) if name for w in words[name] if not is_unknown(w)]
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
    return _Rows(words, whole, joined, cluster, group, groups, limits, keys, number)


def _grouped(
    path: Source,
    attribute: Attribute,
    words: Mapping[str, Names],
    codes: Mapping[str, np.ndarray],
    asked: Asked,
) -> tuple[np.ndarray, list[str]]:
    """The group of each row, and the groups' names."""
    spelled = []
    for name, (column, _) in attribute.columns.items():
        names = known_groups(list(words[column]), asked)
        edges = attribute.bins.get(name)
        spelled.append(binned(names, edges, f"{path} ({name})") if edges else names)
    check_names(spelled, str(path))
    columns = [codes[column] for column, _ in attribute.columns.values()]
    return intersect(columns, spelled, asked, str(path))


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


def _answered(path: Source, columns: Columns, rows: _Rows) -> np.ndarray:
    """Which rows have a prediction."""
    if not columns.no_answer:
        return np.ones(len(rows), bool)
    if not columns.prediction:
        raise InputError("--no-answer names predictions; give --prediction COLUMN.")
    silent = [
        w in columns.no_answer or (is_unknown(w) and w not in columns.classes)
        for w in rows.words[columns.prediction]
    ]
    answered = ~np.array(silent, bool)[rows.codes[columns.prediction]]
    if not answered.any():
        raise InputError(f"{path}: no row has an answer in {columns.prediction}.")
    return answered


def _with_silent(rows: _Rows, answered: np.ndarray, by: str) -> list[str]:
    """The limits, with how many rows have no answer in each group."""
    silent = int((~answered).sum())
    if not silent:
        return rows.limits
    shares = ", ".join(
        f"{name} {int((~answered & (rows.group == g)).sum()):,} of {int((rows.group == g).sum()):,}"
        for g, name in enumerate(rows.groups)
    )
    return [
        f"{silent:,} of {len(rows):,} rows have no answer (by {by}: {shares}); error rates are "
        "over the others.",
        *rows.limits,
    ]


def _numbers(path: Source, column: str, rows: _Rows) -> np.ndarray:
    """A column of text as numbers."""
    values = []
    for code, word in enumerate(rows.words[column]):
        try:
            values.append(float(word))
        except ValueError:
            here = rows.codes[column] == code
            if here.any():
                row = int(np.argmax(here)) + 1
                raise InputError(
                    not_a_number(path, row, column, word)[:-1]
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


def _decisions(
    path: Source, columns: Columns, rows: _Rows
) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray | None, str]:
    """Classes, labels, predictions, probabilities by class, and how decisions are made."""
    words, codes, chance = rows.words, rows.codes, rows.chances
    labels = sorted(word for word in words[columns.label])
    classes = list(columns.classes) or labels
    for column in filter(None, _both(columns)):
        used = {list(words[column])[k] for k in np.unique(codes[column]).tolist()}
        if extra := sorted(used - set(classes)):
            hint = "; name all classes with --classes" + (
                ", or those that are no answer with --no-answer" * (column != columns.label)
            )
            which = "--classes names" if columns.classes else f"{columns.label} is"
            raise InputError(
                f"{path}: {column} holds {listed(extra)}, which no {which}; labels are "
                f"{listed(classes)}{hint}."
            )
    place = {name: k for k, name in enumerate(classes)}
    if len(labels) < 2:
        raise InputError(
            f"{path}: {columns.label} holds {listed(labels)} only; nothing to tell apart."
        )

    def numbered(column: str) -> np.ndarray:
        return np.array([place.get(name, -1) for name in words[column]], np.int64)[codes[column]]

    label = numbered(columns.label)
    if chance is None:
        rule = f"decision = column {columns.prediction}"
        return classes, label, numbered(columns.prediction), None, rule
    if len(classes) > 2:
        raise InputError(
            f"{path}: --probability is of one positive label, but {columns.label} holds "
            f"{len(classes)}: {listed(classes)}."
        )
    positive = positive_class(path, columns, classes)
    probability = np.stack([1 - chance, chance] if positive else [chance, 1 - chance], axis=1)
    if columns.prediction:
        decided = numbered(columns.prediction)
        rule = f"decision = column {columns.prediction}"
        return classes, label, decided, None, f"{rule}; {columns.probability} is not used"
    decided = np.where(chance >= 0.5, positive, 1 - positive)
    return classes, label, decided, probability, f"decision = {columns.probability} >= 0.5"


def _check_direction(
    path: Source,
    columns: Columns,
    classes: Sequence[str],
    positive: int,
    label: np.ndarray,
    prediction: np.ndarray,
    rows: _Rows,
) -> None:
    """Refuses probabilities of the other class, and decisions that are mostly the other one.

    Raises:
      InputError: With both means, or both rates.
    """
    if len(classes) != 2:
        return
    other = classes[1 - positive]
    keep = "or keep it with --any-direction"
    for group in [None, *range(len(rows.groups))]:
        inside = slice(None) if group is None else rows.group == group
        is_positive = label[inside] == positive
        if min(is_positive.sum(), (~is_positive).sum()) < (1 if group is None else _SURE):
            continue
        who = "" if group is None else f" of {rows.groups[group]!r}"
        mixed = "" if group is None else "the table mixes directions; "
        if rows.chances is not None and not columns.prediction:
            chance = rows.chances[inside]
            both = chance[is_positive], chance[~is_positive]
            means = [chances.mean() for chances in both]
            noise = np.sqrt(sum(chances.var() / len(chances) for chances in both))
            if means[1] - means[0] > 2 * noise:
                raise InputError(
                    f"{path}: rows{who} labelled {classes[positive]!r} have a mean "
                    f"{columns.probability} of {means[0]:.4g}, those labelled {other!r} "
                    f"{means[1]:.4g}: {mixed}if it is the probability of {other!r}, say "
                    f"--positive {other}, {keep}."
                )
        elif min(is_positive.sum(), (~is_positive).sum()) >= _SURE:
            is_accepted = prediction[inside] == positive
            rates = is_accepted[is_positive].mean(), (~is_accepted)[~is_positive].mean()
            if sum(rates) < _WORSE_THAN_CHANCE:
                raise InputError(
                    f"{path}: {columns.prediction} is right for {rates[0]:.1%} of the rows{who} "
                    f"labelled {classes[positive]!r} and for {rates[1]:.1%} of those labelled "
                    f"{other!r}, less than chance: {mixed}are its classes exchanged? Correct the "
                    f"table, {keep}."
                )


def positive_class(path: Source, columns: Columns, classes: Sequence[str]) -> int:
    """Index of the positive label; 0 where more than two classes take turns."""
    if columns.positive:
        if columns.positive not in classes:
            raise InputError(
                f"{path}: --positive {columns.positive!r} is no {columns.label}; labels are "
                f"{listed(classes)}."
            )
        return list(classes).index(columns.positive)
    positives = [k for k, name in enumerate(classes) if name.lower() in _POSITIVE]
    if not positives and len(classes) == 2:
        raise InputError(
            f"{path}: say which of {listed(classes)} counts as positive with --positive."
        )
    return positives[0] if positives else 0
