"""Scored pairs out of a table: columns become numbers, and what makes a table unfit is said.

Nothing is dropped in silence: what cannot be used is refused in one line, or, where people without
a known group are allowed, counted in a note.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

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
from fairjax.audit.kinds import check_kind, failure_hint, guess_kind, unit_hint
from fairjax.audit.layout import Asked, Attribute, Layout, People, find_layout, known_as
from fairjax.audit.loaded import (
    Failures,
    Loaded,
    check_direction,
    check_groups,
    check_people,
    independent,
)
from fairjax.audit.tables import (
    Batch,
    InputError,
    Names,
    NotANumberError,
    Source,
    listed,
    read_batches,
)
from fairjax.core.comparisons import UNKNOWN, Pairs
from fairjax.core.names import (
    alike,
    clean,
    clean_path,
    counted,
    folded,
    how_unknown,
    is_unknown,
)

_NEARLY_ALL = 0.9  # of the rows contradict their label: 0 and 1 have most likely changed places
_YES = {"1", "1.0", "true", "yes", "same", "mated", "match", "genuine"}
_NO = {"0", "0.0", "false", "no", "different", "nonmated", "non-mated", "nonmatch", "impostor"}


def load_comparisons(
    path: Source, asked: Asked, *, people: People | None = None
) -> dict[str, Loaded]:
    """Reads a table of scored pairs, for each attribute of `asked.by`.

    Args:
      path: CSV, TSV, Parquet, JSON lines or a file of another tool that `foreign.adopt` knows.
      asked: Which columns to read.
      people: Groups (and people) by subject or image, where the table has them not.

    Raises:
      InputError: If anything is unfit; the message names the first row and how many there are.
    """
    path = adopt(path)
    layout = find_layout(path, asked, people)
    table = PairTable(path, layout, asked, people)
    columns = table.read()
    scores = {name: columns[f"score {name}"] for name in layout.systems}
    return {a.name: table.grouped(columns, a, scores) for a in layout.attributes}


class PairTable:
    """Reads one table of scored pairs; names become numbers as they come.

    Args:
      path: The table.
      layout: From `find_layout`.
      asked: What the user asked for.
      people: Groups (and people) by subject or image.
    """

    def __init__(self, path: Source, layout: Layout, asked: Asked, people: People | None) -> None:
        self.path, self.layout, self.asked, self.people = path, layout, asked, people
        self.names = {what: Names() for what in ("subject", "fold")}
        self.names["image"] = Names(clean_path)
        self.words: dict[str, Names] = {  # of each attribute's parts
            part: Names() for a in layout.attributes for part in a.columns
        }

    def read(self) -> dict[str, np.ndarray]:
        """All rows of `batches`."""
        parts = list(self.batches())
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    def batches(self) -> Iterator[dict[str, np.ndarray]]:
        """Columns as numbers: "score NAME", "mated", "fold", and two a row of the others."""
        numbers = (*self.layout.scores, *self.layout.distances)
        allowed = self.asked.failures or bool(self.asked.failure_scores)
        words = [word for word in self.asked.failure_scores if isinstance(word, str)]
        try:
            for batch in read_batches(
                self.path, text=self.layout.text, numbers=numbers, blanks=allowed, missing=words
            ):
                yield self._numbered(batch)
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
        found = {f"score {name}": self._scored(text[name]) for name in layout.scores}
        found |= {f"score {name}": -self._scored(text[name]) for name in layout.distances}
        if layout.decision:
            found[f"score {layout.decision}"] = self._decided(text[layout.decision], batch.start)
        if layout.mated:
            found["mated"] = self._mated(text[layout.mated], batch.start)
        for what in ("subject", "image"):
            if columns := getattr(layout, what):
                found[what] = self._both(what, self.names[what], columns, batch, needed=True)
        if layout.fold:
            found["fold"] = self.names["fold"].encode(text[layout.fold])
        for attribute in layout.attributes:
            for part, columns in attribute.columns.items():
                found[f"by {part}"] = self._both(
                    part, self.words[part], columns, batch, needed=False
                )
        return found

    def _both(
        self, what: str, names: Names, columns: tuple[str, str], batch: Batch, *, needed: bool
    ) -> np.ndarray:
        sides = []
        for column in columns:
            sides.append(names.encode(batch.columns[column]))
            if not needed and self.asked.unknown_groups:
                continue
            keep = "; --unknown-groups keeps such people among everyone only"
            named = self.asked.group_names
            if needed:
                keep = "; --names-as-written takes it for a name"
                named = [name for name in names if name and self.asked.names_as_written]
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

    def _scored(self, score: np.ndarray) -> np.ndarray:
        """The scores, NaN for those that stand for a failure to acquire."""
        if not self.asked.failure_scores:
            return score
        codes = [code for code in self.asked.failure_scores if not isinstance(code, str)]
        return np.where(np.isin(score, codes), np.nan, score)

    def _decided(self, words: pa.Array, start: int) -> np.ndarray:
        """Decisions as scores: 1 where the pair is accepted, 0 where not, NaN where it failed."""
        names = Names()
        code = names.encode(words)
        accept = {clean(word).casefold() for word in self.asked.accept}
        words_of = {name: name.casefold() for name in names}
        word_of = ["" if is_unknown(n) and w not in accept else w for n, w in words_of.items()]
        known = [word for word in word_of if word]
        if not accept & set(known):
            raise InputError(
                f"{self.path}: --accept says which words in {self.layout.decision} accept a pair; "
                f"it holds {listed(sorted(known))}."
            )
        if len(set(known) - accept) > 1:
            raise InputError(
                f"{self.path}: {self.layout.decision} holds {listed(sorted(known))}; name all that "
                "accept with --accept, one word is left for those that do not."
            )
        value = np.array(
            [float(word in accept) if word else np.nan for word in word_of], np.float64
        )[code]
        if (missing := np.isnan(value)).any() and not self.asked.failures:
            row = int(np.argmax(missing))
            raise InputError(
                f"{self.path}, data row {start + row}: {self.layout.decision} is "
                f"{how_unknown(list(names)[code[row]])}; --failures counts such pairs."
            )
        return value

    def _mated(self, words: pa.Array, start: int) -> np.ndarray:
        names = Names()
        code = names.encode(words)
        meaning = np.array([_truth(name) for name in names], np.int8)[code]
        if (bad := meaning < 0).any():
            row = int(np.argmax(bad))
            raise InputError(
                f"{self.path}, data row {start + row}: {self.layout.mated} is "
                f"{words[row].as_py()!r}; expected 1 or 0 (or true/false, same/different, "
                "mated/nonmated, genuine/impostor)."
            )
        return meaning.astype(bool) != self.asked.zero_is_same

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
        place, labels = self.labels(columns, attribute)
        groups = ordered_groups(labels, self.asked, f"{self.path} ({attribute.name})")
        group = numbered(labels, groups)[place]
        subject, names, mated = self._subjects(columns, group)
        self._check_couples(columns)
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
            kinds=self._kinds(scores, mated) if pairs is None else dict.fromkeys(scores, "cosine"),
            distances=self.layout.distances,
            decided=self.layout.decision is not None,
            names=() if subject is None else self._unique_names(names, subject, group, groups),
            image=columns.get("image"),
            images=tuple(self.names["image"]),
        )
        if not self.asked.subjects_by_group:
            check_people(loaded, names, str(self.path))
        notes = [*name_limits(groups, attribute.name), *self._notes(loaded)]
        kept, more = self._less_names_of_two(columns, loaded)
        image = columns["image"][kept] if "image" in columns else None
        loaded = self._less_failures(loaded.take(kept), image)
        loaded = replace(loaded, notes=(*notes, *more, *self._failed_note(loaded)))
        self._check_mated(columns, loaded)
        check_groups(loaded, str(self.path))
        marked = self.layout.mated if self.layout.mated and subject is None else ""
        for name in scores:
            if not self.asked.any_direction:
                check_direction(loaded, name, str(self.path), mated_column=marked or "")
        return loaded

    def _kinds(self, scores: Mapping[str, np.ndarray], mated: np.ndarray) -> dict[str, str]:
        """What each system's scores are: as stated, or cosines where their range says so."""
        kinds = {}
        for name, score in scores.items():
            distance = name in self.layout.distances
            hint = failure_hint(name, score, mated, distance=distance)
            if self.layout.decision:
                kinds[name] = "other"
            elif self.asked.kind:
                check_kind(
                    self.asked.kind,
                    name,
                    score,
                    distance=distance,
                    where=str(self.path),
                    hint=hint,
                )
                kinds[name] = self.asked.kind
            else:
                kinds[name] = guess_kind(name, score, distance=distance)
                if distance and (score > 0).any() and not self.asked.any_direction:
                    row, times = int(np.argmax(score > 0)), int((score > 0).sum())
                    raise InputError(
                        f"{self.path}, data row {row + 1}: {name} is {-score[row]:g}, and no "
                        "distance is negative "
                        f"({counted(times, 'such row')}). If larger means more alike, "
                        f"use --score {name}; if 0 marks one person, --zero-is-same; else say "
                        f"--kind other.{hint and ' ' + hint}"
                    )
        return kinds

    def notes(self, total: int, *, mated: int) -> list[str]:
        """What flags have turned, and names that look odd; after all rows are read.

        Args:
          total: How many pairs there are.
          mated: How many of them are mated.

        Raises:
          InputError: If people's names are alike, and --names-as-written does not keep them apart.
        """
        said = []
        for name in self.layout.distances:
            said.append(
                f"{name} is a distance (all {total:,} values): smaller means more alike, and a "
                "threshold accepts distances up to it."
            )
        for name in self.layout.unread:
            said.append(
                f"The column {name!r} is not read: the scores are those of "
                f"{listed(self.layout.systems)}. To audit both, say --score "
                f"{shlex.quote(self.layout.systems[0])} --distance {shlex.quote(name)}."
            )
        if self.asked.zero_is_same:
            said.append(
                f"--zero-is-same: 0 in {self.layout.mated!r} was read as one person, 1 as two: "
                f"{mated:,} pairs are mated, {total - mated:,} are not."
            )
        if self.asked.any_direction:
            said.append(
                f"--any-direction: whether mated pairs score above non-mated ones was not checked "
                f"for the {total:,} pairs."
            )
        for what in ("subject", "image"):
            if found := alike(self.names[what]):
                first, second, difference = found[0]
                if what == "subject" and not self.asked.names_as_written:
                    raise InputError(
                        f"{self.path}: the subjects {first!r} and {second!r} differ by "
                        f"{difference} alone "
                        f"({counted(len(found), 'such name')}); write one person alike, "
                        "or keep them apart with --names-as-written."
                    )
                said.append(
                    f"{first!r} and {second!r} differ by {difference} alone "
                    f"({counted(len(found), f'such {what}')}); they count as different."
                )
        return said

    def _notes(self, loaded: Loaded) -> list[str]:
        """`notes`, and rows and people that look odd."""
        said = self.notes(len(loaded), mated=int(loaded.mated.sum()))
        if loaded.pairs is None and not loaded.decided:
            hints = [
                failure_hint(name, score, loaded.mated, distance=name in loaded.distances)
                for name, score in loaded.scores.items()
            ]
            hints += [unit_hint(name, s, loaded.mated) for name, s in loaded.scores.items()]
            said += filter(None, hints)
        if loaded.has_subjects and not self.layout.mated and not self.asked.subjects_by_group:
            said += self._one_sided(loaded)
        if loaded.has_subjects and not loaded.has_images and not loaded.decided:
            rows = np.column_stack([np.sort(loaded.subject, axis=1), *loaded.scores.values()])
            if again := len(rows) - len(np.unique(rows, axis=0)):
                said.append(
                    f"{again:,} of {len(rows):,} rows repeat the people and the scores of another "
                    "row; if a join repeated rows, intervals are too narrow."
                )
        return said

    def _one_sided(self, loaded: Loaded) -> list[str]:
        """People without a mated pair who are on one side of the pairs only."""
        mated = np.unique(loaded.subject[loaded.mated])
        alone = [
            np.setdiff1d(np.setdiff1d(loaded.subject[:, side], loaded.subject[:, 1 - side]), mated)
            for side in (0, 1)
        ]
        if not all(map(len, alone)):
            return []
        names = sorted(set(self._names_of_people()))
        return [
            f"{counted(len(alone[0]), 'person occurs', 'people occur')} "
            "on the left side of the pairs only and "
            f"{len(alone[1]):,} on the right only, none of them with a mated pair, such as "
            f"{names[alone[0][0]]!r} and {names[alone[1][0]]!r}. If both sides spell people "
            "differently, mated pairs were taken for non-mated ones."
        ]

    def _names_of_people(self) -> list[str]:
        """The people's names in the order of their first occurrence."""
        if self.layout.subject:
            return list(self.names["subject"])
        assert self.people is not None
        return [self.people.subject[image] for image in self.names["image"]]

    def _check_mated(self, columns: Mapping[str, np.ndarray], loaded: Loaded) -> None:
        """Refuses pairs that seem to have no mated ones since both sides spell people apart."""
        if loaded.mated.any() or self.layout.mated or "subject" not in columns:
            return
        left, right = (np.unique(columns["subject"][:, side]) for side in (0, 1))
        if not np.intersect1d(left, right).size:
            names, sides = list(self.names["subject"]), self.layout.subject
            assert sides is not None
            raise InputError(
                f"{self.path} has no mated pairs: no name in {sides[0]} occurs in {sides[1]}, such "
                f"as {names[left[0]]!r} and {names[right[0]]!r}; are people spelled alike on both "
                "sides?"
            )

    def _less_names_of_two(
        self, columns: Mapping[str, np.ndarray], loaded: Loaded
    ) -> tuple[np.ndarray, list[str]]:
        """With --subjects-by-group: which pairs are not of one name in two groups, and a note."""
        if not self.asked.subjects_by_group or not loaded.has_subjects:
            return np.ones(len(loaded), bool), []
        if "subject" in columns:
            names, code = list(self.names["subject"]), columns["subject"]
        else:
            names, code = self._names_of_people(), columns["image"]
        number = {name: k for k, name in enumerate(dict.fromkeys(names))}
        who = np.array([number[name] for name in names])[code]
        both = (who[:, 0] == who[:, 1]) & (loaded.group[:, 0] != loaded.group[:, 1])
        seen = np.unique(np.stack([who.ravel(), loaded.group.ravel()], axis=1), axis=0)[:, 0]
        several = int((np.bincount(seen) > 1).sum())
        said = [
            f"--subjects-by-group: {several:,} of {len(number):,} names occur in several groups "
            f"and were taken for one person in each; {int(both.sum()):,} of {len(loaded):,} pairs "
            "show one name in two groups and were left out, for they may show one person."
        ]
        return ~both, said

    def _unique_names(
        self, names: Sequence[str], subject: np.ndarray, group: np.ndarray, groups: Sequence[str]
    ) -> tuple[str, ...]:
        """A name for each person's number; with --subjects-by-group it holds the group as well."""
        if not self.asked.subjects_by_group:
            return tuple(names)
        home = np.full(len(names), UNKNOWN)
        home[subject.ravel()] = group.ravel()
        return tuple(
            f"{name} ({groups[k]})" if k != UNKNOWN else name
            for name, k in zip(names, home.tolist(), strict=True)
        )

    def _less_failures(self, loaded: Loaded, image: np.ndarray | None) -> Loaded:
        """The pairs that every system has scored; the others are kept as failures."""
        if not (self.asked.failures or self.asked.failure_scores):
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

    def _failed_note(self, loaded: Loaded) -> list[str]:
        if loaded.failures is None:
            return []
        failed, total = int(loaded.failures.failed.sum()), len(loaded.failures.failed)
        return [
            f"{failed:,} of {total:,} pairs have no score: they count as failures to acquire or "
            "enrol. FMR and FNMR are over the pairs with a score; FAR and FRR over all pairs."
        ]

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
        place = {name: k for k, name in enumerate(ordered)}
        subject = np.array([place[name] for name in names], np.int32)[code]
        people = ordered
        if self.asked.subjects_by_group:
            codes, subject = np.unique(
                (group.astype(np.int64) + 1) * len(ordered) + subject, return_inverse=True
            )
            subject = subject.reshape(group.shape).astype(np.int32)
            people = [ordered[k] for k in (codes % len(ordered)).tolist()]
        same = subject[:, 0] == subject[:, 1]
        mated = columns.get("mated", same)
        if (wrong := same != mated).any():
            row = int(np.argmax(wrong))
            who = [ordered[place[names[k]]] for k in code[row]]
            hint = ""
            if wrong.mean() > _NEARLY_ALL and not self.asked.zero_is_same:
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
                f"{key}s of {self.path}: {listed(unseen, most=3)}.{spelled_nearly(unseen, table)}"
            )
        return [table[name] for name in self.names[key]]

    def labels(
        self, columns: Mapping[str, np.ndarray], attribute: Attribute
    ) -> tuple[np.ndarray, list[str]]:
        """An index into labels of groups for both sides, and the labels; "" is unknown."""
        codes, words = [], []
        for part in attribute.name.split("+"):
            if part in attribute.columns:
                codes.append(columns[f"by {part}"])
                words.append(self._grouped_words(list(self.words[part]), attribute, part))
                continue
            assert self.people is not None
            key = self.people.key
            if key not in columns:
                raise InputError(
                    f"{self.people.source} gives the {part} of each {key}, but {self.path} names "
                    f"no {key}s; name their columns with --{key}."
                )
            column = known_as(part, self.people.groups)
            found = self._looked_up(self.people.groups[column], key)
            words.append(self._grouped_words(found, attribute, part))
            if "" in words[-1] and not self.asked.unknown_groups:
                place = words[-1].index("")
                who, word = list(self.names[key])[place], found[place]
                keep = ", --group-names takes it for a group" if word else ""
                raise InputError(
                    f"{self.people.source}: the {part} of {who!r} is {how_unknown(word)}; "
                    f"--unknown-groups keeps such people among everyone only{keep}."
                )
            codes.append(columns[key])
        check_names(words, str(self.path))
        return labelled(codes, words)

    def _grouped_words(self, names: list[str], attribute: Attribute, part: str) -> list[str]:
        """Names of groups: "" for what says nothing, numbers as their bins."""
        known = known_groups(names, self.asked)
        edges = attribute.bins.get(part)
        return binned(known, edges, f"{self.path} ({part})") if edges else known

    def _check_couples(self, columns: Mapping[str, np.ndarray]) -> None:
        """No image with itself, no pair of images twice in whichever order."""
        if "image" not in columns:
            return
        names = list(self.names["image"])
        low, high = np.sort(columns["image"], axis=1).T.astype(np.int64)
        if (same := low == high).any():
            row = int(np.argmax(same))
            raise InputError(
                f"{self.path}, data row {row + 1}: {names[low[row]]!r} is compared with itself "
                f"({counted(int(same.sum()), 'such row')})."
            )
        key = low * len(names) + high
        order = np.argsort(key, kind="stable")
        again = np.flatnonzero(np.diff(key[order]) == 0)
        if len(again):
            first, second = order[again[0]] + 1, order[again[0] + 1] + 1
            raise InputError(
                f"{self.path}: the pair {names[low[first - 1]]!r}, {names[high[first - 1]]!r} is "
                f"in data rows {first} and {second} "
                f"({counted(len(again), 'row repeats', 'rows repeat')} a pair)."
            )


def spelled_nearly(lost: Sequence[str], known: Iterable[str]) -> str:
    """A hint where a name that is not there is there in another spelling; "" where it is not."""
    spelled = {folded(name): name for name in known}
    ends = {name.rpartition("/")[2].rpartition(".")[0] or name: name for name in spelled.values()}
    for name in lost:
        bare = name.rpartition("/")[2]
        other = spelled.get(folded(name)) or ends.get(bare) or ends.get(bare.rpartition(".")[0])
        if other:
            return f" {name!r} is spelled {other!r} there; write names alike."
    return ""


def _truth(word: str) -> int:
    word = word.strip().lower()
    return 1 if word in _YES else 0 if word in _NO else -1
