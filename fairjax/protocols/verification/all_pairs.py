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
from fairjax.core.comparisons import Embeddings
from fairjax.metrics.classification import divide
from fairjax.metrics.subject_bootstrap import draw_people
from fairjax.metrics.verification import (
    InsufficientDataError,
    ThresholdRule,
    allowed,
    threshold_in_tail,
)
from fairjax.protocols.verification import pair_blocks
from fairjax.protocols.verification.pair_blocks import PairGrid, scores_reaching
from fairjax.protocols.verification.pair_tails import (
    MOST_KEPT,
    PairTail,
    PeopleTail,
    counted_thresholds,
    weighed,
)


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
    grid = PairGrid(embeddings, person)
    pool = int((np.diag(grid.nonmated)[:-1] if within_groups else np.triu(grid.nonmated)).sum())
    resolved = [index for index, target in enumerate(fmrs) if _is_resolved(target, pool, rule)]
    targets = [fmrs[index] for index in resolved]
    kept = max((allowed(target, pool, rule=rule) + 1 for target in targets), default=0)
    tail = PairTail.of(grid, min(kept, pool), within_groups=within_groups, most=MOST_KEPT)
    threshold = np.array([*(np.nan for _ in fmrs), *thresholds], np.float64)
    if tail is None:
        threshold[resolved] = counted_thresholds(grid, targets, pool, rule, within_groups)
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
    grid = PairGrid(embeddings, None)
    people, size = len(grid.names), len(grid.groups) + 1
    _, first_image = np.unique(grid.subject, return_index=True)
    draws = draw_people(grid.cell[first_image], resamples=resamples, seed=seed)
    images = np.zeros((people, size), np.int64)
    np.add.at(images, (grid.subject, grid.cell), 1)
    each = images.sum(axis=1)
    mated_cell, mated_person = grid.cell[grid.mated_first], grid.subject[grid.mated_first]
    mated_score = grid.mated_scores().astype(np.float64)
    tail = PeopleTail.of(grid, 2 * int(max(fmrs) * np.triu(grid.nonmated).sum()) + 2)
    for weights in draws.astype(np.int64):
        held = weights @ images
        nonmated = np.outer(held, held) - images.T @ (weights[:, None] ** 2 * images)
        nonmated[np.diag_indices(size)] //= 2
        pool = int(np.triu(nonmated).sum())
        while not tail.reaches(max(fmrs), pool, weights, rule):
            tail = PeopleTail.of(grid, 2 * len(tail.score))
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
            mated=weighed(mated_cell, weights[mated_person], size),
            false_nonmatches=np.array(
                [weighed(mated_cell[w], weights[mated_person[w]], size) for w in wrong]
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


def _accepted(
    grid: PairGrid, lowest: float, tail: PairTail | None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Scores and both images of all non-mated pairs from a threshold on, and perhaps of others.

    Args:
      grid: The images.
      lowest: The threshold.
      tail: The largest scores over all pairs, where they were kept.
    """
    if tail is not None and len(tail.score) and lowest >= tail.score[-1]:
        for some in blocks(len(tail.score), pair_blocks.BLOCK**2):
            yield tail.score[some], tail.first[some], tail.second[some]
        return
    for row, column, scores in grid.blocks():
        score, first, second = scores_reaching(scores, lowest)
        yield score, first + row, second + column


def _count(grid: PairGrid, threshold: np.ndarray, tail: PairTail | None) -> AllPairs:
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
