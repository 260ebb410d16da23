"""The split of identity data into train, validation and test: by person, never by image.

The train split holds the training people under a contiguous `identity`. The validation split holds
`config.data.held_out` people of the same source, with pairs drawn among them. The test split is
the benchmark: its images and its pairs. `cluster` is the person's number: no two splits share one.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from fairjax.core.comparisons import UNKNOWN
from fairjax.core.settings import need
from fairjax.data import faces as faces_lib
from fairjax.data.dataset import (
    Attribute,
    DataError,
    Dataset,
    DatasetSettings,
    Examples,
    Source,
)
from fairjax.data.faces import Benchmark, BenchmarkSettings, Faces
from fairjax.data.formats import pairs as pairs_lib
from fairjax.data.formats.files import printable
from fairjax.data.overlap import shared_people
from fairjax.data.phantom.benchmark import PhantomPairs
from fairjax.data.stream.split import draw

OVERLAP = ("refuse", "drop", "allow")
FOLDS = 10  # parts of the validation pairs, at most
PER_FOLD = 60  # of them of a kind, a group and a part, at most
PEOPLE_PER_FOLD = 8  # at least, where there is more than one part


@dataclass(frozen=True, kw_only=True)
class PeopleSettings(DatasetSettings):
    """Who of a training source is trained on, and which benchmark the model is tested on.

    Attributes:
      min_images: People with fewer images are left out.
      max_images: Most images kept of a person, chosen by a hash; 0 keeps all.
      held_out: Number of people with two images or more who are kept for validation.
      overlap: "refuse", "drop" or "allow" people who are also in the benchmark.
      benchmark: Settings of one of BENCHMARKS.
    """

    min_images: int = 2
    max_images: int = 0
    held_out: int = 200
    overlap: str = "refuse"
    benchmark: BenchmarkSettings = PhantomPairs()

    def __post_init__(self) -> None:
        super().__post_init__()
        need(self.min_images >= 1, "min_images", self.min_images, "1 or more")
        need(self.held_out >= 2, "held_out", self.held_out, "2 or more")
        need(
            not self.max_images or self.max_images >= max(2, self.min_images),
            "max_images",
            self.max_images,
            "0 (all) or at least 2 and min_images",
        )
        need(self.overlap in OVERLAP, "overlap", self.overlap, f"one of {', '.join(OVERLAP)}")


def refuse_bad(name: str, faces: Faces, source: Source, *, help_text: str) -> None:
    """Stops a run whose source is not worth training on.

    Args:
      name: Name of the dataset.
      faces: What was read.
      source: How many bad files are accepted.
      help_text: Where to get the data, for a source without a usable image.

    Raises:
      DataError: One line with the count, the first file and its reason, and what to do.
    """
    bad, total = faces.skipped, len(faces) + len(faces.skipped)
    first = f"the first, {printable(bad[0][0])}: {bad[0][2]}" if bad else ""
    if not len(faces):
        raise DataError(f"{faces.source}: none of {total} files is usable; {first}. {help_text}")
    if bad and source.on_error == "raise":
        raise DataError(
            f"{faces.source}: {len(bad)} of {total} files are bad; {first}. Mend or remove them, "
            "or set config.data.on_error=skip."
        )
    if len(bad) > source.max_bad * total:
        raise DataError(
            f"{faces.source}: {len(bad)} of {total} files are bad, more than "
            f"max_bad={source.max_bad:g} allows; {first}. "
            f"`fairjax data check {name} {faces.source}` lists them all."
        )


def assemble(name: str, source: Faces, settings: PeopleSettings, *, seed: int) -> Dataset:
    """The dataset of a training source and a benchmark; the module says what it looks like.

    Args:
      name: Key of the dataset in DATASETS.
      source: All people to train on or hold out.
      settings: Who is trained on and who is held out, and the benchmark.
      seed: Seed of what is drawn.

    Raises:
      DataError: If people are in training and test and overlap="refuse", or too few are left.
    """
    test = used(settings.benchmark.load(seed=seed))
    shared, overlap = shared_people(source, test.faces), settings.overlap
    if overlap == "refuse" and shared:
        person, reason = next(iter(shared.items()))
        raise DataError(
            f"{len(shared)} of {len(source.people)} people of {source.source} are also in the "
            f"benchmark {test.faces.source}; the first, {printable(str(source.people[person]))}: "
            f"{reason}. --config.data.overlap=drop leaves them out of training, allow keeps them."
        )
    dropped = np.isin(np.arange(len(source.people)), list(shared) if overlap == "drop" else [])
    few = np.bincount(source.person, minlength=len(source.people)) < settings.min_images
    kept = source.take(np.flatnonzero(~(dropped | few)[source.person]))
    kept = kept.take(_capped(kept, settings.max_images, seed))
    validated = _validation_people(kept, settings.held_out, seed)
    train = kept.take(np.flatnonzero(~validated[kept.person]))
    validation = _drawn(kept.take(np.flatnonzero(validated[kept.person])), seed)
    return _dataset(
        name,
        train,
        validation,
        test,
        {
            "rule": "held-out people and kept images have the smallest blake2b(seed, name)",
            "seed": seed,
            "min_images": settings.min_images,
            "max_images": settings.max_images,
            "held_out_people": settings.held_out,
            "overlap": {
                "policy": overlap,
                "compared": "names of people, and bytes of images",
                "people": len(shared),
                "found_by": dict(Counter(shared.values())),
            },
            "people_with_too_few_images": int((few & ~dropped).sum()),
            "source": faces_lib.account(source),
        },
    )


def _dataset(
    name: str, train: Faces, validation: Benchmark, test: Benchmark, account: dict[str, Any]
) -> Dataset:
    splits = {"train": train, "validation": validation.faces, "test": test.faces}
    attributes = _attributes(splits)
    ends = np.cumsum([len(faces.people) for faces in splits.values()])
    return Dataset(
        name=name,
        attributes=attributes,
        splits={
            split: _examples(
                faces, attributes, first=end - len(faces.people), trained=faces is train
            )
            for (split, faces), end in zip(splits.items(), ends.tolist(), strict=True)
        },
        manifest={
            **account,
            "hash": _hash(
                [faces["hash"] for faces in (account["source"], faces_lib.account(test.faces))]
            ),
            "split": {split: faces_lib.counts(faces) for split, faces in splits.items()},
            "pairs": {
                "validation": pairs_lib.account(validation.pairs, validation.faces),
                "test": {
                    "benchmark": test.name,
                    **pairs_lib.account(test.pairs, test.faces),
                    "left_out": [problem._asdict() for problem in test.problems],
                },
            },
        },
        pairs={"validation": validation.pairs, "test": test.pairs},
    )


def _attributes(splits: Mapping[str, Faces]) -> dict[str, Attribute]:
    """The identity, and every kind of group; the benchmark's groups come first, in its order."""
    train = splits["train"]
    attributes = {
        "identity": Attribute(
            values=tuple(train.people.tolist()),
            low=UNKNOWN,  # of people who are not trained on
            high=len(train.people) - 1,
            unit="",
            assigned_by="The folders or records of the training source.",
        )
    }
    for attribute in dict.fromkeys(faces.attribute for faces in splits.values()):
        holders = [faces for faces in (splits["test"], train) if faces.attribute == attribute]
        values = tuple(dict.fromkeys(group for faces in holders for group in faces.groups))
        sources = dict.fromkeys(faces.assigned_by for faces in holders if faces.groups)
        if values:
            attributes[attribute] = Attribute(
                values, low=UNKNOWN, high=len(values) - 1, unit="", assigned_by=" ".join(sources)
            )
    return attributes


