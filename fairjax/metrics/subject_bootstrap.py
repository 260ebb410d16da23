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

import contextlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Num, UInt8
from scipy import sparse

from fairjax.core.blocks import blocks
from fairjax.core.comparisons import Comparisons
from fairjax.core.names import counted
from fairjax.metrics.classification import divide
from fairjax.metrics.verification import (
    InsufficientDataError,
    ThresholdRule,
    allowed,
    check_scores,
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
    the order of pairs plays no part. Somebody with several groups counts to the first of them.

    Two people who are compared with each other once and with nobody else are one independent unit,
    and are held as often as the first of them is drawn: w_i w_j would give a lone pair three times
    the variance that it has.

    Args:
      comparisons: The pairs; their scores play no part.
      resamples: How many resamples; 2,000 or more for a 95 % interval.
      seed: Non-negative.
      kind: Kind of weights, as above.

    Raises:
      ValueError: If there is no pair or no resample, or if `mated` contradicts the people.

    Source: Conti and Clemencon, ICLR 2024 (arXiv 2211.07245); Fogliato et al. (arXiv 2306.01198)
      for the double-or-nothing weights.
    """
    if not len(comparisons) or resamples < 1:
        raise ValueError(
            f"a bootstrap needs pairs and resamples; got {len(comparisons)} and {resamples}."
        )
    person, stratum = _people(comparisons)
    weights = draw_people(stratum, resamples=resamples, seed=seed, kind=kind)
    pairs = np.bincount(person.ravel(), minlength=len(stratum))
    lone = (pairs[person] == 1).all(axis=1)
    if lone.any():
        weights = np.append(weights, np.ones((resamples, 1), np.uint8), axis=1)
        person[lone, 1] = len(stratum)  # a column that is always held once
    return SubjectDraws(weights, person)


def draw_people(
    stratum: Int[np.ndarray, " people"], *, resamples: int, seed: int, kind: Kind = "multinomial"
) -> UInt8[np.ndarray, "resamples people"]:
    """How often each resample holds each person: the weights of `draw_subjects`.

    Args:
      stratum: Group of each person, people in ascending order of their numbers.
      resamples: How many resamples.
      seed: Non-negative.
      kind: Kind of weights; see `draw_subjects`.
    """
    order = np.argsort(stratum, kind="stable")
    _, start, size = np.unique(stratum[order], return_index=True, return_counts=True)
    start, size = np.repeat(start, size), np.repeat(size, size)
    rng = np.random.default_rng([seed, _PEOPLE])
    # Nobody is drawn more than 255 times out of more than 255 draws (p < 1e-500).
    weights = np.empty((resamples, len(stratum)), np.uint8)
    for b in range(resamples):
        if kind == "double_or_nothing":
            weights[b, order] = 2 * rng.integers(2, size=len(stratum))
        else:
            taken = start + (rng.random(len(stratum)) * size).astype(np.int64)
            weights[b, order] = np.bincount(taken, minlength=len(stratum))
    return weights


def observed(comparisons: Comparisons) -> SubjectDraws:
    """The one "resample" that holds everybody once: what it gives are the values of the data.

    Raises:
      ValueError: If `mated` contradicts the people.
    """
    person, stratum = _people(comparisons)
    return SubjectDraws(np.ones((1, len(stratum)), np.uint8), person)


def resampled_sums(
    values: Num[np.ndarray, " pairs"] | Bool[np.ndarray, " pairs"],
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
    people = draws.weights.shape[1]
    rows = np.flatnonzero((cell >= 0) & (values != 0))
    (first, second), cell = draws.person[rows].T, cell[rows]
    values = values[rows].astype(np.float64)
    mated, couple = first == second, first != second
    alone = sparse.csr_array((values[mated], (cell[mated], first[mated])), shape=(cells, people))
    # One row a (cell, person) that occurs: the quadratic form of a cell is the sum of its rows.
    key, row = np.unique(cell[couple] * people + first[couple], return_inverse=True)
    of_cell, of_person = np.divmod(key, people)
    together = sparse.csr_array((values[couple], (row, second[couple])), shape=(len(key), people))
    by_cell = sparse.csr_array(
        (np.ones(len(key)), (of_cell, np.arange(len(key)))), shape=(cells, len(key))
    )
    sums = np.empty((len(draws), cells))
    for block in blocks(len(draws), _BLOCK):
        weights = draws.weights[block].T.astype(np.float64)
        sums[block] = (alone @ weights + by_cell @ (weights[of_person] * (together @ weights))).T
    return sums


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
    check_scores(comparisons.score)
    errors = np.empty((len(draws), len(thresholds), 2, cells + 1))
    for t, threshold in enumerate(thresholds[:, None].astype(np.float64)):  # compared in float64
        wrong = (comparisons.score >= threshold) != comparisons.mated
        errors[:, t] = _sums_by_kind(wrong, comparisons.mated, cell, draws, cells)
    every = np.ones(len(comparisons), bool)
    totals = _sums_by_kind(every, comparisons.mated, cell, draws, cells)
    return _rates(np.tile(thresholds.astype(np.float64), (len(draws), 1)), errors, totals)


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
      cell: Cell of each pair, as for `rates_at`.
      cells: How many cells there are.
      rule: Rule of `verification.threshold_at_fmr`.
    """
    check_scores(comparisons.score)
    every = np.ones(len(comparisons), bool)
    totals = _sums_by_kind(every, comparisons.mated, cell, draws, cells)
    score, kind = comparisons.score, np.where(cell < 0, cells, cell)
    rows = np.flatnonzero(~comparisons.mated)
    rows = rows[np.argsort(-score[rows], kind="stable")]  # most alike first
    (first, second), nonmated_place = draws.person[rows].T.copy(), kind[rows]
    nonmated = _Falling(score[rows])
    rows = np.flatnonzero(comparisons.mated)
    rows = rows[np.argsort(score[rows], kind="stable")]  # least alike first
    person, mated_place = draws.person[rows, 0], kind[rows]
    mated = score[rows].astype(np.float64)

    threshold = np.full((len(draws), len(targets)), np.nan)
    errors = np.full((len(draws), len(targets), 2, cells + 1), np.nan)
    tail = min(len(first), int(1.3 * max(targets, default=0) * len(first)) + 1)
    for b, weights in enumerate(draws.weights):
        times = weights.astype(np.float64)
        limits = {}  # of the accepted pairs, by target
        for t, target in enumerate(targets):
            with contextlib.suppress(InsufficientDataError):  # stays NaN in this resample
                limits[t] = allowed(target, totals[b, 0].sum(), rule=rule)
        if not limits:
            continue
        while True:
            weight = times[first[:tail]] * times[second[:tail]]
            reached = np.cumsum(weight)
            if tail == len(first) or reached[-1] > max(limits.values()):
                break
            tail = min(len(first), 2 * tail)
        points = list(limits)
        threshold[b, points] = [nonmated.threshold(reached, k, rule) for k in limits.values()]
        accepted = nonmated.accepted(threshold[b, points])
        rejected = np.searchsorted(mated, threshold[b, points])
        errors[b, points, 0] = _sums_to(accepted, weight, nonmated_place, cells + 1)
        missed = times[person[: rejected.max()]]
        errors[b, points, 1] = _sums_to(rejected, missed, mated_place, cells + 1)
    return _rates(threshold, errors, totals)


def group_cell(group: Int[np.ndarray, "pairs 2"], *, groups: int) -> Int[np.ndarray, " pairs"]:
    """Numbers the unordered couples of groups: a * groups + b with a <= b; -1 for an unknown one.

    A mated pair lies in its group's own cell g * (groups + 1), as do non-mated pairs within it.
    """
    low, high = group.min(axis=1), group.max(axis=1)
    return np.where(low < 0, -1, low * groups + high)


class _Falling:
    """Non-mated scores in descending order, and the thresholds among them by weight."""

    def __init__(self, score: np.ndarray) -> None:
        self.score = score
        self.negated = -score.astype(np.float64)
        self.tie_start = np.searchsorted(self.negated, self.negated)

    def threshold(self, reached: np.ndarray, k: int, rule: ThresholdRule) -> float:
        """As `verification.threshold_in_tail`, each score as often as its weight says.

        Args:
          reached: Weight of each row and those before it; exceeds k, or ends with the last row.
          k: Weight that may be accepted.
          rule: Which rule.
        """
        if rule != "at_most":
            kth = self.score[np.searchsorted(reached, k)]
            return float(kth) if rule == "ceil_ge" else next_above(kth)
        over = np.searchsorted(reached, k, side="right")  # the first row that is too many
        ties = len(reached) if over == len(reached) else self.tie_start[over]
        if ties == 0 or reached[ties - 1] == 0:
            return next_above(self.score[over])
        return float(self.score[np.searchsorted(reached, reached[ties - 1])])

    def accepted(self, threshold: np.ndarray) -> np.ndarray:
        """How many rows each threshold accepts."""
        return np.searchsorted(self.negated, -threshold, side="right")


def _people(comparisons: Comparisons) -> tuple[np.ndarray, np.ndarray]:
    """Columns of each pair's two people, and the group of each person."""
    same = comparisons.subject[:, 0] == comparisons.subject[:, 1]
    if (wrong := same != comparisons.mated).any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"pair {row} is marked {'mated' if comparisons.mated[row] else 'non-mated'} but shows "
            f"subjects {comparisons.subject[row].tolist()} "
            f"({counted(int(wrong.sum()), 'such pair')})."
        )
    names, person = np.unique(comparisons.subject, return_inverse=True)
    person = person.reshape(comparisons.subject.shape)
    stratum = np.full(len(names), len(comparisons.groups))
    np.minimum.at(stratum, person, comparisons.group)
    return person, stratum


