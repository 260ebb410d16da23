"""Rates of classifiers and errors of regressors; nothing here has ever heard of a group.

Every number is a function of sums over examples. A function called `*_rows` says what each example
adds; the rows, added up over whichever examples are meant (all, one group's, a resample's, another
host's), go into the function that makes the number. Sums merge by adding, and the second kind of
function takes any leading axes, so groups and resamples cost no loop. 0/0 is NaN: undefined.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from fairjax.core.names import counted


class Counts(NamedTuple):
    """Outcomes of yes/no decisions, or of one decision a class; all four have one shape.

    Attributes:
      tp: Positives said to be positive.
      fp: Negatives said to be positive.
      fn: Positives said to be negative.
      tn: Negatives said to be negative.
    """

    tp: Num[np.ndarray, "..."]
    fp: Num[np.ndarray, "..."]
    fn: Num[np.ndarray, "..."]
    tn: Num[np.ndarray, "..."]


Average = Literal["macro", "weighted", "micro"]


def mean_rows(
    values: Num[np.ndarray, " examples"] | Bool[np.ndarray, " examples"],
    used: Bool[np.ndarray, " examples"],
) -> Float[np.ndarray, "examples 2"]:
    """What each example adds to a mean: (its value, 1), or (0, 0) where it isn't used."""
    return np.stack([np.where(used, values, 0), used], axis=-1).astype(np.float64)


def mean(sums: Num[np.ndarray, "*lead 2"]) -> Num[np.ndarray, "*lead"]:
    """The mean from sums of `mean_rows`: total / count, NaN where nothing was counted."""
    return divide(sums[..., 0], sums[..., 1])


def mae(labels: Num[np.ndarray, " examples"], predictions: Num[np.ndarray, " examples"]) -> float:
    """Mean absolute error, in the labels' unit; NaN without examples.

    As sums: `mean(mean_rows(abs(predictions - labels), used).sum(0))`.
    """
    errors = np.abs(predictions.astype(np.float64) - labels)
    return float(mean(mean_rows(errors, np.ones(len(errors), bool)).sum(axis=0)))


def confusion_rows(
    labels: Int[np.ndarray, " examples"],
    predictions: Int[np.ndarray, " examples"],
    *,
    classes: int,
) -> Float[np.ndarray, "examples classes classes"]:
    """What each example adds to the confusion matrix: one 1, at [label, prediction].

    Raises:
      ValueError: If a label or a prediction is not in 0 .. classes - 1.
    """
    _check_range("labels", labels, classes)
    _check_range("predictions", predictions, classes)
    rows = np.zeros((len(labels), classes, classes))
    rows[np.arange(len(labels)), labels, predictions] = 1
    return rows


def confusion_matrix(
    labels: Int[np.ndarray, " examples"],
    predictions: Int[np.ndarray, " examples"],
    *,
    classes: int,
) -> Float[np.ndarray, "classes classes"]:
    """How many examples of each class (row) were taken for each class (column).

    Raises:
      ValueError: If a label or a prediction is not in 0 .. classes - 1.
    """
    _check_range("labels", labels, classes)
    _check_range("predictions", predictions, classes)
    cells = np.bincount(labels * np.int64(classes) + predictions, minlength=classes**2)
    return cells.reshape(classes, classes).astype(np.float64)


def accuracy(
    confusion: Num[np.ndarray, "*lead classes classes"],
) -> Num[np.ndarray, "*lead"]:
    """Share of examples given their own class, a fraction in [0, 1]."""
    return divide(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1)))


def one_vs_rest(confusion: Num[np.ndarray, "*lead classes classes"]) -> Counts:
    """Each class against all others: four arrays [..., classes].

    For a yes/no decision with positive class p, `Counts(*(c[..., p] for c in one_vs_rest(m)))`.
    """
    tp = np.diagonal(confusion, axis1=-2, axis2=-1)
    fp = confusion.sum(axis=-2) - tp
    fn = confusion.sum(axis=-1) - tp
    return Counts(tp, fp, fn, confusion.sum(axis=(-2, -1))[..., None] - tp - fp - fn)


def fpr(counts: Counts) -> Num[np.ndarray, "..."]:
    """False positive rate, FP / (FP + TN): share of negatives said to be positive."""
    return divide(counts.fp, counts.fp + counts.tn)


def fnr(counts: Counts) -> Num[np.ndarray, "..."]:
    """False negative rate, FN / (FN + TP): share of positives said to be negative."""
    return divide(counts.fn, counts.fn + counts.tp)


def tpr(counts: Counts) -> Num[np.ndarray, "..."]:
    """True positive rate, TP / (FN + TP): sensitivity, recall."""
    return divide(counts.tp, counts.fn + counts.tp)


recall = tpr


def precision(counts: Counts) -> Num[np.ndarray, "..."]:
    """Share of those said to be positive that are: TP / (TP + FP)."""
    return divide(counts.tp, counts.tp + counts.fp)


def f1(counts: Counts) -> Num[np.ndarray, "..."]:
    """Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN)."""
    return divide(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)


def averaged(
    rate: Callable[[Counts], np.ndarray],
    counts: Counts,
    average: Average,
    *,
    undefined: float,
) -> Num[np.ndarray, "..."]:
    """One rate over the classes, the last axis of the counts.

    Args:
      rate: `fpr`, `fnr`, `tpr`, `precision`, `recall` or `f1`.
      counts: Counts of each class against the rest, [..., classes].
      average: "macro": the plain mean over classes. "weighted": weighted by support, the number
        of examples of the class. "micro": the rate of the counts added over classes.
      undefined: The value of a class whose rate is 0/0 (scikit-learn's `zero_division`); NaN
        leaves the class out of the average instead.

    Returns:
      The average, [...]; NaN where no example or no class is left.
    """
    if average == "micro":
        return rate(Counts(*(c.sum(axis=-1) for c in counts)))
    rates = np.asarray(rate(counts))
    support = counts.tp + counts.fn
    rates = np.where(np.isnan(rates) & (support + counts.fp + counts.tn > 0), undefined, rates)
    weights = support if average == "weighted" else np.ones_like(rates)
    weights = np.where(np.isnan(rates), 0.0, weights)
    return divide(np.sum(weights * np.nan_to_num(rates), axis=-1), np.sum(weights, axis=-1))


def divide(
    numerator: Num[np.ndarray, "..."] | np.number, denominator: Num[np.ndarray, "..."] | np.number
) -> Num[np.ndarray, "..."]:
    """The quotient in float64, NaN (and no warning) where the denominator is 0."""
    denominator = np.asarray(denominator, np.float64)
    safe = np.where(denominator == 0, np.nan, denominator)
    return np.asarray(np.asarray(numerator, np.float64) / safe)


def _check_range(what: str, values: np.ndarray, classes: int) -> None:
    bad = (values < 0) | (values >= classes)
    if bad.any():
        raise ValueError(
            f"{what} must lie in 0 .. {classes - 1}; row {np.argmax(bad)} has "
            f"{values[np.argmax(bad)]} ({counted(int(bad.sum()), 'such row')})."
        )
