"""Audits of tables that lie in many files, on many machines: partial files and their merge.

Each process reads its tables in two passes and writes one partial file. The merge gives
what one process that streams all tables would give, number for number. For that a partial file
holds

- the people's names and the label of everybody's group,
- how many scores lie in each bin of a `ScoreHistogram`, by kind of pair and group,
- every mated pair, and every non-mated one with a score in the upper tail: its two people and its
  score, for thresholds and errors,
- of the other non-mated pairs how many each couple of people has.

The file is an .npz of numbers and JSON: nothing that is read from it can run code.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from fairjax.audit import run, streaming
from fairjax.audit.grouping import numbered
from fairjax.audit.layout import Asked, Attribute, Layout, People
from fairjax.audit.pairs import PairTable
from fairjax.audit.tables import InputError, Source
from fairjax.core.comparisons import UNKNOWN
from fairjax.core.files import read_arrays, whole_file
from fairjax.core.results import Results
from fairjax.metrics.streaming import (
    BINS,
    Counts,
    ScoreHistogram,
    Tail,
    ThresholdSearch,
    bin_edge,
    score_bin,
    tail_cut,
)

NAME = "partial.npz"
FORMAT = 1  # of the file; another one is refused
KEEP_TIMES = 64  # largest target rates of the non-mated scores that are kept
KEEP_LEAST = 1 << 16  # non-mated scores that are kept at least
_ROWS = 1 << 20  # rows merged at a time
_FLAGS = {"scores": "--score", "distances": "--distance", "fmrs": "--fmr"}
_FLAGS |= {"thresholds": "--threshold", "hash of groups": "--groups"}
_SETTINGS = ("fmrs", "thresholds", "protocol", "level")


@dataclass(frozen=True)
class Written:
    """One partial file.

    Attributes:
      path: The file.
      pairs: Pairs of its tables.
      kept: Pairs that it holds one by one.
      couples: Couples of people of the others.
      size: Bytes of the file.
    """

    path: Path
    pairs: int
    kept: int
    couples: int
    size: int


def write(
    folder: Path,
    paths: Sequence[Source],
    asked: Asked,
    settings: run.Settings,
    *,
    people: People | None,
    facts: Mapping[str, Any],
    keep: float | None = None,
) -> Written:
    """Reads tables in two passes and writes `NAME` into a folder, whole or not at all.

    Args:
      folder: Folder of the partial file; it is made where there is none.
      paths: The tables.
      asked: Which columns to read; the subjects must be known.
      settings: What the merge will measure.
      people: Groups (and people) by subject or image.
      facts: Provenance of the tables, from `run.provenance`.
      keep: Share of the non-mated scores that are kept, the largest ones; None keeps `KEEP_TIMES`
        times the largest target rate. At least `KEEP_LEAST` scores are kept.

    Raises:
      InputError: If a table is unfit, or is asked for what a stream does not give.
    """
    streaming.check_asked(asked, settings)
    tables = streaming.Tables(paths, asked, people)
    layout, attributes = tables.layout, tables.layout.attributes
    surveys = {attribute.name: streaming.Survey() for attribute in attributes}
    nonmated = np.zeros(BINS, np.int64)
    for rows in tables.rows():
        for attribute in attributes:
            surveys[attribute.name].add(rows, attribute, tables.names)
        nonmated += np.bincount(score_bin(rows.score[~rows.mated]), minlength=BINS)
    share = KEEP_TIMES * max(settings.fmrs, default=0.0) if keep is None else keep
    is_distance = bool(layout.distances)
    cut = tail_cut(
        nonmated,
        keep=max(int(np.ceil(min(share, 1.0) * nonmated.sum())), KEEP_LEAST),
        thresholds=streaming.held(settings.thresholds, is_distance),
    )
    tail = Tail(cut)
    histograms = {name: ScoreHistogram(groups=len(_known(s.labels))) for name, s in surveys.items()}
    for rows in tables.rows():
        for name, survey in surveys.items():
            groups = _known(survey.labels)
            group = numbered(list(survey.labels), groups)[survey.home[rows.subject] - 1]
            pairs = streaming.comparisons(rows.subject, rows.mated, rows.score, group, groups)
            histograms[name].add(pairs)
        tail.add(pairs)
    subject, score = tail.rows
    couples, trials = tail.rest
    arrays = {
        "people": _packed(list(tables.names)),
        "subject": subject.astype(np.uint32),
        "score": _narrowed(score),
        "couples": couples.astype(np.uint32),
        "trials": trials.astype(np.min_scalar_type(int(trials.max(initial=0)))),
    }
    (first, *_) = surveys.values()
    about = {
        "format": FORMAT,
        "options": _options(asked, settings, facts),
        "layout": {what: asdict(layout)[what] for what in _LAYOUT},
        "facts": dict(facts),
        "range": list(map(float, first.range)),
        "pairs": first.pairs.tolist(),
        "total": first.total.tolist(),
        "cut": cut,
        "labels": {name: list(survey.labels) for name, survey in surveys.items()},
    }
    for k, (name, survey) in enumerate(surveys.items()):
        counts = histograms[name].counts.ravel()
        (filled,) = np.nonzero(counts)
        arrays[f"home {k}"] = survey.home.astype(np.uint32)
        arrays[f"bins {k}"] = filled.astype(np.int64)
        arrays[f"counts {k}"] = counts[filled]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    with whole_file(path) as file:
        np.savez(file, about=_packed(about), **arrays)  # type: ignore[arg-type]
    return Written(path, int(first.pairs.sum()), len(score), len(trials), path.stat().st_size)


def merge(folders: Sequence[Path], *, command: str) -> Iterator[tuple[str, Results]]:
    """The audit of all tables that the partial files of these folders were made of.

    Args:
      folders: Folders with a partial file each. People are numbered in this order, as one process
        numbers them that reads the tables in this order.
      command: Command line, for the provenance.

    Yields:
      The attribute and the results with their provenance.

    Raises:
      InputError: If a file is missing or damaged, two files were made with different options, a
        table occurs twice, or a file keeps too few scores.
    """
    parts = [_Partial(folder / NAME) for folder in folders]
    first = parts[0]
    for part in parts[1:]:
        _refuse_other_options(part, first)
    files = [(part.path, file) for part in parts for file in part.files]
    refuse_twice([(f"{path} ({file['name']})", file["hash"]) for path, file in files])
    table, members = _members(parts)
    where = streaming.shown([str(part.path) for part in parts])
    others = {role: f for role, f in first.about["facts"]["files"].items() if role == "groups"}
    numbered_files = {f"file {k}": file for k, (_, file) in enumerate(files, 1)}
    facts = {
        **first.about["facts"],
        "command": command,
        "partial_commands": [part.about["facts"]["command"] for part in parts],
        "files": {**numbered_files, **others},
        "versions": run.versions(),
    }
    for k, attribute in enumerate(table.layout.attributes):
        survey = streaming.Survey()
        names = table.names["subject"].number
        for part, people in zip(parts, members, strict=True):
            survey.merge(part.survey(k, attribute.name), people, names, str(part.path))
        checked = streaming.check(survey, table, attribute, where)
        passes = _Merged(parts, members, survey, checked.groups, k, attribute.name, first.settings)
        results = streaming.results_of(passes, checked, table, attribute, first.settings)
        yield attribute.name, run.with_facts(results, facts)


def refuse_twice(files: Sequence[tuple[str, str]]) -> None:
    """Refuses the same table twice, whatever its name.

    Args:
      files: Name for messages and fingerprint of each table.

    Raises:
      InputError: Naming the first two that are alike.
    """
    known: dict[str, str] = {}
    for name, fingerprint in files:
        if fingerprint in known:
            raise InputError(
                f"{name} is the same table as {known[fingerprint]}; leave one of them out."
            )
        known[fingerprint] = name


_LAYOUT = ("scores", "distances", "mated", "subject", "attributes", "unread")
_WHOLE = ("u", "i")  # kinds of numpy's whole numbers


class _Partial:
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
            self.files: list[dict[str, Any]] = [
                file for role, file in about["facts"]["files"].items() if role != "groups"
            ]
            self.asked = Asked(**about["options"]["columns"])
            self.settings = run.Settings(**about["options"]["measures"])
            self.layout = _layout(about["layout"])
            self._check(arrays)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            raise self._damaged(error) from error

    def read(self, *names: str) -> list[np.ndarray]:
        """Some of the file's arrays."""
        arrays = read_arrays(self.path, only=names)
        return [arrays[name] for name in names]

    def survey(self, place: int, name: str) -> streaming.Survey:
        """The first pass of an attribute."""
        (home,) = self.read(f"home {place}")
        survey = streaming.Survey()
        survey.labels = {label: k for k, label in enumerate(self.about["labels"][name], 1)}
        survey.home = home.astype(np.int64)
        survey.range = (self.about["range"][0], self.about["range"][1])
        survey.pairs = np.array(self.about["pairs"], np.int64)
        survey.total = np.array(self.about["total"], np.float64)
        return survey

    def histogram(self, place: int, name: str) -> tuple[ScoreHistogram, list[str]]:
        """The histogram of an attribute and its groups here, in order."""
        groups = _known(self.about["labels"][name])
        histogram = ScoreHistogram(groups=len(groups))
        filled, counts = self.read(f"bins {place}", f"counts {place}")
        histogram.counts.ravel()[filled] = counts
        return histogram, groups

    def _damaged(self, error: Exception) -> InputError:
        why = " ".join(str(error).split()).removeprefix(f"{self.path}: ").rstrip(".")
        why = f"{why!r} is missing" if isinstance(error, KeyError) else why
        return InputError(f"{self.path} is no partial file or is damaged ({why}); make it again.")

    def _check(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Compares the parts of the file; ValueError where they contradict each other."""
        about, people = self.about, len(self.people)
        subject, couples = arrays["subject"], arrays["couples"]
        score, trials = arrays["score"], arrays["trials"]
        lists = [arrays[f"{what} {k}"] for what in ("home", "bins", "counts") for k in self._places]
        whole = [subject, couples, trials, *lists]
        if any(array.dtype.kind not in _WHOLE for array in whole) or score.dtype.kind != "f":
            raise ValueError("an array holds numbers of another kind")
        if len(set(self.people)) < people or not all(isinstance(p, str) for p in self.people):
            raise ValueError("the names of people repeat")
        if subject.shape != (len(score), 2) or couples.shape != (len(trials), 2):
            raise ValueError("arrays have other lengths")
        if any(a.size and not 0 <= a.min() <= a.max() < people for a in (subject, couples)):
            raise ValueError("a pair names nobody")
        mated = int((subject[:, 0] == subject[:, 1]).sum())
        found = [len(score) - mated + int(trials.sum()), mated]
        if found != about["pairs"] or not np.isfinite(score).all():
            raise ValueError("the numbers of pairs differ")
        for k, attribute in zip(self._places, self.layout.attributes, strict=True):
            labels = about["labels"][attribute.name]
            home, filled, counts = (arrays[f"{what} {k}"] for what in ("home", "bins", "counts"))
            size = 2 * BINS * (len(set(labels) - {""}) + 1)
            if len(home) != people or home.min() < 1 or home.max() > len(labels):
                raise ValueError("somebody has no group")
            if filled.shape != counts.shape or not 0 <= filled.min() <= filled.max() < size:
                raise ValueError("a histogram has other bins")
            if counts.min() < 1 or int(counts.sum()) != sum(found):
                raise ValueError("a histogram has other pairs")

    @property
    def _places(self) -> range:
        return range(len(self.layout.attributes))


@dataclass(frozen=True)
class _Merged:
    """The pairs of partial files, for one pass after the other.

    Attributes:
      parts: The partial files.
      members: For each file the number of each of its people.
      survey: The first pass over all files.
      groups: Names of the groups in order.
      place: Place of the attribute in the files.
      attribute: Name of the attribute.
      settings: What is measured.
    """

    parts: Sequence[_Partial]
    members: Sequence[np.ndarray]
    survey: streaming.Survey
    groups: Sequence[str]
    place: int
    attribute: str
    settings: run.Settings

    def histogram(self) -> ScoreHistogram:
        """Where all scores lie."""
        number = {name: k for k, name in enumerate(self.groups)}
        histogram = ScoreHistogram(groups=len(self.groups))
        for part in self.parts:
            own, groups = part.histogram(self.place, self.attribute)
            histogram.merge(own, groups=[number[group] for group in groups])
        return histogram

    def search(self, search: ThresholdSearch) -> None:
        """Adds the scores that are kept to a search; refuses files that keep too few."""
        self._refuse_short(search.lowest_bin)
        for part, people in zip(self.parts, self.members, strict=True):
            for pairs in self._kept(part, people):
                search.add(pairs)

    def count(self, counts: Counts) -> None:
        """Adds all pairs to counts."""
        group = self._group()
        for part, people in zip(self.parts, self.members, strict=True):
            for pairs in self._kept(part, people):
                counts.add(pairs)
            couples, trials = part.read("couples", "trials")
            for start in range(0, len(trials), _ROWS):
                subject = people[couples[start : start + _ROWS]]
                counts.add_rejected(
                    subject, group[subject], trials[start : start + _ROWS].astype(np.int64)
                )

    def _kept(self, part: _Partial, people: np.ndarray) -> Iterator[Any]:
        """The pairs that a file holds one by one."""
        subject, score = part.read("subject", "score")
        group = self._group()
        for start in range(0, len(score), _ROWS):
            who = people[subject[start : start + _ROWS]]
            yield streaming.comparisons(
                who,
                who[:, 0] == who[:, 1],
                score[start : start + _ROWS].astype(np.float64),
                group[who],
                self.groups,
            )

    def _group(self) -> np.ndarray:
        """The group of each person."""
        by_label = numbered(list(self.survey.labels), self.groups)
        return np.where(self.survey.home > 0, by_label[self.survey.home - 1], UNKNOWN)

    def _refuse_short(self, lowest: int) -> None:
        short = [part for part in self.parts if part.about["cut"] > lowest]
        if not short:
            return
        share = 0.0
        for part in short:
            nonmated = part.histogram(self.place, self.attribute)[0].counts[0].sum(axis=0)
            share = max(share, nonmated[lowest:].sum() / nonmated.sum())
        edge = float(bin_edge(np.array([lowest]))[0])
        edge = -edge if short[0].layout.distances else edge
        rate = max(self.settings.fmrs)
        raise InputError(
            f"{', '.join(str(part.path) for part in short)}: too few scores are kept for the "
            f"threshold at FMR {rate:g} of all parts, which is near {edge:.4g}; make each of these "
            f"files again with --keep {min(1.0, np.ceil(share * 105) / 100):.2g}."
        )


def _members(parts: Sequence[_Partial]) -> tuple[PairTable, list[np.ndarray]]:
    """A table without rows that knows all people, and the number of everybody of each file."""
    first = parts[0]
    where = Path(streaming.shown([str(part.path) for part in parts]))
    table = PairTable(where, first.layout, first.asked, None)
    number = table.names["subject"].number
    members = [
        np.array([number.setdefault(name, len(number)) for name in part.people], np.int64)
        for part in parts
    ]
    return table, members


def _refuse_other_options(part: _Partial, first: _Partial) -> None:
    """Raises InputError where two files were made with different options."""
    if difference := streaming.other_columns(part.layout, first.layout):
        raise InputError(f"{part.path}: {difference} {first.path}; make both of the same columns.")
    for kind, options in first.about["options"].items():
        for option, value in options.items():
            own = part.about["options"][kind].get(option)
            if own != value:
                flag = _FLAGS.get(option, f"--{option.replace('_', '-')}")
                raise InputError(
                    f"{part.path} was made with {flag} {_said(own)}, {first.path} with {flag} "
                    f"{_said(value)}; make all partial files with the same options."
                )


def _said(value: Any) -> str:
    """An option's value for a message."""
    if isinstance(value, dict):
        return ",".join(f"{key}={word}" for key, word in value.items()) or "(none)"
    if isinstance(value, list):
        return ",".join(map(str, value)) or "(none)"
    return str(value) or "(none)"


def _options(asked: Asked, settings: run.Settings, facts: Mapping[str, Any]) -> dict[str, Any]:
    """All that two partial files must have in common."""
    groups = facts["files"].get("groups", {})
    return {
        "columns": {field.name: getattr(asked, field.name) for field in fields(asked)},
        "measures": {name: getattr(settings, name) for name in _SETTINGS},
        "other": {"hash of groups": groups.get("hash", ""), "stated": facts.get("stated", {})},
    }


def _layout(kept: Mapping[str, Any]) -> Layout:
    """A layout as JSON holds it."""
    attributes = tuple(
        Attribute(
            one["name"],
            {part: (left, right) for part, (left, right) in one["columns"].items()},
            {part: tuple(map(float, edges)) for part, edges in one["bins"].items()},
        )
        for one in kept["attributes"]
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


def _known(labels: Iterable[str]) -> list[str]:
    """The labels of known groups, sorted: the groups of a partial histogram."""
    return sorted(label for label in labels if label)


def _narrowed(score: np.ndarray) -> np.ndarray:
    """Scores as float32 where that loses nothing."""
    with np.errstate(over="ignore"):
        single = score.astype(np.float32)
    return single if (single == score).all() else score


def _packed(tree: Any) -> np.ndarray:
    """JSON as an array of bytes."""
    return np.frombuffer(json.dumps(tree).encode(), np.uint8)


def _unpacked(array: np.ndarray) -> Any:
    return json.loads(array.tobytes().decode())
