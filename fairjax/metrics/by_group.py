"""Any metric by group, and the gaps between groups.

Groups are numbered 0 .. groups - 1. A group without data has NaN, and is never left out of the
array. Gap measures work on the last axis, the groups; they skip NaN as fairlearn does, and any
leading axes (resamples) go along.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Num

from fairjax.core.names import counted
from fairjax.metrics.classification import divide

Rates = Float[np.ndarray, "*lead groups"]
Gap = Float[np.ndarray, "*lead"]


def by_group(
    metric: Callable[..., float | np.ndarray],
    *arrays: np.ndarray,
    group: Int[np.ndarray, " examples"],
    groups: int,
) -> Float[np.ndarray, " groups"]:
    """A metric evaluated on each group's examples alone.

    Args:
      metric: Takes the arrays, returns one number; it never sees an empty group.
      *arrays: One row an example.
      group: Group of each example, in 0 .. groups - 1. Intersections: see `intersection`.
      groups: How many groups there are, whether or not they have examples.

    Returns:
      One number a group, NaN for a group without examples.

    Raises:
      ValueError: If a group is out of range.
    """
    _check_groups(group, groups)
    rates = np.full(groups, np.nan)
    for index in np.unique(group):
        rates[index] = metric(*(array[group == index] for array in arrays))
    return rates


def intersection(
    labels: Sequence[Int[np.ndarray, " examples"]], sizes: Sequence[int]
) -> Int[np.ndarray, " examples"]:
    """Numbers the combinations of several attributes, the last one running fastest.

    Args:
      labels: For each attribute its label of each example.
      sizes: For each attribute the number of its values.

    Raises:
      ValueError: If a label is out of range.
    """
    return np.asarray(np.ravel_multi_index(list(labels), tuple(sizes)))


def group_sums(
    rows: Num[np.ndarray, " examples *shape"], group: Int[np.ndarray, " examples"], *, groups: int
) -> Float[np.ndarray, " groups *shape"]:
    """Adds up what the examples of each group contribute; no examples add up to 0.

    Raises:
      ValueError: If a group is out of range.
    """
    _check_groups(group, groups)
    member = (np.arange(groups)[:, None] == group).astype(np.float64)
    return (member @ rows.reshape(len(rows), -1)).reshape(groups, *rows.shape[1:])


def difference(rates: Rates) -> Gap:
    """Largest minus smallest.

    Of P(h=1) it is the demographic parity difference, of the true positive rate the equal
    opportunity difference, of accuracy the range.
    """
    return np.asarray(np.fmax.reduce(rates, axis=-1) - np.fmin.reduce(rates, axis=-1))


def ratio(rates: Rates) -> Gap:
    """Smallest over largest, 1 being equal; of P(h=1) the demographic parity ratio.

    NaN where all are 0.
    """
    return divide(np.fmin.reduce(rates, axis=-1), np.fmax.reduce(rates, axis=-1))


def difference_to_overall(rates: Rates, overall: Float[np.ndarray, "*lead"] | float) -> Gap:
    """Largest distance of a group from the value over everyone."""
    return np.asarray(np.fmax.reduce(np.abs(rates - np.asarray(overall)[..., None]), axis=-1))


def ratio_to_overall(rates: Rates, overall: Float[np.ndarray, "*lead"] | float) -> Gap:
    """Smallest ratio, turned so as to be at most 1, of a group and the value over everyone."""
    whole = np.asarray(overall)[..., None]
    ratios = divide(np.minimum(rates, whole), np.maximum(rates, whole))
    return np.asarray(np.fmin.reduce(ratios, axis=-1))


def equalized_odds_difference(
    fprs: Rates, tprs: Rates, *, agg: Literal["worst_case", "mean"]
) -> Gap:
    """The larger ("worst_case") or the mean of the differences of FPR and of TPR.

    Source: fairlearn 0.15, whose convention this is. AIF360 and FFB define other numbers.
    """
    gaps = np.stack([difference(fprs), difference(tprs)])
    return np.asarray(gaps.max(axis=0) if agg == "worst_case" else gaps.mean(axis=0))


def equalized_odds_ratio(fprs: Rates, tprs: Rates, *, agg: Literal["worst_case", "mean"]) -> Gap:
    """The smaller ("worst_case") or the mean of the ratios of FPR and of TPR (fairlearn 0.15)."""
    ratios = np.stack([ratio(fprs), ratio(tprs)])
    return np.asarray(ratios.min(axis=0) if agg == "worst_case" else ratios.mean(axis=0))


def group_mean(rates: Rates) -> Gap:
    """The unweighted mean over groups: every group counts the same, whatever its size."""
    known = ~np.isnan(rates)
    return divide(np.where(known, rates, 0.0).sum(axis=-1), known.sum(axis=-1))


def std(rates: Rates, *, ddof: int) -> Gap:
    """Standard deviation across groups; NaN where no more than `ddof` groups have a value.

    Published tables mix ddof 0 and 1: print which one it is.
    """
    known = ~np.isnan(rates)
    spread = np.where(known, rates - np.asarray(group_mean(rates))[..., None], 0.0)
    return np.asarray(
        np.sqrt(divide((spread**2).sum(axis=-1), np.maximum(known.sum(axis=-1) - ddof, 0)))
    )


def skewed_error_ratio(accuracies: Rates) -> Gap:
    """SER: largest error over smallest error, at least 1; NaN where a group has no error."""
    errors = 1 - accuracies
    return divide(np.fmax.reduce(errors, axis=-1), np.fmin.reduce(errors, axis=-1))


def worst_group(rates: Float[np.ndarray, " groups"], *, lower_is_better: bool) -> int:
    """The number of the worst group, the first one of equals.

    Raises:
      ValueError: If no group has a value.
    """
    return int(np.nanargmax(rates) if lower_is_better else np.nanargmin(rates))


def _check_groups(group: np.ndarray, groups: int) -> None:
    bad = (group < 0) | (group >= groups)
    if bad.any():
        raise ValueError(
            f"group must lie in 0 .. {groups - 1}; row {np.argmax(bad)} has "
            f"{group[np.argmax(bad)]} ({counted(int(bad.sum()), 'such row')})."
        )
