"""Ten-fold verification accuracy in the variants that papers use without naming them.

All of them choose a threshold on nine folds and count right decisions on the tenth. They differ in
the score, in the thresholds they try and in what they call best, and so by more than most methods
differ from one another: name the variant beside the number.

Decisions are counted, never looped over: each pair is placed among the thresholds once, and
cumulated counts by fold give the accuracy at every threshold. The counts may be weighted, so a
resample with all its thresholds chosen anew costs no more than the estimate.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from fairjax.core.comparisons import Comparisons, Embeddings, Pairs, unit_length
from fairjax.metrics.classification import divide

Spread = Literal["std, ddof 0", "std / sqrt(folds), ddof 1"]


@dataclass(frozen=True)
class Variant:
    """How one public script turns scores into an accuracy.

    Attributes:
      rule: Score, thresholds tried and choice among them, for the reader.
      spread: What is printed behind the mean over folds, and its ddof.
      grid: The thresholds tried, in the script's order; None where they come from the scores.
      distance: Whether the grid is of squared distances, 2 - 2 cosine, accepted strictly below it.
      centred: Whether the mean embedding of the tested set is subtracted: needs embeddings.
      span: Number of equal steps from the smallest to the largest score of the nine folds, accepted
        strictly above the threshold that has the largest TMR - FMR.
      folded: Whether thresholds are chosen on the other folds, else on the tested pairs themselves.
    """

    rule: str
    spread: Spread = "std, ddof 0"
    grid: np.ndarray | None = None
    distance: bool = False
    centred: bool = False
    span: int = 0
    folded: bool = True


_COSINES = np.arange(-1000, 1000) / 1000
# Sources: TFace recognition/test/utils.py (rfw_calculate_val, rfw_evaluate), which repeats the
# RFW authors' script; insightface recognition/arcface_torch/eval/verification.py; FaceX-Zoo
# test_protocol/lfw/verification/lfw_evaluator.py.
VARIANTS: dict[str, Variant] = {
    "rfw_official": Variant(
        "cosine after subtracting the mean embedding of the tested pairs; best accuracy on the "
        "other folds, thresholds -1 to 0.999 in steps of 0.001",
        grid=_COSINES,
        centred=True,
    ),
    "uncentred": Variant(
        "cosine; best accuracy on the other folds, thresholds -1 to 0.999 in steps of 0.001",
        grid=_COSINES,
    ),
    "insightface": Variant(
        "squared distance; best accuracy on the other folds, thresholds 0 to 3.99 in steps of 0.01",
        grid=np.arange(400) / 100,
        distance=True,
    ),
    "facexzoo": Variant(
        "cosine; largest TMR - FMR on the other folds, 1,000 thresholds between their smallest and "
        "largest score; a score at the threshold is wrong either way",
        "std / sqrt(folds), ddof 1",
        span=1000,
    ),
    "tface_rfw": Variant(
        "squared distance; best accuracy on the other folds, thresholds -1 to 0.999 in steps of "
        "0.001, so that no cosine below 0.5 can be accepted",
        grid=_COSINES,
        distance=True,
    ),
    "exact": Variant(
        "cosine; best accuracy on the other folds, thresholds midway between their sorted scores"
    ),
    "single_threshold": Variant(
        "cosine; best accuracy on the tested pairs themselves, without folds, thresholds midway "
        "between the sorted scores: optimistic",
        folded=False,
    ),
}


@dataclass(frozen=True)
class Accuracy:
    """Accuracy by fold.

    Attributes:
      folds: Share of right decisions in each fold, a fraction.
      thresholds: The score from which on a pair is accepted, as tried: a squared distance for
        variants of distances.
      errors: Wrong decisions, over all folds.
    """

    folds: Float[np.ndarray, " folds"]
    thresholds: Float[np.ndarray, " folds"]
    errors: int

    @property
    def mean(self) -> float:
        return float(self.folds.mean())

    def spread(self, kind: Spread) -> float:
        """What the variant's script prints behind the mean; NaN with one fold and ddof 1."""
        if kind == "std, ddof 0":
            return float(self.folds.std())
        n = len(self.folds)
        return float(self.folds.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")


class Folds:
    """Scored pairs laid out so that any resample of them has its accuracy at once.

    Attributes:
      key: What a resample needs to know of each pair: its fold, kind and place among thresholds.

    Args:
      score: Cosines, or any score that grows with likeness for variants without a grid.
      mated: Whether each pair shows one person.
      fold: Fold of each pair; any integers, at least two different ones where the variant folds.
      variant: One of `VARIANTS`.

    Raises:
      ValueError: If a score is not finite, a kind of pair is missing, or there are no two folds.
    """

    def __init__(
        self,
        score: Float[np.ndarray, " pairs"],
        mated: Bool[np.ndarray, " pairs"],
        fold: Int[np.ndarray, " pairs"],
        *,
        variant: str,
    ) -> None:
        self.variant = v = VARIANTS[variant]
        if not np.isfinite(score).all():
            raise ValueError(f"score {np.argmin(np.isfinite(score))} is not finite.")
        if mated.all() or not mated.any():
            raise ValueError("accuracy needs mated and non-mated pairs; one kind is missing.")
        _, fold = np.unique(fold if v.folded else np.zeros_like(fold), return_inverse=True)
        self.folds = int(fold.max()) + 1
        if v.folded and self.folds < 2:
            raise ValueError("the pairs have one fold; thresholds are chosen on the others.")
        score = score.astype(np.float64)
        if v.grid is None:
            self.cuts, rank = np.unique(score, return_inverse=True)
            column = rank + 1  # column 0 rejects nothing
        else:
            value = 2 * score - 2 if v.distance else score  # minus the squared distance
            cuts = -v.grid[::-1] if v.distance else v.grid
            column = np.searchsorted(cuts, value, side="left" if v.distance else "right")
            # Walking as the script does, the accuracy first rises to a maximum at one of these.
            if v.distance:
                rises = np.unique([*(column[mated] - 1), len(cuts) - 1])
            else:
                rises = np.unique([0, *column[~mated]])
            rises = rises[(rises >= 0) & (rises < len(cuts))]
            self.cuts, column = cuts[rises], np.searchsorted(rises, column)
        # a pair is rejected in the columns from its place on
        width = len(self.cuts) + 1
        self.key = (fold * 2 + mated) * width + column
        self._shape = (self.folds, 2, width)

    @property
    def keys(self) -> int:
        """How many keys there are."""
        return math.prod(self._shape)

    def accuracy(self) -> Accuracy:
        """Of the pairs as they are."""
        right, count, thresholds = self._choose(np.bincount(self.key, minlength=self.keys))
        return Accuracy(right / count, thresholds, round(float(count.sum() - right.sum())))

    def resampled(
        self, counts: Iterable[Num[np.ndarray, "resamples keys"]]
    ) -> Float[np.ndarray, " all_resamples"]:
        """The mean accuracy in each resample, every threshold chosen anew.

        Args:
          counts: Blocks of resamples: how often each holds pairs of each key. A fold without pairs
            is left out of its resample's mean; a resample without pairs is NaN.
        """
        values = []
        for row in (row for block in counts for row in block):
            right, count, _ = self._choose(row)
            filled = count > 0
            values.append(np.mean(right[filled] / count[filled]) if filled.any() else np.nan)
        return np.array(values)

    def _choose(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Right decisions, pairs, and threshold: one of each a fold."""
        rejected = np.cumsum(counts.reshape(self._shape), axis=2)
        total = rejected[:, :, -1]
        others = rejected.sum(axis=0) - rejected if self.variant.folded else rejected
        if self.variant.span:
            below, column, threshold = self._spanned(others)
        elif self.variant.grid is None:
            column, threshold = self._midway(others)
            below = column
        else:
            gain = others[:, 0, :-1] - others[:, 1, :-1]
            if self.variant.distance:  # the script walks from the most alike on
                column = gain.shape[1] - 1 - np.argmax(gain[:, ::-1], axis=1)
                threshold = -self.cuts[column]
            else:
                column = np.argmax(gain, axis=1)
                threshold = self.cuts[column]
            below = column
        fold = np.arange(len(column))
        right = rejected[fold, 0, below] + total[:, 1] - rejected[fold, 1, column]
        return right, total.sum(axis=1), threshold

    def _midway(self, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The column to test by and the threshold of each fold, midway between the others' scores.

        The first best column holds a non-mated pair of the other folds (or is 0: reject none); the
        threshold lies midway between it and their next higher score.
        """
        column = np.argmax(others[:, 0] - others[:, 1], axis=1)
        cumulated = others.sum(axis=1)
        higher = np.array(
            [
                np.searchsorted(row, row[c], side="right")
                for row, c in zip(cumulated, column, strict=True)
            ]
        )
        values = np.concatenate([[-np.inf], self.cuts, [np.inf]])
        low, high = values[column], values[higher]
        with np.errstate(invalid="ignore"):  # a resample may leave nothing on the other folds
            middle = (low + high) / 2
        threshold = np.where((middle > low) & (middle < np.inf), middle, high)
        threshold = np.where(high == np.inf, np.nextafter(low, np.inf), threshold)
        return np.searchsorted(self.cuts, threshold, side="left"), threshold

    def _spanned(self, others: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each fold the columns below and up to its threshold, and the threshold.

        In between lie scores that equal it.
        """
        spans = []
        for nonmated, mated in others:
            both = nonmated + mated
            if not both[-1]:  # no pairs on the other folds
                spans.append((0, 0, np.nan))
                continue
            low = self.cuts[np.searchsorted(both, 0, side="right") - 1]
            high = self.cuts[np.searchsorted(both, both[-1]) - 1]
            steps = low + (high - low) / self.variant.span * np.arange(1, self.variant.span + 1)
            upto = np.searchsorted(self.cuts, steps, side="right")
            tmr = divide(mated[-1] - mated[upto], mated[-1])
            fmr = divide(nonmated[-1] - nonmated[upto], nonmated[-1])
            best = np.argmax(tmr - fmr)
            spans.append((np.searchsorted(self.cuts, steps[best]), upto[best], steps[best]))
        below, upto, threshold = zip(*spans, strict=True)
        return np.array(below), np.array(upto), np.array(threshold)


def centred_scores(
    embeddings: Embeddings, pairs: Pairs, part: Int[np.ndarray, " pairs"]
) -> Float[np.ndarray, " pairs"]:
    """Cosines after subtracting the mean embedding of the tested pairs, as `rfw_official` does.

    The mean is over both images of every pair, an image as often as pairs show it, of embeddings
    divided by their length. It uses the test set: an audit by scores alone cannot do it, and a
    system in use could not.

    Args:
      embeddings: Embeddings of the images.
      pairs: The pairs.
      part: Which tested set each pair belongs to; sets are centred apart. -1 gives NaN.

    Raises:
      ValueError: If an embedding, or what is left of it, is all zeros or not finite.
    """
    score = np.full(len(pairs), np.nan)
    for index in np.unique(part[part >= 0]):
        rows = np.flatnonzero(part == index)
        images, row = np.unique([pairs.first[rows], pairs.second[rows]], return_inverse=True)
        unit = unit_length(embeddings.embedding[images].astype(np.float64))
        centred = unit_length(unit - np.bincount(row.ravel()) @ unit / row.size)
        first, second = row.reshape(2, -1)
        score[rows] = np.einsum("pd,pd->p", centred[first], centred[second])
    return score


def same_group(comparisons: Comparisons) -> Int[np.ndarray, " pairs"]:
    """The group of both sides of each pair: its tested set; -1 across groups."""
    one, other = comparisons.group.T
    return np.where(one == other, one, -1)
