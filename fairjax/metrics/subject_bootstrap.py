"""Resamples of people, and what verification rates become in them.

A resample takes every person of a group some number of times, w_i, and with it a mated pair of
theirs w_i times and a non-mated pair of two people w_i w_j times (copies of one person are not
compared with each other). Groups keep their size. One set of draws serves every rate, every
threshold and every system scored on the same pairs, so that the interval of a difference between
two systems is that of the difference of their resampled values.

Cost, for B resamples and T target rates. Sums over all pairs (denominators, rates at fixed
thresholds) are quadratic forms w' C w of sparse counts by couple of people: one multiply-add a
distinct couple and resample. A threshold at a target FMR needs only the top of the sorted non-mated
scores, about 1.3 FMR N rows, each weighed, added up and binned once a resample; FNMR needs the
mated rows below the threshold. So

    B (couples + 1.3 max(FMR) N_nonmated + max(FNMR) N_mated)

row operations of about 5 ns, where the plain way takes B T (N_nonmated + N_mated) and a sort.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Num, UInt8
from scipy import sparse

from fairjax.comparisons import Comparisons
from fairjax.metrics.classification import divide
from fairjax.metrics.verification import (
    InsufficientDataError,
    ThresholdRule,
    allowed,
    next_above,
)

Kind = Literal["multinomial", "double_or_nothing"]
_PEOPLE = 2  # the purpose of these draws; `bootstrap` has 0 and 1
_BLOCK = 256  # resamples handled at a time: bounds the memory


@dataclass(frozen=True)
class SubjectDraws:
    """How often each resample holds each person.

    Attributes:
      weights: How often the resample (row) holds the person (column).
      person: The columns of each pair's two people.
    """

    weights: UInt8[np.ndarray, "resamples people"]
    person: Int[np.ndarray, "pairs 2"]

    def __len__(self) -> int:
        return len(self.weights)


@dataclass(frozen=True)
class ResampledRates:
    """Rates of every resample; NaN where it lacks pairs, or where a target isn't resolvable.

    Attributes:
      threshold: The threshold of each operating point.
      fmr: False match rate over all non-mated pairs.
      fnmr: False non-match rate over all mated pairs.
      cell_fmr: False match rate of each cell.
      cell_fnmr: False non-match rate of each cell.
    """

    threshold: Float[np.ndarray, "resamples points"]
    fmr: Float[np.ndarray, "resamples points"]
    fnmr: Float[np.ndarray, "resamples points"]
    cell_fmr: Float[np.ndarray, "resamples points cells"]
    cell_fnmr: Float[np.ndarray, "resamples points cells"]


def draw_subjects(
    comparisons: Comparisons, *, resamples: int, seed: int, kind: Kind = "multinomial"
) -> SubjectDraws:
    """Draws people within their groups; people of unknown group are a group of their own.

    "multinomial" draws as many people as the group has, with replacement. "double_or_nothing" takes
    each person twice or not at all, with even chances: groups keep their size on average. Drawn
    from numpy's `default_rng([seed, 2])`, people in ascending order of group, then number, so that
    the order of pairs plays no part. Somebody with two groups counts to the first of them.

    Args:
      comparisons: The pairs; their scores play no part.
      resamples: How many resamples; 2,000 or more for a 95 % interval.
      seed: Non-negative.
      kind: See above.

    Raises:
      ValueError: If there is no pair or no resample, or if `mated` contradicts the people.

    Source: Conti and Clemencon, ICLR 2024 (arXiv 2211.07245); Fogliato et al. (arXiv 2306.01198)
      for the double-or-nothing weights.
    """
    raise NotImplementedError


def observed(comparisons: Comparisons) -> SubjectDraws:
    """The one 'resample' that holds everybody once: gives the point values."""
    raise NotImplementedError


def resampled_sums(
    values: Num[np.ndarray, " pairs"],
    cell: Int[np.ndarray, " pairs"],
    draws: SubjectDraws,
    *,
    cells: int,
) -> Float[np.ndarray, "resamples cells"]:
    """Sums of one value a pair, over the pairs of each cell, in every resample.

    Args:
      values: What each pair adds: 1 for a count, whether it is an error, its score.
      cell: Cell of each pair, in 0 .. cells - 1; -1 leaves it out.
      draws: From `draw_subjects` over the same pairs.
      cells: How many cells there are.
    """
    raise NotImplementedError


def rates_at(
    comparisons: Comparisons,
    draws: SubjectDraws,
    *,
    thresholds: Float[np.ndarray, " points"],
    cell: Int[np.ndarray, " pairs"],
    cells: int,
) -> ResampledRates:
    """Rates of every resample at fixed thresholds.

    Args:
      comparisons: The scored pairs.
      draws: From `draw_subjects` over the same pairs, of this or another system.
      thresholds: Accept iff score >= threshold.
      cell: Cell of each pair, in 0 .. cells - 1, such as `group_cell`; -1 leaves it out of cells,
        not out of the rates over all pairs.
      cells: How many cells there are.
    """
    raise NotImplementedError


def rates_at_fmr(
    comparisons: Comparisons,
    draws: SubjectDraws,
    *,
    targets: Float[np.ndarray, " points"],
    cell: Int[np.ndarray, " pairs"],
    cells: int,
    rule: ThresholdRule = "at_most",
) -> ResampledRates:
    """Rates of every resample at its own thresholds, which target a FMR over all non-mated pairs.

    A resample's threshold is what `verification.threshold_at_fmr` gives on its pairs, each as often
    as the resample holds it.

    Args:
      comparisons: The scored pairs.
      draws: From `draw_subjects` over the same pairs, of this or another system.
      targets: Target false match rates, fractions in (0, 1).
      cell: See `rates_at`.
      cells: How many cells there are.
      rule: See `verification.threshold_at_fmr`.
    """
    raise NotImplementedError


def group_cell(
    group: Int[np.ndarray, "pairs 2"], *, groups: int
) -> Int[np.ndarray, " pairs"]:
    """Numbers the unordered couples of groups: a * groups + b with a <= b; -1 for an unknown one.

    A mated pair lies in its group's own cell g * (groups + 1), as do the pairs within a group.
    """
    low, high = group.min(axis=1), group.max(axis=1)
    return np.where(low < 0, -1, low * groups + high)
