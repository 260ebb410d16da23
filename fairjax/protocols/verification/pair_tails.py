"""Thresholds over all non-mated pairs: from the largest scores, or by counting the bits of all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from fairjax.metrics.streaming import BINS, from_ordered_bits, ordered_bits
from fairjax.metrics.verification import (
    InsufficientDataError,
    ThresholdRule,
    allowed,
    threshold_in_tail,
)
from fairjax.protocols.verification import pair_blocks
from fairjax.protocols.verification.pair_blocks import PairGrid, scores_reaching

MOST_KEPT = 1 << 24  # scores kept with their images: 192 MiB, while they are chosen 1.1 GiB


@dataclass(frozen=True)
class PairTail:
    """The largest non-mated scores, descending, and the two images of each.

    Attributes:
      score: Scores, with all that equal the last one.
      first: Row of one image of each pair.
      second: Row of the other image, a larger number.
    """

    score: Float[np.ndarray, " kept"]
    first: Int[np.ndarray, " kept"]
    second: Int[np.ndarray, " kept"]

    @classmethod
    def of(
        cls, grid: PairGrid, kept: int, *, within_groups: bool = False, most: int | None = None
    ) -> "PairTail | None":
        """At least `kept` scores, or all; None where these are more than `most`.

        Args:
          grid: The images.
          kept: How many scores are wanted.
          within_groups: Whether the pairs within known groups count alone.
          most: Limit of the scores that are kept; None keeps any number.
        """
        if most is not None and kept > most:
            return None
        parts: list[tuple[np.ndarray, ...]] = [
            (np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(0, np.int32))
        ]
        held, floor = 0, -1.0
        for row, column, scores in grid.blocks(within_groups=within_groups) if kept else ():
            score, one, other = scores_reaching(scores, floor)
            # numbers of images fit 32 bits: these arrays are most of the memory
            parts.append((score, (one + row).astype(np.int32), (other + column).astype(np.int32)))
            held += len(score)
            if held > 2 * kept + pair_blocks.BLOCK:
                parts = [_largest(parts, kept)]
                held, floor = len(parts[0][0]), float(parts[0][0].min())
                if most is not None and held > most + kept:
                    return None
        score, one, other = _largest(parts, kept)
        if most is not None and len(score) > most:
            return None
        order = np.argsort(-score, kind="stable")
        return cls(score[order], one[order], other[order])


def _largest(parts: list[tuple[np.ndarray, ...]], kept: int) -> tuple[np.ndarray, ...]:
    """The `kept` largest scores and those equal to the last one, with their images."""
    score, one, other = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    if len(score) <= kept:
        return score, one, other
    least = np.partition(score, len(score) - kept)[len(score) - kept]
    chosen = score >= least
    return score[chosen], one[chosen], other[chosen]


class _ScoreCounts:
    """How often each score occurs among the non-mated ones, near some ranks; keeps no score.

    A first pass counts the upper halves of the scores' bits. A second one counts the lower halves
    of the scores whose upper half the ranks need: together the halves are the score.

    Args:
      grid: The images.
      within_groups: Whether the pairs within known groups count alone.
      ranks: Ranks of scores, 1 for the largest one.
    """

    def __init__(self, grid: PairGrid, within_groups: bool, ranks: Sequence[int]) -> None:
        self._grid, self._within_groups = grid, within_groups
        self._upper = np.zeros(BINS, np.int64)
        for key in self._keys():
            self._upper += np.bincount(key >> 16, minlength=BINS)
        self._lower: dict[int, np.ndarray] = {}
        for rank in ranks:
            place, _ = _of_rank(self._upper, rank)
            above = np.flatnonzero(self._upper[place + 1 :])[:1] + place + 1
            self._lower |= {b: np.zeros(BINS, np.int64) for b in (place, *above.tolist())}
        for key in self._keys():
            for place, counts in self._lower.items():
                counts += np.bincount(key[key >> 16 == place] & (BINS - 1), minlength=BINS)

    def score(self, rank: int) -> tuple[np.float32, int]:
        """The score of one of the ranks, and how many scores are larger; so of that number, too."""
        place, above = _of_rank(self._upper, rank)
        low, above_in_bin = _of_rank(self._lower[place], rank - above)
        return from_ordered_bits(np.array([place << 16 | low]))[0], above + above_in_bin

    def _keys(self) -> Iterator[np.ndarray]:
        for _, _, scores in self._grid.blocks(within_groups=self._within_groups):
            score, _, _ = scores_reaching(scores, -1.0)
            yield ordered_bits(score)


def _of_rank(counts: np.ndarray, rank: int) -> tuple[int, int]:
    """The place that holds the rank-th largest of counted values, and how many lie above it."""
    from_here_on = np.cumsum(counts[::-1])[::-1]
    place = int(np.flatnonzero(from_here_on >= rank)[-1])
    return place, int(from_here_on[place] - counts[place])


def counted_thresholds(
    grid: PairGrid, fmrs: Sequence[float], pool: int, rule: ThresholdRule, within_groups: bool
) -> list[float]:
    """The thresholds at some targets that the pairs resolve, whatever their number."""
    ranks = [min(allowed(target, pool, rule=rule), pool) for target in fmrs]
    near = {near for rank in ranks for near in (rank, min(rank + 1, pool))}
    counts = _ScoreCounts(grid, within_groups, sorted(near))
    thresholds = []
    for target, rank in zip(fmrs, ranks, strict=True):
        largest = [counts.score(rank)[0]]
        if rule == "at_most" and rank < pool:
            following, larger = counts.score(rank + 1)
            largest = [counts.score(larger)[0] if larger else following, following]
        thresholds.append(
            threshold_in_tail(
                np.array(largest), pairs=pool, fmr=target, rule=rule, skipped=rank - 1
            )
        )
    return thresholds


@dataclass(frozen=True)
class PeopleTail:
    """The largest non-mated scores, descending, and whose they are.

    Attributes:
      score: Scores.
      first: One person of each, as a place among the people.
      second: The other person.
      cells: Both cells of each score, as first * size + second.
      whole: Whether these are all scores that there are.
    """

    score: Float[np.ndarray, " kept"]
    first: Int[np.ndarray, " kept"]
    second: Int[np.ndarray, " kept"]
    cells: Int[np.ndarray, " kept"]
    whole: bool

    @classmethod
    def of(cls, grid: PairGrid, kept: int) -> "PeopleTail":
        """As many scores as `kept` says, or all."""
        pool = int(np.triu(grid.nonmated).sum())
        tail = PairTail.of(grid, min(kept, pool))
        assert tail is not None
        one, other = tail.first, tail.second
        cells = grid.cell[one] * (len(grid.groups) + 1) + grid.cell[other]
        whole = len(tail.score) == pool
        return cls(tail.score, grid.subject[one], grid.subject[other], cells, whole)

    def reaches(self, fmr: float, pool: int, weights: np.ndarray, rule: ThresholdRule) -> bool:
        """Whether the threshold at the rate is among the scores of a resample."""
        held = int(self._times(weights).sum())
        try:
            return self.whole or held > allowed(fmr, pool, rule=rule)
        except InsufficientDataError:
            return True

    def threshold(self, fmr: float, pool: int, weights: np.ndarray, rule: ThresholdRule) -> float:
        """The threshold of a resample; NaN where its pairs don't resolve the rate."""
        try:
            largest = np.repeat(self.score, self._times(weights))
            return threshold_in_tail(largest, pairs=pool, fmr=fmr, rule=rule)
        except InsufficientDataError:
            return float("nan")

    def accepted(
        self, threshold: float, weights: np.ndarray, size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Accepted pairs of a resample by couple of cells, and by person for one copy of it."""
        some = self.score.astype(np.float64) >= threshold  # of NaN, none
        one, other = self.first[some], self.second[some]
        cells = weighed(self.cells[some], weights[one] * weights[other], size * size)
        cells = cells.reshape(size, size)
        cells += np.triu(cells, 1).T  # images are in order of group
        people = len(weights)
        return cells, weighed(one, weights[other], people) + weighed(other, weights[one], people)

    def _times(self, weights: np.ndarray) -> np.ndarray:
        return weights[self.first] * weights[self.second]


def weighed(cell: np.ndarray, weights: np.ndarray, cells: int) -> np.ndarray:
    """Sums of whole weights by cell."""
    return np.bincount(cell, weights, cells).astype(np.int64)
