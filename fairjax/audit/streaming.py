"""Tables of more pairs than memory holds, read again for every pass."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from fairjax.audit import pair_checks
from fairjax.audit.distances import in_own_unit
from fairjax.audit.grouping import check_names, name_limits, numbered, ordered_groups
from fairjax.audit.kinds import check_kind, check_threshold
from fairjax.audit.layout import Attribute, Layout, People, TableOptions, find_layout
from fairjax.audit.pairs import PairTable
from fairjax.audit.run import Settings
from fairjax.audit.tables import InputError, Source
from fairjax.core.comparisons import Comparisons
from fairjax.core.results import Results
from fairjax.protocols.verification.stream import InChunks, Passes, measure_stream

_UNCHECKED = "Streamed: pairs listed twice were not looked for."
STREAM_BYTES = 2 << 30  # tables larger than this are streamed without being asked


def measure(
    paths: Sequence[Source],
    options: TableOptions,
    settings: Settings,
    *,
    people: People | None = None,
) -> dict[str, Results]:
    """Measures one system for each attribute of `options.by`, in four passes over the tables.

    The first pass checks names, people and directions; pairs listed twice are not looked for.

    Args:
      paths: The table, or several that are parts of one.
      options: How the tables are read; the subjects must be known.
      settings: What to measure; tolerances and accuracies need resamples and are refused.
      people: Groups (and people) by subject or image.

    Raises:
      InputError: If anything is unfit, or is asked for that a stream does not give.
    """
    check_options(options, settings)
    layout = Tables(paths, options, people).layout
    results = {}
    for attribute in layout.attributes:
        tables = Tables(paths, options, people, attribute=attribute)
        survey = Survey()
        for rows in tables.rows():
            survey.add(rows, attribute, tables.names)
        checked = check(survey, tables.first, attribute, shown(list(map(str, paths))))
        passes = InChunks(_Chunks(tables, attribute, checked.groups), len(checked.groups))
        results[attribute.name] = results_of(passes, checked, tables.first, attribute, settings)
    return results


def check_options(options: TableOptions, settings: Settings) -> None:
    """Refuses what a stream does not give.

    Raises:
      InputError: Naming the options.
    """
    if options.failures or options.failure_scores or options.decision or options.subjects_by_group:
        raise InputError(
            "a stream takes no --failures, --failure-score, --decision or --subjects-by-group."
        )
    if settings.tolerances or settings.protocol not in ("plain", "bfw"):
        raise InputError("a stream has no resamples and no folds: no --tolerance, no accuracies.")


def shown(paths: Sequence[str]) -> str:
    """One table's name for messages, or the first one's and how many more there are."""
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1:,} more"


@dataclass(frozen=True)
class Rows:
    """Some rows of one table.

    Attributes:
      table: The table.
      start: Number of the first row in it, from 1.
      columns: Columns as numbers; see `PairTable.batches`.
      subject: The two people by number.
      mated: Whether both are one person.
      score: The scores as held: distances negated.
    """

    table: PairTable
    start: int
    columns: Mapping[str, np.ndarray]
    subject: Int[np.ndarray, "rows 2"]
    mated: np.ndarray
    score: np.ndarray

    def labels(self, attribute: Attribute) -> tuple[np.ndarray, list[str]]:
        """An index into labels of groups for both sides, and the labels; "" is unknown."""
        return self.table.labels(self.columns, attribute)


class Tables:
    """Tables of one shape that are read one after the other, with one numbering of people.

    Args:
      paths: The tables.
      options: How the table is read.
      people: Groups (and people) by subject or image.
      attribute: The only attribute that is read; None reads all.

    Attributes:
      layout: Which column holds what, in each table.
      first: The first table.
      names: Number of each person, in the order in which the people occur.

    Raises:
      InputError: If there is more than one system, people are not known, or tables differ in which
        columns hold what.
    """

    def __init__(
        self,
        paths: Sequence[Source],
        options: TableOptions,
        people: People | None,
        *,
        attribute: Attribute | None = None,
    ) -> None:
        layouts = [find_layout(path, options, people) for path in paths]
        self.layout = layouts[0]
        for path, layout in zip(paths, layouts, strict=True):
            if len(layout.systems) > 1:
                raise InputError(f"{path}: a stream takes one system; name one with --score.")
            if layout.subject is None:
                raise InputError(
                    f"{path}: a stream needs to know who is on each side; see --subject."
                )
            if difference := other_columns(layout, self.layout):
                raise InputError(f"{path}: {difference} {paths[0]}; give both the same columns.")
        read = replace(self.layout, image=None, fold=None)
        if attribute:
            read = replace(read, attributes=(attribute,))
        self._tables = [PairTable(path, read, options, people) for path in paths]
        self.first = self._tables[0]
        for table in self._tables:
            table.names, table.words = self.first.names, self.first.words
        self.names = self.first.names["subject"].number

    def rows(self) -> Iterator[Rows]:
        """All rows, once more."""
        (system,) = self.layout.systems
        for table in self._tables:
            start = 1
            for columns in table.batches():
                subject = columns["subject"]
                same = subject[:, 0] == subject[:, 1]
                mated = columns.get("mated", same)
                if (wrong := same != mated).any():
                    row = int(np.argmax(wrong))
                    raise InputError(
                        f"{table.path}, data row {start + row}: marked "
                        f"{'mated' if mated[row] else 'non-mated'}, but its people say otherwise."
                    )
                score = columns[f"score {system}"]
                if table.options.kind:
                    check_kind(
                        table.options.kind,
                        system,
                        score,
                        distance=system in self.layout.distances,
                        where=str(table.path),
                        start=start,
                    )
                yield Rows(table, start, columns, subject, mated, score)
                start += len(mated)


def other_columns(layout: Layout, first: Layout) -> str:
    """Which columns of a table differ from those of the first one; "" where all are the same."""
    for what in ("systems", "mated", "subject", "attributes"):
        own, other = getattr(layout, what), getattr(first, what)
        if own != other:
            if what == "attributes":
                return "the groups stand in other columns than in"
            return f"its columns are {own!r} ({what}), not {other!r} as in"
    return ""


class Survey:
    """What a first pass finds: who is in which group, and where the scores lie.

    Attributes:
      labels: Number of each label of a group, from 1; "" is the label of unknown groups.
      home: Label's number of each person, 0 for a person without pairs.
      range: Smallest and largest score.
      pairs: How many non-mated and mated pairs there are.
      total: Sums of their scores.
    """

    def __init__(self) -> None:
        self.labels: dict[str, int] = {}
        self.home = np.zeros(0, np.int64)
        self.range = (np.inf, -np.inf)
        self.pairs, self.total = np.zeros(2, np.int64), np.zeros(2)

    def add(self, rows: Rows, attribute: Attribute, names: Mapping[str, int]) -> None:
        """Takes some rows in.

        Raises:
          InputError: If somebody is in another group than before.
        """
        code, labels = rows.labels(attribute)
        here = self._numbers(labels)[code]
        self._know(len(names))
        self._at_home(
            rows.subject.ravel(),
            here.ravel(),
            names,
            lambda k: f"{rows.table.path}, data row {rows.start + k // 2}",
        )
        self._count(
            (rows.score.min(), rows.score.max()),
            np.bincount(rows.mated, minlength=2),
            np.bincount(rows.mated, rows.score, minlength=2),
        )

    def merge(
        self,
        other: "Survey",
        people: Int[np.ndarray, " people"],
        names: Mapping[str, int],
        where: str,
    ) -> None:
        """Takes another survey's findings over.

        Args:
          other: Survey of other pairs.
          people: Number here of each person of `other`.
          names: Number here of each name.
          where: Source of `other`, for messages.

        Raises:
          InputError: If somebody is in another group there.
        """
        number = np.concatenate([[0], self._numbers(list(other.labels))])
        self._know(len(names))
        self._at_home(people, number[other.home], names, lambda _: where)
        self._count(other.range, other.pairs, other.total)

    def _numbers(self, labels: Sequence[str]) -> np.ndarray:
        return np.array(
            [self.labels.setdefault(label, len(self.labels) + 1) for label in labels], np.int64
        )

    def _know(self, people: int) -> None:
        more = max(people, 1) - len(self.home)
        self.home = np.concatenate([self.home, np.zeros(more, np.int64)])

    def _at_home(
        self,
        who: np.ndarray,
        label: np.ndarray,
        names: Mapping[str, int],
        where: Callable[[int], str],
    ) -> None:
        """Notes the labels of people; the first one that is another than before is refused."""
        known = self.home[who]
        self.home[who[::-1]] = np.where(known > 0, known, label)[::-1]  # the first row decides
        if (apart := self.home[who] != label).any():
            k = int(np.argmax(apart))
            labels = list(self.labels)
            raise InputError(
                f"{where(k)}: {list(names)[who[k]]!r} is in {labels[label[k] - 1]!r} here and in "
                f"{labels[self.home[who[k]] - 1]!r} elsewhere; correct the table."
            )

    def _count(self, ends: tuple[float, float], pairs: np.ndarray, total: np.ndarray) -> None:
        self.range = (min(self.range[0], ends[0]), max(self.range[1], ends[1]))
        self.pairs, self.total = self.pairs + pairs, self.total + total


@dataclass(frozen=True)
class Checked:
    """What is known after the first pass.

    Attributes:
      groups: Names of the groups in order.
      range: Smallest and largest score as held.
      notes: Sentences for the reader.
    """

    groups: list[str]
    range: tuple[float, float]
    notes: list[str]


def check(survey: Survey, table: PairTable, attribute: Attribute, where: str) -> Checked:
    """The groups, or what makes the tables unfit.

    Args:
      survey: The first pass over all tables.
      table: Names of all people, the layout and what is asked for.
      attribute: Attribute of the groups.
      where: The tables, for messages.

    Raises:
      InputError: If groups, kinds of pairs or the scores' direction are unfit.
    """
    options, (system,) = table.options, table.layout.systems
    groups = ordered_groups(list(survey.labels), options, where)
    check_names([groups], where)
    nonmated, mated = survey.pairs.tolist()
    if len(groups) < 2 or not nonmated or not mated:
        raise InputError(
            f"{where}: needs two groups and both kinds of pairs; it has "
            f"{len(groups)}, {mated:,} mated and {nonmated:,} non-mated pairs."
        )
    if not options.any_direction and survey.total[1] / mated < survey.total[0] / nonmated:
        raise InputError(
            f"{where}: mated pairs score lower than non-mated ones in {system}; see "
            "--distance and --any-direction."
        )
    notes = pair_checks.notes(table, nonmated + mated, mated=mated)
    return Checked(groups, survey.range, [*notes, *name_limits(groups, attribute.name)])


def results_of(
    passes: Passes, checked: Checked, table: PairTable, attribute: Attribute, settings: Settings
) -> Results:
    """The results of one attribute; the provenance names the column of scores alone.

    Args:
      passes: The pairs, for one pass after the other.
      checked: From `check`.
      table: The layout and what is asked for.
      attribute: Attribute of the groups.
      settings: What to measure.

    Raises:
      InputError: If a threshold lies outside the scores.
    """
    (system,) = table.layout.systems
    is_distance = system in table.layout.distances
    for threshold in settings.thresholds:
        check_threshold(threshold, system, np.array(checked.range), distance=is_distance)
    results = measure_stream(
        passes,
        groups=checked.groups,
        attribute=attribute.name,
        fmrs=settings.fmrs,
        thresholds=held(settings.thresholds, is_distance),
        names=[f"threshold {t:g}" for t in settings.thresholds],
        level=settings.level,
        name=settings.protocol,
        limits=[*checked.notes, _UNCHECKED, *settings.limits],
    )
    results = in_own_unit(results, [""] if is_distance else [])
    return replace(
        results,
        provenance={"scored": [system]},
        protocol={
            **results.protocol,
            "thresholds": list(settings.thresholds),
            "score_kinds": {system: table.options.kind or "not stated"},
        },
    )


def held(thresholds: Sequence[float], is_distance: bool) -> list[float]:
    """Given thresholds as scores are held: minus themselves for distances."""
    return [-float(t) if is_distance else float(t) for t in thresholds]


@dataclass(frozen=True)
class _Chunks:
    """All pairs with their groups, once a call."""

    tables: Tables
    attribute: Attribute
    groups: Sequence[str]

    def __call__(self) -> Iterator[Comparisons]:
        for rows in self.tables.rows():
            code, labels = rows.labels(self.attribute)
            group = numbered(labels, self.groups)[code]
            yield comparisons(rows.subject, rows.mated, rows.score, group, self.groups)


def comparisons(
    subject: np.ndarray,
    mated: np.ndarray,
    score: np.ndarray,
    group: np.ndarray,
    groups: Sequence[str],
) -> Comparisons:
    """Scored pairs of a protocol without folds."""
    fold = np.zeros(len(mated), np.int32)
    return Comparisons(score, mated, subject, group, tuple(groups), fold)
