"""Error rates over every pair of images there is, at thresholds found on every pair.

A benchmark's list has thousands of pairs, its images millions: low false match rates can only be
seen on these. Scores are never kept. A first pass over blocks of the matrix of cosines keeps the
largest non-mated ones, which the thresholds are among; a second pass counts at these thresholds.
Both passes multiply the same blocks, so the counts are exact for the scores that were compared.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from fairjax.core.comparisons import Embeddings, unit_length
from fairjax.metrics.classification import divide
from fairjax.metrics.subject_bootstrap import draw_people
from fairjax.metrics.verification import (
    InsufficientDataError,
    ThresholdRule,
    allowed,
    threshold_in_tail,
)

BLOCK = 2048  # images a side of a block: 16 MiB of scores


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

    Scores are cosines in float32. Takes two products of all embeddings with all, and memory for
    the largest target: 4 to 12 bytes for each of its max(fmrs) x pairs accepted pairs.

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
    kept = 0
    for target in fmrs:
        try:
            kept = max(kept, allowed(target, pool, rule=rule) + 1)
        except InsufficientDataError:
            continue
    tail = _largest(grid, min(kept, pool), within_groups=within_groups)
    threshold = np.array([*(np.nan for _ in fmrs), *thresholds], np.float64)
    for index, target in enumerate(fmrs):
        try:
            threshold[index] = threshold_in_tail(tail, pairs=pool, fmr=target, rule=rule)
        except InsufficientDataError:
            continue
    return _count(grid, threshold)


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
    tail = _Tail.of(grid, 2 * int(max(fmrs) * np.triu(grid.nonmated).sum()) + 2)
    for weights in draws.astype(np.int64):
        held = weights @ images
        nonmated = np.outer(held, held) - images.T @ (weights[:, None] ** 2 * images)
        nonmated[np.diag_indices(size)] //= 2
        pool = int(np.triu(nonmated).sum())
        while not tail.reaches(max(fmrs), pool, weights, rule):
            tail = _Tail.of(grid, 2 * len(tail.score))
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
        first, second = self._same_person()
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
        starts = np.flatnonzero(np.diff(self.person[order], prepend=-1))
        first, second = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for images in np.split(order, starts[1:]):
            one, other = np.triu_indices(len(images), 1)
            first.append(images[one])
            second.append(images[other])
        return np.concatenate(first), np.concatenate(second)

    def blocks(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """(first row, first column, scores) of the upper triangle; -inf where there is no pair."""
        n = len(self.unit)
        for row in range(0, n, BLOCK):
            rows = slice(row, min(row + BLOCK, n))
            for column in range(row, n, BLOCK):
                columns = slice(column, min(column + BLOCK, n))
                scores = self.unit[rows] @ self.unit[columns].T
                np.clip(scores, -1.0, 1.0, out=scores)
                scores[self.person[rows, None] == self.person[columns]] = -np.inf
                if row == column:
                    scores[np.tril_indices(len(scores))] = -np.inf
                yield row, column, scores

    def mated_scores(self) -> np.ndarray:
        """The score of every mated pair."""
        scores = np.empty(len(self.mated_first), np.float32)
        for start in range(0, len(scores), BLOCK):
            some = slice(start, start + BLOCK)
            one, other = self.mated_first[some], self.mated_second[some]
            scores[some] = np.einsum("pd,pd->p", self.unit[one], self.unit[other])
        return np.clip(scores, -1.0, 1.0)


@dataclass(frozen=True)
class _Tail:
    """The largest non-mated scores, descending, and whose they are.

    Attributes:
      score: The scores.
      first: One person of each, as a place among the people.
      second: The other.
      cells: Both cells of each score, as first * size + second.
      whole: Whether these are all scores that there are.
    """

    score: Float[np.ndarray, " kept"]
    first: Int[np.ndarray, " kept"]
    second: Int[np.ndarray, " kept"]
    cells: Int[np.ndarray, " kept"]
    whole: bool

    @classmethod
    def of(cls, grid: _Grid, kept: int) -> "_Tail":
        """As many scores as `kept` says, or all."""
        pool = int(np.triu(grid.nonmated).sum())
        kept = min(kept, pool)
        largest = _largest(grid, kept, within_groups=False)
        floor = largest[-1] if kept else np.float32(np.inf)
        blocks = [(np.zeros(0, np.float32), np.zeros(0, np.int64), np.zeros(0, np.int64))]
        for row, column, scores in grid.blocks():
            one, other = np.nonzero(scores >= floor)  # where there is no pair, -inf
            blocks.append((scores[one, other], one + row, other + column))
        score, one, other = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        order = np.argsort(-score, kind="stable")
        one, other = one[order], other[order]
        cells = grid.cell[one] * (len(grid.groups) + 1) + grid.cell[other]
        return cls(score[order], grid.subject[one], grid.subject[other], cells, len(score) == pool)

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


def _largest(grid: _Grid, kept: int, *, within_groups: bool) -> Float[np.ndarray, " kept"]:
    """The largest non-mated scores, descending, merged block by block."""
    largest = [np.zeros(0, np.float32)]
    held, floor = 0, np.float32(-1.0)
    for row, column, scores in grid.blocks() if kept else ():
        if within_groups:
            one = grid.cell[row : row + scores.shape[0], None]
            other = grid.cell[column : column + scores.shape[1]]
            scores[(one != other) | (one == len(grid.groups))] = -np.inf
        chosen = scores[scores >= floor]
        largest.append(chosen)
        held += len(chosen)
        if held > 2 * kept + BLOCK**2:
            largest = [_top(np.concatenate(largest), kept)]
            held, floor = kept, largest[0].min()
    return np.sort(_top(np.concatenate(largest), kept))[::-1]


def _top(scores: np.ndarray, kept: int) -> np.ndarray:
    if len(scores) <= kept:
        return scores
    return np.partition(scores, len(scores) - kept)[len(scores) - kept :]


def _count(grid: _Grid, threshold: np.ndarray) -> AllPairs:
    """The second pass: at how many of the thresholds each pair is accepted, added up."""
    order = np.argsort(threshold)  # NaN last
    known = order[~np.isnan(threshold[order])]
    ascending = threshold[known]
    levels, size, people = len(known), len(grid.groups) + 1, len(grid.names)
    # entry [l] counts the pairs whose score reaches exactly the first l thresholds
    cells = np.zeros((levels + 1) * size * size, np.int64)
    persons = np.zeros((levels + 1) * people, np.int64)
    for row, column, scores in grid.blocks() if levels else ():
        first, second = np.nonzero(scores >= ascending[0])
        level = np.searchsorted(ascending, scores[first, second].astype(np.float64), side="right")
        first, second = first + row, second + column
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
