"""Scored pairs out of a table: columns become numbers, and what makes a table unfit is said.

Nothing is dropped in silence: what cannot be used is refused in one line, or, where people without
a known group are allowed, counted in a note.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from fairjax.audit.foreign import adopt
from fairjax.audit.grouping import (
    binned,
    check_names,
    known_groups,
    labelled,
    name_limits,
    numbered,
    ordered_groups,
)
from fairjax.audit.layout import Attribute, Layout, People, TableOptions, find_layout, known_as
from fairjax.audit.loaded import (
    Failures,
    Loaded,
    check_direction,
    check_groups,
    check_people,
    independent,
)
from fairjax.audit.pair_checks import check_couples, check_mated, failure_notes, kinds_of, row_notes
from fairjax.audit.pair_values import (
    check_decisions,
    decisions_as_scores,
    is_mated,
    without_failures,
)
from fairjax.audit.spelling import spelled_nearly
from fairjax.audit.tables import (
    Batch,
    InputError,
    Names,
    NotANumberError,
    Source,
    listed,
    read_batches,
    with_points,
)
from fairjax.core.comparisons import UNKNOWN, Pairs
from fairjax.core.names import clean_path, counted, how_unknown, is_unknown

_ADD_ROWS = " Add their rows; with --unknown-groups groups may be left blank there."
_NEARLY_ALL = 0.9  # of the rows contradict their label: 0 and 1 have most likely changed places


def load_comparisons(
    path: Source, options: TableOptions, *, people: People | None = None
) -> dict[str, Loaded]:
    """Reads a table of scored pairs, for each attribute of `options.by`.

    Args:
      path: CSV, TSV, Parquet, JSON lines or a file of another tool that `foreign.adopt` knows.
      options: How the table is read.
      people: Groups (and people) by subject or image, where the table has them not.

    Raises:
      InputError: If anything is unfit; the message names the first row and how many there are.
    """
    path = adopt(path)
    layout = find_layout(path, options, people)
    table = PairTable(path, layout, options, people)
    columns = table.read()
    scores = {name: columns[f"score {name}"] for name in layout.systems}
    return {a.name: table.grouped(columns, a, scores) for a in layout.attributes}


class PairTable:
    """Reads one table of scored pairs; names become numbers as they come.

    Args:
      path: The table.
      layout: From `find_layout`.
      options: How the table is read.
      people: Groups (and people) by subject or image.
    """

    def __init__(
        self, path: Source, layout: Layout, options: TableOptions, people: People | None
    ) -> None:
        self.path, self.layout, self.options, self.people = path, layout, options, people
        self.names = {what: Names() for what in ("subject", "fold", "decision")}
        self.names["image"] = Names(clean_path)
        self.words: dict[str, Names] = {  # of each attribute's parts
            attribute: Names() for a in layout.attributes for attribute in a.columns
        }

    def read(self) -> dict[str, np.ndarray]:
        """All rows of `batches`."""
        batches = list(self.batches())
        return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}

    def batches(self) -> Iterator[dict[str, np.ndarray]]:
        """Columns as numbers: "score NAME", "mated", "fold", and two a row of the others."""
        numbers = (*self.layout.scores, *self.layout.distances)
        allowed = self.options.failures or bool(self.options.failure_scores)
        words = [word for word in self.options.failure_scores if isinstance(word, str)]
        try:
            for batch in read_batches(
                self.path, text=self.layout.text, numbers=numbers, blanks=allowed, missing=words
            ):
                yield self._numbered(batch)
            if self.layout.decision:
                check_decisions(self.names["decision"], self.path, self.options)
        except NotANumberError as error:
            if re.search(r"\d", error.word):
                raise
            if not error.word:
                raise InputError(
                    f"{str(error).rstrip('.')}; if no face was found there, --failures counts such "
                    "pairs by group."
                ) from error
            raise InputError(
                f"{str(error).rstrip('.')}; if it marks a pair without a score, say "
                f"--failure-score {shlex.quote(error.word)}."
            ) from error

    def _numbered(self, batch: Batch) -> dict[str, np.ndarray]:
        layout, text = self.layout, batch.columns
        codes = {
            f"score {name}": without_failures(text[name], self.options) for name in layout.scores
        }
        codes |= {
            f"score {name}": -without_failures(text[name], self.options)
            for name in layout.distances
        }
        if layout.decision:
            self.names["decision"].encode(text[layout.decision])
            codes[f"score {layout.decision}"] = decisions_as_scores(
                text[layout.decision], batch.start, self.path, self.options
            )
        if layout.mated:
            mated = is_mated(text[layout.mated], batch.start, self.path, layout.mated)
            codes["mated"] = mated != self.options.zero_is_same
        for what in ("subject", "image"):
            if columns := getattr(layout, what):
                codes[what] = self._both(what, self.names[what], columns, batch, needed=True)
        if layout.fold:
            codes["fold"] = self.names["fold"].encode(text[layout.fold])
        for attribute in layout.attributes:
            for name, columns in attribute.columns.items():
                codes[f"by {name}"] = self._both(
                    name, self.words[name], columns, batch, needed=False
                )
        return codes

    def _both(
        self, what: str, names: Names, columns: tuple[str, str], batch: Batch, *, needed: bool
    ) -> np.ndarray:
        sides = []
        for column in columns:
            sides.append(names.encode(batch.columns[column]))
            if not needed and self.options.unknown_groups:
                continue
            keep = "; --unknown-groups keeps such people among everyone only"
            named = self.options.group_names
            if needed:
                keep = "; --names-as-written takes it for a name"
                named = [name for name in names if name and self.options.names_as_written]
            empty = [names.number[n] for n in names if is_unknown(n) and n not in named]
            if empty and (there := np.isin(sides[-1], empty)).any():
                row = int(np.argmax(there))
                word = list(names)[sides[-1][row]]
                keep = "" if needed and not word else keep
                keep += ", --group-names takes it for a group" if word and not needed else ""
                raise InputError(
                    f"{self.path}, data row {batch.start + row}: {column} ({what}) is "
                    f"{how_unknown(word)}{keep}."
                )
        return np.stack(sides, axis=1)

    def grouped(
        self,
        columns: Mapping[str, np.ndarray],
        attribute: Attribute,
        scores: Mapping[str, np.ndarray],
        *,
        pairs: Pairs | None = None,
    ) -> Loaded:
        """All pairs with their scores by system and their groups of one attribute, checked.

        Args:
          columns: From `read`.
          attribute: One of the layout's.
          scores: By system.
          pairs: Rows of the embeddings whose cosines the scores are; None for scores of a table.
        """
        label, labels = self.labels(columns, attribute)
        groups = ordered_groups(labels, self.options, f"{self.path} ({attribute.name})")
        group = numbered(labels, groups)[label]
        subject, names, mated = self._subjects(columns, group)
        check_couples(self, columns)
        fold = np.zeros(len(mated), np.int32)
        if "fold" in columns:
            fold = self.names["fold"].ordered()[1][columns["fold"]]
        loaded = Loaded(
            by=attribute.name,
            groups=tuple(groups),
            scores=dict(scores),
            mated=mated,
            subject=independent(mated) if subject is None else subject,
            group=group,
            fold=fold,
            has_subjects=subject is not None,
            has_images="image" in columns,
            pairs=pairs,
            kinds=kinds_of(self, scores, mated)
            if pairs is None
            else dict.fromkeys(scores, "cosine"),
            distances=self.layout.distances,
            decided=self.layout.decision is not None,
            names=() if subject is None else self._unique_names(names, subject, group, groups),
            image=columns.get("image"),
            images=tuple(self.names["image"]),
        )
        if not self.options.subjects_by_group:
            check_people(loaded, names, str(self.path))
        notes = [*name_limits(groups, attribute.name), *row_notes(self, loaded)]
        kept, more = self._less_names_of_two(columns, loaded)
        image = columns["image"][kept] if "image" in columns else None
        loaded = self._less_failures(loaded.take(kept), image)
        loaded = replace(loaded, notes=(*notes, *more, *failure_notes(loaded)))
        check_mated(self, columns, loaded)
        check_groups(loaded, str(self.path))
        marked = self.layout.mated if self.layout.mated and subject is None else ""
        for name in scores:
            if not self.options.any_direction:
                check_direction(loaded, name, str(self.path), mated_column=marked or "")
        return loaded

    def names_of_people(self) -> list[str]:
        """The people's names in the order of their first occurrence."""
        if self.layout.subject:
            return list(self.names["subject"])
        assert self.people is not None
        return [self.people.subject[image] for image in self.names["image"]]

    def _less_names_of_two(
        self, columns: Mapping[str, np.ndarray], loaded: Loaded
    ) -> tuple[np.ndarray, list[str]]:
        """With --subjects-by-group: which pairs are not of one name in two groups, and a note."""
        if not self.options.subjects_by_group or not loaded.has_subjects:
            return np.ones(len(loaded), bool), []
        if "subject" in columns:
            names, code = list(self.names["subject"]), columns["subject"]
        else:
            names, code = self.names_of_people(), columns["image"]
        number = {name: k for k, name in enumerate(dict.fromkeys(names))}
        who = np.array([number[name] for name in names])[code]
        both = (who[:, 0] == who[:, 1]) & (loaded.group[:, 0] != loaded.group[:, 1])
        seen = np.unique(np.stack([who.ravel(), loaded.group.ravel()], axis=1), axis=0)[:, 0]
        several = int((np.bincount(seen) > 1).sum())
        notes = [
            f"--subjects-by-group: {several:,} of {len(number):,} names occur in several groups "
            f"and were taken for one person in each; {int(both.sum()):,} of {len(loaded):,} pairs "
            "show one name in two groups and were left out, for they may show one person."
        ]
        return ~both, notes

    def _unique_names(
        self, names: Sequence[str], subject: np.ndarray, group: np.ndarray, groups: Sequence[str]
    ) -> tuple[str, ...]:
        """A name for each person's number; with --subjects-by-group it holds the group as well."""
        if not self.options.subjects_by_group:
            return tuple(names)
        home = np.full(len(names), UNKNOWN)
        home[subject.ravel()] = group.ravel()
        return tuple(
            f"{name} ({groups[k]})" if k != UNKNOWN else name
            for name, k in zip(names, home.tolist(), strict=True)
        )

    def _less_failures(self, loaded: Loaded, image: np.ndarray | None) -> Loaded:
        """The pairs that every system has scored; the others are kept as failures."""
        if not (self.options.failures or self.options.failure_scores):
            return loaded
        failed = np.isnan(np.stack([*loaded.scores.values()])).any(axis=0)
        failures = Failures(
            failed, loaded.mated, loaded.subject, loaded.group, image, self._sides_of_images()
        )
        if failed.all():
            raise InputError(f"{self.path}: no pair has a score.")
        return replace(loaded.take(~failed), failures=failures)

    def _sides_of_images(self) -> tuple[str, str]:
        """What the two sides are, where the columns' names say it."""
        left = (self.layout.image or ("", ""))[0].lower()
        roles = any(word in left for word in ("probe", "query"))
        return ("probe", "reference") if roles else ("image", "image")

    def _subjects(
        self, columns: Mapping[str, np.ndarray], group: np.ndarray
    ) -> tuple[np.ndarray | None, list[str], np.ndarray]:
        """Numbers of the people, their names in that order, and whether pairs are mated."""
        if "subject" in columns:
            names, code = list(self.names["subject"]), columns["subject"]
        elif self.people and self.people.subject and "image" in columns:
            names, code = self._looked_up(self.people.subject, "image"), columns["image"]
        else:
            return None, [], columns["mated"]
        ordered = sorted(set(names))
        number = {name: k for k, name in enumerate(ordered)}
        subject = np.array([number[name] for name in names], np.int32)[code]
        people = ordered
        if self.options.subjects_by_group:
            codes, subject = np.unique(
                (group.astype(np.int64) + 1) * len(ordered) + subject, return_inverse=True
            )
            subject = subject.reshape(group.shape).astype(np.int32)
            people = [ordered[k] for k in (codes % len(ordered)).tolist()]
        same = subject[:, 0] == subject[:, 1]
        mated = columns.get("mated", same)
        if (wrong := same != mated).any():
            row = int(np.argmax(wrong))
            who = [ordered[number[names[k]]] for k in code[row]]
            hint = ""
            if wrong.mean() > _NEARLY_ALL and not self.options.zero_is_same:
                hint = f" If 0 in {self.layout.mated!r} marks one person, say --zero-is-same."
            raise InputError(
                f"{self.path}, data row {row + 1}: marked {'mated' if mated[row] else 'non-mated'} "
                f"but shows {listed(who)} ({counted(int(wrong.sum()), 'such row')}).{hint}"
            )
        return subject, people, mated

    def _looked_up(self, table: Mapping[str, str], key: str) -> list[str]:
        """What a table says of each name seen, in the order they were seen."""
        assert self.people is not None
        unseen = [name for name in self.names[key] if name not in table]
        if unseen:
            raise InputError(
                f"{self.people.source} lacks {len(unseen):,} of the {len(self.names[key]):,} "
                f"{key}s of {self.path}: {listed(unseen, most=3)}."
                f"{spelled_nearly(unseen, table) or _ADD_ROWS}"
            )
        return [table[name] for name in self.names[key]]

    def labels(
        self, columns: Mapping[str, np.ndarray], attribute: Attribute
    ) -> tuple[np.ndarray, list[str]]:
        """An index into labels of groups for both sides, and the labels; "" is unknown."""
        codes, words = [], []
        for name in attribute.name.split("+"):
            if name in attribute.columns:
                codes.append(columns[f"by {name}"])
                own = list(self.words[name])
                if name in attribute.bins:
                    own = with_points(self.path, attribute.columns[name], own)
                words.append(self._grouped_words(own, attribute, name))
                continue
            assert self.people is not None
            key = self.people.key
            if key not in columns:
                raise InputError(
                    f"{self.people.source} gives the {name} of each {key}, but {self.path} names "
                    f"no {key}s; name their columns with --{key}."
                )
            column = known_as(name, self.people.groups)
            names = self._looked_up(self.people.groups[column], key)
            words.append(self._grouped_words(names, attribute, name))
            if "" in words[-1] and not self.options.unknown_groups:
                index = words[-1].index("")
                who, word = list(self.names[key])[index], names[index]
                keep = ", --group-names takes it for a group" if word else ""
                raise InputError(
                    f"{self.people.source}: the {name} of {who!r} is {how_unknown(word)}; "
                    f"--unknown-groups keeps such people among everyone only{keep}."
                )
            codes.append(columns[key])
        check_names(words, str(self.path))
        return labelled(codes, words)

    def _grouped_words(self, names: list[str], attribute: Attribute, name: str) -> list[str]:
        """Names of groups: "" for what says nothing, numbers as their bins."""
        known = known_groups(names, self.options)
        edges = attribute.bins.get(name)
        return binned(known, edges, str(self.path), name=name) if edges else known
