"""Predictions of an attribute model out of a table, measured by group."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fairjax.audit.covariate_tables import Covariates
from fairjax.audit.covariates import Decisions, with_image_covariates
from fairjax.audit.layout import TableOptions
from fairjax.audit.prediction_tables import (
    PredictionColumns,
    PredictionRows,
    as_numbers,
    both_labels,
    read_predictions,
)
from fairjax.audit.tables import InputError, Source, listed
from fairjax.core.names import is_unknown
from fairjax.core.results import Results
from fairjax.protocols import attributes

_POSITIVE = ("1", "true", "yes", "positive")
_SURE = 30  # rows of each kind before their order says that probabilities run the wrong way
_WORSE_THAN_CHANCE = 0.8  # true positive rate + true negative rate; 1 is chance


def audit_predictions(
    path: Source,
    columns: PredictionColumns,
    options: TableOptions,
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
      options: The columns of people (`subject`) and images, and what to do with groups.
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
    rows = read_predictions(path, columns, replace(options, by=[by]), by)
    by_name = "+".join(attribute.partition("=")[0].partition(":")[0] for attribute in by.split("+"))
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
        label, prediction = (as_numbers(path, name, answering) for name in both_labels(columns))
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
    if not options.any_direction:
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
    rows: PredictionRows,
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


def _answered(path: Source, columns: PredictionColumns, rows: PredictionRows) -> np.ndarray:
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


def _with_silent(rows: PredictionRows, answered: np.ndarray, by: str) -> list[str]:
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


def _decisions(
    path: Source, columns: PredictionColumns, rows: PredictionRows
) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray | None, str]:
    """Classes, labels, predictions, probabilities by class, and how decisions are made."""
    words, codes, chance = rows.words, rows.codes, rows.chances
    labels = sorted(word for word in words[columns.label])
    classes = list(columns.classes) or labels
    if "" in classes or len(set(classes)) < len(classes):
        held = {name for column in filter(None, both_labels(columns)) for name in words[column]}
        shown = ",".join(sorted(held - {""}))
        raise InputError(
            f"{path}: --classes takes each class once, in order; the table's are: "
            f"--classes {shlex.quote(shown)}."
        )
    for column in filter(None, both_labels(columns)):
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
    index = {name: k for k, name in enumerate(classes)}
    if len(labels) < 2:
        raise InputError(
            f"{path}: {columns.label} holds {listed(labels)} only; nothing to tell apart."
        )

    def numbered(column: str) -> np.ndarray:
        return np.array([index.get(name, -1) for name in words[column]], np.int64)[codes[column]]

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
    columns: PredictionColumns,
    classes: Sequence[str],
    positive: int,
    label: np.ndarray,
    prediction: np.ndarray,
    rows: PredictionRows,
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


def positive_class(path: Source, columns: PredictionColumns, classes: Sequence[str]) -> int:
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
