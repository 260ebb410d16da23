"""Pairs of phantom faces: a benchmark whose truth is known and that needs no file."""

from dataclasses import dataclass

import numpy as np

from fairjax.core.settings import need
from fairjax.data.faces import Benchmark, BenchmarkSettings
from fairjax.data.formats.pairs import draw_pairs
from fairjax.data.phantom.faces import PictureSettings, portraits
from fairjax.data.phantom.person import GROUPS

FIRST = 1 << 20  # number of the first person: training people are those before


@dataclass(frozen=True, kw_only=True)
class PhantomPairs(PictureSettings, BenchmarkSettings):
    """Settings of generated people who are never trained on, and pairs of their pictures.

    Attributes:
      identities: Number of people, a quarter of them in each group.
      folds: Parts of the benchmark; no person is in two.
      pairs_per_fold: Mated pairs of each group in each part, and as many non-mated ones.
      differential: The planted difference, as for the phantom dataset; "likeness" makes people of
        one group harder to tell apart.
    """

    identities: int = 400
    images_per_identity: int = 5
    folds: int = 10
    pairs_per_fold: int = 60

    def __post_init__(self) -> None:
        super().__post_init__()
        need(self.folds >= 2, "folds", self.folds, "2 or more")
        need(self.pairs_per_fold >= 1, "pairs_per_fold", self.pairs_per_fold, "1 or more")
        images = self.images_per_identity
        people = self.identities // len(GROUPS) // self.folds  # of a group in a part, at least
        mated = people * images * (images - 1) // 2
        nonmated = people * (people - 1) // 2 * images**2
        if min(mated, nonmated) < self.pairs_per_fold:
            raise ValueError(
                f"pairs_per_fold={self.pairs_per_fold} is more than the {people} people of a group "
                f"in a part can give ({mated} mated, {nonmated} non-mated); raise identities or "
                "images_per_identity."
            )

    def load(self, *, seed: int) -> Benchmark:
        """The people and their pairs, within a group."""
        faces = portraits(
            np.arange(FIRST, FIRST + self.identities),
            self.images_per_identity,
            seed=seed,
            image_size=self.image_size,
            differential=self.differential,
        )
        pairs = draw_pairs(
            faces.person,
            faces.group[faces.person],
            folds=self.folds,
            per_fold=self.pairs_per_fold,
            seed=seed,
        )
        return Benchmark("phantom", faces, pairs)
