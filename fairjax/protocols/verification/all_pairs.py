"""Error rates over every pair of images there is, at thresholds found on every pair.

A benchmark's list has thousands of pairs, its images millions: low false match rates can only be
seen on these. The matrix of cosines is computed in blocks and never stored. One pass keeps the
largest non-mated scores with their images: the thresholds are among them, and all counts follow
from them. Where these are too many to keep, two passes count the bits of all scores, which gives
the same thresholds, and a third pass counts at them. Every pass multiplies the same blocks, so the
counts are exact for the scores that were compared.

The product of embeddings is NumPy's, in float32, on all processors. It takes half of the time or
more (`benchmarks/all_pairs.py`), and a compiled program would have to compute it, too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from fairjax.core.blocks import blocks
from fairjax.core.comparisons import Embeddings, unit_length
from fairjax.metrics.classification import divide
from fairjax.metrics.streaming import BINS, from_ordered_bits, ordered_bits
from fairjax.metrics.subject_bootstrap import draw_people
from fairjax.metrics.verification import (
    InsufficientDataError,
    ThresholdRule,
    allowed,
    threshold_in_tail,
)

BLOCK = 2048  # images a side of a block: 16 MiB of scores
MOST_KEPT = 1 << 24  # scores kept with their images: 192 MiB
_ANY = np.float32(-2.0)  # below every cosine; there is no pair where a block holds -inf


@dataclass(frozen=True)
class AllPairs:
    """Counts over all pairs of images at each threshold.

    Attributes:
      threshold: Threshold of each target and each given one; NaN where the pairs don't resolve it.
      groups: The groups' names.
      nonmated: Non-mated pairs of each couple of groups, symmetric; the last row and column are of
        people of unknown group.
      false_matches: Number of these accepted at each threshold.
      mated: Mated pairs of each group, unknown ones last.
      false_nonmatches: Number of these rejected at each threshold.
      person: The people, ascending.
      person_nonmated: Non-mated pairs that show each of them.
      person_false_matches: Number of these accepted at each threshold.
      person_mated: Mated pairs of each of them.
      person_false_nonmatches: Number of these rejected at each threshold.
      excluded: Pairs of one person under two numbers: neither mated nor non-mated.
    """

    threshold: Float[np.ndarray, " points"]
    groups: tuple[str, ...]
    nonmated: Int[np.ndarray, "cells cells"]
    false_matches: Int[np.ndarray, "points cells cells"]
    mated: Int[np.ndarray, " cells"]
    false_nonmatches: Int[np.ndarray, "points cells"]
    person: Int[np.ndarray, " people"]
    person_nonmated: Int[np.ndarray, " people"]
    person_false_matches: Int[np.ndarray, "points people"]
    person_mated: Int[np.ndarray, " people"]
    person_false_nonmatches: Int[np.ndarray, "points people"]
    excluded: int

    @property
    def pairs(self) -> int:
        """Non-mated pairs in all."""
        return int(np.triu(self.nonmated).sum())

    @property
    def within_groups(self) -> int:
        """Non-mated pairs within the known groups."""
        return int(np.diag(self.nonmated)[:-1].sum())

    def group_fmr(self) -> Float[np.ndarray, "points groups"]:
        """FMR within each group; NaN where it has no pair, or the threshold is unknown."""
        own = np.arange(len(self.groups))
        return self._known(divide(self.false_matches[:, own, own], self.nonmated[own, own]))

    def group_fnmr(self) -> Float[np.ndarray, "points groups"]:
        """FNMR of each group; NaN where it has no pair, or the threshold is unknown."""
        size = len(self.groups)
        return self._known(divide(self.false_nonmatches[:, :size], self.mated[:size]))

    def person_fmr(self) -> Float[np.ndarray, "points people"]:
        """FMR over all pairs that show the person, for the bias between individuals."""
        return self._known(divide(self.person_false_matches, self.person_nonmated))

    def person_fnmr(self) -> Float[np.ndarray, "points people"]:
        """FNMR over the person's mated pairs; NaN for one picture."""
        return self._known(divide(self.person_false_nonmatches, self.person_mated))

    def _known(self, rates: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(self.threshold)[:, None], np.nan, rates)


