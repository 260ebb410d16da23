"""Verification rates of more comparisons than fit in memory, in three passes over chunks of them.

    histogram = ScoreHistogram(groups=8)               # 1: where scores lie; curves
    search = ThresholdSearch(histogram, targets=[1e-4])  # 2: thresholds, exactly
    counts = Counts([search.threshold(1e-4)], groups=8)  # 3: errors by cell, with their variances

Each takes chunks by `add`, in any order, and `merge`s with its like from another process. What
comes out equals what the functions on whole arrays give. Fixed thresholds need the third pass only.

Memory: 1 MiB a group for the histogram; for the search the scores in the two bins about each
threshold, a bin being 1/128 of its scores' power of two; for the counts 16 bytes and 8 a threshold
for each distinct couple of people.

Where a process cannot know the thresholds, since others hold the rest of the comparisons, a `Tail`
keeps what the second and the third pass need of its comparisons.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int, Integer, UInt32

from fairjax.core.comparisons import Comparisons
from fairjax.metrics.classification import divide
from fairjax.metrics.clustered import ClusteredRate, DyadSums
from fairjax.metrics.subject_bootstrap import group_cell
from fairjax.metrics.verification import (
    Curve,
    InsufficientDataError,
    ThresholdRule,
    allowed,
    check_scores,
    threshold_in_tail,
)

BINS = 1 << 16
_SIGN = np.uint32(1 << 31)
_LOW, _MOST_PEOPLE = (1 << 32) - 1, (1 << 31) - 1


class ScoreHistogram:
    """How many scores lie in each of 65,536 bins, by kind of pair and group.

    A bin holds the float32 numbers with the same upper 16 bits (sign, exponent, 7 bits of the
    fraction). A score of more precision is rounded down to a float32, so that the order holds.

    Attributes:
      counts: [2, groups + 1, bins]: non-mated pairs, then mated ones, of each group, then of the
        rest: non-mated pairs across groups, and people whose group is not known.
    """

    def __init__(self, *, groups: int) -> None:
        self.counts = np.zeros((2, groups + 1, BINS), np.int64)

    def add(self, chunk: Comparisons) -> None:
        """Counts some comparisons.

        Raises:
          ValueError: If a score is NaN.
        """
        check_scores(chunk.score)
        rest = self.counts.shape[1] - 1
        one, other = chunk.group.T
        cell = np.where((one == other) & (one >= 0), one, rest) + (rest + 1) * chunk.mated
        index = cell * BINS + score_bin(chunk.score)
        self.counts += np.bincount(index, minlength=self.counts.size).reshape(self.counts.shape)

    def merge(self, other: "ScoreHistogram", *, groups: Sequence[int] | None = None) -> None:
        """Adds what another one counted.

        Args:
          other: Histogram of other comparisons.
          groups: The number that each group of `other` has here; None where the groups are equal.
        """
        rows = slice(None) if groups is None else [*groups, -1]
        self.counts[:, rows] += other.counts

    def curve(self, group: int | None = None) -> Curve:
        """Both error rates at the lower edges of the bins that hold scores: exact, but not all.

        Args:
          group: Group whose pairs are counted, the mated and those within it; None for all pairs.

        Raises:
          InsufficientDataError: If there is no mated or no non-mated pair.
        """
        counts = self.counts.sum(axis=1) if group is None else self.counts[:, group]
        nonmated, mated = counts.sum(axis=1)
        if not mated or not nonmated:
            raise InsufficientDataError(
                f"insufficient data: {mated} mated and {nonmated} non-mated pairs; "
                "at least one of each is needed."
            )
        filled = np.flatnonzero(counts.any(axis=0))
        edges = np.append(filled, filled[-1] + 1)
        below = np.concatenate([[[0], [0]], np.cumsum(counts[:, filled], axis=1)], axis=1)
        return Curve(
            threshold=bin_edge(edges).astype(np.float64),
            fmr=divide(nonmated - below[0], nonmated),
            fnmr=divide(below[1], mated),
        )


class ThresholdSearch:
    """Finds the thresholds of `verification.threshold_at_fmr`, over all non-mated pairs.

    Args:
      histogram: Scores of all comparisons, after the first pass.
      targets: Target false match rates, fractions in (0, 1). One that is not resolvable says so
        when its threshold is asked for.
    """

    def __init__(self, histogram: ScoreHistogram, *, targets: Iterable[float]) -> None:
        counts = histogram.counts[0].sum(axis=0)
        filled = np.flatnonzero(counts)[::-1]
        reached = np.cumsum(counts[filled])
        self._pairs = int(counts.sum())
        self._bins: dict[float, tuple[int, int, int]] = {}  # lowest, highest, pairs above it
        for fmr in targets:
            try:
                rank = min(allowed(fmr, self._pairs), self._pairs - 1)
            except InsufficientDataError:
                continue
            # the bin of that rank, and the one above it, which holds the next larger score
            lowest = int(np.searchsorted(reached, rank, side="right"))
            highest = max(lowest - 1, 0)
            above = int(reached[highest] - counts[filled[highest]])
            self._bins[fmr] = int(filled[lowest]), int(filled[highest]), above
        self._wanted = np.zeros(BINS, bool)
        for lowest, highest, _ in self._bins.values():
            self._wanted[[lowest, highest]] = True
        self._parts: list[np.ndarray] = []

    @property
    def lowest_bin(self) -> int:
        """The lowest bin that a threshold may lie in; `BINS` where no target is resolvable."""
        return int(np.argmax(self._wanted)) if self._wanted.any() else BINS

    def add(self, chunk: Comparisons) -> None:
        """Keeps the scores that a threshold may lie at."""
        nonmated = chunk.score[~chunk.mated]
        self._parts.append(nonmated[self._wanted[score_bin(nonmated)]])

    def merge(self, other: "ThresholdSearch") -> None:
        """Takes over what another one kept, made from the same histogram and targets."""
        self._parts += other._parts

    def threshold(self, fmr: float, *, rule: ThresholdRule = "at_most") -> float:
        """The threshold at one of the targets, after the second pass.

        Raises:
          InsufficientDataError: If `fmr` asks for less than one pair.
          KeyError: If `fmr` is none of the targets.
        """
        allowed(fmr, self._pairs)
        lowest, highest, above = self._bins[fmr]
        kept = np.concatenate(self._parts)
        bin_of = score_bin(kept)
        largest = np.sort(kept[(bin_of == lowest) | (bin_of == highest)])[::-1]
        return threshold_in_tail(largest, pairs=self._pairs, fmr=fmr, rule=rule, skipped=above)


class Counts:
    """Errors and trials by cell of groups and by couple of people, at some thresholds.

    Args:
      thresholds: Accept iff score >= threshold.
      groups: How many groups there are.
    """

    def __init__(self, thresholds: Sequence[float], *, groups: int) -> None:
        self._thresholds = np.asarray(thresholds, np.float64)
        self._groups = groups
        self._sums: dict[tuple[bool, int], _CoupleSums] = {}
        self._pooled: dict[bool, _CoupleSums] = {}

    def add(self, chunk: Comparisons) -> None:
        """Counts some comparisons.

        Raises:
          ValueError: If a score is NaN.
        """
        check_scores(chunk.score)
        self._pooled = {}
        wrong = (chunk.score[:, None] >= self._thresholds) != chunk.mated[:, None]
        cells = self._groups**2 + 1
        cell = group_cell(chunk.group, groups=self._groups)
        place = np.where(cell < 0, cells - 1, cell) + cells * chunk.mated
        for k, rows in _rows_by_value(place):
            mated, inside = divmod(k, cells)
            self._of(bool(mated), inside).add(chunk.subject[rows], wrong[rows])

    def add_rejected(
        self,
        subject: Int[np.ndarray, "couples 2"],
        group: Int[np.ndarray, "couples 2"],
        trials: Int[np.ndarray, " couples"],
    ) -> None:
        """Counts non-mated comparisons whose scores lie below every threshold.

        Args:
          subject: The two people of each couple.
          group: Groups of both people, or UNKNOWN.
          trials: Comparisons of the couple.
        """
        self._pooled = {}
        cells = self._groups**2 + 1
        cell = group_cell(group, groups=self._groups)
        sums = np.zeros((len(trials), 1 + len(self._thresholds)), np.int64)
        sums[:, 0] = trials
        for k, rows in _rows_by_value(np.where(cell < 0, cells - 1, cell)):
            self._of(False, k).add_sums(subject[rows], sums[rows])

    def merge(self, other: "Counts") -> None:
        """Adds what another one counted at the same thresholds."""
        self._pooled = {}
        for key, sums in other._sums.items():
            self._of(*key).merge(sums)

    def fnmr(self, point: int, group: int | None = None) -> ClusteredRate:
        """False non-match rate at a threshold, of one group's mated pairs or of all.

        Args:
          point: Which threshold, from 0.
          group: Which group; None for everyone.
        """
        return self._rate(True, point, None if group is None else (group, group))

    def fmr(self, point: int, cell: tuple[int, int] | None = None) -> ClusteredRate:
        """False match rate at a threshold, of the non-mated pairs of two groups or of all.

        Args:
          point: Which threshold, from 0.
          cell: The two groups, in whichever order; equal for pairs within one. None for all pairs.
        """
        return self._rate(False, point, cell)

    def _of(self, mated: bool, cell: int) -> "_CoupleSums":
        return self._sums.setdefault((mated, cell), _CoupleSums(len(self._thresholds)))

    def _rate(self, mated: bool, point: int, cell: tuple[int, int] | None) -> ClusteredRate:
        if cell is None:
            sums = self._everyone(mated)
        else:
            sums = self._of(mated, min(cell) * self._groups + max(cell))
        return sums.rate(point)

    def _everyone(self, mated: bool) -> "_CoupleSums":
        """All cells of one kind, added up once however many thresholds are asked for."""
        if mated not in self._pooled:
            own = [part for (kind, _), part in self._sums.items() if kind == mated]
            pooled = _CoupleSums(len(self._thresholds))
            for part in own:
                part.total()
                pooled.parts.append((part.key, part.sums))
            self._pooled[mated] = pooled
        return self._pooled[mated]


class Tail:
    """Comparisons one by one where thresholds may lie, and the others counted by couple of people.

    Every mated comparison is kept, and every non-mated one whose score lies in bin `cut` or above.

    Args:
      cut: Lowest bin of non-mated scores that are kept; see `tail_cut`.
    """

    def __init__(self, cut: int) -> None:
        self.cut = cut
        self._rows: list[tuple[np.ndarray, np.ndarray]] = []
        self._rest = _CoupleSums(0)

    def add(self, chunk: Comparisons) -> None:
        """Keeps or counts some comparisons."""
        keep = chunk.mated | (score_bin(chunk.score) >= self.cut)
        self._rows.append((chunk.subject[keep], chunk.score[keep]))
        if not keep.all():
            rest = chunk.subject[~keep]
            self._rest.add(rest, np.zeros((len(rest), 0), bool))

    @property
    def kept(self) -> tuple[Int[np.ndarray, "rows 2"], Float[np.ndarray, " rows"]]:
        """The two people and the score of each comparison that is kept."""
        subject, score = zip(*self._rows, strict=True)
        return np.concatenate(subject), np.concatenate(score)

    @property
    def rest(self) -> tuple[Int[np.ndarray, "couples 2"], Int[np.ndarray, " couples"]]:
        """The couples of people of the others, and how many comparisons each has."""
        trials = self._rest.total()[:, 0]
        return np.stack([self._rest.key >> 32, self._rest.key & _LOW], axis=1), trials


def tail_cut(
    nonmated: Int[np.ndarray, " bins"], *, keep: int, thresholds: Sequence[float] = ()
) -> int:
    """The lowest bin of a `Tail` that keeps so many of the largest non-mated scores, or more.

    Args:
      nonmated: How many non-mated scores lie in each bin.
      keep: How many scores are wanted; bins are kept whole.
      thresholds: Thresholds that are known; scores from the lowest one on are kept, too.

    Returns:
      A bin; 0 keeps all.
    """
    above = np.cumsum(nonmated[::-1])[::-1]
    enough = np.flatnonzero(above >= keep)
    cut = int(enough[-1]) if len(enough) else 0
    below = np.flatnonzero(nonmated)
    if not len(below) or cut <= below[0]:
        return 0
    return min([cut, *score_bin(np.asarray(thresholds, np.float64)).tolist()])


class _CoupleSums:
    """Trials and errors of each couple of people, added up in bulk under one key a couple."""

    def __init__(self, thresholds: int) -> None:
        self.key = np.zeros(0, np.int64)
        self.sums = np.zeros((0, 1 + thresholds), np.int64)
        self.parts: list[tuple[np.ndarray, np.ndarray]] = []
        self.waiting = 0
        self._ready: DyadSums | None = None

    def add(self, subject: np.ndarray, wrong: np.ndarray) -> None:
        self.add_sums(subject, np.column_stack([np.ones(len(wrong), np.int64), wrong]))

    def add_sums(self, subject: np.ndarray, sums: np.ndarray) -> None:
        self._take(*_added_up(_couple_keys(subject), sums))

    def merge(self, other: "_CoupleSums") -> None:
        other.total()
        self._take(other.key, other.sums)

    def total(self) -> np.ndarray:
        """Trials and errors [couples, 1 + thresholds], one row a key."""
        if self.parts:
            keys, sums = zip((self.key, self.sums), *self.parts, strict=True)
            self.key, self.sums = _added_up(np.concatenate(keys), np.concatenate(sums))
            self.parts, self.waiting, self._ready = [], 0, None
        return self.sums

    def rate(self, point: int) -> ClusteredRate:
        """The rate of errors at one threshold."""
        sums = self.total()
        if self._ready is None:
            people = np.stack([self.key >> 32, self.key & _LOW], axis=1)
            self._ready = DyadSums(sums[:, 0], people)
        return self._ready.rate(sums[:, 1 + point])

    def _take(self, key: np.ndarray, sums: np.ndarray) -> None:
        self.parts.append((key, sums))
        self.waiting += len(key)
        if self.waiting > len(self.key):  # so that the cost stays that of a few sorts
            self.total()


def _couple_keys(subject: np.ndarray) -> np.ndarray:
    """One number a couple of people, whichever side they are on.

    Raises:
      ValueError: If a person's number does not fit 31 bits.
    """
    low, high = np.minimum(*subject.T), np.maximum(*subject.T)
    if len(low) and (low.min() < 0 or high.max() > _MOST_PEOPLE):
        raise ValueError(f"people are numbered from 0 to {_MOST_PEOPLE:,}.")
    return (low.astype(np.int64) << 32) | high.astype(np.int64)


def _rows_by_value(values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each distinct number and the rows that hold it, in their order."""
    order = np.argsort(values, kind="stable")
    distinct, start = np.unique(values[order], return_index=True)
    if len(distinct):
        yield from zip(distinct.tolist(), np.split(order, start[1:]), strict=True)


