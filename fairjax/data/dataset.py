"""What a reader hands to the pipeline: rows, their labels, and how to fetch their images."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fairjax.core.comparisons import Pairs
from fairjax.core.errors import UserError
from fairjax.core.settings import need


class DataError(UserError, ValueError):
    """The data on disk cannot be used; the message says what, where and what to do."""


@dataclass(frozen=True)
class Attribute:
    """One thing that is known of every image.

    Attributes:
      values: The class names in label order, or () for a number.
      low: The smallest value allowed (a class label is never below 0).
      high: The largest value allowed.
      unit: The unit of a number ("years"), or "".
      assigned_by: Who assigned it: part of every report's limits.
    """

    values: tuple[str, ...]
    low: int
    high: int
    unit: str
    assigned_by: str


@dataclass(frozen=True)
class Examples:
    """Rows in a fixed order.

    Attributes:
      ids: [n] strings, unique: the file's name inside its source.
      labels: For each attribute an int32 [n] array.
      cluster: int64 [n]; rows that are not independent (copies of one picture, pictures of one
        person) share a number. Splits and bootstrap resamples keep a cluster whole.
      read: `(int64 rows) -> images`: a list of encoded JPEG or PNG files (bytes), or one uint8
        array [rows, height, width, 3]. Rows count from 0 in this object's order.
    """

    ids: np.ndarray
    labels: Mapping[str, np.ndarray]
    cluster: np.ndarray
    read: Callable[[np.ndarray], Sequence[bytes] | np.ndarray]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> "Examples":
        """The given rows, in the given order."""
        return replace(
            self,
            ids=self.ids[rows],
            labels={name: label[rows] for name, label in self.labels.items()},
            cluster=self.cluster[rows],
            read=lambda some: self.read(rows[some]),
        )


@dataclass(frozen=True)
class Dataset:
    """A dataset that has been read, checked and split.

    Attributes:
      name: Key of the dataset in DATASETS.
      attributes: What is known of every image.
      splits: "train", "validation" and "test".
      manifest: JSON-ready account for `data.json`: source, counts by split and group, a hash of
        names, labels and bytes, what was skipped and why, which rows were held together.
      pairs: For each split that is there to be compared in pairs, which rows are compared.
    """

    name: str
    attributes: Mapping[str, Attribute]
    splits: Mapping[str, Examples]
    manifest: dict[str, Any]
    pairs: Mapping[str, Pairs] = field(default_factory=dict)


SPLITS = ("train", "validation", "test")


def require_sound(dataset: Dataset) -> None:
    """Refuses a dataset whose parts do not fit together, whoever has read it.

    Raises:
      DataError: If a split, a label or the account is missing, arrays differ in length or type, or
        an image or a cluster is in two splits, or an image twice in one.
    """
    name = dataset.name
    if lacking := [split for split in SPLITS if not len(dataset.splits.get(split, ()))]:
        raise DataError(f"{name}: no image in {' and '.join(lacking)}; every split needs some.")
    if "hash" not in dataset.manifest:
        raise DataError(f"{name}: the manifest has no 'hash' of names, labels and bytes.")
    for split, examples in dataset.splits.items():
        arrays = {"cluster": examples.cluster}
        for attribute in dataset.attributes:
            if attribute not in examples.labels:
                raise DataError(f"{name}, {split}: labels have no {attribute!r}.")
            arrays[attribute] = examples.labels[attribute]
        for what, array in arrays.items():
            if np.shape(array) != (len(examples),) or np.asarray(array).dtype.kind not in "iu":
                raise DataError(
                    f"{name}, {split}: {what} must be whole numbers, one for each of the "
                    f"{len(examples):,} images; it is {np.asarray(array).dtype} of shape "
                    f"{np.shape(array)}."
                )
    home: dict[str, str] = {}
    people: dict[str, np.ndarray] = {}
    for split, examples in dataset.splits.items():
        ids = examples.ids.tolist()
        if len(set(ids)) < len(ids):
            image, count = Counter(ids).most_common(1)[0]
            raise DataError(f"{name}: the image {image!r} is {count} times in {split}.")
        for image in ids:
            if (other := home.setdefault(image, split)) != split:
                raise DataError(f"{name}: the image {image!r} is in {other} and in {split}.")
        for other, clusters in people.items():
            if len(both := np.intersect1d(clusters, examples.cluster)):
                raise DataError(
                    f"{name}: {len(both):,} clusters (people, or copies of a picture) are in "
                    f"{other} and in {split}, such as number {both[0]}; keep each in one split."
                )
        people[split] = np.unique(examples.cluster)


@dataclass(frozen=True, kw_only=True)
class DatasetSettings:
    """Settings of a dataset; those of each kind add their own, with defaults.

    Settings are checked when they are made, before a file is touched: `__post_init__` raises a
    ValueError whose message begins with the field's name and value.

    Attributes:
      root: Folder or file of the data; "" looks into the folder named by FAIRJAX_DATA.
    """

    root: str = ""

    def __post_init__(self) -> None:
        """Checks the fields."""

    def load(self, *, seed: int) -> Dataset:
        """Reads, checks and splits the data.

        Args:
          seed: Seed of all that is drawn.

        Raises:
          DataError: If the data is missing or cannot be used.
        """
        raise NotImplementedError  # each kind of dataset has its own


@dataclass(frozen=True, kw_only=True)
class Source(DatasetSettings):
    """Settings of a dataset that is read from files, of which some may be bad.

    Attributes:
      on_error: "skip" or "raise" on a corrupt image and other files that cannot be used.
      max_bad: Share of files, in [0, 1], above which skipping becomes refusing.
    """

    on_error: str = "skip"
    max_bad: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        need(self.on_error in ("skip", "raise"), "on_error", self.on_error, "'skip' or 'raise'")
        need(0 <= self.max_bad <= 1, "max_bad", self.max_bad, "a share in [0, 1]")