def count_all_pairs(
    embeddings: Embeddings,
    *,
    fmrs: Sequence[float],
    thresholds: Sequence[float] = (),
    within_groups: bool = False,
    rule: ThresholdRule = "at_most",
    person: Int[np.ndarray, " images"] | None = None,
) -> AllPairs:
    """Thresholds at the target rates over all non-mated pairs, and what every pair says at them.

    Scores are cosines in float32. Takes one product of all embeddings with all, or three where the
    largest target accepts more than `MOST_KEPT` pairs. Memory grows with the number of images, and
    with that of mated pairs, but not with that of all pairs: it holds one block and `MOST_KEPT`
    scores.

    Args:
      embeddings: Embeddings of the images.
      fmrs: Target false match rates, fractions in (0, 1).
      thresholds: Given thresholds to count at, too; they come after the targets.
      within_groups: Whether thresholds are found on the non-mated pairs within groups alone; the
        counts are over all pairs still.
      rule: Rule of `metrics.verification.threshold_at_fmr`.
      person: For each image who is on it in truth, where one person has several subject numbers
        (13 names of RFW occur in two races): such pairs are left out. None: nobody has.

    Raises:
      ValueError: If an embedding is all zeros or not finite, or there are no two images.

    Source: the definition of CIFP's bias degree over all pairs; see `rfw` and `bfw`.
    """
    if len(embeddings) < 2:
        raise ValueError(f"pairs need two images; got {len(embeddings)}.")
    grid = _Grid(embeddings, person)
    pool = int((np.diag(grid.nonmated)[:-1] if within_groups else np.triu(grid.nonmated)).sum())
    resolved = [index for index, target in enumerate(fmrs) if _is_resolved(target, pool, rule)]
    targets = [fmrs[index] for index in resolved]
    kept = max((allowed(target, pool, rule=rule) + 1 for target in targets), default=0)
    tail = _Tail.of(grid, min(kept, pool), within_groups=within_groups, most=MOST_KEPT)
    threshold = np.array([*(np.nan for _ in fmrs), *thresholds], np.float64)
    if tail is None:
        threshold[resolved] = _counted_thresholds(grid, targets, pool, rule, within_groups)
    else:
        threshold[resolved] = [
            threshold_in_tail(tail.score, pairs=pool, fmr=target, rule=rule) for target in targets
        ]
    return _count(grid, threshold, None if within_groups else tail)


def _is_resolved(fmr: float, pairs: int, rule: ThresholdRule) -> bool:
    """Whether some pairs are enough for a target."""
    try:
        return allowed(fmr, pairs, rule=rule) > 0
    except InsufficientDataError:
        return False


