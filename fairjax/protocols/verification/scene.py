"""What every number of one verification audit shares: the pairs, who is on them, the resamples."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from fairjax.core.comparisons import Comparisons
from fairjax.metrics import subject_bootstrap
from fairjax.metrics.clustered import Dyads, dyads
from fairjax.metrics.subject_bootstrap import SubjectDraws

CACHED = 32  # resamples in a block at most: what is made of them stays in the processor's cache
BLOCK_CELLS = 1 << 22  # numbers held for a block of resamples: bounds the memory


@dataclass(frozen=True)
class Trials:
    """The pairs that a rate runs over.

    Attributes:
      rows: Which pairs.
      couples: The couples of people on them, numbered within these pairs.
      people: The people on them.
    """

    rows: np.ndarray
    couples: Dyads
    people: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Part:
    """Pairs that rates are computed over: everyone's, a group's own, or those of two groups.

    Attributes:
      group: What the measures say of it: {}, {"race": a} or {"race": a, "other_race": b}.
      cell: Number of the part among the cells of the resampled rates; None for everyone.
      nonmated: Non-mated pairs of the part.
      mated: Mated pairs of the part; none across groups.
    """

    group: Mapping[str, str]
    cell: int | None
    nonmated: Trials
    mated: Trials

    @property
    def rows(self) -> np.ndarray:
        """All of its pairs, the mated ones first."""
        return np.concatenate([self.mated.rows, self.nonmated.rows])

    @property
    def people(self) -> int:
        """How many people are on them."""
        return len(np.union1d(self.mated.people, self.nonmated.people))


@dataclass(frozen=True)
class Point:
    """An operating point of one system.

    Attributes:
      at: Name of the point: "FMR 1e-3", "threshold 0.31".
      threshold: A pair is accepted from this score on; None where the data don't resolve it.
      source: Where the threshold comes from.
      target: The FMR asked for; None for a given threshold.
      resampled: Whether each resample finds its own threshold.
      note: Why there is no threshold.
    """

    at: str
    threshold: float | None
    source: str
    target: float | None = None
    resampled: bool = False
    note: str = ""


@dataclass(frozen=True)
class Scene:
    """The pairs of an audit, whichever system scored them.

    Attributes:
      attribute: What the groups are of: "race".
      groups: Names of the groups.
      mated: Whether each pair shows one person.
      fold: Part of the benchmark that each pair belongs to.
      cell: The couple of groups of each pair, a * groups + b with a <= b; -1 for unknown.
      everyone: All pairs.
      own: The pairs within each group.
      across: The pairs of two groups, where there are any.
      draws: The resamples.
      level: Nominal coverage of intervals.
      seed: Seed of everything drawn.
    """

    attribute: str
    groups: tuple[str, ...]
    mated: np.ndarray
    fold: np.ndarray
    cell: np.ndarray
    everyone: Part
    own: Sequence[Part]
    across: Sequence[Part]
    draws: SubjectDraws
    level: float
    seed: int

    @property
    def cells(self) -> int:
        return len(self.groups) ** 2

    @property
    def resamples(self) -> int:
        return len(self.draws)

    def resampled_counts(
        self, rows: np.ndarray, key: np.ndarray, *, keys: int
    ) -> Iterator[np.ndarray]:
        """Blocks [resamples, keys]: how often each resample holds pairs of each key.

        Pairs of one couple of people are held equally often, so couples are weighed, not pairs.

        Args:
          rows: Which pairs.
          key: Key of each of these pairs, in 0 .. keys - 1.
          keys: How many keys there are.
        """
        people = self.draws.weights.shape[1]
        code, couple = np.unique(
            self.draws.person[rows] @ np.array([people, 1]), return_inverse=True
        )
        first, second = np.divmod(code, people)
        second[first == second] = people  # a row of ones: these pairs count a person once
        # Whole numbers, in the fewest bytes that hold the largest sum that a key can reach.
        weights = self.draws.weights
        largest = int(weights.max(initial=1)) ** 2 * int(np.bincount(key, minlength=1).max())
        dtype = np.promote_types(np.min_scalar_type(largest), np.uint16)
        # The matrix holds a number a pair, or fewer where pairs of a couple share a key.
        matrix = sparse.csr_array((np.ones(len(rows), dtype), (key, couple)), (keys, len(code)))
        block = min(max(BLOCK_CELLS // max(keys, len(code)), 1), CACHED)
        for start in range(0, self.resamples, block):
            held = np.ones((people + 1, min(block, self.resamples - start)), dtype)
            held[:-1] = weights[start : start + block].T
            times = held[first]
            times *= held[second]
            yield (matrix @ times).T.astype(np.float64, order="C")


def make_scene(
    comparisons: Comparisons, *, attribute: str, resamples: int, level: float, seed: int
) -> Scene:
    """Sorts the pairs into parts and draws the resamples.

    Raises:
      ValueError: If there is no pair or no resample, or if `mated` contradicts the people.
    """
    names, size = comparisons.groups, len(comparisons.groups)
    cell = subject_bootstrap.group_cell(comparisons.group, groups=size)
    nonmated = ~comparisons.mated

    def trials(chosen: np.ndarray) -> Trials:
        rows = np.flatnonzero(chosen)
        subject = comparisons.subject[rows]
        return Trials(rows, dyads(subject), np.unique(subject))

    nobody = trials(np.zeros(len(comparisons), bool))
    own, across = [], []
    for a in range(size):
        inside = cell == a * (size + 1)
        own.append(
            Part(
                {attribute: names[a]},
                a * (size + 1),
                trials(inside & nonmated),
                trials(inside & comparisons.mated),
            )
        )
        for b in range(a + 1, size):
            between = cell == a * size + b
            if between.any():
                group = {attribute: names[a], f"other_{attribute}": names[b]}
                across.append(Part(group, a * size + b, trials(between), nobody))
    return Scene(
        attribute=attribute,
        groups=names,
        mated=comparisons.mated,
        fold=comparisons.fold,
        cell=cell,
        everyone=Part({}, None, trials(nonmated), trials(comparisons.mated)),
        own=own,
        across=across,
        draws=subject_bootstrap.draw_subjects(comparisons, resamples=resamples, seed=seed),
        level=level,
        seed=seed,
    )
