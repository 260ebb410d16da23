"""Phantom people to train a face model on: no download, and the truth is known."""

from dataclasses import dataclass

import numpy as np

from fairjax.core.settings import need
from fairjax.data import recognition
from fairjax.data.dataset import Dataset, DatasetSettings
from fairjax.data.faces import BenchmarkSettings
from fairjax.data.phantom.benchmark import FIRST, PhantomPairs
from fairjax.data.phantom.faces import PictureSettings, portraits, present


@dataclass(frozen=True, kw_only=True)
class PhantomIdentities(PictureSettings, DatasetSettings):
    """Settings of phantom people to train on.

    Attributes:
      identities: Number of people, those held out included.
      held_out: Number of them who are kept for validation.
      differential: The planted difference, as for the phantom dataset. The benchmark does not have
        it. "share" leaves people out before anybody is held out; "label_noise" is not offered.
      benchmark: Settings of one of BENCHMARKS.
    """

    images_per_identity: int = 8
    held_out: int = 160
    benchmark: BenchmarkSettings = PhantomPairs()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.differential.kind == "label_noise":
            raise ValueError("differential.kind='label_noise' is not offered here; choose another.")
        need(
            self.held_out < self.identities <= FIRST,
            "identities",
            self.identities,
            f"more than held_out={self.held_out} and at most {FIRST}",
        )
        need(self.held_out >= 2, "held_out", self.held_out, "2 or more")

    def load(self, *, seed: int) -> Dataset:
        """Phantom people to train on; their pictures are drawn when they are read.

        Raises:
          DataError: If the benchmark's data is missing or cannot be used.
        """
        faces = portraits(
            present(np.arange(self.identities), self.differential, seed=seed),
            self.images_per_identity,
            seed=seed,
            image_size=self.image_size,
            differential=self.differential,
        )
        settings = recognition.PeopleSettings(
            min_images=1, held_out=self.held_out, overlap="refuse", benchmark=self.benchmark
        )
        return recognition.assemble("phantom_identities", faces, settings, seed=seed)