def resampled_all_pairs(
    embeddings: Embeddings,
    *,
    fmrs: Sequence[float],
    resamples: int,
    seed: int,
    rule: ThresholdRule = "at_most",
) -> Iterator[AllPairs]:
    """`count_all_pairs` in resamples of the people, with thresholds chosen anew in each.

    A resample holds each person of a group some number of times, as `subject_bootstrap.draw_people`
    draws them; each copy is a person of its own, and copies of one person are not compared. So a
    mated pair comes as often as its person, and a non-mated pair as often as the product of its
    two people's numbers. `person` names each copy.

    Cosines are computed once: the largest non-mated ones, with their people, are kept.

    Args:
      embeddings: Embeddings of the images.
      fmrs: Target false match rates, fractions in (0, 1).
      resamples: How many resamples.
      seed: Non-negative.
      rule: Rule of `metrics.verification.threshold_at_fmr`.

    Raises:
      ValueError: If an embedding is all zeros or not finite.
    """
    grid = _Grid(embeddings, None)
    people, size = len(grid.names), len(grid.groups) + 1
    _, first_image = np.unique(grid.subject, return_index=True)
    draws = draw_people(grid.cell[first_image], resamples=resamples, seed=seed)
    images = np.zeros((people, size), np.int64)
    np.add.at(images, (grid.subject, grid.cell), 1)
    each = images.sum(axis=1)
    mated_cell, mated_person = grid.cell[grid.mated_first], grid.subject[grid.mated_first]
    mated_score = grid.mated_scores().astype(np.float64)
    tail = _PeopleTail.of(grid, 2 * int(max(fmrs) * np.triu(grid.nonmated).sum()) + 2)
    for weights in draws.astype(np.int64):
        held = weights @ images
        nonmated = np.outer(held, held) - images.T @ (weights[:, None] ** 2 * images)
        nonmated[np.diag_indices(size)] //= 2
        pool = int(np.triu(nonmated).sum())
        while not tail.reaches(max(fmrs), pool, weights, rule):
            tail = _PeopleTail.of(grid, 2 * len(tail.score))
        threshold = np.array([tail.threshold(target, pool, weights, rule) for target in fmrs])
        copies = np.repeat(np.arange(people), weights)
        accepted = [tail.accepted(level, weights, size) for level in threshold]
        wrong = [mated_score < level for level in threshold]  # of NaN, none
        by_person = np.array([persons for _, persons in accepted])
        yield AllPairs(
            threshold=threshold,
            groups=grid.groups,
            nonmated=nonmated,
            false_matches=np.array([cells for cells, _ in accepted]),
            mated=_weighed(mated_cell, weights[mated_person], size),
            false_nonmatches=np.array(
                [_weighed(mated_cell[w], weights[mated_person[w]], size) for w in wrong]
            ),
            person=grid.names[copies],
            person_nonmated=(each * (weights @ each - weights * each))[copies],
            person_false_matches=by_person[:, copies],
            person_mated=grid.person_mated[copies],
            person_false_nonmatches=np.array(
                [np.bincount(mated_person[w], minlength=people)[copies] for w in wrong]
            ),
            excluded=0,
        )


def _weighed(cell: np.ndarray, weights: np.ndarray, cells: int) -> np.ndarray:
    """Sums of whole weights by cell."""
    return np.bincount(cell, weights, cells).astype(np.int64)