def _sums_by_kind(
    values: np.ndarray, mated: np.ndarray, cell: np.ndarray, draws: SubjectDraws, cells: int
) -> np.ndarray:
    """Sums [resamples, (non-mated, mated), cells + 1], pairs in no cell coming last."""
    kind = np.where(cell < 0, cells, cell) + (cells + 1) * mated
    return resampled_sums(values, kind, draws, cells=2 * (cells + 1)).reshape(-1, 2, cells + 1)


def _sums_to(ends: np.ndarray, weight: np.ndarray, place: np.ndarray, places: int) -> np.ndarray:
    """Sums [ends, places] of the weights of rows 0 .. end - 1."""
    sums, start = np.zeros((len(ends), places)), 0
    total = np.zeros(places)
    for t in np.argsort(ends):
        rows = slice(start, ends[t])
        total = total + np.bincount(place[rows], weight[rows], places)
        sums[t], start = total, ends[t]
    return sums


def _rates(threshold: np.ndarray, errors: np.ndarray, totals: np.ndarray) -> ResampledRates:
    """Rates from sums [resamples, points, 2, cells + 1] and [resamples, 2, cells + 1]."""
    by_cell = divide(errors, totals[:, None])
    overall = divide(errors.sum(axis=-1), totals.sum(axis=-1)[:, None])
    return ResampledRates(
        threshold=threshold,
        fmr=overall[:, :, 0],
        fnmr=overall[:, :, 1],
        cell_fmr=by_cell[:, :, 0, :-1],
        cell_fnmr=by_cell[:, :, 1, :-1],
    )