def _examples(
    faces: Faces, attributes: Mapping[str, Attribute], *, first: int, trained: bool
) -> Examples:
    """The images with every label; UNKNOWN stands where a split has none."""
    labels = {name: np.full(len(faces), UNKNOWN, np.int32) for name in attributes}
    if trained:
        labels["identity"] = faces.person.astype(np.int32)
    if faces.groups:
        values = attributes[faces.attribute].values
        number = np.array([*(values.index(group) for group in faces.groups), UNKNOWN], np.int32)
        labels[faces.attribute] = number[faces.group[faces.person]]
    return Examples(faces.ids, labels, first + faces.person.astype(np.int64), faces.read)


def used(benchmark: Benchmark) -> Benchmark:
    """The benchmark without the images that are in no pair."""
    pairs = benchmark.pairs
    rows, index = np.unique([pairs.first, pairs.second], return_inverse=True)
    first, second = index.reshape(2, -1)
    return replace(
        benchmark,
        faces=benchmark.faces.take(rows),
        pairs=replace(pairs, first=first, second=second),
    )


def _drawn(faces: Faces, seed: int) -> Benchmark:
    """Pairs among the held-out people."""
    folds = min(FOLDS, max(1, len(faces.people) // PEOPLE_PER_FOLD))
    pairs = pairs_lib.draw_pairs(
        faces.person, faces.group[faces.person], folds=folds, per_fold=PER_FOLD, seed=seed
    )
    if not len(pairs):
        raise DataError(
            f"{faces.source}: no pair can be drawn among the {len(faces.people)} held-out people, "
            "for no two are of one group; raise config.data.held_out."
        )
    return used(Benchmark("validation", faces, pairs))


def _capped(faces: Faces, most: int, seed: int) -> Int[np.ndarray, " kept"]:
    """Rows of at most so many images a person, in their order."""
    if not most:
        return np.arange(len(faces))
    chance = np.array([draw(seed, name) for name in faces.ids.tolist()])
    order = np.lexsort([chance, faces.person])
    rank = np.arange(len(order)) - np.searchsorted(faces.person[order], faces.person[order])
    return np.sort(order[rank < most])


def _validation_people(faces: Faces, count: int, seed: int) -> Bool[np.ndarray, " people"]:
    """The held-out people of the validation split, among those with two images or more."""
    able = np.flatnonzero(np.bincount(faces.person, minlength=len(faces.people)) > 1)
    if len(able) < count or len(faces.people) - count < 2:
        raise DataError(
            f"{faces.source}: config.data.held_out={count} of {len(faces.people)} people, "
            f"{len(able)} of them with two images or more, leaves too few; lower it, or min_images."
        )
    chance = np.array([draw(seed, f"held out {faces.people[person]}") for person in able])
    validated = np.zeros(len(faces.people), bool)
    validated[able[np.argsort(chance, kind="stable")[:count]]] = True
    return validated


def _hash(hashes: Sequence[str]) -> str:
    return hashlib.blake2b("".join(hashes).encode(), digest_size=16).hexdigest()
