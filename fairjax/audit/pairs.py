"""Scored pairs out of a table: columns become numbers, and what makes a table unfit is said.

Nothing is dropped in silence: what cannot be used is refused in one line, or, where people without
a known group are allowed, counted in a note.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from fairjax.audit.grouping import check_names, labelled, numbered, ordered_groups
from fairjax.audit.layout import Asked, Attribute, Layout, People, find_layout
from fairjax.audit.loaded import (
    Loaded,
    check_direction,
    check_groups,
    check_people,
    independent,
)
from fairjax.audit.tables import Batch, InputError, Names, listed, read_batches

_YES = {"1", "1.0", "true", "yes", "same", "mated", "match", "genuine"}
_NO = {"0", "0.0", "false", "no", "different", "nonmated", "non-mated", "nonmatch", "impostor"}


def load_comparisons(
    path: Path, asked: Asked, *, people: People | None = None
) -> dict[str, Loaded]:
    """Reads a table of scored pairs, for each attribute of `asked.by`.

    Args:
      path: CSV, TSV, Parquet or JSON lines.
      asked: Which columns to read.
      people: Groups (and people) by subject or image, where the table has them not.

    Raises:
      InputError: If anything is unfit; the message names the first row and how many there are.
    """
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

    def __init__(self, path: Path, layout: Layout, asked: Asked, people: People | None) -> None:
        self.path, self.layout, self.asked, self.people = path, layout, asked, people
        self.names = {what: Names() for what in ("subject", "image", "fold")}
        self.words: dict[str, Names] = {  # of each attribute's parts
            part: Names() for a in layout.attributes for part in a.columns
        }

    def read(self) -> dict[str, np.ndarray]:
        """All rows of `batches`."""
        parts = list(self.batches())
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    def batches(self) -> Iterator[dict[str, np.ndarray]]:
        """Columns as numbers: "score NAME", "mated", "fold", and two a row of the others."""
        for batch in read_batches(self.path, text=self.layout.text, numbers=self.layout.systems):
            yield self._numbered(batch)

    def _numbered(self, batch: Batch) -> dict[str, np.ndarray]:
        layout, text = self.layout, batch.columns
        found = {f"score {name}": text[name] for name in layout.scores}
        found |= {f"score {name}": -text[name] for name in layout.distances}
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
            empty = names.number.get("")
            if empty is not None and (needed or not self.asked.unknown_groups):
                row = batch.start + int(np.argmax(sides[-1] == empty))
                keep = "" if needed else "; --unknown-groups keeps such people among everyone only"
                raise InputError(f"{self.path}, data row {row}: {column} ({what}) is empty{keep}.")
        return np.stack(sides, axis=1)

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
        return meaning.astype(bool)

    def grouped(
        self,
        columns: Mapping[str, np.ndarray],
        attribute: Attribute,
        scores: Mapping[str, np.ndarray],
    ) -> Loaded:
        """All pairs with their scores by system and their groups of one attribute, checked."""
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
        )
        if not self.asked.subjects_by_group:
            check_people(loaded, names, str(self.path))
        check_groups(loaded, str(self.path))
        if not self.asked.any_direction:
            for name in scores:
                check_direction(loaded, name, self.layout.distances, str(self.path))
        return loaded

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
        if self.asked.subjects_by_group:
            _, subject = np.unique(
                (group.astype(np.int64) + 1) * len(ordered) + subject, return_inverse=True
            )
            subject = subject.reshape(group.shape).astype(np.int32)
        same = subject[:, 0] == subject[:, 1]
        mated = columns.get("mated", same)
        if (wrong := same != mated).any():
            row = int(np.argmax(wrong))
            who = [ordered[place[names[k]]] for k in code[row]]
            raise InputError(
                f"{self.path}, data row {row + 1}: marked {'mated' if mated[row] else 'non-mated'} "
                f"but shows {listed(who)} ({wrong.sum():,} such rows)."
            )
        return subject, ordered, mated

    def _looked_up(self, table: Mapping[str, str], key: str) -> list[str]:
        """What a table says of each name seen, in the order they were seen."""
        assert self.people is not None
        unseen = [name for name in self.names[key] if name not in table]
        if unseen:
            raise InputError(
                f"{self.people.source} lacks {len(unseen):,} of the {len(self.names[key]):,} "
                f"{key}s of {self.path}: {listed(unseen, most=3)}."
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
                words.append(list(self.words[part]))
                continue
            assert self.people is not None
            key = self.people.key
            if key not in columns:
                raise InputError(
                    f"{self.people.source} gives the {part} of each {key}, but {self.path} names "
                    f"no {key}s; name their columns with --{key}."
                )
            words.append(self._looked_up(self.people.groups[part], key))
            if "" in words[-1] and not self.asked.unknown_groups:
                who = list(self.names[key])[words[-1].index("")]
                raise InputError(
                    f"{self.people.source}: the {part} of {who!r} is empty; --unknown-groups keeps "
                    "such people among everyone only."
                )
            codes.append(columns[key])
        check_names(words, str(self.path))
        return labelled(codes, words)

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
                f"({same.sum():,} such rows)."
            )
        key = low * len(names) + high
        order = np.argsort(key, kind="stable")
        again = np.flatnonzero(np.diff(key[order]) == 0)
        if len(again):
            first, second = order[again[0]] + 1, order[again[0] + 1] + 1
            raise InputError(
                f"{self.path}: the pair {names[low[first - 1]]!r}, {names[high[first - 1]]!r} is "
                f"in data rows {first} and {second} ({len(again):,} rows repeat a pair)."
            )


def _truth(word: str) -> int:
    word = word.strip().lower()
    return 1 if word in _YES else 0 if word in _NO else -1