class _Grid:
    """The images in order of group and subject, and the blocks of pairs i < j of them."""

    def __init__(self, embeddings: Embeddings, person: np.ndarray | None) -> None:
        self.groups = embeddings.groups
        cell = np.where(embeddings.group < 0, len(self.groups), embeddings.group)
        order = np.lexsort((embeddings.subject, cell))
        self.unit = unit_length(embeddings.embedding[order].astype(np.float32))
        self.cell = cell[order]
        self.names, self.subject = np.unique(embeddings.subject[order], return_inverse=True)
        person = embeddings.subject if person is None else person
        _, self.person = np.unique(person[order], return_inverse=True)
        first, second = self._same_person()  # `first` is the lower row of each pair
        key = self._block_number(first, second)
        by_block = np.argsort(key, kind="stable")
        self._same = first[by_block], second[by_block], key[by_block]
        is_mated = self.subject[first] == self.subject[second]
        self.mated_first, self.mated_second = first[is_mated], second[is_mated]
        self.excluded = int((~is_mated).sum())
        size, people = len(self.groups) + 1, len(self.names)
        self.mated = np.bincount(self.cell[self.mated_first], minlength=size)
        self.person_mated = np.bincount(self.subject[self.mated_first], minlength=people)
        # non-mated pairs from both sides: all ordered couples of images, less those of one person
        ends, others = np.concatenate([first, second]), np.concatenate([second, first])
        images = np.bincount(self.cell, minlength=size)
        taken = np.bincount(self.cell[ends] * size + self.cell[others], minlength=size * size)
        self.nonmated = np.outer(images, images) - np.diag(images) - taken.reshape(size, size)
        self.nonmated[np.diag_indices(size)] //= 2
        self.person_nonmated = np.bincount(self.subject) * (len(order) - 1) - np.bincount(
            self.subject[ends], minlength=people
        )

    def _same_person(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows of every pair of images of one person, under whichever numbers."""
        order = np.argsort(self.person, kind="stable")
        images = np.bincount(self.person)
        start = np.cumsum(images) - images
        first, second = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for number in np.unique(images):  # all people with so many images at once
            one, other = np.triu_indices(number, 1)
            theirs = start[images == number, None]
            first.append(order[theirs + one].reshape(-1))
            second.append(order[theirs + other].reshape(-1))
        return np.concatenate(first), np.concatenate(second)

    def _block_number(
        self, row: Int[np.ndarray, "*pairs"], column: Int[np.ndarray, "*pairs"]
    ) -> Int[np.ndarray, "*pairs"]:
        """A number of the block that holds each pair; numbers of later blocks are larger."""
        return row // BLOCK * len(self.unit) + column // BLOCK

    def blocks(self, *, within_groups: bool = False) -> Iterator[tuple[int, int, np.ndarray]]:
        """(first row, first column, scores) of the upper triangle; -inf where there is no pair.

        A score may lie outside [-1, 1] by rounding. The next block overwrites the scores.

        Args:
          within_groups: Whether there are only the pairs within known groups.
        """
        memory = np.empty(BLOCK**2, np.float32)
        unknown = len(self.groups)
        one, other, number = self._same
        for rows, columns in _upper_triangle(len(self.unit)):
            row_cell, column_cell = self.cell[rows], self.cell[columns]
            if within_groups and (row_cell[-1] < column_cell[0] or row_cell[0] == unknown):
                continue  # cells ascend: no pair within a group
            shape = len(row_cell), len(column_cell)
            scores = memory[: shape[0] * shape[1]].reshape(shape)
            np.matmul(self.unit[rows], self.unit[columns].T, out=scores)
            own = self._block_number(np.array([rows.start]), np.array([columns.start]))
            same = slice(*np.searchsorted(number, own + np.arange(2)))
            scores[one[same] - rows.start, other[same] - columns.start] = -np.inf
            if rows == columns:
                scores[np.tri(len(scores), dtype=bool)] = -np.inf
            if within_groups and row_cell[0] != column_cell[-1]:
                scores[
                    (row_cell[:, None] != column_cell) | (row_cell[:, None] == unknown)
                ] = -np.inf
            yield rows.start, columns.start, scores

    def mated_scores(self) -> np.ndarray:
        """The score of every mated pair."""
        scores = np.empty(len(self.mated_first), np.float32)
        for some in blocks(len(scores), BLOCK):
            one, other = self.mated_first[some], self.mated_second[some]
            scores[some] = np.einsum("pd,pd->p", self.unit[one], self.unit[other])
        return np.clip(scores, -1.0, 1.0)


def _upper_triangle(images: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the blocks that hold the pairs i <= j."""
    sides = list(blocks(images, BLOCK))
    for k, rows in enumerate(sides):
        for columns in sides[k:]:
            yield rows, columns


def _reaching(scores: np.ndarray, floor: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The scores of a block from a floor on, clipped to [-1, 1], and their rows and columns.

    The next lower float32 counts as the floor, too: a floor of more precision misses no score.
    """
    least = _ANY if floor <= -1 else np.nextafter(np.float32(min(floor, 1.0)), _ANY)
    flat = scores.reshape(-1)
    place = np.flatnonzero(flat >= least)
    row, column = np.divmod(place, scores.shape[1])
    return np.clip(flat[place], -1.0, 1.0), row, column


@dataclass(frozen=True)
class _Tail:
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
        cls, grid: _Grid, kept: int, *, within_groups: bool = False, most: int | None = None
    ) -> "_Tail | None":
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
            score, one, other = _reaching(scores, floor)
            # numbers of images fit 32 bits: these arrays are most of the memory
            parts.append((score, (one + row).astype(np.int32), (other + column).astype(np.int32)))
            held += len(score)
            if held > 2 * kept + BLOCK:
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

    def __init__(self, grid: _Grid, within_groups: bool, ranks: Sequence[int]) -> None:
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
            score, _, _ = _reaching(scores, -1.0)
            yield ordered_bits(score)


def _of_rank(counts: np.ndarray, rank: int) -> tuple[int, int]:
    """The place that holds the rank-th largest of counted values, and how many lie above it."""
    from_here_on = np.cumsum(counts[::-1])[::-1]
    place = int(np.flatnonzero(from_here_on >= rank)[-1])
    return place, int(from_here_on[place] - counts[place])


def _counted_thresholds(
    grid: _Grid, fmrs: Sequence[float], pool: int, rule: ThresholdRule, within_groups: bool
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
class _PeopleTail:
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
    def of(cls, grid: _Grid, kept: int) -> "_PeopleTail":
        """As many scores as `kept` says, or all."""
        pool = int(np.triu(grid.nonmated).sum())
        tail = _Tail.of(grid, min(kept, pool))
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
        cells = _weighed(self.cells[some], weights[one] * weights[other], size * size)
        cells = cells.reshape(size, size)
        cells += np.triu(cells, 1).T  # images are in order of group
        people = len(weights)
        return cells, _weighed(one, weights[other], people) + _weighed(other, weights[one], people)

    def _times(self, weights: np.ndarray) -> np.ndarray:
        return weights[self.first] * weights[self.second]


def _accepted(
    grid: _Grid, lowest: float, tail: _Tail | None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Scores and both images of all non-mated pairs from a threshold on, and perhaps of others.

    Args:
      grid: The images.
      lowest: The threshold.
      tail: The largest scores over all pairs, where they were kept.
    """
    if tail is not None and len(tail.score) and lowest >= tail.score[-1]:
        for some in blocks(len(tail.score), BLOCK**2):
            yield tail.score[some], tail.first[some], tail.second[some]
        return
    for row, column, scores in grid.blocks():
        score, first, second = _reaching(scores, lowest)
        yield score, first + row, second + column


def _count(grid: _Grid, threshold: np.ndarray, tail: _Tail | None) -> AllPairs:
    """At how many of the thresholds each pair is accepted, added up."""
    order = np.argsort(threshold)  # NaN last
    known = order[~np.isnan(threshold[order])]
    ascending = threshold[known]
    levels, size, people = len(known), len(grid.groups) + 1, len(grid.names)
    # entry [l] counts the pairs whose score reaches exactly the first l thresholds
    cells = np.zeros((levels + 1) * size * size, np.int64)
    persons = np.zeros((levels + 1) * people, np.int64)
    for score, first, second in _accepted(grid, ascending[0], tail) if levels else ():
        level = np.searchsorted(ascending, score.astype(np.float64), side="right")
        a, b = grid.cell[first], grid.cell[second]
        cells += np.bincount((level * size + a) * size + b, minlength=len(cells))
        for side in (first, second):
            persons += np.bincount(level * people + grid.subject[side], minlength=len(persons))
    level = np.searchsorted(ascending, grid.mated_scores().astype(np.float64), side="right")
    mated = np.bincount(level * size + grid.cell[grid.mated_first], minlength=(levels + 1) * size)
    mated_persons = np.bincount(
        level * people + grid.subject[grid.mated_first], minlength=(levels + 1) * people
    )

    def reaching(counts: np.ndarray, *shape: int) -> np.ndarray:
        """Pairs at or above each known threshold, in the thresholds' order."""
        by_level = counts.reshape(levels + 1, *shape)
        above = np.cumsum(by_level[::-1], axis=0)[::-1][1:]
        reached = np.zeros((len(threshold), *shape), np.int64)
        reached[known] = above
        return reached

    accepted = reaching(cells, size, size)
    accepted = accepted + np.swapaxes(np.triu(accepted, 1), 1, 2)  # images are in order of group
    return AllPairs(
        threshold=threshold,
        groups=grid.groups,
        nonmated=grid.nonmated,
        false_matches=accepted,
        mated=grid.mated,
        false_nonmatches=_rejected(grid.mated, reaching(mated, size), known),
        person=grid.names,
        person_nonmated=grid.person_nonmated,
        person_false_matches=reaching(persons, people),
        person_mated=grid.person_mated,
        person_false_nonmatches=_rejected(
            grid.person_mated, reaching(mated_persons, people), known
        ),
        excluded=grid.excluded,
    )


def _rejected(totals: np.ndarray, accepted: np.ndarray, known: np.ndarray) -> np.ndarray:
    rejected = np.zeros_like(accepted)
    rejected[known] = totals - accepted[known]
    return rejected
