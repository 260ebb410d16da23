"""Predictions of an attribute model out of a table, measured by group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fairjax.audit.grouping import check_names, intersect
from fairjax.audit.layout import SUBJECTS, Asked
from fairjax.audit.tables import Batch, InputError, Names, column_names, listed, read_batches
from fairjax.core.results import Results
from fairjax.protocols import attributes

_POSITIVE = ("1", "true", "yes", "positive")


@dataclass(frozen=True)
class Columns:
    """Which column of the table holds what.

    Attributes:
      label: The true label.
      prediction: The predicted one; "" decides by `probability`.
      probability: Probability of the positive label; "" where there is none.
      positive: The positive label; "" finds the customary one.
    """

    label: str
    prediction: str = ""
    probability: str = ""
    positive: str = ""


def audit_predictions(
    path: Path,
    columns: Columns,
    asked: Asked,
    by: str,
    *,
    resamples: int,
    level: float,
    seed: int,
) -> Results:
    """Reads predictions, one image a row, and measures them by one attribute's groups.

    Args:
      path: CSV, TSV, Parquet or JSON lines.
      columns: The labels and predictions.
      asked: The column of people (`subject`) and what to do with groups.
      by: The column of groups; "race+gender" is where two meet.
      resamples: Of people, or of rows where nobody is named.
      level: Coverage of intervals.
      seed: Of everything drawn.

    Raises:
      InputError: If anything is unfit; the message names the row.
    """
    if not columns.prediction and not columns.probability:
        raise InputError("--label needs --prediction COLUMN or --probability COLUMN.")
    names = column_names(path)
    parts = by.split("+")
    who = asked.subject or next((n for n in names if n.lower() in SUBJECTS and n != "id"), "")
    text = [columns.label, columns.prediction, *parts, who]
    text = list(dict.fromkeys(filter(None, text)))
    words = {name: Names() for name in text}
    codes: dict[str, list[np.ndarray]] = {name: [] for name in text}
    chances = []
    for batch in read_batches(path, text=text, numbers=list(filter(None, [columns.probability]))):
        for name in text:
            code = words[name].encode(batch.columns[name])
            empty = words[name].number.get("")
            if empty is not None and not (name in parts and asked.unknown_groups):
                row = batch.start + int(np.argmax(code == empty))
                raise InputError(f"{path}, data row {row}: {name} is empty.")
            codes[name].append(code)
        if columns.probability:
            chances.append(_checked(path, columns.probability, batch))
    whole = {name: np.concatenate(parts_) for name, parts_ in codes.items()}
    classes, label, prediction, probability, rule = _decisions(
        path, columns, words, whole, np.concatenate(chances) if chances else None
    )
    check_names([list(words[part]) for part in parts], str(path))
    group, groups = intersect(
        [whole[part] for part in parts], [list(words[part]) for part in parts], asked, str(path)
    )
    if len(groups) < 2:
        raise InputError(
            f"{path}: a comparison between groups needs two or more; by {by} there is "
            f"{listed(groups)}."
        )
    limits = []
    if not who:
        limits.append(
            "The table does not say who is on each image, so rows are taken to be independent. "
            "Where people occur more than once, real intervals are wider."
        )
    if lost := int((group < 0).sum()):
        limits.append(f"{lost:,} of {len(group):,} rows have no known {by} and are in no group.")
    rows = np.arange(len(label))
    return attributes.measure_decisions(
        label=label,
        prediction=prediction,
        probability=probability,
        classes=classes,
        positive=positive_class(path, columns, classes),
        group=group,
        groups=groups,
        cluster=words[who].ordered()[1][whole[who]] if who else rows,
        attribute=columns.label,
        group_by=by,
        decision_rule=rule,
        resamples=resamples,
        level=level,
        seed=seed,
        limits=limits,
    )


def _checked(path: Path, column: str, batch: Batch) -> np.ndarray:
    chance = batch.columns[column]
    if (bad := (chance < 0) | (chance > 1)).any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{path}, data row {batch.start + row}: {column} is {chance[row]:g}, not a probability "
            "in [0, 1]."
        )
    return chance


def _decisions(
    path: Path,
    columns: Columns,
    words: Mapping[str, Names],
    codes: Mapping[str, np.ndarray],
    chance: np.ndarray | None,
) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray | None, str]:
    """Classes, labels, predictions, probabilities by class, and how decisions are made."""
    classes = sorted(set(words[columns.label]))
    if columns.prediction and (extra := sorted(set(words[columns.prediction]) - set(classes))):
        raise InputError(
            f"{path}: {columns.prediction} holds {listed(extra)}, which no {columns.label} is; "
            f"labels are {listed(classes)}."
        )
    place = {name: k for k, name in enumerate(classes)}
    if len(classes) < 2:
        raise InputError(
            f"{path}: {columns.label} holds {listed(classes)} only; nothing to tell apart."
        )

    def numbered(column: str) -> np.ndarray:
        return np.array([place[name] for name in words[column]], np.int64)[codes[column]]

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


def positive_class(path: Path, columns: Columns, classes: Sequence[str]) -> int:
    """Index of the positive label; 0 where more than two classes take turns."""
    if columns.positive:
        if columns.positive not in classes:
            raise InputError(
                f"{path}: --positive {columns.positive!r} is no {columns.label}; labels are "
                f"{listed(classes)}."
            )
        return list(classes).index(columns.positive)
    found = [k for k, name in enumerate(classes) if name.lower() in _POSITIVE]
    if not found and len(classes) == 2:
        raise InputError(
            f"{path}: say which of {listed(classes)} counts as positive with --positive."
        )
    return found[0] if found else 0
