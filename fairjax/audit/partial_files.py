"""Files of partial audits: what one holds, and how it is written, read and checked."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fairjax.audit import run, streaming
from fairjax.audit.layout import Attribute, Layout, TableOptions
from fairjax.audit.tables import InputError
from fairjax.core.files import read_arrays
from fairjax.metrics.streaming import BINS, ScoreHistogram

NAME = "partial.npz"
FORMAT = 1  # of the file; another one is refused
LAYOUT_FIELDS = ("scores", "distances", "mated", "subject", "attributes", "unread")
_WHOLE = ("u", "i")  # kinds of numpy's whole numbers


class PartialFile:
    """A partial file, checked; its arrays are read when they are needed.

    Args:
      path: The file.

    Raises:
      InputError: If it is missing, damaged, or of another format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise InputError(
                f"{path} does not exist; make it with fairjax audit FILE --partial --out "
                f"{path.parent}."
            )
        try:
            arrays = read_arrays(path)
            about = _unpacked(arrays["about"])
            self.format = about["format"]
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(error) from error
        if self.format != FORMAT:
            raise InputError(
                f"{path} has format {self.format}; this FairJAX reads format {FORMAT}. Make it "
                "again with this version."
            )
        try:
            self.about: dict[str, Any] = about
            self.people: list[str] = _unpacked(arrays["people"])
            self.tables: list[dict[str, Any]] = [
                file for role, file in about["facts"]["files"].items() if role != "groups"
            ]
            self.options = TableOptions(**about["options"]["columns"])
            self.settings = run.Settings(**about["options"]["measures"])
            self.layout = _layout(about["layout"])
            self._check(arrays)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            raise self._damaged(error) from error

    def read(self, *names: str) -> list[np.ndarray]:
        """Some of the file's arrays."""
        arrays = read_arrays(self.path, only=names)
        return [arrays[name] for name in names]

    def survey(self, index: int, name: str) -> streaming.Survey:
        """The first pass of an attribute."""
        (home,) = self.read(f"home {index}")
        survey = streaming.Survey()
        survey.labels = {label: k for k, label in enumerate(self.about["labels"][name], 1)}
        survey.home = home.astype(np.int64)
        survey.range = (self.about["range"][0], self.about["range"][1])
        survey.pairs = np.array(self.about["pairs"], np.int64)
        survey.total = np.array(self.about["total"], np.float64)
        return survey

    def histogram(self, index: int, name: str) -> tuple[ScoreHistogram, list[str]]:
        """The histogram of an attribute and its groups here, in order."""
        groups = known_labels(self.about["labels"][name])
        histogram = ScoreHistogram(groups=len(groups))
        filled, counts = self.read(f"bins {index}", f"counts {index}")
        histogram.counts.ravel()[filled] = counts
        return histogram, groups

    def _damaged(self, error: Exception) -> InputError:
        why = " ".join(str(error).split()).removeprefix(f"{self.path}: ").rstrip(".")
        why = f"{why} is missing" if isinstance(error, KeyError) else why
        return InputError(f"{self.path} is no partial file or is damaged ({why}); make it again.")

    def _check(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Compares the file's arrays and numbers; ValueError where they contradict each other."""
        about, people = self.about, len(self.people)
        subject, couples = arrays["subject"], arrays["couples"]
        score, trials = arrays["score"], arrays["trials"]
        lists = [
            arrays[f"{what} {k}"] for what in ("home", "bins", "counts") for k in self._attributes
        ]
        whole = [subject, couples, trials, *lists]
        if any(array.dtype.kind not in _WHOLE for array in whole) or score.dtype.kind != "f":
            raise ValueError("an array holds numbers of another kind")
        if len(set(self.people)) < people or not all(isinstance(p, str) for p in self.people):
            raise ValueError("the names of people repeat")
        if subject.shape != (len(score), 2) or couples.shape != (len(trials), 2):
            raise ValueError("arrays have other lengths")
        if any(a.size and not 0 <= a.min() <= a.max() < people for a in (subject, couples)):
            raise ValueError("a pair names nobody")
        low, high, cut = *map(float, about["range"]), int(about["cut"])
        if not -np.inf < low <= high < np.inf or not 0 <= cut < BINS or len(about["total"]) != 2:
            raise ValueError("the range of scores is none")
        mated = int((subject[:, 0] == subject[:, 1]).sum())
        pairs = [len(score) - mated + int(trials.sum()), mated]
        if pairs != about["pairs"] or not np.isfinite(score).all():
            raise ValueError("the numbers of pairs differ")
        for k, attribute in zip(self._attributes, self.layout.attributes, strict=True):
            labels = about["labels"][attribute.name]
            home, filled, counts = (arrays[f"{what} {k}"] for what in ("home", "bins", "counts"))
            size = 2 * BINS * (len(set(labels) - {""}) + 1)
            if len(home) != people or home.min() < 1 or home.max() > len(labels):
                raise ValueError("somebody has no group")
            if filled.shape != counts.shape or not 0 <= filled.min() <= filled.max() < size:
                raise ValueError("a histogram has other bins")
            if counts.min() < 1 or int(counts.sum()) != sum(pairs):
                raise ValueError("a histogram has other pairs")

    @property
    def _attributes(self) -> range:
        return range(len(self.layout.attributes))


def _layout(kept: Mapping[str, Any]) -> Layout:
    """A layout as JSON holds it."""
    attributes = tuple(
        Attribute(
            attribute["name"],
            {name: (left, right) for name, (left, right) in attribute["columns"].items()},
            {name: tuple(map(float, edges)) for name, edges in attribute["bins"].items()},
        )
        for attribute in kept["attributes"]
    )
    left, right = kept["subject"]
    return Layout(
        scores=tuple(kept["scores"]),
        distances=tuple(kept["distances"]),
        mated=kept["mated"],
        subject=(left, right),
        image=None,
        fold=None,
        attributes=attributes,
        unread=tuple(kept["unread"]),
    )


def known_labels(labels: Iterable[str]) -> list[str]:
    """The labels of known groups, sorted: the groups of a partial histogram."""
    return sorted(label for label in labels if label)


def narrowed(score: np.ndarray) -> np.ndarray:
    """Scores as float32 where that loses nothing."""
    with np.errstate(over="ignore"):
        single = score.astype(np.float32)
    return single if (single == score).all() else score


def packed(tree: Any) -> np.ndarray:
    """JSON as an array of bytes."""
    return np.frombuffer(json.dumps(tree).encode(), np.uint8)


def _unpacked(array: np.ndarray) -> Any:
    return json.loads(array.tobytes().decode())
