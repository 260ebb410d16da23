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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from fairjax.audit import run, streaming
from fairjax.audit.grouping import numbered
from fairjax.audit.layout import People, TableOptions
from fairjax.audit.pairs import PairTable
from fairjax.audit.partial_files import (
    FORMAT,
    LAYOUT_FIELDS,
    NAME,
    PartialFile,
    known_labels,
    narrowed,
    packed,
)
from fairjax.audit.tables import InputError, Source
from fairjax.core.comparisons import UNKNOWN
from fairjax.core.files import whole_file
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
    options: TableOptions,
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
      options: How the tables are read; the subjects must be known.
      settings: What the merge will measure.
      people: Groups (and people) by subject or image.
      facts: Provenance of the tables, from `run.provenance`.
      keep: Share of the non-mated scores that are kept, the largest ones; None keeps `KEEP_TIMES`
        times the largest target rate. At least `KEEP_LEAST` scores are kept.

    Raises:
      InputError: If a table is unfit, or is asked for what a stream does not give.
    """
    streaming.check_options(options, settings)
    tables = streaming.Tables(paths, options, people)
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
    histograms = {
        name: ScoreHistogram(groups=len(known_labels(s.labels))) for name, s in surveys.items()
    }
    for rows in tables.rows():
        for name, survey in surveys.items():
            groups = known_labels(survey.labels)
            group = numbered(list(survey.labels), groups)[survey.home[rows.subject] - 1]
            pairs = streaming.comparisons(rows.subject, rows.mated, rows.score, group, groups)
            histograms[name].add(pairs)
        tail.add(pairs)
    subject, score = tail.kept
    couples, trials = tail.rest
    arrays = {
        "people": packed(list(tables.names)),
        "subject": subject.astype(np.uint32),
        "score": narrowed(score),
        "couples": couples.astype(np.uint32),
        "trials": trials.astype(np.min_scalar_type(int(trials.max(initial=0)))),
    }
    (first, *_) = surveys.values()
    about = {
        "format": FORMAT,
        "options": _options(options, settings, facts),
        "layout": {what: asdict(layout)[what] for what in LAYOUT_FIELDS},
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
        np.savez(file, about=packed(about), **arrays)  # type: ignore[arg-type]
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
    partials = [PartialFile(folder / NAME) for folder in folders]
    first = partials[0]
    for other in partials[1:]:
        _refuse_other_options(other, first)
    tables = [(partial.path, table) for partial in partials for table in partial.tables]
    refuse_twice([(f"{path} ({table['name']})", table["hash"]) for path, table in tables])
    schema, numbers = _numbered(partials)
    where = streaming.shown([str(partial.path) for partial in partials])
    files = {f"file {k}": table for k, (_, table) in enumerate(tables, 1)}
    if groups := first.about["facts"]["files"].get("groups"):
        files["groups"] = groups
    facts = {
        **first.about["facts"],
        "command": command,
        "partial_commands": [partial.about["facts"]["command"] for partial in partials],
        "files": files,
        "versions": run.versions(),
    }
    for index, attribute in enumerate(schema.layout.attributes):
        survey = streaming.Survey()
        names = schema.names["subject"].number
        for partial, people in zip(partials, numbers, strict=True):
            survey.merge(partial.survey(index, attribute.name), people, names, str(partial.path))
        checked = streaming.check(survey, schema, attribute, where)
        passes = _Merged(
            partials, numbers, survey, checked.groups, index, attribute.name, first.settings
        )
        results = streaming.results_of(passes, checked, schema, attribute, first.settings)
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


@dataclass(frozen=True)
class _Merged:
    """The pairs of partial files, for one pass after the other.

    Attributes:
      partials: The partial files.
      numbers: Numbers of each file's people.
      survey: The first pass over all files.
      groups: Names of the groups in order.
      index: Number of the attribute in the files.
      attribute: Name of the attribute.
      settings: What is measured.
    """

    partials: Sequence[PartialFile]
    numbers: Sequence[np.ndarray]
    survey: streaming.Survey
    groups: Sequence[str]
    index: int
    attribute: str
    settings: run.Settings

    def histogram(self) -> ScoreHistogram:
        """Where all scores lie."""
        number = {name: k for k, name in enumerate(self.groups)}
        histogram = ScoreHistogram(groups=len(self.groups))
        for partial in self.partials:
            own, groups = partial.histogram(self.index, self.attribute)
            histogram.merge(own, groups=[number[group] for group in groups])
        return histogram

    def search(self, search: ThresholdSearch) -> None:
        """Adds the scores that are kept to a search; refuses files that keep too few."""
        self._refuse_short(search.lowest_bin)
        for partial, people in zip(self.partials, self.numbers, strict=True):
            for pairs in self._kept(partial, people):
                search.add(pairs)

    def count(self, counts: Counts) -> None:
        """Adds all pairs to counts."""
        group = self._group()
        for partial, people in zip(self.partials, self.numbers, strict=True):
            for pairs in self._kept(partial, people):
                counts.add(pairs)
            couples, trials = partial.read("couples", "trials")
            for start in range(0, len(trials), _ROWS):
                subject = people[couples[start : start + _ROWS]]
                counts.add_rejected(
                    subject, group[subject], trials[start : start + _ROWS].astype(np.int64)
                )

    def _kept(self, partial: PartialFile, people: np.ndarray) -> Iterator[Any]:
        """The pairs that a file holds one by one."""
        subject, score = partial.read("subject", "score")
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
        short = [partial for partial in self.partials if partial.about["cut"] > lowest]
        if not short:
            return
        share = 0.0
        for partial in short:
            nonmated = partial.histogram(self.index, self.attribute)[0].counts[0].sum(axis=0)
            share = max(share, nonmated[lowest:].sum() / nonmated.sum())
        edge = float(bin_edge(np.array([lowest]))[0])
        edge = -edge if short[0].layout.distances else edge
        rate = max(self.settings.fmrs)
        raise InputError(
            f"{', '.join(str(partial.path) for partial in short)}: too few scores are kept for the "
            f"threshold at FMR {rate:g} of all tables, which is near {edge:.4g}; make each of "
            f"these files again with --keep {min(1.0, np.ceil(share * 105) / 100):.2g}."
        )


def _numbered(partials: Sequence[PartialFile]) -> tuple[PairTable, list[np.ndarray]]:
    """A table without rows that knows all people, and the number of everybody of each file."""
    first = partials[0]
    where = Path(streaming.shown([str(partial.path) for partial in partials]))
    schema = PairTable(where, first.layout, first.options, None)
    number = schema.names["subject"].number
    numbers = [
        np.array([number.setdefault(name, len(number)) for name in partial.people], np.int64)
        for partial in partials
    ]
    return schema, numbers


def _refuse_other_options(partial: PartialFile, first: PartialFile) -> None:
    """Raises InputError where two files were made with different options."""
    if difference := streaming.other_columns(partial.layout, first.layout):
        raise InputError(
            f"{partial.path}: {difference} {first.path}; make both of the same columns."
        )
    for kind, options in first.about["options"].items():
        for option, value in options.items():
            own = partial.about["options"][kind].get(option)
            if own != value:
                flag = _FLAGS.get(option, f"--{option.replace('_', '-')}")
                raise InputError(
                    f"{partial.path} was made with {flag} {_as_text(own)}, {first.path} with "
                    f"{flag} {_as_text(value)}; make all partial files with the same options."
                )


def _as_text(value: Any) -> str:
    """An option's value for a message."""
    if isinstance(value, dict):
        return ",".join(f"{key}={word}" for key, word in value.items()) or "(none)"
    if isinstance(value, list):
        return ",".join(map(str, value)) or "(none)"
    return str(value) or "(none)"


def _options(
    options: TableOptions, settings: run.Settings, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """All that two partial files must have in common."""
    groups = facts["files"].get("groups", {})
    return {
        "columns": {field.name: getattr(options, field.name) for field in fields(options)},
        "measures": {name: getattr(settings, name) for name in _SETTINGS},
        "other": {"hash of groups": groups.get("hash", ""), "stated": facts.get("stated", {})},
    }
