"""Tables of more pairs than memory holds, read again for every pass."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from fairjax.audit.distances import in_own_unit
from fairjax.audit.grouping import check_names, name_limits, numbered, ordered_groups
from fairjax.audit.kinds import check_kind, check_threshold
from fairjax.audit.layout import Asked, People, find_layout
from fairjax.audit.pairs import PairTable
from fairjax.audit.run import Settings
from fairjax.audit.tables import InputError, Source
from fairjax.core.comparisons import Comparisons
from fairjax.core.results import Results
from fairjax.protocols.verification import stream as verification_stream

_UNCHECKED = "Streamed: pairs listed twice were not looked for."
STREAM_BYTES = 2 << 30  # tables larger than this are streamed without being asked


def measure(
    path: Source, asked: Asked, settings: Settings, *, people: People | None = None
) -> dict[str, Results]:
    """Measures one system for each attribute of `asked.by`, in four passes over the table.

    The first pass checks names, people and directions; pairs listed twice are not looked for.

    Args:
      path: The table.
      asked: Which columns to read; the subjects must be known.
      settings: What to measure; tolerances and accuracies need resamples and are refused.
      people: Groups (and people) by subject or image.

    Raises:
      InputError: If anything is unfit, or is asked for that a stream does not give.
    """
    layout = find_layout(path, asked, people)
    if len(layout.systems) > 1:
        raise InputError(f"{path}: a stream takes one system; name one with --score.")
    if asked.failures or asked.failure_scores or asked.decision or asked.subjects_by_group:
        raise InputError(
            "a stream takes no --failures, --failure-score, --decision or --subjects-by-group."
        )
    if settings.tolerances or settings.protocol not in ("plain", "bfw"):
        raise InputError("a stream has no resamples and no folds: no --tolerance, no accuracies.")
    results_by_attribute = {}
    for attribute in layout.attributes:
        reader = _Reader(path, replace(asked, by=[attribute.name]), people)
        groups = reader.check()
        thresholds = reader.thresholds(settings.thresholds)
        results = verification_stream.measure_stream(
            reader.chunks,
            groups=groups,
            attribute=attribute.name,
            fmrs=settings.fmrs,
            thresholds=thresholds,
            names=[f"threshold {t:g}" for t in settings.thresholds],
            level=settings.level,
            name=settings.protocol,
            limits=[*reader.notes, _UNCHECKED, *settings.limits],
        )
        results = in_own_unit(results, [""] if reader.is_distance else [])
        results_by_attribute[attribute.name] = replace(
            results,
            provenance={"scored": list(layout.systems)},
            protocol={
                **results.protocol,
                "thresholds": list(settings.thresholds),
                "score_kinds": {reader.system: asked.kind or "not stated"},
            },
        )
    return results_by_attribute


class _Reader:
    """One attribute of one table, pass after pass."""

    def __init__(self, path: Source, asked: Asked, people: People | None) -> None:
        self.path, self.asked = path, asked
        layout = find_layout(path, asked, people)
        if layout.subject is None:
            raise InputError(f"{path}: a stream needs to know who is on each side; see --subject.")
        self.attribute = layout.attributes[0]
        self.table = PairTable(path, replace(layout, image=None, fold=None), asked, people)
        self.system = layout.systems[0]
        self.is_distance = self.system in layout.distances
        self.groups: list[str] = []
        self.range = (np.inf, -np.inf)
        self.notes: list[str] = []

    def thresholds(self, values: Sequence[float]) -> list[float]:
        """Given thresholds as the scores are held: minus themselves for distances; after `check`.

        Raises:
          InputError: If one lies outside the scores.
        """
        ends = np.array(self.range)
        for threshold in values:
            check_threshold(threshold, self.system, ends, distance=self.is_distance)
        return [-float(t) if self.is_distance else float(t) for t in values]

    def check(self) -> list[str]:
        """The first pass: the groups' names, or what makes the table unfit."""
        labels: dict[str, int] = {}
        home = np.zeros(0, np.int64)  # the label of each person, from 1
        count, total = np.zeros(2, np.int64), np.zeros(2)
        start = 1
        for columns in self.table.batches():
            subject, mated = self._pairs(columns, start)
            code, labels_here = self.table.labels(columns, self.attribute)
            for label in labels_here:
                labels.setdefault(label, len(labels) + 1)
            here = np.array([labels[label] for label in labels_here])[code]
            home = np.concatenate([home, np.zeros(int(subject.max()) + 1, np.int64)])
            home = home[: max(len(self.table.names["subject"]), 1)]
            known = home[subject]
            home[subject.ravel()[::-1]] = np.where(known > 0, known, here).ravel()[::-1]
            if (apart := home[subject] != here).any():
                row, side = np.argwhere(apart)[0]
                who = list(self.table.names["subject"])[subject[row, side]]
                shown = (
                    list(labels)[here[row, side] - 1],
                    list(labels)[home[subject[row, side]] - 1],
                )
                raise InputError(
                    f"{self.path}, data row {start + row}: {who!r} is in {shown[0]!r} here and in "
                    f"{shown[1]!r} elsewhere; correct the table."
                )
            score = columns[f"score {self.system}"]
            self.range = (min(self.range[0], score.min()), max(self.range[1], score.max()))
            if self.asked.kind:
                check_kind(
                    self.asked.kind,
                    self.system,
                    score,
                    distance=self.is_distance,
                    where=str(self.path),
                )
            count += np.bincount(mated, minlength=2)
            total += np.bincount(mated, columns[f"score {self.system}"], minlength=2)
            start += len(mated)
        self.groups = ordered_groups(list(labels), self.asked, str(self.path))
        check_names([self.groups], str(self.path))
        if len(self.groups) < 2 or not count.all():
            raise InputError(
                f"{self.path}: needs two groups and both kinds of pairs; it has "
                f"{len(self.groups)}, {count[1]:,} mated and {count[0]:,} non-mated pairs."
            )
        if not self.asked.any_direction and total[1] / count[1] < total[0] / count[0]:
            raise InputError(
                f"{self.path}: mated pairs score lower than non-mated ones in {self.system}; see "
                "--distance and --any-direction."
            )
        self.notes = self.table.notes(int(count.sum()), mated=int(count[1]))
        self.notes += name_limits(self.groups, self.attribute.name)
        return self.groups

    def chunks(self) -> Iterator[Comparisons]:
        """The pairs, once more; after `check`."""
        for columns in self.table.batches():
            subject, mated = self._pairs(columns, 1)
            row, labels = self.table.labels(columns, self.attribute)
            yield Comparisons(
                score=columns[f"score {self.system}"],
                mated=mated,
                subject=subject,
                group=numbered(labels, self.groups)[row],
                groups=tuple(self.groups),
                fold=np.zeros(len(mated), np.int32),
            )

    def _pairs(self, columns: dict[str, np.ndarray], start: int) -> tuple[np.ndarray, np.ndarray]:
        """The people by number, and whether pairs are mated."""
        subject = columns["subject"]
        same = subject[:, 0] == subject[:, 1]
        mated = columns.get("mated", same)
        if (wrong := same != mated).any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"{self.path}, data row {start + row}: marked "
                f"{'mated' if mated[row] else 'non-mated'}, but its people say otherwise."
            )
        return subject, mated