def _added_up(key: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct keys in ascending order and the sums of their rows."""
    order = np.argsort(key)
    key, sums = key[order], sums[order]
    first = np.ones(len(key), bool)
    first[1:] = key[1:] != key[:-1]
    return key[first], np.add.reduceat(sums, np.flatnonzero(first), axis=0)


def score_bin(score: Float[np.ndarray, " scores"]) -> Int[np.ndarray, " scores"]:
    """The bin of each score, from 0 to `BINS` - 1: larger scores never lie in a lower bin.

    It is the upper half of the bits of a float32, numbered so that they keep the scores' order.
    """
    with np.errstate(over="ignore"):
        single = score.astype(np.float32)
    single = np.where(single > score, np.nextafter(single, np.float32(-np.inf)), single)
    return (ordered_bits(single) >> np.uint32(16)).astype(np.int64)


def ordered_bits(score: Float[np.ndarray, " scores"]) -> UInt32[np.ndarray, " scores"]:
    """The bits of float32 scores as unsigned numbers that keep the scores' order."""
    bits = (score + np.float32(0)).view(np.uint32)  # + 0: -0.0 is 0.0
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def from_ordered_bits(bits: Integer[np.ndarray, " scores"]) -> Float[np.ndarray, " scores"]:
    """The float32 scores of `ordered_bits`."""
    key = bits.astype(np.uint32)
    return np.where(key & _SIGN, key ^ _SIGN, ~key).astype(np.uint32).view(np.float32)


def bin_edge(place: Int[np.ndarray, " bins"]) -> Float[np.ndarray, " bins"]:
    """The smallest float32 of each bin."""
    return from_ordered_bits(place << 16)
